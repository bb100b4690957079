"""Mean variance with short positions and the cost of borrowing them; off unless the mandate allows shorts. Pure.

    maximize    utility (see `optimizer`) - borrow cost * sum of shorts
    subject to  -short_max <= w,  sum of shorts <= shorts_max,  every limit of the mandate; sums over groups, the whole book and
                cash count |w|, so that a short frees no room and pays for no buy

The paper broker has no shorts and RC-20, RC-37 and the last gate refuse them: a mandate that asks for them is refused as long as
this is so. The form itself is complete. Not here: that refusal (`marketbot_resources.mandate`).
"""

from dataclasses import replace

import cvxpy as cp
import numpy as np
from cvxpy.atoms.affine.sum import sum as total
from cvxpy.atoms.elementwise.maximum import maximum

from marketbot_assets.portfolio.cone_program import Program, largest
from marketbot_assets.portfolio.facts import Facts
from marketbot_assets.portfolio.limit import AbsoluteLimit, Limit, LinearLimit
from marketbot_assets.portfolio.limits import LimitSet
from marketbot_assets.portfolio.optimizer import utility
from marketbot_assets.portfolio.target import Answer, Problem
from marketbot_resources.mandate_portfolio import LongShort

GROSS_CONTROLS = ("RC-32", "RC-34", "RC-35", "RC-36", "RC-38")


def with_shorts(limits: LimitSet, facts: Facts, rule: LongShort) -> LimitSet:
    """The limits of a book that may be short; unchanged when it may not.

    Names that can be bought can be sold short down to `short_max`; others cannot.
    """
    if not rule.enabled:
        return limits
    bounds = limits.bounds
    open_ = facts.buyable & facts.sellable & ~bounds.must_go & (bounds.lower == 0.0)
    lower = np.where(open_, -rule.short_max, bounds.lower)
    return replace(
        limits, bounds=replace(bounds, lower=lower), limits=tuple(_absolute(limit) for limit in limits.limits)
    )


def _absolute(limit: Limit) -> Limit:
    if isinstance(limit, LinearLimit) and limit.control in GROSS_CONTROLS and not limit.on_buys:
        return AbsoluteLimit(limit.control, limit.name, limit.row, limit.bound, limit.hard, limit.unit)
    return limit


def long_short(problem: Problem) -> Answer:
    """The weights (n,), some of them negative where the limits allow it. Raises cvxpy.SolverError when the solver gives up."""
    rule = problem.mandate.portfolio.long_short
    return largest(
        problem,
        lambda program, given: utility(program, given) - rule.borrow_cost_per_year * _shorts(program),
        extra=lambda program: [_shorts(program) <= rule.shorts_max] if rule.enabled else [],
    )


def _shorts(program: Program) -> cp.Expression:
    """Sum of the shorts of movable names, fraction of NAV."""
    return total(maximum(-program.weights, 0.0))
