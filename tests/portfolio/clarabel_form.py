"""A random problem as one cone program for Clarabel, written from the statement in `plain_problem` and from nothing else.

Columns are w (n), b >= (w - now)+ (n), y = G w (k), then what the largest-few and tail limits need. Costs read
cost_sell'(b - w + now) + cost_buy'b, so sells need no columns. The objective is scaled: it is a matter of 1e-2, tolerances are not.
"""

from dataclasses import dataclass, replace

import clarabel
import numpy as np
from plain_problem import Floats, PlainProblem, Tail
from scipy import sparse

OPTIMAL, INFEASIBLE, UNKNOWN = "optimal", "infeasible", "unknown"
ATTEMPTS = (
    (1e-10, 1e2),
    (1e-10, 1e4),
    (1e-10, 1e3),
    (1e-12, 1e4),
    (1e-10, 1e0),
    (1e-11, 1e6),
    (1e-8, 1e2),
    (1e-8, 1e-2),
)
EXACT, GOOD, WORSE = 3e-9, 3e-8, 10.0
ITERATIONS_MAX = 300
Kind = clarabel.ZeroConeT | clarabel.NonnegativeConeT | clarabel.SecondOrderConeT


@dataclass(frozen=True)
class Reply:
    """What Clarabel found. `dual` bounds the objective of every feasible book from above, up to the solver's tolerance.

    `exact`: its gap is at most 3e-8 and its book breaks no limit by more than 3e-9; else it is no judge of others.
    """

    status: str
    weights: Floats
    objective: float
    dual: float
    exact: bool = True


