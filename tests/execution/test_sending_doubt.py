"""Orders whose fate is unknown: asked for, sent again only where that cannot make two, carried to the next session, never lost."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sending_world import (
    ACKED,
    APPROVED,
    BATCH,
    EXPIRED,
    HOUR,
    NOW,
    ODD,
    REJECTED,
    SENT_ORDER,
    SESSION,
    UNKNOWN,
    Hours,
    Twin,
    echo,
    frozen,
    order,
    send,
)

from marketbot_resources.broker.settling import Baseline
from marketbot_resources.errors import HaltError
from marketbot_resources.halt import HaltFlag
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.model import (
    AccountReport,
    Acknowledgement,
    Execution,
    HaltLevel,
    Kind,
    OpenOrder,
    Order,
    OrderState,
    Side,
)
from marketbot_resources.sessions import frozen_batch, order_events, order_state, settle_batch

LOOKED_UP = [1, 2, 4, 8, 16, 29]
MISMATCH = [mood for mood in ODD if mood.startswith(("other", "odd"))]
SECOND = dt.timedelta(seconds=1)


def told(ledger: Ledger, name: str) -> list[str]:
    return [str(event.body["state"]) for event in order_events(ledger, name)]


def settle(ledger: Ledger, broker: Any, at: dt.datetime) -> None:
    """As the next session begins."""
    batch = frozen_batch(ledger, "acc", SESSION)
    assert batch is not None
    settle_batch(ledger, broker, batch, "acc", at, lambda: at)


@pytest.mark.parametrize("mood", ["break_after", "no_state", "unmapped_state", "silent", "late"])
@pytest.mark.parametrize("dedupes", [True, False])
def test_an_answer_that_says_nothing_is_looked_up(tmp_path: Path, mood: str, dedupes: bool) -> None:
    """P6, P7: UNKNOWN is recorded, then the broker's own view; the order arrived, so the rest goes and nothing is sent again."""
    ledger, hours = frozen(tmp_path), Hours()
    broker = Twin(ledger, dedupes, {"mb1-b": mood})
    report = send(ledger, broker, timing=hours.timing)
    assert told(ledger, "mb1-b") == ["SENDING", "UNKNOWN", "ACKED"]
    assert report.end_state() == ("sent", "4 orders: 4 ACKED")
    assert broker.submitted == SENT_ORDER
    assert set(broker.accepted.values()) == {1}
    assert hours.waited == ([1, 2] if mood == "late" else [1])


@pytest.mark.parametrize("mood", MISMATCH)
def test_a_confirmation_of_another_order_stops_the_batch(tmp_path: Path, mood: str) -> None:
    """P6: never ACKED; nothing more goes. The broker's own view decides in the next run, when it speaks of ours."""
    ledger, hours = frozen(tmp_path), Hours()
    broker = Twin(ledger, True, {"mb1-a": mood})
    report = send(ledger, broker, timing=hours.timing)
    assert broker.submitted == ["mb1-d", "mb1-b", "mb1-a"]
    assert report.states == {"mb1-a": UNKNOWN, "mb1-b": ACKED, "mb1-c": APPROVED, "mb1-d": ACKED}
    state, why = report.end_state()
    assert (state, "the broker confirmed" in why or "answered about mb1-z" in why) == ("halted", True)
    assert hours.waited == []
    assert send(ledger, broker, timing=hours.timing).end_state() == ("sent", "4 orders: 4 ACKED")
    assert set(broker.accepted.values()) == {1}


def test_what_is_not_echoed_is_not_compared(tmp_path: Path) -> None:
    """An adapter that compares by itself echoes nothing."""
    ledger = frozen(tmp_path)
    broker = Twin(ledger)
    broker.submit = lambda order, at: Acknowledgement(order.client_order_id, ACKED, "B", "")  # type: ignore[method-assign]
    assert send(ledger, broker).end_state() == ("sent", "4 orders: 4 ACKED")


