"""The excess by factor and by name: active exposures times factor returns, and what is left of each name. One period. Pure.

r_i = X_i f + u_i gives r_p - r_b = sum over k of (x_k f_k) + sum over i of (a_i u_i), a the active weights, x = X'a. The identity
holds for any f; how much the factors explain is the model's quality (Grinold and Kahn, "Active Portfolio Management", 2000).
Several periods: `linking.carino`. Not here: the factor returns (`features.factor_model`).
"""

import math
from dataclasses import dataclass

import numpy as np

from marketbot_assets.normalization.window import Floats


@dataclass(frozen=True, slots=True)
class FactorEffects:
    """`factors`: (k,); `specific`: (n,). Together the excess."""

    exposures: Floats
    factors: Floats
    specific: Floats

    @property
    def total(self) -> float:
        """The excess."""
        return math.fsum([*self.factors, *self.specific])

    @property
    def unexplained(self) -> float:
        """Share of specific effects in the sum of absolute effects of factors and their sum; NaN where all are 0."""
        rest = abs(math.fsum(self.specific))
        whole = math.fsum([*np.abs(self.factors), rest])
        return rest / whole if whole > 0.0 else math.nan


def factor_effects(active: Floats, exposures: Floats, factor_returns: Floats, returns: Floats) -> FactorEffects:
    """`active`: (n,) weight less benchmark weight; `exposures`: (n, k); `factor_returns`: (k,); `returns`: (n,) simple.

    A name without an active weight may have unknown numbers. Raises ValueError for an unknown number of a name that counts.
    """
    held = np.asarray(active != 0.0)
    if not (np.isfinite(active).all() and np.isfinite(factor_returns).all()):
        raise ValueError("factor attribution: expected known active weights and factor returns")
    if not (np.isfinite(returns[held]).all() and np.isfinite(exposures[held]).all()):
        raise ValueError("factor attribution: expected return and exposures of every name with an active weight")
    weights, loads, moves = active[held], exposures[held], returns[held]
    summed = np.array([math.fsum(weights * column) for column in loads.T])
    specific = np.zeros(len(active))
    specific[held] = weights * (moves - loads @ factor_returns)
    found = FactorEffects(summed, summed * factor_returns, specific)
    gap = math.fsum([*(weights * moves), *(-found.factors), *(-specific)])  # the last bits of the sums
    specific[np.flatnonzero(held)[:1]] += gap
    return found
