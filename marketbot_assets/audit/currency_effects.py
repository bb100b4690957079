"""The excess by market and by currency: Karnosky and Singer, "Global Asset Management and Performance Attribution" (1994). Pure.

Who chooses a market earns its return over the local cash rate; who chooses a currency earns that currency's cash rate and the
move of its exchange rate. Logarithms make the two add up; what is left between the logarithmic and the simple excess stands by
itself as `compounding`. Without cash rates there is no such split: they are asked for. Not here: where rates come from.
"""

import math
from dataclasses import dataclass

import numpy as np

from marketbot_assets.audit.brinson import Sectors
from marketbot_assets.normalization.window import Floats


@dataclass(frozen=True, slots=True)
class CurrencyEffects:
    """(n,) each, logarithmic; `compounding`: simple excess in base currency less their sum."""

    allocation: Floats
    selection: Floats
    currency: Floats
    compounding: float

    @property
    def logarithmic(self) -> float:
        """Excess in logarithms."""
        return math.fsum([*self.allocation, *self.selection, *self.currency])

    @property
    def total(self) -> float:
        """Simple excess in base currency."""
        return math.fsum([*self.allocation, *self.selection, *self.currency, self.compounding])


def karnosky_singer(
    local: Sectors,
    exchange: Floats,
    cash: Floats,
    *,
    forwards: Floats | None = None,
    benchmark_forwards: Floats | None = None,
) -> CurrencyEffects:
    """The effects of one period.

    `local`: weights and returns in local currency per market; `exchange`: (n,) simple move of the currency against the base;
    `cash`: (n,) local cash rate over the period, the base currency's for the base; `forwards`, `benchmark_forwards`: (n,)
    sold (negative) or bought forward, share of NAV, sum 0. Raises ValueError for what is unknown or below -100 percent.
    """
    sold = np.zeros_like(local.weight) if forwards is None else np.asarray(forwards, dtype=float)
    hedged = np.zeros_like(local.weight) if benchmark_forwards is None else np.asarray(benchmark_forwards, dtype=float)
    for name, positions in (("forwards", sold), ("benchmark forwards", hedged)):
        if not abs(math.fsum(positions)) <= 1e-9:
            raise ValueError(
                f"currency attribution: expected {name} that add up to 0, found {math.fsum(positions):.12g}"
            )
    known = (local.returned, local.benchmark_returned, exchange, cash)
    if not all(np.isfinite(each).all() and (np.asarray(each) > -1.0).all() for each in known):
        raise ValueError("currency attribution: expected finite returns, rates and cash rates above -100 percent")
    money = np.log1p(cash)
    premium, benchmark_premium = np.log1p(local.returned) - money, np.log1p(local.benchmark_returned) - money
    hold = np.log1p(exchange) + money
    active = local.weight - local.benchmark_weight
    allocation = active * (benchmark_premium - math.fsum(local.benchmark_weight * benchmark_premium))
    selection = local.weight * (premium - benchmark_premium)
    overall = math.fsum((local.benchmark_weight + hedged) * hold)
    currency = (active + sold - hedged) * (hold - overall)
    simple = math.fsum([*_simple(local.weight, local.returned, exchange), *_forward(sold, exchange, cash)]) - math.fsum(
        [*_simple(local.benchmark_weight, local.benchmark_returned, exchange), *_forward(hedged, exchange, cash)]
    )
    parts = [*allocation, *selection, *currency]
    return CurrencyEffects(allocation, selection, currency, math.fsum([simple, *(-each for each in parts)]))


def _simple(weight: Floats, local: Floats, exchange: Floats) -> Floats:
    return np.asarray(weight * ((1.0 + local) * (1.0 + exchange) - 1.0), dtype=float)


def _forward(position: Floats, exchange: Floats, cash: Floats) -> Floats:
    """What forwards earn: each leg holds the currency's cash over the period."""
    return np.asarray(position * ((1.0 + cash) * (1.0 + exchange) - 1.0), dtype=float)
