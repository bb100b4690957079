"""From inputs to a target that may be used: the chain of methods, each answer measured again (RC-53). Pure.

the mandate's method (`methods`; mean variance by the structured dual solver, then by cvxpy) -> risk parity -> the previous book
scaled down -> risk-reducing orders only. An answer counts when its status is `optimal`, its weights are finite, plain numpy finds
no limit broken by more than the mandate's residual, and (mean variance) it is not worse than the previous book scaled down. The
reason why a method was not used is kept; that the first solver of the mandate's method did not answer, or that cvxpy's second
opinion differs, is a doubt (RC-53). A ladder that goes to cash needs no solver, a session without rebalance mends what is broken
and buys nothing. Before the first method, limits that today's selling cannot reach are eased in a stated order (`easing`); what
was eased and which limits exclude each other (`conflict`) is part of the answer.
"""

from collections.abc import Sequence
from dataclasses import replace

import cvxpy as cp
import numpy as np

from marketbot_assets.portfolio.bounds import to_cash
from marketbot_assets.portfolio.conflict import conflicts_of
from marketbot_assets.portfolio.facts import Facts, facts_of, held, nav_known, priced
from marketbot_assets.portfolio.groundwork import Groundwork
from marketbot_assets.portfolio.inputs import Floats, PortfolioInputs
from marketbot_assets.portfolio.limit import LinearLimit
from marketbot_assets.portfolio.limits import LimitSet, cure_set, limit_set
from marketbot_assets.portfolio.long_short import with_shorts
from marketbot_assets.portfolio.methods import Solver, chain_of
from marketbot_assets.portfolio.optimizer import mean_variance
from marketbot_assets.portfolio.risk_parity import largest_multiple, risk_parity
from marketbot_assets.portfolio.second_opinion import doubts_about
from marketbot_assets.portfolio.structured.adapter import structured_mean_variance
from marketbot_assets.portfolio.target import (
    CURES_ONLY,
    MEAN_VARIANCE,
    NO_ANSWER,
    OPTIMAL,
    RISK_PARITY,
    RISK_REDUCING_ONLY,
    SCALED_PREVIOUS,
    TO_CASH,
    Answer,
    Problem,
    Target,
    limit_states,
    on_grid,
)
from marketbot_resources.mandate import Mandate

REPAIRS = (0.0, 1e-5, 1e-4, 1e-3)
CURE_ROUNDS = 200
HALVINGS = 40
UTILITY_TOLERANCE, STAND_IN_MIN = 1e-6, 0.5
SOLVER_FAILURES = (cp.SolverError, ArithmeticError, ValueError, np.linalg.LinAlgError)


def scaled_previous(problem: Problem) -> Answer:
    """The book as it is, exits done, times the largest factor up to 1 that meets all limits; it never buys."""
    return Answer(largest_multiple(problem.facts.weights_now, problem.limits), OPTIMAL, (), "bisection")


DEFAULT_SOLVERS: tuple[tuple[str, Solver], ...] = (
    (MEAN_VARIANCE, structured_mean_variance),
    (MEAN_VARIANCE, mean_variance),
    (RISK_PARITY, risk_parity),
    (SCALED_PREVIOUS, scaled_previous),
)


def solve_target(
    inputs: PortfolioInputs,
    mandate: Mandate,
    *,
    solvers: Sequence[tuple[str, Solver]] = DEFAULT_SOLVERS,
    second_opinion: bool = False,
    ground: Groundwork | None = None,
) -> Target:
    """The target of the session. `solvers`: (method, solver) of mean variance and what follows; `methods` puts the mandate's
    method before what follows.

    `second_opinion`: whether cvxpy solves the same problem, too; a difference is kept as a doubt, the answer stays.
    `ground`: what was worked out of these inputs, which have no views then; None = it is worked out here.

    Never raises for a solver that fails and never answers with a book that breaks a limit of the mandate: the last resort
    keeps what is held, sells what must go and buys nothing (status `no_answer`).
    """
    facts = facts_of(inputs, mandate) if ground is None else ground.facts
    if not nav_known(inputs):
        return _target(
            inputs, facts, cure_set(inputs, facts, mandate), facts.weights_now, RISK_REDUCING_ONLY, status=NO_ANSWER
        )
    if not inputs.rebalance or to_cash(inputs):
        limits = cure_set(inputs, facts, mandate)
        method = TO_CASH if to_cash(inputs) else CURES_ONLY
        return _target(inputs, facts, limits, on_grid(cured(limits), limits), method)
    problem = problem_of(inputs, facts, mandate, None if ground is None else ground.limits)
    failures: list[tuple[str, str]] = []
    for method, solver in chain_of(mandate.portfolio.method, solvers):
        answer, weights, reason = _attempt(problem, method, solver)
        if answer is not None:
            doubts = tuple(f"{name} by the first solver: {why}" for name, why in failures if name == method)
            if second_opinion and not doubts and method == MEAN_VARIANCE:
                doubts = doubts_about(problem, answer)
            told, duals = tuple(failures), answer.duals
            target = _target(inputs, facts, problem.limits, weights, method, failures=told, duals=duals)
            states, utility = (*target.limits, *answer.own), problem.utility(weights)
            return replace(target, limits=states, solver=answer.solver, objective=utility, doubts=doubts)
        failures.append((method, reason.replace(";", ",")))
    limits = cure_set(inputs, facts, mandate)
    weights = on_grid(cured(limits), limits)
    return _target(inputs, facts, limits, weights, RISK_REDUCING_ONLY, status=NO_ANSWER, failures=tuple(failures))


