"""The benchmark that the mandate names: the universe weighted by the previous session's market value. Pure."""

import math

import numpy as np
import pandas as pd

from marketbot_assets.normalization.window import MarketWindow


def benchmark_return(window: MarketWindow, instruments: pd.DataFrame) -> float:
    """Simple return of the last session in base currency; NaN without two sessions or a name with a known market value.

    Names of the universe whose value before and return are known, weighted by close * rate * shares outstanding of the
    session before; `instruments`: INSTRUMENTS rows in the window's order.
    """
    if len(window.sessions) < 2:
        return math.nan
    shares = instruments["shares_outstanding"].to_numpy(dtype=float)
    value, move = window.close[-2] * window.fx[-2] * shares, window.base_return[-1]
    counted = instruments["in_universe"].to_numpy(dtype=bool) & np.isfinite(value) & (value > 0.0) & np.isfinite(move)
    if not counted.any():
        return math.nan
    return float(value[counted] @ move[counted] / value[counted].sum())
