"""How a session ends whose run died, told from the ledger alone."""

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from standing_clock import Standing

from marketbot_resources.broker.sending import freeze_batch
from marketbot_resources.clock import ReplayClock, machine_now
from marketbot_resources.errors import (
    AlreadySending,
    HaltError,
    LedgerError,
    SessionRefused,
    StaleToken,
)
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Fence, Json, Receipt
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.mandate import Calendar, Schedule
from marketbot_resources.model import Acknowledgement, Kind, Order, OrderState, Side, utc_text
from marketbot_resources.paper import PaperAccount
from marketbot_resources.sessions import (
    check_in_time,
    close_predecessors,
    end_state,
    open_book,
    order_events,
    order_state,
    record_cutoff,
    record_end,
    record_event,
)

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
    assert end.reason.endswith("; 1 of 2 orders were never sent, 0 never arrived, 1 reached the broker")


def test_an_order_that_nobody_knows_never_arrived(tmp_path: Path) -> None:
    """Sent without an answer and unknown to the broker: a day later its window and the broker's lateness are over."""
    book = ledger(tmp_path)
    freeze(book, ["mb1-a", "mb1-b"])
    record_event(book, "mb1-a", OrderState.SENDING, {"at": "2018-12-11T23:16:00Z"})
    with pytest.raises(HaltError, match="mb1-a: sent without an answer; expected its intent and a broker"):
        close(book)
    close(book, Broker({}))
    assert order_state(book, "mb1-a") is OrderState.EXPIRED
    assert str(order_events(book, "mb1-a")[-1].body["reason"]).startswith("never arrived")
    end = end_state(book, DAY)
    assert end is not None
    assert (end.state, "1 of 2 orders were never sent" in end.reason) == ("sent", True)
    assert end.reason.endswith("1 never arrived, 0 reached the broker")
    told = book.entries("session_end")[0].body
    assert (told["orders"], told["never_sent"], told["never_arrived"]) == (2, 1, 1)


def test_an_order_in_doubt_of_a_session_that_ended_is_settled(tmp_path: Path) -> None:
    """A batch that was sent but for one order in doubt has its end state; the doubt ends with the next session all the same."""
    book = ledger(tmp_path)
    freeze(book, ["mb1-a"])
    record_event(book, "mb1-a", OrderState.SENDING, {"at": "2018-12-11T23:16:00Z"})
    record_event(book, "mb1-a", OrderState.UNKNOWN, {"reason": "no answer"})
    record_end(book, DAY, "sent", "1 orders: 1 UNKNOWN")
    close(book, Broker({"mb1-a": OrderState.FILLED}))
    assert order_state(book, "mb1-a") is OrderState.FILLED


def test_closing_takes_the_right_to_send(tmp_path: Path) -> None:
    """A sender that hung while the next session began finds its token stale; nothing is taken where nothing is open."""
    book = ledger(tmp_path)
    freeze(book, ["mb1-a"])
    fence = Fence(ACCOUNT, 1)
    book.append("sending_fence", fence.key, {"locked": True})
    close(book, Broker({}))
    with pytest.raises(StaleToken):
        record_event(book, "mb1-a", OrderState.SENDING, {"at": "2018-12-11T23:16:00Z"}, fence)
    head = book.head()
    close(book, Broker({}))
    assert book.head() == head


def test_no_session_begins_while_the_one_before_is_sent(tmp_path: Path) -> None:
    """Its orders would be judged while they move."""
    book = ledger(tmp_path)
    freeze(book, ["mb1-a"])
    with book.alone(f"sending/{ACCOUNT}"):
        body: dict[str, Json] = {
            "session": DAY.isoformat(),
            "batch_no": 1,
            "holder": "here",
            "locked": True,
            "machine_at": utc_text(machine_now()),
        }
        book.append("sending_fence", f"{ACCOUNT}/1", body)
        with pytest.raises(AlreadySending, match="another run is sending, since "):
            close(book, Broker({}))
    close(book, Broker({}))


