"""Section of the report that explains the target: contributions, changes, prices of limits, eased limits, rounding. Pure."""

import math

from marketbot_assets.audit.report_facts import ReportFacts, Row, number, rows_of
from marketbot_assets.audit.report_parts import Markup, bullets, change, percent, plain_number, section, table, tag

CAUSES = ("forecast", "risk", "limits", "holdings", "rest")
SHOWN = 5e-5


def explained_section(facts: ReportFacts) -> Markup:
    """What each name brings, what moved its weight since the session before, what limits cost, what rounding cost."""
    rows = rows_of(facts.target_explanation)
    names = [row for row in rows if row["kind"] == "INSTRUMENT"]
    limits = [row for row in rows if row["kind"] == "LIMIT"]
    lede = (
        "The parts of return and risk add up to those of the target book; changes are split by solving again with the inputs of "
        "the session before, one group at a time: forecasts, risk model, limits, then holdings with cash, prices and costs."
    )
    content = (_contributions(facts, names), _changes(facts, names), _prices(facts, limits), _notes(facts))
    return section("explained", "Why this target", lede, *content)


def _contributions(facts: ReportFacts, names: list[Row]) -> Markup:
    held = [
        row for row in names if math.isfinite(number(row["risk_contribution"])) and number(row["weight_after"]) != 0.0
    ]
    held.sort(key=lambda row: (-number(row["risk_contribution"]), str(row["subject"])))
    parts = ("return_contribution", "risk_contribution", "trade_cost")
    rows: list[tuple[object, ...]] = [
        (
            facts.ticker(row["subject"]),
            percent(number(row["weight_after"])),
            *(percent(number(row[p]), 3) for p in parts),
        )
        for row in held
    ]
    if rows:
        sums = (
            percent(math.fsum(number(row[part]) for row in names if math.isfinite(number(row[part]))), 3)
            for part in parts
        )
        rows.append(("all", percent(math.fsum(number(row["weight_after"]) for row in held)), *sums))
    heads = ("name<", "weight>", "expected return>", "risk>", "cost of the trade>")
    caption = "Contributions, of NAV: expected return and volatility per year, cost once"
    return table(heads, rows, caption=caption, sums=1 if rows else 0)


def _changes(facts: ReportFacts, names: list[Row]) -> Markup:
    known = [row for row in names if math.isfinite(number(row["weight_yesterday"]))]
    if names and not known:
        return tag("p", f"Change since the session before: {facts.named(names[0]['change'])}.", css="soft")

    def parts(row: Row) -> list[float]:
        return [number(row[f"change_{cause}"]) for cause in CAUSES]

    moved = [row for row in known if max(map(abs, parts(row))) >= SHOWN]
    moved.sort(key=lambda row: (-abs(math.fsum(parts(row))), str(row["subject"])))
    rows = [
        (
            facts.ticker(row["subject"]),
            percent(number(row["weight_yesterday"])),
            *(change(percent(x), x) for x in (math.fsum(parts(row)), *parts(row))),
        )
        for row in moved
    ]
    heads = ("name<", "target before>", "change>", *(f"{cause}>" for cause in CAUSES))
    return table(heads, rows, caption="Change of the target since the session before, of NAV")


def _prices(facts: ReportFacts, limits: list[Row]) -> Markup:
    priced = [row for row in limits if row["binding"] and number(row["dual"]) > 0.0]
    priced.sort(key=lambda row: (-_or_zero(row["price"]), str(row["subject"]), str(row["name"])))
    rows = [
        (
            row["subject"],
            facts.named(row["name"]),
            *(plain_number(1e4 * number(row[n]), 3) for n in ("price", "price_by_dual", "price_return")),
        )
        for row in priced
    ]
    heads = ("control<", "limit", "price, bp>", "price by its dual, bp>", "expected return, bp>")
    caption = "Price of each limit: what the target would gain per year, basis points of NAV, were its bound 1 % looser"
    return table(heads, rows, caption=caption)


def _or_zero(value: object) -> float:
    found = number(value)
    return found if math.isfinite(found) else 0.0


def _notes(facts: ReportFacts) -> Markup:
    """Limits that are not kept as stated, limits that exclude each other, and what whole lots cost."""
    target = next(iter(rows_of(facts.target_portfolio)), {})
    eased = [part for part in str(target.get("eased", "")).split("; ") if part]
    conflicts = [part for part in str(target.get("conflicts", "")).split("; ") if part]
    lines = [f"Not kept as stated: {facts.named(text)}" for text in eased]
    lines += [f"Cannot be kept as stated: {facts.named(text)}" for text in conflicts]
    plan = next(iter(rows_of(facts.order_plan)), None)
    if plan is not None and math.isfinite(number(plan["utility_lost_bps"])):
        lost, apart = (plain_number(number(plan[name]), 3) for name in ("utility_lost_bps", "active_risk_bps"))
        lines.append(f"Whole lots, small orders and cuts cost {lost} bp of utility a year, {apart} bp of active risk.")
    return bullets(lines) if lines else Markup("")
