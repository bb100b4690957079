"""What each name brings to the target: expected return, risk and the cost of getting there. Pure.

Not here: the forces on a weight at the optimum (`explanation`), which are margins, not parts of a sum.
"""

from dataclasses import dataclass

import numpy as np

from marketbot_assets.portfolio.facts import Facts
from marketbot_assets.portfolio.inputs import Floats


@dataclass(frozen=True, slots=True)
class Contributions:
    """Parts per name, (n,) each.

    `expected_return`: mu_i w_i per year. `risk`: w_i (S w)_i / sigma per year, whose sum is sigma = sqrt(w' S w), the book's
    volatility by the factor model (Euler's theorem); zeros for a book without risk. `cost`: expected cost of the trade, fraction
    of NAV, once.
    """

    expected_return: Floats
    risk: Floats
    cost: Floats


def contributions(facts: Facts, weights: Floats) -> Contributions:
    """The parts at the weights (n,), all finite."""
    moved = weights - facts.weights_now
    slope = facts.factor_root.T @ (facts.factor_root @ weights) + facts.specific * weights
    parts = weights * slope
    variance = float(parts.sum())
    risk = parts / np.sqrt(variance) if variance > 0.0 else np.zeros(len(weights))
    cost = facts.cost_buy * np.maximum(moved, 0.0) + facts.cost_sell * np.maximum(-moved, 0.0)
    return Contributions(facts.expected_return * weights, np.asarray(risk), np.asarray(cost))
