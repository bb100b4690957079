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


def benchmark_markets(window: MarketWindow, instruments: pd.DataFrame) -> dict[tuple[str, str], tuple[float, float]]:
    """(sector, currency) -> (weight before, simple return in that currency) of the same names. Empty where the return is NaN.

    The local return of a name is that of its base-currency return and of its currency's rate, so that the two say the same.
    """
    found = _weighed(window, instruments)
    if found is None:
        return {}
    value, move, counted = found
    local = (1.0 + move) * window.fx[-2][counted] / window.fx[-1][counted] - 1.0
    if not np.isfinite(local).all():
        return {}
    keys = list(
        zip(*(instruments[name].astype(str).to_numpy()[counted] for name in ("sector", "currency")), strict=True)
    )
    whole, rows = math.fsum(value), {}
    for key in sorted(set(keys)):
        own = np.array([one == key for one in keys])
        size = math.fsum(value[own])
        rows[key] = (size / whole, math.fsum(value[own] * local[own]) / size)
    return rows


def benchmark_weights(window: MarketWindow, instruments: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Instrument -> (weight before, simple return in base currency) of the same names; weights add up to 1."""
    found = _weighed(window, instruments)
    if found is None:
        return {}
    value, move, counted = found
    names = [name for name, known in zip(window.instruments, counted, strict=True) if known]
    return dict(zip(names, zip((value / math.fsum(value)).tolist(), move.tolist(), strict=True), strict=True))


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
