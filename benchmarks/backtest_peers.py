"""One peer of the backtest's benchmark in a process of its own: python benchmarks/backtest_peers.py NAME FOLDER ANSWERS.npz DAYS

cvxportfolio and skfolio re-optimize every day; bt, vectorbt and zipline book target weights that ours made. Each plays a few days
first, so that nothing is compiled on the clock, then DAYS of the market. Libraries are imported here alone, none by the product
(cvxportfolio is under the GPL, zipline-reloaded, bt, skfolio and vectorbt under Apache, MIT, BSD and Apache with Commons Clause).
Not here: the market (`backtest_task`), what is compared (`backtest`).
"""

import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from backtest_core import WARM_DAYS
from backtest_task import AMORTIZATION, CAPITAL, COST, YEAR, Market
from mean_variance import SCALE, SECTORS, Floats
from measure import say

Answer = tuple[Floats, Floats | None]  # nav (T + 1,), weights (T, n) where the peer chose them
TOLERANCE = 1e-10
CLARABEL = {"tol_gap_abs": TOLERANCE, "tol_gap_rel": TOLERANCE, "tol_feas": TOLERANCE, "max_threads": 1}


def names_of(market: Market) -> list[str]:
    return [f"N{i:05d}" for i in range(market.size)]


def cvxportfolio(market: Market, folder: Path, *, daily: bool = False) -> Answer:
    """SinglePeriodOptimization in its MarketSimulator, cash without return, no rounding.

    `daily`: as its examples write it, returns and risk per day and the solver as it comes; else per year, scaled, and exact.
    """
    import cvxportfolio as cvx

    names, days = names_of(market), pd.bdate_range("2000-01-03", periods=market.days + 1, tz="UTC")
    mu = pd.DataFrame(np.vstack([market.mu, market.mu[-1]]), index=days, columns=names)
    unit = 1.0 / YEAR if daily else SCALE
    reward = cvx.ReturnsForecast(mu / YEAR) if daily else unit * cvx.ReturnsForecast(mu)
    root, own = (market.root / np.sqrt(YEAR), market.specific / YEAR) if daily else (market.root, market.specific)
    risk = cvx.FactorModelCovariance(F=pd.DataFrame(root, columns=names), Sigma_F=None, d=pd.Series(own, index=names))
    aversion = 0.5 * market.aversion * (1.0 if daily else SCALE)
    trade = unit * AMORTIZATION * cvx.TransactionCost(a=COST, b=None)
    caps = pd.Series(np.full(SECTORS, market.sector_cap))
    policy = cvx.SinglePeriodOptimization(
        reward - aversion * risk - trade,
        [
            cvx.LongOnly(applies_to_cash=True),
            cvx.MaxWeights(market.cap),
            cvx.FactorMaxLimit(pd.DataFrame(market.sectors.T, index=names), caps),
        ],
        include_cash_return=False,
        **({} if daily else {"solver": "CLARABEL", **CLARABEL}),
    )
    returns = pd.DataFrame(np.vstack([market.returns, market.returns[-1]]), index=days, columns=names).assign(cash=0.0)
    data = cvx.UserProvidedMarketData(
        returns=returns, cash_key="cash", min_history=pd.Timedelta("0d"), base_location=folder
    )
    simulator = cvx.MarketSimulator(market_data=data, costs=[cvx.TransactionCost(a=COST, b=None)], base_location=folder)
    result = simulator.backtest(policy, start_time=days[0], end_time=days[-1], initial_value=CAPITAL)
    return result.v.to_numpy(dtype=float), result.w_plus.to_numpy(dtype=float)[: market.days, :-1]


def cvxportfolio_daily(market: Market, folder: Path) -> Answer:
    return cvxportfolio(market, folder, daily=True)


