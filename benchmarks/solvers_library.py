"""Portfolio libraries on the standard problem, each as its own documentation has it. Same interface as in `solvers_raw`.

Each library gets Clarabel at the same tolerance and a scaled objective. `leaves_out` says what it cannot express.
"""

import contextlib
import io

import numpy as np
import pandas as pd
from mean_variance import AVERSION, CAP, SCALE, SECTOR_CAP, SECTORS, Floats, MeanVariance
from solvers_raw import TOLERANCE

CLARABEL = {
    "tol_gap_abs": TOLERANCE,
    "tol_gap_rel": TOLERANCE,
    "tol_feas": TOLERANCE,
    "max_threads": 1,
    "direct_solve_method": "qdldl",
}


load = MeanVariance.load


def names_of(day: MeanVariance) -> list[str]:
    return [f"N{i:05d}" for i in range(day.size)]


def covariance_of(day: MeanVariance) -> Floats:
    return np.asarray(day.root.T @ day.root + np.diag(day.specific))


class Skfolio:
    """MeanRisk with the prior's factor model, so that its covariance square root is (k + n) rows."""

    leaves_out = ""

    def prepare(self, day: MeanVariance) -> dict:
        from skfolio.prior import BasePrior, FactorModel, ReturnDistribution

        names, factors = np.array(names_of(day)), np.array([f"F{i}" for i in range(len(day.root))])
        k = len(factors)
        model = FactorModel(
            observations=np.arange(2).astype(str),
            asset_names=names,
            factor_names=factors,
            factor_families=None,
            loading_matrix=np.ascontiguousarray(day.root.T),
            exposures=None,
            factor_covariance=np.eye(k),
            factor_mu=np.zeros(k),
            factor_returns=None,
            idio_covariance=day.specific,
            idio_mu=None,
            idio_returns=None,
            idio_variances=None,
        )
        returns = np.zeros((2, day.size))
        known = ReturnDistribution(mu=day.mu, covariance=covariance_of(day), returns=returns, factor_model=model)

        class Known(BasePrior):
            """Hands the given distribution on."""

            def __init__(self) -> None:
                pass

            def fit(self, X: object, y: object = None, **fit_params: object) -> "Known":
                self.return_distribution_ = known
                return self

        return {"day": day, "prior": Known(), "X": pd.DataFrame(returns, columns=names)}

    def cold(self, data: dict) -> Floats:
        from skfolio import RiskMeasure
        from skfolio.optimization import MeanRisk, ObjectiveFunction

        day = data["day"]
        model = MeanRisk(
            objective_function=ObjectiveFunction.MAXIMIZE_UTILITY,
            risk_measure=RiskMeasure.VARIANCE,
            risk_aversion=0.5 * AVERSION,
            prior_estimator=data["prior"],
            min_weights=0.0,
            max_weights=CAP,
            budget=None,
            max_budget=1.0,
            transaction_costs=day.cost,
            previous_weights=day.now,
            left_inequality=day.sectors,
            right_inequality=np.full(SECTORS, SECTOR_CAP),
            max_standard_deviation=day.vol,
            solver="CLARABEL",
            solver_params=CLARABEL,
            scale_objective=SCALE,
        )
        return np.asarray(model.fit(data["X"]).weights_, dtype=float)


class PyPortfolioOpt:
    """EfficientFrontier; cash is one more name without return and risk."""

    leaves_out = ""

    def prepare(self, day: MeanVariance) -> dict:
        names = [*names_of(day), "CASH"]
        covariance = np.zeros((day.size + 1, day.size + 1))
        covariance[:-1, :-1] = covariance_of(day)
        return {
            "day": day,
            "mu": pd.Series(SCALE * np.append(day.mu, 0.0), index=names),
            "covariance": pd.DataFrame(covariance, index=names, columns=names),
        }

    def cold(self, data: dict) -> Floats:
        import cvxpy as cp
        from pypfopt import EfficientFrontier

        day, n = data["day"], data["day"].size
        bounds = [(0.0, CAP)] * n + [(0.0, 1.0)]
        frontier = EfficientFrontier(
            data["mu"], data["covariance"], weight_bounds=bounds, solver="CLARABEL", solver_options=CLARABEL
        )
        frontier.add_objective(lambda w: SCALE * (day.cost @ cp.abs(w[:n] - day.now)))
        mapping = dict(zip(names_of(day), (str(s) for s in day.sector), strict=True))
        frontier.add_sector_constraints(mapping, {}, {str(s): SECTOR_CAP for s in range(SECTORS)})
        if day.vol is not None:
            root = np.vstack([day.root, np.diag(np.sqrt(day.specific))])
            frontier.add_constraint(lambda w: cp.norm(root @ w[:n]) <= day.vol)
        frontier.max_quadratic_utility(risk_aversion=SCALE * AVERSION)
        return np.asarray(frontier.weights[:n], dtype=float)


