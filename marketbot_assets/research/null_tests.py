"""What a worthless signal shows: random signals, labels shuffled in time, blocks of a record drawn again. Pure.

A signal is (sessions, instruments) of scores, known before the returns of the same row; NaN: no opinion, no position. Its book is
dollar-neutral with gross 1, weights by rank. Not here: what it earns (`signal_trial`), verdicts (`promotion`).
"""

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from marketbot_assets.research.sharpe_statistics import moments
from marketbot_resources.model import SESSIONS_PER_YEAR

Floats = NDArray[np.float64]
NAMES_MIN = 3
DRAWS = 500


def random_signals(seed: int, sessions: int, instruments: int) -> Floats:
    """(sessions, instruments) independent standard normal scores."""
    return np.random.default_rng(seed).standard_normal((sessions, instruments))


def null_order(rows: int, seed: int) -> tuple[NDArray[np.int64], Floats]:
    """((rows,) another order of sessions, (rows, 1) signs): each session is taken as it was or turned round, by chance.

    Turned, because a name that rises throughout would rise in any order: what is left after that is a leak.
    """
    chance = np.random.default_rng(seed)
    order = np.asarray(chance.permutation(rows), dtype=np.int64)
    return order, np.asarray(chance.choice([-1.0, 1.0], (rows, 1)))


def rank_weights(scores: Floats) -> Floats:
    """(T, n) weights by rank of (T, n) scores: sum 0, gross 1. Equal scores share a rank; a row that knows fewer than three names,
    or no two different scores, has none.
    """
    from scipy.stats import rankdata

    known = np.isfinite(scores)
    ranks = rankdata(np.where(known, scores, np.inf), axis=1)
    count = known.sum(axis=1, keepdims=True)
    apart = np.where(known, ranks - (count + 1) / 2.0, 0.0)
    gross = np.abs(apart).sum(axis=1, keepdims=True)
    usable = (count >= NAMES_MIN) & (gross > 0.0)
    return np.asarray(np.where(usable, apart / np.where(gross > 0.0, gross, 1.0), 0.0))


def sharpe_interval(observations: int, confidence: float) -> float:
    """Half width of the interval in which the ratio per year of independent returns without worth lies (Lo 2002, ratio 0)."""
    return NormalDist().inv_cdf(0.5 + confidence / 2.0) * math.sqrt(SESSIONS_PER_YEAR / observations)


@lru_cache(maxsize=1)
def stationary_rows(seed: int, observations: int, block: float, draws: int) -> NDArray[np.int64]:
    """(draws, observations) row numbers of the stationary bootstrap: blocks of geometric length with mean `block`, wrapped round
    (Politis and Romano 1994). The newest answer is kept, and may not be written to.
    """
    if not block >= 1.0:
        raise ValueError(f"bootstrap: expected blocks of at least 1, found {block}")
    chance = np.random.default_rng(seed)
    begins = chance.random((draws, observations)) < 1.0 / block
    begins[:, 0] = True
    starts = chance.integers(0, observations, (draws, observations))
    place = np.arange(observations)
    begun = np.maximum.accumulate(np.where(begins, place, 0), axis=1)
    rows = np.asarray((np.take_along_axis(starts, begun, axis=1) + place - begun) % observations, dtype=np.int64)
    rows.flags.writeable = False
    return rows


def block_of(observations: int) -> float:
    """Mean length of a block: the cube root of the record's, the rate at which the bootstrap's error is least."""
    return max(1.0, round(observations ** (1.0 / 3.0)))


def bootstrap_p(returns: Floats, seed: int, *, draws: int = DRAWS) -> float:
    """Share of bootstrapped worthless records (the mean taken off) whose ratio is at least as high as that of (n,) returns.

    One is added above and below, so that it is never 0. NaN when the ratio is not known.
    """
    own = moments(returns).sharpe
    if not math.isfinite(own):
        return math.nan
    drawn = (returns - returns.mean())[stationary_rows(seed, len(returns), block_of(len(returns)), draws)]
    spread = drawn.std(axis=1, ddof=1)
    ratios = np.where(spread > 0.0, drawn.mean(axis=1) / np.where(spread > 0.0, spread, 1.0), 0.0)
    return float((1 + (ratios >= own).sum()) / (draws + 1))
