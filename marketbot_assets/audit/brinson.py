"""The excess of a portfolio over its benchmark by sector: allocation, selection, interaction. One period. Pure.

Brinson, Hood and Beebower (1986), Brinson and Fachler (1985), and the geometric form of Bacon, "Practical Portfolio Performance
Measurement and Attribution" (2008), chapter 5. Sums do not depend on the order of the sectors. Not here: several periods
(`linking`), currencies (`currency_effects`).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from marketbot_assets.normalization.window import Floats

WEIGHTS_WITHIN = 1e-9


@dataclass(frozen=True, slots=True)
class Sectors:
    """Weights at the start of a period, and simple returns over it, of portfolio and benchmark; each (n,), cash is a sector.

    A return of a side that holds none of the sector may be NaN: it is taken from the other side, so that the whole effect is
    allocation.
    """

    weight: Floats
    benchmark_weight: Floats
    returned: Floats
    benchmark_returned: Floats

    @classmethod
    def of(
        cls,
        weight: Iterable[float],
        benchmark_weight: Iterable[float],
        returned: Iterable[float],
        benchmark_returned: Iterable[float],
    ) -> "Sectors":
        """Raises ValueError for lengths that differ, weights that do not add up to 1, a missing return that counts."""
        given = (weight, benchmark_weight, returned, benchmark_returned)
        w, v, r, b = (np.fromiter(values, dtype=float) for values in given)
        if len({len(w), len(v), len(r), len(b)}) != 1 or not len(w):
            raise ValueError("attribution: expected four series of one length, at least one sector")
        for side, weights in (("portfolio", w), ("benchmark", v)):
            total = math.fsum(weights)
            if not abs(total - 1.0) <= WEIGHTS_WITHIN:
                raise ValueError(
                    f"attribution: expected {side} weights that add up to 1, cash included, found {total:.12g}"
                )
        r, b = np.where((w == 0.0) & np.isnan(r), b, r), np.where((v == 0.0) & np.isnan(b), r, b)
        idle = (w == 0.0) & (v == 0.0)
        r, b = np.where(idle, 0.0, r), np.where(idle, 0.0, b)
        if not (np.isfinite(r).all() and np.isfinite(b).all()):
            raise ValueError("attribution: expected a return for every sector that is held, found an unknown one")
        return cls(w, v, r, b)

    @property
    def total(self) -> float:
        """The portfolio's return."""
        return math.fsum(self.weight * self.returned)

    @property
    def benchmark_total(self) -> float:
        """The benchmark's return."""
        return math.fsum(self.benchmark_weight * self.benchmark_returned)

    @property
    def excess(self) -> float:
        """Arithmetic excess."""
        return math.fsum([*(self.weight * self.returned), *(-self.benchmark_weight * self.benchmark_returned)])


@dataclass(frozen=True, slots=True)
class Effects:
    """(n,) each. Arithmetic: they add up to the excess. Geometric: the sums compound to it, and there is no interaction."""

    allocation: Floats
    selection: Floats
    interaction: Floats

    @property
    def selected(self) -> Floats:
        """Selection and interaction in one, as a bottom-up manager is judged."""
        return self.selection + self.interaction

    @property
    def total(self) -> float:
        """Sum of all."""
        return math.fsum([*self.allocation, *self.selection, *self.interaction])


def brinson_hood_beebower(sectors: Sectors) -> Effects:
    """Allocation (w - v) b: a sector above its benchmark weight is good where the sector rose."""
    active = sectors.weight - sectors.benchmark_weight
    return _effects(sectors, active * sectors.benchmark_returned)


def brinson_fachler(sectors: Sectors) -> Effects:
    """Allocation (w - v) (b - B): a sector above its benchmark weight is good where the sector beat the whole benchmark."""
    active = sectors.weight - sectors.benchmark_weight
    return _effects(sectors, active * (sectors.benchmark_returned - sectors.benchmark_total))


def _effects(sectors: Sectors, allocation: Floats) -> Effects:
    better = sectors.returned - sectors.benchmark_returned
    active = sectors.weight - sectors.benchmark_weight
    return Effects(allocation, sectors.benchmark_weight * better, active * better)


def geometric(sectors: Sectors) -> Effects:
    """(1 + sum of allocation)(1 + sum of selection) - 1 is the geometric excess (1 + r) / (1 + b) - 1.

    Allocation (w - v)((1 + b_i) / (1 + B) - 1); selection w (r_i - b_i) / (1 + S), S the return of the portfolio's weights in
    benchmark returns. Raises ValueError where one of the divisors is not positive.
    """
    semi = math.fsum(sectors.weight * sectors.benchmark_returned)
    if not (1.0 + sectors.benchmark_total > 0.0 and 1.0 + semi > 0.0):
        raise ValueError("attribution: expected returns above -100 percent, found a loss of everything")
    active = sectors.weight - sectors.benchmark_weight
    allocation = active * ((1.0 + sectors.benchmark_returned) / (1.0 + sectors.benchmark_total) - 1.0)
    selection = sectors.weight * (sectors.returned - sectors.benchmark_returned) / (1.0 + semi)
    return Effects(allocation, selection, np.zeros_like(allocation))
