"""The benchmark that the mandate names: the universe weighted by the previous session's market value. Pure."""

import math

import numpy as np
import pandas as pd

from marketbot_assets.normalization.window import Floats, MarketWindow


def benchmark_return(window: MarketWindow, instruments: pd.DataFrame) -> float:
    """Simple return of the last session in base currency; NaN without two sessions or a name with a known market value.

    Names of the universe whose value before and return are known, weighted by close * rate * shares outstanding of the
    session before; `instruments`: INSTRUMENTS rows in the window's order.
    """
    found = _weighed(window, instruments)
    return math.nan if found is None else float(found[0] @ found[1] / found[0].sum())


def benchmark_sectors(window: MarketWindow, instruments: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Sector -> (weight before, simple return) of the same names; weights add up to 1. Empty where the return is NaN."""
    found = _weighed(window, instruments)
    if found is None:
        return {}
    value, move, counted = found
    sectors = instruments["sector"].astype(str).to_numpy()[counted]
    whole, parts = math.fsum(value), {}
    for name in sorted(set(sectors.tolist())):
        own = value[sectors == name]
        parts[name] = (math.fsum(own) / whole, math.fsum(own * move[sectors == name]) / math.fsum(own))
    return parts


def _weighed(
    window: MarketWindow, instruments: pd.DataFrame
) -> tuple[Floats, Floats, "np.ndarray[tuple[int], np.dtype[np.bool_]]"] | None:
    """(market values before, returns, which names they are of); None without any."""
    if len(window.sessions) < 2:
        return None
    shares = instruments["shares_outstanding"].to_numpy(dtype=float)
    value, move = window.close[-2] * window.fx[-2] * shares, window.base_return[-1]
    counted = instruments["in_universe"].to_numpy(dtype=bool) & np.isfinite(value) & (value > 0.0) & np.isfinite(move)
    return (value[counted], move[counted], counted) if counted.any() else None
