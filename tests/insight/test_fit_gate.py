"""Whether a refit may be used, and how a champion loses and regains trust: by hand, at each limit."""

import datetime as dt
import math
from dataclasses import replace
from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_model_card import FIT

from marketbot_assets.insight import fit_gate as gate
from marketbot_assets.insight.model_drift import (
    DriftNumbers,
    DriftState,
    Trust,
    after,
    judge_drift,
)


def drift_state(levels: list[Trust]) -> DriftState:
    return reduce(after, levels, DriftState())


SCORES = np.arange(10, dtype=float)
DAY = dt.date(2018, 10, 1)


def fits(*values: float, **card: float) -> list:  # type: ignore[type-arg]
    """Fits with one coefficient each, a day apart."""
    return [
        replace(FIT, fitted_on=DAY + dt.timedelta(n), coefficients={"a": value}, card=replace(FIT.card, **card))
        for n, value in enumerate(values)
    ]


PAST = fits(
    1.0, 2.0, 3.0, 4.0, 5.0
)  # median 3, absolute deviations 2 1 0 1 2: median 1; three robust deviations: 4.4478
ROOM = 3 * 1.482602218505602


@pytest.mark.parametrize(
    ("value", "good"),
    [(3.0, True), (3 + ROOM - 1e-9, True), (3 + ROOM + 1e-9, False), (3 - ROOM + 1e-9, True), (3 - ROOM - 1e-9, False)],
)
def test_three_robust_deviations(value: float, good: bool) -> None:
    """A coefficient within three of them of the median of earlier ones passes, beyond it does not."""
    found = gate.judge_fit(fits(0, 0, 0, 0, 0, value)[-1], PAST, SCORES, SCORES)
    assert found.accepted is good
    assert good or "robust deviations" in found.refusals[0]


def test_only_the_last_ten_count() -> None:
    """Twenty old fits at 100 and ten at 1..10: 5.5 is ordinary, 100 is not."""
    past = fits(*[100.0] * 20, *range(1, 11))
    new = fits(*[0.0] * 30, 5.5, 100.0)
    assert gate.judge_fit(new[-2], past, SCORES, SCORES).accepted
    assert not gate.judge_fit(new[-1], past, SCORES, SCORES).accepted


def test_equal_fits_leave_a_little_room() -> None:
    """Five fits at 1: the next may lie 3 x 2 % off, not more; at 0 it may not move."""
    past, new = fits(*[1.0] * 5), fits(*[0.0] * 5, 1.0599, 1.0601)
    assert [gate.judge_fit(one, past, SCORES, SCORES).accepted for one in new[-2:]] == [True, False]
    assert not gate.judge_fit(fits(*[0.0] * 5, 0.001)[-1], fits(*[0.0] * 5), SCORES, SCORES).accepted


def test_the_first_fits_are_not_compared_and_say_so() -> None:
    """None before, or two: no coefficient is judged; the ranks of the one before are."""
    first, second, third = fits(1.0, 50.0, 900.0)
    alone = gate.judge_fit(first, [], SCORES, None)
    assert alone.accepted
    assert "3 are needed" in alone.notes[0]
    assert gate.judge_fit(third, [first, second], SCORES, SCORES).accepted
    assert not gate.judge_fit(third, [first, second], SCORES, -SCORES).accepted
    assert not gate.judge_fit(third, [first, second], SCORES, None).accepted


@pytest.mark.parametrize("coverage", [math.nan, 0.0, 0.9799, 1.0001, math.inf, -1.0])
def test_incomplete_data_are_refused(coverage: float) -> None:
    """98 % of what the training asked for, no more than all of it; unknown is not enough."""
    assert not gate.judge_fit(fits(0, 0, 0, 0, 0, 3.0, coverage=coverage)[-1], PAST, SCORES, SCORES).accepted
    assert gate.judge_fit(fits(0, 0, 0, 0, 0, 3.0, coverage=0.98)[-1], PAST, SCORES, SCORES).accepted


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_unknown_numbers_are_refused(value: float) -> None:
    """A coefficient, all scores, or the scores before."""
    good = fits(0, 0, 0, 0, 0, 3.0)[-1]
    assert not gate.judge_fit(replace(good, coefficients={"a": value}), PAST, SCORES, SCORES).accepted
    assert not gate.judge_fit(good, PAST, np.full(10, value), SCORES).accepted
    assert not gate.judge_fit(good, [], np.full(10, value), None).accepted
    assert not gate.judge_fit(good, PAST, SCORES, np.full(10, value)).accepted


def test_a_fit_that_cannot_be_compared_is_refused() -> None:
    """Other coefficients, another specification, not newer, other names scored."""
    good = fits(0, 0, 0, 0, 0, 3.0)[-1]
    assert not gate.judge_fit(replace(good, coefficients={"b": 3.0}), PAST, SCORES, SCORES).accepted
    assert not gate.judge_fit(replace(good, spec_sha256="e" * 64), PAST, SCORES, SCORES).accepted
    assert not gate.judge_fit(replace(good, fitted_on=PAST[-1].fitted_on), PAST, SCORES, SCORES).accepted
    assert not gate.judge_fit(good, PAST, SCORES, SCORES[:-1]).accepted


