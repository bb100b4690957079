"""The limits of a session as a cone program in cvxpy over the names that can move, solved by Clarabel. Pure.

Lives here: variables, every limit as a constraint, the solver's settings, duals. Not here: what is made largest (`optimizer` and
the other methods bring an objective), whether the answer may be used (`fallback` measures it again in plain numpy).
Names that cannot move leave the program first. RC-44 has one row per session of history and seldom binds: it enters when the
answer without it breaks it. The objective is scaled, because a daily utility is close to a solver's tolerance.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cvxpy as cp
import numpy as np
from cvxpy.atoms.affine.binary_operators import multiply
from cvxpy.atoms.affine.hstack import hstack
from cvxpy.atoms.affine.sum import sum as total
from cvxpy.atoms.elementwise.abs import abs as absolute
from cvxpy.atoms.elementwise.maximum import maximum
from cvxpy.atoms.norm import norm
from cvxpy.atoms.sum_largest import sum_largest
from cvxpy.atoms.sum_squares import sum_squares
from numpy.typing import NDArray

from marketbot_assets.portfolio.funding import Funding
from marketbot_assets.portfolio.inputs import Floats
from marketbot_assets.portfolio.limit import AbsoluteLimit, ConeLimit, Limit, LinearLimit, ShortfallLimit, TopLimit
from marketbot_assets.portfolio.target import OPTIMAL, Answer, LimitState, Problem

OBJECTIVE_SCALE = 1e3
TOLERANCES = (1e-9, 1e-8)
MOVABLE = 1e-9
ITERATIONS_MAX = 200


@dataclass
class Program:
    """Variables over the m movable names and the constraints so far. `fixed` (n,): the other weights, 0 where movable.

    `prices`: per limit how its dual is read after solving.
    """

    moves: NDArray[np.intp]
    fixed: Floats
    now: Floats
    weights: cp.Variable
    buys: cp.Variable
    constraints: list[cp.Constraint] = field(default_factory=list)
    prices: dict[int, tuple[cp.Constraint, int | None]] = field(default_factory=dict)

    @property
    def sells(self) -> cp.Expression:
        """(m,) weights sold."""
        return self.buys - self.weights + self.now[self.moves]

    def times(self, matrix: Floats) -> cp.Expression:
        """Matrix (r, n) times all weights, movable and fixed."""
        return cp.Constant(matrix[:, self.moves]) @ self.weights + matrix @ self.fixed

    def read(self) -> Floats:
        """(n,) weights after solving."""
        weights = self.fixed.copy()
        if self.weights.value is not None:
            weights[self.moves] = self.weights.value
        return weights

    def add(self, constraint: cp.Constraint, number: int) -> None:
        """One more constraint, whose dual is the price of limit `number`."""
        self.constraints.append(constraint)
        self.prices[number] = (constraint, None)


Objective = Callable[[Program, Problem], cp.Expression]
Extra = Callable[[Program], list[cp.Constraint]]


def largest(problem: Problem, objective: Objective, *, own: Sequence[Limit] = (), extra: Extra | None = None) -> Answer:
    """The weights (n,) that make the objective largest within all limits, with the dual of every limit.

    `own`: limits of the method beside those of the mandate; they return as `Answer.own`. `extra`: constraints without a name.
    Status other than `optimal` means: do not use. Raises cvxpy.SolverError when the solver gives up.
    """
    bounds = problem.limits.bounds
    if not np.any(bounds.upper - bounds.lower > MOVABLE):
        states = own_states(problem, own, bounds.lower, (0.0,) * len(own))
        return Answer(bounds.lower.copy(), OPTIMAL, (), "no name can move", states)
    answer = _solved(problem, objective, own, extra, tail=False)
    if answer.status == OPTIMAL and tail_broken(problem, answer.weights):
        answer = _solved(problem, objective, own, extra, tail=True)
    return answer


def own_states(
    problem: Problem, own: Sequence[Limit], weights: Floats, duals: Sequence[float]
) -> tuple[LimitState, ...]:
    """The method's own limits at the weights."""
    now = problem.limits.weights_now
    return tuple(
        LimitState(x.control, x.name, x.unit, x.left(weights, now), x.bound, x.hard, float(dual))
        for x, dual in zip(own, duals, strict=True)
    )


