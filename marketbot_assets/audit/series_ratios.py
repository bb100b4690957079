"""What a tear sheet tells of a series of returns beyond `performance_ratios`: tails, capture, regression on a benchmark. Pure.

Definitions are those of empyrical, whose numbers the tests compare. Returns are simple, fractions per session; a year has
SESSIONS_PER_YEAR sessions; VaR and ES are positive losses. A number that cannot be computed is NaN.
"""

import math
from collections.abc import Callable

import numpy as np

from marketbot_assets.audit.performance_ratios import linked
from marketbot_assets.normalization.window import Floats
from marketbot_resources.model import SESSIONS_PER_YEAR

NAN = math.nan


def annual_return(returns: Floats) -> float:
    """Compound growth per year, also of less than a year; NaN for none or a loss of everything."""
    growth = 1.0 + linked(returns)
    return float(growth ** (SESSIONS_PER_YEAR / len(returns)) - 1.0) if len(returns) and growth > 0.0 else NAN


def deepest(returns: Floats) -> float:
    """The largest fall from a high, the start included; positive."""
    wealth = np.concatenate([[1.0], np.cumprod(1.0 + returns)])
    return float((1.0 - wealth / np.maximum.accumulate(wealth)).max())


def calmar(returns: Floats) -> float:
    """Growth per year over the deepest drawdown."""
    fall = deepest(returns)
    return annual_return(returns) / fall if fall > 0.0 else NAN


def omega(returns: Floats) -> float:
    """Sum of gains over sum of losses."""
    losses = -float(np.minimum(returns, 0.0).sum())
    return float(np.maximum(returns, 0.0).sum()) / losses if losses > 0.0 else NAN


def value_at_risk(returns: Floats, tail: float) -> float:
    """The loss that the worst share `tail` of the sessions exceeds, by linear interpolation of the ordered returns."""
    return -float(np.percentile(returns, 100.0 * tail)) if len(returns) else NAN


def expected_shortfall(returns: Floats, tail: float) -> float:
    """Mean loss of the floor((n - 1) * tail) + 1 worst sessions."""
    count = int((len(returns) - 1) * tail) + 1
    return -float(np.sort(returns)[:count].mean()) if len(returns) else NAN


def skewness(returns: Floats) -> float:
    """Third moment over the cube of the deviation (ddof 0)."""
    apart = returns - returns.mean()
    spread = math.sqrt(float((apart**2).mean()))
    return float((apart**3).mean()) / spread**3 if spread > 0.0 else NAN


def excess_kurtosis(returns: Floats) -> float:
    """Fourth moment over the fourth power of the deviation (ddof 0), less 3."""
    apart = returns - returns.mean()
    variance = float((apart**2).mean())
    return float((apart**4).mean()) / variance**2 - 3.0 if variance > 0.0 else NAN


def tail_ratio(returns: Floats) -> float:
    """The 95th percentile of the returns over the 5th, both absolute."""
    low, high = np.percentile(returns, [5.0, 95.0]) if len(returns) else (NAN, NAN)
    return float(abs(high) / abs(low)) if low != 0.0 else NAN


def stability(returns: Floats) -> float:
    """R squared of cumulated log returns on time."""
    if len(returns) < 2 or not (returns > -1.0).all():
        return NAN
    wealth = np.cumsum(np.log1p(returns))
    if not float(np.ptp(wealth)) > 0.0:
        return NAN
    return float(np.corrcoef(np.arange(len(wealth)), wealth)[0, 1] ** 2)


def beta(returns: Floats, benchmark: Floats) -> float:
    """Covariance with the benchmark over its variance."""
    if len(returns) < 2:
        return NAN
    apart = benchmark - benchmark.mean()
    spread = float(apart @ apart)
    return float(apart @ (returns - returns.mean())) / spread if spread > 0.0 else NAN


def alpha(returns: Floats, benchmark: Floats) -> float:
    """What the regression on the benchmark leaves per session, compounded to a year."""
    slope = beta(returns, benchmark)
    return float((1.0 + (returns - slope * benchmark).mean()) ** SESSIONS_PER_YEAR - 1.0) if len(returns) else NAN


def information_ratio(returns: Floats, benchmark: Floats) -> float:
    """Mean over deviation (ddof 1) of the difference, per session."""
    active = returns - benchmark
    spread = float(active.std(ddof=1)) if len(active) > 1 else 0.0
    return float(active.mean()) / spread if spread > 0.0 else NAN


def capture(returns: Floats, benchmark: Floats, *, up: bool) -> float:
    """Growth per year over the benchmark's in the sessions in which the benchmark rose (`up`) or fell."""
    inside = benchmark > 0.0 if up else benchmark < 0.0
    theirs = annual_return(benchmark[inside])
    return annual_return(returns[inside]) / theirs if theirs else NAN


def rolling(count: int, measure: Callable[..., float], *series: Floats) -> Floats:
    """(T,) the measure over the last `count` entries of each series; NaN before there are as many, or where one is not known."""
    size = len(series[0])
    found = np.full(size, NAN)
    for end in range(count, size + 1):
        parts = [values[end - count : end] for values in series]
        if all(np.isfinite(part).all() for part in parts):
            found[end - 1] = measure(*parts)
    return found
