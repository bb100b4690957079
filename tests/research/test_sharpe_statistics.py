"""Sharpe statistics against the papers' numbers, slow sums and simulation."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_assets.insight.evidence import newey_west_error
from marketbot_assets.research import sharpe_statistics as ss

MET = ss.Moments(2.5 / math.sqrt(250), -3.0, 10.0, 1250)
ratios = st.floats(-0.3, 0.3)
shapes = st.tuples(st.floats(-2, 2), st.floats(5, 20))


@pytest.mark.parametrize(
    ("found", "trials", "expected"),
    [
        (MET, 100, 0.900397),
        (MET, 46, 0.950502),
        (ss.Moments(2.5 / math.sqrt(250), 0.0, 3.0, 1250), 88, 0.950491),
    ],
)
def test_the_deflated_ratio_is_that_of_the_paper(found: ss.Moments, trials: int, expected: float) -> None:
    """Bailey and Lopez de Prado (2014): ratio 2.5 per year of 1,250 days, variance of trials 1/2 per year."""
    assert ss.deflated_sharpe(found, trials, 0.5 / 250) == pytest.approx(expected, abs=5e-7)


def test_the_bar_that_the_best_of_a_hundred_sets() -> None:
    """The same example: 0.1132 per day."""
    assert ss.expected_maximum_sharpe(100, 0.5 / 250) == pytest.approx(0.113172, abs=5e-7)


@pytest.mark.parametrize(("periods", "years"), [(252, 2.73), (52, 2.83), (12, 3.24)])
def test_the_minimum_track_record_is_that_of_the_paper(periods: int, years: float) -> None:
    """Bailey and Lopez de Prado (2012): years until a ratio of 2 is above 1 with 95 %, by day, week and month."""
    found = ss.Moments(2 / math.sqrt(periods), 0.0, 3.0, 10_000)
    assert ss.minimum_track_record(found, 1 / math.sqrt(periods), 0.95) / periods == pytest.approx(years, abs=0.005)


def test_the_minimum_backtest_is_that_of_the_paper() -> None:
    """Bailey et al. (2014): with five years of data no more than 45 configurations may be tried."""
    assert ss.minimum_backtest_years(45) <= 5.0 < ss.minimum_backtest_years(46)


@pytest.mark.parametrize("trials", [2, 10, 100])
def test_the_expected_maximum_is_that_of_simulation(trials: int) -> None:
    """Within 3 % of the mean of 20,000 maxima, a little more for two (an approximation for many)."""
    drawn = np.random.default_rng(7).standard_normal((20_000, trials)).max(axis=1).mean()
    assert ss.expected_maximum(trials) == pytest.approx(drawn, rel=0.03 if trials > 2 else 0.1)


def test_one_trial_is_not_deflated() -> None:
    """The best of one is that one: the bar is zero, whatever the variance."""
    assert ss.expected_maximum_sharpe(1, 4.0) == 0.0
    assert ss.deflated_sharpe(MET, 1, 4.0) == ss.probabilistic_sharpe(MET, 0.0)


def test_moments_by_hand() -> None:
    """1, 2, 3, 6 %: mean 3, squares 4 + 1 + 0 + 9, cubes -8 - 1 + 27, fourths 16 + 1 + 81."""
    found = ss.moments(np.array([0.01, 0.02, 0.03, 0.06]))
    assert found.sharpe == pytest.approx(3 / math.sqrt(14 / 3))
    assert found.skewness == pytest.approx((18 / 4) / (14 / 4) ** 1.5)
    assert found.kurtosis == pytest.approx((98 / 4) / (14 / 4) ** 2)
    assert found.observations == 4


@pytest.mark.parametrize(
    "returns",
    [[], [0.1], [0.1, 0.2], [0.1] * 9, [0.1, math.nan, 0.2], [0.1, math.inf, 0.2], [0.1, 0.1 + 1e-16, 0.1], [0.0] * 9],
)
def test_what_has_no_ratio_passes_nothing(returns: list[float]) -> None:
    """Too short, constant, unknown or infinite: every number is NaN."""
    found = ss.moments(np.array(returns))
    told = (found.sharpe, ss.sharpe_error(found), ss.deflated_sharpe(found, 9, 0.1), ss.probabilistic_sharpe(found, 0))
    assert all(math.isnan(number) for number in told)


@pytest.mark.parametrize("size", [1e-200, 1e-110, 1e-30, 1.0, 1e30, 1e300])
def test_the_size_of_returns_changes_no_ratio(size: float) -> None:
    """Neither so small that squares vanish, nor so large that they overflow, within what squares can hold."""
    found, small = (ss.moments(k * np.array([0.01, 0.02, 0.03, 0.06])) for k in (1.0, size))
    assert (small.sharpe, small.skewness, small.kurtosis) == pytest.approx(
        (found.sharpe, found.skewness, found.kurtosis)
    )


def test_a_ratio_next_to_nothing_needs_for_ever() -> None:
    """The smallest number there is above the bar: no overflow, an infinite record, and not one that passes."""
    tiny = ss.Moments(5e-324, 0.0, 3.0, 1000)
    assert ss.minimum_track_record(tiny, 0.0, 0.95) == math.inf
    assert ss.minimum_backtest_years(10, 1e-200) == math.inf
    assert ss.minimum_backtest_years(1, 5e-324) == 0.0
    assert ss.probabilistic_sharpe(tiny, 0.0) == 0.5
    assert math.isnan(ss.sharpe_variance(ss.Moments(1e200, 0.0, math.inf, 10)))


@pytest.mark.parametrize("trials", [math.nan, math.inf, 0.0, 0.99, -1.0])
def test_a_count_that_is_none_gives_nan(trials: float) -> None:
    """Without a count of trials nothing can be deflated."""
    assert math.isnan(ss.deflated_sharpe(MET, trials, 0.1))
    assert math.isnan(ss.minimum_backtest_years(trials))


@pytest.mark.parametrize("variance", [math.nan, math.inf, -0.1])
def test_a_variance_that_is_none_gives_nan(variance: float) -> None:
    """Nor without their variance."""
    assert math.isnan(ss.deflated_sharpe(MET, 10, variance))


@given(ratios, ratios, shapes, st.integers(10, 5000))
def test_probability_and_track_record_say_the_same(own: float, bar: float, shape: tuple[float, float], n: int) -> None:
    """The probability at the minimum record's length is the confidence; above the bar means above one half."""
    found = ss.Moments(own, *shape, n)
    chance = ss.probabilistic_sharpe(found, bar)
    assert 0.0 <= chance <= 1.0
    assert (chance > 0.5) == (own > bar) or abs(own - bar) < 1e-9
    needed = ss.minimum_track_record(found, bar, 0.95)
    if own <= bar:
        assert needed == math.inf
    elif own - bar > 1e-3:
        score = (own - bar) * math.sqrt((needed - 1) / (1 - shape[0] * own + (shape[1] - 1) / 4 * own**2))
        assert NormalDist().cdf(score) == pytest.approx(0.95, abs=1e-9)


