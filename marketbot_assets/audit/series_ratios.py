"""Two measures of a series against a benchmark for one window, and any measure window by window. Pure.

Definitions are those of empyrical, whose numbers the tests compare. Returns are simple, fractions per session; a year has
SESSIONS_PER_YEAR sessions. A number that cannot be computed is NaN. Not here: measures of whole series
(`research.return_measures`).
"""

import math
from collections.abc import Callable

import numpy as np

from marketbot_assets.audit.performance_ratios import linked
from marketbot_assets.normalization.window import Floats
from marketbot_resources.model import SESSIONS_PER_YEAR

NAN = math.nan


def beta(returns: Floats, benchmark: Floats) -> float:
    """Covariance with the benchmark over its variance."""
    if len(returns) < 2:
        return NAN
    apart = benchmark - benchmark.mean()
    spread = float(apart @ apart)
    return float(apart @ (returns - returns.mean())) / spread if spread > 0.0 else NAN


def capture(returns: Floats, benchmark: Floats, *, up: bool) -> float:
    """Growth per year over the benchmark's in the sessions in which the benchmark rose (`up`) or fell."""
    inside = benchmark > 0.0 if up else benchmark < 0.0
    theirs = _growth(benchmark[inside])
    return _growth(returns[inside]) / theirs if theirs else NAN


def _growth(returns: Floats) -> float:
    growth = 1.0 + linked(returns)
    return float(growth ** (SESSIONS_PER_YEAR / len(returns)) - 1.0) if len(returns) and growth > 0.0 else NAN


def rolling(count: int, measure: Callable[..., float], *series: Floats) -> Floats:
    """(T,) the measure over the last `count` entries of each series; NaN before there are as many, or where one is not known."""
    size = len(series[0])
    found = np.full(size, NAN)
    for end in range(count, size + 1):
        parts = [values[end - count : end] for values in series]
        if all(np.isfinite(part).all() for part in parts):
            found[end - 1] = measure(*parts)
    return found
