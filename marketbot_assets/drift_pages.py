"""The page of the asset `drift`: how many measures are in which state, what has drifted, plots. Not here: the same as a page of
its own or in the report (`audit.drift_charts`, `audit.report_drift`).
"""

from typing import TYPE_CHECKING

from marketbot_assets.markdown_text import cell
from marketbot_assets.pages import Shows, markdown, picture

if TYPE_CHECKING:
    import pandas as pd


def drift(frame: "pd.DataFrame") -> Shows:
    """Counts of states, a table of what is not ok, PSI of the features, rank IC of past sessions."""
    from marketbot_assets.audit.drift_charts import coefficients_chart, features_chart
    from marketbot_assets.audit.schema import DRIFTED, OK, UNKNOWN_STATE, WATCH

    counts = frame["state"].value_counts()
    shows: Shows = {f"{state} count": int(counts.get(state, 0)) for state in (OK, WATCH, DRIFTED, UNKNOWN_STATE)}
    bad = frame[frame["state"].isin((DRIFTED, WATCH))].sort_values(["state", "part", "name"])
    shown = ("state", "part", "name", "observed", "threshold", "since", "answer")
    lines = [
        "| " + " | ".join(f"{x:.4g}" if isinstance(x, float) else cell(str(x)) for x in values) + " |"
        for values in zip(*(bad[name].tolist() for name in shown), strict=True)
    ]
    table = [
        "| state | part | measure | observed | threshold | since | what happens by itself |",
        "|---|---|---|---|---|---|---|",
    ]
    return {
        **shows,
        "not ok": markdown([*table, *lines] if lines else ["nothing is watched and nothing has drifted"]),
        "features": picture(features_chart(frame)),
        "rank IC": picture(coefficients_chart(frame)),
    }