@pytest.mark.parametrize("change", [mood for mood in MISMATCH if mood != "other_id"])
def test_the_broker_knows_another_order_under_our_id(tmp_path: Path, change: str) -> None:
    """P6: its view of an order in doubt is compared, too. The batch stops, and the next session does not begin while it is open."""
    ledger, hours = frozen(tmp_path), Hours()
    broker = Twin(ledger, True, {"mb1-a": "break_after"})
    other = replace(echo(BATCH[0], ACKED), **ODD[change])
    broker.find = lambda name: other  # type: ignore[method-assign]
    report = send(ledger, broker, timing=hours.timing)
    assert (report.states["mb1-a"], report.end_state()[0]) == (UNKNOWN, "halted")
    assert broker.submitted == ["mb1-d", "mb1-b", "mb1-a"]
    with pytest.raises(HaltError, match="mb1-a: the broker was asked for it and confirmed"):
        settle(ledger, broker, NOW + 24 * HOUR)
    broker.find = lambda name: replace(other, state=OrderState.CANCELED)  # type: ignore[method-assign]
    settle(ledger, broker, NOW + 24 * HOUR)
    last = order_events(ledger, "mb1-a")[-1].body
    assert (last["state"], "another order has this id" in str(last["reason"])) == ("CANCELED", True)


def test_a_lost_order_is_sent_again_where_doubles_are_refused(tmp_path: Path) -> None:
    """P7: after all questions, once, under the same id; SENDING is recorded again."""
    ledger, hours = frozen(tmp_path), Hours()
    broker = Twin(ledger, True, {"mb1-b": "lose_once"})
    report = send(ledger, broker, timing=hours.timing)
    assert told(ledger, "mb1-b") == ["SENDING", "UNKNOWN", "SENDING", "ACKED"]
    assert broker.submitted == ["mb1-d", "mb1-b", "mb1-b", "mb1-a", "mb1-c"]
    assert (hours.waited, sum(hours.waited)) == (LOOKED_UP, 60)
    assert report.end_state() == ("sent", "4 orders: 4 ACKED")
    assert [e.body["answer"] for e in ledger.entries("order_lookup", "mb1-b/")] == ["not known"] * 6


@pytest.mark.parametrize("dedupes", [True, False])
def test_a_lost_order_is_left_alone_and_the_rest_goes(tmp_path: Path, dedupes: bool) -> None:
    """P7: two attempts at most in a run, one where doubles are possible; its fate stays UNKNOWN, other names go on."""
    ledger, hours = frozen(tmp_path), Hours()
    broker = Twin(ledger, dedupes, {"mb1-b": "lose"}, lateness_max=HOUR)
    report = send(ledger, broker, timing=hours.timing)
    assert broker.submitted.count("mb1-b") == (2 if dedupes else 1)
    assert report.end_state() == ("sent", "4 orders: 3 ACKED, 1 UNKNOWN")
    again = send(ledger, broker, timing=hours.timing)
    assert broker.submitted.count("mb1-b") == (3 if dedupes else 1), "once per run"
    assert again.states == report.states
    broker.moods.clear()
    assert send(ledger, broker, timing=hours.timing).states["mb1-b"] is (ACKED if dedupes else UNKNOWN)


@pytest.mark.parametrize("dedupes", [True, False])
def test_two_unknown_orders_stop_the_rest(tmp_path: Path, dedupes: bool) -> None:
    """F40: a network that is gone is not tried out on the whole batch, neither in this run nor in the next."""
    ledger, hours = frozen(tmp_path), Hours()
    broker = Twin(ledger, dedupes, {"mb1-b": "lose", "mb1-a": "lose"}, lateness_max=HOUR)
    report = send(ledger, broker, timing=hours.timing)
    assert report.states == {"mb1-a": UNKNOWN, "mb1-b": UNKNOWN, "mb1-c": APPROVED, "mb1-d": ACKED}
    assert report.end_state()[0] == "halted"
    assert "mb1-a, mb1-b" in report.end_state()[1]
    assert "connection reset" in report.end_state()[1]
    broker.deaf = True
    sent = list(broker.submitted)
    assert send(ledger, broker, timing=hours.timing).end_state()[0] == "halted"
    assert broker.submitted == sent