def test_a_family_without_coefficients_is_judged_by_its_ranks() -> None:
    """Trees have none: complete data and like ranks are enough."""
    past = [replace(one, coefficients={}) for one in PAST]
    new = replace(past[-1], fitted_on=DAY + dt.timedelta(99))
    assert gate.judge_fit(new, past, SCORES, SCORES).accepted
    assert not gate.judge_fit(new, past, SCORES[::-1], SCORES).accepted


def test_ranks_by_hand() -> None:
    """1 2 3 4 5 against 2 1 4 3 5: 1 - 6 x 4 / 120 = 0.8, just enough; ties share a rank; NaN of either is left out."""
    one, other = np.array([1.0, 2, 3, 4, 5]), np.array([2.0, 1, 4, 3, 5])
    assert gate.rank_correlation(one, other) == pytest.approx(0.8)
    assert gate.rank_correlation(np.array([*one, math.nan]), np.array([*other, 3.0])) == pytest.approx(0.8)
    assert gate.rank_correlation(one * 1000, other**3) == pytest.approx(0.8)
    assert gate.rank_correlation(np.array([1.0, 1, 2, 2, 3]), np.array([1.0, 1, 2, 2, 3])) == pytest.approx(1.0)
    assert math.isnan(gate.rank_correlation(one[:4], other[:4]))
    assert math.isnan(gate.rank_correlation(np.ones(5), other))


def test_what_stands_in() -> None:
    """The previous fit, for a month of sessions, of the same specification; then the baseline."""
    assert gate.stands_in(FIT, FIT.spec_sha256, 20)
    assert not gate.stands_in(FIT, FIT.spec_sha256, 21)
    assert not gate.stands_in(FIT, "e" * 64, 1)
    assert not gate.stands_in(None, FIT.spec_sha256, 0)
    assert not gate.stands_in(FIT, FIT.spec_sha256, -1)


CALM = DriftNumbers(0.05, 1.0, 0.04, 0.01, 60, 0.05)


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({}, Trust.NORMAL),
        ({"feature_share": 0.20}, Trust.NORMAL),
        ({"feature_share": 0.2001}, Trust.SHRINK),
        ({"feature_share": 0.4001}, Trust.FALLBACK),
        ({"feature_share": math.nan}, Trust.FALLBACK),
        ({"feature_share": -0.1}, Trust.FALLBACK),
        ({"residual_ratio": 1.25}, Trust.NORMAL),
        ({"residual_ratio": 1.26}, Trust.SHRINK),
        ({"residual_ratio": 1.51}, Trust.FALLBACK),
        ({"residual_ratio": math.inf}, Trust.FALLBACK),
        ({"ic": 0.0086}, Trust.NORMAL),  # 0.0086 + 1.645 x 0.01 = 0.02505, half of 0.05 is 0.025
        ({"ic": 0.0085}, Trust.SHRINK),
        ({"ic": -0.0164}, Trust.SHRINK),
        ({"ic": -0.0165}, Trust.FALLBACK),
        ({"ic": math.nan}, Trust.FALLBACK),
        ({"ic_error": math.nan}, Trust.FALLBACK),
        ({"ic_error": 0.0}, Trust.FALLBACK),
        ({"ic_promised": math.nan}, Trust.FALLBACK),
        ({"ic": -1.0, "ic_sessions": 19}, Trust.NORMAL),
        ({"ic": math.nan, "ic_sessions": 0}, Trust.NORMAL),
        ({"residual_ratio": 1.3, "feature_share": 0.9}, Trust.FALLBACK),
    ],
    ids=str,
)
def test_levels_of_drift(changes: dict[str, float], level: Trust) -> None:
    """Each measure at its limits; the worst counts; what is not known counts as the worst."""
    found, why = judge_drift(replace(CALM, **changes))  # type: ignore[arg-type]
    assert found is level
    assert (why == ()) == (level is Trust.NORMAL)


def test_trust_is_lost_at_once_and_regained_step_by_step() -> None:
    """Twenty calm sessions from none to half, twenty more to whole; one bad session among them begins anew."""
    n, s, f = Trust.NORMAL, Trust.SHRINK, Trust.FALLBACK
    assert drift_state([n, s]).trust is s
    assert drift_state([n, f]).trust is f
    assert drift_state([f, *[n] * 19]).trust is f
    assert drift_state([f, *[n] * 20]).trust is s
    assert drift_state([f, *[n] * 40]).trust is n
    assert drift_state([f, *[n] * 19, f, *[n] * 19]).trust is f
    assert drift_state([f, *[s] * 20, *[s] * 40]).trust is s
    assert [trust.weight for trust in (n, s, f)] == [1.0, 0.5, 0.0]


def test_a_champion_without_trust_for_sixty_sessions_is_spent() -> None:
    """Not one session earlier."""
    assert not drift_state([Trust.FALLBACK] * 59).spent
    assert drift_state([Trust.FALLBACK] * 60).spent


@given(st.lists(st.sampled_from(list(Trust)), max_size=120), st.sampled_from(list(Trust)))
@settings(max_examples=60)
def test_trust_never_exceeds_what_the_session_allows(levels: list[Trust], last: Trust) -> None:
    """After any past: never more trust than the newest level, never more than one step regained, the same past the same state."""
    before = drift_state(levels)
    now = after(before, last)
    assert now.trust >= last
    assert now.trust >= before.trust - 1
    assert now == drift_state([*levels, last])
    assert isinstance(now, DriftState)
