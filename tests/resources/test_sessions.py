"""How a session ends whose run died, told from the ledger alone."""

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest

from marketbot_resources.broker.sending import freeze_batch
from marketbot_resources.clock import ReplayClock
from marketbot_resources.errors import HaltError, SessionRefused
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Json
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.mandate import Calendar, Schedule
from marketbot_resources.model import Acknowledgement, Kind, Order, OrderState, Side
from marketbot_resources.paper import PaperAccount
from marketbot_resources.sessions import close_predecessors, end_state, open_book, record_cutoff, record_event

CALENDAR = Calendar(mic="XNYS", go_live=dt.date(2018, 10, 1), last_session=dt.date(2022, 12, 28))
SCHEDULE = Schedule(decide_at="17:45", timezone="America/New_York", landing_minutes_max=30, execute="next_open")
DAY, NEXT = dt.date(2018, 12, 11), dt.date(2018, 12, 12)
AT = dt.datetime(2018, 12, 11, 23, 15, tzinfo=dt.UTC)
ACCOUNT = "paper-1"


class Broker:
    """Knows the orders it is given; finding is all that closing a session asks of it."""

    capabilities = PaperAccount.capabilities

    def __init__(self, known: dict[str, OrderState]) -> None:
        self._known = known

    def find(self, client_order_id: str) -> Acknowledgement | None:
        state = self._known.get(client_order_id)
        return None if state is None else Acknowledgement(client_order_id, state, "b", "")


def order(name: str) -> Order:
    return Order(
        client_order_id=name,
        session=DAY,
        batch_no=1,
        leg="T",
        kind=Kind.EQUITY,
        instrument="MBA",
        mic="XNYS",
        side=Side.BUY,
        quantity=Decimal(1),
        limit_price=Decimal(10),
        currency="USD",
        send_from=AT,
        send_until=AT + dt.timedelta(hours=10),
        reason="",
    )


def ledger(path: Path) -> Ledger:
    book = SqliteLedger(path / "ledger.sqlite")
    open_book(book, DAY, CALENDAR, SCHEDULE)
    return book


def close(book: Ledger, broker: Broker | None = None) -> None:
    close_predecessors(book, broker, ReplayClock(SCHEDULE), CALENDAR, SCHEDULE, NEXT, ACCOUNT)  # type: ignore[arg-type]


def freeze(book: Ledger, names: list[str], verdict: str = "APPROVED") -> None:
    record_cutoff(book, DAY, AT)
    facts: dict[str, Json] = {"session": DAY.isoformat(), "verdict": verdict, "why": "RC-80 the halt flag is on"}
    freeze_batch(book, ACCOUNT, DAY, [order(name) for name in names], facts)


def test_a_session_never_started_refuses_the_next_on_the_replay_clock(tmp_path: Path) -> None:
    """The replay clock never skips: the message says what to run."""
    with pytest.raises(SessionRefused, match="marketbot run --session 2018-12-11"):
        close(ledger(tmp_path))


def test_a_cutoff_without_batch_is_skipped(tmp_path: Path) -> None:
    """Data landed, nothing was decided: recorded, and it can never send."""
    book = ledger(tmp_path)
    record_cutoff(book, DAY, AT)
    close(book)
    end = end_state(book, DAY)
    assert end is not None
    assert (end.state, end.reason) == ("skipped", "run ended before a batch was frozen")


@pytest.mark.parametrize(("verdict", "state"), [("REJECTED", "rejected"), ("HALT", "halted")])
def test_a_batch_without_orders_ends_as_its_verdict_says(tmp_path: Path, verdict: str, state: str) -> None:
    """A run that died after freezing an empty batch was not sent."""
    book = ledger(tmp_path)
    freeze(book, [], verdict)
    close(book)
    end = end_state(book, DAY)
    assert end is not None
    assert (end.state, end.reason) == (state, "RC-80 the halt flag is on")


def test_a_frozen_batch_of_which_nothing_was_sent_is_skipped(tmp_path: Path) -> None:
    """A stale target is never traded later."""
    book = ledger(tmp_path)
    freeze(book, ["mb1-a", "mb1-b"])
    close(book, Broker({}))
    end = end_state(book, DAY)
    assert end is not None
    assert end.state == "skipped"
    assert "none of 2 orders was sent" in end.reason


def test_orders_in_doubt_are_asked_for(tmp_path: Path) -> None:
    """SENDING is settled with the broker; what was never sent is counted."""
    book = ledger(tmp_path)
    freeze(book, ["mb1-a", "mb1-b"])
    record_event(book, "mb1-a", OrderState.SENDING, {"at": "2018-12-11T23:16:00Z"})
    close(book, Broker({"mb1-a": OrderState.FILLED}))
    end = end_state(book, DAY)
    assert end is not None
    assert end.state == "sent"
    assert "1 of 2 orders were never sent" in end.reason


def test_an_order_that_nobody_knows_halts(tmp_path: Path) -> None:
    """Sent without an answer and unknown to the broker: no session goes on before that is cleared up."""
    book = ledger(tmp_path)
    freeze(book, ["mb1-a"])
    record_event(book, "mb1-a", OrderState.SENDING, {"at": "2018-12-11T23:16:00Z"})
    with pytest.raises(HaltError, match="mb1-a"):
        close(book, Broker({}))
