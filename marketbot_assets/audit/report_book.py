"""Sections of the report about the book: NAV and drawdown, weights against their limits, stops and blocked names. Pure."""

import math
from collections.abc import Sequence

from marketbot_assets.audit.charts import inline, line_chart, paired_bars
from marketbot_assets.audit.report_facts import FUND_SECTOR, UNKNOWN_SECTOR, ReportFacts, Row, number, rows_of, total
from marketbot_assets.audit.report_parts import (
    Markup,
    count,
    grid,
    joined,
    minor_digits,
    money,
    percent,
    price,
    section,
    table,
)

CASH_ROW = "CASH"


def nav_section(facts: ReportFacts) -> Markup:
    """NAV and drawdown over the sessions that are known."""
    labels = [session for session, *_ in facts.nav_history]
    ladder = facts.mandate.ladder
    marks = [("scale from", ladder.full_below), ("reduce only", ladder.reduce_only.at), ("halt", ladder.halt.at)]
    nav = line_chart(f"NAV, {facts.base}", labels, [("NAV", [nav for _, nav, *_ in facts.nav_history])])
    drawdowns = [
        ("from the ladder's high", [ladder for *_, ladder in facts.nav_history]),
        ("from inception high", [inception for *_, inception, _ in facts.nav_history]),
    ]
    falls = line_chart("Drawdown", labels, drawdowns, unit="%", marks=marks, invert=True)
    lede = f"{len(labels)} sessions; drawdowns grow downwards, dashed red lines are rungs of the ladder (RC-60)."
    return section("nav", "NAV and drawdown", lede, grid(Markup(inline(nav)), Markup(inline(falls))))


def weights_section(facts: ReportFacts) -> Markup:
    """What is held now and what the target asks for, by sector, by currency, and the largest names."""
    sectors = _grouped(facts, "sector")
    currencies = _grouped(facts, "currency")
    charts = grid(
        Markup(inline(paired_bars("Weights by sector", [(n, a, b, _sector_cap(facts, n)) for n, a, b in sectors]))),
        Markup(
            inline(paired_bars("Holdings by currency", [(n, a, b, _currency_cap(facts, n)) for n, a, b in currencies]))
        ),
    )
    lede = (
        "Fractions of NAV: held after this session's fills, and the target of this decision. Red marks are hard limits."
    )
    return section("weights", "Weights", lede, charts, grid(_largest(facts), _cash(facts)))


def _grouped(facts: ReportFacts, attribute: str) -> list[tuple[str, float, float]]:
    """(group, weight held, weight of the target), largest of either first. A name without value or target counts as 0."""
    groups: dict[str, list[list[float]]] = {}

    def place(instrument: object) -> list[list[float]]:
        name = facts.sector(instrument) if attribute == "sector" else facts.currency(instrument)
        return groups.setdefault(name, [[], []])

    for row in facts.held:
        place(row["key"])[0].append(number(row["value_base"]) / facts.nav if facts.nav > 0.0 else math.nan)
    for row in rows_of(facts.target_portfolio):
        weight = number(row["weight_target"])
        if row["instrument"] != CASH_ROW and weight != 0.0:
            place(row["instrument"])[1].append(weight)
    sums = [(name, total(now), total(target)) for name, (now, target) in groups.items()]
    return sorted(sums, key=lambda row: (-max(row[1], row[2]), row[0]))


def _sector_cap(facts: ReportFacts, name: str) -> float:
    if name == FUND_SECTOR:
        return facts.mandate.universe.fund_bucket.hard
    return facts.mandate.universe.unknown_sector_cap if name == UNKNOWN_SECTOR else facts.mandate.limits.sector.hard


def _currency_cap(facts: ReportFacts, name: str) -> float | None:
    return None if name == facts.base else facts.mandate.limits.currency.hard


