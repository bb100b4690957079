"""A broker that tells what a test wrote down, and a home that hears it through the real ledger, following and snapshot.

An execution may become visible later than it happened. Not here: any statement about the product.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pandas as pd

from marketbot_assets.ingestion.snapshot import snapshot_frame
from marketbot_resources.broker.account import take_account
from marketbot_resources.broker.sending import freeze_batch
from marketbot_resources.clock import ReplayClock
from marketbot_resources.errors import BrokerError
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.mandate import parse_mandate
from marketbot_resources.model import (
    AccountEvent,
    AccountReport,
    Acknowledgement,
    Bust,
    Execution,
    Kind,
    OpenOrder,
    Order,
    OrderState,
    Side,
)
from marketbot_resources.paper import PaperAccount
from marketbot_resources.sessions import cutoff_of, open_book, record_end, record_event

D = Decimal
ACCOUNT = "paper-1"
DAYS = tuple(
    map(dt.date.fromisoformat, ("2018-12-10", "2018-12-11", "2018-12-12", "2018-12-13", "2018-12-14", "2018-12-17"))
)
OPEN = dt.datetime(2018, 12, 11, 14, 30, tzinfo=dt.UTC)  # of New York on the second day
MANDATE = parse_mandate((Path(__file__).parents[1] / "mandate.yaml").read_text(encoding="utf-8"))


def cutoff(day: dt.date) -> dt.datetime:
    """17:45 and 30 minutes in New York, in winter."""
    return dt.datetime(day.year, day.month, day.day, 23, 15, tzinfo=dt.UTC)


def order(name: str = "o1", side: Side = Side.BUY, quantity: str = "100", *, instrument: str = "MBA", day: dt.date = DAYS[0],
          limit: str = "10", mic: str = "XNYS") -> Order:  # fmt: skip
    """An order of a session for the next opening auction in New York."""
    return Order(
        client_order_id=name, session=day, batch_no=1, leg="T", kind=Kind.EQUITY, instrument=instrument, mic=mic, side=side,
        quantity=D(quantity), limit_price=D(limit), currency="USD", send_from=cutoff(day),
        send_until=cutoff(day) + dt.timedelta(hours=15), reason="target",
    )  # fmt: skip


def fill(name: str, order_id: str = "o1", quantity: str = "100", *, at: dt.datetime = OPEN, side: Side = Side.BUY,
         instrument: str = "MBA", price: str = "10", fee: str = "0") -> Execution:  # fmt: skip
    """One execution in dollars."""
    return Execution(
        name, order_id, Kind.EQUITY, instrument, side, D(quantity), D(price), "USD", D(fee), D(0), at
    )  # fmt: skip


@dataclass
class ToldBroker:
    """`fills` and `busts`: (visible from, fact); `states`: what `find` answers; everything else as it is reported."""

    cash: dict[str, Decimal] = field(default_factory=dict)
    positions: dict[str, Decimal] = field(default_factory=dict)
    states: dict[str, OrderState] = field(default_factory=dict)
    open_orders: list[OpenOrder] = field(default_factory=list)
    fills: list[tuple[dt.datetime, Execution]] = field(default_factory=list)
    busts: list[tuple[dt.datetime, Bust]] = field(default_factory=list)
    events: list[AccountEvent] = field(default_factory=list)
    average_price: dict[str, Decimal] = field(default_factory=dict)
    silent: bool = False
    capabilities = PaperAccount.capabilities

    def submit(self, order: Order, at: dt.datetime) -> Acknowledgement:
        raise AssertionError("nothing may be sent")

    def cancel(self, client_order_id: str, at: dt.datetime) -> Acknowledgement | None:
        raise AssertionError("nothing may be canceled")

    def find(self, client_order_id: str) -> Acknowledgement | None:
        state = self.states.get(client_order_id)
        return None if state is None else Acknowledgement(client_order_id, state, f"b-{client_order_id}", "")

    def report(self, since: dt.datetime, until: dt.datetime) -> AccountReport:
        if self.silent:
            raise BrokerError("the broker does not answer")
        return AccountReport(
            until,
            dict(self.cash),
            dict(self.positions),
            tuple(self.open_orders),
            tuple(told for seen, told in self.fills if seen <= until and since < told.executed_at <= until),
            tuple(event for event in self.events if since < event.effective_at <= until),
            "paper",
            until,
            tuple(bust for seen, bust in self.busts if seen <= until and since < bust.told_at <= until),
            dict(self.average_price),
        )


class ToldHome:
    """A ledger whose book opens on the first day."""

    def __init__(self, path: Path, broker: ToldBroker) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.ledger: Ledger = SqliteLedger(path / "ledger.sqlite")
        self.broker, self.mandate, self.clock = broker, MANDATE, ReplayClock(MANDATE.schedule)
        open_book(self.ledger, DAYS[0], MANDATE.calendar, MANDATE.schedule)

    def send(self, orders: Sequence[Order], state: OrderState = OrderState.ACKED) -> None:
        """Freezes a session's batch and notes the broker's first answer."""
        freeze_batch(self.ledger, ACCOUNT, orders[0].session, orders, {"verdict": "APPROVED"})
        at = "2018-12-10T23:20:00Z"
        for each in orders:
            record_event(self.ledger, each.client_order_id, OrderState.SENDING, {"at": at})
            if state is not OrderState.SENDING:
                record_event(self.ledger, each.client_order_id, state, {"broker_order_id": "b", "reason": "", "at": at})

    def snapshot(self, day: dt.date) -> pd.DataFrame:
        """ACCOUNT_SNAPSHOT of a session, as the asset takes it."""
        told = take_account(self.ledger, self.broker, self.clock, self.mandate, day)
        return snapshot_frame(
            told.report, told.cutoff_at, "off", "", told.operator, told.stop_hits, told.heard, told.working
        )

    def end(self, day: dt.date, state: str = "sent") -> None:
        """Ends a session."""
        record_end(self.ledger, day, state, "")

    def covered(self, day: dt.date) -> dt.datetime:
        """The recorded cutoff."""
        found = cutoff_of(self.ledger, day)
        assert found is not None
        return found
