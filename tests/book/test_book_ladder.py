"""RC-60 and RC-61: down at once, up slowly, back to life by rule, never past the floor."""

import datetime as dt
import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_assets.book.ladder import SEVERITY, LadderStep, losses, rung_of, step_ladder
from marketbot_assets.book.state import BookState, Rung
from marketbot_assets.book.step import opening_state
from marketbot_resources.calendars import decision_sessions
from marketbot_resources.errors import HaltError
from marketbot_resources.mandate import Mandate

DAYS = decision_sessions("XNYS", dt.date(2018, 10, 1), dt.date(2021, 12, 31))
HIGH = 1_000_000.0


def after(state: BookState, step: LadderStep, session: dt.date, nav: float) -> BookState:
    names = [name for name in LadderStep.__dataclass_fields__ if name != "reason"]
    return replace(state, session=session, nav=nav, **{name: getattr(step, name) for name in names})


def walk(mandate: Mandate, drawdowns, *, vol=0.2, clean=True, state: BookState | None = None, operator=()):  # type: ignore[no-untyped-def]
    """Steps over drawdowns from the opening high, session by session."""
    state, steps = state or opening_state(DAYS[0], HIGH), []
    start = DAYS.index(state.session)
    for n, drawdown in enumerate(drawdowns, start=1):
        day, nav = DAYS[start + n], HIGH * (1.0 - drawdown)
        facts = {"index_vol_20d": vol, "clean": clean, "operator_rearm": n in operator}
        step = step_ladder(state, nav, session=day, mandate=mandate, **facts)
        steps.append(step)
        state = after(state, step, day, nav)
    return state, steps


RUNGS = [
    (0.0, Rung.FULL, 1.0),
    (0.0499, Rung.FULL, 1.0),
    (0.05, Rung.SCALED, 1.0),
    (0.052, Rung.SCALED, 0.98),
    (0.075, Rung.SCALED, 0.75),
    (0.0999, Rung.SCALED, 0.501),
    (0.10, Rung.REDUCE_ONLY, 0.25),
    (0.1249, Rung.REDUCE_ONLY, 0.25),
    (0.125, Rung.TO_CASH, 0.0),
    (0.1499, Rung.TO_CASH, 0.0),
    (0.15, Rung.HALT, 0.0),
    (0.6, Rung.HALT, 0.0),
]


@pytest.mark.parametrize(("drawdown", "rung", "multiple"), RUNGS)
def test_each_rung_is_reached_at_its_drawdown(mandate: Mandate, drawdown: float, rung: Rung, multiple: float) -> None:
    """The rungs and the linear scale of the mandate, from a full book in one session."""
    state, (step,) = walk(mandate, [drawdown])
    assert step.rung is rung
    assert step.multiple == pytest.approx(multiple, abs=1e-12)
    assert step.drawdown == pytest.approx(drawdown)
    assert state.reference_high == HIGH


def test_the_stress_of_december_2018(mandate: Mandate) -> None:
    """The published path of the trial of this mandate, 2018-12-11 to 12-24."""
    path = [0.047, 0.046, 0.042, 0.052, 0.065, 0.066, 0.069, 0.075, 0.080, 0.0905]
    _, steps = walk(mandate, path)
    expected = [1.0, 1.0, 1.0, 0.98, 0.85, 0.84, 0.81, 0.75, 0.70, 0.595]
    assert [s.multiple for s in steps] == pytest.approx(expected, abs=1e-9)


def test_recovery_from_reduce_only_needs_no_rearm(mandate: Mandate) -> None:
    """The trial's path of spring 2020: a quarter while below 10 %, then one half when the drawdown leaves the rung."""
    _, steps = walk(mandate, [0.106, *[0.107] * 15, 0.0999, 0.098], clean=False)
    assert [s.rung for s in steps[-3:]] == [Rung.REDUCE_ONLY, Rung.SCALED, Rung.SCALED]
    assert [s.multiple for s in steps[-3:]] == pytest.approx([0.25, 0.5, 0.5])
    assert steps[-1].rearms == ()


def test_the_multiple_rises_by_steps(mandate: Mandate) -> None:
    """After a fall 10 sessions pass, then it rises by at most 0.25 every 10 sessions."""
    _, steps = walk(mandate, [0.101, *[0.0] * 45])
    multiples = [s.multiple for s in steps]
    rises = [(n, b) for n, (a, b) in enumerate(itertools.pairwise(multiples), start=1) if b != a]
    assert rises == [(10, 0.5), (20, 0.75), (30, 1.0)]
    assert steps[1].rung is Rung.FULL
    assert steps[-1].sessions_in_rung == 44


def test_any_fall_starts_the_wait_anew(mandate: Mandate) -> None:
    """A small dip on the ninth session postpones the rise; the rise never passes what the drawdown allows."""
    _, steps = walk(mandate, [0.08, *[0.06] * 8, 0.081, *[0.06] * 10])
    multiples = [round(s.multiple, 9) for s in steps]
    assert multiples == [*[0.7] * 9, *[0.69] * 10, 0.9]


