"""The readable cvxpy form as second opinion on the fast answer: how far apart they are, and when that is a doubt. Pure.

Not here: the two solvers (`optimizer`, `structured/`), who asks how often (`decision`, `rebuild`), what a doubt means (RC-53 in the
risk stage).
"""

import datetime as dt
from collections.abc import Callable

import cvxpy as cp
import numpy as np

from marketbot_assets.portfolio.optimizer import mean_variance
from marketbot_assets.portfolio.target import OPTIMAL, Answer, Problem

Solver = Callable[[Problem], Answer]
UTILITY_FLOOR = 1e-3
GAP_MAX = 1e-6
EVERY_DAYS = 100


def second_opinion(problem: Problem, answer: Answer, *, other: Solver = mean_variance) -> float:
    """|utility of cvxpy's answer - utility of `answer`| / (1e-3 + |utility of `answer`|), both unrounded.

    `other`: who is asked.

    Raises cvxpy.SolverError when cvxpy gives up and ArithmeticError when its answer is not optimal.
    """
    theirs = other(problem)
    if theirs.status != OPTIMAL:
        raise ArithmeticError(f"status {theirs.status}")
    mine = problem.utility(answer.weights)
    return abs(problem.utility(theirs.weights) - mine) / (UTILITY_FLOOR + abs(mine))


def doubts_about(problem: Problem, answer: Answer, *, other: Solver = mean_variance) -> tuple[str, ...]:
    """Empty when cvxpy agrees within 1e-6; else the doubt in words without digits that differ between machines."""
    try:
        gap = second_opinion(problem, answer, other=other)
    except (cp.SolverError, ArithmeticError, ValueError, np.linalg.LinAlgError) as error:
        return (f"no second opinion, {type(error).__name__}",)
    return () if np.isfinite(gap) and gap <= GAP_MAX else (f"second opinion differs by {gap:.0e} of the utility",)


def asked(session: dt.date) -> bool:
    """Whether a backtest asks for a second opinion on this session: one calendar day in a hundred, the same in every run."""
    return session.toordinal() % EVERY_DAYS == 0
