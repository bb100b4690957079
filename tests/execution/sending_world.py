"""Batches, a broker that misbehaves on request, and processes that die anywhere: what tests of the order protocol start from."""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from marketbot_resources.broker.desk import Timing
from marketbot_resources.broker.sending import SendReport, freeze_batch, send_batch
from marketbot_resources.capabilities import Capabilities
from marketbot_resources.errors import BrokerError
from marketbot_resources.halt import HaltFlag
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Fence, Receipt
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.model import (
    AccountReport,
    Acknowledgement,
    Kind,
    Order,
    OrderState,
    Side,
)
from marketbot_resources.paper import PaperAccount
from marketbot_resources.sessions import order_state

SESSION = dt.date(2018, 12, 11)
NOW = dt.datetime(2018, 12, 11, 23, 0, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
OFF = HaltFlag("off", "")
ACKED, REJECTED, UNKNOWN, SENDING = OrderState.ACKED, OrderState.REJECTED, OrderState.UNKNOWN, OrderState.SENDING
APPROVED, EXPIRED = OrderState.APPROVED, OrderState.EXPIRED


class Killed(BaseException):
    """The process dies here."""


def order(name: str, side: Side = Side.BUY, kind: Kind = Kind.EQUITY, **changes: object) -> Order:
    is_fx = kind is Kind.FX
    facts: dict[str, object] = {
        "client_order_id": f"mb1-{name}",
        "session": SESSION,
        "batch_no": 1,
        "leg": "F" if is_fx else "T",
        "kind": kind,
        "instrument": "FX:EUR" if is_fx else f"MB{name}",
        "mic": "" if is_fx else "XNYS",
        "side": side,
        "quantity": Decimal(100),
        "limit_price": None if is_fx else Decimal("20.5"),
        "currency": "EUR" if is_fx else "USD",
        "send_from": NOW - HOUR,
        "send_until": NOW + 10 * HOUR,
        "reason": "test",
    }
    return Order(**{**facts, **changes})  # type: ignore[arg-type]


BATCH = (order("a"), order("b", Side.SELL), order("c"), order("d", kind=Kind.FX))
SENT_ORDER = ["mb1-d", "mb1-b", "mb1-a", "mb1-c"]


ODD: dict[str, dict[str, Any]] = {
    "other_id": {"client_order_id": "mb1-z"},
    "other_name": {"instrument": "MBz"},
    "other_side": {"side": Side.SELL},
    "other_quantity": {"quantity": Decimal(101)},
    "odd_quantity": {"quantity": Decimal("NaN")},
    "other_limit": {"limit_price": Decimal("20.51")},
    "no_state": {"state": SENDING},
    "unmapped_state": {"state": UNKNOWN},
}


def echo(order: Order, state: OrderState) -> Acknowledgement:
    """An answer that repeats the order's fields."""
    name = order.client_order_id
    return Acknowledgement(name, state, f"B{name}", "", order.instrument, order.side, order.quantity, order.limit_price)


class Hours:
    """A clock that only waiting moves on."""

    def __init__(self, at: dt.datetime = NOW) -> None:
        self.at, self.waited = at, list[float]()

    def now(self) -> dt.datetime:
        return self.at

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.at += dt.timedelta(seconds=seconds)

    @property
    def timing(self) -> Timing:
        return Timing(self.now, self.wait, self.now)


@dataclass
class Twin:
    """A broker as the tests need it: `moods` says how it treats an order; `accepted` counts what really reached it.

    Moods: accept, reject, break_after (accepts, then raises), lose (raises, nothing arrived), lose_once (the first time), late
    (raises; arrives after the next question), silent (accepts, answers None), or one of ODD: accepts, but confirms otherwise.
    `states` may be set from outside; `deaf`: it cannot be asked.
    """

    ledger: Ledger
    dedupes_client_id: bool = True
    moods: dict[str, str] = field(default_factory=dict)
    accepted: Counter[str] = field(default_factory=Counter)
    states: dict[str, OrderState] = field(default_factory=dict)
    submitted: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    lateness_max: dt.timedelta = dt.timedelta(0)
    deaf: bool = False
    asked: list[str] = field(default_factory=list)
    told: AccountReport | None = None

    @property
    def capabilities(self) -> Capabilities:
        return replace(
            PaperAccount.capabilities, dedupes_client_id=self.dedupes_client_id, lateness_max=self.lateness_max
        )

    def submit(self, order: Order, at: dt.datetime) -> Acknowledgement:
        name = order.client_order_id
        assert order_state(self.ledger, name) is SENDING, "SENDING is durable before the broker hears of the order"
        self.submitted.append(name)
        mood = self.moods.get(name, "accept")
        if mood == "lose" or (mood == "lose_once" and self.submitted.count(name) == 1):
            raise BrokerError("connection reset")
        if mood == "late":
            self.late.append(name)
            raise TimeoutError("no answer in time")
        if mood == "reject":
            self.states[name] = REJECTED
            return Acknowledgement(name, REJECTED, f"B{name}", "no")
        self._accept(name)
        if mood == "break_after":
            raise ValueError("bad JSON")
        if mood == "silent":
            return None  # type: ignore[return-value]
        return replace(echo(order, self.states[name]), **ODD.get(mood, {}))

    def _accept(self, name: str) -> None:
        if not (self.dedupes_client_id and name in self.states):
            self.accepted[name] += 1
            self.states[name] = ACKED

    def find(self, client_order_id: str) -> Acknowledgement | None:
        self.asked.append(client_order_id)
        if self.deaf:
            raise ConnectionError("no route")
        state = self.states.get(client_order_id)
        if state is None and client_order_id in self.late:
            self.late.remove(client_order_id)
            self._accept(client_order_id)
        return None if state is None else Acknowledgement(client_order_id, state, f"B{client_order_id}", "")

    def cancel(self, client_order_id: str, at: dt.datetime) -> Acknowledgement | None:
        raise AssertionError("not asked for")

    def report(self, since: dt.datetime, until: dt.datetime) -> AccountReport:
        assert self.told is not None, "not asked for"
        return self.told


def passes(_: Sequence[Order]) -> tuple[str, ...]:
    return ()


def send(ledger: Ledger, broker: Any, orders: Sequence[Order] = BATCH, **changes: Any) -> SendReport:
    now = changes.pop("now", lambda: NOW)
    timing = Timing(now, lambda _: None, lambda: NOW)
    known: dict[str, Any] = {
        "account": "acc",
        "session": SESSION,
        "timing": timing,
        "halt": lambda: OFF,
        "gate": passes,
    }
    return send_batch(ledger, broker, orders, **{**known, **changes})


def frozen(path: Path, orders: Sequence[Order] = BATCH) -> Ledger:
    ledger = SqliteLedger(path / "ledger.sqlite")
    freeze_batch(ledger, "acc", SESSION, orders, {"verdict": "APPROVED"})
    return ledger


class Fuse:
    """Counts calls and dies at one of them, before or after it takes effect."""

    def __init__(self, at: int, *, after: bool) -> None:
        self.left, self.after, self.calls = at, after, 0

    def run(self, call: Callable[[], Any]) -> Any:
        self.calls += 1
        if self.calls == self.left and not self.after:
            raise Killed
        dies = self.calls == self.left
        try:
            return call()
        finally:
            if dies:
                raise Killed


class FusedLedger(SqliteLedger):
    fuse: Fuse

    def _append(self, records: Sequence[tuple[str, str, bytes]], fence: Fence | None = None) -> list[Receipt]:
        return self.fuse.run(lambda: super(FusedLedger, self)._append(records, fence))


class FusedBroker:
    def __init__(self, twin: Twin, fuse: Fuse) -> None:
        self.twin, self.fuse, self.capabilities = twin, fuse, twin.capabilities

    def submit(self, order: Order, at: dt.datetime) -> Acknowledgement:
        return self.fuse.run(lambda: self.twin.submit(order, at))

    def find(self, client_order_id: str) -> Acknowledgement | None:
        return self.fuse.run(lambda: self.twin.find(client_order_id))


def run_with(path: Path, twin: Twin, fuse: Fuse, orders: Sequence[Order] = BATCH) -> SendReport:
    """One whole run, freezing included, that dies where the fuse says."""
    ledger = FusedLedger(path / "ledger.sqlite")
    ledger.fuse = fuse
    freeze_batch(ledger, "acc", SESSION, orders, {})
    return send(ledger, FusedBroker(twin, fuse), orders)