def tail_broken(problem: Problem, weights: Floats) -> bool:
    """Whether RC-44 is broken, so that its rows must enter."""
    now = problem.limits.weights_now
    tails = [limit for limit in problem.limits.limits if isinstance(limit, ShortfallLimit)]
    return any(limit.left(weights, now) > limit.bound for limit in tails)


def _solved(problem: Problem, objective: Objective, own: Sequence[Limit], extra: Extra | None, *, tail: bool) -> Answer:
    limits = (*problem.limits.limits, *own)
    program = program_of(problem)
    add_limits(program, limits, tail=tail)
    add_funding(program, limits)
    more = extra(program) if extra is not None else []
    status, tolerance = maximize(objective(program, problem), [*program.constraints, *more])
    duals, count = duals_of(program, len(limits)), len(problem.limits.limits)
    weights = program.read()
    states = own_states(problem, own, weights, duals[count:])
    return Answer(weights, status, duals[:count], f"clarabel, tolerance {tolerance}", states)


def maximize(objective: cp.Expression, constraints: list[cp.Constraint]) -> tuple[str, float]:
    """(status, tolerance that was reached); the variables hold their values afterwards."""
    task = cp.Problem(cp.Maximize(OBJECTIVE_SCALE * objective), constraints)
    tolerance = next((t for t in TOLERANCES if _run(task, t) == OPTIMAL), TOLERANCES[-1])
    return str(task.status), tolerance


def _run(task: cp.Problem, tolerance: float) -> str:
    """One thread and a direct method without random order: the same inputs give the same bits."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        task.solve(  # type: ignore[no-untyped-call]
            solver=cp.CLARABEL,
            tol_gap_abs=tolerance,
            tol_gap_rel=tolerance,
            tol_feas=tolerance,
            max_iter=ITERATIONS_MAX,
            max_threads=1,
            direct_solve_method="qdldl",
        )
    return str(task.status)


def program_of(problem: Problem) -> Program:
    """Weights and buys of the movable names within their bounds; no limit yet."""
    bounds, now = problem.limits.bounds, problem.limits.weights_now
    moves = np.flatnonzero(bounds.upper - bounds.lower > MOVABLE)
    fixed = bounds.lower.copy()
    fixed[moves] = 0.0
    weights, buys = cp.Variable(len(moves)), cp.Variable(len(moves), nonneg=True)
    program = Program(moves, fixed, now, weights, buys)
    program.constraints += [weights >= bounds.lower[moves], weights <= bounds.upper[moves], program.sells >= 0.0]
    return program


def reward(program: Program, problem: Problem) -> cp.Expression:
    """Expected return per year of the movable names."""
    return cp.Constant(problem.facts.expected_return[program.moves]) @ program.weights


def risk(program: Program, problem: Problem) -> cp.Expression:
    """Risk aversion / 2 times the variance per year, the constant of fixed names left out."""
    facts, moves = problem.facts, program.moves
    own = multiply(np.sqrt(facts.specific[moves]), program.weights)
    variance = sum_squares(program.times(facts.factor_root)) + sum_squares(own)
    return 0.5 * problem.mandate.portfolio.risk_aversion * variance


def cost(program: Program, problem: Problem) -> cp.Expression:
    """Cost of the trades, charged as often a year as the mandate says."""
    facts, moves = problem.facts, program.moves
    paid = cp.Constant(facts.cost_buy[moves]) @ program.buys + cp.Constant(facts.cost_sell[moves]) @ program.sells
    return problem.mandate.portfolio.cost_amortization_per_year * paid


def add_limits(program: Program, limits: Sequence[Limit], *, tail: bool, trades: bool = True) -> None:
    """Every limit but the funding; without `trades` those on weights alone; expected shortfall only with `tail`."""
    _add_rows(program, limits, trades=trades)
    for number, limit in enumerate(limits):
        if isinstance(limit, ConeLimit):
            program.add(_cone(program, limit), number)
        elif isinstance(limit, AbsoluteLimit):
            room = limit.bound - limit.rounding - float(limit.row @ np.abs(program.fixed))
            program.add(cp.Constant(limit.row[program.moves]) @ absolute(program.weights) <= room, number)
        elif isinstance(limit, TopLimit):
            program.add(_top(program, limit.count) <= limit.bound, number)
        elif isinstance(limit, ShortfallLimit) and tail:
            program.add(_shortfall(program, limit), number)


def _add_rows(program: Program, limits: Sequence[Limit], *, trades: bool) -> None:
    """All rows as two blocks, one on weights and one on buys; the dual of a limit is an entry of its block."""
    rows = [(k, x) for k, x in enumerate(limits) if isinstance(x, LinearLimit)]
    for on_buys in (False, True) if trades else (False,):
        block = [(k, x) for k, x in rows if x.on_buys is on_buys]
        if not block:
            continue
        matrix = np.array([x.row for _, x in block])
        bound = np.array([x.bound - x.rounding for _, x in block])
        variable = program.buys if on_buys else program.weights
        room = bound if on_buys else bound - matrix @ program.fixed
        constraint = cp.Constant(matrix[:, program.moves]) @ variable <= room
        program.constraints.append(constraint)
        program.prices |= {k: (constraint, place) for place, (k, _) in enumerate(block)}


def _top(program: Program, count: int) -> cp.Expression:
    """Sum of the largest weights; of all weights where there are no more than that."""
    whole = _whole(program)
    return sum_largest(whole, count) if count < whole.size else total(whole)


def _whole(program: Program) -> cp.Expression:
    """The movable weights followed by the fixed ones that are held."""
    held = program.fixed[program.fixed != 0.0]
    return hstack([program.weights, held]) if len(held) else program.weights


def _cone(program: Program, limit: ConeLimit) -> cp.Constraint:
    """|R (w - c)| <= r with R reduced to its triangular factor: at most m + 1 rows instead of one per session."""
    constant = limit.moved(program.fixed)
    columns = np.column_stack([limit.root[:, program.moves], constant])
    root = np.asarray(np.linalg.qr(columns, mode="r"))
    moved = cp.Constant(root[:, :-1]) @ program.weights
    return norm(moved + root[:, -1] if constant.any() else moved, 2) <= limit.radius


def _shortfall(program: Program, limit: ShortfallLimit) -> cp.Constraint:
    return tail_mean(program, limit.returns, limit.rows) <= limit.bound


def tail_mean(program: Program, returns: Floats, rows: float) -> cp.Expression:
    """Mean loss in the worst `rows` of the rows of `returns` (T, n), as Rockafellar and Uryasev's minimum (2000)."""
    threshold = cp.Variable()
    return threshold + total(maximum(-program.times(returns) - threshold, 0.0)) / rows


