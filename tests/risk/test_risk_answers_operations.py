"""What the controls on the platform and after trading answer, field by field: RC-65 to RC-70, 73, 74, 81 to 92. By hand."""

import datetime as dt
import math
from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pytest
from risk_world import MANDATE, answers, batch, inputs, leg, operations, order, tweaked
from whole_answers import BUYS, of, shows

from marketbot_assets.risk import platform_controls as platform
from marketbot_assets.risk import post_trade_controls as after
from marketbot_assets.risk.account_controls import ACCOUNT_CONTROLS
from marketbot_assets.risk.control import ControlResult
from marketbot_assets.risk.funding import CASH
from marketbot_assets.risk.inputs import ReconciliationBreak
from marketbot_assets.risk.operation_facts import Breach, FeatureDrift, FillQuality, TradeCost
from marketbot_assets.risk.projection import Projection
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import Order, Status

Control = Callable[[Projection], tuple[ControlResult, ...]]
SALE = (order("MBA", "SELL", 100),)
FAILS = {
    **{"RC-18": "SHRINK", "RC-19": "SHRINK", "RC-22": "REJECT_ORDER", "RC-23": "REJECT_ORDER"},
    **{
        "RC-65": "SHRINK",
        "RC-66": "HALT",
        "RC-68": "HALT",
        "RC-69": "REDUCE_ONLY",
        "RC-70": "SHRINK",
        "RC-73": "SHRINK",
    },
    **{"RC-74": "HALT", "RC-90": "HALT", "RC-81": "HALT", "RC-82": "HALT", "RC-83": "HALT", "RC-85": "SHRINK"},
    **{"RC-88": "REDUCE_ONLY", "RC-89": "SHRINK", "RC-92": "WARN"},
}


def said(
    test: Control, mandate: Mandate = MANDATE, orders: tuple[Order, ...] = batch(), /, **facts: object
) -> dict[str, ControlResult]:
    return answers(test, inputs(operations=operations(**facts)), orders, mandate)


def one(test: Control, orders: tuple[Order, ...] = batch(), /, **facts: object) -> ControlResult:
    (found,) = said(test, MANDATE, orders, **facts).values()
    return found


def costs(*excess: float) -> tuple[TradeCost, ...]:
    return tuple(TradeCost(f"e{n:02d}", "MBA", 3.5 + value, 3.5) for n, value in enumerate(excess))


def breach(halt_class: str = "", sessions: int = 0, cure: int | None = 2) -> Breach:
    return Breach("RC-30", "MBB", "passive", dt.date(2018, 12, 10), sessions, cure, halt_class, 0, "told")


def test_what_a_control_answers_when_it_cannot_judge() -> None:
    """The list of controls: facts that cannot be read let nothing be bought, those about money that moved halt."""
    rules = [
        rule for table in (ACCOUNT_CONTROLS, after.POST_TRADE_CONTROLS, platform.PLATFORM_CONTROLS) for rule, _ in table
    ]
    assert {rule.id: rule.fail.name for rule in (CASH, *rules)} == FAILS


# --- RC-65 to RC-70 ---


def test_the_quality_of_fills() -> None:
    """RC-65: the worst of two fills against each limit; the ones beyond are named, three at most."""
    fills = (FillQuality("e1", "MBA", 2.0, -0.01, -0.002), FillQuality("e2", "MBB", 101.0, 0.001, 0.0015))
    found = said(after.execution_quality, fills=fills)
    assert shows(found["slippage"], Status.WARN, 101.0, 100.0)
    assert shows(found["limit"], Status.WARN, 0.001, 0.0)
    assert shows(found["range"], Status.WARN, 0.0015, 0.001)
    assert found["slippage"].message == "slippage of e2: 101 against 100"
    assert [r.unit for r in found.values()] == ["bps", "fraction of the limit", "fraction of the price"]
    found = said(after.execution_quality, fills=fills[:1])
    assert shows(found["slippage"], Status.PASS, 2.0, 100.0)
    assert shows(found["limit"], Status.PASS, -0.01, 0.0)
    assert {r.message for r in found.values()} == {""}
    assert [r.observed for r in said(after.execution_quality, fills=()).values()] == [0.0, 0.0, 0.0]


def test_overfills_are_counted_once() -> None:
    """RC-66: two messages in two lists, one of them twice."""
    assert shows(one(after.overfill, overfills=("a", "b"), unknown_fills=("b",)), Status.HALT, 2.0, 0.0)
    assert shows(one(after.overfill), Status.PASS, 0.0, 0.0)


