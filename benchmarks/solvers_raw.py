"""Solvers that get the standard problem as sparse matrices, and cvxpy with parameters. Each runs in a process of its own.

A competitor has `prepare` (not timed: matrices as the solver wants them), `cold` (timed: a fresh solver) and, if it can start
from yesterday, `begin` (not timed) and `warm` (timed: today's numbers into the solver of yesterday). Answers are weights (n,).
"""

import numpy as np
from mean_variance import AVERSION, CAP, SCALE, SECTOR_CAP, Floats, MeanVariance, SparseForm, sparse_form
from scipy import sparse

TOLERANCE = 1e-8
EXACT = 1e-10
OSQP_TOLERANCE, OSQP_ITERATIONS = 1e-7, 200_000
load = MeanVariance.load


class RawClarabel:
    """Interior point, cones."""

    leaves_out = ""

    def __init__(self, tolerance: float = TOLERANCE) -> None:
        import clarabel

        self._module = clarabel
        self._settings = clarabel.DefaultSettings()
        s = self._settings
        s.verbose, s.max_threads, s.presolve_enable, s.direct_solve_method = False, 1, False, "qdldl"
        s.tol_gap_abs = s.tol_gap_rel = s.tol_feas = tolerance

    def prepare(self, day: MeanVariance) -> dict:
        form, n = sparse_form(day), day.size
        bounded = sparse.identity(len(form.linear), format="csc")[: 2 * n]
        rows = [form.equal, form.less, bounded, -bounded]
        right = [np.zeros(len(day.root)), form.most, form.high[: 2 * n], -form.low[: 2 * n]]
        cones = [
            self._module.ZeroConeT(len(day.root)),
            self._module.NonnegativeConeT(len(form.most) + 4 * n),
        ]
        if form.cone is not None:
            rows += [sparse.csc_matrix((1, len(form.linear))), -form.cone]
            right += [np.array([form.vol]), np.zeros(form.cone.shape[0])]
            cones.append(self._module.SecondOrderConeT(1 + form.cone.shape[0]))
        return {
            "n": n,
            "P": form.quadratic,
            "q": form.linear,
            "A": sparse.vstack(rows, format="csc"),
            "b": np.concatenate(right),
            "cones": cones,
        }

    def cold(self, data: dict) -> Floats:
        make = self._module.DefaultSolver
        self._solver = make(data["P"], data["q"], data["A"], data["b"], data["cones"], self._settings)
        return self._weights(self._solver.solve(), data)

    begin = cold

    def warm(self, data: dict) -> Floats:
        """Keeps the symbolic work; an interior point method has no use for yesterday's answer."""
        self._solver.update(q=data["q"], b=data["b"])
        return self._weights(self._solver.solve(), data)

    def _weights(self, solution: object, data: dict) -> Floats:
        assert str(solution.status) in ("Solved", "AlmostSolved"), str(solution.status)
        return np.array(solution.x[: data["n"]])


class RawPiqp:
    """Proximal interior point, quadratic programs only."""

    leaves_out = ""

    def __init__(self) -> None:
        import piqp

        self._module = piqp

    def prepare(self, day: MeanVariance) -> SparseForm:
        return sparse_form(day)

    def cold(self, form: SparseForm) -> Floats:
        self._solver = self._module.SparseSolver()
        s = self._solver.settings
        s.verbose, s.compute_timings = False, False
        s.eps_abs = s.eps_rel = TOLERANCE
        s.eps_duality_gap_abs = s.eps_duality_gap_rel = TOLERANCE
        self._solver.setup(
            P=form.quadratic,
            c=form.linear,
            A=form.equal,
            b=np.zeros(form.equal.shape[0]),
            G=form.less,
            h_l=np.full(len(form.most), -np.inf),
            h_u=form.most,
            x_l=form.low,
            x_u=form.high,
        )
        return self._weights(form)

    begin = cold

    def warm(self, form: SparseForm) -> Floats:
        self._solver.update(c=form.linear, h_u=form.most, x_u=form.high)
        return self._weights(form)

    def _weights(self, form: SparseForm) -> Floats:
        status = self._solver.solve()
        assert status == self._module.PIQP_SOLVED, str(status)
        n = (len(form.linear) - form.equal.shape[0]) // 2
        return np.array(self._solver.result.x[:n])


class RawOsqp:
    """Operator splitting, quadratic programs only."""

    leaves_out = ""

    def __init__(self) -> None:
        import osqp

        self._module = osqp

    def prepare(self, day: MeanVariance) -> dict:
        form, n = sparse_form(day), day.size
        bounded = sparse.identity(len(form.linear), format="csc")[: 2 * n]
        zero, least = np.zeros(form.equal.shape[0]), np.full(len(form.most), -np.inf)
        return {
            "n": n,
            "P": form.quadratic,
            "q": form.linear,
            "A": sparse.vstack([form.equal, form.less, bounded], format="csc"),
            "l": np.concatenate([zero, least, form.low[: 2 * n]]),
            "u": np.concatenate([zero, form.most, form.high[: 2 * n]]),
        }

    def cold(self, data: dict) -> Floats:
        self._solver = self._module.OSQP()
        self._solver.setup(
            **{name: data[name] for name in "PqAlu"},
            verbose=False,
            eps_abs=OSQP_TOLERANCE,
            eps_rel=OSQP_TOLERANCE,
            max_iter=OSQP_ITERATIONS,
            polishing=True,
        )
        return np.array(self._solver.solve().x[: data["n"]])

    begin = cold

    def warm(self, data: dict) -> Floats:
        """Starts from yesterday's answer by itself."""
        self._solver.update(q=data["q"], l=data["l"], u=data["u"])
        return np.array(self._solver.solve().x[: data["n"]])


class Cvxpy:
    """The readable form with parameters for what changes from day to day, by Clarabel."""

    leaves_out = ""

    def prepare(self, day: MeanVariance) -> MeanVariance:
        return day

    def cold(self, day: MeanVariance) -> Floats:
        import cvxpy as cp

        n = day.size
        self._weights, self._mu, self._now = cp.Variable(n), cp.Parameter(n), cp.Parameter(n)
        w = self._weights
        factor, own = day.root @ w, cp.multiply(np.sqrt(day.specific), w)
        risk = cp.sum_squares(factor) + cp.sum_squares(own)
        utility = self._mu @ w - 0.5 * AVERSION * risk - day.cost @ cp.abs(w - self._now)
        limits = [w >= 0.0, w <= CAP, cp.sum(w) <= 1.0, sparse.csr_matrix(day.sectors) @ w <= SECTOR_CAP]
        if day.vol is not None:
            limits.append(cp.norm(cp.hstack([factor, own])) <= day.vol)
        self._problem = cp.Problem(cp.Maximize(SCALE * utility), limits)
        return self.warm(day)

    begin = cold

    def warm(self, day: MeanVariance) -> Floats:
        """The compiled problem is kept."""
        self._mu.value, self._now.value = day.mu, day.now
        self._problem.solve(
            solver="CLARABEL",
            tol_gap_abs=TOLERANCE,
            tol_gap_rel=TOLERANCE,
            tol_feas=TOLERANCE,
            max_threads=1,
            direct_solve_method="qdldl",
        )
        return np.array(self._weights.value)
