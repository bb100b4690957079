"""Ratios of a series: those of empyrical-reloaded on twenty random series, by hand where it has none, and the empty cases."""

import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

sys.path.append(str(Path(__file__).parents[1] / "research"))

from peer_series import SERIES, golden, uneven

from marketbot_assets.audit import performance_ratios as ratios
from marketbot_assets.audit import series_ratios as more
from marketbot_assets.research.return_measures import growth_per_year, measures

Floats = np.ndarray


def whole(name: str) -> Callable[[Floats, Floats], float]:
    """A measure of the whole series; losses positive."""
    return lambda r, b: float(measures(r[:, None], b)[name][0])


def growth(returns: Floats) -> float:
    return float(growth_per_year(np.array([ratios.linked(returns)]), len(returns))[0])


WHOLE = ("total_return", "max_drawdown", "omega", "value_at_risk", "expected_shortfall", "tail_ratio", "stability", "beta", "alpha",
         "information_ratio", "tracking_error", "downside_deviation", "skewness", "kurtosis")  # fmt: skip
MEASURES: dict[str, Callable[[Floats, Floats], float]] = {
    **{name: whole(name) for name in WHOLE},
    "return_per_year": lambda r, b: growth(r),
    "calmar": lambda r, b: growth(r) / whole("max_drawdown")(r, b),
    "up_capture": lambda r, b: more.capture(r, b, up=True),
    "down_capture": lambda r, b: more.capture(r, b, up=False),
    "sharpe": lambda r, b: ratios.sharpe(r)[0],
    "sortino": lambda r, b: ratios.sortino(r)[0],
    "volatility": lambda r, b: ratios.volatility(r),
}


@pytest.mark.parametrize("measure", sorted(MEASURES))
def test_numbers_of_empyrical(measure: str) -> None:
    """Twenty series of 60 to 1,000 sessions with fat tails, to 1e-10 of the size (empyrical-reloaded 0.7.1)."""
    told = golden("uneven")
    assert set(told) == set(MEASURES)
    assert len(told[measure]) == SERIES
    for number, (returns, benchmark) in enumerate(uneven()):
        found = MEASURES[measure](returns, benchmark)
        assert found == pytest.approx(told[measure][number], rel=1e-10, abs=1e-12), number


def test_moments_of_scipy() -> None:
    """Skewness and excess kurtosis are the biased ones."""
    returns, benchmark = uneven()[3]
    assert whole("skewness")(returns, benchmark) == pytest.approx(stats.skew(returns), abs=1e-12)
    assert whole("kurtosis")(returns, benchmark) == pytest.approx(stats.kurtosis(returns), abs=1e-12)


def test_what_has_no_answer_is_nan() -> None:
    """No entry, no variation, all lost: NaN, never a number out of the air."""
    none, flat = np.zeros(0), np.zeros(5)
    found = [growth(none), growth(np.array([0.1, -1.0])), more.beta(flat, flat), more.beta(none, none)]
    found += [more.capture(flat, flat, up=True), more.capture(none, none, up=False)]
    assert all(math.isnan(value) for value in found)


def test_beta_of_a_window_is_that_of_a_series() -> None:
    """Both ways of the same number."""
    returns, benchmark = uneven()[1]
    assert more.beta(returns, benchmark) == pytest.approx(whole("beta")(returns, benchmark), rel=1e-12)


def test_rolling_by_hand() -> None:
    """The first windows are not full; a window with an unknown return is not known."""
    found = more.rolling(2, lambda part: float(part.sum()), np.array([1.0, 2.0, math.nan, 4.0, 5.0]))
    assert np.isnan(found[[0, 2, 3]]).all()
    assert found[[1, 4]].tolist() == [3.0, 9.0]
