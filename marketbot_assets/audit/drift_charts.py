"""Plots of `drift`: features against their limit, rank IC of past sessions, states over sessions. Pure. Not here: their page."""

import math
from collections.abc import Sequence

import pandas as pd

from marketbot_assets.audit.charts import bar_chart, heat_map, line_chart
from marketbot_assets.audit.schema import DRIFTED, FEATURE, FORECAST, MEASURE, OK, UNKNOWN_STATE, WATCH

FEATURES_SHOWN, SESSIONS_SHOWN = 20, 60
LEVELS = ("not measured", OK, UNKNOWN_STATE, WATCH, DRIFTED)


def features_chart(frame: pd.DataFrame) -> str:
    """PSI of the features that moved most, each against the limit, as SVG."""
    rows = frame[frame["kind"] == FEATURE] if "part" in frame.columns else frame.iloc[:0]
    rows = rows.sort_values(["observed", "name"], ascending=[False, True]).head(FEATURES_SHOWN)
    bars = (
        [(str(name), float(value)) for name, value in zip(rows["name"], rows["observed"], strict=True)]
        if len(rows)
        else []
    )
    limits = [float(value) for value in rows["threshold"]] if len(rows) else []
    return bar_chart("PSI of the features that moved most, against the limit", bars, limits=limits)


def coefficients_chart(frame: pd.DataFrame) -> str:
    """Rank IC of each judged session, and its mean so far, as SVG."""
    rows = frame[frame["kind"] == FORECAST].sort_values("session")
    values = [float(value) for value in rows["rank_ic"]]
    means, known = [], []
    for value in values:
        known += [value] if math.isfinite(value) else []
        means.append(math.fsum(known) / len(known) if known else math.nan)
    days = [str(day) for day in rows["session"]]
    return line_chart(
        "Rank IC of judged sessions, by the session that forecast",
        days,
        [("IC", values), ("mean so far", means)] if days else [],
        marks=[("no skill", 0.0)] if days else [],
    )


def states_chart(frames: Sequence[tuple[str, pd.DataFrame]]) -> str:
    """Every judged measure against the last sessions as a heat map of its states, as SVG.

    `frames`: (session, DRIFT), oldest first.
    """
    shown = [(day, frame) for day, frame in frames[-SESSIONS_SHOWN:] if "state" in frame.columns]
    cells: dict[tuple[str, str], dict[str, int]] = {}
    for day, frame in shown:
        rows = frame[(frame["kind"] == MEASURE) & (frame["state"] != "")]
        for part, name, state in zip(rows["part"], rows["name"], rows["state"], strict=True):
            cells.setdefault((str(part), str(name)), {})[day] = LEVELS.index(state)
    days = [day for day, _ in shown]
    rows_shown = [
        (name.replace("_", " "), [cells[part, name].get(day, 0) for day in days]) for part, name in sorted(cells)
    ]
    return heat_map("State of each measure, by session", rows_shown, days, LEVELS)
