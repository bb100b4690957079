"""Bias statistics: do portfolios move as much as the model said. Pure.

A portfolio's return over its forecast standard deviation has standard deviation 1 when the forecast is right (Menchero, Orr and
Wang 2011). For T independent normal returns it lies within 1 +- sqrt(2 / T) nineteen times of twenty; fat tails widen that.
Not here: the estimators (`factor_model`), long ranges of forecasts (`tools/factor_bias.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from marketbot_assets.normalization.window import Floats

RANDOM_PORTFOLIOS, SEED = 50, 7
FORECASTS, STRETCH, RENEWED, PAST_MIN = 50, 5, 10, 126
Estimate = Callable[[Floats], tuple[Floats, Floats]]


@dataclass(frozen=True, slots=True)
class Risk:
    """One forecast: `exposures` (n, k), `factor_covariance` (k, k) and `specific_variance` (n,), per session or per year."""

    exposures: Floats
    factor_covariance: Floats
    specific_variance: Floats

    def variances(self, weights: Floats) -> Floats:
        """(m,) variances of portfolios `weights` (m, n)."""
        loads = weights @ self.exposures
        own: Floats = weights**2 @ self.specific_variance
        return np.asarray(((loads @ self.factor_covariance) * loads).sum(axis=1) + own)

    def solved(self, rows: Floats) -> Floats:
        """(m, n) S^-1 applied to `rows` (m, n): Woodbury's identity, for covariances that may be singular."""
        values, vectors = np.linalg.eigh(self.factor_covariance)
        root = self.exposures @ (vectors * np.sqrt(np.maximum(values, 0.0)))
        scaled = root / self.specific_variance[:, None]
        inner = np.eye(root.shape[1]) + root.T @ scaled
        return np.asarray(rows / self.specific_variance - (rows @ scaled) @ np.linalg.solve(inner, scaled.T))


def factor_portfolios(risk: Risk) -> Floats:
    """(k, n) portfolios that load most on one factor each: its exposures less their mean, gross 1; the market equal-weighted."""
    loads = risk.exposures.T
    centred = loads - loads.mean(axis=1, keepdims=True)
    flat = np.abs(centred).sum(axis=1) == 0.0
    centred[flat] = 1.0
    return np.asarray(centred / np.abs(centred).sum(axis=1, keepdims=True))


def random_portfolios(count: int) -> Floats:
    """(50, n) long-only portfolios, the same ones for the same number of names; weights exponential, sum 1."""
    draws = np.random.default_rng(SEED).exponential(size=(RANDOM_PORTFOLIOS, count))
    return np.asarray(draws / draws.sum(axis=1, keepdims=True))


def optimized_portfolios(risk: Risk) -> Floats:
    """(51, n): minimum variance, sum 1, then 50 of least variance for random expected returns, gross 1.

    Optimizers seek what the model takes for riskless by mistake; a statistic above 1 here and not elsewhere is that mistake.
    """
    count = len(risk.specific_variance)
    signals = np.random.default_rng(SEED + 1).standard_normal((RANDOM_PORTFOLIOS, count))
    rows = risk.solved(np.vstack([np.ones(count), signals]))
    scale = np.concatenate([[rows[0].sum()], np.abs(rows[1:]).sum(axis=1)])
    return np.asarray(rows / scale[:, None])


def standardized_returns(risk: Risk, weights: Floats, moves: Floats) -> Floats:
    """(m,) returns of portfolios `weights` (m, n) over forecast deviation; `moves` (n,) of the next period, NaN counts as 0."""
    variance = risk.variances(weights)
    earned = weights @ np.where(np.isfinite(moves), moves, 0.0)
    return np.divide(earned, np.sqrt(variance), out=np.full(len(earned), np.nan), where=variance > 0.0)


def bias(standardized: Floats) -> Floats:
    """(m,) bias statistics of `standardized` (T, m): the root of the mean square (mean zero, as the forecasts take it)."""
    return np.asarray(np.sqrt(np.mean(standardized**2, axis=0)))


def band(count: int) -> tuple[float, float]:
    """1 -+ sqrt(2 / count)."""
    half = float(np.sqrt(2.0 / count))
    return 1.0 - half, 1.0 + half


@dataclass(frozen=True, slots=True)
class BiasTable:
    """One family of portfolios over windows of `sessions` periods each.

    `mean`: of the statistic; `inside`: share of statistics in the band; `deviation`: mean |statistic - 1| (0.05 would be
    perfect for normal returns and 126 periods).
    """

    family: str
    sessions: int
    windows: int
    mean: float
    inside: float
    deviation: float


def table_of(family: str, standardized: Floats, sessions: int) -> BiasTable:
    """Statistics of disjoint windows of `sessions` rows of `standardized` (T, m); the newest rows, a rest is left out."""
    windows = len(standardized) // sessions
    kept = standardized[len(standardized) - windows * sessions :].reshape(windows, sessions, -1)
    found = np.sqrt(np.nanmean(kept**2, axis=1))
    low, high = band(sessions)
    inside = (found >= low) & (found <= high)
    return BiasTable(
        family,
        sessions,
        windows,
        float(np.nanmean(found)),
        float(np.mean(inside[np.isfinite(found)])),
        float(np.nanmean(np.abs(found - 1.0))),
    )


def recent_bias(returns: Floats, exposures: Floats, estimate: Estimate) -> tuple[BiasTable, ...]:
    """How an estimator did with the last 50 stretches of five sessions, by family of portfolios; empty on a short past.

    returns: (T, n), NaN unknown; exposures: (n, k), today's, so the styles of names that moved most are known too early.
    estimate: returns before a session -> (factor covariance, specific variance) per session; every tenth session one.
    Names without half a year before are left out. Five sessions, for exchanges that close at different hours share no single one.
    """
    first = len(returns) - FORECASTS * STRETCH
    alive = np.isfinite(returns[max(0, first - PAST_MIN) : max(0, first)]).all(axis=0)
    if first < PAST_MIN or alive.sum() < 2:
        return ()
    found: dict[str, list[Floats]] = {"factor": [], "random": [], "optimized": []}
    for start in range(first, len(returns), RENEWED):
        covariance, specific = estimate(returns[:start])
        risk = Risk(exposures[alive], covariance * STRETCH, specific[alive] * STRETCH)
        families = (factor_portfolios(risk), random_portfolios(int(alive.sum())), optimized_portfolios(risk))
        for begin in range(start, start + RENEWED, STRETCH):
            moves = np.prod(1.0 + np.nan_to_num(returns[begin : begin + STRETCH, alive]), axis=0) - 1.0
            for name, weights in zip(found, families, strict=True):
                found[name].append(standardized_returns(risk, weights, moves))
    return tuple(table_of(name, np.array(rows), FORECASTS) for name, rows in found.items())
