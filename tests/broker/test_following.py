"""Orders after they were sent (P8, P9, RC-66, RC-69): states, fills heard once, what nobody sent, what is open too long."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest
from told_account import ACCOUNT, DAYS, OPEN, D, ToldBroker, ToldHome, cutoff, fill, order

from marketbot_assets.book.fills import fills_of, is_bust
from marketbot_resources.broker.following import (
    STRAY,
    Followed,
    follow,
    follow_sent,
    has_open_orders,
    order_ends_at,
)
from marketbot_resources.broker.hearing import FILL
from marketbot_resources.broker.sending import _outcome
from marketbot_resources.errors import BrokerError, HaltError, SessionRefused
from marketbot_resources.halt import HaltSwitch
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.model import (
    AccountEvent,
    AccountReport,
    Acknowledgement,
    Bust,
    HaltLevel,
    OpenOrder,
    OrderState,
    OrderType,
    Side,
)
from marketbot_resources.sessions import order_state

HOUR, MINUTE = dt.timedelta(hours=1), dt.timedelta(minutes=1)
FIRST, SECOND, THIRD = DAYS[:3]


@pytest.fixture
def home(tmp_path: Path) -> ToldHome:
    """The first session is decided and sent two orders that the broker took."""
    made = ToldHome(tmp_path / "home", ToldBroker(states={"o1": OrderState.ACKED, "o2": OrderState.ACKED}))
    made.snapshot(FIRST)
    made.send([order("o1"), order("o2", Side.SELL, "40", instrument="MBB")])
    made.end(FIRST)
    return made


def look(home: ToldHome, at: dt.datetime, halt: HaltSwitch | None = None) -> Followed:
    return follow(home.ledger, home.broker, ACCOUNT, at, halt=halt)


def test_an_order_is_followed_from_acknowledged_over_partial_to_its_end(home: ToldHome) -> None:
    """Every state once, the end also as `order_final`; a look that finds nothing new appends nothing."""
    assert has_open_orders(home.ledger, ACCOUNT)
    assert look(home, OPEN).changed == {}
    home.broker.states["o1"] = OrderState.PARTIAL
    home.broker.fills.append((OPEN, fill("e1", quantity="30")))
    found = look(home, OPEN + MINUTE)
    assert found.changed == {"o1": OrderState.PARTIAL}
    assert found.fills == ("e1",)
    assert [(one.order.client_order_id, one.remaining) for one in found.working] == [("o1", D(70)), ("o2", D(40))]
    head = home.ledger.head()
    assert look(home, OPEN + MINUTE).changed == {}
    assert home.ledger.head() == head
    home.broker.states |= {"o1": OrderState.FILLED, "o2": OrderState.DONE_FOR_DAY}
    home.broker.fills.append((OPEN + HOUR, fill("e2", quantity="70", at=OPEN + HOUR)))
    found = look(home, OPEN + HOUR)
    assert (found.working, found.fills, found.strays) == ((), ("e2",), ())
    assert not has_open_orders(home.ledger, ACCOUNT)
    finals = {entry.key: entry.body["state"] for entry in home.ledger.entries("order_final")}
    assert finals == {"o1": "FILLED", "o2": "DONE_FOR_DAY"}
    states = [entry.body["state"] for entry in home.ledger.entries("order_event", "o1/")]
    assert states == ["SENDING", "ACKED", "PARTIAL", "FILLED"]
    assert _outcome(home.ledger, "o1").state is OrderState.ACKED, "what the sending says does not change any more"


@pytest.mark.parametrize(
    ("before", "told", "after"),
    [
        (OrderState.PARTIAL, OrderState.ACKED, OrderState.PARTIAL),  # a late word never moves an order back
        (OrderState.PARTIAL, OrderState.REJECTED, OrderState.PARTIAL),  # what was filled in part was not refused
        (OrderState.ACKED, OrderState.UNKNOWN, OrderState.ACKED),
        (OrderState.ACKED, OrderState.APPROVED, OrderState.ACKED),
        (OrderState.CANCELED, OrderState.FILLED, OrderState.CANCELED),  # an end is never left (P3)
        (OrderState.ACKED, OrderState.EXPIRED, OrderState.EXPIRED),
        (OrderState.ACKED, OrderState.REPLACED, OrderState.REPLACED),
        (OrderState.UNKNOWN, OrderState.ACKED, OrderState.ACKED),
        (OrderState.SENDING, OrderState.FILLED, OrderState.FILLED),
        (OrderState.UNKNOWN, OrderState.UNKNOWN, OrderState.UNKNOWN),
    ],
)
def test_only_progress_is_recorded(tmp_path: Path, before: OrderState, told: OrderState, after: OrderState) -> None:
    made = ToldHome(tmp_path, ToldBroker(states={"o1": told}))
    made.snapshot(FIRST)
    made.send([order()], before)
    look(made, OPEN)
    assert order_state(made.ledger, "o1") is after


def test_an_order_that_was_never_sent_is_not_asked_for(home: ToldHome) -> None:
    """APPROVED: it waits for its window, or its run died; a broker that works it is a stranger's doing."""
    home.end(SECOND, "skipped")
    home.snapshot(THIRD)
    waiting = order("o9", day=THIRD)
    from marketbot_resources.broker.sending import freeze_batch

    freeze_batch(home.ledger, ACCOUNT, THIRD, [waiting], {"verdict": "APPROVED"})
    home.broker.states["o9"] = OrderState.FILLED
    assert "o9" not in look(home, cutoff(THIRD)).changed
    home.broker.open_orders.append(OpenOrder("o9", "MBA", Side.BUY, D(1), D(1), "USD"))
    (stray,) = look(home, cutoff(THIRD)).strays
    assert "never sent" in stray


