"""What a Sharpe ratio is worth after its length, its tails and the number of trials behind it. Pure.

All ratios are per period of the returns (per session), never per year, unless a name says so. Anything that is not finite gives
NaN, and no rule passes on a NaN. Sources: Bailey and Lopez de Prado, The Sharpe Ratio Efficient Frontier (2012) and The Deflated
Sharpe Ratio (2014); Bailey, Borwein, Lopez de Prado and Zhu, Pseudo-Mathematics and Financial Charlatanism (2014). Not here:
cross-validation (`cross_validation`), backtest overfitting (`overfitting`), what is done about it (`promotion`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from marketbot_resources.model import SESSIONS_PER_YEAR

Floats = NDArray[np.float64]
NAN = math.nan
EULER = 0.5772156649015329
NORMAL = NormalDist()
OBSERVATIONS_MIN = 3
ROUNDING = 1e-12
LINKED = 0.5  # trials whose average correlation within a cluster is above this are one


@dataclass(frozen=True, slots=True)
class Moments:
    """What the statistics need of (n,) returns. `sharpe`: mean over deviation (ddof 1); `skewness`, `kurtosis`: of the sample
    (divided by n), a normal one has 0 and 3.
    """

    sharpe: float
    skewness: float
    kurtosis: float
    observations: int


def moments(returns: Floats) -> Moments:
    """Moments of (n,) simple returns; NaN below three, with one that is not finite, or when they differ by rounding alone."""
    n = len(returns)
    size = float(np.abs(returns).max()) if n else 0.0
    if n < OBSERVATIONS_MIN or not (math.isfinite(size) and size > 0.0) or float(np.ptp(returns / size)) <= ROUNDING:
        return Moments(NAN, NAN, NAN, n)
    scaled = returns / size  # squares neither vanish nor overflow
    apart = scaled - scaled.mean()
    spread = math.sqrt(float(np.mean(apart**2)))
    unit = apart / spread
    ratio = float(scaled.mean()) / spread * math.sqrt((n - 1) / n)
    return Moments(ratio, float(np.mean(unit**3)), float(np.mean(unit**4)), n)


def sharpe_variance(found: Moments) -> float:
    """Variance of the ratio's estimate times (n - 1): 1 - g3 s + (g4 - 1) s^2 / 4 (Mertens 2002). NaN when it is not positive."""
    value = 1.0 - found.skewness * found.sharpe + (found.kurtosis - 1.0) / 4.0 * found.sharpe * found.sharpe
    return value if math.isfinite(value) and value > 0.0 else NAN


def sharpe_error(found: Moments) -> float:
    """Standard error of the ratio; NaN when it is not known."""
    return math.sqrt(sharpe_variance(found) / (found.observations - 1)) if found.observations > 1 else NAN


def probabilistic_sharpe(found: Moments, benchmark: float) -> float:
    """Probability that the true ratio is above `benchmark`, given length, skewness and kurtosis."""
    score = (found.sharpe - benchmark) / sharpe_error(found)
    return NORMAL.cdf(score) if math.isfinite(score) else NAN


def expected_maximum(trials: float) -> float:
    """Mean of the largest of `trials` independent standard normal numbers, by the approximation of Bailey and Lopez de Prado.

    0 for one trial. It may be no whole number, as an effective count is. NaN below one.
    """
    if not (math.isfinite(trials) and trials >= 1.0):
        return NAN
    if trials == 1.0:
        return 0.0
    first = NORMAL.inv_cdf(1.0 - 1.0 / trials)
    return max(0.0, (1.0 - EULER) * first + EULER * NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e)))


def expected_maximum_sharpe(trials: float, variance: float) -> float:
    """The largest ratio to be expected of `trials` worthless ones whose ratios vary by `variance` (per period squared)."""
    if not (math.isfinite(variance) and variance >= 0.0):
        return NAN
    return math.sqrt(variance) * expected_maximum(trials)


def deflated_sharpe(found: Moments, trials: float, variance: float) -> float:
    """Probability that the true ratio is above what the best of so many worthless trials would have shown."""
    return probabilistic_sharpe(found, expected_maximum_sharpe(trials, variance))


def minimum_track_record(found: Moments, benchmark: float, confidence: float) -> float:
    """Observations after which a record like this one is above `benchmark` with this confidence; infinite when it is not above."""
    if not math.isfinite(found.sharpe - benchmark) or not 0.0 < confidence < 1.0:
        return NAN
    if found.sharpe <= benchmark:
        return math.inf
    away = NORMAL.inv_cdf(confidence) / (found.sharpe - benchmark)
    return 1.0 + sharpe_variance(found) * (away * away)


def minimum_backtest_years(trials: float, sharpe_per_year: float = 1.0) -> float:
    """Years below which the best of `trials` worthless configurations is expected to show this ratio per year."""
    if not (math.isfinite(sharpe_per_year) and sharpe_per_year > 0.0):
        return NAN
    away = expected_maximum(trials) / sharpe_per_year
    return away * away


def per_year(ratio: float) -> float:
    """A ratio per session as one per year, for independent returns."""
    return ratio * math.sqrt(SESSIONS_PER_YEAR)


def correlations(returns: Floats) -> Floats:
    """(N, N) correlations of (T, N) trials' returns; that of a constant trial with any other is 0.

    Raises ValueError for a return that is not finite.
    """
    if returns.ndim != 2 or len(returns) < OBSERVATIONS_MIN or not np.isfinite(returns).all():
        raise ValueError(f"trials: expected at least {OBSERVATIONS_MIN} rows of finite returns, found {returns.shape}")
    apart = returns - returns.mean(axis=0)
    length = np.sqrt((apart**2).sum(axis=0))
    unit = apart / np.where(length > 0.0, length, 1.0)
    found = np.clip(unit.T @ unit, -1.0, 1.0)
    np.fill_diagonal(found, 1.0)
    return np.asarray(found)


def effective_trials(returns: Floats) -> float:
    """How many independent trials (T, N) returns are worth by their average correlation r: r + (1 - r) N (2014, appendix 3).

    Between 1 and N; a negative average counts as zero.
    """
    found = correlations(returns)
    n = len(found)
    if n == 1:
        return 1.0
    mean = float((found.sum() - n) / (n * (n - 1)))
    mean = min(max(mean, 0.0), 1.0)
    return mean + (1.0 - mean) * n


def clustered_trials(returns: Floats) -> int:
    """How many clusters (T, N) returns make: average linkage on sqrt((1 - correlation) / 2), joined above LINKED."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    found = correlations(returns)
    if len(found) == 1:
        return 1
    apart = np.sqrt(np.maximum(1.0 - found, 0.0) / 2.0)
    tree = linkage(squareform(apart, checks=False), method="average")
    return int(fcluster(tree, t=math.sqrt((1.0 - LINKED) / 2.0), criterion="distance").max())


def variance_of_trials(ratios: Sequence[float]) -> float:
    """Variance (ddof 1) of trials' ratios per period; 0 for one, NaN when one is not known."""
    values = np.asarray(ratios, dtype=np.float64)
    if not len(values) or not np.isfinite(values).all():
        return NAN
    return float(values.var(ddof=1)) if len(values) > 1 else 0.0
