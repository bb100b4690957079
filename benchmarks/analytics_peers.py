"""One competitor in analytics: python benchmarks/analytics_peers.py NAME FOLDER ANSWERS.npz    NAME: ours, empyrical, pyfolio

FOLDER holds returns.npy (T, N) and benchmark.npy (T,). Everyone makes the same measures of every portfolio; empyrical gets plain
arrays, which is its fastest way, pyfolio its own `perf_stats` of a Series. Not here: what is compared (`backtest`).
"""

import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measure import say

Floats = np.ndarray
WARM_COLUMNS = 3


def ours(returns: Floats, benchmark: Floats) -> dict[str, Floats]:
    from marketbot_assets.research.return_measures import measures

    return measures(returns, benchmark)


def empyrical(returns: Floats, benchmark: Floats) -> dict[str, Floats]:
    """The names are ours, losses positive as ours are."""
    import empyrical as ep
    from scipy import stats

    alone: dict[str, Callable[[Floats], float]] = {
        "total_return": ep.cum_returns_final,
        "return_per_year": ep.annual_return,
        "volatility": ep.annual_volatility,
        "sharpe": ep.sharpe_ratio,
        "sortino": ep.sortino_ratio,
        "downside_deviation": ep.downside_risk,
        "max_drawdown": lambda r: -ep.max_drawdown(r),
        "calmar": ep.calmar_ratio,
        "omega": ep.omega_ratio,
        "stability": ep.stability_of_timeseries,
        "tail_ratio": ep.tail_ratio,
        "value_at_risk": lambda r: -ep.value_at_risk(r),
        "expected_shortfall": lambda r: -ep.conditional_value_at_risk(r),
        "skewness": stats.skew,
        "kurtosis": stats.kurtosis,
        "alpha": lambda r: ep.alpha(r, benchmark),
        "beta": lambda r: ep.beta(r, benchmark),
        "tracking_error": lambda r: ep.annual_volatility(r - benchmark),
        "information_ratio": lambda r: ep.excess_sharpe(r, benchmark),
    }
    columns = [np.ascontiguousarray(column) for column in returns.T]
    return {name: np.array([measure(column) for column in columns]) for name, measure in alone.items()}


def pyfolio(returns: Floats, benchmark: Floats) -> dict[str, Floats]:
    """`perf_stats` alone: what it leaves out is not made up for."""
    import pandas as pd
    from pyfolio.timeseries import perf_stats

    days = pd.bdate_range("2000-01-03", periods=len(returns))
    market = pd.Series(benchmark, index=days)
    rows = [perf_stats(pd.Series(column, index=days), market) for column in returns.T]
    named = {"Annual return": "return_per_year", "Sharpe ratio": "sharpe", "Beta": "beta", "Stability": "stability"}
    return {ours: np.array([float(row[theirs]) for row in rows]) for theirs, ours in named.items()}


PEERS = {"ours": ours, "empyrical": empyrical, "pyfolio": pyfolio}


def main() -> None:
    """Warm-up on a few columns, then all of them."""
    warnings.simplefilter("ignore")
    channel = os.dup(1)
    os.dup2(2, 1)
    name, folder, answers = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    returns, benchmark = np.load(folder / "returns.npy"), np.load(folder / "benchmark.npy")
    PEERS[name](returns[:, :WARM_COLUMNS], benchmark)
    used, passed = time.process_time(), time.perf_counter()
    found = PEERS[name](returns, benchmark)
    figures = {"cpu": time.process_time() - used, "wall": time.perf_counter() - passed}
    np.savez(answers, **found)
    sys.stdout.flush()
    os.dup2(channel, 1)
    say(figures)


if __name__ == "__main__":
    main()
