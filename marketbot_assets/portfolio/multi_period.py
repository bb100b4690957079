"""Several steps ahead: one trajectory of books, of which the first is traded (Boyd et al. 2017, section 5). Pure.

    maximize    sum over t of (m_t'w_t - gamma/2 w_t'Sw_t) / H  -  amortization * sum over t of cost(w_t - w_(t-1))
    with        m_t = prior + decay^(t-1) * (mu - prior)
    subject to  every limit of the mandate for w_1; for the later books all limits on weights, none on a session's trades

The steps share the horizon over which a trade is charged: with amortization a and H steps one step lasts 1 / (a H) years, long
enough for the trade limits of single sessions not to bind later. With H = 1 this is `optimizer`; without costs each step is on
its own. A tilt that fades is chased less: its trade pays for fewer steps.
"""

from dataclasses import replace

import cvxpy as cp
import numpy as np
from cvxpy.atoms.elementwise.maximum import maximum

from marketbot_assets.portfolio.black_litterman import equilibrium, reference_book
from marketbot_assets.portfolio.cone_program import (
    MOVABLE,
    Program,
    add_funding,
    add_limits,
    cost,
    duals_of,
    maximize,
    program_of,
    reward,
    risk,
    tail_broken,
)
from marketbot_assets.portfolio.inputs import Floats
from marketbot_assets.portfolio.target import OPTIMAL, Answer, Problem


def multi_period(problem: Problem) -> Answer:
    """The first book (n,) of the best trajectory, with the duals of its limits. Raises cvxpy.SolverError, ArithmeticError."""
    bounds = problem.limits.bounds
    if not np.any(bounds.upper - bounds.lower > MOVABLE):
        return Answer(bounds.lower.copy(), OPTIMAL, (), "no name can move")
    answer = _solved(problem, tail=False)
    if answer.status == OPTIMAL and tail_broken(problem, answer.weights):
        answer = _solved(problem, tail=True)
    return answer


def forecasts(problem: Problem) -> tuple[Floats, ...]:
    """Expected return per year of each step, (n,): the tilt beside the equilibrium fades."""
    facts, portfolio = problem.facts, problem.mandate.portfolio
    rule = portfolio.multi_period
    prior = equilibrium(
        facts.factor_root, facts.specific, reference_book(facts), portfolio.prior_excess_return_per_year
    )
    tilt = facts.expected_return - prior
    return tuple(prior + rule.decay_per_step**step * tilt for step in range(rule.steps))


def _solved(problem: Problem, *, tail: bool) -> Answer:
    limits, returns = problem.limits.limits, forecasts(problem)
    first = program_of(problem)
    add_limits(first, limits, tail=tail)
    add_funding(first, limits)
    later = [_later(problem, first) for _ in returns[1:]]
    constraints = list(first.constraints)
    utility: cp.Expression = -cost(first, problem)
    for step, (program, expected) in enumerate(zip((first, *later), returns, strict=True)):
        seen = replace(problem, facts=replace(problem.facts, expected_return=expected))
        utility = utility + (reward(program, seen) - risk(program, seen)) / len(returns)
        if step:
            before = (first, *later)[step - 1].weights
            utility = utility - _step_cost(problem, program, before)
            constraints += program.constraints
    status, tolerance = maximize(utility, constraints)
    text = f"clarabel, {len(returns)} steps, tolerance {tolerance}"
    return Answer(first.read(), status, duals_of(first, len(limits)), text)


def _later(problem: Problem, first: Program) -> Program:
    """A later book over the same movable names: between nothing and the most that a name may ever weigh."""
    bounds, facts, moves = problem.limits.bounds, problem.facts, first.moves
    cap = np.where(facts.buyable & ~bounds.must_go, problem.mandate.limits.position.constraint, 0.0)
    upper, lower = np.maximum(bounds.upper, cap), np.minimum(bounds.lower, 0.0)
    weights = cp.Variable(len(moves))
    program = Program(moves, first.fixed, first.now, weights, cp.Variable(0))
    program.constraints += [weights >= lower[moves], weights <= upper[moves]]
    add_limits(program, problem.limits.limits, tail=False, trades=False)
    return program


def _step_cost(problem: Problem, program: Program, before: cp.Variable) -> cp.Expression:
    facts, moves = problem.facts, program.moves
    move = program.weights - before
    paid = cp.Constant(facts.cost_buy[moves]) @ maximum(move, 0.0) + cp.Constant(facts.cost_sell[moves]) @ maximum(
        -move, 0.0
    )
    return problem.mandate.portfolio.cost_amortization_per_year * paid
