"""An order in doubt: what an answer is worth, when a doubt is over, what counts as a trace. Numbers are the rules' own."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

import pytest

from marketbot_resources.broker.desk import REJECTS_MAX, UNKNOWN_MAX
from marketbot_resources.broker.fencing import TIME_TO_LIVE
from marketbot_resources.broker.settling import (
    LOOKUP_SECONDS,
    Baseline,
    View,
    asked,
    failure,
    is_over,
    judged,
    leaves_no_trace,
)
from marketbot_resources.model import (
    AccountReport,
    Acknowledgement,
    BrokerPort,
    Execution,
    Kind,
    OpenOrder,
    Order,
    OrderState,
    Side,
)

D = Decimal
NOW = dt.datetime(2018, 12, 11, 14, 25, tzinfo=dt.UTC)
SECOND, MINUTE = dt.timedelta(seconds=1), dt.timedelta(minutes=1)
OURS = Order(
    "mb1-a", dt.date(2018, 12, 11), 1, "T", Kind.EQUITY, "MBA", "XNYS", Side.BUY, D(100), D("20.50"), "USD",
    NOW - MINUTE, NOW + MINUTE, "test",
)  # fmt: skip
TOLD = Acknowledgement("mb1-a", OrderState.ACKED, "b1", "")


def test_the_numbers_of_the_protocol() -> None:
    """P6, P8: three refusals in a row, two doubts, a minute without a sign of life; questions for a minute, in doubling pauses."""
    assert (REJECTS_MAX, UNKNOWN_MAX, TIME_TO_LIVE) == (3, 2, MINUTE)
    assert LOOKUP_SECONDS == (1.0, 2.0, 4.0, 8.0, 16.0, 29.0)
    assert sum(LOOKUP_SECONDS) == 60.0


ECHOES: list[tuple[dict[str, Any], str]] = [
    ({}, ""),
    ({"instrument": "MBA", "side": Side.BUY, "quantity": D("100.0"), "limit_price": D("20.5")}, ""),
    ({"instrument": "MBB"}, "confirmed instrument MBB, expected MBA"),
    ({"side": Side.SELL}, "confirmed side SELL, expected BUY"),
    ({"quantity": D("1E+3")}, "confirmed quantity 1000, expected 100"),
    ({"quantity": D("NaN")}, "confirmed quantity NaN, expected 100"),
    ({"limit_price": D("20.51")}, "confirmed limit_price 20.51, expected 20.5"),
    ({"side": Side.SELL, "quantity": D(1)}, "confirmed side SELL, expected BUY"),
]


@pytest.mark.parametrize("case", range(len(ECHOES)))
def test_what_is_echoed_must_be_ours(case: int) -> None:
    """P7: a field that the broker tells differently makes it another order; one that it does not tell does not."""
    changes, why = ECHOES[case]
    told = replace(TOLD, **changes)
    assert judged(OURS, told) == (View(None, why, told) if why else View(told))


def test_an_answer_must_name_this_order_and_a_known_state() -> None:
    """P7: an answer about another id is a mismatch; a state that no broker can be in says nothing; no answer says nothing."""
    other = replace(TOLD, client_order_id="mb1-b")
    assert judged(OURS, other) == View(None, "answered about mb1-b", other)
    assert judged(OURS, {"id": "mb1-a"}) == View(None, "answered dict")
    for state in OrderState:
        usable = state not in (OrderState.APPROVED, OrderState.SENDING, OrderState.UNKNOWN)
        told = replace(TOLD, state=state, reason="why")
        assert judged(OURS, told) == (View(told) if usable else View(None, f"answered with state {state}: why"))


def test_absent_is_said_by_the_broker_alone() -> None:
    """Only the broker's own "not known" is an absence; an answer, an exception and a wrong answer are none."""
    assert View(None).absent
    assert [view.absent for view in (View(TOLD), View(None, "broken"), View(TOLD, "broken"))] == [False] * 3


class Told:
    """A broker that gives one answer and one report, or raises."""

    def __init__(self, answer: Any = None, report: AccountReport | None = None) -> None:
        self.answer, self.told, self.since = answer, report, list[tuple[dt.datetime, dt.datetime]]()

    def find(self, client_order_id: str) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def report(self, since: dt.datetime, until: dt.datetime) -> AccountReport:
        self.since.append((since, until))
        if self.told is None:
            raise TimeoutError
        return self.told


def test_one_question() -> None:
    """What breaks is an answer that cannot be used, in one bounded line."""
    ask: Callable[[Any], View] = lambda answer: asked(cast(BrokerPort, Told(answer)), OURS)  # noqa: E731
    assert ask(None).absent
    assert ask(TOLD) == View(TOLD)
    assert ask(ValueError("x" * 900)) == View(None, "ValueError: " + "x" * 488)
    assert failure(ValueError("short")) == "ValueError: short"
    assert len(failure(ValueError("y" * 900))) == 500


