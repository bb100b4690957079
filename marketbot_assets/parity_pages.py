"""The page of the asset `parity_check`: how many sessions are equal, what differs and why, plots. Not here: the comparison."""

from typing import TYPE_CHECKING

from marketbot_assets.markdown_text import cell
from marketbot_assets.pages import Shows, markdown, picture

if TYPE_CHECKING:
    import pandas as pd

ROWS_SHOWN = 40
SHOWN = ("session", "field", "item", "live", "backtest", "cause", "reason")


def parity(frame: "pd.DataFrame", every: "pd.DataFrame") -> Shows:
    """Counts and causes of this check, a table of what differs; tracking and plots over `every` session that was compared."""
    from marketbot_assets.research.parity import tracking_of
    from marketbot_assets.research.parity_chart import difference_chart, fields_chart

    apart = frame[~frame["same"]]
    days, differ = frame["session"].nunique(), apart["session"].nunique()
    counts = apart.drop_duplicates(["session", "cause"])["cause"].value_counts()
    tracking = tracking_of(every)
    lines = [
        "| " + " | ".join(cell(told(name, value)) for name, value in zip(SHOWN, values, strict=True)) + " |"
        for values in zip(*(apart[name].head(ROWS_SHOWN) for name in SHOWN), strict=True)
    ]
    table = ["| " + " | ".join(SHOWN) + " |", "|" + "---|" * len(SHOWN), *lines]
    return {
        "sessions": days,
        "equal": days - differ,
        **{f"sessions with cause {name}": int(counts[name]) for name in sorted(counts.index)},
        "sessions tracked": tracking.sessions,
        "mean difference per session": tracking.mean,
        "standard error": tracking.error,
        "mean in standard errors": tracking.errors,
        "differences": markdown(table if lines else ["every field of every session is equal, bit for bit"]),
        "fields": picture(fields_chart(every)),
        "difference of returns": picture(difference_chart(every)),
    }


def told(name: str, value: object) -> str:
    """A cell for people: dates without a time, hashes short."""
    text = str(value)[:10] if name == "session" else str(value)
    return f"{text[:12]}…" if name in ("live", "backtest") and len(text) == 64 else text
