"""Sections of the report about results: where profit came from, how forecasts did, what the decision believed. Pure."""

import math

from marketbot_assets.audit.charts import bar_chart, inline
from marketbot_assets.audit.report_drift import LEDE, drift_tables
from marketbot_assets.audit.report_facts import ReportFacts, Row, number, rows_of
from marketbot_assets.audit.report_parts import (
    Markup,
    change,
    grid,
    joined,
    money,
    percent,
    plain_number,
    section,
    table,
    tag,
)
from marketbot_assets.audit.schema import CURRENCY, FORECAST, INSTRUMENT, SECTOR, TOTAL, UNJUDGED, VOLATILITY

NAMES_SHOWN = 5
PARTS_SHOWN = ("price", "fx", "dividend", "trading", "fee", "tax", "residual", "total")


def attribution_section(facts: ReportFacts) -> Markup:
    """Profit and loss by sector and by currency, the names that moved it most, and the parts."""
    rows = rows_of(facts.attribution)
    heads = ("by>", "price>", "fx>", "dividend>", "trading>", "fee>", "tax>", "residual>", "total>", "of NAV>")
    book = [_parts_row(facts, row) for row in rows if row["dimension"] == TOTAL]
    blocks, charts = [], []
    for dimension, title in ((SECTOR, "sector"), (CURRENCY, "currency")):
        members = [row for row in rows if row["dimension"] == dimension]
        members.sort(key=lambda row: (-_known(row["total"]), str(row["name"])))
        bars = [(str(row["name"]), number(row["total"])) for row in members]
        charts.append(Markup(inline(bar_chart(f"Profit and loss by {title}, {facts.base}", bars, unit=facts.base))))
        shown = [*(_parts_row(facts, row) for row in members), *book]
        blocks.append(table((title, *heads[1:]), shown, caption=f"Parts by {title}, {facts.base}", sums=len(book)))
    notes = sorted({str(row["note"]) for row in rows if row["note"] and row["dimension"] in (TOTAL, INSTRUMENT)})
    lede = (
        "Adds up to the change of NAV. Price at the rate before, fx at the price after; fees and taxes are positive and "
        "subtracted; residual is rounding and whatever the parts do not explain."
    )
    warned = tag("p", "Note: " + "; ".join(notes), css="soft") if notes else ""
    return section("attribution", "Attribution", lede, warned, grid(*charts), _movers(facts, rows), *blocks)


def _known(value: object) -> float:
    return number(value) if math.isfinite(number(value)) else 0.0


def _parts_row(facts: ReportFacts, row: Row) -> tuple[object, ...]:
    name = {TOTAL: "book"}.get(str(row["name"]), facts.named(row["name"]))
    parts = [money(number(row[part]), 2 if part == "residual" else 0) for part in PARTS_SHOWN[:-1]]
    sums = change(money(number(row["total"])), number(row["total"]))
    part = change(percent(number(row["contribution"]), 3), number(row["contribution"]))
    return (name, *parts, sums, part)


def _movers(facts: ReportFacts, rows: list[Row]) -> Markup:
    names = [row for row in rows if row["dimension"] == INSTRUMENT]
    names.sort(key=lambda row: (-_known(row["total"]), str(row["name"])))
    gains = [row for row in names if _known(row["total"]) > 0.0][:NAMES_SHOWN]
    losses = [row for row in reversed(names) if _known(row["total"]) < 0.0][:NAMES_SHOWN]
    return grid(
        *(
            table(
                ("name<", "sector", f"{facts.base}>", "of NAV>"),
                [
                    (
                        _mover_name(facts, row),
                        row["sector"],
                        change(money(number(row["total"])), number(row["total"])),
                        change(percent(number(row["contribution"]), 3), number(row["contribution"])),
                    )
                    for row in members
                ],
                caption=caption,
            )
            for caption, members in (("Gained most", gains), ("Lost most", losses))
        )
    )


def _mover_name(facts: ReportFacts, row: Row) -> str:
    return f"cash {row['currency']}" if row["kind"] == "CASH" else facts.ticker(row["name"])


def drift_section(facts: ReportFacts) -> Markup:
    """Forecasts against outcomes, forecast against realized volatility, and what this decision believed."""
    rows = rows_of(facts.drift)
    judged = sorted((row for row in rows if row["kind"] == FORECAST), key=lambda row: str(row["session"]), reverse=True)
    shown = [
        (
            row["session"],
            plain_number(number(row["horizon_sessions"])),
            plain_number(number(row["names"])),
            plain_number(number(row["rank_ic"]), 2),
            percent(number(row["hit_rate"]), 0),
            percent(number(row["forecast"])),
            percent(number(row["outcome"])),
            row["message"],
        )
        for row in judged
    ]
    notes = [str(row["message"]) for row in rows if row["kind"] == UNJUDGED]
    for row in rows:
        if row["kind"] == VOLATILITY:
            text = f"Volatility per year: forecast {percent(number(row['forecast']))}, realized {percent(number(row['outcome']))}"
            notes.append(text + (f" ({row['message']})" if row["message"] else ""))
    heads = ("session<", "horizon>", "names>", "rank IC>", "hit rate>", "forecast>", "outcome>", "message~")
    judgement = table(heads, shown) if shown else ""
    lede = (
        "A forecast is judged when its horizon has ended. Rank IC: 1 = ranked as it came, 0 = no skill; "
        "one session proves little."
    )
    lines = joined(tag("p", note) for note in notes)
    measures = joined([tag("p", LEDE, css="lede"), drift_tables(facts.drift)])
    return section(
        "drift", "Forecasts and drift", lede, lines, judgement, measures, grid(_forecasts(facts), _views(facts))
    )


def _forecasts(facts: ReportFacts) -> Markup:
    known = [row for row in rows_of(facts.forecasts) if math.isfinite(number(row["expected_return"]))]
    known.sort(key=lambda row: (-number(row["expected_return"]), str(row["instrument"])))
    ends = known if len(known) <= 2 * NAMES_SHOWN else [*known[:NAMES_SHOWN], *known[-NAMES_SHOWN:]]
    rows = [
        (
            facts.ticker(row["instrument"]),
            money(number(row["score"]), 2),
            percent(number(row["expected_return"])),
            percent(number(row["uncertainty"])),
            percent(number(row["volatility"]), 1),
        )
        for row in ends
    ]
    heads = ("name<", "score>", "expected>", "+/->", "volatility>")
    return table(heads, rows, caption=f"Highest and lowest of {len(known)} expected excess returns per year")


def _views(facts: ReportFacts) -> Markup:
    views = sorted(
        rows_of(facts.llm_context), key=lambda row: (-abs(_known(row["score"])), str(row["kind"]), str(row["subject"]))
    )
    rows = [
        (
            str(row["kind"]).replace("_", " ").lower(),
            facts.named(row["subject"]),
            money(number(row["score"]), 2),
            percent(number(row["confidence"]), 0),
            "rules" if row["source"] == "fallback" else row["source"],
        )
        for row in views
    ]
    heads = ("view<", "subject", "score>", "confidence>", "made by")
    return table(heads, rows[:10], caption=f"Strongest of {len(rows)} views on macro and news")