def add_funding(program: Program, limits: Sequence[Limit]) -> None:
    """RC-18, where it is among the limits."""
    for number, limit in enumerate(limits):
        if isinstance(limit, Funding):
            _add_funding(program, limit, number)


def _add_funding(program: Program, limit: Funding, number: int) -> None:
    """Legs >= debts fund the foreign waves; each base wave pays its own need and all legs."""
    legs = {currency: cp.Variable() for currency, _ in limit.debts}
    program.constraints += [legs[currency] >= debt for currency, debt in limit.debts]
    paid: cp.Expression = cp.Constant(0.0)
    for leg in legs.values():
        paid = paid + (1.0 + limit.leg_cost) * leg
    sold = np.maximum(program.now - program.fixed, 0.0)
    sold[program.moves] = 0.0
    needs: list[cp.Expression] = [paid]
    for wave in limit.waves:
        have = wave.cash + float(wave.sells @ sold)
        buys, sells = cp.Constant(wave.buys[program.moves]), cp.Constant(wave.sells[program.moves])
        need = buys @ program.buys - sells @ program.sells - have
        if wave.currency == limit.base:
            needs.append(need + paid)
        else:
            program.constraints.append(need <= legs[wave.currency])
    program.add(hstack(needs) <= cp.Constant(limit.bound), number)


def duals_of(program: Program, count: int) -> tuple[float, ...]:
    """Per limit its dual in utility per unit of bound; a vector constraint of one limit adds up."""
    duals = np.zeros(count)
    for number, (constraint, place) in program.prices.items():
        value = constraint.dual_value
        if value is not None:
            flat = np.atleast_1d(np.asarray(value, dtype=float))
            duals[number] = (flat.sum() if place is None else flat[place]) / OBJECTIVE_SCALE
    return tuple(float(dual) for dual in duals)
