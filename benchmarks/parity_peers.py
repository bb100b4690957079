"""One competitor of `risk_parity` in a process of its own: python benchmarks/parity_peers.py NAME PROBLEM.npz WEIGHTS.npy

It reads root (k, n), specific (n,) and budgets (n,), times itself after one warm-up on a small problem, writes its weights and says
its medians. Not here: who competes on what, and the comparison (`risk_parity`).
"""

import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
from measure import say

ENOUGH_SECONDS, REPEATS_MAX = 0.5, 50
Solve = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def marketbot(root: np.ndarray, specific: np.ndarray, budgets: np.ndarray) -> np.ndarray:
    """Ours, with its own check of the answer in plain numpy."""
    from marketbot_assets.portfolio.risk_parity import parity_weights

    return parity_weights(root, specific, budgets)


def cvxpy(root: np.ndarray, specific: np.ndarray, budgets: np.ndarray, **tolerances: float) -> np.ndarray:
    """Spinu's convex form in factor form, built and solved, in units of each name's volatility; Clarabel's defaults."""
    import cvxpy as cp

    spread = np.sqrt((root**2).sum(axis=0) + specific)
    x = cp.Variable(len(budgets), pos=True)
    risk = cp.sum_squares((root / spread) @ x) + cp.sum_squares(cp.multiply(np.sqrt(specific) / spread, x))
    cp.Problem(cp.Minimize(0.5 * risk - budgets @ cp.log(x))).solve(solver=cp.CLARABEL, **tolerances)
    return x.value / spread / (x.value / spread).sum()


def cvxpy_tight(root: np.ndarray, specific: np.ndarray, budgets: np.ndarray) -> np.ndarray:
    """The same at tolerances that come near the error that is asked for."""
    return cvxpy(root, specific, budgets, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)


def skfolio(root: np.ndarray, specific: np.ndarray, budgets: np.ndarray) -> np.ndarray:
    """RiskBudgeting on the given covariance."""
    from skfolio import RiskMeasure
    from skfolio.optimization import RiskBudgeting
    from skfolio.prior import BasePrior, ReturnDistribution

    class Given(BasePrior):
        def __init__(self):
            """Nothing to estimate."""

        def fit(self, X, y=None, **fit_params):
            covariance = root.T @ root + np.diag(specific)
            self.return_distribution_ = ReturnDistribution(np.zeros(len(budgets)), covariance, np.asarray(X))
            return self

    model = RiskBudgeting(risk_measure=RiskMeasure.VARIANCE, risk_budget=budgets, prior_estimator=Given())
    return model.fit(np.zeros((2, len(budgets)))).weights_


def riskfolio(root: np.ndarray, specific: np.ndarray, budgets: np.ndarray) -> np.ndarray:
    """rp_optimization of its class Portfolio on the given covariance."""
    import pandas as pd
    import riskfolio as rp

    names = [f"N{i:04d}" for i in range(len(budgets))]
    portfolio = rp.Portfolio(returns=pd.DataFrame(np.zeros((2, len(names))), columns=names))
    portfolio.mu = pd.DataFrame(np.zeros((1, len(names))), columns=names)
    portfolio.cov = pd.DataFrame(root.T @ root + np.diag(specific), index=names, columns=names)
    answer = portfolio.rp_optimization(model="Classic", rm="MV", rf=0, b=budgets[:, None], hist=True)
    return answer["weights"].to_numpy()


PEERS: dict[str, Solve] = {
    "marketbot": marketbot,
    "cvxpy": cvxpy,
    "cvxpy, tight": cvxpy_tight,
    "skfolio": skfolio,
    "riskfolio": riskfolio,
}


def main() -> None:
    """Warm-up, then as many repetitions as half a second of CPU holds, at least one."""
    warnings.simplefilter("ignore")
    channel = os.dup(1)
    os.dup2(2, 1)
    name, problem, out = sys.argv[1:]
    solve, data = PEERS[name], np.load(problem)
    root, specific, budgets = data["root"], data["specific"], data["budgets"]
    solve(root[:, :10].copy(), specific[:10].copy(), np.full(10, 0.1))
    cpu, wall, weights = [], [], np.zeros(0)
    while sum(cpu) < ENOUGH_SECONDS and len(cpu) < REPEATS_MAX:
        used, passed = time.process_time(), time.perf_counter()
        weights = solve(root, specific, budgets)
        cpu.append(time.process_time() - used)
        wall.append(time.perf_counter() - passed)
    np.save(out, weights)
    sys.stdout.flush()
    os.dup2(channel, 1)
    say({"cpu": statistics.median(cpu), "wall": statistics.median(wall), "repeats": len(cpu)})


if __name__ == "__main__":
    main()
