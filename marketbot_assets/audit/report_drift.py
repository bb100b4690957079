"""Drift for people: tables of measures and features for the daily report, and a page of its own over sessions. Pure.

Frames of sessions before there were measures show what they hold. Not here: plots (`drift_charts`), the numbers (`drift_parts`).
"""

import math
from collections.abc import Sequence

import pandas as pd

from marketbot_assets.audit.charts import inline
from marketbot_assets.audit.drift_charts import coefficients_chart, features_chart, states_chart
from marketbot_assets.audit.report_facts import Row, number, rows_of
from marketbot_assets.audit.report_parts import (
    Markup,
    badge,
    bullets,
    grid,
    joined,
    plain_number,
    section,
    table,
    tag,
    tile,
)
from marketbot_assets.audit.report_style import STYLE
from marketbot_assets.audit.schema import DRIFT_PARTS, DRIFTED, FEATURE, MEASURE, OK, UNKNOWN_STATE, WATCH

STATES = (DRIFTED, WATCH, UNKNOWN_STATE, OK)
FEATURES_SHOWN = 12
FEATURE_NUMBERS = ("observed", "threshold", "ks", "ks_p")
TITLES = dict(zip(DRIFT_PARTS, ("Forecasts", "Features", "Data", "Execution", "Language models"), strict=True))
FORECASTS_LEDE = "A forecast is judged once its horizon has ended; one session proves little."
LEDE = (
    "Each measure against the bound beyond which it has drifted. Unknown: too little to say, which is never taken for ok. "
    "Without a bound a number is only shown."
)


def measures_of(frame: pd.DataFrame, kind: str = MEASURE) -> list[Row]:
    """Rows of one kind, drifted ones first, then by part and name; none of a frame from before there were measures."""
    if "state" not in frame.columns:
        return []
    place = {state: number for number, state in enumerate((*STATES, ""))}
    rows = [row for row in rows_of(frame) if row["kind"] == kind]
    return sorted(
        rows, key=lambda row: (place[str(row["state"])], DRIFT_PARTS.index(str(row["part"])), str(row["name"]))
    )


def counts(frame: pd.DataFrame) -> dict[str, int]:
    """State -> how many measures and features are in it."""
    found = [str(row["state"]) for kind in (MEASURE, FEATURE) for row in measures_of(frame, kind)]
    return {state: found.count(state) for state in STATES}


def drift_tables(frame: pd.DataFrame) -> Markup:
    """The measures, and the features that moved most."""
    rows = measures_of(frame)
    if not rows:
        return tag("p", "This session measured forecasts alone.", css="soft")
    features = sorted(
        measures_of(frame, FEATURE), key=lambda row: (-_or_zero(number(row["observed"])), str(row["name"]))
    )
    heads = (
        "state<",
        "part<",
        "measure<",
        "observed>",
        "error>",
        "watched from>",
        "drifted beyond>",
        "of>",
        "since<",
        "note~",
    )
    told = [
        (badge(str(row["state"])) if row["state"] else "", row["part"], _name(row), *_numbers(row), _note(row))
        for row in rows
    ]
    psi: list[tuple[object, ...]] = [
        (badge(str(row["state"])), row["name"], *(plain_number(number(row[n]), 3) for n in FEATURE_NUMBERS), row["since"])
        for row in features[:FEATURES_SHOWN]
    ]  # fmt: skip
    moved = table(
        ("state<", "feature<", "PSI>", "limit>", "KS>", "KS p>", "since<"),
        psi,
        caption=f"Moved most of {len(features)} features",
    )
    moved_by = [row for row in (*rows, *features) if row["state"] == DRIFTED and row["answer"]]
    acts = sorted({f"{TITLES[str(row['part'])]}, {_name(row)}: {row['answer']}" for row in moved_by})
    by_itself = joined([tag("h3", "What happens by itself"), bullets(acts)]) if acts else ""
    return joined(
        [table(heads, told, caption="Measures"), by_itself, grid(Markup(inline(features_chart(frame))), moved)]
    )


def drift_page(frames: Sequence[tuple[str, pd.DataFrame]], synthetic: bool) -> str:
    """One self-contained page over sessions, the last of `frames` in detail. `frames`: (session, DRIFT), oldest first."""
    day, frame = frames[-1]
    found = counts(frame)
    tiles = tag("div", *(tile(state, found[state], "measures and features") for state in STATES), css="tiles")
    parts = [[row for row in measures_of(frame) if row["part"] == part] for part in DRIFT_PARTS]
    silent = [TITLES[part] for part, rows in zip(DRIFT_PARTS, parts, strict=True) if not rows]
    states = Markup(inline(states_chart(frames)))
    banner = tag(
        "p", tag("b", "Partly simulated data"), ": what drifted here says nothing about a market.", css="banner"
    )
    body = [
        tag("header", tag("div", tag("div", "marketbot drift", css="eyebrow"), tag("h1", f"Session {day}"),
                          tag("div", f"{len(frames)} sessions from {frames[0][0]} to {day}", css="soft"))),
        banner if synthetic else "",
        tiles,
        section("states", "States over sessions", "The darker, the worse; × watch, ! drifted.", states),
        section("measures", "Measures", LEDE, drift_tables(frame)),
        section("forecasts", "Forecasts against outcomes", FORECASTS_LEDE, Markup(inline(coefficients_chart(frame)))),
        section("unknown", "What this page does not know", "Read this before drawing conclusions.", bullets([
            "How long a language model took to answer: no time of an answer is kept.",
            "Whether a drift is harmful: a bound is a reason to look, not a proof.",
            "Overlapping horizons are few observations: means over them have wide errors, which are told.",
            *([f"Parts without any measure in this session: {', '.join(silent)}."] if silent else []),
        ])),
        tag("footer", "No investment advice. Trading can lose money."),
    ]  # fmt: skip
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>marketbot drift {day}</title><style>{STYLE}</style></head>"
    )
    return f"{head}\n<body><main>\n{joined(body, chr(10))}\n</main></body></html>\n"


def _name(row: Row) -> str:
    return str(row["name"]).replace("_", " ")


def _numbers(row: Row) -> tuple[object, ...]:
    numbers = (plain_number(number(row[name])) for name in ("observed", "error", "watch", "threshold"))
    observed, error, watch, threshold = numbers
    bounds = (watch, threshold) if row["side"] else ("", "")
    return observed, error if math.isfinite(number(row["error"])) else "", *bounds, row["names"], row["since"]


def _note(row: Row) -> str:
    side = {"above": "", "below": "low is bad", "either": "either way"}.get(str(row["side"]), "shown, not judged")
    return "; ".join(part for part in (str(row["message"]), side) if part)


def _or_zero(value: float) -> float:
    return value if math.isfinite(value) else 0.0
