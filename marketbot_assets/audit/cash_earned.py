"""What cash of each currency earned over a session, from the short rates that were known when it began. Pure.

Simple interest over the calendar days between two sessions, by the day count of the rate's market. Not here: which series
stands for which currency (`cash_rates`), the split that asks for them (`currency_effects`).
"""

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence

from marketbot_assets.normalization.window import Floats
from marketbot_resources.cash_rates import CASH_RATES


def cash_earned(
    series: Mapping[str, Floats], sessions: Sequence[dt.date], currencies: Iterable[str]
) -> dict[str, float]:
    """Currency -> simple return of its cash from the last session but one to the last; those without a known rate are left out.

    `series`: macro series -> (T,) last value known at each session's cutoff, percent per year; `sessions`: (T,), ascending.
    """
    found: dict[str, float] = {}
    if len(sessions) < 2:
        return found
    held = (sessions[-1] - sessions[-2]).days
    for currency in sorted(set(currencies)):
        rate = CASH_RATES.get(currency)
        values = None if rate is None else series.get(rate.series)
        if rate is None or values is None or not math.isfinite(float(values[-2])):
            continue
        earned = float(values[-2]) / 100.0 * held / rate.year_days
        if earned > -1.0:
            found[currency] = earned
    return found