def test_a_broker_that_cannot_be_asked(tmp_path: Path) -> None:
    """P7: no answer is not "not known": the order is not sent again, and other names go on."""
    ledger, hours = frozen(tmp_path), Hours()
    broker = Twin(ledger, True, {"mb1-a": "break_after"}, deaf=True)
    report = send(ledger, broker, timing=hours.timing)
    assert report.end_state() == ("sent", "4 orders: 3 ACKED, 1 UNKNOWN")
    assert broker.asked == ["mb1-a"] * 6
    assert {e.body["answer"] for e in ledger.entries("order_lookup")} == {"ConnectionError: no route"}
    with pytest.raises(HaltError, match="mb1-a: the broker was asked for it and ConnectionError: no route"):
        settle(ledger, broker, NOW + 48 * HOUR)
    broker.deaf = False
    settle(ledger, broker, NOW + 48 * HOUR)
    assert (order_state(ledger, "mb1-a"), broker.accepted["mb1-a"]) == (ACKED, 1)


def test_an_order_in_doubt_locks_its_name(tmp_path: Path) -> None:
    """P7: nothing else goes in a name of which one order's fate is unknown."""
    orders = (order("a", Side.SELL), order("b", instrument="MBa"), order("c"))
    ledger = frozen(tmp_path, orders)
    broker = Twin(ledger, False, {"mb1-a": "lose"}, lateness_max=HOUR)
    report = send(ledger, broker, orders)
    assert broker.submitted == ["mb1-a", "mb1-c"]
    assert report.states == {"mb1-a": UNKNOWN, "mb1-b": EXPIRED, "mb1-c": ACKED}
    assert report.outcomes["mb1-b"].reason == "its name is locked: the fate of order mb1-a is unknown"


@pytest.mark.parametrize(("side", "locked"), [(Side.BUY, {"mb1-e"}), (Side.SELL, {"mb1-e", "mb1-u"})])
def test_a_conversion_in_doubt_locks_what_it_pays_for(tmp_path: Path, side: Side, locked: set[str]) -> None:
    """Funding: buys in a currency that may not be there; after a sale of currency any buy."""
    orders = (
        order("f", side, Kind.FX),
        order("s", Side.SELL, currency="EUR"),
        order("e", currency="EUR"),
        order("u"),
    )
    ledger = frozen(tmp_path, orders)
    broker = Twin(ledger, False, {"mb1-f": "lose"}, lateness_max=HOUR)
    report = send(ledger, broker, orders)
    assert {name for name, state in report.states.items() if state is EXPIRED} == locked
    assert report.states["mb1-s"] is ACKED


@pytest.mark.parametrize("dedupes", [True, False])
def test_the_next_session_says_that_it_never_arrived(tmp_path: Path, dedupes: bool) -> None:
    """P7: not before window and lateness are over; then for good, without another attempt, and never a halt for ever."""
    ledger, until = frozen(tmp_path), NOW + 10 * HOUR
    broker = Twin(ledger, dedupes, {"mb1-b": "lose"}, lateness_max=HOUR)
    send(ledger, broker)
    sent = list(broker.submitted)
    with pytest.raises(HaltError, match=r"mb1-b: .*may accept it until"):
        settle(ledger, broker, until)
    assert order_state(ledger, "mb1-b") is UNKNOWN
    settle(ledger, broker, until + SECOND)
    last = order_events(ledger, "mb1-b")[-1].body
    assert (last["state"], str(last["reason"]).startswith("never arrived")) == ("EXPIRED", True)
    head = ledger.head()
    settle(ledger, broker, until + HOUR)
    assert (broker.submitted, ledger.head()) == (sent, head)


