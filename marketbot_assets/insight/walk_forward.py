"""Which rows of a past a fit may see: walk-forward splits, purged and embargoed, expanding or rolling. Pure.

Row t is decided at session t; its label is known at t + horizon. A fit for tests from row s on sees rows t with
t + horizon + embargo < s. Source: Lopez de Prado, Advances in Financial Machine Learning (2018), chapter 7. Not here:
combinatorial splits (`research.cross_validation`), the families (`families`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Split:
    """One fit. `train`, `test`: row numbers, ascending; `groups`: the blocks that are tested."""

    train: Rows
    test: Rows
    groups: tuple[int, ...]


def walk_forward(
    observations: int, first: int, step: int, horizon: int, embargo: int, window: int | None = None
) -> list[Split]:
    """Tests of `step` rows each from row `first` on, trained on what had ended `embargo` rows before: never on the future.

    `window`: the newest rows that a fit sees (rolling), all of them without (expanding).
    """
    if not (0 < first < observations and step > 0):
        raise ValueError(f"walk forward: expected 0 < first < {observations} and step > 0, found {first} and {step}")
    if horizon < 0 or embargo < 0 or (window is not None and window < 1):
        raise ValueError(
            f"walk forward: expected horizon and embargo of at least 0 and a window of at least 1, "
            f"found {horizon}, {embargo} and {window}"
        )
    found = []
    for number, start in enumerate(range(first, observations, step)):
        end = max(0, start - horizon - embargo)
        train = np.arange(0 if window is None else max(0, end - window), end, dtype=np.int64)
        test = np.arange(start, min(start + step, observations), dtype=np.int64)
        found.append(Split(train, test, (number,)))
    return found


def out_of_fold(shape: tuple[int, int], splits: list[Split], predicted: Callable[[Rows, Rows], Floats]) -> Floats:
    """(T, n) what the fit of each split says of its test rows; NaN in rows that no split tests.

    `predicted`: training rows, test rows -> (test rows, n).
    """
    out = np.full(shape, np.nan)
    for split in splits:
        if len(split.train):
            out[split.test] = predicted(split.train, split.test)
    return out