@given(ratios, shapes, st.integers(10, 5000), st.integers(1, 5000), st.floats(1e-6, 0.1))
def test_more_trials_never_help(own: float, shape: tuple[float, float], n: int, trials: int, variance: float) -> None:
    """A trial more, or more variance among them, never raises the deflated ratio."""
    found = ss.Moments(own, *shape, n)
    base = ss.deflated_sharpe(found, trials, variance)
    assert ss.deflated_sharpe(found, trials + 1, variance) <= base + 1e-12
    assert ss.deflated_sharpe(found, trials, variance * 2) <= base + 1e-12
    assert ss.expected_maximum(trials + 1) >= ss.expected_maximum(trials)


@pytest.mark.parametrize("alike", [0.0, 0.3, 0.6, 0.9, 1.0])
def test_the_best_of_worthless_trials_that_depend_on_each_other(alike: float) -> None:
    """Of 2,000 searches among 50 ratios with this correlation the bar is the mean of the best, and at most 5 % are called skill.

    Deflated by the count and by how much the trials differ among themselves; as the only trial most of the best would pass.
    """
    sessions, draw = 400, np.random.default_rng(3)
    shared, own = draw.standard_normal((2_000, 1)), draw.standard_normal((2_000, 50))
    found = (math.sqrt(alike) * shared + math.sqrt(1.0 - alike) * own) / math.sqrt(sessions - 1)
    best, spread = found.max(axis=1), found.var(axis=1, ddof=1)
    bar = ss.expected_maximum_sharpe(50, (1.0 - alike) / (sessions - 1))
    error = best.std(ddof=1) / math.sqrt(2_000)
    assert best.mean() == pytest.approx(bar, abs=3.3 * error + 0.02 * bar)  # the formula is an approximation
    records = [ss.Moments(ratio, 0.0, 3.0, sessions) for ratio in best.tolist()]
    called = np.mean([ss.deflated_sharpe(one, 50, v) >= 0.95 for one, v in zip(records, spread.tolist(), strict=True)])
    assert called <= 0.05 + 3.3 * math.sqrt(0.05 * 0.95 / 2_000)
    alone = np.mean([ss.probabilistic_sharpe(one, 0.0) >= 0.95 for one in records])
    assert alone > 0.5 if alike <= 0.3 else alone >= called


