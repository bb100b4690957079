"""Minimum variance: the book of least risk that is as much invested as the mandate asks or the limits allow. Pure.

    first       maximize  sum w                               -> the budget B, at most `invested_target`
    then        minimize  gamma/2 w'Sw + amortization * cost  with sum w = B, or >= B - 1e-4 where limits stop at B
    subject to  every limit of the mandate, as in `optimizer`

Without a budget the book of least variance is cash. Forecasts play no part. What cannot be sold today counts into the budget. The
slack of 1e-4 leaves the solver a room to work in: where limits stop the first step, its answer is a corner.
"""

import cvxpy as cp
from cvxpy.atoms.affine.sum import sum as total

from marketbot_assets.portfolio.cone_program import Program, cost, largest, risk
from marketbot_assets.portfolio.target import OPTIMAL, Answer, Problem

HAIR, SLACK = 1e-6, 1e-4


def min_variance(problem: Problem) -> Answer:
    """The weights (n,) of least variance for the budget. Raises cvxpy.SolverError when the solver gives up."""
    most = max(problem.mandate.portfolio.invested_target, float(problem.limits.bounds.lower.sum()) + HAIR)
    fullest = largest(problem, _invested, extra=lambda p: [_sum(p) <= most])
    if fullest.status != OPTIMAL:
        return fullest
    budget = float(fullest.weights.sum())
    if budget >= most - HAIR:
        return largest(problem, _calm, extra=lambda p: [_sum(p) == most])
    return largest(problem, _calm, extra=lambda p: [_sum(p) <= most, _sum(p) >= budget - SLACK])


def _sum(program: Program) -> cp.Expression:
    return total(program.weights) + float(program.fixed.sum())


def _invested(program: Program, problem: Problem) -> cp.Expression:
    return total(program.weights)


def _calm(program: Program, problem: Problem) -> cp.Expression:
    return -risk(program, problem) - cost(program, problem)
