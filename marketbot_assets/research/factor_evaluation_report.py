"""What scores were worth, for people: one self-contained page of tables and tear sheets. Pure.

Tables compare all scores: information, returns, turnover, coverage and crowding. Tear sheets show one score each. Not here: plots
(`factor_evaluation_charts`), the numbers (`factor_evaluation`).
"""

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass

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
from marketbot_assets.research import factor_evaluation as facts
from marketbot_assets.research.factor_evaluation import ALL, HIGH, LOW, NEUTRAL, number, of
from marketbot_assets.research.factor_evaluation_charts import (
    BASIS_POINTS,
    by_strength,
    decay_chart,
    months_chart,
    quantile_chart,
    spread_chart,
    strength_chart,
)
from marketbot_assets.research.factor_evaluation_measures import HORIZONS_MIN, QUANTILES, SESSIONS_MIN

SHEETS_SHOWN = 40
LARGE_T, CHANCE = 2.0, 0.0455  # share of a normal distribution beyond two deviations
MAIN_HORIZON = 5
SHEETS_LEDE = "One score each: its fifths, how its information fades, its months, and what it resembles."


@dataclass(frozen=True, slots=True)
class Range:
    """What a page is about: sessions of the range, how it was judged, whether rows were simulated."""

    first: dt.date
    last: dt.date
    sessions: int
    delay: int
    synthetic: bool


def horizons_of(frame: pd.DataFrame) -> list[int]:
    """Horizons in the table, ascending."""
    return sorted({int(value) for value in frame.loc[frame["measure"] == facts.IC, "horizon"]})


def main_horizon(frame: pd.DataFrame) -> int:
    """The horizon that overviews show: MAIN_HORIZON, else the shortest."""
    every = horizons_of(frame)
    return MAIN_HORIZON if MAIN_HORIZON in every else every[0] if every else MAIN_HORIZON


def by_chance(frame: pd.DataFrame, horizon: int) -> tuple[int, int, float]:
    """(scores judged, those with a mean IC beyond LARGE_T errors, how many of worthless and unlike scores would be)."""
    rows = frame[(frame["measure"] == facts.IC) & (frame["variant"] == ALL) & (frame["horizon"] == horizon)]
    t = rows["t"].to_numpy(dtype=float)
    judged = int(np.isfinite(t).sum())
    return judged, int((np.abs(t[np.isfinite(t)]) > LARGE_T).sum()), CHANCE * judged


def factor_page(frame: pd.DataFrame, about: Range) -> str:
    """The page. `frame`: FACTOR_EVALUATION rows."""
    horizon = main_horizon(frame)
    names = by_strength(frame, horizon)
    judged, large, chance = by_chance(frame, horizon)
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>marketbot factors {about.first} to {about.last}</title><style>{STYLE}</style></head>"
    )
    title = tag("div", tag("div", "marketbot factors", css="eyebrow"), tag("h1", f"{about.first} to {about.last}"))
    banner = tag("p", tag("b", "Partly simulated data"), ": nothing here says anything about a market.", css="banner")
    tiles = tag(
        "div",
        tile("sessions", about.sessions, "in the range"),
        tile("scores", len(names), f"{judged} of them judged at {horizon} sessions"),
        tile(f"beyond {LARGE_T:g} errors", large, f"{chance:.1f} of worthless, unlike scores would be"),
        css="tiles",
    )
    body = [
        tag("header", title),
        banner if about.synthetic else "",
        tiles,
        _information(frame, names, horizon),
        _returns(frame, names),
        _turnover(frame, names),
        _coverage(frame, names),
        section(
            "sheets",
            "Tear sheets",
            SHEETS_LEDE,
            *(_sheet(own, name) for name, own in _each(frame, names[:SHEETS_SHOWN])),
        ),
        _limits(about, len(names)),
        tag("footer", "No investment advice. Trading can lose money."),
    ]
    return f"{head}\n<body><main>\n{joined(body, chr(10))}\n</main></body></html>\n"


def _with_t(frame: pd.DataFrame, key: tuple[str, str, int, str, str], *, scale: float = 1.0, digits: int = 3) -> str:
    mean, t = number(frame, key), number(frame, key, "t")
    if not math.isfinite(mean):
        return NOT_KNOWN
    told = f"{mean * scale:.{digits}f}"
    return f"{told} ({t:.1f})" if math.isfinite(t) else told


def _each(frame: pd.DataFrame, names: Sequence[str]) -> list[tuple[str, pd.DataFrame]]:
    """(score, its own rows), so that the whole table is searched once."""
    parts = {str(name): rows for name, rows in frame.groupby("factor")}
    return [(name, parts[name]) for name in names]


def _information(frame: pd.DataFrame, names: Sequence[str], horizon: int) -> Markup:
    every = horizons_of(frame)
    heads = [
        "score<",
        *(f"{h} session{'s' if h > 1 else ''}>" for h in every),
        f"ratio at {horizon}>",
        "sector neutral>",
        "high volatility>",
        "low volatility>",
        "sessions>",
    ]
    rows = []
    for name, own in _each(frame, names):
        key = (name, facts.IC, horizon, ALL, "")
        cells = [_with_t(own, (name, facts.IC, h, ALL, "")) for h in every]
        kinds = [_with_t(own, (name, facts.IC, horizon, kind, "")) for kind in (NEUTRAL, HIGH, LOW)]
        seen = int(number(own, key, "observations"))
        rows.append((name, *cells, plain_number(number(own, key, "ratio"), 2), *kinds, seen))
    lede = (
        "Mean rank correlation of score and later return, t of the mean in brackets, with errors for horizons that overlap. "
        f"Variants are those at {horizon} sessions. Strongest first."
    )
    plots = grid(Markup(inline(strength_chart(frame, horizon))), Markup(inline(decay_chart(frame, names))))
    return section("information", "Information", lede, plots, table(heads, rows))