class Form:
    """Minimize x'Px/2 + q'x over matrix @ x + s = right, s in cones. `scale`: objective here per objective there."""

    def __init__(self, problem: PlainProblem) -> None:
        self._p = problem
        self._n, self._k = problem.size, len(problem.root)
        self._columns = 2 * self._n + self._k
        self._zero: list[tuple[sparse.spmatrix, Floats]] = []
        self._less: list[tuple[sparse.spmatrix, Floats]] = []
        self._second: list[tuple[sparse.spmatrix, Floats]] = []
        self._boxes()
        self._limits()
        self._assemble()

    def _wide(
        self, *, w: object = None, b: object = None, y: object = None, more: object = None, at: int = 0
    ) -> sparse.spmatrix:
        """Rows given by blocks; `more` begins at column `at`. Narrow rows are widened when all columns are known."""
        blocks = [(x, start) for x, start in ((w, 0), (b, self._n), (y, 2 * self._n), (more, at)) if x is not None]
        rows = blocks[0][0].shape[0]
        parts = [sparse.coo_matrix(x) for x, _ in blocks]
        row = np.concatenate([part.row for part in parts])
        column = np.concatenate([part.col + start for part, (_, start) in zip(parts, blocks, strict=True)])
        data = np.concatenate([part.data for part in parts])
        return sparse.coo_matrix((data, (row, column)), shape=(rows, self._columns))

    def _boxes(self) -> None:
        p, eye = self._p, sparse.identity(self._n, format="csr")
        fixed = p.lower == p.upper
        free = ~fixed
        self._zero.append((self._wide(w=p.root, y=-np.eye(self._k)), np.zeros(self._k)))
        self._zero.append((self._wide(w=eye[fixed]), p.lower[fixed]))
        self._less.append((self._wide(w=eye[free]), p.upper[free]))
        self._less.append((self._wide(w=-eye[free]), -p.lower[free]))
        self._less.append((self._wide(b=-eye), np.zeros(self._n)))
        self._less.append((self._wide(w=eye, b=-eye), p.now))

    def _limits(self) -> None:
        p = self._p
        self._less.append((self._wide(w=p.rows), p.row_bounds))
        self._less.append((self._wide(b=p.buy_rows), p.buy_bounds))
        for cone in p.cones:
            root = np.linalg.qr(cone.root, mode="r") if len(cone.root) > self._n else cone.root
            own = sparse.diags(np.sqrt(cone.specific)) if len(cone.specific) else np.zeros((0, self._n))
            matrix = -sparse.vstack([sparse.csr_matrix((1, self._n)), sparse.csr_matrix(root), sparse.csr_matrix(own)])
            right = np.concatenate([[cone.radius], np.zeros(matrix.shape[0] - 1)])
            self._second.append((self._wide(w=matrix), right))
        if p.top is not None:
            self._largest(*p.top)
        for tail in p.tails:
            self._tail(tail)
        if p.funding is not None:
            self._funding()

    def _grow(self, count: int) -> int:
        at = self._columns
        self._columns += count
        return at

    def _largest(self, count: int, bound: float) -> None:
        """count * t + sum u <= bound, u >= w - t, u >= 0."""
        n, count = self._n, min(count, self._n)
        at = self._grow(1 + n)
        ones, eye = np.ones((n, 1)), np.eye(n)
        self._less.append((self._wide(more=np.concatenate([[count], np.ones(n)])[None], at=at), np.array([bound])))
        self._less.append((self._wide(w=eye, more=np.hstack([-ones, -eye]), at=at), np.zeros(n)))
        self._less.append((self._wide(more=np.hstack([0.0 * ones, -eye]), at=at), np.zeros(n)))

    def _tail(self, tail: Tail) -> None:
        """t + sum u / count <= bound, u >= loss - t, u >= 0 (Rockafellar and Uryasev 2000)."""
        days = len(tail.returns)
        at = self._grow(1 + days)
        ones, eye = np.ones((days, 1)), np.eye(days)
        self._less.append(
            (
                self._wide(more=np.concatenate([[1.0], np.full(days, 1.0 / tail.count)])[None], at=at),
                np.array([tail.bound]),
            )
        )
        self._less.append((self._wide(w=-tail.returns, more=np.hstack([-ones, -eye]), at=at), np.zeros(days)))
        self._less.append((self._wide(more=np.hstack([0.0 * ones, -eye]), at=at), np.zeros(days)))

    def _funding(self) -> None:
        """One column per currency that bounds its needs from above; the base's is at least 0, the others' their debt."""
        funding, now = self._p.funding, self._p.now
        assert funding is not None
        names = [funding.base, *(currency for currency, _ in funding.debts)]
        at = self._grow(len(names))
        floors = np.array([0.0, *(debt for _, debt in funding.debts)])
        self._less.append((self._wide(more=-np.eye(len(names)), at=at), -floors))
        rates = np.array([[1.0] + [1.0 + funding.leg_cost] * len(funding.debts)])
        self._less.append((self._wide(more=rates, at=at), np.array([funding.bound])))
        for wave in funding.waves:
            # buys @ b - sells @ s - cash <= need of its currency, with s = b - w + now
            need = np.array([[-float(name == wave.currency) for name in names]])
            matrix = self._wide(w=wave.sells[None], b=(wave.buys - wave.sells)[None], more=need, at=at)
            self._less.append((matrix, np.array([wave.cash + float(wave.sells @ now)])))

    def _assemble(self) -> None:
        p, n, k = self._p, self._n, self._k
        reward = np.concatenate([p.mu + p.cost_sell, -(p.cost_buy + p.cost_sell), np.zeros(self._columns - 2 * n)])
        curve = np.concatenate([p.risk_aversion * p.specific, np.zeros(n), np.full(k, p.risk_aversion)])
        curve = np.concatenate([curve, np.zeros(self._columns - len(curve))])
        self.constant = float(p.cost_sell @ p.now)
        self.quadratic, self.linear = sparse.diags(curve, format="csc"), -reward
        parts = [*self._zero, *self._less, *self._second]
        for matrix, _ in parts:
            matrix.resize((matrix.shape[0], self._columns))
        self.matrix = sparse.vstack([matrix for matrix, _ in parts], format="csc")
        self.right = np.concatenate([right for _, right in parts])
        equal, less = (sum(len(right) for _, right in block) for block in (self._zero, self._less))
        self.cones: list[Kind] = [clarabel.ZeroConeT(equal), clarabel.NonnegativeConeT(less)]
        self.cones += [clarabel.SecondOrderConeT(len(right)) for _, right in self._second]

    def solve(self, tolerance: float, scale: float) -> Reply:
        """One run of Clarabel with a direct method on one thread. `scale`: the solver's objective per unit of ours."""
        settings = clarabel.DefaultSettings()
        settings.verbose, settings.max_iter, settings.max_threads = False, ITERATIONS_MAX, 1
        settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = tolerance
        settings.direct_solve_method = "qdldl"
        quadratic, linear = scale * self.quadratic, scale * self.linear
        solution = clarabel.DefaultSolver(quadratic, linear, self.matrix, self.right, self.cones, settings).solve()
        status = {"Solved": OPTIMAL, "PrimalInfeasible": INFEASIBLE}.get(str(solution.status), UNKNOWN)
        weights = np.array(solution.x[: self._n])
        objective = self._p.objective(weights) if status == OPTIMAL else float("nan")
        return Reply(status, weights, objective, -solution.obj_val_dual / scale - self.constant)


def reference(problem: PlainProblem) -> Reply:
    """The most exact of a few runs: it ends at the first whose own gap and violation are small, or that finds no book.

    Status `unknown` when Clarabel gives up in all of them.
    """
    if problem.size == 0:
        return Reply(OPTIMAL, np.zeros(0), 0.0, 0.0)
    if bool(np.any(problem.lower > problem.upper)):
        return Reply(INFEASIBLE, problem.now, float("nan"), float("nan"))
    form, best, least = Form(problem), Reply(UNKNOWN, problem.now, float("nan"), float("nan")), float("inf")
    for tolerance, scale in ATTEMPTS:
        reply = form.solve(tolerance, scale)
        if reply.status == INFEASIBLE:
            return reply
        if reply.status == OPTIMAL:
            gap = abs(reply.dual - reply.objective) / (1e-3 + abs(reply.objective))
            error = max(gap, WORSE * problem.violation(reply.weights))
            if error < least:
                best, least = replace(reply, exact=error <= GOOD), error
            if error <= EXACT:
                break
    return best