def test_cash_is_compared_per_currency() -> None:
    """RC-68: of 1,000,000 half a basis point is 50, five are 500; of 100 a whole unit is more than both."""
    found = said(after.cash_difference, cash_differences=(("EUR", -60.0), ("USD", 50.0), ("JPY", 501.0)))
    assert shows(found["EUR"], Status.WARN, 60.0, 500.0)
    assert (shows(found["USD"], Status.PASS, 50.0, 500.0), found["USD"].message) == (True, "")
    assert shows(found["JPY"], Status.HALT, 501.0, 500.0)
    assert shows(said(after.cash_difference)[""], Status.PASS, 0.0, 50.0)
    small = inputs(nav=100.0, operations=operations(cash_differences=(("USD", 1.0), ("EUR", 1.1))))
    found = answers(after.cash_difference, small)
    assert shows(found["USD"], Status.PASS, 1.0, 1.0)
    assert shows(found["EUR"], Status.HALT, 1.1, 1.0)


def test_overdue_orders_stop_what_adds_risk() -> None:
    """RC-69: two that are overdue; sales alone go on and it is said."""
    assert shows(one(after.end_of_day, overdue_orders=("x", "y")), Status.REDUCE_ONLY, 2.0, 0.0, BUYS, 0.0)
    assert shows(one(after.end_of_day, SALE, overdue_orders=("x",)), Status.WARN, 1.0, 0.0, (), 0.0)
    calm = one(after.end_of_day)
    assert (shows(calm, Status.PASS, 0.0, 0.0, (), 0.0), calm.message) == (True, "")


def test_earnings_are_a_part_of_nav() -> None:
    """RC-70: 50 of 1,000,000 are half of the basis point that may be unexplained, 200 are twice as much."""
    calm = one(after.earnings, pnl_unexplained=-50.0)
    assert (shows(calm, Status.PASS, 5e-5, 1e-4), calm.message) == (True, "")
    loud = one(after.earnings, pnl_unexplained=-200.0)
    assert (shows(loud, Status.WARN, 2e-4, 1e-4), loud.message) == (
        True,
        "200.00 of the change of NAV is not explained",
    )


# --- RC-73, 74, 90 ---


def test_the_newest_fills_count() -> None:
    """RC-73: of 25 fills the newest 20: fifteen of 8 and five of 0 are 6 in the mean; an older dear one does not count.

    Sum of squares about 6: 15 * 4 + 5 * 36 = 240; its root of 240 / 19 / 20, twice, is 1.589: the 5 basis points are the limit.
    """
    dear = said(after.cost_drift, trades=costs(*[900.0] * 5, *[8.0] * 15, *[0.0] * 5))
    assert shows(dear[""], Status.WARN, 6.0, 5.0)
    mild = said(after.cost_drift, trades=costs(*[900.0] * 5, *[2.0] * 20))
    assert shows(mild[""], Status.PASS, 2.0, 5.0)
    few = said(after.cost_drift, trades=costs(*[900.0] * 19))
    assert (shows(few[""], Status.PASS, None, None), few[""].message) == (True, "19 of 20 fills seen")


@pytest.mark.filterwarnings("error")
def test_a_standard_error_needs_two_fills() -> None:
    """RC-73: a mandate that looks at one fill looks at two: 4 and 6 are 5 in the mean, with 1 of standard error."""
    mandate = tweaked(MANDATE, "limits.cost_drift.fills", 1)
    assert shows(said(after.cost_drift, mandate, trades=costs(50.0))[""], Status.PASS, None, None)
    assert shows(said(after.cost_drift, mandate, trades=costs(90.0, 4.0, 6.0))[""], Status.PASS, 5.0, 5.0)
    assert shows(said(after.cost_drift, mandate, trades=costs(0.0, 7.0, 7.0))[""], Status.WARN, 7.0, 5.0)


def test_dear_fills_halve_the_volume_of_buys() -> None:
    """RC-73: half of 1 % may be bought: 20,000 of 1,000,000 in the first name are four times that; sales and legs go on."""
    orders = (order("MBA", "BUY", 200), order("MBB", "SELL", 100), order("MBD", "BUY", 10), leg("EUR", "BUY", 10))
    facts = operations(trades=costs(*[50.0] * 20))
    found = answers(after.cost_drift, inputs(adv=of("MBA", 1e6, 5e7), operations=facts), orders)
    assert set(found) == {"", "MBA"}
    assert shows(found[""], Status.WARN, 50.0, 5.0)
    assert shows(found["MBA"], Status.SHRINK, 0.02, 0.005, ("mb1-mba-buy",), 0.25)
    assert found["MBA"].unit == "fraction of the average daily value"
    for adv in (0.0, -1.0, float("nan")):
        found = answers(after.cost_drift, inputs(adv=of("MBA", adv, 5e7), operations=facts), orders)
        assert shows(found["MBA"], Status.SHRINK, None, 0.005, ("mb1-mba-buy",), 0.0)
    strange = (order("MBD", "BUY", 10, instrument="MBZ"),)
    assert set(answers(after.cost_drift, inputs(operations=facts), strange)) == {""}
    exact = answers(after.cost_drift, inputs(adv=of("MBA", 4e6, 5e7), operations=facts), orders)
    assert set(exact) == {""}


