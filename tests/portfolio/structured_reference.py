"""The structured problem written in cvxpy, slow and independent, and random problems of varied shape for both."""

import warnings

import cvxpy as cp
import numpy as np
from cvxpy.atoms.affine.binary_operators import multiply
from cvxpy.atoms.affine.sum import sum as total
from cvxpy.atoms.elementwise.pos import pos
from cvxpy.atoms.norm import norm
from cvxpy.atoms.sum_largest import sum_largest
from cvxpy.atoms.sum_squares import sum_squares

from marketbot_assets.portfolio.funding import Funding, Wave
from marketbot_assets.portfolio.structured.problem import Cone, StructuredProblem, Tail, Top

SCALE = 1e3


def reference(problem: StructuredProblem, tolerance: float = 1e-10) -> tuple[str, np.ndarray, float]:
    """(status, weights, utility) by Clarabel."""
    n = len(problem.now)
    w, b = cp.Variable(n), cp.Variable(n, nonneg=True)
    s = b - w + problem.now
    rules: list[cp.Constraint] = [s >= 0, w >= problem.lower, w <= problem.upper]
    if len(problem.row_bounds):
        rules.append(problem.rows @ w <= problem.row_bounds)
    if len(problem.buy_bounds):
        rules.append(problem.buy_rows @ b <= problem.buy_bounds)
    for cone in problem.cones:
        parts = [cone.root] if len(cone.root) else []
        parts += [np.diag(np.sqrt(cone.specific))] if len(cone.specific) else []
        rules.append(norm(np.vstack(parts) @ w, 2) <= cone.radius)
    if problem.top is not None:
        rules.append(sum_largest(w, problem.top.count) <= problem.top.bound)
    for tail in problem.tails:
        t = cp.Variable()
        rules.append(t + total(pos(-(tail.returns @ w) - t)) / tail.size <= tail.bound)
    if problem.funding is not None:
        rules += funding_rules(problem.funding, b, s)
    risk = sum_squares(multiply(np.sqrt(problem.specific), w))
    if len(problem.root):
        risk = risk + sum_squares(problem.root @ w)
    utility = problem.mu @ w - 0.5 * problem.risk_aversion * risk - problem.cost_buy @ b - problem.cost_sell @ s
    task = cp.Problem(cp.Maximize(SCALE * utility), rules)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        task.solve(  # type: ignore[no-untyped-call]
            solver=cp.CLARABEL, tol_gap_abs=tolerance, tol_gap_rel=tolerance, tol_feas=tolerance, max_iter=300
        )  # fmt: skip
    found = np.full(n, np.nan) if w.value is None else w.value
    return str(task.status), found, float("nan") if w.value is None else float(task.value) / SCALE


def funding_rules(funding: Funding, b: cp.Expression, s: cp.Expression) -> list[cp.Constraint]:
    legs = {currency: cp.Variable() for currency, _ in funding.debts}
    rules = [legs[currency] >= debt for currency, debt in funding.debts]
    paid = sum((1.0 + funding.leg_cost) * leg for leg in legs.values()) if legs else 0.0
    needs = [paid]
    for wave in funding.waves:
        need = wave.buys @ b - wave.sells @ s - wave.cash
        if wave.currency == funding.base:
            needs.append(need + paid)
        else:
            rules.append(need <= legs[wave.currency])
    return [*rules, *(need <= funding.bound for need in needs)]


def random_funding(rng: np.random.Generator, n: int, bound: float) -> Funding:
    """Three currencies, two auctions each, one debt."""
    currency, early = rng.integers(0, 3, n), rng.random(n) < 0.5
    waves = []
    for number, name in enumerate(("USD", "EUR", "JPY")):
        for first in (True, False):
            member = (currency == number) & (early if first else True)
            cash = 0.0 if name == "USD" else -0.005 if name == "JPY" else 0.01
            waves.append(Wave(name, np.where(member, 1.03, 0.0), np.where(member, 0.92, 0.0), cash))
    return Funding("USD", tuple(waves), (("EUR", 0.0), ("JPY", 0.005)), bound, 0.0002)


