"""Peers on problems with every limit of the mandate: raw Clarabel and cvxpy with parameters. Same interface as in `solvers_raw`."""

from dataclasses import replace

import numpy as np
import whole_mandate
from clarabel_form import OPTIMAL, Form
from plain_problem import Floats, PlainProblem
from solvers_raw import SCALE, TOLERANCE

load = whole_mandate.load
VECTORS = ("mu", "lower", "upper", "row_bounds", "buy_bounds")


class WholeClarabel:
    """One cone program, matrices made beforehand. They change every day, so there is nothing to keep."""

    leaves_out = ""

    def prepare(self, problem: PlainProblem) -> Form:
        return Form(problem)

    def cold(self, form: Form) -> Floats:
        found = form.solve(TOLERANCE, SCALE)
        assert found.status == OPTIMAL, found.status
        return found.weights

    begin = warm = cold


class LazyClarabel:
    """The same, but a cone or tail takes part only once the best book without all of them breaks one, as ours does it."""

    leaves_out = ""
    note = ""

    def prepare(self, problem: PlainProblem) -> tuple[PlainProblem, Form, Form]:
        return problem, Form(replace(problem, cones=(), tails=())), Form(problem)

    def cold(self, forms: tuple[PlainProblem, Form, Form]) -> Floats:
        problem, without, whole = forms
        found = without.solve(TOLERANCE, SCALE)
        broken = [limit.left(found.weights) > limit.radius for limit in problem.cones]
        broken += [limit.left(found.weights) > limit.bound for limit in problem.tails]
        self.note = "cones needed" if any(broken) else "no cone needed"
        if any(broken):
            found = whole.solve(TOLERANCE, SCALE)
        assert found.status == OPTIMAL, found.status
        return found.weights

    begin = warm = cold


class WholeCvxpy:
    """Parameters for forecasts, book and bounds; compiled anew on a day whose matrices are not yesterday's."""

    leaves_out = ""
    note = ""

    def prepare(self, problem: PlainProblem) -> PlainProblem:
        return problem

    def cold(self, p: PlainProblem) -> Floats:
        import cvxpy as cp

        n = p.size
        self._made, self._weights, buys = p, cp.Variable(n), cp.Variable(n, nonneg=True)
        w = self._weights
        self._vectors = {name: cp.Parameter(len(getattr(p, name))) for name in VECTORS}
        self._now, self._cash = cp.Parameter(n), cp.Parameter(len(p.funding.waves) if p.funding else 0)
        self._bound = cp.Parameter()
        v, sells = self._vectors, buys - w + self._now
        risk = cp.sum_squares(p.root @ w) + cp.sum_squares(cp.multiply(np.sqrt(p.specific), w))
        utility = v["mu"] @ w - 0.5 * p.risk_aversion * risk - p.cost_buy @ buys - p.cost_sell @ sells
        limits = [w >= v["lower"], w <= v["upper"], sells >= 0.0]
        limits += [p.rows @ w <= v["row_bounds"], p.buy_rows @ buys <= v["buy_bounds"]]
        self._radii = [cp.Parameter(nonneg=True) for _ in p.cones]
        for cone, radius in zip(p.cones, self._radii, strict=True):
            root = np.linalg.qr(cone.root, mode="r") if len(cone.root) > n else cone.root
            parts = [root @ w] + ([cp.multiply(np.sqrt(cone.specific), w)] if len(cone.specific) else [])
            limits.append(cp.norm(cp.hstack(parts)) <= radius)
        if p.top is not None:
            limits.append(cp.sum_largest(w, p.top[0]) <= p.top[1])
        for tail in p.tails:
            threshold, losses = cp.Variable(), -(tail.returns @ w)
            limits.append(threshold + cp.sum(cp.pos(losses - threshold)) / tail.count <= tail.bound)
        if p.funding is not None:
            limits += self._funding(cp, p, buys, sells)
        self._problem = cp.Problem(cp.Maximize(SCALE * utility), limits)
        return self._solve(p)

    begin = cold

    def _funding(self, cp: object, p: PlainProblem, buys: object, sells: object) -> list:
        of = p.funding
        legs = {currency: cp.Variable() for currency, _ in of.debts}
        limits = [legs[currency] >= debt for currency, debt in of.debts]
        paid = (1.0 + of.leg_cost) * sum(legs.values())
        limits.append(paid <= self._bound)
        for i, wave in enumerate(of.waves):
            need = wave.buys @ buys - wave.sells @ sells - self._cash[i]
            limits.append(need + paid <= self._bound if wave.currency == of.base else need <= legs[wave.currency])
        return limits

    def warm(self, p: PlainProblem) -> Floats:
        """The compiled problem of yesterday where only forecasts, book and bounds changed."""
        old = self._made
        same = all(
            np.array_equal(getattr(p, name), getattr(old, name)) for name in ("root", "specific", "rows", "buy_rows")
        )
        same = same and len(p.tails) == len(old.tails) == 0 and _same_costs(p, old)
        same = same and all(np.array_equal(a.root, b.root) for a, b in zip(p.cones, old.cones, strict=True))
        self.note = "compiled problem kept" if same else "compiled anew"
        return self._solve(p) if same else self.cold(p)

    def _solve(self, p: PlainProblem) -> Floats:
        for name, parameter in self._vectors.items():
            parameter.value = getattr(p, name)
        self._now.value = p.now
        for cone, radius in zip(p.cones, self._radii, strict=True):
            radius.value = cone.radius
        if p.funding is not None:
            self._bound.value = p.funding.bound
            self._cash.value = np.array([wave.cash for wave in p.funding.waves])
        self._problem.solve(
            solver="CLARABEL",
            tol_gap_abs=TOLERANCE,
            tol_gap_rel=TOLERANCE,
            tol_feas=TOLERANCE,
            max_threads=1,
            direct_solve_method="qdldl",
        )
        return np.array(self._weights.value)


def _same_costs(p: PlainProblem, old: PlainProblem) -> bool:
    if (p.funding is None) != (old.funding is None) or p.top != old.top:
        return False
    waves = zip(p.funding.waves, old.funding.waves, strict=True) if p.funding and old.funding else ()
    funds = all(np.array_equal(a.buys, b.buys) and np.array_equal(a.sells, b.sells) for a, b in waves)
    return funds and np.array_equal(p.cost_buy, old.cost_buy) and np.array_equal(p.cost_sell, old.cost_sell)