def skfolio(market: Market, folder: Path) -> Answer:
    """MeanRisk fitted every day from yesterday's book, as WalkForward does it; its holdings and costs are booked as ours are."""
    from skfolio import RiskMeasure
    from skfolio.optimization import MeanRisk, ObjectiveFunction
    from skfolio.prior import BasePrior, FactorModel, ReturnDistribution

    n, k = market.size, len(market.root)
    factors, assets = np.array([f"F{i}" for i in range(k)]), np.array(names_of(market))
    covariance = market.root.T @ market.root + np.diag(market.specific)
    nothing = np.zeros((2, n))
    model = FactorModel(
        observations=np.arange(2).astype(str), asset_names=assets, factor_names=factors, factor_families=None,
        loading_matrix=np.ascontiguousarray(market.root.T), exposures=None, factor_covariance=np.eye(k),
        factor_mu=np.zeros(k), factor_returns=None, idio_covariance=market.specific, idio_mu=None, idio_returns=None,
        idio_variances=None,
    )  # fmt: skip

    class Known(BasePrior):
        """Hands the forecasts of a day on."""

        def __init__(self, day: int = 0) -> None:
            self.day = day

        def fit(self, X: object, y: object = None, **fit_params: object) -> "Known":
            self.return_distribution_ = ReturnDistribution(
                mu=np.array(market.mu[self.day]), covariance=covariance, returns=nothing, factor_model=model
            )
            return self

    frame = pd.DataFrame(nothing, columns=assets)
    holdings, cash, nav, chosen = np.zeros(n), CAPITAL, [CAPITAL], []
    for t in range(market.days):
        now = holdings / nav[-1]
        fitted = MeanRisk(
            objective_function=ObjectiveFunction.MAXIMIZE_UTILITY, risk_measure=RiskMeasure.VARIANCE,
            risk_aversion=0.5 * market.aversion, prior_estimator=Known(t), min_weights=0.0, max_weights=market.cap,
            budget=None, max_budget=1.0, transaction_costs=AMORTIZATION * COST, previous_weights=now,
            left_inequality=market.sectors, right_inequality=np.full(SECTORS, market.sector_cap), solver="CLARABEL",
            solver_params=CLARABEL, scale_objective=SCALE,
        ).fit(frame)  # fmt: skip
        chosen.append(np.asarray(fitted.weights_, dtype=float))
        trade = chosen[-1] * nav[-1] - holdings
        cash -= float(trade.sum()) + COST * float(np.abs(trade).sum())
        holdings = (holdings + trade) * (1.0 + market.returns[t])
        nav.append(float(holdings.sum()) + cash)
    return np.array(nav), np.array(chosen)


def vectorbt(market: Market, folder: Path) -> Answer:
    """Portfolio.from_orders with target percents and shared cash; sells first."""
    import vectorbt as vbt

    weights = np.load(folder / "weights.npy")[: market.days]
    size = np.vstack([weights, np.full((1, market.size), np.nan)])
    portfolio = vbt.Portfolio.from_orders(
        pd.DataFrame(np.array(market.prices)), size=size, size_type="targetpercent", fees=COST, init_cash=CAPITAL,
        cash_sharing=True, call_seq="auto", group_by=True, freq="1D",
    )  # fmt: skip
    return portfolio.value().to_numpy(dtype=float).ravel(), None


def bt(market: Market, folder: Path) -> Answer:
    """WeighTarget and Rebalance, fractional positions, commissions on the traded value."""
    import bt as library

    weights, days = (
        np.load(folder / "weights.npy")[: market.days],
        pd.bdate_range("2000-01-03", periods=market.days + 1),
    )
    names = names_of(market)
    target = pd.DataFrame(weights, index=days[:-1], columns=names)
    strategy = library.Strategy("s", [library.algos.WeighTarget(target), library.algos.Rebalance()])
    test = library.Backtest(
        strategy,
        pd.DataFrame(np.array(market.prices), index=days, columns=names),
        initial_capital=CAPITAL,
        commissions=lambda quantity, price: abs(quantity) * price * COST,
        integer_positions=False,
        progress_bar=False,
    )
    test.run()
    return test.strategy.values.to_numpy(dtype=float)[1:], None  # it puts a day before the first


