"""The readable optimizer: a convex problem in cvxpy, solved by Clarabel. Pure.

    maximize    mu'w - gamma/2 w'(G'G + D)w - amortization * (cost_buy'b + cost_sell's)
    over        w = weights now + b - s,  b, s >= 0
    subject to  lower <= w <= upper                    single names (RC-08, 10, 30, 31, 41, 60)
                A w <= a,  sum b <= c                  groups, gross, cash, buys, stress (RC-32 to 46)
                |R w| <= r                             volatility per estimator, concentration (RC-42, RC-39)
                sum of the ten largest w <= t          RC-40
                mean of the worst 2.5 % of losses <= e RC-44 (Rockafellar and Uryasev 2000)
                buys <= cash + legs + 95 % of sells    RC-18

Names that cannot move leave the problem first. RC-44 has one row per session of history and seldom binds: it enters when the
answer without it breaks it. The objective is scaled, because a daily utility is close to a solver's tolerance. Not here:
whether the answer may be used (`fallback` measures it again in plain numpy).
"""

import warnings
from dataclasses import dataclass, field

import cvxpy as cp
import numpy as np
from cvxpy.atoms.affine.binary_operators import multiply
from cvxpy.atoms.affine.hstack import hstack
from cvxpy.atoms.affine.sum import sum as total
from cvxpy.atoms.elementwise.maximum import maximum
from cvxpy.atoms.norm import norm
from cvxpy.atoms.sum_largest import sum_largest
from cvxpy.atoms.sum_squares import sum_squares
from numpy.typing import NDArray

from marketbot_assets.portfolio.funding import Funding
from marketbot_assets.portfolio.inputs import Floats
from marketbot_assets.portfolio.limit import ConeLimit, LinearLimit, ShortfallLimit, TopLimit
from marketbot_assets.portfolio.target import OPTIMAL, Answer, Problem

OBJECTIVE_SCALE = 1e3
TOLERANCES = (1e-9, 1e-8)
MOVABLE = 1e-9
ITERATIONS_MAX = 200


@dataclass
class _Model:
    """The problem over the m movable names. `prices`: per limit how its dual is read after solving."""

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

    def add(self, constraint: cp.Constraint, number: int) -> None:
        self.constraints.append(constraint)
        self.prices[number] = (constraint, None)


def mean_variance(problem: Problem) -> Answer:
    """The optimal weights (n,) with the dual of every limit. Status other than `optimal` means: do not use.

    Raises cvxpy.SolverError when the solver gives up.
    """
    bounds = problem.limits.bounds
    if not np.any(bounds.upper - bounds.lower > MOVABLE):
        return Answer(bounds.lower.copy(), OPTIMAL, (), "no name can move")
    answer = _solved(problem, tail=False)
    if answer.status == OPTIMAL and _tail_broken(problem, answer.weights):
        answer = _solved(problem, tail=True)
    return answer


def _tail_broken(problem: Problem, weights: Floats) -> bool:
    now = problem.limits.weights_now
    tails = [limit for limit in problem.limits.limits if isinstance(limit, ShortfallLimit)]
    return any(limit.left(weights, now) > limit.bound for limit in tails)


def _solved(problem: Problem, *, tail: bool) -> Answer:
    model = _model(problem)
    _add_linear(model, problem)
    _add_curved(model, problem, tail=tail)
    task = cp.Problem(cp.Maximize(OBJECTIVE_SCALE * _utility(model, problem)), model.constraints)
    tolerance = next((t for t in TOLERANCES if _run(task, t) == OPTIMAL), TOLERANCES[-1])
    weights = model.fixed.copy()
    if model.weights.value is not None:
        weights[model.moves] = model.weights.value
    return Answer(
        weights, str(task.status), _duals(model, len(problem.limits.limits)), f"clarabel, tolerance {tolerance}"
    )


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


def _model(problem: Problem) -> _Model:
    bounds, now = problem.limits.bounds, problem.limits.weights_now
    moves = np.flatnonzero(bounds.upper - bounds.lower > MOVABLE)
    fixed = bounds.lower.copy()
    fixed[moves] = 0.0
    weights, buys = cp.Variable(len(moves)), cp.Variable(len(moves), nonneg=True)
    model = _Model(moves, fixed, now, weights, buys)
    model.constraints += [weights >= bounds.lower[moves], weights <= bounds.upper[moves], model.sells >= 0.0]
    return model


