"""Numbers that say what a score is worth: information coefficients, quantile portfolios, turnover, crowding. Pure.

Matrices are sessions by instruments, NaN is unknown. A score of session t was known at its cutoff. What counts for it begins
`delay` sessions later, because orders trade in the next session: with delay 1 at the close of t + 1. A session with too few
names has no number, and a mean over too few sessions is not known. Not here: which scores (`factor_evaluation_panel`), all
measures of one together (`factor_evaluation`).

Sources: Grinold and Kahn, Active Portfolio Management (2000), for the information coefficient and ratio; Newey and West (1987)
for errors of means over horizons that overlap.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marketbot_assets.audit.drift_parts import mean_error
from marketbot_assets.insight.evidence import NAMES_MIN
from marketbot_assets.insight.name_views import rank_correlation
from marketbot_assets.normalization.window import Flags, Floats

QUANTILES = 5
PER_QUANTILE_MIN = 2
SESSIONS_MIN = 20
HORIZONS_MIN = 5
PEERS_MIN = 2
CHUNK = 32  # sessions whose correlations are held at once
NAN = math.nan


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over sessions. `sd`: over sessions, ddof 1; `error`: of the mean, for horizons that overlap; `t`: mean over error.

    `observations`: sessions with a number; `apart`: how many horizons of them do not overlap. With fewer than SESSIONS_MIN
    sessions or HORIZONS_MIN such horizons everything but the counts is NaN: not known.
    """

    mean: float
    sd: float
    error: float
    t: float
    observations: int
    apart: int

    @property
    def known(self) -> bool:
        """Whether it rests on enough."""
        return math.isfinite(self.mean)

    @property
    def ratio(self) -> float:
        """Mean over standard deviation per session: the information ratio of coefficients; NaN without spread."""
        return self.mean / self.sd if math.isfinite(self.mean) and self.sd > 0.0 else NAN


def estimate(values: Floats, horizon: int = 1) -> Estimate:
    """Of (T,) values in order, each over `horizon` sessions; values that are not finite are left out."""
    known = values[np.isfinite(values)]
    count, apart = len(known), len(known) // max(horizon, 1)
    if count < SESSIONS_MIN or apart < HORIZONS_MIN:
        return Estimate(NAN, NAN, NAN, NAN, count, apart)
    mean, error = float(known.mean()), float(mean_error(known, max(horizon, 1)))
    t = mean / error if math.isfinite(error) and error > 0.0 else NAN
    return Estimate(mean, float(known.std(ddof=1)), error, t, count, apart)


def forward_returns(returns: Floats, horizon: int, delay: int) -> Floats:
    """(T, n) compound returns of the `horizon` sessions after the first `delay` ones that follow each row.

    NaN where one of them is unknown or has not come yet.
    """
    if horizon < 1 or delay < 0:
        raise ValueError(f"forward returns: expected a horizon from 1 and a delay from 0, found {horizon} and {delay}")
    out = np.full(returns.shape, np.nan)
    rows = len(returns) - delay - horizon
    if rows > 0:
        grown = np.ones((rows, returns.shape[1]))
        for step in range(delay + 1, delay + horizon + 1):
            grown *= 1.0 + returns[step : step + rows]
        out[:rows] = np.where(np.isfinite(grown), grown - 1.0, np.nan)
    return out


def session_ranks(scores: Floats) -> Floats:
    """(T, n) ranks from 1 among each session's known scores, equal ones at their mean rank; NaN for unknown ones."""
    from scipy.stats import rankdata

    known = np.isfinite(scores)
    return np.where(known, rankdata(np.where(known, scores, np.inf), axis=1), np.nan)