def test_the_lateness_counts_from_the_last_attempt(tmp_path: Path) -> None:
    """An order sent at the end of its window may come after it."""
    orders = (order("a", send_until=NOW),)
    ledger = frozen(tmp_path, orders)
    broker = Twin(ledger, False, {"mb1-a": "lose"}, lateness_max=2 * HOUR)
    send(ledger, broker, orders)
    with pytest.raises(HaltError, match="mb1-a"):
        settle(ledger, broker, NOW + 2 * HOUR)
    broker.late.append("mb1-a")
    with pytest.raises(HaltError, match="mb1-a"):
        settle(ledger, broker, NOW + 2 * HOUR)
    settle(ledger, broker, NOW + 2 * HOUR)
    assert order_state(ledger, "mb1-a") is ACKED


@pytest.mark.parametrize("hours", [10, 11])
def test_a_lost_order_is_not_sent_after_its_window(tmp_path: Path, hours: int) -> None:
    """Nothing is sent after its window, not even what may be sent again; what was never sent ends, what was stays in doubt."""
    ledger = frozen(tmp_path)
    broker = Twin(ledger, True, {"mb1-d": "lose", "mb1-b": "lose"}, lateness_max=11 * HOUR)
    send(ledger, broker)
    sent = list(broker.submitted)
    report = send(ledger, broker, now=lambda: NOW + hours * HOUR + SECOND)
    assert broker.submitted == sent
    in_doubt = UNKNOWN if hours == 10 else EXPIRED
    assert report.states == {"mb1-a": EXPIRED, "mb1-b": in_doubt, "mb1-c": EXPIRED, "mb1-d": in_doubt}
    assert report.outcomes["mb1-d"].submitted_at == NOW


@pytest.mark.parametrize("level", [HaltLevel.REDUCE_ONLY, HaltLevel.HALT])
def test_the_halt_flag_is_read_before_a_second_attempt(tmp_path: Path, level: HaltLevel) -> None:
    """RC-80: the flag that is set while the broker is asked stops the second attempt; the order stays in doubt."""
    ledger = frozen(tmp_path)
    broker = Twin(ledger, True, {"mb1-a": "lose"})

    def halt() -> HaltFlag:
        return HaltFlag("on", "stop", level) if broker.submitted[-1:] == ["mb1-a"] else HaltFlag("off", "")

    report = send(ledger, broker, halt=halt)
    assert broker.submitted == ["mb1-d", "mb1-b", "mb1-a"]
    assert report.states["mb1-a"] is UNKNOWN
    assert report.states["mb1-c"] is (APPROVED if level is HaltLevel.HALT else EXPIRED)


def execution(name: str, instrument: str, side: Side, quantity: int) -> Execution:
    zero = Decimal(0)
    return Execution("x", name, Kind.EQUITY, instrument, side, Decimal(quantity), Decimal(20), "USD", zero, zero, NOW)


EMPTY = AccountReport(NOW, {}, {"MBa": Decimal(7)}, (), (), ())
BASELINE = Baseline(NOW - HOUR, {"MBa": Decimal(7)})
TRACES: dict[str, AccountReport] = {
    "its execution": replace(EMPTY, executions=(execution("mb1-a", "MBa", Side.BUY, 1),)),
    "an execution of an unknown order in its name": replace(EMPTY, executions=(execution("x", "MBa", Side.BUY, 1),)),
    "its position": replace(EMPTY, positions={"MBa": Decimal(107)}),
    "no position": replace(EMPTY, positions={}),
    "it is open": replace(EMPTY, open_orders=(OpenOrder("mb1-a", "MBa", Side.BUY, Decimal(1), None, "USD"),)),
    "its id in another name": replace(EMPTY, open_orders=(OpenOrder("mb1-a", "?", Side.BUY, Decimal(1), None, "USD"),)),
    "an unknown open order in its name": replace(
        EMPTY, open_orders=(OpenOrder("", "MBa", Side.BUY, Decimal(1), None, "USD"),)
    ),
    "a position that is no number": replace(EMPTY, positions={"MBa": Decimal("NaN")}),
}


