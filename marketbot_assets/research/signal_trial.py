"""From a signal to evidence: its direction learnt on the past alone, its record out of sample, paths, intervals, null tests. Pure.

The model is the smallest there is: the sign of what the signal's book of ranks earned on the training rows, and an interval for the
book's next return from the quantiles of those. Random signals, planted ones and later the forecasts pass the same gate.
Not here: the gate (`promotion`), what a trial leaves in the ledger (`model_trials`).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marketbot_assets.research.cross_validation import (
    combinatorial_splits,
    embargo_of,
    path_returns,
    path_sharpes,
    walk_forward,
)
from marketbot_assets.research.null_tests import null_order, rank_weights
from marketbot_assets.research.promotion import COST_MULTIPLE, Evidence
from marketbot_assets.research.sharpe_statistics import moments, per_year

Floats = NDArray[np.float64]
INTERVAL_LEVEL = 0.80
FIRST_SHARE, REFIT_ROWS = 0.25, 21
GROUPS, TEST_GROUPS = 6, 2


@dataclass(frozen=True, slots=True)
class Book:
    """A signal's book. `weights`: (T, n) of gross 1; `returns`: (T, n) of the same rows; `earned`: (T,) before costs."""

    weights: Floats
    returns: Floats
    earned: Floats

    def after(self, sign: Floats, cost_bps: float) -> Floats:
        """(T,) returns with the book taken in the direction `sign`, after `cost_bps` of what is traded; drift is left out."""
        held = sign[:, None] * self.weights
        traded = np.abs(np.diff(held, axis=0, prepend=np.zeros((1, held.shape[1])))).sum(axis=1)
        return np.asarray(sign * self.earned - traded * cost_bps / 1e4)


def book_of(scores: Floats, returns: Floats) -> Book:
    """The book of (T, n) scores, known before the (T, n) returns of the same row.

    A position in a name whose return is not known makes the session NaN: what it earned is not known.
    """
    if scores.shape != returns.shape:
        raise ValueError(f"signal: expected scores and returns of one shape, found {scores.shape} and {returns.shape}")
    weights = rank_weights(scores)
    earned = np.where(weights != 0.0, weights * returns, 0.0).sum(axis=1)
    return Book(weights, returns, np.asarray(earned))


def direction(earned: Floats) -> float:
    """1, -1 or, where the past says nothing, 0."""
    mean = float(earned.mean()) if len(earned) else math.nan
    return math.copysign(1.0, mean) if math.isfinite(mean) and mean != 0.0 else 0.0


def evaluate(
    scores: Floats, returns: Floats, *, cost_bps: float, spec_sha256: str, data_sha256: str, seed: int, horizon: int = 1
) -> Evidence:
    """Evidence of a signal: walk-forward from a quarter of the past on, refitted monthly; six blocks, two of them tested.

    `horizon`: sessions until a row's label is known; `seed`: of the order in which labels are shuffled.
    """
    book, rows = book_of(scores, returns), len(returns)
    embargo, first = embargo_of(rows), max(2, round(rows * FIRST_SHARE))
    sign, low, high = (np.zeros(rows) for _ in range(3))
    for split in walk_forward(rows, first, REFIT_ROWS, horizon, embargo):
        past = book.earned[split.train]
        sign[split.test] = way = direction(past)
        tail = (1.0 - INTERVAL_LEVEL) / 2.0
        low[split.test], high[split.test] = (
            np.quantile(way * past, (tail, 1.0 - tail)) if len(past) else (math.nan, math.nan)
        )
    outcome = (sign * book.earned)[first:]
    inside = (low[first:] <= outcome) & (outcome <= high[first:])
    return Evidence(
        spec_sha256=spec_sha256,
        data_sha256=data_sha256,
        returns=book.after(sign, cost_bps)[first:],
        costly=book.after(sign, COST_MULTIPLE * cost_bps)[first:],
        paths=_paths(book, cost_bps, horizon, embargo),
        interval_level=INTERVAL_LEVEL,
        interval_hits=int(inside.sum()),
        interval_count=len(outcome),
        shuffled=_shuffled(scores, returns, seed),
        contaminated=False,
    )


def _paths(book: Book, cost_bps: float, horizon: int, embargo: int) -> Floats:
    rows = len(book.earned)
    tested = []
    for split in combinatorial_splits(rows, GROUPS, TEST_GROUPS, horizon=horizon, embargo=embargo):
        way = np.full(rows, direction(book.earned[split.train]))
        tested.append(book.after(way, cost_bps)[split.test])
    return path_sharpes(path_returns(rows, GROUPS, TEST_GROUPS, tested))


def _shuffled(scores: Floats, returns: Floats, seed: int) -> float:
    """The whole procedure on sessions in another order, each turned round or not: its ratio per year before costs."""
    rows = len(returns)
    order, way = null_order(rows, seed)
    book = book_of(scores, way * returns[order])
    first = max(2, round(rows * FIRST_SHARE))
    sign = np.zeros(rows)
    for split in walk_forward(rows, first, REFIT_ROWS, 1, embargo_of(rows)):
        sign[split.test] = direction(book.earned[split.train])
    return per_year(moments((sign * book.earned)[first:]).sharpe)
