"""A limit of the book as a noun: control, name, formula, left side, bound, unit, message. Pure.

Lives here: the shapes of a convex limit, how each is written, measured in plain numpy and how steep it is. Not here: which limits
a mandate has (`limits`), bounds of single names (`bounds`), cash (`funding`), how a solver sees them (`cone_program`).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from marketbot_assets.portfolio.inputs import Floats

WEIGHT_GRID = 1e-6


class Limit(Protocol):
    """Left side <= bound for weights (n,), convex in the weights. `hard` is the verdict's limit in the same unit."""

    @property
    def control(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def bound(self) -> float: ...
    @property
    def hard(self) -> float: ...

    @property
    def formula(self) -> str:
        """Left side <= bound in words."""
        ...

    def message(self, left: float) -> str:
        """One line: control, name, left side against bound, unit."""
        ...

    def left(self, weights: Floats, weights_now: Floats) -> float:
        """The left side in the limit's unit."""
        ...

    def gradient(self, weights: Floats, weights_now: Floats) -> Floats:
        """(n,) change of the constraint's left side per unit of each weight (of the norm, for a cone)."""
        ...


def message_of(limit: Limit, left: float) -> str:
    """Like "RC-32 sector IT 0.195 > 0.19 NAV"; a left side that is not a number is unknown."""
    sign = "<=" if left <= limit.bound else ">" if left > limit.bound else "unknown against"
    shown = f"{left:.6g} {sign}" if left == left else sign
    return f"{limit.control} {limit.name} {shown} {limit.bound:.6g} {limit.unit}"


def _sum(row: Floats, variable: str, name: str) -> str:
    """A row times a variable in words: a plain sum, a sum over the names of a group, or a weighted sum."""
    if not np.isin(row, (0.0, 1.0)).all():
        return f"sum of a {variable}, a of {name},"
    return f"sum of {variable}" + ("" if row.all() else f" in {name}")


@dataclass(frozen=True, slots=True)
class LinearLimit:
    """row @ weights <= bound, or row @ buys <= bound when `on_buys`; row (n,)."""

    control: str
    name: str
    row: Floats
    bound: float
    hard: float
    unit: str = "NAV"
    on_buys: bool = False

    @property
    def formula(self) -> str:
        """Like "sum of w in sector IT <= 0.19"."""
        return f"{_sum(self.row, 'buys' if self.on_buys else 'w', self.name)} <= {self.bound:.6g}"

    def message(self, left: float) -> str:
        """Like "RC-32 sector IT 0.195 > 0.19 NAV"."""
        return message_of(self, left)

    @property
    def rounding(self) -> float:
        """How much the left side may rise when every weight is rounded down to the grid."""
        return 0.0 if self.on_buys else -WEIGHT_GRID * float(np.minimum(self.row, 0.0).sum())

    def left(self, weights: Floats, weights_now: Floats) -> float:
        """Row @ weights or row @ buys."""
        return float(self.row @ (np.maximum(weights - weights_now, 0.0) if self.on_buys else weights))

    def gradient(self, weights: Floats, weights_now: Floats) -> Floats:
        """The row; for a limit on buys only where a name is bought."""
        return np.where(weights > weights_now, self.row, 0.0) if self.on_buys else self.row


@dataclass(frozen=True, slots=True)
class AbsoluteLimit:
    """row @ |weights| <= bound, row (n,) not negative: a sum that a short does not make smaller."""

    control: str
    name: str
    row: Floats
    bound: float
    hard: float
    unit: str = "NAV"

    @property
    def formula(self) -> str:
        """Like "sum of |w| <= 0.98"."""
        return f"{_sum(self.row, '|w|', self.name)} <= {self.bound:.6g}"

    def message(self, left: float) -> str:
        """Like "RC-36 gross 1.1 > 0.98 NAV"."""
        return message_of(self, left)

    @property
    def rounding(self) -> float:
        """How much the left side may rise when every short is rounded down to the grid."""
        return WEIGHT_GRID * float(self.row.sum())

    def left(self, weights: Floats, weights_now: Floats) -> float:
        """Row @ |weights|."""
        return float(self.row @ np.abs(weights))

    def gradient(self, weights: Floats, weights_now: Floats) -> Floats:
        """The row with the sign of each weight."""
        return np.asarray(self.row * np.sign(weights))


@dataclass(frozen=True, slots=True)
class ConeLimit:
    """norm(root @ (weights - centre)) <= bound, root (m, n), centre (n,) or None for the origin.

    With `squared` the left side and the bounds are the squares of that; `identity`: the root is the identity matrix.
    """

    control: str
    name: str
    root: Floats
    bound: float
    hard: float
    unit: str
    squared: bool = False
    centre: Floats | None = None
    identity: bool = False

    @property
    def formula(self) -> str:
        """Like "|R w| <= 0.097, R of volatility ewma"."""
        inner = "R w" if self.centre is None else "R (w - c)"
        power = "^2" if self.squared else ""
        return f"|{inner}|{power} <= {self.bound:.6g}, R of {self.name}"

    def message(self, left: float) -> str:
        """Like "RC-42 volatility ewma 0.11 > 0.097 per year"."""
        return message_of(self, left)

    def moved(self, weights: Floats) -> Floats:
        """Root @ (weights - centre), (m,)."""
        apart = weights if self.centre is None else weights - self.centre
        return np.asarray(apart + 0.0 if self.identity else self.root @ apart)

    def left(self, weights: Floats, weights_now: Floats) -> float:
        """The norm, or its square."""
        norm = float(np.linalg.norm(self.moved(weights)))
        return norm * norm if self.squared else norm

    @property
    def radius(self) -> float:
        """The bound on the norm itself."""
        return float(np.sqrt(self.bound)) if self.squared else self.bound

    def gradient(self, weights: Floats, weights_now: Floats) -> Floats:
        """Slope of the norm; zero at the centre."""
        moved = self.moved(weights)
        norm = float(np.linalg.norm(moved))
        if not norm > 0.0:
            return np.zeros_like(weights)
        return np.asarray((moved if self.identity else self.root.T @ moved) / norm)


@dataclass(frozen=True, slots=True)
class TopLimit:
    """Sum of the `count` largest weights <= bound."""

    control: str
    name: str
    count: int
    bound: float
    hard: float
    unit: str = "NAV"

    @property
    def formula(self) -> str:
        """Like "sum of the 10 largest w <= 0.43"."""
        return f"sum of the {self.count} largest w <= {self.bound:.6g}"

    def message(self, left: float) -> str:
        """Like "RC-40 top ten 0.45 > 0.43 NAV"."""
        return message_of(self, left)

    def left(self, weights: Floats, weights_now: Floats) -> float:
        """Sum of the largest weights."""
        return float(np.sort(weights)[::-1][: self.count].sum())

    def gradient(self, weights: Floats, weights_now: Floats) -> Floats:
        """1 for the names among the largest, ties by position."""
        slope = np.zeros_like(weights)
        slope[np.argsort(-weights, kind="stable")[: self.count]] = 1.0
        return slope


@lru_cache(maxsize=8)
def _taken(count: int, rows: float) -> Floats:
    """(count,) share of each row in the mean of the worst `rows`, the worst first."""
    taken = np.asarray(np.clip(rows - np.arange(count), 0.0, 1.0) / rows)
    taken.setflags(write=False)
    return taken


@dataclass(frozen=True, slots=True)
class ShortfallLimit:
    """Mean loss in the worst `tail` share of the rows of `returns` (T, n) <= bound (Rockafellar and Uryasev 2000).

    The row at the edge of the tail counts with the fraction that fills it up, so the measure is convex and exact.
    """

    control: str
    name: str
    returns: Floats
    tail: float
    bound: float
    hard: float
    unit: str = "NAV per session"

    @property
    def formula(self) -> str:
        """Like "mean of the worst 2.5 % of losses -r'w <= 0.028"."""
        return f"mean of the worst {100.0 * self.tail:.6g} % of losses -r'w <= {self.bound:.6g}"

    def message(self, left: float) -> str:
        """Like "RC-44 expected shortfall 97.5 % 0.03 > 0.028 NAV per session"."""
        return message_of(self, left)

    @property
    def rows(self) -> float:
        """Size of the tail in rows, not an integer in general, at least one."""
        return max(self.tail * len(self.returns), 1.0)

    def shares(self, weights: Floats) -> Floats:
        """(T,) share of each row in the tail mean; sums to 1."""
        return self._shares(self.returns @ weights)

    def _shares(self, returns: Floats) -> Floats:
        order = np.argsort(returns, kind="stable")
        shares = np.zeros(len(order))
        shares[order] = _taken(len(order), self.rows)
        return shares

    def left(self, weights: Floats, weights_now: Floats) -> float:
        """Mean loss in the tail."""
        returns = self.returns @ weights
        return float(-(self._shares(returns) @ returns))

    def gradient(self, weights: Floats, weights_now: Floats) -> Floats:
        """Mean loss of each name in the book's tail."""
        return np.asarray(-(self.shares(weights) @ self.returns))
