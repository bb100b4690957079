"""The optimizer's problem as plain arrays, and how good and how legal a given answer is. Plain numpy.

    maximize    mu'w - gamma/2 w'(G'G + diag(d))w - cost_buy'(w - now)+ - cost_sell'(now - w)+
    subject to  lower <= w <= upper,  A w <= a,  C (w - now)+ <= c,  cones sqrt(|R w|^2 + w'diag(s)w) <= r,
                sum of the `count` largest w <= t,  mean loss of the worst share of sessions <= e,  funding (RC-18)

Nothing of the project is imported: what is measured here is independent of what it is compared with.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Wave:
    """Need of one currency up to one auction: buys @ (w - now)+ - sells @ (now - w)+ - cash; rows (n,)."""

    currency: str
    buys: Floats
    sells: Floats
    cash: float


@dataclass(frozen=True)
class Funding:
    """Largest need of the base waves + (1 + leg_cost) * sum over `debts` of max(debt, largest need there) <= bound.

    The base currency's need counts at least 0.
    """

    base: str
    waves: tuple[Wave, ...]
    debts: tuple[tuple[str, float], ...]
    bound: float
    leg_cost: float

    def left(self, weights: Floats, now: Floats) -> float:
        """What base cash pays in the worst wave."""
        buys, sells = np.maximum(weights - now, 0.0), np.maximum(now - weights, 0.0)
        worst = {self.base: 0.0, **dict(self.debts)}
        for wave in self.waves:
            worst[wave.currency] = max(worst[wave.currency], float(wave.buys @ buys - wave.sells @ sells) - wave.cash)
        return worst[self.base] + (1.0 + self.leg_cost) * sum(worst[currency] for currency, _ in self.debts)


@dataclass(frozen=True)
class Cone:
    """sqrt(|root w|^2 + specific (w * w)) <= radius; root (r, n), specific (n,) or empty."""

    root: Floats
    specific: Floats
    radius: float

    def left(self, weights: Floats) -> float:
        """The norm."""
        parts = [self.root @ weights, np.sqrt(self.specific) * weights if len(self.specific) else np.zeros(0)]
        return float(np.linalg.norm(np.concatenate(parts)))


@dataclass(frozen=True)
class Tail:
    """Mean loss in the worst `share` of the rows of returns (T, n), the row at the edge by its fraction, <= bound."""

    returns: Floats
    share: float
    bound: float

    @property
    def count(self) -> float:
        """Rows in the tail, not an integer in general, at least one."""
        return max(self.share * len(self.returns), 1.0)

    def left(self, weights: Floats) -> float:
        """Mean loss in the tail."""
        losses = np.sort(-(self.returns @ weights))[::-1]
        full = int(self.count)
        edge = (self.count - full) * losses[full] if full < len(losses) else 0.0
        return float(losses[:full].sum() + edge) / self.count


@dataclass(frozen=True)
class PlainProblem:
    """One problem of n names; see the head of this file.

    Of a random problem: `seed` and `twists` say how it was made, `anchor` (n,) is a book that the limits were drawn around,
    `surely_infeasible` that by construction no book keeps all limits.
    """

    mu: Floats
    root: Floats
    specific: Floats
    risk_aversion: float
    cost_buy: Floats
    cost_sell: Floats
    now: Floats
    lower: Floats
    upper: Floats
    rows: Floats
    row_bounds: Floats
    buy_rows: Floats
    buy_bounds: Floats
    cones: tuple[Cone, ...] = ()
    top: tuple[int, float] | None = None
    tails: tuple[Tail, ...] = ()
    funding: Funding | None = None
    seed: int = -1
    twists: tuple[str, ...] = ()
    surely_infeasible: bool = False
    anchor: Floats = field(default_factory=lambda: np.zeros(0))

    @property
    def size(self) -> int:
        """Number of names."""
        return len(self.mu)

    def objective(self, weights: Floats) -> float:
        """What is made largest."""
        factor, moved = self.root @ weights, weights - self.now
        risk = float(factor @ factor + self.specific @ (weights * weights))
        cost = float(self.cost_buy @ np.maximum(moved, 0.0) + self.cost_sell @ np.maximum(-moved, 0.0))
        return float(self.mu @ weights) - 0.5 * self.risk_aversion * risk - cost

    def violation(self, weights: Floats) -> float:
        """By how much the worst limit is broken, 0 when all hold, infinite for weights that are not finite."""
        if weights.shape != self.mu.shape or not np.isfinite(weights).all():
            return float("inf")
        over = [self.lower - weights, weights - self.upper, self.rows @ weights - self.row_bounds]
        over.append(self.buy_rows @ np.maximum(weights - self.now, 0.0) - self.buy_bounds)
        over += [np.array([cone.left(weights) - cone.radius]) for cone in self.cones]
        over += [np.array([tail.left(weights) - tail.bound]) for tail in self.tails]
        if self.top is not None:
            over.append(np.array([np.sort(weights)[::-1][: self.top[0]].sum() - self.top[1]]))
        if self.funding is not None:
            over.append(np.array([self.funding.left(weights, self.now) - self.funding.bound]))
        return max(float(np.max(part, initial=0.0)) for part in over)

    def binding(self, weights: Floats) -> tuple[str, ...]:
        """Kinds of limits that the weights touch, to 1e-6."""
        near, moved = 1e-6, np.maximum(weights - self.now, 0.0)
        kinds = {
            "name caps": bool(np.any(self.upper - weights < near)),
            "rows": bool(np.any(self.row_bounds - self.rows @ weights < near)),
            "buys": bool(np.any(self.buy_bounds - self.buy_rows @ moved < near)),
            "cones": any(cone.radius - cone.left(weights) < near for cone in self.cones),
            "top": self.top is not None and self.top[1] - float(np.sort(weights)[::-1][: self.top[0]].sum()) < near,
            "tails": any(tail.bound - tail.left(weights) < near for tail in self.tails),
            "funding": self.funding is not None and self.funding.bound - self.funding.left(weights, self.now) < near,
        }
        return tuple(name for name, touched in kinds.items() if touched)
