"""Mean variance at a bounded distance to the benchmark. Pure.

    maximize    utility (see `optimizer`)
    subject to  every limit of the mandate, and  |R (w - b)| <= tracking error,  R'R = S per year

The cash of a book on its way to being invested is active risk, too: from cash no book of the first sessions keeps the cap. Then the
bound is what the limits leave of it: a little more than the least active risk of today. The cap is shown broken until it holds.
"""

from dataclasses import replace

import cvxpy as cp
import numpy as np
from cvxpy.atoms.norm import norm

from marketbot_assets.portfolio.cone_program import Program, largest
from marketbot_assets.portfolio.limit import ConeLimit
from marketbot_assets.portfolio.optimizer import utility
from marketbot_assets.portfolio.target import OPTIMAL, Answer, Problem

ROOM, HAIR = 1.05, 1e-6


def tracking_limit(problem: Problem) -> ConeLimit:
    """|R (w - b)| <= cap. Raises ArithmeticError when the benchmark is unknown."""
    facts, cap = problem.facts, problem.mandate.portfolio.tracking_error_per_year
    if facts.benchmark.shape != facts.weights_now.shape:
        raise ArithmeticError("tracking error: expected the weights of the benchmark, found too few market values")
    root = np.vstack([facts.factor_root, np.diag(np.sqrt(facts.specific))])
    return ConeLimit("TE", "tracking error", root, cap, cap, "per year", centre=facts.benchmark)


def tracking_error(problem: Problem) -> Answer:
    """The weights (n,) of the largest utility near the benchmark. Raises ArithmeticError and cvxpy.SolverError."""
    limit = tracking_limit(problem)
    answer = _within(problem, limit)
    if answer.status == OPTIMAL:
        return answer
    nearest = largest(problem, lambda program, _: -_distance(program, limit))
    if nearest.status != OPTIMAL:
        return nearest
    least = limit.left(nearest.weights, problem.limits.weights_now)
    eased = _within(problem, replace(limit, bound=max(ROOM * least + HAIR, limit.bound)))
    shown = tuple(replace(state, bound=limit.bound) for state in eased.own)
    return replace(eased, own=shown, solver=f"{eased.solver}, tracking error out of reach")


def _within(problem: Problem, limit: ConeLimit) -> Answer:
    """The answer under the limit, measured again in plain numpy."""
    answer = largest(problem, utility, own=(limit,))
    left = limit.left(answer.weights, problem.limits.weights_now)
    allowed = limit.bound + problem.mandate.limits.residual.hard
    if answer.status == OPTIMAL and not (np.isfinite(left) and left <= allowed):
        return replace(answer, status=f"broken: {limit.message(left)}")
    return answer


def _distance(program: Program, limit: ConeLimit) -> cp.Expression:
    apart = program.times(limit.root) if limit.centre is None else program.times(limit.root) - limit.root @ limit.centre
    return norm(apart, 2)