def problem_of(inputs: PortfolioInputs, facts: Facts, mandate: Mandate, stated: LimitSet | None = None) -> Problem:
    """What every solver of the session gets. `stated`: the limits of these inputs; None = worked out here."""
    is_base = tuple(currency == mandate.base_currency for currency in inputs.currency)
    found = limit_set(inputs, facts, mandate) if stated is None else stated
    limits = with_shorts(found, facts, mandate.portfolio.long_short)
    return Problem(facts, limits, mandate, is_base)


def _attempt(problem: Problem, method: str, solver: Solver) -> tuple[Answer | None, Floats, str]:
    """(the answer, its weights on the grid, "") when it may be used, else (None, the weights now, why not)."""
    now = problem.facts.weights_now
    try:
        answer = solver(problem)
    except SOLVER_FAILURES as error:
        return None, now, f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
    if answer.status != OPTIMAL:
        return None, now, f"status {answer.status}"
    if np.shape(answer.weights) != now.shape or not np.isfinite(answer.weights).all():
        return None, now, "the weights are not finite numbers"
    weights, residual = _checked(problem, answer.weights)
    if weights is None:
        return None, now, f"RC-53 residual {residual:.2e} above {problem.mandate.limits.residual.hard:.0e}"
    worse = _worse(problem, method, weights) if method in (MEAN_VARIANCE, RISK_PARITY) else ""
    return (None, now, worse) if worse else (answer, weights, "")


def _worse(problem: Problem, method: str, weights: Floats) -> str:
    """Why the previous book scaled down is better than an answer that keeps every limit; empty where it is not.

    Risk parity that stands in for another method buys what limits allow today. Where they allow next to nothing, its book is a
    fraction of the one held, and reaching it would sell the rest for no risk's sake: then the previous book scaled down goes on.
    """
    stands_in = method != problem.mandate.portfolio.method
    if method == RISK_PARITY and not stands_in:
        return ""
    plain = on_grid(scaled_previous(problem).weights, problem.limits)
    if method == RISK_PARITY and float(weights.sum()) < STAND_IN_MIN * float(plain.sum()):
        return "holds less than half of the previous book scaled down"
    if method == MEAN_VARIANCE and problem.utility(weights) < problem.utility(plain) - UTILITY_TOLERANCE:
        return "RC-53 worse than the previous book scaled down"
    return ""


def _checked(problem: Problem, weights: Floats) -> tuple[Floats | None, float]:
    """The weights on the grid if they keep every limit; a rounding that tips a cone over is drawn a hair towards selling."""
    limits, allowed = problem.limits, problem.mandate.limits.residual.hard
    worst = limits.residual(weights)
    if worst > allowed:
        return None, worst
    for repair in REPAIRS:
        drawn = on_grid(limits.bounds.lower + (1.0 - repair) * (weights - limits.bounds.lower), limits)
        worst = limits.residual(drawn)
        if worst <= allowed:
            return drawn, worst
    return None, worst


def cured(limits: LimitSet) -> Floats:
    """(n,) the book with exits done and, limit by limit, just enough sold of what a broken limit counts. It never buys.

    Limits that cannot be measured are left out: nothing is bought anyway. If mending does not settle, all that may go goes.
    """
    now, lower = limits.weights_now, limits.bounds.lower
    weights = np.clip(now, lower, limits.bounds.upper)
    measurable = [x for x in limits.limits if np.isfinite(x.left(weights, now)) and np.isfinite(x.left(lower, now))]
    for _ in range(CURE_ROUNDS):
        over = [x.left(weights, now) - x.bound for x in measurable]
        if max(over, default=0.0) <= 0.0:
            return np.asarray(weights)
        worst = measurable[int(np.argmax(over))]
        counted = worst.row > 0.0 if isinstance(worst, LinearLimit) else np.ones(len(now), dtype=np.bool_)
        keep, drop = 0.0, 1.0
        for _ in range(HALVINGS):
            middle = 0.5 * (keep + drop)
            drawn = np.where(counted, weights + middle * (lower - weights), weights)
            keep, drop = (middle, drop) if worst.left(drawn, now) > worst.bound else (keep, middle)
        weights = np.where(counted, weights + drop * (lower - weights), weights)
    return lower.copy()


def _target(
    inputs: PortfolioInputs,
    facts: Facts,
    limits: LimitSet,
    weights: Floats,
    method: str,
    *,
    status: str = OPTIMAL,
    failures: tuple[tuple[str, str], ...] = (),
    duals: tuple[float, ...] = (),
) -> Target:
    """The result; a held name without price has no weight (NaN)."""
    unknown = held(inputs) & ~(priced(inputs) & np.bool_(nav_known(inputs)))
    shown = np.where(unknown, np.nan, weights)
    return Target(
        weights=shown,
        weights_now=np.where(unknown, np.nan, facts.weights_now),
        cash_weight=round(1.0 - float(np.nansum(shown)), 6),
        method=method,
        status=status,
        objective=float("nan"),
        residual=limits.residual(weights),
        limits=limit_states(limits, weights, duals),
        failures=failures,
        no_buys=facts.no_buys,
        solver="none",
        eased=tuple(x.message for x in limits.eased),
        conflicts=_conflicts(limits, inputs.instruments),
    )


def _conflicts(limits: LimitSet, instruments: Sequence[str]) -> tuple[str, ...]:
    """Which limits exclude each other as stated, in words; the search is only begun when a limit was eased."""
    if not limits.eased:
        return ()
    try:
        found = conflicts_of(limits.stated, limits.bounds, limits.weights_now)
    except SOLVER_FAILURES as error:
        return (f"limits exclude each other, which ones is unknown: {type(error).__name__}",)
    return tuple(conflict.message(instruments) for conflict in found)
