"""Effects of single periods as effects of the whole: they add up to the arithmetic excess over all periods. Pure.

An effect of one period cannot be summed over periods, for returns compound. Each method weighs a period's effects by a factor:
Carino (1999) by logarithms, Menchero (2000) by the smallest change from a common factor, GRAP (1997) by what came before and
after; Frongello (2002) carries effects along and gives the totals of GRAP. Sources as in Bacon (2008), chapter 8.
Not here: the effects (`brinson`, `currency_effects`, `factor_effects`).
"""

import math
from collections.abc import Sequence

import numpy as np

from marketbot_assets.normalization.window import Floats

EQUAL_WITHIN = 1e-8


def total_excess(returned: Sequence[float], benchmark: Sequence[float]) -> float:
    """Arithmetic excess of the compounded returns, simple, fractions."""
    return _grown(returned) - _grown(benchmark)


def carino(returned: Sequence[float], benchmark: Sequence[float]) -> Floats:
    """(periods,) factors k_t / k, k_t = (ln(1 + r) - ln(1 + b)) / (r - b). Raises ValueError for a loss of everything."""
    _checked(returned, benchmark)
    whole = _log_slope(_grown(returned) - 1.0, _grown(benchmark) - 1.0)
    return np.array([_log_slope(r, b) for r, b in zip(returned, benchmark, strict=True)]) / whole


def menchero(returned: Sequence[float], benchmark: Sequence[float]) -> Floats:
    """(periods,) factors M + a_t: M from the mean excess per period, a_t proportional to the period's excess.

    Where every period's excess is zero the factors are M. Raises ValueError for a loss of everything.
    """
    _checked(returned, benchmark)
    periods = len(returned)
    grown, base = _grown(returned), _grown(benchmark)
    excess = grown - base
    gap = math.pow(grown, 1.0 / periods) - math.pow(base, 1.0 / periods)
    if abs(excess) <= EQUAL_WITHIN * base:
        middle = math.pow(base, (periods - 1.0) / periods)
    else:
        middle = excess / periods / gap
    active = np.subtract(returned, benchmark)
    squares = math.fsum(active * active)
    slope = (excess - middle * math.fsum(active)) / squares if squares > 0.0 else 0.0
    return np.asarray(middle + slope * active, dtype=float)


def grap(returned: Sequence[float], benchmark: Sequence[float]) -> Floats:
    """(periods,) factors: the portfolio's growth before the period, times the benchmark's after it."""
    before = np.concatenate([[1.0], np.cumprod(1.0 + np.asarray(returned, dtype=float))[:-1]])
    after = np.cumprod(1.0 + np.asarray(benchmark, dtype=float)[::-1])[::-1]
    return before * np.concatenate([after[1:], [1.0]])


def frongello(effects: Sequence[Sequence[float]], returned: Sequence[float], benchmark: Sequence[float]) -> Floats:
    """(effects,) linked effects. `effects`: (periods, effects); each period's is scaled by the growth before it, and all that
    came before grow with the benchmark.
    """
    sums, growth = np.zeros(len(effects[0])), 1.0
    for row, mine, theirs in zip(effects, returned, benchmark, strict=True):
        sums = sums * (1.0 + theirs) + growth * np.asarray(row, dtype=float)
        growth *= 1.0 + mine
    return sums


def linked_effects(effects: Sequence[Sequence[float]], factors: Floats) -> Floats:
    """(effects,) sums over periods of factor times effect; `effects`: (periods, effects)."""
    table = np.asarray(effects, dtype=float)
    return np.array([math.fsum(factors * column) for column in table.T])


def _log_slope(mine: float, theirs: float) -> float:
    """(ln(1 + mine) - ln(1 + theirs)) / (mine - theirs), 1 / (1 + r) where the two are one."""
    step = (mine - theirs) / (1.0 + theirs)
    if abs(step) <= EQUAL_WITHIN:  # log1p(x) / x to second order: beyond the last bit here
        return (1.0 - step / 2.0) / (1.0 + theirs)
    return math.log1p(step) / (step * (1.0 + theirs))


def _grown(returns: Sequence[float]) -> float:
    return math.prod(1.0 + each for each in returns)


def _checked(returned: Sequence[float], benchmark: Sequence[float]) -> None:
    if len(returned) != len(benchmark) or not len(returned):
        raise ValueError("linking: expected two series of one length, at least one period")
    if not all(math.isfinite(each) and each > -1.0 for each in (*returned, *benchmark)):
        raise ValueError("linking: expected finite returns above -100 percent")