def _returns(frame: pd.DataFrame, names: Sequence[str]) -> Markup:
    horizon = main_horizon(frame)
    quantiles = [str(place) for place in range(1, QUANTILES + 1)]
    heads = [
        "score<",
        *(f"Q{place}>" for place in quantiles),
        "spread>",
        "neutral spread>",
        "monotonicity>",
        "sessions>",
    ]
    rows = []
    for name, own in _each(frame, names):
        spread = [(name, facts.SPREAD, horizon, kind, "") for kind in (ALL, NEUTRAL)]
        means = [
            plain_number(number(own, (name, facts.QUANTILE, horizon, ALL, place)) * BASIS_POINTS, 3)
            for place in quantiles
        ]
        told = [_with_t(own, key, scale=BASIS_POINTS, digits=1) for key in spread]
        steps = number(own, (name, facts.MONOTONICITY, horizon, ALL, ""))
        seen = int(number(own, spread[0], "observations"))
        rows.append((name, *means, *told, plain_number(steps, 2), seen))
    lede = (
        f"Mean return over {horizon} sessions of the names in each fifth of the ranking beyond the mean of all, basis points, "
        "before costs; spread: highest less lowest, t in brackets; monotonicity 1: each fifth earned more than the one below."
    )
    plot = Markup(inline(strength_chart(frame, horizon, facts.SPREAD)))
    return section("returns", "Returns", lede, plot, table(heads, rows))


def _turnover(frame: pd.DataFrame, names: Sequence[str]) -> Markup:
    every = horizons_of(frame)
    heads = ["score<"]
    for title in ("low", "high", "lasting"):
        heads += [f"{title} {h}>" for h in every]
    rows = []
    for name, own in _each(frame, names):
        ends = [
            percent(number(own, (name, facts.TURNOVER, h, ALL, end)), 1)
            for end in (facts.BOTTOM, facts.TOP)
            for h in every
        ]
        lasting = [plain_number(number(own, (name, facts.AUTOCORRELATION, h, ALL, "")), 3) for h in every]
        rows.append((name, *ends, *lasting))
    lede = (
        "Share of the names of the lowest and the highest fifth that were not in it so many sessions before; lasting: rank "
        "correlation with the scores then."
    )
    return section("turnover", "Turnover", lede, table(heads, rows))


def _coverage(frame: pd.DataFrame, names: Sequence[str]) -> Markup:
    rows = []
    for name, own in _each(frame, names):
        other, alike = facts.crowded(own, name)
        share = number(own, (name, facts.VARIANCE_SHARE, 1, ALL, ""))
        covered = number(own, (name, facts.COVERAGE, 0, ALL, ""))
        rows.append((name, percent(covered, 1), other or NOT_KNOWN, plain_number(alike, 2), percent(share, 1)))
    lede = (
        "Share of the universe with a score; the other score that it resembles most, with the mean rank correlation; and the "
        "share of the variance of the newest backtest's returns that the score's spread explains alone."
    )
    heads = ("score<", "coverage>", "most like<", "correlation>", "of the book's variance>")
    return section("coverage", "Coverage and crowding", lede, table(heads, rows))


def _sheet(frame: pd.DataFrame, name: str) -> Markup:
    horizon = main_horizon(frame)
    charts = (
        quantile_chart(frame, name, horizon),
        decay_chart(frame, [name]),
        months_chart(frame, name),
        spread_chart(frame, name),
    )
    alike = [
        (row["item"], plain_number(float(str(row["mean"])), 2))
        for row in of(frame, name, facts.CROWDING)
        if row["item"]
    ]
    silent = sorted({str(row["message"]) for row in of(frame, name, facts.IC) if row["message"]})
    parts = joined(
        [
            bullets(silent) if silent else "",
            grid(*(Markup(inline(chart)) for chart in charts)),
            table(
                ("score<", "mean rank correlation>"), sorted(alike, key=lambda row: str(row[0])), caption="Most alike"
            ),
        ]
    )
    return tag("details", tag("summary", name), parts)


def _limits(about: Range, scores: int) -> Markup:
    when = "the close of the session after" if about.delay == 1 else f"{about.delay} sessions after"
    lines = [
        f"Outcomes begin at {when} the score was known: what was in the price by then is nobody's.",
        f"A number needs {SESSIONS_MIN} sessions and {HORIZONS_MIN} horizons that do not overlap; n/a otherwise, never a guess.",
        "Costs, lending fees and what can be traded are left out.",
        "The listings are those that the provider knows today: names that it forgot are missing.",
        "Whoever picks the best of many scores picks luck, too: models pass a gate that counts trials, this page does not.",
        "High and low volatility: the index against the median of its own last 252 sessions, as known then.",
    ]
    if scores > SHEETS_SHOWN:
        lines.append(f"Tear sheets of the {SHEETS_SHOWN} strongest scores alone; the tables hold all {scores}.")
    return section("unknown", "What this page does not know", "Read this before drawing conclusions.", bullets(lines))