def random_problem(seed: int, kinds: str = "", n: int | None = None) -> StructuredProblem:
    """Seeded problem that an untouched book or its sale keeps feasible. `kinds`: letters of the limits that take part:

    g overlapping groups, s stress rows, b buys, c cones of another covariance, v the objective's own volatility, h sum of squares,
    t ten largest, e expected shortfall, f funding, z names without own variance, o a book outside its caps, d duplicate names.
    """
    rng = np.random.default_rng(seed)
    n = int(rng.choice([1, 2, 7, 30, 65, 120])) if n is None else n
    k = int(rng.choice([0, 1, 3, 10]))
    root = 0.12 * rng.standard_normal((k, n)) + (0.15 if k else 0.0) * (np.arange(k) == 0)[:, None]
    specific = (0.1 + 0.3 * rng.random(n)) ** 2
    if "z" in kinds:
        specific = specific * (rng.random(n) < 0.5)
    mu = 0.04 + 0.05 * rng.standard_normal(n)
    now = rng.dirichlet(np.ones(n)) * (rng.random(n) < 0.6) * rng.choice([0.3, 0.9, 1.2])
    upper = np.full(n, max(0.05, 1.5 / n))
    if "d" in kinds and n > 3:
        half = n // 2
        root[:, half : 2 * half], specific[half : 2 * half] = root[:, :half], specific[:half]
        mu[half : 2 * half], now[half : 2 * half] = mu[:half], now[:half]
    lower = np.where(now > upper, np.maximum(now - 0.2, 0.0), 0.0) if "o" in kinds else np.zeros(n)
    if "o" not in kinds:
        now = np.minimum(now, upper)
    upper = np.maximum(upper, lower)
    rows: list[np.ndarray] = [np.ones(n), np.ones(n)]
    bounds = [max(0.9, float(lower.sum()) + 0.01)] * 2
    if "g" in kinds:
        for size in (5, 3, 2):
            group = rng.integers(0, size, n)
            for g in range(size):
                row = (group == g).astype(float)
                rows.append(row)
                bounds.append(max(0.6 / size, float(row @ lower) + 0.005))
    if "s" in kinds:
        for _ in range(4):
            row = 0.3 + 0.2 * rng.standard_normal(n)
            rows.append(row)
            bounds.append(max(0.12, float(row @ lower) + 0.005))
    shape: dict[str, object] = {}
    if "b" in kinds:
        shape |= {"buy_rows": np.ones((1, n)), "buy_bounds": np.array([0.1])}
    cones = []
    if "c" in kinds:
        for days in (40, 200):
            other = rng.standard_normal((days, n)) * 0.25 / np.sqrt(days) + 0.1 * rng.standard_normal(
                (days, 1)
            ) / np.sqrt(days)
            cones.append(Cone(other, max(0.05, 1.05 * float(np.linalg.norm(other @ lower)) + 1e-3)))
    if "v" in kinds:
        reach = np.sqrt(float(np.sum((root @ lower) ** 2) + specific @ lower**2))
        cones.append(Cone(root, max(0.05, 1.05 * reach + 1e-3), specific))
    if "h" in kinds:
        cones.append(Cone(np.zeros((0, n)), np.sqrt(max(0.3 / n + 0.01, 1.1 * float(lower @ lower))), np.ones(n)))
    if "t" in kinds:
        count = min(5, n)
        shape["top"] = Top(
            count, max(0.35 * count * float(upper.max()), float(np.sort(lower)[::-1][:count].sum()) + 0.002)
        )
    if "e" in kinds:
        returns = 0.01 * rng.standard_normal((120, n)) + 0.008 * rng.standard_normal((120, 1))
        worst = np.sort(returns @ lower)[:5].sum() / 5.5 if lower.any() else 0.0
        shape["tails"] = (Tail(returns, 5.5, max(0.006, -1.2 * worst + 0.001)),)
    if "f" in kinds:
        shape["funding"] = random_funding(rng, n, 0.08)
    return StructuredProblem(
        mu, root, specific, float(10 ** rng.uniform(0, 1.3)), 0.002 * rng.random(n), 0.002 * rng.random(n), now, lower,
        upper, np.array(rows), np.array(bounds), cones=tuple(cones), **shape,  # type: ignore[arg-type]
    )  # fmt: skip
