"""Regression trees as plain lists: checked when they are read, added up for predictions. Pure, without any library of models.

A tree's node asks whether a feature is at most a threshold: yes goes left, no goes right. Not here: how trees are grown
(`model_boosting`), files and their hashes (`model_card`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marketbot_assets.insight.model_card import Json
from marketbot_assets.normalization.window import Floats

Rows = NDArray[np.int64]
LEAF = -1
TREES_MAX, NODES_MAX = 5_000, 4_096
PARTS = frozenset({"feature", "threshold", "left", "right", "value"})


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree of m nodes, the root first, children after their parent. `feature`: LEAF in a leaf, whose `value` is added."""

    feature: Rows
    threshold: Floats
    left: Rows
    right: Rows
    value: Floats

    def body(self) -> dict[str, Json]:
        """As JSON; a leaf has threshold 0 and no children, a node has value 0."""
        return {
            "feature": self.feature.tolist(),
            "threshold": self.threshold.tolist(),
            "left": self.left.tolist(),
            "right": self.right.tolist(),
            "value": self.value.tolist(),
        }

    def predict(self, x: Floats) -> Floats:
        """(m,) values of the leaves in which (m, k) rows end."""
        node = np.zeros(len(x), dtype=np.int64)
        open_rows = np.arange(len(x))
        while len(open_rows := open_rows[self.feature[node[open_rows]] != LEAF]):
            at = node[open_rows]
            low = x[open_rows, self.feature[at]] <= self.threshold[at]
            node[open_rows] = np.where(low, self.left[at], self.right[at])
        return np.asarray(self.value[node])


def forest(base: float, trees: Sequence[Tree], x: Floats) -> Floats:
    """(m,) predictions for (m, k) finite rows: the base and every tree's value, added in order."""
    total = np.full(len(x), base)
    for tree in trees:
        total += tree.predict(x)
    return total


def tree_of(body: Json, features: int) -> Tree:
    """The inverse of `Tree.body`, for rows of `features` columns. Raises ValueError for what is no tree: it may not loop."""
    if not isinstance(body, Mapping) or set(body) != PARTS:
        raise ValueError(f"tree: expected {', '.join(sorted(PARTS))}, found another object")
    feature, left, right = (_whole(body[name]) for name in ("feature", "left", "right"))
    threshold, value = (_numbers(body[name]) for name in ("threshold", "value"))
    count = len(feature)
    if not 1 <= count <= NODES_MAX or {len(left), len(right), len(threshold), len(value)} != {count}:
        raise ValueError(f"tree: expected 1 to {NODES_MAX} nodes with all of their parts, found {count}")
    inner, place = feature != LEAF, np.arange(count)
    if not ((feature >= LEAF) & (feature < features)).all():
        raise ValueError(f"tree: expected features below {features}")
    for child in (left, right):
        if not (child[inner] > place[inner]).all() or not (child < count).all():
            raise ValueError("tree: expected children after their parent")
    reached = np.concatenate([[0], left[inner], right[inner]])
    if len(reached) != count or len(set(reached.tolist())) != count:
        raise ValueError("tree: expected every node to be reached once")
    return Tree(feature, threshold, left, right, value)


def trees_of(body: Json, features: int) -> tuple[Tree, ...]:
    """Trees from a list. Raises ValueError for anything else."""
    if not isinstance(body, list) or len(body) > TREES_MAX:
        raise ValueError(f"trees: expected a list of at most {TREES_MAX}, found another thing")
    return tuple(tree_of(one, features) for one in body)


def _whole(values: Json) -> Rows:
    if not isinstance(values, list) or any(isinstance(v, bool) or not isinstance(v, int) for v in values):
        raise ValueError("tree: expected a list of whole numbers")
    return np.array(values, dtype=np.int64)


def _numbers(values: Json) -> Floats:
    good = isinstance(values, list) and all(
        isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in values
    )
    if not good:
        raise ValueError("tree: expected a list of finite numbers")
    return np.array(values, dtype=np.float64)