def slow_multiples(drawdowns: list[float]) -> list[float]:
    """A twin below the REDUCE_ONLY rung: what 5 to 10 % ask for, down at once, up by 0.25 after 10 sessions of rest."""
    got, rest = [1.0], 10**6
    for drawdown in drawdowns:
        asked = 1.0 if drawdown < 0.05 else 1.0 - 10.0 * (drawdown - 0.05)
        rest += 1
        new = asked if asked < got[-1] else min(asked, got[-1] + 0.25) if rest >= 10 else got[-1]
        rest = rest if abs(new - got[-1]) < 1e-12 else 0
        got.append(new)
    return got[1:]


@settings(max_examples=40, deadline=None)
@given(path=st.lists(st.sampled_from([0.0, 0.03, 0.0501, 0.06, 0.07, 0.085, 0.0995]), min_size=1, max_size=60))
def test_the_scale_equals_its_twin(mandate: Mandate, path: list[float]) -> None:
    """Any path below 10 % gives what a plain loop over the rule gives."""
    path = [x for x in path for _ in range(4)]
    start = replace(opening_state(DAYS[0], HIGH), sessions_since_step=10**6)
    _, steps = walk(mandate, path, state=start)
    assert [s.multiple for s in steps] == pytest.approx(slow_multiples(path), abs=1e-9)


states = st.builds(
    lambda rung, multiple, waited, rested: replace(
        opening_state(DAYS[0], HIGH),
        rung=rung,
        multiple=multiple,
        sessions_in_rung=waited,
        sessions_since_step=rested,
    ),
    st.sampled_from(SEVERITY),
    st.sampled_from([0.0, 0.25, 0.5, 0.62, 1.0]),
    st.integers(0, 40),
    st.integers(0, 30),
)
depths = st.floats(-0.1, 0.4, allow_nan=False)


@settings(max_examples=200, deadline=None)
@given(state=states, one=depths, two=depths, vol=st.sampled_from([math.nan, 0.3]))
def test_a_deeper_drawdown_never_allows_more(
    mandate: Mandate, state: BookState, one: float, two: float, vol: float
) -> None:
    """Monotone: from the same state a lower NAV gives no milder rung and no larger multiple (no re-arm in the session)."""
    facts = {"session": DAYS[1], "index_vol_20d": vol, "clean": True, "operator_rearm": False, "mandate": mandate}
    high, low = (step_ladder(state, HIGH * (1.0 - d), **facts) for d in sorted((one, two)))  # type: ignore[arg-type]
    assert SEVERITY.index(low.rung) >= SEVERITY.index(high.rung)
    assert low.multiple <= high.multiple
    assert 0.0 <= low.multiple <= 1.0
    assert high.multiple <= max(state.multiple + mandate.ladder.step_up.step, 0.0)


def test_to_cash_holds_until_the_drawdown_is_below_10(mandate: Mandate) -> None:
    """A bounce from 12.5 % to 11 % does not stop the way to cash; below 10 % buying begins with one step."""
    _, steps = walk(mandate, [0.126, 0.11, 0.101, *[0.09] * 11], clean=False)
    assert [s.rung for s in steps[:4]] == [Rung.TO_CASH, Rung.TO_CASH, Rung.TO_CASH, Rung.SCALED]
    assert [s.multiple for s in steps[3:]] == [*[0.0] * 7, *[0.25] * 4]


@pytest.mark.parametrize("depth", [0.11, 0.13])
def test_the_ladder_rearms_by_rule(mandate: Mandate, depth: float) -> None:
    """After 20 sessions, clean and calm: reference := NAV / 0.95, half the target, recorded; then by steps."""
    state, steps = walk(mandate, [depth] * 21)
    assert all(s.rung in (Rung.REDUCE_ONLY, Rung.TO_CASH) for s in steps[:20])
    last = steps[20]
    assert last.reference_high == pytest.approx(HIGH * (1.0 - depth) / 0.95)
    assert (last.rung, last.multiple, last.rearms) == (Rung.SCALED, 0.5, (DAYS[21],))
    assert last.drawdown == pytest.approx(0.05)
    assert last.drawdown_inception == pytest.approx(depth)
    assert last.inception_high == HIGH
    _, later = walk(mandate, [depth] * 20, state=state)
    assert [later[8].multiple, later[9].multiple, later[19].multiple] == [0.5, 0.75, 1.0]


@pytest.mark.parametrize("facts", [{"vol": 0.25}, {"vol": math.nan}, {"vol": 0.4}, {"clean": False}])
def test_no_rearm_without_calm_and_clean_books(mandate: Mandate, facts: dict[str, float]) -> None:
    """Every condition is needed; an unknown volatility is not calm."""
    _, steps = walk(mandate, [0.11] * 60, **facts)
    assert steps[-1].rung is Rung.REDUCE_ONLY
    assert steps[-1].rearms == ()