def test_the_register_counts_what_holds_up() -> None:
    """RC-74: one that halts before those that are late; late ones stop buys, open ones are told."""
    late, young, halting = breach(sessions=2), breach(sessions=1), breach("C")
    assert shows(one(after.register, breaches=(late, halting, young)), Status.HALT, 1.0, 0.0)
    assert shows(one(after.register, breaches=(late, young)), Status.REDUCE_ONLY, 1.0, 0.0, BUYS, 0.0)
    assert shows(one(after.register, SALE, breaches=(late,)), Status.WARN, 1.0, 0.0, (), 0.0)
    calm = one(after.register, breaches=(young,))
    assert (shows(calm, Status.PASS, 0.0, 0.0, (), 0.0), calm.message) == (True, "1 open")
    assert one(after.register).message == ""
    explained = (ReconciliationBreak("MBA", "the split", explained=True),)
    facts = operations(breaches=(breach("B"),))
    assert answers(after.register, inputs(operations=facts, breaks=explained))[""].status is Status.PASS
    ended = one(after.register, breaches=(breach("A", sessions=2),))
    assert shows(ended, Status.REDUCE_ONLY, 1.0, 0.0, BUYS, 0.0)


def test_refused_orders_are_a_share_of_those_sent() -> None:
    """RC-90: two in a row and three of twenty; three in a row and five of twenty; nothing sent, nothing refused."""
    found = said(after.refusals, refused_in_a_row=2, refused=3, sent=20)
    assert shows(found["in a row"], Status.PASS, 2.0, 2.0)
    assert shows(found["share"], Status.PASS, 0.15, 0.2)
    assert {r.message for r in found.values()} == {""}
    found = said(after.refusals, refused_in_a_row=3, refused=5, sent=20)
    assert shows(found["in a row"], Status.HALT, 3.0, 2.0)
    assert shows(found["share"], Status.HALT, 0.25, 0.2)
    assert [r.unit for r in found.values()] == ["orders", "fraction of the batch"]
    assert shows(said(after.refusals, sent=0)["share"], Status.PASS, 0.0, 0.2)
    assert shows(said(after.refusals, refused_in_a_row=1, refused=1, sent=1)["share"], Status.HALT, 1.0, 0.2)


@pytest.mark.parametrize("value", [-1, 0.5, math.nan, None, True])
def test_a_count_is_a_whole_number(value: object) -> None:
    """Negative, broken, none: it raises, which fails the control."""
    with pytest.raises(ValueError, match="it is"):
        after.whole(value, "it")
    assert [after.whole(good, "it") for good in (0, 3, 7.0, Decimal(2))] == [0, 3, 7, 2]


# --- RC-81 to RC-92 ---


def test_one_session_at_a_time() -> None:
    """RC-81: two others begun."""
    assert shows(one(platform.single_flight, other_sessions=("2018-12-12", "2018-12-10")), Status.HALT, 2.0, 0.0)
    calm = one(platform.single_flight)
    assert (shows(calm, Status.PASS, 0.0, 0.0), calm.message) == (True, "")


@pytest.mark.parametrize("permitted", ["paper", "live", "", None])
@pytest.mark.parametrize("told", ["paper", "live", "", "LIVE", None])
@pytest.mark.parametrize("named", ["paper", "live", ""])
def test_whose_money_the_mandate_names_the_broker_says_and_a_record_allows(
    named: str, told: object, permitted: object
) -> None:
    """RC-82: mandate, broker and permission must say the same one of two words."""
    mandate = tweaked(MANDATE, "broker.environment", named)
    found = said(platform.environment, mandate, environment=told, permitted_environment=permitted)[""]
    good = (named, told, permitted) in {("paper",) * 3, ("live",) * 3}
    assert shows(found, Status.PASS if good else Status.HALT, float(not good), 0.0)
    assert (found.message == "") is good


@pytest.mark.parametrize(
    ("skew", "status"), [(-2.0, Status.PASS), (2.5, Status.WARN), (-30.0, Status.WARN), (31.0, Status.HALT)]
)
def test_two_clocks(skew: float, status: Status) -> None:
    """RC-83: seconds either way."""
    found = one(platform.clock, clock_skew_seconds=skew)
    assert (shows(found, status, abs(skew), 30.0), bool(found.message)) == (True, status is not Status.PASS)


