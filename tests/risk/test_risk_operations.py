"""Controls after trading and on the platform: what fires, where each limit lies to the last bit, and that garbage never buys."""

import dataclasses
import datetime as dt
import math
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from risk_world import MANDATE, SESSION, batch, buys, inputs, operations, tweaked

from marketbot_assets.risk.control import ControlResult
from marketbot_assets.risk.inputs import ReconciliationBreak
from marketbot_assets.risk.operation_facts import (
    Breach,
    ChampionFacts,
    FeatureDrift,
    FillQuality,
    OperationFacts,
    TradeCost,
)
from marketbot_assets.risk.verdict import judge, run_controls
from marketbot_resources.mandate import Mandate
from marketbot_resources.mandate_llm import Llm
from marketbot_resources.model import Order, Status

TOLERANCE = 1e-9
BROKEN = ReconciliationBreak("MBA", "7 shares differ", explained=False)


def said(control: str, mandate: Mandate = MANDATE, /, **changes: object) -> list[ControlResult]:
    """The answers of one control on the ordinary batch."""
    results = run_controls(inputs(operations=operations(**changes)), batch(), mandate)
    return [result for result in results if result.control == control]


def status(control: str, mandate: Mandate = MANDATE, /, **changes: object) -> Status:
    return max(result.status for result in said(control, mandate, **changes))


def approved(**changes: object) -> tuple[Order, ...]:
    return judge(inputs(operations=operations(**changes)), batch(), MANDATE).approved


def verdict(**changes: object) -> str:
    return judge(inputs(operations=operations(**changes)), batch(), MANDATE).verdict


def edge(limit: float) -> float:
    """The last number that the stated tolerance lets pass: 1e-9, or 1e-9 of a limit above 1."""
    return limit + TOLERANCE * max(1.0, abs(limit))


def fill(**changes: float) -> tuple[FillQuality, ...]:
    return (replace(FillQuality("e1", "MBA", 2.0, -0.01, -0.002), **changes),)


def breach(**changes: object) -> Breach:
    made = Breach("RC-66", "", "active", dt.date(2018, 12, 10), 0, None, "C", 0, "more than ordered")
    return replace(made, **changes)  # type: ignore[arg-type]


def led(**changes: object) -> ChampionFacts:
    """A champion of the registry that moves the forecasts."""
    return replace(ChampionFacts("c" * 64, 1.0, "champion", ""), **changes)  # type: ignore[arg-type]


def trades(*excess: float) -> tuple[TradeCost, ...]:
    return tuple(TradeCost(f"e{n:02d}", "MBA", 3.5 + value, 3.5) for n, value in enumerate(excess))


def test_an_ordinary_session_passes_and_says_what_is_not_there() -> None:
    """RC-85, RC-92: no watcher and no transport is no alarm, but it is told."""
    results = run_controls(inputs(), batch(), MANDATE)
    assert {r.status for r in results} == {Status.PASS}
    told = {r.control: r.message for r in results if r.message}
    assert {"RC-73", "RC-85", "RC-92"} <= set(told)
    assert "no alert transport is configured" in told["RC-92"]


# --- what fires, and how ---

