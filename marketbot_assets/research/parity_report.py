"""Live sessions against their backtest as one self-contained page. Pure. Not here: plots (`parity_chart`), numbers (`parity`)."""

import pandas as pd

from marketbot_assets.audit.charts import inline
from marketbot_assets.audit.report_parts import Markup, joined, plain_number, section, table, tag, tile
from marketbot_assets.audit.report_style import STYLE
from marketbot_assets.research.parity import ERRORS_MAX, tracking_of, unexplained
from marketbot_assets.research.parity_chart import difference_chart, fields_chart

HEADS = ("session<", "field<", "item~", "live~", "backtest~", "cause<", "reason~")
LEDE = (
    "Each live session is decided again by the backtest's loop on the data as they are known now. Equal means equal bit for bit. "
    "A cause is proven by putting one thing back to what it was and deciding once more; code and environment are named, not proven."
)


def parity_page(frame: pd.DataFrame) -> str:
    """The page. `frame`: PARITY_CHECK rows."""
    first, last = (str(day.date()) for day in (frame["session"].min(), frame["session"].max()))
    apart, days, tracking = frame[~frame["same"]], frame["session"].nunique(), tracking_of(frame)
    left = unexplained(frame)["session"].nunique()
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>marketbot parity {first} to {last}</title><style>{STYLE}</style></head>"
    )
    title = tag("div", tag("div", "marketbot parity", css="eyebrow"), tag("h1", f"{first} to {last}"))
    tiles = tag(
        "div",
        tile("sessions", days, "compared"),
        tile("equal", days - apart["session"].nunique(), "in every field"),
        tile("unexplained", left, "sessions"),
        tile("tracking", plain_number(tracking.errors), f"standard errors; {ERRORS_MAX:g} are allowed"),
        css="tiles",
    )
    rows = [[str(row[0])[:10], *map(str, row[1:])] for row in zip(*(apart[head[:-1]] for head in HEADS), strict=True)]
    none = tag("p", "Every field of every session is equal, bit for bit.")
    body = [
        tag("header", title),
        tiles,
        section("differences", "What differs and why", LEDE, table(HEADS, rows) if rows else none),
        section(
            "plots",
            "Over the sessions",
            "One row a field, one column a session; then what live and backtest earned apart.",
            Markup(inline(fields_chart(frame))),
            Markup(inline(difference_chart(frame))),
        ),
        tag("footer", "No investment advice. Trading can lose money."),
    ]
    return f"{head}\n<body><main>\n{joined(body, chr(10))}\n</main></body></html>\n"
