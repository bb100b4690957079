"""Return and risk of many return series at once: one column per portfolio, one number per column. Pure.

Returns are simple, fractions per session; a year has SESSIONS_PER_YEAR sessions. Losses, drawdowns and values at risk are positive.
A column with a return that is not finite or not above -1 is NaN in every measure, and so is what cannot be computed. Ratios
without a rate of cash, tails as empyrical and pyfolio define them.

Where else such numbers are made, and why: `audit.performance_ratios` for the live book gives one series the same numbers with
errors, and is asked for one at a time; `audit.series_ratios` for windows that have a benchmark each, and capture; a Sharpe ratio
per session among trials, with its moments and how many stand behind it, is `sharpe_statistics`; what a control limits,
`risk.value_at_risk`. A return per year of less than a year is told of no book; where backtests over the same short range are
compared (a sweep, Calmar on the tear sheet) `growth_per_year` gives it, as empyrical does.
"""

import math

import numpy as np
from numpy.typing import NDArray

from marketbot_resources.model import SESSIONS_PER_YEAR

Floats = NDArray[np.float64]
YEAR, ROOT = float(SESSIONS_PER_YEAR), math.sqrt(SESSIONS_PER_YEAR)
TAIL, OBSERVATIONS_MIN = 0.05, 3
ROUNDING = 1e-12
BLOCK = 16  # columns at a time: what is made on the way stays in the processor's cache
ALONE = (
    "total_return", "return_per_year", "volatility", "sharpe", "sortino", "downside_deviation", "max_drawdown", "calmar",
    "omega", "stability", "tail_ratio", "value_at_risk", "expected_shortfall", "skewness", "kurtosis",
)  # fmt: skip
AGAINST = ("alpha", "beta", "tracking_error", "information_ratio")