def doubted(path: Path, orders: tuple[Order, ...] = BATCH[:1], name: str = "mb1-a") -> tuple[Ledger, Twin]:
    """A batch whose first order is lost at a broker that does not refuse doubles, an hour of lateness."""
    ledger = frozen(path, orders)
    broker = Twin(ledger, False, {name: "lose_once"}, lateness_max=HOUR)
    send(ledger, broker, orders)
    broker.told = EMPTY
    assert order_state(ledger, name) is UNKNOWN
    return ledger, broker


def test_no_trace_after_the_lateness_may_be_sent_again(tmp_path: Path) -> None:
    """The settle rule: only where the mandate allows it, only after the lateness, only with orders, executions and positions."""
    ledger, broker = doubted(tmp_path)
    for resend, at in ((None, NOW + 2 * HOUR), (BASELINE, NOW + HOUR)):
        assert send(ledger, broker, BATCH[:1], resend=resend, now=lambda at=at: at).states["mb1-a"] is UNKNOWN
    assert broker.submitted == ["mb1-a"]
    report = send(ledger, broker, BATCH[:1], resend=BASELINE, now=lambda: NOW + HOUR + SECOND)
    assert (report.states["mb1-a"], broker.submitted) == (ACKED, ["mb1-a", "mb1-a"])
    assert told(ledger, "mb1-a") == ["SENDING", "UNKNOWN", "SENDING", "ACKED"]


@pytest.mark.parametrize("trace", TRACES)
def test_any_trace_forbids_it(tmp_path: Path, trace: str) -> None:
    """The settle rule: the broker shows something of it, or what it shows cannot be told from it."""
    ledger, broker = doubted(tmp_path)
    broker.told = TRACES[trace]
    report = send(ledger, broker, BATCH[:1], resend=BASELINE, now=lambda: NOW + 2 * HOUR)
    assert (report.states["mb1-a"], broker.submitted) == (UNKNOWN, ["mb1-a"])


def test_fills_of_the_batch_itself_are_no_trace(tmp_path: Path) -> None:
    """Positions are compared after our own fills in the name."""
    orders = (order("a"), order("b", Side.SELL, instrument="MBa"))
    ledger, broker = doubted(tmp_path, orders)
    own = execution("mb1-b", "MBa", Side.SELL, 3)
    broker.told = replace(EMPTY, executions=(own,), positions={"MBa": Decimal(4)})
    report = send(ledger, broker, orders, resend=BASELINE, now=lambda: NOW + 2 * HOUR)
    assert report.states["mb1-a"] is ACKED
    assert broker.submitted.count("mb1-a") == 2


@pytest.mark.parametrize("broken", ["silent", "currency"])
def test_what_cannot_be_shown_is_not_sent_again(tmp_path: Path, broken: str) -> None:
    """A broker that gives no report, and a conversion, which moves only cash."""
    orders = (order("a"),) if broken == "silent" else (order("a", kind=Kind.FX),)
    ledger, broker = doubted(tmp_path, orders)
    broker.told = None if broken == "silent" else EMPTY
    report = send(ledger, broker, orders, resend=BASELINE, now=lambda: NOW + 2 * HOUR)
    assert (report.states["mb1-a"], broker.submitted) == (UNKNOWN, ["mb1-a"])


def test_a_refused_second_attempt_is_an_answer(tmp_path: Path) -> None:
    """What a broker says of the same id later is its word."""
    ledger = frozen(tmp_path)
    broker = Twin(ledger, True, {"mb1-a": "lose"})
    broker.find = lambda name: Acknowledgement(name, REJECTED, "B", "no") if len(broker.submitted) > 3 else None  # type: ignore[method-assign]
    assert send(ledger, broker).states["mb1-a"] is REJECTED
    assert told(ledger, "mb1-a") == ["SENDING", "UNKNOWN", "SENDING", "UNKNOWN", "REJECTED"]
