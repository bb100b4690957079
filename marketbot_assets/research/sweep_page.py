"""A sweep as one self-contained page: what it may be taken for, the surface of its parameters, every point. Pure.

Not here: numbers (`sweep_table`), pictures (`sweep_charts`), Dagster's page (`sweep_pages`).
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from marketbot_assets.audit.charts import inline
from marketbot_assets.audit.report_parts import (
    NOT_KNOWN,
    Markup,
    bullets,
    grid,
    joined,
    percent,
    plain_number,
    section,
    table,
    tag,
    tile,
)
from marketbot_assets.audit.report_style import STYLE
from marketbot_assets.research.promotion import DEFLATED_MIN, OVERFITTING_MAX
from marketbot_assets.research.sweep_charts import surfaces
from marketbot_assets.research.sweep_table import DONE, best_of, neighbours
from marketbot_assets.research.tested import Tested, first_line
from marketbot_assets.research.tested_parts import table_of_tests, verdict

SHOWN = ("sharpe_per_year", "return_per_year", "drawdown_max", "turnover_per_year")
ROWS_SHOWN = 500
HEADS = (
    "point>",
    "choices<",
    "from<",
    "to<",
    "sessions>",
    "ratio per year>",
    "return per year>",
    "worst drawdown>",
    "turnover per year>",
    "costs per year>",
    "invested>",
    "deflated>",
    "backtest<",
)


def best_lines(frame: pd.DataFrame) -> list[str]:
    """What the highest ratio is worth, in sentences: it among all trials, its neighbours, and the whole."""
    best = best_of(frame)
    done, lines = int((frame["state"] == DONE).sum()), list[str]()
    if done < len(frame):
        lines.append(f"{len(frame) - done} of {len(frame)} points could not be run; they count as trials.")
    if best is None:
        return [*lines, "No point has a ratio."]
    near = frame[frame["point"].isin(neighbours(frame, int(best["point"])))]["sharpe_per_year"].dropna()
    lines.append(
        f"Highest ratio: {best['sharpe_per_year']:.2f} per year at point {int(best['point'])} ({best['name']}); deflated "
        f"by {int(best['trials'])} trials on record {_told(best['deflated_sharpe'])}, {DEFLATED_MIN} is needed."
    )
    if len(near):
        lines.append(
            f"Its {len(near)} neighbours, one step away: median {near.median():.2f}, lowest {near.min():.2f}. "
            "A peak that its neighbours do not share is luck."
        )
    whole = frame["sharpe_per_year"].dropna()
    lines.append(f"All points: median {whole.median():.2f}, lowest {whole.min():.2f}.")
    for (first, last), rows in frame.groupby(["first", "last"], sort=True):
        value = float(rows["overfitting"].iloc[0])
        lines.append(
            f"Probability of backtest overfitting, {first.date()} to {last.date()}: {_told(value)}, at most "
            f"{OVERFITTING_MAX} is allowed."
        )
    return lines


def sweep_page(frame: pd.DataFrame, tested: Tested | None, *, synthetic: bool) -> str:
    """The page. `frame`: SWEEP rows; `tested`: what the best point has been through."""
    done, rows = int((frame["state"] == DONE).sum()), [] if tested is None else tested.told()
    span = f"{frame['first'].min().date()} to {frame['last'].max().date()}"
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>marketbot sweep {span}</title><style>{STYLE}</style></head>"
    )
    warned = tag("p", tag("b", "Partly simulated data"), ": nothing here says anything about a market.", css="banner")
    tiles = tag(
        "div",
        tile("points", len(frame), f"{done} done"),
        tile("trials", int(frame["trials"].max()), "backtests on record"),
        tile("periods", len(frame.drop_duplicates(["first", "last"])), span),
        css="tiles",
    )
    body = [
        verdict(f"Best point: {first_line(tested)}", rows),
        warned if synthetic else "",
        tag("header", tag("div", tag("div", "marketbot sweep", css="eyebrow"), tag("h1", span))),
        tiles,
        section("worth", "What the best point is worth", "Whoever picks the best of many picks luck, too.",
                bullets(best_lines(frame)), table_of_tests(rows, "The best point") if rows else ""),
        *(_surface(frame, measure) for measure in SHOWN),
        _points(frame),
        tag("footer", "No investment advice. Trading can lose money."),
    ]  # fmt: skip
    return f"{head}\n<body><main>\n{joined(body, chr(10))}\n</main></body></html>\n"


def _surface(frame: pd.DataFrame, measure: str) -> Markup:
    charts = surfaces(frame, measure)
    if not charts:
        return Markup("")
    lede = "Median over the axes that a picture leaves out."
    title = {"sharpe_per_year": "Ratio", "return_per_year": "Return", "drawdown_max": "Drawdown"}.get(
        measure, "Turnover"
    )
    return section(measure, f"{title} over the parameters", lede, grid(*(Markup(inline(chart)) for chart in charts)))


def _points(frame: pd.DataFrame) -> Markup:
    order = np.argsort(-frame["sharpe_per_year"].to_numpy(dtype=float), kind="stable")[:ROWS_SHOWN]
    rows = [_cells(row) for row in frame.iloc[order].to_dict("records")]
    hidden = len(frame) - len(rows)
    lede = f"Highest ratio first{f'; {hidden} more in the table sweep' if hidden > 0 else ''}."
    return section("points", "Every point", lede, table(HEADS, rows))


def _cells(row: dict[str, object]) -> Sequence[object]:
    if row["state"] != DONE:
        return [row["point"], f"{row['name']}: {row['message']}", _day(row["first"]), _day(row["last"]), *["-"] * 9]
    numbers = [float(str(row[name])) for name in ("sharpe_per_year", *SHOWN[1:], "costs_per_year", "invested")]
    return [
        row["point"],
        row["name"],
        _day(row["first"]),
        _day(row["last"]),
        row["sessions"],
        plain_number(numbers[0], 3),
        *(percent(value) for value in numbers[1:3]),
        plain_number(numbers[3], 3),
        *(percent(value) for value in numbers[4:]),
        _told(float(str(row["deflated_sharpe"]))),
        str(row["backtest"])[:12],
    ]


def _day(value: object) -> str:
    return str(pd.Timestamp(str(value)).date())


def _told(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else NOT_KNOWN
