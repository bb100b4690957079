"""Plots of what scores were worth, as SVG. Pure. Not here: the numbers (`factor_evaluation`), where a plot stands (the page)."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from marketbot_assets.audit.charts import bar_chart, line_chart
from marketbot_assets.research.factor_evaluation import (
    ALL,
    DECAY,
    IC,
    IC_MONTH,
    QUANTILE,
    SPREAD,
    SPREAD_MONTH,
    Row,
    number,
    of,
)

SHOWN = 15
DECAYS_SHOWN = 2
BASIS_POINTS = 1e4


def by_strength(frame: pd.DataFrame, horizon: int, measure: str = IC) -> list[str]:
    """Scores by the size of the t statistic at a horizon, largest first; those that are not known last, then by name."""
    rows = frame[(frame["measure"] == measure) & (frame["variant"] == ALL) & (frame["horizon"] == horizon)]
    size = {
        str(name): abs(float(t)) if math.isfinite(t) else -1.0
        for name, t in zip(rows["factor"], rows["t"].astype(float), strict=True)
    }
    return sorted(size, key=lambda name: (-size[name], name))


def strength_chart(frame: pd.DataFrame, horizon: int, measure: str = IC) -> str:
    """The t statistics of the strongest scores at one horizon."""
    named = {IC: "rank IC", SPREAD: "quantile spread"}[measure]
    names = by_strength(frame, horizon, measure)[:SHOWN]
    bars = [(name, number(frame, (name, measure, horizon, ALL, ""), "t")) for name in names]
    return bar_chart(f"t of the mean {named}, {horizon} session{'s' if horizon > 1 else ''} ahead", bars)


def decay_chart(frame: pd.DataFrame, factors: Sequence[str]) -> str:
    """Mean rank IC against the return of one session, by how many sessions ahead it lies."""
    rows = {name: sorted(of(frame, name, DECAY), key=_item) for name in factors[:DECAYS_SHOWN]}
    lags = [str(int(_item(row))) for row in next(iter(rows.values()), [])]
    series = [(name if len(rows) > 1 else "IC", [_mean(row) for row in own]) for name, own in rows.items()]
    return line_chart("Rank IC by sessions ahead", lags, series, marks=[("no skill", 0.0)])


def quantile_chart(frame: pd.DataFrame, factor: str, horizon: int) -> str:
    """Mean return of each quantile beyond the mean of all, basis points."""
    rows = sorted(of(frame, factor, QUANTILE, horizon), key=_item)
    ends = {1: " (lowest)", len(rows): " (highest)"}
    bars = [
        (f"quantile {_item(row)}{ends.get(place, '')}", _mean(row) * BASIS_POINTS)
        for place, row in enumerate(rows, start=1)
    ]
    return bar_chart(f"Mean return over {horizon} sessions beyond all names, basis points", bars)


def months_chart(frame: pd.DataFrame, factor: str) -> str:
    """Mean rank IC of each month, and the mean of all sessions so far."""
    rows = sorted(of(frame, factor, IC_MONTH), key=_item)
    values, counts = [_mean(row) for row in rows], [int(str(row["observations"])) for row in rows]
    so_far, total, seen = [], 0.0, 0
    for value, count in zip(values, counts, strict=True):
        if math.isfinite(value):
            total, seen = total + value * count, seen + count
        so_far.append(total / seen if seen else math.nan)
    series = [("month", values), ("mean so far", so_far)]
    return line_chart("Rank IC one session ahead, by month", [_item(row) for row in rows], series, marks=[("", 0.0)])


def spread_chart(frame: pd.DataFrame, factor: str) -> str:
    """Sum of the returns of highest less lowest quantile, formed anew each session, before costs."""
    rows = sorted(of(frame, factor, SPREAD_MONTH), key=_item)
    earned = np.array([_mean(row) for row in rows])
    known = np.isfinite(earned)
    total = np.where(known, np.cumsum(np.where(known, earned, 0.0)), np.nan)
    labels = [_item(row) for row in rows]
    return line_chart("Highest less lowest quantile, summed, before costs", labels, [("spread", list(total))], unit="%")


def _item(row: Row) -> str:
    return str(row["item"])


def _mean(row: Row) -> float:
    value = row["mean"]
    return float(str(value)) if value is not None else math.nan
