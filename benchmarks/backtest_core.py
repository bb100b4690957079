"""Our array core and the same loop with raw Clarabel: optimizer, rounding to lots, limits checked again, costs, book. No frames.

python benchmarks/backtest_core.py NAME FOLDER ANSWERS.npz DAYS

NAME: ours, clarabel (each also with `, in lots`), bookkeeping, or `size`, which keeps no weights.

The optimizer is the product's (`portfolio.structured`), proof included; rounding follows its rule (buys down, sells to the nearest
lot), the check after it recomputes every limit and fails closed. That is less than a decision of the platform: see
`backtest_decision`. Not here: the market (`backtest_task`), the peers (`backtest_peers`).
"""

import math
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from backtest_task import AMORTIZATION, CAPITAL, COST, YEAR, Market
from mean_variance import SCALE, SECTORS, Floats, MeanVariance, sparse_form
from measure import say

WARM_DAYS = 5
LOT_FORGIVEN, HAIR = 1e-9, 1e-8
Solver = Callable[[Floats, Floats], Floats]


@dataclass(frozen=True)
class Track:
    """nav (T + 1,); weights (T, n) that were aimed at; traded (T,) and invested (T,) as fractions; buys refused on so many days."""

    nav: Floats
    weights: Floats
    traded: Floats
    invested: Floats
    refused: int


def structured(market: Market) -> Solver:
    """The product's solver: the risk model and rows are laid out once, every day starts from yesterday's multipliers."""
    from marketbot_assets.portfolio.structured.prepared import prepare
    from marketbot_assets.portfolio.structured.problem import StructuredProblem
    from marketbot_assets.portfolio.structured.solve import solve

    n = market.size
    cost = np.full(n, AMORTIZATION * COST)
    problem = StructuredProblem(
        mu=market.mu[0],
        root=market.root,
        specific=market.specific,
        risk_aversion=market.aversion,
        cost_buy=cost,
        cost_sell=cost,
        now=np.zeros(n),
        lower=np.zeros(n),
        upper=np.full(n, market.cap),
        rows=np.vstack([np.ones(n), market.sectors]),
        row_bounds=np.concatenate([[1.0], np.full(SECTORS, market.sector_cap)]),
    )
    layout, yesterday = prepare(problem), None

    def weights(mu: Floats, now: Floats) -> Floats:
        nonlocal yesterday
        found = solve(replace(problem, mu=mu, now=now), yesterday, prepared=layout)
        assert found.status == "optimal", f"{found.status}, gap {found.gap:.1e}, residual {found.residual:.1e}"
        yesterday = found.multipliers
        return found.weights

    return weights


def clarabel(market: Market, tolerance: float = 1e-10, scale: float = SCALE) -> Solver:
    """Raw Clarabel, matrices made once, numbers of the day written into them; the objective is scaled."""
    import clarabel as module
    from scipy import sparse

    n, k = market.size, len(market.root)
    cost = np.full(n, AMORTIZATION * COST)
    day = MeanVariance(market.mu[0], market.root, market.specific, cost, np.zeros(n), market.sector)
    form = sparse_form(day)
    bounded = sparse.identity(len(form.linear), format="csc")[: 2 * n]
    rows = sparse.vstack([form.equal, form.less, bounded, -bounded], format="csc")
    most = np.concatenate([[1.0], np.full(SECTORS, market.sector_cap), np.zeros(n)])
    right = np.concatenate([np.zeros(k), most, np.full(n, market.cap), np.zeros(n), np.zeros(2 * n)])
    linear, at = form.linear * (scale / SCALE), k + 1 + SECTORS
    settings = module.DefaultSettings()
    settings.verbose, settings.max_threads, settings.presolve_enable = False, 1, False
    settings.direct_solve_method = "qdldl"
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = tolerance
    cones = [module.ZeroConeT(k), module.NonnegativeConeT(len(most) + 4 * n)]
    quadratic = form.quadratic * (scale / SCALE)
    solver = module.DefaultSolver(quadratic, linear, rows, right, cones, settings)

    def weights(mu: Floats, now: Floats) -> Floats:
        linear[:n] = scale * (cost - mu)
        right[at : at + n], right[at + 2 * n : at + 3 * n] = -now, now
        solver.update(q=linear, b=right)
        found = solver.solve()
        assert str(found.status) in ("Solved", "AlmostSolved"), str(found.status)
        return np.clip(np.array(found.x[:n]), 0.0, market.cap)

    return weights