STRAYS = {
    "a fill of no order": ([fill("x1", "by-hand")], [], [], "no order of ours"),
    "a fill without an order": ([fill("x1", "")], [], [], "no order of ours"),
    "the other side": ([fill("x1", "o1", side=Side.SELL)], [], [], "the order is to BUY MBA"),
    "another name": ([fill("x1", "o1", instrument="MBC")], [], [], "the order is to BUY MBA"),
    "one share too much": ([fill("x1", "o1", "60"), fill("x2", "o1", "41")], [], [], "filled 101 of 100"),
    "taken back": ([fill("x1", "o1")], [Bust("x1", "", "erroneous", OPEN + HOUR)], [], "taken back: erroneous"),
    "an order by hand": ([], [], [OpenOrder("by-hand", "MBA", Side.BUY, D(5), D(9), "USD")], "no order of ours"),
}  # fmt: skip


@pytest.mark.parametrize("name", STRAYS)
def test_what_no_order_explains_halts_once(home: ToldHome, tmp_path: Path, name: str) -> None:
    """RC-66, F08: the flag is set, one entry says why; who resumes is not halted again by the same thing."""
    fills, busts, opened, said = STRAYS[name]
    home.broker.fills += [(OPEN, one) for one in fills]
    home.broker.busts += [(OPEN + HOUR, bust) for bust in busts]
    home.broker.open_orders += opened
    switch = HaltSwitch(tmp_path)
    found = look(home, OPEN + 2 * HOUR, switch)
    assert len(found.strays) == 1
    assert said in found.strays[0]
    assert switch.read().word == "on"
    assert said in switch.read().reason
    assert len(home.ledger.entries(STRAY)) == 1
    switch.clear()
    assert look(home, OPEN + 3 * HOUR, switch).strays == found.strays
    assert switch.read().word == "off"


@pytest.mark.parametrize(
    ("level", "after"),
    [
        (HaltLevel.NO_NEW_RUNS, "on"), (HaltLevel.REDUCE_ONLY, "on"), (HaltLevel.FLATTEN, "flatten"),
        (HaltLevel.HALT, "on"), (HaltLevel.CANCEL_ALL, "cancel-all"),
    ],
)  # fmt: skip
def test_a_stricter_flag_stays(home: ToldHome, tmp_path: Path, level: HaltLevel, after: str) -> None:
    switch = HaltSwitch(tmp_path)
    switch.set("by hand", level)
    home.broker.fills.append((OPEN, fill("x1", "by-hand")))
    look(home, OPEN, switch)
    assert switch.read().word == after
    assert (switch.read().reason == "by hand") == (level not in (HaltLevel.NO_NEW_RUNS, HaltLevel.REDUCE_ONLY))


def test_an_order_by_hand_in_a_name_of_no_concern_is_left_alone(home: ToldHome, tmp_path: Path) -> None:
    """It cannot move our shares; the reconciliation locks its name."""
    home.broker.open_orders.append(OpenOrder("by-hand", "MBZ", Side.BUY, D(5), D(9), "USD"))
    assert look(home, OPEN, HaltSwitch(tmp_path)).strays == ()
    assert HaltSwitch(tmp_path).read().word == "off"


def test_a_split_between_order_and_fill_is_no_overfill(home: ToldHome) -> None:
    """Two for one: 200 new shares of 100 ordered; RC-66 in the verdict knows the ratio."""
    home.broker.events.append(AccountEvent("s", "SPLIT", "MBA", "USD", D(0), D(50), OPEN))
    home.broker.fills.append((OPEN, fill("e1", quantity="200")))
    assert look(home, OPEN).strays == ()