def test_silence_is_counted_in_sessions() -> None:
    """RC-85: two may pass; who would watch is told either way."""
    found = one(platform.heartbeat, heartbeat_sessions=2)
    assert (shows(found, Status.PASS, 2.0, 2.0), found.message) == (True, platform.NO_WATCHER)
    found = one(platform.heartbeat, heartbeat_sessions=3)
    assert (shows(found, Status.WARN, 3.0, 2.0), found.message) == (True, "the last session ended 3 sessions ago")


SCORES = tuple(sorted(MANDATE.portfolio.score_weights))


@pytest.mark.parametrize(
    "changes",
    [
        {"model_spec": "a" * 63, "mandate_spec": "a" * 63},
        {"model_spec": "b" * 64},
        {"model_spec": None, "mandate_spec": None},
        {"model_scores": SCORES[1:]},
        {"model_scores": tuple(reversed(SCORES))},
        {"features": SCORES[1:]},
    ],
)
def test_a_model_other_than_specified(changes: dict[str, object]) -> None:
    """RC-88: a short hash, another one, none, a score less, another order, a feature that is missing."""
    assert shows(one(platform.model_gate, **changes), Status.REDUCE_ONLY, 1.0, 0.0, BUYS, 0.0)
    assert shows(one(platform.model_gate, SALE, **changes), Status.WARN, 1.0, 0.0, (), 0.0)
    calm = one(platform.model_gate)
    assert (shows(calm, Status.PASS, 0.0, 0.0, (), 0.0), calm.message) == (True, "")


def test_features_that_moved() -> None:
    """RC-89: one of two by its index, both by index and test; one of five is fine; four sessions are too few, none is a fault."""
    index, shape, calm = FeatureDrift("a", 0.26, 0.5), FeatureDrift("b", 0.1, 0.0009), FeatureDrift("c", 0.25, 0.001)
    assert shows(one(platform.drift, drift=(index, calm)), Status.WARN, 0.5, 0.2)
    assert shows(one(platform.drift, drift=(index, shape)), Status.WARN, 1.0, 0.2)
    fine = one(platform.drift, drift=(index, calm, calm, calm, calm), drift_sessions=5)
    assert (shows(fine, Status.PASS, 0.2, 0.2), fine.message) == (True, "")
    young = one(platform.drift, drift=(index,), drift_sessions=4)
    assert (shows(young, Status.PASS, None, 0.2), bool(young.message)) == (True, True)
    with pytest.raises(ValueError, match="no feature"):
        one(platform.drift, drift=(), drift_sessions=5)


def test_where_an_alert_goes() -> None:
    """RC-92: into the ledger, if it can record it."""
    (found,) = answers(platform.alerts, inputs()).values()
    assert (shows(found, Status.PASS, 0.0, 0.0), found.message) == (True, platform.NO_TRANSPORT)
    for ready in (False, None, 1, np.True_):
        (found,) = answers(platform.alerts, inputs(ledger_ready=ready)).values()
        assert (shows(found, Status.WARN, 1.0, 0.0), found.message) == (True, "the ledger cannot record an alert")


def test_alerts_that_nobody_took() -> None:
    """RC-92: channels that took everything are silent; what they did not take is noted; facts that cannot be read buy nothing."""
    calm = one(platform.alerts, alert_channels=2)
    assert (shows(calm, Status.PASS, 0.0, 0.0), calm.message) == (True, "")
    found = one(platform.alerts, alert_channels=2, alerts_unheard=("HALT_C/x/2018-12-10", "HALT_A/x/2018-12-10"))
    assert shows(found, Status.WARN, 2.0, 0.0)
    assert found.message == "2 alerts that no channel acknowledged: HALT_A/x/2018-12-10, HALT_C/x/2018-12-10"
    for broken in ({"alert_channels": None}, {"alert_channels": -1}, {"alerts_unheard": None}, {"alerts_unheard": "x"}):
        assert shows(one(platform.alerts, **broken), Status.SHRINK, 1.0, 0.0, BUYS, 0.0)
        assert shows(one(platform.alerts, SALE, **broken), Status.WARN, 1.0, 0.0, (), 0.0)


def test_a_watcher_that_did_not_hear() -> None:
    """RC-85: watched and heard is silent; a beat that got lost is noted; the longer silence is said first."""
    calm = one(platform.heartbeat, watched=True)
    assert (calm.status, calm.message) == (Status.PASS, "")
    lost = one(platform.heartbeat, watched=True, beats_unheard=("2018-12-10",))
    assert (lost.status, lost.message) == (Status.WARN, "the watcher did not hear of the end of session 2018-12-10")
    silent = one(platform.heartbeat, watched=True, beats_unheard=("2018-12-10",), heartbeat_sessions=3)
    assert (silent.status, silent.message) == (Status.WARN, "the last session ended 3 sessions ago")
    with pytest.raises(ValueError, match="watcher"):
        one(platform.heartbeat, watched=None)
