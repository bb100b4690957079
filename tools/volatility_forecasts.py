"""Volatility forecasts against the 60-session sample on the S&P 500, 1999 to 2018: QLIKE, its test, coverage of the interval.

Usage: python tools/volatility_forecasts.py [--from DATE] [--to DATE]. The index is the daily one that `arch` ships. Walk-forward:
fits use the last 1,250 sessions and are renewed every 21; nothing of a forecast period is read. GARCH is fitted by the
platform's own code.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from marketbot_assets.insight.volatility import (
    combined,
    ewma_variances,
    fit_garch,
    fit_har,
    garch_forecast,
    har_forecast,
    range_variances,
)
from marketbot_assets.insight.volatility_score import COVERAGE, diebold_mariano, interval, qlike
from marketbot_assets.normalization.window import Floats

SAMPLE, FIT_SESSIONS, REFIT = 60, 1250, 21
HORIZONS = (1, 21)
BASE = "sample 60"
MODELS = (BASE, "EWMA 0.94", "GARCH(1,1)", "HAR range", "combined")


@dataclass(frozen=True, slots=True)
class Walk:
    """One horizon: forecasts by model (T,), mean variances per session, and what came, by squared returns and by ranges (T,)."""

    horizon: int
    forecasts: Mapping[str, Floats]
    squares: Floats
    ranges: Floats


def walk(bars: pd.DataFrame, horizon: int, first: int) -> Walk:
    """Forecasts after each session from place `first` on. bars: Open, High, Low, Close by date."""
    prices = [bars[name].to_numpy(dtype=float) for name in ("Open", "High", "Low", "Close")]
    returns = prices[3][1:] / prices[3][:-1] - 1.0
    ranges = range_variances(*prices)[1:]
    ewma = ewma_variances(returns)
    found: dict[str, list[float]] = {name: [] for name in MODELS}
    squares, came = [], []
    for end in range(first, len(returns) - horizon + 1):
        past, wide = returns[end - FIT_SESSIONS : end], ranges[end - FIT_SESSIONS : end]
        if (end - first) % REFIT == 0:
            garch, har = fit_garch(past), fit_har(wide, past, horizon)
        now = {
            "EWMA 0.94": float(ewma[end]),
            "GARCH(1,1)": garch_forecast(garch, past, horizon),
            "HAR range": har_forecast(har, wide),
        }
        now = {BASE: float(np.mean(past[-SAMPLE:] ** 2)), **now, "combined": combined(now)}
        for name, value in now.items():
            found[name].append(value)
        squares.append(float(np.mean(returns[end : end + horizon] ** 2)))
        came.append(float(np.mean(ranges[end : end + horizon])))
    forecasts = {name: np.array(values) for name, values in found.items()}
    return Walk(horizon, forecasts, np.array(squares), np.array(came))


def table(found: Walk) -> list[list[str]]:
    """One row per model: mean QLIKE by squared returns, difference to the sample's and its t, the same by ranges, mean ratio."""
    rows = []
    for name, values in found.forecasts.items():
        row = [str(found.horizon), name]
        for proxy in (found.squares, found.ranges * found.squares.mean() / found.ranges.mean()):
            losses, base = qlike(values, proxy), qlike(found.forecasts[BASE], proxy)
            mean, t = diebold_mariano(losses, base, max(5, 2 * found.horizon))
            row += [f"{losses.mean():.4f}", *(["", ""] if name == BASE else [f"{mean:+.4f}", f"{t:+.1f}"])]
        rows.append([*row, f"{found.squares.mean() / values.mean():.2f}"])
    return rows


def coverage_of(found: Walk, name: str) -> tuple[float, int]:
    """(share of realised variances inside the interval, how many) for one model; ratios of forecasts that were over by then."""
    values, inside = found.forecasts[name], []
    for place in range(250 + found.horizon, len(values)):
        past = slice(0, place - found.horizon)
        low, high = interval(float(values[place]), values[past], found.squares[past])
        inside.append(low <= found.squares[place] <= high)
    return float(np.mean(inside)), len(inside)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main(arguments: Sequence[str]) -> None:
    """Prints the tables."""
    from arch.data import sp500

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="first", default="1999-01-04", help="first session of the data")
    parser.add_argument("--to", dest="last", default="2018-12-31", help="last session of the data")
    chosen = parser.parse_args(arguments)
    bars = sp500.load().loc[chosen.first : chosen.last]
    walks = [walk(bars, horizon, FIT_SESSIONS) for horizon in HORIZONS]
    days = bars.index[FIT_SESSIONS + 1 :]
    print(f"Forecasts after {len(days)} sessions, {days[0]:%Y-%m-%d} to {days[-1]:%Y-%m-%d}.\n")
    proxies = [name for proxy in ("squares", "ranges") for name in (f"QLIKE, {proxy}", "against sample", "t")]
    header = ["horizon", "model", *proxies, "realised / forecast"]
    print(markdown(header, [row for found in walks for row in table(found)]))
    print(f"\nInterval of {COVERAGE:.0%} for the realised variance of 21 sessions:")
    for name in MODELS:
        share, count = coverage_of(walks[-1], name)
        print(f"- {name}: {share:.1%} of {count} inside")


if __name__ == "__main__":
    main(sys.argv[1:])