def test_the_run_hears_what_was_told_late_exactly_once(home: ToldHome) -> None:
    """A fill of Tuesday that the broker names only on Wednesday is booked on Wednesday; then never again."""
    home.broker.states["o1"] = OrderState.FILLED
    home.broker.fills += [(OPEN, fill("e1", quantity="60")), (cutoff(SECOND) + HOUR, fill("e2", quantity="40"))]
    booked = []
    for day in DAYS[1:5]:
        frame = home.snapshot(day)
        again = home.snapshot(day)
        assert frame.equals(again), "a second look at a session is the same"
        rows = frame[frame["kind"] == "EXECUTION"]
        booked.append(dict(zip(rows["key"], rows["text"], strict=True)))
        home.end(day)
    assert booked == [{"e1": ""}, {"e2": "late"}, {}, {}]


def test_a_skipped_session_books_nothing_and_loses_nothing(home: ToldHome) -> None:
    home.broker.fills.append((OPEN, fill("e1")))
    assert "e1" in set(home.snapshot(SECOND)["key"])
    home.end(SECOND, "skipped")
    frame = home.snapshot(THIRD)
    assert frame.loc[frame["key"] == "e1", "text"].tolist() == [""]


def test_events_are_heard_once_too(home: ToldHome) -> None:
    """A dividend and a fee with an id; told in every window that overlaps, in one snapshot alone."""
    home.broker.events += [
        AccountEvent("d1", "DIVIDEND", "MBA", "USD", D("12.50"), D(0), OPEN),
        AccountEvent("f1", "FEE", "", "USD", D(-3), D(0), cutoff(SECOND) + HOUR),
    ]
    seen = []
    for day in DAYS[1:5]:
        frame = home.snapshot(day)
        seen.append(set(frame.loc[frame["kind"] == "EVENT", "key"]))
        home.end(day)
    assert seen == [{"d1"}, {"f1"}, set(), set()]


def test_a_bust_undoes_the_fill_by_a_row_of_its_own(home: ToldHome) -> None:
    """F08: the fill stays; the next session books the other side at its price, costs left to the broker's own event."""
    told = fill("e1", quantity="100", price="9.5", fee="0.14")
    home.broker.fills.append((OPEN, told))
    first = fills_of(home.snapshot(SECOND))
    home.end(SECOND)
    home.broker.busts.append((OPEN + 24 * HOUR, Bust("e1", "e2", "price corrected", OPEN + 24 * HOUR)))
    home.broker.fills.append(
        (OPEN + 24 * HOUR, replace(told, execution_id="e2", price=D(9), executed_at=OPEN + 24 * HOUR))
    )
    second = fills_of(home.snapshot(THIRD)).set_index("execution_id")
    assert first["execution_id"].tolist() == ["e1"]
    assert sorted(second.index) == ["bust:e1", "e2"]
    undone = second.loc["bust:e1"]
    assert (undone["side"], undone["quantity"], undone["price"], undone["fee"]) == ("SELL", D(100), D("9.5"), D(0))
    assert is_bust("bust:e1")
    assert not is_bust("e1")


def test_a_bust_of_an_unknown_execution_books_nothing(home: ToldHome) -> None:
    home.broker.busts.append((OPEN, Bust("never-told", "", "cancelled", OPEN)))
    frame = home.snapshot(SECOND)
    assert frame.loc[frame["kind"] == "BUST", "key"].tolist() == ["never-told"]
    assert fills_of(frame).empty


def test_an_execution_that_is_told_differently_stops_everything(home: ToldHome, tmp_path: Path) -> None:
    """Its quantity may not change; a fee that comes later may. After sending, the flag is set instead."""
    home.broker.fills.append((OPEN, fill("e1")))
    look(home, OPEN)
    home.broker.fills[0] = (OPEN, fill("e1", fee="1.25"))
    assert look(home, OPEN).fills == ()
    assert "1.25" not in str(home.ledger.entries(FILL)[0].body)
    home.broker.fills[0] = (OPEN, fill("e1", quantity="99"))
    with pytest.raises(HaltError, match="found other facts"):
        look(home, OPEN)
    switch = HaltSwitch(tmp_path)
    assert "found other facts" in follow_sent(home.ledger, home.broker, ACCOUNT, OPEN, switch)
    assert switch.read().word == "on"


def test_a_withdrawn_execution_is_marked(home: ToldHome) -> None:
    """Named at noon, not named at the cutoff, never taken back: the reconciliation judges it."""
    home.broker.fills.append((OPEN, fill("e1")))
    look(home, OPEN)
    home.broker.fills.clear()
    frame = home.snapshot(SECOND)
    assert frame.loc[frame["key"] == "e1", "text"].tolist() == ["withdrawn"]


