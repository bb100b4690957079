"""What rates of exchange alone do to a book, cash included: the volatility of its currencies, and each one's part of it. Pure.

The factor model measures names in the base currency, so that a currency's share of its volatility holds the names' own risk
and leaves cash out. Here prices stand still and rates move. Not here: the move that a stress asks for (`hypothetical`, Y7).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from marketbot_resources.model import SESSIONS_PER_YEAR


@dataclass(frozen=True, slots=True)
class CurrencyRisk:
    """Per year, fractions: `rates` the volatility of each currency's rate, `parts` its part of `volatility`, that of NAV.

    NaN where a rate is not known; then the whole is not known either. `sessions`: how many moves it is measured on.
    """

    rates: Mapping[str, float]
    parts: Mapping[str, float]
    volatility: float
    sessions: int


def currency_risk(
    exposures: Mapping[str, float], moves: Mapping[str, Sequence[float]], halflife: float
) -> CurrencyRisk:
    """EWMA covariance of simple rate moves around zero, as the volatility of the book is measured; Euler's parts e (S e) / s.

    `exposures`: currency -> fraction of NAV in it, names and cash, without the base currency. `moves`: currency -> (T,) simple
    moves of base per unit, per session, oldest first, all of one length. The parts add up to the volatility.
    """
    names = sorted(exposures)
    held = np.array([exposures[name] for name in names], dtype=float)
    count = max((len(moves[name]) for name in names if name in moves), default=0)
    matrix = np.full((count, len(names)), np.nan)
    for column, name in enumerate(names):
        if count and len(moves.get(name, ())) == count:
            matrix[:, column] = moves[name]
    decay = 0.5 ** (np.arange(count)[::-1] / halflife)
    weights = (decay / decay.sum())[:, None] if count else decay[:, None]
    covariance = (matrix * weights).T @ matrix * SESSIONS_PER_YEAR if count else np.full((len(names),) * 2, np.nan)
    there = held != 0.0  # a rate that is not known harms nothing where nothing is held
    pull = np.zeros(len(names))
    pull[there] = covariance[np.ix_(there, there)] @ held[there]
    variance = float(held[there] @ pull[there])
    sigma = float(np.sqrt(max(variance, 0.0))) if np.isfinite(variance) else float("nan")
    parts = np.where(np.isfinite(pull), 0.0, np.nan) if not sigma > 0.0 else held * pull / sigma
    return CurrencyRisk(
        rates=dict(zip(names, np.sqrt(np.diag(covariance)).tolist(), strict=True)),
        parts=dict(zip(names, parts.tolist(), strict=True)),
        volatility=sigma,
        sessions=count,
    )