FIRES: tuple[tuple[str, Status, dict[str, object]], ...] = (
    ("RC-65", Status.WARN, {"fills": fill(slippage_bps=101.0)}),
    ("RC-65", Status.WARN, {"fills": fill(beyond_limit=0.001)}),
    ("RC-65", Status.WARN, {"fills": fill(beyond_range=0.0011)}),
    ("RC-66", Status.HALT, {"overfills": ("order a: filled 11 of 10",)}),
    ("RC-66", Status.HALT, {"unknown_fills": ("fill e9: no order of ours",)}),
    ("RC-68", Status.WARN, {"cash_differences": (("EUR", -60.0),)}),
    ("RC-68", Status.HALT, {"cash_differences": (("USD", 1.0), ("EUR", 501.0))}),
    ("RC-69", Status.REDUCE_ONLY, {"overdue_orders": ("mb1-old",)}),
    ("RC-70", Status.WARN, {"pnl_unexplained": -101.0}),
    ("RC-73", Status.WARN, {"trades": trades(*[6.0, 8.0] * 10)}),
    ("RC-74", Status.HALT, {"breaches": (breach(),)}),
    ("RC-74", Status.REDUCE_ONLY, {"breaches": (breach(halt_class="", cure_sessions=2, sessions=2),)}),
    ("RC-81", Status.HALT, {"other_sessions": ("2018-12-12",)}),
    ("RC-82", Status.HALT, {"environment": "live"}),
    ("RC-82", Status.HALT, {"environment": "live", "permitted_environment": "live"}),
    ("RC-82", Status.HALT, {"environment": ""}),
    ("RC-83", Status.WARN, {"clock_skew_seconds": -2.1}),
    ("RC-83", Status.HALT, {"clock_skew_seconds": 30.1}),
    ("RC-85", Status.WARN, {"heartbeat_sessions": 3}),
    ("RC-88", Status.REDUCE_ONLY, {"model_spec": "b" * 64}),
    ("RC-88", Status.REDUCE_ONLY, {"model_scores": ("momentum_12_1",)}),
    ("RC-88", Status.REDUCE_ONLY, {"features": ("instrument", "momentum_12_1")}),
    *(("RC-88", Status.REDUCE_ONLY, {"model_state": state}) for state in ("candidate", "shadow", "retired", "?", None)),
    *(
        ("RC-88", Status.REDUCE_ONLY, {"champion": led(state=s)})
        for s in ("candidate", "shadow", "retired", "?", "", None)
    ),
    *(("RC-88", Status.REDUCE_ONLY, {"champion": led(weight=w)}) for w in (0.0, -0.5, 1.01)),
    *(("RC-88", Status.REDUCE_ONLY, {"champion": led(spec=s)}) for s in ("c" * 63, None, 7)),
    *(("RC-88", Status.PASS, {"champion": led(weight=w)}) for w in (1.0, 0.5)),
    ("RC-88", Status.WARN, {"champion": led(spec="", weight=0.0, silent="it has drifted")}),
    ("RC-89", Status.WARN, {"drift": (FeatureDrift("momentum_12_1", 0.05, 0.0009),)}),
    ("RC-90", Status.HALT, {"refused_in_a_row": 3, "refused": 3, "sent": 100}),
    ("RC-90", Status.HALT, {"refused_in_a_row": 1, "refused": 1, "sent": 4}),
)


@pytest.mark.parametrize(("control", "answer", "changes"), FIRES, ids=lambda value: str(value)[:60])
def test_a_control_fires(control: str, answer: Status, changes: dict[str, object]) -> None:
    """Each rule of tables C and D, its answer, and that nothing but the ones that alert lets a buy through."""
    assert status(control, **changes) is answer
    if answer is Status.HALT:
        assert (verdict(**changes), approved(**changes)) == ("HALT", ())
    if answer is Status.REDUCE_ONLY:
        assert verdict(**changes) == "APPROVED"
        assert [order.client_order_id for order in approved(**changes)] == ["mb1-mba-sell"]
    if answer is Status.WARN:
        assert buys(approved(**changes)) != ()


# --- where the limits lie ---

# Of 1,000,000 NAV: 0.5 bp are 50, 5 bp are 500, 1 bp is 100; a value of 1 unit is less than that.
LIMITS: tuple[tuple[str, str, float, Status], ...] = (
    ("RC-65", "slippage", 100.0, Status.WARN),
    ("RC-65", "limit", 0.0, Status.WARN),
    ("RC-65", "range", 0.001, Status.WARN),
    ("RC-68", "none", 50.0, Status.WARN),
    ("RC-68", "halts", 500.0, Status.HALT),
    ("RC-83", "warns", 2.0, Status.WARN),
    ("RC-83", "halts", 30.0, Status.HALT),
    ("RC-89", "psi", 0.25, Status.WARN),
)


def at(control: str, which: str, value: float) -> dict[str, object]:
    return {
        "RC-65 slippage": {"fills": fill(slippage_bps=value)},
        "RC-65 limit": {"fills": fill(beyond_limit=value)},
        "RC-65 range": {"fills": fill(beyond_range=value)},
        "RC-68 none": {"cash_differences": (("EUR", value),)},
        "RC-68 halts": {"cash_differences": (("EUR", -value),)},
        "RC-83 warns": {"clock_skew_seconds": value},
        "RC-83 halts": {"clock_skew_seconds": -value},
        "RC-89 psi": {"drift": (FeatureDrift("momentum_12_1", value, 0.5),)},
    }[f"{control} {which}"]