def test_a_silent_broker_halts_nothing_after_sending_but_begins_no_run(home: ToldHome, tmp_path: Path) -> None:
    home.broker.silent = True
    switch = HaltSwitch(tmp_path)
    assert "does not answer" in follow_sent(home.ledger, home.broker, ACCOUNT, OPEN, switch)
    assert switch.read().word == "off"
    with pytest.raises(BrokerError):
        home.snapshot(SECOND)


def test_an_order_that_is_open_after_its_session_is_an_incident(home: ToldHome) -> None:
    """RC-69: at a quarter past the close in New York, 21:00 UTC, not a minute before; one entry per order."""
    edge = dt.datetime(2018, 12, 11, 21, 15, tzinfo=dt.UTC)
    assert look(home, edge - MINUTE).overdue == ()
    assert look(home, edge).overdue == ("o1", "o2")
    assert look(home, edge + HOUR).overdue == ("o1", "o2")
    assert [entry.key for entry in home.ledger.entries("order_incident")] == ["o1", "o2"]


@pytest.mark.parametrize(
    ("send_until", "ends"),
    [
        ("2018-12-11T14:25", "2018-12-11T21:00"),  # before the open: that day's session
        ("2018-12-11T20:45", "2018-12-11T21:00"),  # an order on close
        ("2018-12-11T22:00", "2018-12-12T21:00"),  # after the close: the next one
        ("2018-12-24T17:30", "2018-12-24T18:00"),  # a half day
    ],
)
def test_an_order_ends_with_the_session_in_which_it_trades(send_until: str, ends: str) -> None:
    until, end = (dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC) for text in (send_until, ends))
    assert order_ends_at(replace(order(), send_until=until, type=OrderType.LIMIT_ON_CLOSE)) == end


def test_a_book_that_is_not_open_follows_nothing(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="not open yet"):
        follow(SqliteLedger(tmp_path / "ledger.sqlite"), ToldBroker(), ACCOUNT, OPEN)


def test_a_home_of_before_hears_only_what_came_after(tmp_path: Path) -> None:
    """Sessions taken before fills were kept in the ledger have booked theirs: they are not booked again."""
    old = ToldHome(
        tmp_path, ToldBroker(fills=[(OPEN, fill("old")), (OPEN + 24 * HOUR, fill("new", at=OPEN + 24 * HOUR))])
    )
    for day in (FIRST, SECOND):
        old.ledger.append(
            "session_cutoff", day.isoformat(), {"session": day.isoformat(), "cutoff_at": cutoff(day).isoformat()}
        )
        old.end(day)
    old.send([order()])
    frame = old.snapshot(THIRD)
    assert frame.loc[frame["kind"] == "EXECUTION", "key"].tolist() == ["new"]


def test_a_session_that_was_skipped_is_refused(home: ToldHome) -> None:
    home.end(SECOND, "skipped")
    with pytest.raises(SessionRefused):
        home.snapshot(SECOND)


class Racing(ToldBroker):
    """The order fills between the question for the account and the question for the order."""

    def find(self, client_order_id: str) -> Acknowledgement | None:
        if client_order_id == "o1" and self.open_orders:
            self.open_orders.clear()
            self.states["o1"] = OrderState.FILLED
            self.fills.append((OPEN, fill("e1")))
        return super().find(client_order_id)


def test_an_order_that_fills_between_two_questions_is_told_once(tmp_path: Path) -> None:
    """The account is asked for again, so that the snapshot does not hold an order as open that has ended by our ledger."""
    broker = Racing(
        states={"o1": OrderState.ACKED}, open_orders=[OpenOrder("o1", "MBA", Side.BUY, D(100), D(10), "USD")]
    )
    made = ToldHome(tmp_path, broker)
    made.snapshot(FIRST)
    made.send([order()])
    made.end(FIRST)
    frame = made.snapshot(SECOND)
    assert set(frame["kind"]) & {"OPEN_ORDER", "WORKING", "EXECUTION"} == {"EXECUTION"}


class Slow(ToldBroker):
    """Its time passes only while it is asked for the account, as the paper broker's."""

    def report(self, since: dt.datetime, until: dt.datetime) -> AccountReport:
        if until >= OPEN:
            self.states["o1"] = OrderState.FILLED
        return super().report(since, until)


def test_a_broker_whose_time_passes_with_the_account_is_not_behind(tmp_path: Path) -> None:
    made = ToldHome(tmp_path, Slow(states={"o1": OrderState.ACKED}))
    made.snapshot(FIRST)
    made.send([order()])
    made.end(FIRST)
    assert "WORKING" not in set(made.snapshot(SECOND)["kind"])
    assert order_state(made.ledger, "o1") is OrderState.FILLED