def measures(returns: Floats, benchmark: Floats | None = None) -> dict[str, Floats]:
    """Every measure of ALONE, and of AGAINST where there is a benchmark: name -> (N,), of (T, N) returns and (T,) benchmark.

    `return_per_year`, and what follows from it, is NaN below one year (GIPS 2020, 2.A.7). `downside_deviation`: root of the mean
    of min(r, 0)^2 per year; `omega`: sum of gains over sum of losses; `stability`: R^2 of the log wealth on time; `tail_ratio`:
    95 % over 5 % quantile; `value_at_risk`, `expected_shortfall`: of the worst 5 % per session; `kurtosis` over that of a normal
    one. Of fewer than OBSERVATIONS_MIN returns only `total_return` and `max_drawdown` are known. `alpha` compounds to a year;
    `beta`: covariance over the benchmark's variance; `information_ratio`: mean over deviation of the active return per session;
    `tracking_error` per year. A measure of one column does not depend on the other columns.
    Raises ValueError for shapes that do not match.
    """
    if returns.ndim != 2 or (benchmark is not None and benchmark.shape != returns.shape[:1]):
        raise ValueError(f"expected returns (T, N) and a benchmark (T,), found {returns.shape}")
    sessions, count = returns.shape
    names = ALONE if benchmark is None else ALONE + AGAINST
    found = {name: np.full(count, np.nan) for name in names}
    if sessions == 0:
        return found
    market = None if benchmark is None else np.ascontiguousarray(benchmark, dtype=np.float64)
    for start in range(0, count, BLOCK):
        rows = np.ascontiguousarray(returns[:, start : start + BLOCK].T, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            known = np.asarray((np.isfinite(rows) & (rows > -1.0)).all(axis=1))
            safe = np.where(known[:, None], rows, 0.0)
            wealth, drawdown = _path(safe)
            block = {"total_return": wealth[:, -1] - 1.0, "max_drawdown": drawdown}
            if sessions >= OBSERVATIONS_MIN:
                block |= _alone(safe, wealth, drawdown) | (_against(safe, market) if market is not None else {})
        for name, values in block.items():
            found[name][start : start + len(rows)] = np.where(known & np.isfinite(values), values, np.nan)
    return found


def growth_per_year(total: Floats, sessions: int) -> Floats:
    """Compound growth per year of (N,) total returns, also of less than a year: for comparing alone. NaN where all was lost."""
    if sessions == 0:
        return np.full_like(total, np.nan)
    return np.asarray(np.where(total > -1.0, np.maximum(1.0 + total, 0.0) ** (YEAR / sessions) - 1.0, np.nan))


def losses(returns: Floats, tail: float) -> tuple[Floats, Floats]:
    """(value at risk, expected shortfall) of (T, N) finite returns, (N,) each: of the worst share `tail` of the sessions.

    The quantile by linear interpolation between order statistics; the mean of the floor((T - 1) * tail) + 1 worst sessions.
    """
    return _losses(np.sort(np.ascontiguousarray(returns.T, dtype=np.float64), axis=1), tail)


def _alone(rows: Floats, wealth: Floats, drawdown: Floats) -> dict[str, Floats]:
    """The rest of ALONE of (n, T) finite returns above -1. Overwrites `wealth`."""
    sessions = rows.shape[1]
    mean, still = rows.mean(axis=1), _still(rows)
    total = wealth[:, -1] - 1.0
    per_year = growth_per_year(total, sessions) if sessions >= YEAR else np.full(len(rows), np.nan)
    stability = _stability(wealth)
    apart, squares = np.subtract(rows, mean[:, None], out=wealth), np.empty_like(rows)
    np.multiply(apart, apart, out=squares)
    variance = np.where(still, 0.0, squares.mean(axis=1))
    third = np.multiply(squares, apart, out=apart).mean(axis=1)
    fourth = np.multiply(squares, squares, out=squares).mean(axis=1)
    gained, losses = np.maximum(rows, 0.0, out=apart).sum(axis=1), np.minimum(rows, 0.0, out=squares)
    lost, down = -losses.sum(axis=1), np.sqrt(np.multiply(losses, losses, out=apart).mean(axis=1))
    deviation = np.sqrt(variance * (sessions / (sessions - 1.0)))
    return {
        "return_per_year": per_year,
        "volatility": deviation * ROOT,
        "sharpe": _over(mean, deviation) * ROOT,
        "sortino": _over(mean, down) * ROOT,
        "downside_deviation": down * ROOT,
        "calmar": _over(per_year, drawdown),
        "omega": _over(gained, lost),
        "stability": stability,
        "skewness": _over(third, variance**1.5),
        "kurtosis": _over(fourth, variance * variance) - 3.0,
        **_tails(rows),
    }


def _still(rows: Floats) -> NDArray[np.bool_]:
    """Rows whose values differ by rounding alone."""
    low, high = rows.min(axis=1), rows.max(axis=1)
    return np.asarray(high - low <= ROUNDING * np.maximum(np.abs(low), np.abs(high)))


def _path(rows: Floats) -> tuple[Floats, Floats]:
    """(wealth (n, T) from 1, largest fall from a high (n,)). Session by session for all rows at once: products have an order."""
    steps = np.add(rows.T, 1.0, order="C")
    wealth = np.multiply.accumulate(steps, axis=0, out=steps)
    high = np.maximum.accumulate(wealth, axis=0)
    np.maximum(high, 1.0, out=high)
    fall = 1.0 - np.divide(wealth, high, out=high).min(axis=0)
    return np.ascontiguousarray(wealth.T), np.asarray(fall)


def _over(above: Floats, below: Floats) -> Floats:
    """A ratio; NaN where there is nothing to divide by."""
    return np.asarray(np.where(below > 0.0, above / np.where(below > 0.0, below, 1.0), np.nan))


def _stability(wealth: Floats) -> Floats:
    """Squared correlation of log wealth with time; NaN for wealth that does not move. Overwrites `wealth`."""
    sessions = wealth.shape[1]
    path = np.log(wealth, out=wealth)
    path -= path.mean(axis=1)[:, None]
    time = np.arange(sessions, dtype=np.float64) - 0.5 * (sessions - 1)
    line = path * time  # not by BLAS: the bits of a column must not depend on its neighbours
    slope = line.sum(axis=1)
    return _over(slope * slope, float(time @ time) * np.multiply(path, path, out=line).sum(axis=1))


def _tails(rows: Floats) -> dict[str, Floats]:
    """Quantiles by linear interpolation between order statistics, and the mean of the worst TAIL of the sessions."""
    ordered = np.sort(rows, axis=1)
    at_risk, shortfall = _losses(ordered, TAIL)
    gained = _quantile(ordered, 1.0 - TAIL)
    return {
        "tail_ratio": _over(np.abs(gained), np.abs(at_risk)),
        "value_at_risk": at_risk,
        "expected_shortfall": shortfall,
    }


def _losses(ordered: Floats, tail: float) -> tuple[Floats, Floats]:
    worst = int(tail * (ordered.shape[1] - 1)) + 1
    return -_quantile(ordered, tail), -ordered[:, :worst].mean(axis=1)


def _quantile(ordered: Floats, share: float) -> Floats:
    place, last = share * (ordered.shape[1] - 1), ordered.shape[1] - 1
    first, part = int(place), place - int(place)
    below, above = ordered[:, first], ordered[:, min(first + 1, last)]
    return np.asarray(below + (above - below) * part)


def _against(rows: Floats, market: Floats) -> dict[str, Floats]:
    """AGAINST of (n, T) finite returns; all NaN where the benchmark is not known or does not move."""
    sessions = rows.shape[1]
    nothing = np.full(len(rows), np.nan)
    if not np.isfinite(market).all() or float(np.ptp(market)) <= ROUNDING * float(np.abs(market).max()):
        return dict.fromkeys(AGAINST, nothing)
    moved, mean = market - market.mean(), rows.mean(axis=1)
    apart = rows - mean[:, None]
    beta = np.multiply(apart, moved, out=apart).sum(axis=1) / float(moved @ moved)
    alpha = 1.0 + mean - beta * float(market.mean())
    active = np.subtract(rows, market, out=apart)
    ahead, still = active.mean(axis=1), _still(active)
    active -= ahead[:, None]
    deviation = np.sqrt(np.multiply(active, active, out=active).sum(axis=1) / (sessions - 1.0))
    deviation = np.where(still, 0.0, deviation)
    return {
        "alpha": np.where(alpha > 0.0, alpha, np.nan) ** YEAR - 1.0,
        "beta": beta,
        "tracking_error": deviation * ROOT,
        "information_ratio": _over(ahead, deviation),
    }
