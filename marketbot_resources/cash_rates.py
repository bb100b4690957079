"""Which macro series says what cash of a currency earns, for measuring results. Pure.

No decision reads these series: they are in no feature and no prompt. Not here: where the values come from (`macro`), what is
made of them (`marketbot_assets.audit.cash_earned`).
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CashRate:
    """`series`: in percent per year; `year_days`: the days of a year by which its market counts interest."""

    series: str
    year_days: int


CASH_RATES: Mapping[str, CashRate] = {
    "EUR": CashRate("ESTR", 360),  # euro short-term rate
    "GBP": CashRate("SONIA", 365),  # sterling overnight index average
    "JPY": CashRate("JPY_CALL", 365),  # uncollateralized overnight call rate, monthly
    "USD": CashRate("US1M", 365),  # one-month Treasury bill, on an investment basis
}
CASH_SERIES = frozenset(rate.series for rate in CASH_RATES.values())
