"""Risk parity: weights whose contributions to risk match given budgets, then as much of them as all limits allow. Pure.

Spinu (2013): minimize x'Sx/2 - sum of b_i ln x_i; at its minimum x_i (Sx)_i = b_i. Cyclic coordinate descent solves it one
weight at a time (Griveau-Billion, Richard, Roncalli 2013). Here S = G'G + D, so one step costs as much as there are factors.
"""

import numpy as np

from marketbot_assets.portfolio.inputs import Floats
from marketbot_assets.portfolio.limits import LimitSet
from marketbot_assets.portfolio.target import OPTIMAL, Answer, Problem

SWEEPS_MAX = 500
TOLERANCE = 1e-12
HALVINGS = 40


def risk_parity(problem: Problem) -> Answer:
    """The largest multiple of the risk-parity weights that meets all limits. Status `no_names` when nothing may be held.

    Base-currency names share `risk_parity_budget_base` of the risk, all others the rest, equally within each group.
    """
    facts, bounds = problem.facts, problem.limits.bounds
    variance = (facts.factor_root**2).sum(axis=0) + facts.specific
    members = np.flatnonzero(
        (bounds.upper > 0.0) & ~bounds.must_go & (variance > 0.0) & (facts.buyable | facts.sellable)
    )
    if len(members) == 0:
        return Answer(bounds.lower.copy(), "no_names", (), "coordinate descent")
    is_base = np.array(problem.is_base)[members]
    budgets = group_budgets(is_base, problem.mandate.portfolio.risk_parity_budget_base)
    shape = np.zeros(len(variance))
    shape[members] = parity_weights(facts.factor_root[:, members], facts.specific[members], budgets)
    return Answer(largest_multiple(shape, problem.limits), OPTIMAL, (), "coordinate descent")


def group_budgets(is_base: np.ndarray, base_share: float) -> Floats:
    """(n,) budgets that sum to 1: `base_share` for the base-currency group when both groups have members."""
    base = int(np.count_nonzero(is_base))
    other = len(is_base) - base
    share = base_share if base and other else float(base > 0)
    return np.where(is_base, share / max(base, 1), (1.0 - share) / max(other, 1))


def parity_weights(root: Floats, specific: Floats, budgets: Floats) -> Floats:
    """(n,) positive weights that sum to 1 with w_i (Sw)_i proportional to the budgets, S = root'root + diag(specific).

    `root` (k, n), all finite, every variance positive. Raises ArithmeticError when it does not settle.
    """
    variance = (root**2).sum(axis=0) + specific
    x = np.sqrt(budgets / variance)
    factor = root @ x
    for _ in range(SWEEPS_MAX):
        for i in range(len(x)):
            rest = float(root[:, i] @ factor) - (variance[i] - specific[i]) * x[i]
            new = (-rest + np.sqrt(rest * rest + 4.0 * variance[i] * budgets[i])) / (2.0 * variance[i])
            factor += root[:, i] * (new - x[i])
            x[i] = new
        factor = root @ x
        error = np.max(np.abs(x * (root.T @ factor + specific * x) - budgets))
        if error <= TOLERANCE:
            return np.asarray(x / x.sum())
    raise ArithmeticError(f"risk parity did not settle: error {error} after {SWEEPS_MAX} sweeps")


def largest_multiple(shape: Floats, limits: LimitSet, most: float = 1.0) -> Floats:
    """clip(t * shape, lower, upper) for the largest t <= most, by bisection from below, that meets all limits.

    At t = 0 only what liquidity does not let go is held, which is always feasible.
    """
    lower, upper = limits.bounds.lower, limits.bounds.upper

    def book(t: float) -> Floats:
        return np.clip(t * shape, lower, upper)

    if limits.residual(book(most)) == 0.0:
        return book(most)
    good, bad = 0.0, most
    for _ in range(HALVINGS):
        middle = 0.5 * (good + bad)
        good, bad = (middle, bad) if limits.residual(book(middle)) == 0.0 else (good, middle)
    return book(good)
