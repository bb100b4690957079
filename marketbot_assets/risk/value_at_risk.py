"""Value at risk and expected shortfall of one session by four methods, on arrays alone. Pure.

Losses are positive fractions of NAV. Historical: order statistics; filtered: each instrument's history rescaled to today's
EWMA volatility (Hull and White 1998); normal; Cornish and Fisher (1937), only where its quantile map rises. Not here: limits
(`model_controls`), the table (`risk_report`).
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# The domain on which a Cornish-Fisher quantile must rise to be used at all.
DOMAIN = (0.005, 0.5)
_NORMAL = NormalDist()
_EDGE = 1e-9


def historical_var(losses: Floats, level: float) -> Floats:
    """Smallest loss that at least `level` of the cases do not exceed, per column: (T, c) -> (c,).

    This is the inverse of the empirical distribution, without interpolation. NaN in a column gives NaN. Needs T >= 1.
    """
    place = min(int((1.0 - level) * len(losses) + _EDGE), len(losses) - 1)
    ordered = np.sort(losses, axis=0)[::-1][place]
    return np.asarray(np.where(np.isfinite(losses).all(axis=0), ordered, np.nan))


def historical_es(losses: Floats, level: float) -> Floats:
    """Mean of the worst 1 - level of the cases per column, the case on the edge in part: (T, c) -> (c,).

    Rockafellar and Uryasev (2000) for the empirical distribution. NaN in a column gives NaN. Needs T >= 1.
    """
    size = max((1.0 - level) * len(losses), 1.0)
    share = np.clip(size - np.arange(len(losses)), 0.0, 1.0)
    known = np.isfinite(losses).all(axis=0)
    mean = share @ np.sort(np.where(known, losses, 0.0), axis=0)[::-1] / size
    return np.asarray(np.where(known, mean, np.nan))


def filtered(returns: Floats, halflife: float) -> Floats:
    """(T, n) returns, each divided by its EWMA volatility of the day before and multiplied by today's: Hull and White (1998).

    A return of exactly 0 is a missing one: it stays 0 and moves no estimate, so that the gap before a young name's first bar
    does not make that bar look huge. The recursion v' = d v + (1 - d) r^2 starts from the mean square of the known returns and
    is written out, so that all sessions come at once; a column with NaN is NaN. T half-lives must fit a float: T < 1000 h.
    """
    decay, known = 0.5 ** (1.0 / halflife), returns != 0.0
    squares, after = returns**2, known.cumsum(axis=0)
    start = squares.sum(axis=0) / np.maximum(after[-1], 1)
    growth = np.exp2(np.arange(len(returns) + 1) / halflife)[after]
    variance = (start + (1.0 - decay) * (squares * growth).cumsum(axis=0)) / growth
    before = np.vstack([start, variance[:-1]])
    ratio = np.sqrt(np.divide(variance[-1], before, out=np.ones_like(before), where=before != 0.0))
    return np.asarray(returns * ratio)


@lru_cache(maxsize=16)
def ewma_weights(sessions: int, halflife: float) -> Floats:
    """(T,) weights of an exponentially weighted mean, sum 1, newest session last. Read-only: many books share them."""
    decay = 0.5 ** (np.arange(sessions)[::-1] / halflife)
    found = np.asarray(decay / decay.sum())
    found.flags.writeable = False
    return found


def normal_var(sigma: float, level: float, mean: float = 0.0) -> float:
    """Value at risk of normal returns with this mean and standard deviation per session."""
    return _NORMAL.inv_cdf(level) * sigma - mean


def normal_es_factor(level: float) -> float:
    """Expected shortfall of standard normal losses: density at the quantile over the tail."""
    return _NORMAL.pdf(_NORMAL.inv_cdf(level)) / (1.0 - level)


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean and standard deviation (ddof 0) per session, skewness, excess kurtosis."""

    mean: float
    sigma: float
    skew: float
    kurtosis: float


def moments(returns: Floats) -> Moments:
    """Moments of returns (T,); skewness and kurtosis are 0 without any spread. NaN in, NaN out."""
    mean = float(np.mean(returns))
    centred = returns - mean
    variance = float(np.mean(centred**2))
    if variance == 0.0:
        return Moments(mean, 0.0, 0.0, 0.0)
    sigma = math.sqrt(variance)
    skew = float(np.mean(centred**3)) / sigma**3
    return Moments(mean, sigma, skew, float(np.mean(centred**4)) / variance**2 - 3.0)


def cornish_fisher_z(z: float, skew: float, kurtosis: float) -> float:
    """Quantile of a standardized variable with this skewness and excess kurtosis, from the normal quantile z."""
    third, fourth = (z**3 - 3.0 * z) * kurtosis / 24.0, (2.0 * z**3 - 5.0 * z) * skew**2 / 36.0
    return z + (z**2 - 1.0) * skew / 6.0 + third - fourth


def is_monotone(skew: float, kurtosis: float) -> bool:
    """Whether the Cornish-Fisher quantile rises everywhere on `DOMAIN`; False for NaN.

    Its slope is a parabola in z; the least value lies at an end or at the vertex.
    """
    if not (math.isfinite(skew) and math.isfinite(kurtosis)):
        return False
    a, b = kurtosis / 8.0 - skew**2 / 6.0, skew / 3.0
    c = 1.0 - kurtosis / 8.0 + 5.0 * skew**2 / 36.0
    low, high = (_NORMAL.inv_cdf(p) for p in DOMAIN)
    places = [low, high]
    if a > 0.0 and low < -b / (2.0 * a) < high:
        places.append(-b / (2.0 * a))
    return min(a * z * z + b * z + c for z in places) > 0.0


def cornish_fisher_var(of: Moments, level: float) -> float:
    """Value at risk from four moments, whether or not the quantile map rises: ask `is_monotone`."""
    return -of.mean - of.sigma * cornish_fisher_z(_NORMAL.inv_cdf(1.0 - level), of.skew, of.kurtosis)


METHODS = ("historical", "filtered", "normal", "cornish_fisher")


def var_by_method(moves: Floats, filtered_moves: Floats, sigma: float, level: float) -> dict[str, float]:
    """Value at risk of one book by each of `METHODS`. `moves`, `filtered_moves`: its returns (T,); `sigma` per session.

    Cornish-Fisher falls back to the larger of historical and normal where its map does not rise.
    """
    found = {
        "historical": float(historical_var(-moves[:, None], level)[0]),
        "filtered": float(historical_var(-filtered_moves[:, None], level)[0]),
        "normal": normal_var(sigma, level),
    }
    of = moments(moves)
    plain = float(np.maximum(found["historical"], normal_var(of.sigma, level, of.mean)))
    found["cornish_fisher"] = cornish_fisher_var(of, level) if is_monotone(of.skew, of.kurtosis) else plain
    return found