@pytest.mark.parametrize(
    ("attempt", "lateness", "now", "over"),
    [
        # the window ends a minute from NOW
        (NOW, 0, NOW + MINUTE, False),
        (NOW, 0, NOW + MINUTE + SECOND, True),
        (NOW, 120, NOW + MINUTE + SECOND, False),
        (NOW, 120, NOW + 2 * MINUTE, False),
        (NOW, 120, NOW + 2 * MINUTE + SECOND, True),
        (NOW + MINUTE, 120, NOW + 3 * MINUTE, False),
    ],
)
def test_a_doubt_is_over_after_window_and_lateness(
    attempt: dt.datetime, lateness: int, now: dt.datetime, over: bool
) -> None:
    """F41: at the later of the two it may still come."""
    assert is_over(OURS, attempt, dt.timedelta(seconds=lateness), now) is over


def fill(name: str, instrument: str, side: Side, quantity: int) -> Execution:
    return Execution(f"e-{name}", name, Kind.EQUITY, instrument, side, D(quantity), D(20), "USD", D(0), D(0), NOW)


def working(name: str, instrument: str) -> OpenOrder:
    return OpenOrder(name, instrument, Side.BUY, D(5), None, "USD")


CLEAN = AccountReport(NOW, {}, {"MBA": D(7), "MBB": D(1)}, (), (), ())
REPORTS: list[tuple[AccountReport | None, bool]] = [
    (CLEAN, True),
    (None, False),
    (replace(CLEAN, positions={}), False),
    (replace(CLEAN, positions={"MBA": D(8)}), False),
    (replace(CLEAN, positions={"MBA": D("NaN")}), False),
    (replace(CLEAN, positions={"MBA": D(7)}), True),  # another name is no trace
    (replace(CLEAN, open_orders=(working("mb1-a", "MBA"),)), False),
    (replace(CLEAN, open_orders=(working("mb1-a", "MBB"),)), False),
    (replace(CLEAN, open_orders=(working("", "MBA"),)), False),
    (replace(CLEAN, open_orders=(working("", "MBB"),)), True),
    (replace(CLEAN, open_orders=(working("mb1-b", "MBA"),)), True),  # an order of the same batch
    (replace(CLEAN, executions=(fill("mb1-a", "MBA", Side.BUY, 3),), positions={"MBA": D(10)}), False),
    (replace(CLEAN, executions=(fill("mb1-b", "MBA", Side.SELL, 3),), positions={"MBA": D(4)}), True),
    (replace(CLEAN, executions=(fill("mb1-b", "MBA", Side.SELL, 3),), positions={"MBA": D(10)}), False),
    (replace(CLEAN, executions=(fill("mb1-b", "MBA", Side.BUY, 3),), positions={"MBA": D(10)}), True),
    (replace(CLEAN, executions=(fill("mb1-b", "MBB", Side.BUY, 3),)), True),
    (replace(CLEAN, executions=(fill("mb1-c", "MBA", Side.SELL, 3),), positions={"MBA": D(4)}), False),
]


@pytest.mark.parametrize("case", range(len(REPORTS)))
def test_traces(case: int) -> None:
    """F42: id anywhere, an order of nobody in the name, a position that the batch's own fills do not explain; silence counts."""
    report, none = REPORTS[case]
    broker = Told(report=report)
    baseline, names = Baseline(NOW - MINUTE, {"MBA": D(7)}), {"mb1-a", "mb1-b"}
    assert leaves_no_trace(cast(BrokerPort, broker), OURS, baseline, names, NOW) is none
    assert broker.since == [(NOW - MINUTE, NOW)]


def test_a_conversion_may_always_have_left_a_trace() -> None:
    """Cash moves for many reasons: nobody is asked."""
    broker = Told(report=CLEAN)
    leg = replace(OURS, kind=Kind.FX)
    assert not leaves_no_trace(cast(BrokerPort, broker), leg, Baseline(NOW, {"MBA": D(7)}), {"mb1-a"}, NOW)
    assert broker.since == []


def test_a_name_that_was_not_held_starts_at_nothing() -> None:
    """Neither the baseline nor the report names it: 0 = 0; one share of it is a trace."""
    empty = replace(CLEAN, positions={})
    assert leaves_no_trace(cast(BrokerPort, Told(report=empty)), OURS, Baseline(NOW, {}), (), NOW)
    one = replace(CLEAN, positions={"MBA": D(1)})
    assert not leaves_no_trace(cast(BrokerPort, Told(report=one)), OURS, Baseline(NOW, {}), (), NOW)
