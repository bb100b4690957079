"""Why the problem as the mandate states it has no answer: the limits that exclude each other, by name. Pure.

A conflict is an irreducible set: without any one of its limits the others can be kept within the bounds of the single names (what
may be bought and sold today). Limits that no book within these bounds can keep stand alone. What is left is searched by the
elastic filter (Chinneck and Dravnieks 1991: make every limit elastic, hold those that stretch, repeat until they cannot all be
held), then by the deletion filter (drop each limit in turn; whoever is not missed stays out). A set that was found is taken out
and the search goes on, so that the sets share no limit. Not here: how the session goes on (`easing`, `fallback`).
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import cvxpy as cp
import numpy as np
from cvxpy.atoms.affine.binary_operators import multiply
from cvxpy.atoms.affine.hstack import hstack
from cvxpy.atoms.affine.sum import sum as total
from cvxpy.atoms.elementwise.abs import abs as absolute
from cvxpy.atoms.elementwise.maximum import maximum
from cvxpy.atoms.norm import norm
from cvxpy.atoms.sum_largest import sum_largest

from marketbot_assets.portfolio.bounds import Bounds
from marketbot_assets.portfolio.funding import Funding
from marketbot_assets.portfolio.inputs import Floats
from marketbot_assets.portfolio.limit import AbsoluteLimit, ConeLimit, Limit, LinearLimit, ShortfallLimit, TopLimit

BROKEN = 1e-7
TOLERANCES = (1e-9, 1e-8)
SCALE_LEAST = 0.01
HELD = 1e-9
NAMES_SHOWN = 3
FILTER_ROUNDS = 100


@dataclass(frozen=True, slots=True)
class Member:
    """One limit of a conflict. `give`: by how much its bound alone, all others of the set kept, would have to rise."""

    control: str
    name: str
    formula: str
    unit: str
    bound: float
    give: float

    @property
    def message(self) -> str:
        """Like "RC-32 sector IT (sum of w in sector IT <= 0.19) would have to give 0.07 NAV"."""
        return f"{self.control} {self.name} ({self.formula}) would have to give {self.give:.3g} {self.unit}"


@dataclass(frozen=True, slots=True)
class Conflict:
    """Limits that cannot all be kept. `pinned`: rows of names that a limit counts and whose own bound holds them where they are."""

    members: tuple[Member, ...]
    pinned: tuple[int, ...]

    def message(self, instruments: Sequence[str]) -> str:
        """The conflict in one line; `instruments`: names of the rows."""
        limits = " or ".join(member.message for member in self.members)
        names = [instruments[row] for row in self.pinned[:NAMES_SHOWN]]
        more = f" and {len(self.pinned) - NAMES_SHOWN} more" if len(self.pinned) > NAMES_SHOWN else ""
        return limits + (f": no more of {', '.join(names)}{more} can be sold today" if names else "")


def conflicts_of(limits: Sequence[Limit], bounds: Bounds, weights_now: Floats) -> tuple[Conflict, ...]:
    """The conflicts among limits as stated, in the order of the limits; none when a book within the bounds keeps them all.

    Raises ArithmeticError or cvxpy.SolverError when a solver gives up.
    """
    broken = [x for x in limits if not x.left(bounds.lower, weights_now) <= x.bound + BROKEN]
    if not broken:
        return ()
    found, rest = [], list(limits)
    for limit in broken:
        least = smallest(limit, (), bounds, weights_now)
        if least > limit.bound + BROKEN:
            found.append(_conflict([(limit, least - limit.bound)], bounds, weights_now))
            rest = [x for x in rest if x is not limit]
    while any(not x.left(bounds.lower, weights_now) <= x.bound + BROKEN for x in rest):
        core = _core(rest, bounds, weights_now)
        if not core:
            break
        gives = []
        for limit in core:
            others = [x for x in core if x is not limit]
            gives.append((limit, smallest(limit, others, bounds, weights_now) - limit.bound))
        found.append(_conflict(gives, bounds, weights_now))
        rest = [x for x in rest if not any(x is y for y in core)]
    return tuple(found)


def smallest(limit: Limit, others: Sequence[Limit], bounds: Bounds, weights_now: Floats) -> float:
    """The smallest left side of `limit` over the books within the bounds that keep `others`."""
    if not others and isinstance(limit, LinearLimit | TopLimit | AbsoluteLimit):
        return _smallest_alone(limit, bounds, weights_now)
    books = _Books(bounds, weights_now)
    constraints = [books.left(x) <= _radius(x, x.bound) for x in others]
    value = books.least(books.left(limit), constraints)
    return value * value if isinstance(limit, ConeLimit) and limit.squared else value


def _smallest_alone(limit: LinearLimit | TopLimit | AbsoluteLimit, bounds: Bounds, weights_now: Floats) -> float:
    if isinstance(limit, AbsoluteLimit):
        return limit.left(np.clip(0.0, bounds.lower, bounds.upper), weights_now)
    if isinstance(limit, TopLimit):
        return limit.left(bounds.lower, weights_now)
    return limit.left(np.where(limit.row > 0.0, bounds.lower, bounds.upper), weights_now)


def _conflict(gives: Sequence[tuple[Limit, float]], bounds: Bounds, weights_now: Floats) -> Conflict:
    members = tuple(Member(x.control, x.name, x.formula, x.unit, x.bound, float(give)) for x, give in gives)
    stuck = np.zeros(len(weights_now), dtype=np.bool_)
    for limit, _ in gives:
        stuck |= (limit.gradient(bounds.lower, weights_now) > 0.0) & (bounds.lower > HELD)
    return Conflict(members, tuple(map(int, np.flatnonzero(stuck))))


def _core(limits: Sequence[Limit], bounds: Bounds, weights_now: Floats) -> list[Limit]:
    """An irreducible set of limits that exclude each other, in their order; empty when all can be kept."""
    held: list[Limit] = []
    for _ in range(FILTER_ROUNDS):
        elastic = [x for x in limits if not any(x is y for y in held)]
        stretched = _stretched(elastic, held, bounds, weights_now)
        held += stretched
        if not stretched or _excluded(held, bounds, weights_now):
            break
    core = [x for x in limits if any(x is y for y in held)]
    if not _excluded(core, bounds, weights_now):
        return []
    for limit in list(core):
        without = [x for x in core if x is not limit]
        if _excluded(without, bounds, weights_now):
            core = without
    return core


def _stretched(elastic: Sequence[Limit], held: Sequence[Limit], bounds: Bounds, weights_now: Floats) -> list[Limit]:
    """Which elastic limits give when the sum of what they give, each as a share of its bound, is smallest."""
    if not elastic:
        return []
    books, give = _Books(bounds, weights_now), cp.Variable(len(elastic), nonneg=True)
    constraints = [
        books.left(x) <= _radius(x, x.bound) + _scale(x) * give[place] for place, x in enumerate(elastic)
    ] + [books.left(x) <= _radius(x, x.bound) + 0.1 * BROKEN for x in held]
    books.least(total(give), constraints)
    assert give.value is not None
    return [x for x, share in zip(elastic, give.value, strict=True) if share * _scale(x) > BROKEN]


def _excluded(limits: Sequence[Limit], bounds: Bounds, weights_now: Floats) -> bool:
    """Whether no book within the bounds keeps all the limits: the smallest worst violation is above zero."""
    if not limits:
        return False
    books, worst = _Books(bounds, weights_now), cp.Variable(nonneg=True)
    constraints = [books.left(x) <= _radius(x, x.bound) + worst for x in limits]
    return books.least(worst, constraints) > BROKEN


def _scale(limit: Limit) -> float:
    return max(abs(_radius(limit, limit.bound)), SCALE_LEAST)


def _radius(limit: Limit, bound: float) -> float:
    """The bound in the unit of `_Books.left`: of the norm itself for a cone."""
    return float(np.sqrt(max(bound, 0.0))) if isinstance(limit, ConeLimit) and limit.squared else bound


class _Books:
    """All books within the bounds of the single names, as cvxpy variables: weights (n,) and buys (n,)."""

    def __init__(self, bounds: Bounds, weights_now: Floats) -> None:
        self.now = weights_now
        self.weights = cp.Variable(len(weights_now))
        self.buys = cp.Variable(len(weights_now), nonneg=True)
        self.sells = self.buys - self.weights + weights_now
        self.constraints = [self.weights >= bounds.lower, self.weights <= bounds.upper, self.sells >= 0.0]

    def left(self, limit: Limit) -> cp.Expression:
        """The left side of a limit; the norm itself for a cone."""
        if isinstance(limit, LinearLimit):
            return cp.Constant(limit.row) @ (self.buys if limit.on_buys else self.weights)
        if isinstance(limit, AbsoluteLimit):
            return cp.Constant(limit.row) @ absolute(self.weights)
        if isinstance(limit, ConeLimit):
            root = np.asarray(
                np.linalg.qr(np.column_stack([limit.root, limit.moved(np.zeros_like(self.now))]), mode="r")
            )
            return norm(cp.Constant(root[:, :-1]) @ self.weights + root[:, -1], 2)
        if isinstance(limit, TopLimit):
            return sum_largest(self.weights, min(limit.count, len(self.now)))
        if isinstance(limit, ShortfallLimit):
            threshold = cp.Variable()
            losses = -(cp.Constant(limit.returns) @ self.weights)
            return threshold + total(maximum(losses - threshold, 0.0)) / limit.rows
        assert isinstance(limit, Funding)
        return self._funding(limit)

    def _funding(self, limit: Funding) -> cp.Expression:
        def worst(currency: str, debt: float) -> cp.Expression:
            needs: list[cp.Expression] = [cp.Constant(debt)]
            for wave in limit.waves:
                if wave.currency == currency:
                    paid = total(multiply(wave.buys, self.buys)) - total(multiply(wave.sells, self.sells))
                    needs.append(paid - wave.cash)
            return cp.max(hstack(needs))  # type: ignore[attr-defined, no-any-return]

        legs = [(1.0 + limit.leg_cost) * worst(currency, debt) for currency, debt in limit.debts]
        paid = worst(limit.base, 0.0)
        for leg in legs:
            paid = paid + leg
        return paid

    def least(self, objective: cp.Expression, constraints: Sequence[cp.Constraint]) -> float:
        """The smallest value of an objective. Raises ArithmeticError when the solver does not say `optimal`."""
        task = cp.Problem(cp.Minimize(objective), [*self.constraints, *constraints])
        if not any(_run(task, tolerance) for tolerance in TOLERANCES):
            raise ArithmeticError(f"the search for conflicting limits ended {task.status}")
        return float(np.asarray(task.value))


def _run(task: cp.Problem, tolerance: float) -> bool:
    """Whether the task was solved; one thread and a direct method without random order, as for the decision itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        task.solve(  # type: ignore[no-untyped-call]
            solver=cp.CLARABEL, tol_gap_abs=tolerance, tol_gap_rel=tolerance, tol_feas=tolerance, max_threads=1,
            direct_solve_method="qdldl",
        )  # fmt: skip
    return bool(task.status == cp.OPTIMAL)