def _utility(model: _Model, problem: Problem) -> cp.Expression:
    facts, rule, moves = problem.facts, problem.mandate.portfolio, model.moves
    factor = facts.factor_root[:, moves] @ model.weights + facts.factor_root @ model.fixed
    own = multiply(np.sqrt(facts.specific[moves]), model.weights)
    risk = sum_squares(factor) + sum_squares(own)
    cost = facts.cost_buy[moves] @ model.buys + facts.cost_sell[moves] @ model.sells
    reward = facts.expected_return[moves] @ model.weights
    return reward - 0.5 * rule.risk_aversion * risk - rule.cost_amortization_per_year * cost


def _add_linear(model: _Model, problem: Problem) -> None:
    """All rows as two blocks, one on weights and one on buys; the dual of a limit is an entry of its block."""
    rows = [(k, x) for k, x in enumerate(problem.limits.limits) if isinstance(x, LinearLimit)]
    for on_buys in (False, True):
        block = [(k, x) for k, x in rows if x.on_buys is on_buys]
        if not block:
            continue
        matrix = np.array([x.row for _, x in block])
        bound = np.array([x.bound - x.rounding for _, x in block])
        variable = model.buys if on_buys else model.weights
        room = bound if on_buys else bound - matrix @ model.fixed
        constraint = cp.Constant(matrix[:, model.moves]) @ variable <= room
        model.constraints.append(constraint)
        model.prices |= {k: (constraint, place) for place, (k, _) in enumerate(block)}


def _add_curved(model: _Model, problem: Problem, *, tail: bool) -> None:
    for number, limit in enumerate(problem.limits.limits):
        if isinstance(limit, ConeLimit):
            model.add(_cone(model, limit), number)
        elif isinstance(limit, TopLimit):
            if limit.count < len(model.moves) + int(np.count_nonzero(model.fixed)):
                model.add(sum_largest(_whole(model), limit.count) <= limit.bound, number)
        elif isinstance(limit, ShortfallLimit) and tail:
            model.add(_shortfall(model, limit), number)
        elif isinstance(limit, Funding):
            _add_funding(model, limit, number)


def _whole(model: _Model) -> cp.Expression:
    """The movable weights followed by the fixed ones that are held."""
    held = model.fixed[model.fixed != 0.0]
    return hstack([model.weights, held]) if len(held) else model.weights


def _cone(model: _Model, limit: ConeLimit) -> cp.Constraint:
    """|R w| <= r with R reduced to its triangular factor: at most m + 1 rows instead of one per session."""
    constant = limit.root @ model.fixed
    columns = np.column_stack([limit.root[:, model.moves], constant])
    root = np.asarray(np.linalg.qr(columns, mode="r"))
    moved = cp.Constant(root[:, :-1]) @ model.weights
    return norm(moved + root[:, -1] if constant.any() else moved, 2) <= limit.radius


def _shortfall(model: _Model, limit: ShortfallLimit) -> cp.Constraint:
    losses = -(limit.returns[:, model.moves] @ model.weights) - limit.returns @ model.fixed
    threshold = cp.Variable()
    return threshold + total(maximum(losses - threshold, 0.0)) / limit.rows <= limit.bound


def _add_funding(model: _Model, limit: Funding, number: int) -> None:
    """Legs >= debts fund the foreign waves; each base wave pays its own need and all legs."""
    legs = {currency: cp.Variable() for currency, _ in limit.debts}
    model.constraints += [legs[currency] >= debt for currency, debt in limit.debts]
    paid: cp.Expression = cp.Constant(0.0)
    for leg in legs.values():
        paid = paid + (1.0 + limit.leg_cost) * leg
    sold = np.maximum(model.now - model.fixed, 0.0)
    sold[model.moves] = 0.0
    needs: list[cp.Expression] = [paid]
    for wave in limit.waves:
        have = wave.cash + float(wave.sells @ sold)
        buys, sells = cp.Constant(wave.buys[model.moves]), cp.Constant(wave.sells[model.moves])
        need = buys @ model.buys - sells @ model.sells - have
        if wave.currency == limit.base:
            needs.append(need + paid)
        else:
            model.constraints.append(need <= legs[wave.currency])
    model.add(hstack(needs) <= cp.Constant(limit.bound), number)


def _duals(model: _Model, count: int) -> tuple[float, ...]:
    """Per limit its dual in utility per unit of bound; a vector constraint of one limit adds up."""
    duals = np.zeros(count)
    for number, (constraint, place) in model.prices.items():
        value = constraint.dual_value
        if value is not None:
            flat = np.atleast_1d(np.asarray(value, dtype=float))
            duals[number] = (flat.sum() if place is None else flat[place]) / OBJECTIVE_SCALE
    return tuple(float(dual) for dual in duals)
