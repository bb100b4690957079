"""Reward against the mean loss in the tail: the scenarios themselves are the risk model. Pure.

    maximize    mu'w - aversion * sqrt(sessions a year) * CVaR(w) - amortization * cost
    with        CVaR(w) = min over t of  t + mean of (loss_s(w) - t)+ / tail     (Rockafellar and Uryasev 2000)
    subject to  every limit of the mandate, as in `optimizer`

The scenarios are the newest returns per session that RC-44 looks at. CVaR is positively homogeneous: half the book has half of it.
"""

import cvxpy as cp
import numpy as np

from marketbot_assets.portfolio.cone_program import Program, cost, largest, reward, tail_mean
from marketbot_assets.portfolio.target import Answer, Problem
from marketbot_resources.model import SESSIONS_PER_YEAR


def cvar(problem: Problem) -> Answer:
    """The weights (n,) with the best reward for their tail. Raises ArithmeticError without scenarios, cvxpy.SolverError."""
    if len(problem.facts.returns) == 0:
        raise ArithmeticError("cvar: expected scenarios, found no history of returns")
    return largest(problem, _objective)


def _objective(program: Program, problem: Problem) -> cp.Expression:
    rule = problem.mandate.portfolio.cvar
    scenarios = problem.facts.returns[-problem.mandate.limits.es.scenarios :]
    price = rule.aversion * float(np.sqrt(SESSIONS_PER_YEAR))
    shortfall = tail_mean(program, scenarios, max(rule.tail * len(scenarios), 1.0))
    return reward(program, problem) - price * shortfall - cost(program, problem)
