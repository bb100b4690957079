"""The mandate's problem in the structured form, its answer with a price per limit, and a second opinion by cvxpy. Pure.

Names that cannot move leave the problem first, as in `optimizer`; rows that another row of the same direction makes redundant
never bind and cost nothing. The decision starts cold on every path (live, backtest, replay), so that the same inputs give the
same bits; a warm start is for callers that measure or sweep. Not here: the solver (`solve`), the chain of methods (`fallback`).
"""

import numpy as np

from marketbot_assets.portfolio.funding import Funding
from marketbot_assets.portfolio.limit import ConeLimit, LinearLimit, ShortfallLimit, TopLimit
from marketbot_assets.portfolio.structured.problem import (
    OPTIMAL,
    Cone,
    Floats,
    Multipliers,
    Solution,
    StructuredProblem,
    Tail,
    Top,
)
from marketbot_assets.portfolio.structured.solve import solve
from marketbot_assets.portfolio.target import Answer, Problem

SOLVER = "structured dual"
MOVABLE = 1e-9


def structured_mean_variance(problem: Problem, start: Multipliers | None = None) -> Answer:
    """The optimal weights (n,) with the dual of every limit, in the order and units of `optimizer.mean_variance`.

    `start`: multipliers of an earlier solve. Raises ArithmeticError when the answer is not certified.
    """
    return answer_of(problem, solve(structured(problem), start))


def answer_of(problem: Problem, solution: Solution) -> Answer:
    """The answer of a certified solution; raises ArithmeticError for any other."""
    if solution.status != OPTIMAL:
        raise ArithmeticError(f"structured dual {solution.status}")
    return Answer(solution.weights, OPTIMAL, duals(problem, solution.multipliers), SOLVER)


def structured(problem: Problem) -> StructuredProblem:
    """The arrays of the session. Names that cannot move have lower = upper."""
    facts, rule, bounds = problem.facts, problem.mandate.portfolio, problem.limits.bounds
    upper = np.where(bounds.upper - bounds.lower > MOVABLE, bounds.upper, bounds.lower)
    limits = problem.limits.limits
    rows = [x for x in limits if isinstance(x, LinearLimit) and not x.on_buys]
    buys = [x for x in limits if isinstance(x, LinearLimit) and x.on_buys]
    top = next((x for x in limits if isinstance(x, TopLimit)), None)
    amortization = rule.cost_amortization_per_year
    return StructuredProblem(
        mu=facts.expected_return,
        root=facts.factor_root,
        specific=facts.specific,
        risk_aversion=float(rule.risk_aversion),
        cost_buy=amortization * facts.cost_buy,
        cost_sell=amortization * facts.cost_sell,
        now=problem.limits.weights_now,
        lower=bounds.lower,
        upper=upper,
        rows=_matrix([x.row for x in rows]),
        row_bounds=np.array([x.bound - x.rounding for x in rows]),
        buy_rows=_matrix([x.row for x in buys]),
        buy_bounds=np.array([x.bound for x in buys]),
        cones=tuple(_cone(x) for x in limits if isinstance(x, ConeLimit)),
        top=None if top is None else Top(top.count, top.bound),
        tails=tuple(Tail(x.returns, x.rows, x.bound) for x in limits if isinstance(x, ShortfallLimit)),
        funding=next((x for x in limits if isinstance(x, Funding)), None),
    )


def _matrix(rows: list[Floats]) -> Floats:
    return np.array(rows) if rows else np.zeros((0, 0))


def _cone(limit: ConeLimit) -> Cone:
    """A cone whose root is diagonal is kept as a diagonal."""
    root = limit.root
    if root.shape[0] == root.shape[1] and np.count_nonzero(root) == np.count_nonzero(np.diagonal(root)):
        return Cone(np.zeros((0, root.shape[1])), limit.radius, np.diagonal(root) ** 2)
    return Cone(root, limit.radius)


def duals(problem: Problem, prices: Multipliers) -> tuple[float, ...]:
    """Per limit its price: utility per year and unit of bound; of the norm for a cone, as in `optimizer`."""
    rows, buys, cones = iter(prices.rows), iter(prices.buys), iter(prices.cones)
    tails = iter(prices.tails)
    found: list[float] = []
    for limit in problem.limits.limits:
        if isinstance(limit, LinearLimit):
            found.append(float(next(buys if limit.on_buys else rows)))
        elif isinstance(limit, ConeLimit):
            found.append(float(next(cones)) * limit.radius)
        elif isinstance(limit, TopLimit):
            found.append(prices.top_price)
        elif isinstance(limit, ShortfallLimit):
            found.append(float(next(tails).sum()))
        else:
            found.append(prices.funding if isinstance(limit, Funding) else 0.0)
    return tuple(found)
