"""What was forecast of the book's risk, and what came: the record that RC-71 and RC-72 are judged on. Pure.

The loss of a session is that of the book as it was held at the close before, unchanged (the hypothetical loss of the Basel
back-test): trades at the open belong to the next forecast. Not here: how a forecast is made (`risk.forecasting`), what is made of
the record (`portfolio.model_state`, `risk.model_state`).
"""

import math
from collections.abc import Mapping
from dataclasses import replace

from marketbot_assets.book.roll import Held
from marketbot_assets.book.state import BookState, Forecast, RiskDay


def held_weights(held: Held, currencies: Mapping[str, str], nav: float) -> dict[str, float]:
    """Fraction of `nav` per held instrument at the last known prices and rates; NaN where one is unknown."""
    return {
        name: float(shares) * held.prices.get(name, math.nan) * held.rates.get(currencies.get(name, ""), math.nan) / nav
        for name, shares in sorted(held.holdings.shares.items())
    }


def held_loss(weights: Mapping[str, float], returns: Mapping[str, float]) -> float:
    """Loss of these weights, held unchanged over one session; NaN when a name's return is unknown. Fraction of NAV."""
    return -math.fsum(weight * returns.get(name, math.nan) for name, weight in sorted(weights.items()))


def recorded(
    state: BookState, previous: BookState, *, loss: float | None, forecast: Forecast, sessions: int
) -> BookState:
    """The state with its forecast, and with one more day of record when `previous` forecast this very session.

    `loss`: of the book that `previous` held, over this session, NaN when unknown; None when that forecast was of another
    session (one was skipped). `sessions`: longest record. A book in cash is forecast nothing and proves nothing.
    """
    days = previous.risk_days
    if previous.forecast is not None and previous.lots and loss is not None:
        days = (*days, RiskDay(loss, previous.forecast))
    return replace(state, forecast=forecast, risk_days=days[-sessions:])