def _largest(facts: ReportFacts) -> Markup:
    targets = {str(row["instrument"]): number(row["weight_target"]) for row in rows_of(facts.target_portfolio)}
    rows = []
    for row in facts.held[:12]:
        name, weight = str(row["key"]), facts.fraction([row])
        known = math.isfinite(number(row["value_base"]))
        cells = (facts.ticker(name), facts.sector(name), count(number(row["quantity"])))
        shown = (money(number(row["value_base"])), percent(weight) if known else percent(math.nan))
        rows.append((*cells, *shown, percent(targets.get(name, math.nan))))
    heads = ("name<", "sector", "shares>", f"{facts.base}>", "held>", "target>")
    return table(heads, rows, caption=f"Largest of {len(facts.held)} positions")


def _cash(facts: ReportFacts) -> Markup:
    rows = [
        (
            row["key"],
            money(number(row["amount"]), minor_digits(row["currency"])),
            money(number(row["value_base"])),
            percent(facts.fraction([row])),
        )
        for row in facts.cash
    ]
    sums = (
        "all cash",
        "",
        money(total([number(row["value_base"]) for row in facts.cash])),
        percent(facts.fraction(facts.cash)),
    )
    heads = ("currency", "amount>", f"{facts.base}>", "of NAV>")
    return table(heads, [*rows, sums] if rows else [], caption="Cash", sums=1 if rows else 0)


def stops_section(facts: ReportFacts) -> Markup:
    """Stops that the close broke, names that may not be bought, names above their passive limit, and why nothing is bought."""
    hits = [
        (
            facts.ticker(hit.instrument),
            hit.control,
            price(hit.close),
            price(hit.level),
            "sold whole at the next open",
        )
        for hit in facts.book.stop_hits
    ]
    blocked = [(facts.ticker(name), day.isoformat(), _stop_of(facts, name)) for name, day in facts.book.blocked]
    passive = [(facts.ticker(name), sessions) for name, sessions in facts.book.passive]
    parts = [
        table(("name<", "control", "close>", "level>", "what follows"), hits, caption="Stops hit at this close"),
        table(("name<", "may be bought again on", "why"), blocked, caption="Blocked after a stop (RC-64)"),
        table(("name<", "sessions above>"), passive, caption="Passive breaches (RC-31)"),
    ]
    if facts.book.no_buys:
        parts.insert(0, joined([f"Nothing may be bought: {facts.book.no_buys}."]))
    lede = "Levels are in the listing currency, on total-return closes."
    return section("stops", "Stops and blocked names", lede, grid(*parts))


def _stop_of(facts: ReportFacts, instrument: str) -> str:
    hit = next((hit for hit in facts.book.stop_hits if hit.instrument == instrument), None)
    return f"{hit.control} hit this session" if hit else "a stop of an earlier session"


STATES = ("RC-60", "RC-85")


def nearest(facts: ReportFacts) -> list[Row]:
    """The answers of this session's controls, as `nearest_of` sorts them."""
    return nearest_of(facts.controls)


def nearest_of(controls: Sequence[Row]) -> list[Row]:
    """Answers with a numeric limit, the ones that failed first, then by headroom as a share of the limit.

    The rungs of the ladder (RC-60) begin at a drawdown, the heartbeat (RC-85) at a silence: no limits that something may use up.
    """
    severity = ("PASS", "WARN", "SHRINK", "REJECT_ORDER", "REJECT_BATCH", "REDUCE_ONLY", "HALT")
    rows = [
        row
        for row in controls
        if row["control"] not in STATES and number(row["limit"]) != 0.0 and math.isfinite(number(row["limit"]))
    ]
    return sorted(rows, key=lambda r: (-severity.index(str(r["status"])), headroom_share(r), str(r["key"])))


def headroom_share(row: Row) -> float:
    """Headroom as a share of the limit; infinite when it is not known.

    Of a floor it is the share of what is observed, of a coverage (a floor near 1) the share of what may be missing.
    """
    observed, limit, headroom = (number(row[name]) for name in ("observed", "limit", "headroom"))
    if headroom * (observed - limit) > 0.0:
        return headroom / (1.0 - limit if 0.5 <= limit < 1.0 else abs(observed) or abs(limit))
    share = headroom / abs(limit)
    return share if math.isfinite(share) else math.inf