def zipline(market: Market, folder: Path) -> Answer:
    """A daily algorithm over a bundle made of the same prices; orders fill at the next close, in whole shares."""
    from zipline import run_algorithm
    from zipline.api import order_target_percent, set_commission, set_slippage
    from zipline.api import sid as asset_of
    from zipline.data.bundles import ingest, register
    from zipline.finance.commission import PerDollar
    from zipline.finance.slippage import FixedSlippage
    from zipline.utils.calendar_utils import get_calendar

    calendar = get_calendar("XNYS")
    days = calendar.sessions_in_range("2010-01-04", "2024-12-31")[: market.days + 1]
    weights, prices = np.load(folder / "weights.npy")[: market.days], np.array(market.prices)[: market.days + 1]
    name = f"market-{market.size}-{market.days}"

    def bars():
        for column in range(market.size):
            close = prices[:, column]
            frame = dict.fromkeys(("open", "high", "low", "close"), close)
            yield column, pd.DataFrame({**frame, "volume": np.full(len(days), 1_000_000_000)}, index=days)

    def make(environ, assets, minutes, daily, adjustments, *rest):
        table = pd.DataFrame(
            {"symbol": names_of(market), "start_date": days[0], "end_date": days[-1], "exchange": "XNYS"}
        )
        assets.write(equities=table, exchanges=pd.DataFrame({"exchange": ["XNYS"], "country_code": ["US"]}))
        daily.write(bars(), show_progress=False)
        adjustments.write()

    register(name, make, calendar_name="XNYS", start_session=days[0], end_session=days[-1])
    ingest(name, show_progress=False)

    def initialize(context):
        set_commission(PerDollar(cost=COST))
        set_slippage(FixedSlippage(spread=0.0))
        context.day, context.assets = 0, [asset_of(i) for i in range(market.size)]

    def handle_data(context, data):
        for asset, weight in zip(context.assets, weights[context.day], strict=True):
            order_target_percent(asset, weight)
        context.day += 1

    used, passed = time.process_time(), time.perf_counter()
    result = run_algorithm(
        start=days[0], end=days[-2], initialize=initialize, handle_data=handle_data, capital_base=CAPITAL,
        bundle=name, benchmark_returns=pd.Series(0.0, index=days), trading_calendar=calendar, data_frequency="daily",
    )  # fmt: skip
    OWN_CLOCK.update(cpu=time.process_time() - used, wall=time.perf_counter() - passed)
    return np.concatenate([[CAPITAL], result["portfolio_value"].to_numpy(dtype=float)]), None


OWN_CLOCK: dict[str, float] = {}  # a peer that has to prepare files beside its run
PEERS: dict[str, Callable[[Market, Path], Answer]] = {
    "cvxportfolio": cvxportfolio,
    "cvxportfolio, as its examples": cvxportfolio_daily,
    "skfolio": skfolio,
    "vectorbt": vectorbt,
    "bt": bt,
    "zipline": zipline,
}


def main() -> None:
    """Warm-up, run, figures. What libraries print goes to standard error."""
    warnings.simplefilter("ignore")
    channel = os.dup(1)
    os.dup2(2, 1)
    name, folder, answers, days = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    market = Market.load(folder).first(days)
    os.environ.setdefault("ZIPLINE_ROOT", str(folder / "zipline"))
    PEERS[name](market.first(WARM_DAYS), folder)
    used, passed = time.process_time(), time.perf_counter()
    nav, weights = PEERS[name](market, folder)
    figures = {"cpu": time.process_time() - used, "wall": time.perf_counter() - passed, **OWN_CLOCK, "days": days}
    np.savez(answers, nav=nav, **({} if weights is None else {"weights": weights}))
    sys.stdout.flush()
    os.dup2(channel, 1)
    say(figures)


if __name__ == "__main__":
    main()
