"""Return and risk of a series: linked and money-weighted return, volatility, Sharpe, Sortino, drawdowns. Pure.

Returns are simple, fractions per session; a year has SESSIONS_PER_YEAR sessions. A number that cannot be computed is NaN. Not
here: where returns and flows come from (`performance`).
"""

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from marketbot_assets.normalization.window import Floats
from marketbot_resources.model import SESSIONS_PER_YEAR

NAN = math.nan
DAYS_PER_YEAR = 365.0
RATES = (-0.9999, 1e6)
THREE_YEARS, MONTHS_PER_YEAR = 36, 12
SCAN = 400
TOLERANCE = 1e-12


@dataclass(frozen=True, slots=True)
class Drawdown:
    """One fall from a high. `recovered`: label at which the high was reached again, None while it was not; `depth` positive."""

    high: str
    low: str
    recovered: str | None
    depth: float
    sessions: int


def linked(returns: Floats) -> float:
    """Product of (1 + r) less 1; 0 for none."""
    return float(np.prod(1.0 + returns) - 1.0)


def annualized(total: float, sessions: int) -> float:
    """A return per year; NaN below one year, of which no rate per year is told (GIPS 2020, 2.A.7)."""
    if sessions < SESSIONS_PER_YEAR or not total > -1.0:
        return NAN
    return float((1.0 + total) ** (SESSIONS_PER_YEAR / sessions) - 1.0)


def volatility(returns: Floats) -> float:
    """Standard deviation (ddof 1) per year; NaN below two."""
    return float(returns.std(ddof=1)) * math.sqrt(SESSIONS_PER_YEAR) if len(returns) > 1 else NAN


def three_year_deviation(months: Sequence[float]) -> float:
    """Standard deviation (ddof 1) per year of the last 36 whole months' returns (asked for by GIPS 2020); NaN of fewer."""
    last = np.array(months[-THREE_YEARS:], dtype=np.float64)
    if len(last) < THREE_YEARS or not np.isfinite(last).all():
        return NAN
    return float(last.std(ddof=1)) * math.sqrt(MONTHS_PER_YEAR)


def is_last_of_month(session: dt.date) -> bool:
    """Whether no weekday follows in its month, so that the month is surely whole."""
    following = (session + dt.timedelta(days=n) for n in range(1, 8))
    return all(day.month != session.month for day in following if day.weekday() < 5)


def sharpe(returns: Floats) -> tuple[float, float]:
    """(ratio per year of mean to deviation (ddof 1), its standard error); no rate of cash is taken off.

    The error is that of Lo (2002, Financial Analysts Journal 58(4), equation 9) for independent returns:
    sqrt((1 + s^2 / 2) / n) of the ratio s per session, times the root of a year's sessions.
    """
    n = len(returns)
    if n < 2 or not (deviation := float(returns.std(ddof=1))) > 0.0:
        return NAN, NAN
    ratio = float(returns.mean()) / deviation
    year = math.sqrt(SESSIONS_PER_YEAR)
    return ratio * year, math.sqrt((1.0 + 0.5 * ratio * ratio) / n) * year


def sortino(returns: Floats) -> tuple[float, float]:
    """(ratio per year of mean to downside deviation, root of the mean of min(r, 0)^2 over all returns; its standard error).

    The error follows as in Lo (2002) by the delta method from the moments of r and min(r, 0)^2, for independent returns.
    """
    n = len(returns)
    below = np.square(np.minimum(returns, 0.0))
    if n < 2 or not (down := math.sqrt(float(below.mean()))) > 0.0:
        return NAN, NAN
    mean, year = float(returns.mean()), math.sqrt(SESSIONS_PER_YEAR)
    influence = (returns - mean) / down - mean / (2.0 * down**3) * (below - down * down)
    return mean / down * year, math.sqrt(float(np.square(influence).mean()) / n) * year


def drawdowns(labels: Sequence[str], returns: Floats) -> list[Drawdown]:
    """Every fall from a high of the linked returns, deepest first. `labels`: (n + 1,), the first before the first return."""
    wealth = np.concatenate([[1.0], np.cumprod(1.0 + returns)])
    found, high, low = [], 0, 0
    for place in range(1, len(wealth)):
        if wealth[place] >= wealth[high] * (1.0 - TOLERANCE):
            if low > high:
                found.append(_fall(labels, wealth, high, low, place))
            high = low = place
        elif low == high or wealth[place] < wealth[low]:
            low = place
    if low > high:
        found.append(_fall(labels, wealth, high, low, None))
    return sorted(found, key=lambda one: (-one.depth, one.high))


def _fall(labels: Sequence[str], wealth: Floats, high: int, low: int, end: int | None) -> Drawdown:
    last = len(wealth) - 1 if end is None else end
    depth = float(1.0 - wealth[low] / wealth[high])
    return Drawdown(labels[high], labels[low], None if end is None else labels[end], depth, last - high)


def money_weighted(flows: Sequence[tuple[dt.date, float]]) -> float:
    """The internal rate of return over the whole period, not per year: (1 + rate)^(days / 365) - 1.

    `flows`: (day, amount) as the investor sees it: what was put in negative, taken out and the final value positive. The rate per
    year solves sum amount / (1 + rate)^(days / 365) = 0. NaN where there is no solution or more than one.
    """
    from scipy.optimize import brentq

    if len(flows) < 2:
        return NAN
    start = min(day for day, _ in flows)
    years = np.array([(day - start).days / DAYS_PER_YEAR for day, _ in flows])
    amounts = np.array([amount for _, amount in flows])
    if not np.isfinite(amounts).all() or not years.max() > 0.0:
        return NAN

    def value(log_growth: float) -> float:
        return float(amounts @ np.exp(-log_growth * years))

    grid = np.linspace(math.log(1.0 + RATES[0]), math.log(1.0 + RATES[1]), SCAN)
    signs = np.sign([value(point) for point in grid])
    (places,) = np.nonzero(signs[1:] * signs[:-1] < 0)
    if len(places) != 1:
        return NAN
    root = brentq(value, grid[places[0]], grid[places[0] + 1], xtol=1e-14, rtol=1e-14)
    return float(math.expm1(root * float(years.max())))