@pytest.mark.parametrize(("control", "which", "limit", "answer"), LIMITS, ids=str)
def test_a_limit_lies_where_it_is_stated(control: str, which: str, limit: float, answer: Status) -> None:
    """G9: limit - 1 ulp, the limit and the limit with the stated tolerance pass, the next number does not."""
    last = edge(limit)
    for value in (math.nextafter(limit, -math.inf), limit, math.nextafter(limit, math.inf), last):
        assert status(control, **at(control, which, value)) < answer, value
    assert status(control, **at(control, which, math.nextafter(last, math.inf))) is answer


def test_the_unexplained_part_lies_where_it_is_stated() -> None:
    """RC-70: 1 bp of 1,000,000 is 100, the tolerance of 1e-9 NAV is 0.001."""
    assert status("RC-70", pnl_unexplained=100.0) is Status.PASS
    assert status("RC-70", pnl_unexplained=-100.0) is Status.PASS
    assert status("RC-70", pnl_unexplained=100.00099) is Status.PASS
    assert status("RC-70", pnl_unexplained=100.0011) is Status.WARN
    assert status("RC-70", pnl_unexplained=-100.0011) is Status.WARN


def test_a_share_of_features_and_of_refusals_lies_where_it_is_stated() -> None:
    """RC-89, RC-90: one of five is 20 %, which may be; two are not. p of exactly 0.001 is no drift."""
    calm, moved = FeatureDrift("a", 0.0, 0.001), FeatureDrift("b", 0.0, math.nextafter(0.001, 0.0))
    assert status("RC-89", drift=(calm,) * 4 + (moved,)) is Status.PASS
    assert status("RC-89", drift=(calm,) * 3 + (moved,) * 2) is Status.WARN
    assert status("RC-90", refused_in_a_row=1, refused=1, sent=5) is Status.PASS
    assert status("RC-90", refused_in_a_row=1, refused=2, sent=9) is Status.HALT
    assert status("RC-90", refused_in_a_row=2, refused=2, sent=100) is Status.PASS
    assert status("RC-85", heartbeat_sessions=2) is Status.PASS
    assert status("RC-85", heartbeat_sessions=0) is Status.PASS


def test_a_small_books_whole_units_come_first() -> None:
    """RC-68: of 100 NAV half a basis point is half a cent; a dollar still counts as none, two halt."""
    facts = inputs(nav=100.0, operations=operations(cash_differences=(("USD", 1.0),)))
    (one,) = (r for r in run_controls(facts, (), MANDATE) if r.control == "RC-68")
    assert one.status is Status.PASS
    facts = inputs(nav=100.0, operations=operations(cash_differences=(("USD", 2.0),)))
    (two,) = (r for r in run_controls(facts, (), MANDATE) if r.control == "RC-68")
    assert two.status is Status.HALT


def test_few_sessions_to_compare_with_are_no_drift() -> None:
    """RC-89: a young home has nothing to compare with, which is said; from the fifth session on it judges."""
    moved = (FeatureDrift("momentum_12_1", 9.0, 0.0),)
    (young,) = said("RC-89", drift=moved, drift_sessions=4)
    assert (young.status, young.message) == (Status.PASS, "compared with 4 sessions, 5 are needed")
    assert status("RC-89", drift=moved, drift_sessions=5) is Status.WARN
    assert status("RC-89", drift=(), drift_sessions=5) is Status.SHRINK


def test_refused_answers_of_models_are_noted_where_models_are_asked() -> None:
    """RC-89: one of twenty is 5 %, which may be; two are not, and it is said. Without models there is no row at all."""
    (only,) = said("RC-89")
    assert only.key != "llm"
    model = {"provider": "local", "model": "m", "address": "http://127.0.0.1:1", "knowledge_cutoff": "2024-01-01"}
    priced = {**model, "usd_per_million_input": 0.0, "usd_per_million_output": 0.0}
    asking = tweaked(MANDATE, "llm", Llm.model_validate({"chain": [priced], "usd_per_day": 1.0}))
    for heard, refused, answer, text in (
        (0, 0, Status.PASS, "no language model answered"),
        (20, 1, Status.PASS, ""),
        (20, 2, Status.WARN, "2 of 20 answers of language models were refused: their views move nothing"),
        (1, 1, Status.WARN, "1 of 1 answers of language models were refused: their views move nothing"),
    ):
        row = next(x for x in said("RC-89", asking, llm_answers=heard, llm_refused=refused) if x.key == "llm")
        assert (row.status, row.message, row.limit) == (answer, text, 0.05)
        assert row.observed == (refused / heard if heard else 0.0)
    assert status("RC-89", asking, llm_answers=1, llm_refused=2) is Status.SHRINK


