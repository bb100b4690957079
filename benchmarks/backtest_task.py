"""The task of the backtest's benchmark: a seeded market, what is forecast of it, its risk model, limits and costs. Plain numpy.

    every day   maximize  mu'w - gamma/2 w'(G'G + diag(d))w - amortization * cost * |w - now|
                subject to  0 <= w <= cap, sum w <= 1 (the rest is cash), sector sums <= sector cap
    then        trades are paid from cash at `cost`, holdings earn the day's returns, cash earns nothing

Forecasts, risk and costs in the objective are per year, returns per day. Risk model and limits stay: kind to competitors, which
compile them once. Not here: who plays it (`backtest_core`, `backtest_peers`).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mean_variance import AVERSION, SECTORS, Floats, first_day

YEAR = 252
COST, AMORTIZATION = 0.0010, 10.0
MEMORY, FORECAST_NOISE = 0.99, 0.008
CAPITAL, PRICES = 1e7, (20.0, 200.0)


@dataclass(frozen=True)
class Market:
    """returns, mu (T, n); prices (T + 1, n); root (k, n); specific (n,); sector (n,) numbers; caps on a name and on a sector."""

    returns: Floats
    mu: Floats
    prices: Floats
    root: Floats
    specific: Floats
    sector: np.ndarray
    cap: float
    sector_cap: float

    @property
    def size(self) -> int:
        return self.returns.shape[1]

    @property
    def days(self) -> int:
        return len(self.returns)

    @property
    def sectors(self) -> Floats:
        """(SECTORS, n) membership."""
        return np.asarray(self.sector[None, :] == np.arange(SECTORS)[:, None], dtype=float)

    @property
    def aversion(self) -> float:
        return AVERSION

    def first(self, days: int) -> "Market":
        """The first days alone."""
        return Market(
            self.returns[:days], self.mu[:days], self.prices[: days + 1], self.root, self.specific, self.sector,
            self.cap, self.sector_cap,
        )  # fmt: skip

    def save(self, folder: Path) -> None:
        """One file per array: the large ones are mapped, not read."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("returns", "mu", "prices", "root", "specific", "sector"):
            np.save(folder / f"{name}.npy", getattr(self, name))
        np.save(folder / "caps.npy", np.array([self.cap, self.sector_cap]))

    @staticmethod
    def load(folder: Path) -> "Market":
        arrays = {
            name: np.asarray(
                np.load(folder / f"{name}.npy", mmap_mode="r" if name in ("returns", "mu", "prices") else None)
            )
            for name in ("returns", "mu", "prices", "root", "specific", "sector")
        }
        cap, sector_cap = np.load(folder / "caps.npy")
        return Market(**arrays, cap=float(cap), sector_cap=float(sector_cap))


def market(n: int, days: int, seed: int = 0) -> Market:
    """Returns from the risk model and slowly moving expected returns, which the forecasts are."""
    day, rng = first_day(n, seed), np.random.default_rng([11, n, seed])
    daily, k = 1.0 / np.sqrt(YEAR), len(day.root)
    mu = np.empty((days, n))
    mu[0] = day.mu
    for t in range(1, days):
        mu[t] = day.mu + MEMORY * (mu[t - 1] - day.mu) + FORECAST_NOISE * rng.standard_normal(n)
    returns = np.empty((days, n))
    own = np.sqrt(day.specific) * daily
    for t in range(days):
        returns[t] = mu[t] / YEAR + (rng.standard_normal(k) * daily) @ day.root + own * rng.standard_normal(n)
    np.maximum(returns, -0.5, out=returns)
    prices = np.empty((days + 1, n))
    prices[0] = np.round(rng.uniform(*PRICES, n), 2)
    np.multiply(prices[0], np.cumprod(1.0 + returns, axis=0), out=prices[1:])
    small = n < 100
    return Market(
        returns, mu, prices, day.root, day.specific, day.sector, 0.20 if small else 0.05, 0.40 if small else 0.20
    )


def main() -> None:
    """`python benchmarks/backtest_task.py N DAYS FOLDER`: makes and saves a market."""
    import sys

    market(int(sys.argv[1]), int(sys.argv[2])).save(Path(sys.argv[3]))


if __name__ == "__main__":
    main()
