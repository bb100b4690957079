"""Plots of `parity_check`: which field of which session differs, how live and backtest drift apart. Pure. Not here: the page."""

import pandas as pd

from marketbot_assets.audit.charts import heat_map, line_chart
from marketbot_assets.research.parity import FIELDS, RETURN, UNEXPLAINED
from marketbot_resources.model import BASIS_POINT

LEVELS = ("not compared", "equal", "explained", "unexplained")
SESSIONS_SHOWN = 60


def fields_chart(frame: pd.DataFrame) -> str:
    """Every field against the last sessions as a heat map of equal, explained, unexplained, as SVG."""
    days = [str(day.date()) for day in sorted(frame["session"].unique())][-SESSIONS_SHOWN:]
    rows = frame[frame["item"] == ""]
    level = {
        (str(day.date()), str(name)): 1 if same else 3 if cause == UNEXPLAINED else 2
        for day, name, same, cause in zip(rows["session"], rows["field"], rows["same"], rows["cause"], strict=True)
    }
    names = [*FIELDS, *sorted({name for _, name in level} - set(FIELDS))]
    shown = [(name.replace("_", " "), [level.get((day, name), 0) for day in days]) for name in names]
    return heat_map("Live sessions against their backtest, by field", shown, days, LEVELS)


def difference_chart(frame: pd.DataFrame) -> str:
    """Return of the live book less that of the backtest, summed over the sessions, basis points, as SVG."""
    rows = frame[frame["field"] == RETURN].sort_values("session")
    apart = ((rows["value_live"] - rows["value_backtest"]) / BASIS_POINT).cumsum()
    days = [str(day.date()) for day in rows["session"]]
    title = "Live return less that of the backtest, summed, basis points"
    return line_chart(title, days, [("difference", [float(value) for value in apart])] if days else [])