# --- RC-73 ---


def test_cost_drift_is_beyond_chance_and_matters() -> None:
    """RC-73: 20 fills, half 6 and half 8 bps too dear: mean 7, sd 1.025978, se 0.229416: beyond 5 bps and beyond 2 se.

    Half 0 and half 12: mean 6, sd 6.155870, se 1.376494, 2 se 2.752988; half -40 and 54: mean 7, 2 se 21.57, chance.
    """
    (warned,) = said("RC-73", trades=trades(*[6.0, 8.0] * 10))
    assert (warned.status, warned.observed, warned.limit) == (Status.WARN, pytest.approx(7.0), 5.0)
    assert status("RC-73", trades=trades(*[0.0, 12.0] * 10)) is Status.WARN
    noisy = said("RC-73", trades=trades(*[-40.0, 54.0] * 10))[0]
    assert (noisy.status, noisy.limit) == (Status.PASS, pytest.approx(2 * 47.0 * math.sqrt(20 / 19) / math.sqrt(20)))
    assert status("RC-73", trades=trades(*[4.0, 6.0] * 10)) is Status.PASS
    assert status("RC-73", trades=trades(*[90.0] * 19)) is Status.PASS


def test_cost_drift_halves_the_participation_of_buys() -> None:
    """RC-73: target 1 % of the volume, half of it may be bought: MBD's 20,000 of 2,000,000 is 1 %, of which half stays."""
    facts = inputs(operations=operations(trades=trades(*[50.0] * 20)))
    adv = facts.adv.copy()
    adv[facts.instruments.index("MBD")] = 2_000_000.0
    small = tweaked(MANDATE, "universe.floor.adv_usd", 1e6)
    judged = judge(replace(facts, adv=adv, mandate_sha256=small.sha256), batch(), small)
    sizes = {order.instrument: order.quantity for order in judged.approved}
    assert (sizes["MBD"], sizes["MBL"], sizes["MBA"]) == (Decimal(100), Decimal(100), Decimal(100))


# --- RC-74 ---


@pytest.mark.parametrize(
    ("found", "operator", "breaks", "answer"),
    [
        (breach(halt_class="A", clean=0), False, (), Status.PASS),
        (breach(halt_class="B"), False, (), Status.PASS),
        (breach(halt_class="B"), True, (BROKEN,), Status.HALT),
        (breach(halt_class="C"), False, (), Status.HALT),
        (breach(halt_class="C", clean=250), False, (), Status.HALT),
        (breach(halt_class="C"), True, (BROKEN,), Status.HALT),
        (breach(halt_class="C"), True, (), Status.PASS),
        (breach(halt_class="D"), True, (), Status.HALT),
    ],
    ids=str,
)
def test_a_halt_ends_by_its_class(
    found: Breach, operator: bool, breaks: tuple[ReconciliationBreak, ...], answer: Status
) -> None:
    """G8: A by itself, B with a clean reconciliation, C with an operator and a clean reconciliation, unknown never."""
    facts = inputs(operations=operations(breaches=(found,), operator=operator), breaks=breaks)
    (result,) = (r for r in run_controls(facts, batch(), MANDATE) if r.control == "RC-74")
    assert result.status is answer


def test_a_class_a_halt_waits_for_as_many_clean_checks_as_stated() -> None:
    """G8: with three clean checks, the third verdict without the cause goes on."""
    mandate = tweaked(MANDATE, "limits.breaches.clean_checks", 3)
    states = [status("RC-74", mandate, breaches=(breach(halt_class="A", clean=n),)) for n in range(4)]
    assert states == [Status.HALT, Status.HALT, Status.PASS, Status.PASS]


def test_a_breach_is_overdue_after_its_last_session() -> None:
    """RC-74: opened in verdict 0 with two sessions to cure: verdicts 1 and 2 are in time, verdict 3 is not."""
    states = [status("RC-74", breaches=(breach(halt_class="", cure_sessions=2, sessions=n),)) for n in range(4)]
    assert states == [Status.PASS, Status.PASS, Status.REDUCE_ONLY, Status.REDUCE_ONLY]
    assert status("RC-74", breaches=(breach(halt_class="", cure_sessions=None, sessions=999),)) is Status.PASS