def play(market: Market, solver: Solver, *, lots: bool, keep: bool = True) -> Track:
    """Every day of the market from cash. Without `keep` no weights are kept."""
    n, cap, total = market.size, market.cap, np.add.reduce
    hair = HAIR + (2.0 * float(market.prices.max()) / CAPITAL if lots else 0.0)  # a rounded sell may miss by a lot
    hair *= math.sqrt(n)
    rows = np.vstack([np.ones(n), market.sectors])
    bounds = np.concatenate([[1.0], np.full(SECTORS, market.sector_cap)]) + hair
    holdings, cash = np.zeros(n), CAPITAL
    nav, weights = np.empty(market.days + 1), np.empty((market.days if keep else 1, n))
    traded, invested, refused = np.empty(market.days), np.empty(market.days), 0
    nav[0] = CAPITAL
    for t in range(market.days):
        value = float(nav[t])
        now = holdings / value
        aim = solver(market.mu[t], now)
        trade = (aim - now) * value
        if lots:
            trade = in_lots(trade, holdings, market.prices[t])
        after = holdings + trade
        left = cash - float(total(trade))
        if not within(after / value, left / value, rows, bounds, cap, hair):
            trade, refused = np.where(trade < 0.0, trade, 0.0), refused + 1
            after, left = holdings + trade, cash - float(total(trade))
        sum_traded = float(total(np.abs(trade)))
        cash, holdings = left - COST * sum_traded, after
        weights[t if keep else 0] = aim
        traded[t], invested[t] = sum_traded / value, float(total(holdings)) / value
        holdings = holdings * (1.0 + market.returns[t])
        nav[t + 1] = float(total(holdings)) + cash
    return Track(nav, weights, traded, invested, refused)


def in_lots(trade: Floats, holdings: Floats, price: Floats) -> Floats:
    """Whole shares: buys down, sells to the nearest and never more than is held."""
    shares = np.floor(trade / price + np.where(trade > 0.0, LOT_FORGIVEN, 0.5))
    return np.asarray(np.maximum(shares * price, -holdings))


def within(book: Floats, cash: float, rows: Floats, bounds: Floats, cap: float, hair: float) -> bool:
    """Every limit of the projected book (n,), measured again; NaN is not within. `rows`: the whole book and its sectors.

    Cash may end below zero by the costs of the day, as in the peers: the optimizer's budget is before costs.
    """
    least, most = np.minimum.reduce(book), np.maximum.reduce(book)  # NaN when any is
    return bool(
        -hair <= least
        and most <= cap + hair
        and -hair <= cash < np.inf
        and np.logical_and.reduce(rows.dot(book) <= bounds)
    )


def bookkeeping(market: Market, weights: Floats) -> Floats:
    """NAV (T + 1,) of given target weights (T, n): trades, costs, returns."""
    holdings, cash = np.zeros(market.size), CAPITAL
    nav, growth = np.empty(len(weights) + 1), 1.0 + market.returns
    nav[0] = value = CAPITAL
    for t, aim in enumerate(weights):
        wanted = aim * value
        trade = wanted - holdings
        cash -= float(trade.sum()) + COST * float(np.abs(trade).sum())
        holdings = wanted * growth[t]
        nav[t + 1] = value = float(holdings.sum()) + cash
    return nav


def main() -> None:
    """Plays once to warm up what is compiled, then once for the clock."""
    name, folder, answers, days = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    market = Market.load(folder).first(days)
    few = market.first(WARM_DAYS)
    if name == "bookkeeping":
        weights = np.load(folder / "weights.npy")[:days]
        bookkeeping(few, weights[:WARM_DAYS])
        used, passed = time.process_time(), time.perf_counter()
        nav = bookkeeping(market, weights)
        figures = {"cpu": time.process_time() - used, "wall": time.perf_counter() - passed}
        np.savez(answers, nav=nav)
    else:
        make, lots = (clarabel if name.startswith("clarabel") else structured), name.endswith("lots") or name == "size"
        play(few, make(few), lots=lots)
        solver = make(market)
        used, passed = time.process_time(), time.perf_counter()
        track = play(market, solver, lots=lots, keep=name != "size")
        figures = {"cpu": time.process_time() - used, "wall": time.perf_counter() - passed}
        np.savez(answers, nav=track.nav, weights=track.weights)
        figures |= {"turnover": float(track.traded.sum()) / days * YEAR, "invested": float(track.invested.mean())}
        figures |= {"refused": float(track.refused)}
    say({**figures, "days": days, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024})


if __name__ == "__main__":
    main()