ENDS = {"FILLED", "CANCELED", "EXPIRED", "DONE_FOR_DAY", "REPLACED", "REJECTED"}
ALLOWED = {
    "APPROVED": {"SENDING", "EXPIRED"},
    "SENDING": {"ACKED", "PARTIAL", "UNKNOWN"} | ENDS,
    "UNKNOWN": {"ACKED", "PARTIAL", "SENDING"} | ENDS,
    "ACKED": {"PARTIAL"} | ENDS,
    "PARTIAL": {"PARTIAL"} | ENDS - {"REJECTED"},
}
WAYS = {
    "APPROVED": (),
    "SENDING": ("SENDING",),
    "UNKNOWN": ("SENDING", "UNKNOWN"),
    "ACKED": ("SENDING", "ACKED"),
    "PARTIAL": ("SENDING", "PARTIAL"),
    **{end: ("SENDING", end) for end in ENDS},
}


@pytest.mark.parametrize("before", sorted(WAYS))
def test_every_transition_goes_by_the_table(tmp_path: Path, before: str) -> None:
    """P3, all 121 pairs of states: what is not allowed is refused and leaves nothing behind."""
    book = ledger(tmp_path)
    names = {after: f"mb1-{after.value.lower()}" for after in OrderState}
    freeze(book, list(names.values()))
    for after, name in names.items():
        for state in WAYS[before]:
            record_event(book, name, OrderState(state), {})
        events = order_events(book, name)
        if after.value in ALLOWED.get(before, set()):
            record_event(book, name, after, {"reason": "x"})
            assert order_state(book, name) is after
        else:
            with pytest.raises(HaltError, match=name):
                record_event(book, name, after, {"reason": "x"})
            assert order_events(book, name) == events


@pytest.mark.parametrize("same", [True, False])
def test_of_two_writers_one_gets_the_number(tmp_path: Path, same: bool) -> None:
    """Compare and swap: the other is told, also when it would have written the very same."""
    book = ledger(tmp_path)
    freeze(book, ["mb1-a"])

    class Late(SqliteLedger):
        def _append(self, records: Sequence[tuple[str, str, bytes]], fence: Fence | None = None) -> list[Receipt]:
            record_event(book, "mb1-a", OrderState.SENDING, {"by": "one"})
            return super()._append(records, fence)

    with pytest.raises(LedgerError, match=r"mb1-a: expected to record SENDING as mb1-a/1, .*another run is at it"):
        record_event(Late(tmp_path / "ledger.sqlite"), "mb1-a", OrderState.SENDING, {"by": "one" if same else "two"})
    assert [event.body["by"] for event in order_events(book, "mb1-a")] == ["one"]


BEGINS, ENDS = dt.datetime(2018, 12, 11, 22, 45, tzinfo=dt.UTC), dt.datetime(2018, 12, 11, 23, 15, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (BEGINS - SECOND, "start it then"), (BEGINS, ""), (ENDS, ""), (ENDS + SECOND, "cannot be decided any more"),
        (ENDS + dt.timedelta(days=70), "cannot be decided any more"),
    ],
)  # fmt: skip
def test_on_the_live_clock_a_session_begins_in_its_own_time(now: dt.datetime, said: str, tmp_path: Path) -> None:
    """17:45 to 18:15 in New York; one that has its cutoff goes on whenever it is."""
    ledger, clock = SqliteLedger(tmp_path / "ledger.sqlite"), Standing(now)
    if said:
        with pytest.raises(SessionRefused, match=said):
            check_in_time(ledger, clock, SCHEDULE, DAY)
        with pytest.raises(SessionRefused, match="from 2018-12-11T22:45:00Z to 2018-12-11T23:15:00Z, found 201"):
            check_in_time(None, clock, SCHEDULE, DAY)
    else:
        check_in_time(ledger, clock, SCHEDULE, DAY)
    record_cutoff(ledger, DAY, BEGINS)
    check_in_time(ledger, clock, SCHEDULE, DAY)


def test_the_replay_clock_is_always_in_time() -> None:
    check_in_time(None, ReplayClock(SCHEDULE), SCHEDULE, DAY)