class Riskfolio:
    """Portfolio.optimization; cash is one more name without return and risk."""

    leaves_out = "cost of trades"

    def prepare(self, day: MeanVariance) -> dict:
        names = [*names_of(day), "CASH"]
        covariance = np.zeros((day.size + 1, day.size + 1))
        covariance[:-1, :-1] = covariance_of(day)
        rows = np.hstack([np.vstack([day.sectors, np.eye(day.size)]), np.zeros((SECTORS + day.size, 1))])
        return {
            "day": day,
            "returns": pd.DataFrame(np.zeros((2, day.size + 1)), columns=names),
            "mu": pd.DataFrame(SCALE * np.append(day.mu, 0.0)[None], columns=names),
            "covariance": pd.DataFrame(covariance, index=names, columns=names),
            "rows": rows,
            "bounds": np.concatenate([np.full(SECTORS, SECTOR_CAP), np.full(day.size, CAP)])[:, None],
        }

    def cold(self, data: dict) -> Floats:
        import riskfolio

        day = data["day"]
        portfolio = riskfolio.Portfolio(returns=data["returns"])
        portfolio.mu, portfolio.cov = data["mu"], data["covariance"]
        portfolio.ainequality, portfolio.binequality = data["rows"], data["bounds"]
        portfolio.solvers, portfolio.sol_params = ["CLARABEL"], {"CLARABEL": CLARABEL}
        if day.vol is not None:
            portfolio.upperdev = day.vol
        with contextlib.redirect_stdout(io.StringIO()):
            weights = portfolio.optimization(
                model="Classic", rm="MV", obj="Utility", rf=0.0, l=0.5 * SCALE * AVERSION, hist=True
            )
        assert weights is not None, "no solution"
        return np.asarray(weights["weights"], dtype=float)[: day.size]


class Cvxportfolio:
    """SinglePeriodOptimization without market data, all numbers given."""

    leaves_out = ""
    DATES = pd.bdate_range("2020-01-01", periods=400)

    def __init__(self) -> None:
        self._at = 0

    def prepare(self, day: MeanVariance) -> dict:
        names = names_of(day)
        self._at += 1
        weights = pd.Series(np.append(day.now, 1.0 - day.now.sum()), index=[*names, "CASH"])
        mu = pd.DataFrame(np.broadcast_to(day.mu, (1, day.size)), index=[self.DATES[self._at]], columns=names)
        return {
            "day": day,
            "weights": weights,
            "mu": mu,
            "t": self.DATES[self._at],
            "cost": pd.Series(day.cost, index=names),
            "root": pd.DataFrame(day.root, columns=names),
            "specific": pd.Series(day.specific, index=names),
            "sectors": pd.DataFrame(day.sectors.T, index=names),
        }

    def _policy(self, data: dict) -> object:
        import cvxportfolio as cvx

        day = data["day"]

        def risk() -> object:
            return cvx.FactorModelCovariance(F=data["root"], Sigma_F=None, d=data["specific"])

        self._mu = data["mu"].copy()
        reward = SCALE * cvx.ReturnsForecast(self._mu)
        trade = SCALE * cvx.TransactionCost(a=data["cost"], b=None)
        utility = reward - 0.5 * AVERSION * SCALE * risk() - trade
        limits = [
            cvx.LongOnly(applies_to_cash=True),
            cvx.MaxWeights(CAP),
            cvx.FactorMaxLimit(data["sectors"], pd.Series(np.full(SECTORS, SECTOR_CAP))),
        ]
        if day.vol is not None:
            limits.append(risk() <= day.vol**2)
        return cvx.SinglePeriodOptimization(
            utility, limits, include_cash_return=False, solver="CLARABEL", fallback_solver=None, **CLARABEL
        )

    def cold(self, data: dict) -> Floats:
        trades, _, _ = self._policy(data).execute(h=1.0 * data["weights"], market_data=None, t=data["t"])
        return np.asarray((data["weights"] + trades).iloc[:-1], dtype=float)

    def begin(self, data: dict) -> Floats:
        """The policy of a backtest, compiled once for all days."""
        self._running = self._policy(data)
        self._running.initialize_estimator_recursive(universe=data["weights"].index, trading_calendar=self.DATES)
        return self._step(data)

    def warm(self, data: dict) -> Floats:
        self._mu.loc[data["t"]] = data["mu"].iloc[0]
        return self._step(data)

    def _step(self, data: dict) -> Floats:
        target = self._running.values_in_time_recursive(
            t=data["t"],
            current_weights=data["weights"],
            current_portfolio_value=1.0,
            past_returns=None,
            past_volumes=None,
            current_prices=None,
        )
        return np.asarray(target.iloc[:-1], dtype=float)