def rank_correlations(first: Floats, second: Floats, least: int = NAMES_MIN) -> Floats:
    """(T,) Spearman's rank correlation of each session over names that both know; NaN with fewer than `least`, or when either
    tells no names apart.
    """
    both = np.isfinite(first) & np.isfinite(second)
    count = both.sum(axis=1)
    middle = (count[:, None] + 1) / 2.0
    a, b = (np.where(both, session_ranks(np.where(both, side, np.nan)) - middle, 0.0) for side in (first, second))
    scale = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    usable = (count >= least) & (scale > 0.0)
    found = np.divide((a * b).sum(axis=1), scale, out=np.full(len(first), np.nan), where=usable)
    return np.clip(found, -1.0, 1.0)


def quantile_numbers(scores: Floats, quantiles: int = QUANTILES) -> Floats:
    """(T, n) number of the quantile, from 1 (lowest scores); NaN for unknown scores and sessions with too few of them.

    The borders are linear quantiles of the ranks, so without equal scores the parts are those of pandas' `qcut`.
    """
    ranks = session_ranks(scores)
    count = np.isfinite(scores).sum(axis=1, keepdims=True)
    place = (ranks - 1.0) * quantiles / np.maximum(count - 1, 1)
    number = np.clip(np.ceil(place - 1e-9), 1, quantiles)
    return np.where(count >= quantiles * PER_QUANTILE_MIN, number, np.nan)


def quantile_returns(numbers: Floats, ahead: Floats, quantiles: int = QUANTILES) -> Floats:
    """(T, quantiles) mean return of each quantile, equal weights, beyond the mean of all names in a quantile.

    `ahead`: (T, n) forward returns; NaN in a session in which a quantile holds no name whose return is known.
    """
    both = np.isfinite(numbers) & np.isfinite(ahead)
    moves = np.where(both, ahead, 0.0)
    count = both.sum(axis=1)
    market = np.divide(moves.sum(axis=1), count, out=np.full(len(numbers), np.nan), where=count > 0)
    columns = []
    for number in range(1, quantiles + 1):
        own = both & (numbers == number)
        held = own.sum(axis=1)
        total = np.where(own, moves, 0.0).sum(axis=1)
        mean = np.divide(total, held, out=np.full(len(numbers), np.nan), where=held > 0)
        columns.append(mean - market)
    return np.column_stack(columns)


def monotonicity(means: Sequence[float]) -> float:
    """Rank correlation of the quantiles' numbers with their mean returns: 1 when each earns more than the one below, -1 when each
    earns less; NaN when one is not known.
    """
    values = np.array(means, dtype=np.float64)
    return rank_correlation(np.arange(len(values), dtype=np.float64), values) if np.isfinite(values).all() else NAN


def quantile_turnover(numbers: Floats, number: int, sessions: int) -> Floats:
    """(T,) share of a quantile's names that were not in it `sessions` before; NaN where either of the two is empty."""
    out = np.full(len(numbers), np.nan)
    if 0 < sessions < len(numbers):
        now, before = numbers[sessions:] == number, numbers[:-sessions] == number
        held, fresh = now.sum(axis=1), (now & ~before).sum(axis=1)
        usable = (held > 0) & (before.sum(axis=1) > 0)
        out[sessions:] = np.divide(fresh, held, out=np.full(len(held), np.nan), where=usable)
    return out


def rank_autocorrelation(scores: Floats, sessions: int) -> Floats:
    """(T,) rank correlation of scores with those `sessions` before."""
    out = np.full(len(scores), np.nan)
    if 0 < sessions < len(scores):
        out[sessions:] = rank_correlations(scores[sessions:], scores[:-sessions])
    return out


def within_groups(values: Floats, groups: Sequence[str], unknown: Sequence[str] = ()) -> Floats:
    """(T, n) values less the mean of their group in the session. NaN in a group with fewer than PEERS_MIN known values and in the
    groups `unknown`.
    """
    member = np.array(groups, dtype=str)
    out = np.full(values.shape, np.nan)
    for name in sorted(set(groups) - set(unknown)):
        own = values[:, member == name]
        known = np.isfinite(own)
        count = known.sum(axis=1, keepdims=True)
        total = np.where(known, own, 0.0).sum(axis=1, keepdims=True)
        mean = np.divide(total, count, out=np.full(count.shape, np.nan), where=count >= PEERS_MIN)
        out[:, member == name] = own - mean
    return out


