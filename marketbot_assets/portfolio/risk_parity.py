"""Risk parity: weights whose contributions to risk match given budgets, then as much of them as all limits allow. Pure.

Spinu (2013): minimize x'Sx/2 - sum of b_i ln x_i; at its minimum x_i (Sx)_i = b_i. Here S = G'G + D in factor form. Not here: the
compiled steps that find the minimum (`parity_kernel`); this file measures their answer again.
"""

import numpy as np

from marketbot_assets.portfolio.inputs import Floats
from marketbot_assets.portfolio.limits import LimitSet
from marketbot_assets.portfolio.multiples import multiples
from marketbot_assets.portfolio.target import OPTIMAL, Answer, Problem

ROUNDS_MAX = 20
TOLERANCE, ERROR_MAX = 1e-10, 1e-8
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
        return Answer(bounds.lower.copy(), "no_names", (), "risk parity, compiled")
    is_base = np.array(problem.is_base)[members]
    budgets = group_budgets(is_base, problem.mandate.portfolio.risk_parity_budget_base)
    shape = np.zeros(len(variance))
    shape[members] = parity_weights(facts.factor_root[:, members], facts.specific[members], budgets)
    return Answer(largest_multiple(shape, problem.limits), OPTIMAL, (), "risk parity, compiled")


def group_budgets(is_base: np.ndarray, base_share: float) -> Floats:
    """(n,) budgets that sum to 1: `base_share` for the base-currency group when both groups have members."""
    base = int(np.count_nonzero(is_base))
    other = len(is_base) - base
    share = base_share if base and other else float(base > 0)
    return np.where(is_base, share / max(base, 1), (1.0 - share) / max(other, 1))


def parity_weights(root: Floats, specific: Floats, budgets: Floats) -> Floats:
    """(n,) weights that sum to 1 with w_i (Sw)_i = b_i w'Sw for budgets b that sum to 1, S = root'root + diag(specific).

    `root` (k, n), `specific` and `budgets` (n,), at least 0; a name without budget gets no weight. The error, the largest
    |w_i (Sw)_i / w'Sw - b_i|, is measured in plain numpy. Raises ArithmeticError for numbers that are not finite, names with
    budget but without variance, and where no answer within ERROR_MAX exists (names that hedge each other without risk).
    """
    from marketbot_assets.portfolio.parity_kernel import parity

    root, specific, budgets = (np.ascontiguousarray(a, dtype=np.float64) for a in (root, specific, budgets))
    x = parity(root, specific, budgets, TOLERANCE, ROUNDS_MAX)
    with np.errstate(all="ignore"):
        contributions = x * (root.T @ (root @ x) + specific * x)
        error = float(np.abs(contributions / contributions.sum() - budgets / budgets.sum()).max(initial=0.0))
        weights = x / x.sum()
    if not (error <= ERROR_MAX and np.isfinite(weights).all() and weights.min(initial=0.0) >= 0.0):
        raise ArithmeticError(f"risk parity: no weights found for these budgets, error {error}")
    return np.asarray(weights)


def largest_multiple(shape: Floats, limits: LimitSet, most: float = 1.0) -> Floats:
    """clip(t * shape, lower, upper) for the largest t <= most, by bisection from below, that meets all limits.

    At t = 0 only what liquidity does not let go is held, which is always feasible.
    """
    lower, upper = limits.bounds.lower, limits.bounds.upper

    def book(t: float) -> Floats:
        return np.clip(t * shape, lower, upper)

    holds = multiples(shape, limits, most)
    if holds(most):
        return book(most)
    good, bad = 0.0, most
    for _ in range(HALVINGS):
        middle = 0.5 * (good + bad)
        good, bad = (middle, bad) if holds(middle) else (good, middle)
    return book(good)
