"""The price of each limit that holds the target back: what the book would gain were it 1 % looser. Pure.

To first order the dual says it; exactly, the problem is solved again with that one bound 1 % (of itself) looser. Utility is the
certainty equivalent of an expected return per year. Only mean variance has such prices; a book whose views were clamped is no
optimum and has none. Not here: the forces on a name (`explanation`).
"""

from dataclasses import dataclass, replace

import numpy as np

from marketbot_assets.portfolio.facts import facts_of, nav_known
from marketbot_assets.portfolio.fallback import problem_of
from marketbot_assets.portfolio.inputs import PortfolioInputs
from marketbot_assets.portfolio.limit import ConeLimit, Limit
from marketbot_assets.portfolio.methods import Solver
from marketbot_assets.portfolio.structured.adapter import structured_mean_variance
from marketbot_assets.portfolio.target import MEAN_VARIANCE, OPTIMAL, LimitState, Problem, Target
from marketbot_resources.mandate import Mandate

LOOSER = 0.01
UNPRICED = float("nan")


@dataclass(frozen=True, slots=True)
class LimitPrice:
    """Gains per year were one bound 1 % looser, fractions of NAV.

    `utility`: by solving again, at least 0; `by_dual`: the same to first order; `expected_return`: mu'w, risk and cost aside.
    NaN where it is not known.
    """

    utility: float
    by_dual: float
    expected_return: float


NO_PRICE = LimitPrice(UNPRICED, UNPRICED, UNPRICED)
FREE = LimitPrice(0.0, 0.0, 0.0)


def limit_prices(problem: Problem, target: Target, solver: Solver) -> tuple[LimitPrice, ...]:
    """One price per limit of the target, in its order; 0 for a limit that does not bind or has no dual.

    `solver`: of mean variance. A solve that fails leaves NaN, never an error. Empty for a target of another method.
    """
    if target.method != MEAN_VARIANCE or target.status != OPTIMAL or len(target.limits) != len(problem.limits.limits):
        return ()
    base = _solved(problem, solver)
    return tuple(
        _price(problem, place, state, base, solver) if state.binding and state.dual > 0.0 else FREE
        for place, state in enumerate(target.limits)
    )


def prices_of_target(inputs: PortfolioInputs, target: Target, mandate: Mandate) -> tuple[LimitPrice, ...]:
    """The prices of a session's target by the structured solver; empty without a NAV, or when its views were clamped."""
    if not nav_known(inputs) or target.views_clamped:
        return ()
    heard = target.heard(inputs)
    problem = problem_of(heard, facts_of(heard, mandate), mandate)
    return limit_prices(problem, target, structured_mean_variance)


def by_dual(limit: Limit, dual: float) -> float:
    """First-order gain of a bound 1 % looser; the dual of a cone is per unit of its norm."""
    if isinstance(limit, ConeLimit) and limit.squared:
        return dual * limit.radius * (np.sqrt(1.0 + LOOSER) - 1.0)
    return dual * LOOSER * abs(limit.bound)


def looser(problem: Problem, place: int) -> Problem:
    """The same problem with the bound of limit number `place` 1 % looser."""
    limits = list(problem.limits.limits)
    limit = limits[place]
    limits[place] = replace(limit, bound=limit.bound + LOOSER * abs(limit.bound))  # type: ignore[type-var]
    return replace(problem, limits=replace(problem.limits, limits=tuple(limits)))


def _price(
    problem: Problem, place: int, state: LimitState, base: tuple[float, float] | None, solver: Solver
) -> LimitPrice:
    first = by_dual(problem.limits.limits[place], state.dual)
    again = _solved(looser(problem, place), solver)
    if base is None or again is None:
        return LimitPrice(UNPRICED, first, UNPRICED)
    return LimitPrice(max(again[0] - base[0], 0.0), first, again[1] - base[1])


def _solved(problem: Problem, solver: Solver) -> tuple[float, float] | None:
    """(utility, expected return) of the unrounded answer; None when there is none."""
    try:
        answer = solver(problem)
    except (ArithmeticError, ValueError):
        return None
    if answer.status != OPTIMAL:
        return None
    return problem.utility(answer.weights), float(problem.facts.expected_return @ answer.weights)
