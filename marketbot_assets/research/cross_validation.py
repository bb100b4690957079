"""Splits of a past into training and test rows that share no label: purged, embargoed, combinatorial. Pure.

Row t is decided at session t; its label is known at t + horizon. A training row whose label interval [t, t + horizon] touches
that of a test row is purged; so are the `embargo` rows after the labels of a test block. Combinatorial purged cross-validation
tests every choice of `test_groups` out of `groups` blocks of time, and puts the tests together into paths, each of which covers
the whole past once. Source: Lopez de Prado, Advances in Financial Machine Learning (2018), chapters 7 and 12. Not here: what is
fitted, walk-forward splits (`insight.walk_forward`), backtest overfitting (`overfitting`).
"""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from marketbot_assets.insight.walk_forward import Split as Split
from marketbot_assets.insight.walk_forward import walk_forward as walk_forward
from marketbot_assets.research.sharpe_statistics import moments, per_year

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
EMBARGO_SHARE = 0.01
SPLITS_MAX = 20_000


def blocks(observations: int, groups: int) -> list[Rows]:
    """Consecutive blocks of row numbers, of nearly one size. Raises ValueError when there are fewer rows than blocks."""
    if not 1 <= groups <= observations:
        raise ValueError(f"blocks: expected 1 to {observations} of {observations} rows, found {groups}")
    return [np.asarray(part, dtype=np.int64) for part in np.array_split(np.arange(observations), groups)]


def embargo_of(observations: int, share: float = EMBARGO_SHARE) -> int:
    """Rows of embargo: a share of all, rounded up."""
    return math.ceil(observations * share)


def purged(observations: int, tested: Sequence[Rows], horizon: int, embargo: int) -> Rows:
    """Training rows that know nothing of the tested blocks (each consecutive), ascending.

    A row t and a block [a, b] share labels when t + horizon >= a and t <= b + horizon; the embargo widens the end by its rows.
    """
    if horizon < 0 or embargo < 0:
        raise ValueError(f"purging: expected a horizon and an embargo of at least 0, found {horizon} and {embargo}")
    row, kept = np.arange(observations), np.ones(observations, dtype=bool)
    for block in tested:
        first, last = int(block[0]), int(block[-1])
        kept &= (row + horizon < first) | (row > last + horizon + embargo)
    return np.asarray(np.flatnonzero(kept), dtype=np.int64)


def combinatorial_splits(
    observations: int, groups: int, test_groups: int, *, horizon: int, embargo: int
) -> list[Split]:
    """Every choice of `test_groups` of the blocks as a test, in the order of the choices; the rest, purged, as training."""
    if not 1 <= test_groups < groups:
        raise ValueError(f"splits: expected 1 <= test_groups < groups, found {test_groups} of {groups}")
    if math.comb(groups, test_groups) > SPLITS_MAX:
        raise ValueError(f"splits: expected at most {SPLITS_MAX}, found {math.comb(groups, test_groups)}")
    parts = blocks(observations, groups)
    found = []
    for chosen in combinations(range(groups), test_groups):
        tested = [parts[group] for group in chosen]
        found.append(Split(purged(observations, tested, horizon, embargo), np.concatenate(tested), chosen))
    return found


def path_count(groups: int, test_groups: int) -> int:
    """How many whole paths the tests make: C(groups, test_groups) test_groups / groups."""
    return math.comb(groups, test_groups) * test_groups // groups


def paths(groups: int, test_groups: int) -> list[tuple[int, ...]]:
    """Per path the number of the split that tests each block: path p takes the p-th split that tests it. Each test is used once."""
    testing: list[list[int]] = [[] for _ in range(groups)]
    for number, chosen in enumerate(combinations(range(groups), test_groups)):
        for group in chosen:
            testing[group].append(number)
    return [tuple(column[path] for column in testing) for path in range(path_count(groups, test_groups))]


def path_returns(observations: int, groups: int, test_groups: int, tested: Sequence[Floats]) -> Floats:
    """(paths, observations) returns, from each split's returns on its test rows, in the order of `combinatorial_splits`.

    Raises ValueError when a split's returns are not as many as its test rows.
    """
    parts = blocks(observations, groups)
    whole = np.full((math.comb(groups, test_groups), observations), np.nan)
    for number, chosen in enumerate(combinations(range(groups), test_groups)):
        rows = np.concatenate([parts[group] for group in chosen])
        if number >= len(tested) or len(tested[number]) != len(rows):
            raise ValueError(f"paths: expected {len(rows)} returns of split {number}, found another number")
        whole[number, rows] = tested[number]
    made = np.full((path_count(groups, test_groups), observations), np.nan)
    for path, splits in enumerate(paths(groups, test_groups)):
        for group, split in enumerate(splits):
            made[path, parts[group]] = whole[split, parts[group]]
    return made


def path_sharpes(returns: Floats) -> Floats:
    """(paths,) ratios per year of (paths, observations) returns; NaN where a path has a return that is not finite."""
    return np.array([per_year(moments(path).sharpe) for path in returns], dtype=np.float64)
