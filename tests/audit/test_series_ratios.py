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

GOLDEN = Path(__file__).parent / "golden" / "empyrical.json"
Floats = np.ndarray


def series(seed: int, n: int) -> tuple[Floats, Floats]:
    """The returns and their benchmark that empyrical was given, to six digits."""
    draw = np.random.default_rng(seed)
    benchmark = draw.standard_t(4, n) * 0.008 + 0.0003
    return np.round(0.6 * benchmark + draw.standard_t(4, n) * 0.006 + 0.0002, 6), np.round(benchmark, 6)


MEASURES: dict[str, Callable[[Floats, Floats], float]] = {
    "annual_return": lambda r, b: more.annual_return(r),
    "calmar": lambda r, b: more.calmar(r),
    "omega": lambda r, b: more.omega(r),
    "value_at_risk": lambda r, b: more.value_at_risk(r, 0.05),
    "expected_shortfall": lambda r, b: more.expected_shortfall(r, 0.05),
    "tail_ratio": lambda r, b: more.tail_ratio(r),
    "stability": lambda r, b: more.stability(r),
    "beta": more.beta,
    "alpha": more.alpha,
    "information_ratio": more.information_ratio,
    "up": lambda r, b: more.capture(r, b, up=True),
    "down": lambda r, b: more.capture(r, b, up=False),
    "deepest": lambda r, b: more.deepest(r),
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
    returns, _ = series(3, 500)
    assert more.skewness(returns) == pytest.approx(stats.skew(returns), abs=1e-12)
    assert more.excess_kurtosis(returns) == pytest.approx(stats.kurtosis(returns), abs=1e-12)


def test_what_has_no_answer_is_nan() -> None:
    """No entry, no variation, no loss: NaN, never a number out of the air."""
    none, flat = np.zeros(0), np.zeros(5)
    assert all(math.isnan(more.value_at_risk(none, 0.05) if n == 0 else more.annual_return(none)) for n in range(2))
    found = [
        more.calmar(flat),
        more.omega(flat),
        more.skewness(flat),
        more.excess_kurtosis(flat),
        more.tail_ratio(flat),
    ]
    found += [
        more.stability(flat),
        more.beta(flat, flat),
        more.information_ratio(flat, flat),
        more.capture(flat, flat, up=True),
    ]
    assert all(math.isnan(value) for value in found)


def test_rolling_by_hand() -> None:
    """The first windows are not full; a window with an unknown return is not known."""
    found = more.rolling(2, lambda part: float(part.sum()), np.array([1.0, 2.0, math.nan, 4.0, 5.0]))
    assert np.isnan(found[[0, 2, 3]]).all()
    assert found[[1, 4]].tolist() == [3.0, 9.0]
