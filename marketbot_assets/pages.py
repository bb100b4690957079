"""Small plots and tables for asset pages. Not here: what every page shows (`lineage.materialized`), reports (`audit`)."""

from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    import pandas as pd

Shows = dict[str, dg.MetadataValue | str | int | float]
BARS_SHOWN = 12


def moves(bars: "pd.DataFrame", recent: "pd.DataFrame") -> Shows:
    """The largest moves of the session's bars against the bar before, as a plot, and how many bars are flagged."""
    from marketbot_assets.audit.charts import bar_chart

    last = recent.sort_values("session").groupby("instrument")["close"].last()
    newest = bars.sort_values("session").groupby("instrument")["close"].last()
    change = (newest / last - 1.0).dropna()
    largest = change.reindex(change.abs().sort_values(ascending=False, kind="stable").index)[:BARS_SHOWN]
    rows = [(str(name), float(value)) for name, value in largest.items()]
    chart = bar_chart("Largest price moves, splits and dividends not removed", rows, unit="%")
    return {"largest moves": picture(chart), "synthetic rows": int(bars["synthetic"].sum())}


def outcomes(quality: "pd.DataFrame") -> Shows:
    """How many findings had each outcome, and the first that did not pass."""
    counts = quality["outcome"].value_counts()
    bad = quality[quality["outcome"] != "pass"].head(BARS_SHOWN)
    lines = [f"{row.outcome}: {row.rule} {row.subject}: {row.message}" for row in bad.itertuples()]
    shown: Shows = {f"{name} count": int(counts.get(name, 0)) for name in ("pass", "warn", "quarantine", "halt")}
    return {**shown, "findings": dg.MetadataValue.md("\n".join(f"- {line}" for line in lines) or "every rule passed")}


def picture(svg: str) -> dg.MetadataValue:
    """An SVG as an image inside Markdown."""
    import base64

    return dg.MetadataValue.md(f"![plot](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})")
