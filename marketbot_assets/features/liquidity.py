"""How much of a name is traded: the median value of its own newest sessions. Pure.

Counted in the listing's own sessions, so ten days of holidays in Tokyo are no loss of liquidity; at most SPAN decision sessions
back, so a name that stopped trading loses its figure. Not here: what may be traded of it (`portfolio`, `risk`).
"""

import numpy as np

from marketbot_assets.normalization.window import Flags, Floats, MarketWindow

OWN_SESSIONS, SPAN = 20, 40


def traded_value(window: MarketWindow) -> tuple[Floats, Floats]:
    """((n,) median value traded, base currency, of up to 20 own sessions with volume; (n,) how many there were)."""
    close, volume, fx, fresh = (a[-SPAN:] for a in (window.close, window.volume, window.fx, window.fresh))
    value = np.where(fresh & np.isfinite(volume) & (volume > 0.0), close * volume * fx, np.nan)
    known = np.isfinite(value)
    newest = known & (np.cumsum(known[::-1], axis=0)[::-1] <= OWN_SESSIONS)
    return medians(value, newest), newest.sum(axis=0).astype(float)


def median(values: Floats) -> float:
    """The median of values (m,), m > 0, as numpy has it, NaN where any is; far cheaper for few of them."""
    ordered, middle = np.sort(values), len(values) // 2
    if np.isnan(ordered[-1]):
        return float("nan")
    return (
        float(ordered[middle]) if len(values) % 2 else (float(ordered[middle - 1]) + float(ordered[middle])) / 2.0
    ) + 0.0


def medians(values: Floats, counted: Flags) -> Floats:
    """(n,) median of the counted values (T, n) of each column, the mean of the middle two of an even number; NaN of none."""
    count = counted.sum(axis=0)
    ordered = np.sort(np.where(counted, values, np.inf), axis=0)
    if not len(ordered):
        return np.full(len(count), np.nan)
    columns, last = np.arange(len(count)), np.maximum(count - 1, 0)
    low, high = ordered[last // 2, columns], ordered[np.minimum(count // 2, len(ordered) - 1), columns]
    return np.where(count > 0, np.where(count % 2 == 1, low, (low + high) / 2.0), np.nan)
