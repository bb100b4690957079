"""Ratios of a series: those of empyrical-reloaded on twenty random series, by hand where it has none, and the empty cases."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from marketbot_assets.audit import performance_ratios as ratios
from marketbot_assets.audit import series_ratios as more
from marketbot_assets.research.return_measures import growth_per_year, measures

GOLDEN = Path(__file__).parent / "golden" / "empyrical.json"
Floats = np.ndarray


def series(seed: int, n: int) -> tuple[Floats, Floats]:
    """The returns and their benchmark that empyrical was given, to six digits."""
    draw = np.random.default_rng(seed)
    benchmark = draw.standard_t(4, n) * 0.008 + 0.0003
    return np.round(0.6 * benchmark + draw.standard_t(4, n) * 0.006 + 0.0002, 6), np.round(benchmark, 6)


def whole(name: str) -> Callable[[Floats, Floats], float]:
    """A measure of the whole series; losses positive."""
    return lambda r, b: float(measures(r[:, None], b)[name][0])


def growth(returns: Floats) -> float:
    return float(growth_per_year(np.array([ratios.linked(returns)]), len(returns))[0])


MEASURES: dict[str, Callable[[Floats, Floats], float]] = {
    "annual_return": lambda r, b: growth(r),
    "calmar": lambda r, b: growth(r) / whole("max_drawdown")(r, b),
    "omega": whole("omega"),
    "value_at_risk": whole("value_at_risk"),
    "expected_shortfall": whole("expected_shortfall"),
    "tail_ratio": whole("tail_ratio"),
    "stability": whole("stability"),
    "beta": whole("beta"),
    "alpha": whole("alpha"),
    "information_ratio": whole("information_ratio"),
    "up": lambda r, b: more.capture(r, b, up=True),
    "down": lambda r, b: more.capture(r, b, up=False),
    "deepest": whole("max_drawdown"),
    "sharpe": lambda r, b: ratios.sharpe(r)[0],
    "sortino": lambda r, b: ratios.sortino(r)[0],
    "volatility": lambda r, b: ratios.volatility(r),
}


@pytest.mark.parametrize("measure", sorted(MEASURES))
def test_numbers_of_empyrical(measure: str) -> None:
    """Twenty series of 60 to 1,000 sessions with fat tails, to 1e-10 of the size (empyrical-reloaded 0.7.1)."""
    told = json.loads(GOLDEN.read_text(encoding="utf-8"))["series"]
    assert len(told) == 20
    for one in told:
        found = MEASURES[measure](*series(one["seed"], one["n"]))
        assert found == pytest.approx(one[measure], rel=1e-10, abs=1e-12), one["seed"]


def test_moments_of_scipy() -> None:
    """Skewness and excess kurtosis are the biased ones."""
    returns, benchmark = series(3, 500)
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
    returns, benchmark = series(5, 126)
    assert more.beta(returns, benchmark) == pytest.approx(whole("beta")(returns, benchmark), rel=1e-12)


def test_rolling_by_hand() -> None:
    """The first windows are not full; a window with an unknown return is not known."""
    found = more.rolling(2, lambda part: float(part.sum()), np.array([1.0, 2.0, math.nan, 4.0, 5.0]))
    assert np.isnan(found[[0, 2, 3]]).all()
    assert found[[1, 4]].tolist() == [3.0, 9.0]