@given(st.integers(0, 2**31), st.integers(2, 6), st.integers(1, 4))
@settings(max_examples=25)
def test_copies_are_no_trials(seed: int, families: int, copies: int) -> None:
    """Families of near copies count as their families; by average correlation the count lies between 1 and N."""
    chance = np.random.default_rng(seed)
    base = np.repeat(chance.standard_normal((400, families)), copies, axis=1)
    returns = base + 0.05 * chance.standard_normal(base.shape)
    assert ss.clustered_trials(returns) == families
    assert 1.0 <= ss.effective_trials(returns) <= families * copies


def test_the_effective_count_by_hand() -> None:
    """Three trials, two of them opposite: correlations -1, 0, 0 average below zero: three. Two equal ones: one."""
    one = np.array([1.0, -1.0, 1.0, -1.0])
    other = np.array([1.0, 1.0, -1.0, -1.0])
    assert ss.effective_trials(np.column_stack([one, -one, other])) == 3.0
    assert ss.effective_trials(np.column_stack([one, one])) == pytest.approx(1.0)
    assert ss.effective_trials(np.column_stack([one, one, other])) == pytest.approx(1 / 3 + (2 / 3) * 3)
    assert ss.effective_trials(one[:, None]) == 1.0


def test_trials_that_are_not_known_are_no_count() -> None:
    """NaN among the trials is refused, as is their variance."""
    with pytest.raises(ValueError, match="finite"):
        ss.effective_trials(np.array([[1.0, math.nan]] * 5))
    assert math.isnan(ss.variance_of_trials([0.1, math.nan]))
    assert math.isnan(ss.variance_of_trials([]))
    assert ss.variance_of_trials([0.1]) == 0.0
    assert ss.variance_of_trials([0.1, 0.3]) == pytest.approx(0.02)


def test_the_error_with_overlapping_labels() -> None:
    """Lag 0: the deviation (divided by n) over the root of n - 1; a longer lag on lasting values raises it."""
    values = np.repeat([1.0, 3.0, 2.0, 4.0], 5)
    assert newey_west_error(values, 0) == pytest.approx(math.sqrt(1.25 / 19))
    assert newey_west_error(values, 4) > newey_west_error(values, 0)
    assert math.isnan(newey_west_error(np.array([1.0]), 0))
