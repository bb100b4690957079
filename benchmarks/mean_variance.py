"""The standard problem of the optimizer's benchmark, its next days, and how good and how legal an answer is. Plain numpy and scipy.

    maximize    mu'w - gamma/2 w'(G'G + diag(d))w - cost'|w - now|
    subject to  0 <= w <= cap, sum w <= 1 (the rest is cash), sector sums <= sector_cap, and, if given, sqrt(w'Sw) <= vol

Units: per year, fractions of NAV. Also here: the sparse forms that the raw solvers get. Not here: the solvers (`solvers_raw`).
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Floats = NDArray[np.float64]
FACTORS, SECTORS, CAP, SECTOR_CAP, AVERSION = 20, 11, 0.05, 0.20, 5.0
HELD = 80
# A utility per year is a matter of 1e-2 and a solver's tolerance is absolute, too: every peer gets a scaled objective.
SCALE = 1e3


@dataclass(frozen=True)
class MeanVariance:
    """One day. root (k, n); all others but the scalars (n,); `sector`: number of each name's sector."""

    mu: Floats
    root: Floats
    specific: Floats
    cost: Floats
    now: Floats
    sector: NDArray[np.int64]
    vol: float | None = None

    @property
    def size(self) -> int:
        return len(self.mu)

    @property
    def sectors(self) -> Floats:
        """(sectors, n) membership."""
        return np.asarray(self.sector[None, :] == np.arange(SECTORS)[:, None], dtype=float)

    def volatility(self, weights: Floats) -> float:
        factor = self.root @ weights
        return float(np.sqrt(factor @ factor + self.specific @ (weights * weights)))

    def utility(self, weights: Floats) -> float:
        cost = float(self.cost @ np.abs(weights - self.now))
        return float(self.mu @ weights) - 0.5 * AVERSION * self.volatility(weights) ** 2 - cost

    def violation(self, weights: Floats, *, with_vol: bool = True) -> float:
        """Largest excess over a limit, 0 when all hold."""
        over = [weights.sum() - 1.0, -weights.min(), weights.max() - CAP, (self.sectors @ weights).max() - SECTOR_CAP]
        if self.vol is not None and with_vol:
            over.append(self.volatility(weights) - self.vol)
        return max(float(max(over)), 0.0)

    def save(self, path: Path) -> None:
        arrays = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "vol"}
        np.savez(path, vol=np.array([] if self.vol is None else [self.vol]), **arrays)

    @staticmethod
    def load(path: Path) -> "MeanVariance":
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in stored.files if name != "vol"}
            return MeanVariance(**arrays, vol=float(stored["vol"][0]) if len(stored["vol"]) else None)


def first_day(n: int, seed: int = 0) -> MeanVariance:
    """Twenty factors, the first of them the market; a book of some 80 names that keeps all limits."""
    rng, k = np.random.default_rng(seed), FACTORS
    exposures = rng.standard_normal((n, k)) * 0.35
    exposures[:, 0] = 1.0 + 0.3 * rng.standard_normal(n)
    mixed = rng.standard_normal((k, k)) * 0.3 + np.eye(k)
    covariance = mixed @ mixed.T * 0.01
    covariance[0, 0] += 0.02
    specific = (0.15 + 0.25 * rng.random(n)) ** 2
    root = (exposures @ np.linalg.cholesky(covariance)).T
    mu = 0.04 + 0.5 * ((rng.standard_normal(k) * 0.08) @ root) + 0.04 * rng.standard_normal(n)
    cost = 0.0010 * (0.5 + rng.random(n))
    sector = rng.integers(0, SECTORS, n)
    now = rng.random(n) * (rng.random(n) < min(1.0, HELD / n))
    now = np.minimum(now / now.sum() * 0.95, CAP)
    return within_limits(MeanVariance(mu, np.ascontiguousarray(root), specific, cost, now, sector))


def within_limits(day: MeanVariance) -> MeanVariance:
    """The same with a book of today that keeps the limits."""
    now = np.minimum(day.now, CAP)
    now = now * np.minimum(1.0, SECTOR_CAP / np.maximum(day.sectors @ now, 1e-9))[day.sector]
    return replace(day, now=now / max(1.0, now.sum()))


def next_day(day: MeanVariance, held: Floats, seed: int) -> MeanVariance:
    """New forecasts, and the book that was held yesterday after a day of prices. The risk model stays (kind to the peers)."""
    rng = np.random.default_rng([7, seed])
    mu = day.mu + 0.004 * rng.standard_normal(day.size)
    moved = np.where(held > 1e-9, held, 0.0) * np.exp(0.01 * rng.standard_normal(day.size))
    return within_limits(replace(day, mu=mu, now=moved))


@dataclass(frozen=True)
class SparseForm:
    """Minimize x'Px/2 + q'x, equal @ x = 0, less @ x <= most, low <= x <= high; x = (w (n), s >= (now - w)+ (n), y = G w (k)).

    Buys are w - now + s, so costs are linear. The pattern is the same every day; `cone`: rows R with |R x| <= vol.
    """

    quadratic: sparse.csc_matrix
    linear: Floats
    equal: sparse.csc_matrix
    less: sparse.csc_matrix
    most: Floats
    low: Floats
    high: Floats
    cone: sparse.csc_matrix | None
    vol: float


def sparse_form(day: MeanVariance) -> SparseForm:
    """The matrices of one day, objective scaled."""
    n, k = day.size, len(day.root)
    eye, none = sparse.identity(n, format="csc"), sparse.csc_matrix
    curve = np.concatenate([AVERSION * day.specific, np.zeros(n), np.full(k, AVERSION)])
    linear = np.concatenate([day.cost - day.mu, 2.0 * day.cost, np.zeros(k)])
    equal = sparse.hstack([none(day.root), none((k, n)), -sparse.identity(k)], format="csc")
    less = sparse.vstack(
        [
            sparse.hstack([none(np.ones((1, n))), none((1, n + k))]),
            sparse.hstack([none(day.sectors), none((SECTORS, n + k))]),
            sparse.hstack([-eye, -eye, none((n, k))]),
        ],
        format="csc",
    )
    cone = None
    if day.vol is not None:
        own = sparse.hstack([sparse.diags(np.sqrt(day.specific)), none((n, n + k))])
        cone = sparse.vstack([own, sparse.hstack([none((k, 2 * n)), sparse.identity(k)])], format="csc")
    free = np.full(k, np.inf)
    return SparseForm(
        quadratic=sparse.diags(SCALE * curve, format="csc"),
        linear=SCALE * linear,
        equal=equal,
        less=less,
        most=np.concatenate([[1.0], np.full(SECTORS, SECTOR_CAP), -day.now]),
        low=np.concatenate([np.zeros(2 * n), -free]),
        high=np.concatenate([np.full(n, CAP), day.now, free]),
        cone=cone,
        vol=0.0 if day.vol is None else day.vol,
    )
