"""Weights of one library on problems that all can express: python benchmarks/weights_peers.py NAME PROBLEM.npz ANSWERS.npz

NAME: ours, skfolio, riskfolio. PROBLEM: mu (n,), root (k, n), specific (n,) per year, cap, aversion. Problems: `minimum variance`
and `utility` (mu'w - aversion/2 w'Sw), both fully invested, long only, with a cap; `risk parity`, equal budgets. Ours are the
functions that decide. Not here: what is compared (`backtest`).
"""

import os
import sys
import warnings
from pathlib import Path

import numpy as np
from measure import say

Floats = np.ndarray
TOLERANCES = {"tol_gap_abs": 1e-11, "tol_gap_rel": 1e-11, "tol_feas": 1e-11}
SCALE = 1e3


def problem(n: int, seed: int = 5) -> dict[str, Floats]:
    """A market factor and nine others; the cap binds for some."""
    rng = np.random.default_rng([seed, n])
    root = rng.normal(0.0, 0.04, (10, n))
    root[0] = rng.uniform(0.1, 0.25, n)
    return {
        "mu": rng.normal(0.06, 0.03, n), "root": root, "specific": rng.uniform(0.01, 0.06, n),
        "cap": np.array(4.0 / n), "aversion": np.array(5.0),
    }  # fmt: skip


def covariance_of(of: dict[str, Floats]) -> Floats:
    return np.asarray(of["root"].T @ of["root"] + np.diag(of["specific"]))


def ours(of: dict[str, Floats]) -> dict[str, Floats]:
    from marketbot_assets.portfolio.risk_parity import parity_weights
    from marketbot_assets.portfolio.structured.problem import StructuredProblem
    from marketbot_assets.portfolio.structured.solve import solve

    n = len(of["mu"])

    def best(mu: Floats) -> Floats:
        found = solve(
            StructuredProblem(
                mu=mu, root=of["root"], specific=of["specific"], risk_aversion=float(of["aversion"]),
                cost_buy=np.zeros(n), cost_sell=np.zeros(n), now=np.zeros(n), lower=np.zeros(n),
                upper=np.full(n, float(of["cap"])), rows=np.vstack([np.ones(n), -np.ones(n)]),
                row_bounds=np.array([1.0, -1.0]),
            )
        )  # fmt: skip
        assert found.status == "optimal", found.status
        return found.weights

    return {
        "minimum variance": best(np.zeros(n)),
        "utility": best(of["mu"]),
        "risk parity": parity_weights(of["root"], of["specific"], np.full(n, 1.0 / n)),
    }


def skfolio(of: dict[str, Floats]) -> dict[str, Floats]:
    from skfolio import RiskMeasure
    from skfolio.optimization import MeanRisk, ObjectiveFunction, RiskBudgeting
    from skfolio.prior import BasePrior, ReturnDistribution

    n = len(of["mu"])
    nothing = np.zeros((2, n))

    class Known(BasePrior):
        """Nothing to estimate."""

        def __init__(self) -> None:
            pass

        def fit(self, X: object, y: object = None, **fit_params: object) -> "Known":
            self.return_distribution_ = ReturnDistribution(of["mu"], covariance_of(of), nothing)
            return self

    shared = {"risk_measure": RiskMeasure.VARIANCE, "prior_estimator": Known()}
    exact = {"solver": "CLARABEL", "solver_params": TOLERANCES, "scale_objective": SCALE}

    def best(objective: ObjectiveFunction) -> Floats:
        model = MeanRisk(
            objective_function=objective, risk_aversion=0.5 * float(of["aversion"]), min_weights=0.0,
            max_weights=float(of["cap"]), **shared, **exact,
        )  # fmt: skip
        return np.asarray(model.fit(nothing).weights_)

    parity = RiskBudgeting(**shared, solver="CLARABEL", solver_params=TOLERANCES).fit(nothing).weights_
    return {
        "minimum variance": best(ObjectiveFunction.MINIMIZE_RISK),
        "utility": best(ObjectiveFunction.MAXIMIZE_UTILITY),
        "risk parity": np.asarray(parity),
    }


def riskfolio(of: dict[str, Floats]) -> dict[str, Floats]:
    import pandas as pd
    import riskfolio as rp

    n = len(of["mu"])
    names = [f"N{i:04d}" for i in range(n)]
    portfolio = rp.Portfolio(returns=pd.DataFrame(np.zeros((2, n)), columns=names), upperlng=1.0)
    portfolio.mu = pd.DataFrame(SCALE * of["mu"][None], columns=names)
    portfolio.cov = pd.DataFrame(covariance_of(of), index=names, columns=names)
    portfolio.ainequality, portfolio.binequality = np.eye(n), np.full((n, 1), float(of["cap"]))
    portfolio.solvers, portfolio.sol_params = ["CLARABEL"], {"CLARABEL": TOLERANCES}
    asked = {"model": "Classic", "rm": "MV", "rf": 0, "hist": True}
    least = portfolio.optimization(obj="MinRisk", l=0, **asked)
    utility = portfolio.optimization(obj="Utility", l=0.5 * SCALE * float(of["aversion"]), **asked)
    portfolio.ainequality = portfolio.binequality = None
    parity = portfolio.rp_optimization(b=np.full((n, 1), 1.0 / n), **asked)
    found = {"minimum variance": least, "utility": utility, "risk parity": parity}
    return {name: frame["weights"].to_numpy(dtype=float) for name, frame in found.items()}


PEERS = {"ours": ours, "skfolio": skfolio, "riskfolio": riskfolio}


def main() -> None:
    """What libraries print goes to standard error."""
    warnings.simplefilter("ignore")
    channel = os.dup(1)
    os.dup2(2, 1)
    name, source, answers = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    with np.load(source) as stored:
        np.savez(answers, **PEERS[name]({key: stored[key] for key in stored.files}))
    sys.stdout.flush()
    os.dup2(channel, 1)
    say({"done": 1})


if __name__ == "__main__":
    main()
