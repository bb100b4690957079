"""What Dagster's page of a sweep shows. Not here: the page as a file (`research.sweep_page`)."""

from typing import TYPE_CHECKING

from marketbot_assets.pages import Shows, markdown, picture

if TYPE_CHECKING:
    import pandas as pd

ROWS_SHOWN, PICTURES = 15, 3


def shown(frame: "pd.DataFrame") -> Shows:
    """How many points there are, what the best is worth, the surface of the ratio, the first points by ratio."""
    from marketbot_assets.markdown_text import cell
    from marketbot_assets.research.sweep_charts import surfaces
    from marketbot_assets.research.sweep_page import best_lines

    lines = ["| point | choices | from | ratio per year | worst drawdown | deflated |", "|---|---|---|---|---|---|"]
    for row in frame.sort_values("sharpe_per_year", ascending=False, kind="stable").head(ROWS_SHOWN).itertuples():
        lines.append(
            f"| {row.point} | {cell(str(row.name))} | {row.first.date()} | {row.sharpe_per_year:.2f} | "
            f"{row.drawdown_max:.2%} | {row.deflated_sharpe:.3f} |"
        )
    shows: Shows = {
        "points": len(frame),
        "failed": int((frame["state"] == "failed").sum()),
        "trials on record": int(frame["trials"].max()),
        "worth": markdown([f"- {cell(line)}" for line in best_lines(frame)]),
        "best": markdown(lines),
    }
    for number, chart in enumerate(surfaces(frame, "sharpe_per_year")[:PICTURES], start=1):
        shows[f"surface {number}"] = picture(chart)
    return shows