# --- fail closed ---


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, "", "7"], ids=repr)
@pytest.mark.parametrize("field", ["weight", "state", "spec", "silent"])
def test_a_garbage_champion_never_buys(field: str, value: object) -> None:
    """Each field of a champion that moves the forecasts; without specification it moves nothing, why is told."""
    allowed = (field == "silent" and isinstance(value, str)) or (field, value) == ("spec", "")
    assert no_buys(operations(champion=led(**{field: value}))) is not allowed


GARBAGE = (None, math.nan, math.inf, -math.inf, "")
FIELDS = [field.name for field in dataclasses.fields(OperationFacts)]


def no_buys(facts: OperationFacts | None) -> bool:
    return buys(judge(inputs(operations=facts), batch(), MANDATE).approved) == ()


@pytest.mark.parametrize("value", GARBAGE, ids=repr)
@pytest.mark.parametrize("field", FIELDS)
def test_a_garbage_fact_never_buys(field: str, value: object) -> None:
    """F46: each field of the facts, replaced as a whole."""
    assert no_buys(operations(**{field: value}))


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, "", "7", True], ids=repr)
@pytest.mark.parametrize(
    ("field", "name"),
    [
        *(("fills", f.name) for f in dataclasses.fields(FillQuality)[2:]),
        *(("trades", f.name) for f in dataclasses.fields(TradeCost)[2:3]),
        *(("drift", f.name) for f in dataclasses.fields(FeatureDrift)[1:]),
    ],
)
def test_a_garbage_number_inside_never_buys(field: str, name: str, value: object) -> None:
    """F46: a number of one fill, cost or feature."""
    (one,) = getattr(operations(), field)
    assert no_buys(operations(**{field: (replace(one, **{name: value}),)}))


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, "", -1, 0.5], ids=repr)
@pytest.mark.parametrize("name", ["sessions", "clean", "cure_sessions"])
def test_a_garbage_breach_never_buys(name: str, value: object) -> None:
    """F46: an age, a count or a deadline of a breach that cannot be read; None is a stated meaning of the deadline alone."""
    if name == "cure_sessions" and value is None:
        return
    found = replace(breach(halt_class="", cure_sessions=5), **{name: value})
    assert no_buys(operations(breaches=(found,)))
    assert no_buys(operations(breaches=(None,)))


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, "", Decimal("NaN")], ids=repr)
def test_a_garbage_difference_halts(value: object) -> None:
    """F46: cash that cannot be compared."""
    assert status("RC-68", cash_differences=(("EUR", value),)) is Status.HALT


def test_missing_and_stale_facts_halt() -> None:
    """G3: no facts at all, and those of another session."""
    assert judge(inputs(operations=None), batch(), MANDATE).verdict == "HALT"
    assert verdict(session=dt.date(2018, 12, 10)) == "HALT"
    assert verdict(session=SESSION) == "APPROVED"


@pytest.mark.parametrize(
    ("row", "refused", "sent"), [(2, 1, 4), (1, 5, 4), (-1, 0, 4), (0, 0, -1), (0.5, 1, 4), (True, True, 4)]
)
def test_counts_of_refusals_that_contradict_each_other_halt(row: object, refused: object, sent: object) -> None:
    """RC-90: wrong counts are no counts."""
    assert status("RC-90", refused_in_a_row=row, refused=refused, sent=sent) is Status.HALT


# --- properties ---

NUMBERS = st.floats(min_value=0.0, max_value=1e4)


@settings(max_examples=25)
@given(NUMBERS, NUMBERS)
def test_worse_facts_are_never_judged_milder(one: float, other: float) -> None:
    """I7: slippage, cash, clock and unexplained earnings answer no milder for a larger value."""
    low, high = sorted((one, other))
    for control, facts in (
        ("RC-65", lambda x: {"fills": fill(slippage_bps=x)}),
        ("RC-68", lambda x: {"cash_differences": (("EUR", x),)}),
        ("RC-83", lambda x: {"clock_skew_seconds": x}),
        ("RC-70", lambda x: {"pnl_unexplained": x}),
    ):
        assert status(control, **facts(low)) <= status(control, **facts(high)), control


@given(st.permutations([fill(slippage_bps=x)[0] for x in (1.0, 150.0, 3.0)]))
def test_the_order_of_fills_changes_nothing(fills: list[FillQuality]) -> None:
    """G1: deterministic and independent of order."""
    named = [replace(one, execution_id=f"e{one.slippage_bps:.0f}") for one in fills]
    first = sorted(named, key=lambda one: one.execution_id)
    assert said("RC-65", fills=tuple(named)) == said("RC-65", fills=tuple(first))