def rearmed(mandate: Mandate, *ages: int) -> BookState:
    """A state that may re-arm on DAYS[300], with re-arms that many sessions before."""
    return replace(
        opening_state(DAYS[299], HIGH),
        rung=Rung.REDUCE_ONLY,
        multiple=0.25,
        sessions_in_rung=50,
        rearms=tuple(DAYS[300 - age] for age in ages),
    )


def test_three_rearms_within_252_sessions_halt(mandate: Mandate) -> None:
    """The re-arm that would be the third within the window halts (class C); an older one does not count."""
    _, (step,) = walk(mandate, [0.11], state=rearmed(mandate, 251, 60))
    assert (step.rung, step.multiple) == (Rung.HALT, 0.0)
    assert "number 3" in step.reason
    _, (step,) = walk(mandate, [0.11], state=rearmed(mandate, 252, 60))
    assert step.rung is Rung.SCALED
    assert step.rearms == (DAYS[240], DAYS[300])


def test_a_halt_waits_for_an_operator(mandate: Mandate) -> None:
    """Class C: neither time nor a new high ends it; an operator does, on clean books, and the count starts anew."""
    state, steps = walk(mandate, [0.15, *[0.0] * 60])
    assert {s.rung for s in steps} == {Rung.HALT}
    _, (step,) = walk(mandate, [0.16], state=state, operator=(1,), clean=False)
    assert step.rung is Rung.HALT
    _, (step,) = walk(mandate, [0.16], state=replace(state, rearms=(DAYS[2], DAYS[3])), operator=(1,))
    assert (step.rung, step.multiple, len(step.rearms)) == (Rung.SCALED, 0.5, 1)
    assert step.reference_high == pytest.approx(HIGH * 0.84 / 0.95)


def test_nothing_forgives_the_absolute_floor(mandate: Mandate) -> None:
    """25 % below the inception high halts, whatever the reference, and no operator re-arms it."""
    low = replace(opening_state(DAYS[0], HIGH), reference_high=0.76 * HIGH)
    state, (step,) = walk(mandate, [0.25], state=low)
    assert step.drawdown < 0.05
    assert step.rung is Rung.HALT
    _, (step,) = walk(mandate, [0.25], state=state, operator=(1,))
    assert step.rung is Rung.HALT


def test_an_operator_does_not_shorten_the_rule(mandate: Mandate) -> None:
    """REDUCE_ONLY and TO_CASH re-arm by rule alone."""
    _, steps = walk(mandate, [0.11, 0.11], operator=(2,))
    assert steps[1].rung is Rung.REDUCE_ONLY


def test_a_new_high_moves_both_references(mandate: Mandate) -> None:
    """Highs only rise."""
    _, (step,) = walk(mandate, [-0.1])
    assert step.reference_high == step.inception_high == pytest.approx(1.1 * HIGH)
    assert step.drawdown == 0.0


@pytest.mark.parametrize("nav", [math.nan, math.inf, 0.0, -1.0])
def test_an_unknown_nav_stops(mandate: Mandate, nav: float) -> None:
    """No ladder stands on a NAV that is not a positive number."""
    facts = {"session": DAYS[1], "index_vol_20d": 0.1, "clean": True, "operator_rearm": False, "mandate": mandate}
    with pytest.raises(HaltError, match="positive NAV"):
        step_ladder(opening_state(DAYS[0], HIGH), nav, **facts)  # type: ignore[arg-type]


def test_every_drawdown_has_a_rung(mandate: Mandate) -> None:
    """Rungs touch: no gap between them."""
    order = [SEVERITY.index(rung_of(n / 1000, mandate.ladder)) for n in range(400)]
    assert order == sorted(order)
    assert set(order) == set(range(5))


LOSSES = [
    ([100.0], 0.0, 0.0, "", False),
    ([100.0, 98.01], 0.0199, 0.0199, "", False),
    ([100.0, 98.0], 0.02, 0.02, "day", False),
    ([100.0, 96.0], 0.04, 0.04, "day week", True),
    ([100.0, 99.0, 98.0, 97.0, 96.5, 96.0], 0.0051813, 0.04, "week", False),
    ([104.0, 100.0, 101.0, 102.0, 101.0, 100.5], 0.0049505, 0.0336538, "", False),
    ([90.0, 100.0, 99.0, 98.5, 98.0, 97.0], 0.0102041, -0.0777778, "", False),
]


@pytest.mark.parametrize(("navs", "day", "week", "names", "halt"), LOSSES)
def test_losses_of_day_and_week(
    mandate: Mandate, navs: list[float], day: float, week: float, names: str, halt: bool
) -> None:
    """-2 % on the day, -4 % over 5 sessions: no buys; -4 % on the day: halt."""
    got = losses(navs, mandate.loss_rules)
    assert (got.day, got.week) == (pytest.approx(day, abs=1e-6), pytest.approx(week, abs=1e-6))
    assert [word for word in ("day", "week") if word in got.no_buys] == names.split()
    assert got.halt is halt