def coverage(scores: Floats, universe: Flags) -> Floats:
    """(T,) share of the universe's names that have a score; NaN in a session without a universe."""
    count = universe.sum(axis=1)
    known = (np.isfinite(scores) & universe).sum(axis=1)
    return np.divide(known, count, out=np.full(len(scores), np.nan), where=count > 0)


def pairwise_correlations(scores: Sequence[Floats], least: int = NAMES_MIN) -> tuple[Floats, NDArray[np.int64]]:
    """((k, k) mean over sessions of the correlations of the ranks of k scores, (k, k) sessions that have one).

    Over names that both know; ranks are those among all names that a score knows: with equal coverage this is Spearman's. A
    session with fewer than `least` names, or in which one tells no names apart, has none. NaN below SESSIONS_MIN sessions.
    """
    many = len(scores)
    total, counted = np.zeros((many, many)), np.zeros((many, many), dtype=np.int64)
    for start in range(0, len(scores[0]) if many else 0, CHUNK):
        found = _correlations(np.stack([session_ranks(one[start : start + CHUNK]) for one in scores], axis=1), least)
        for session in found:
            known = np.isfinite(session)
            total += np.where(known, session, 0.0)
            counted += known
    usable = counted >= SESSIONS_MIN
    return np.divide(total, counted, out=np.full(total.shape, np.nan), where=usable), counted


def _correlations(ranks: Floats, least: int) -> Floats:
    """(T, k, k) of (T, k, n) ranks. Ranks are halves, so the sums are exact in any order."""
    known = np.isfinite(ranks).astype(np.float64)
    filled = np.where(known > 0.0, ranks, 0.0)
    turned = known.transpose(0, 2, 1)
    count, first = known @ turned, filled @ turned
    squares, products = (filled * filled) @ turned, filled @ filled.transpose(0, 2, 1)
    spread = count * squares - first * first
    scale = np.sqrt(np.maximum(spread * spread.transpose(0, 2, 1), 0.0))
    apart = count * products - first * first.transpose(0, 2, 1)
    usable = (count >= least) & (scale > 0.0)
    return np.clip(np.divide(apart, scale, out=np.full(scale.shape, np.nan), where=usable), -1.0, 1.0)


def variance_share(book: Floats, spread: Floats, least: int = 3 * SESSIONS_MIN) -> tuple[float, int]:
    """(share of the variance of the book's returns that a portfolio's returns explain alone, sessions that both know).

    Both (T,), of the same sessions: the squared correlation. The share is NaN with fewer than `least` sessions or without
    variance.
    """
    both = np.isfinite(book) & np.isfinite(spread)
    if both.sum() < least:
        return NAN, int(both.sum())
    a, b = (side[both] - side[both].mean() for side in (book, spread))
    scale = float(a @ a) * float(b @ b)
    return (min(float(a @ b) ** 2 / scale, 1.0) if scale > 0.0 else NAN), int(both.sum())


def above_usual_volatility(levels: Floats, sessions: int = 21, window: int = 252) -> float:
    """1 when the volatility of the last `sessions` returns of an index is above the median of the last `window` such numbers, the
    newest included, else 0; NaN when one is not known. `levels`: (m,) up to the cutoff, oldest first.
    """
    if len(levels) < sessions + window:
        return NAN
    recent = levels[-sessions - window :]
    moves = np.lib.stride_tricks.sliding_window_view(recent[1:] / recent[:-1] - 1.0, sessions)
    volatility = moves.std(axis=1, ddof=1)
    return float(volatility[-1] > np.median(volatility)) if np.isfinite(volatility).all() else NAN
