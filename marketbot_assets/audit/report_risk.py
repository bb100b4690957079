"""Sections of the report about risk: volatility, shortfall, stress losses, and every limit with its headroom. Pure."""

import math

from marketbot_assets.audit.charts import inline
from marketbot_assets.audit.limit_marks import Named, used_limits, used_stresses, with_orders
from marketbot_assets.audit.report_book import headroom_share, nearest
from marketbot_assets.audit.report_facts import ReportFacts, Row, number, rows_of
from marketbot_assets.audit.report_measures import numbers_table
from marketbot_assets.audit.report_parts import (
    Markup,
    badge,
    grid,
    in_unit,
    joined,
    meter,
    percent,
    plain_number,
    section,
    table,
    tag,
)
from marketbot_assets.audit.risk_charts import UsedLimit, limit_bars, waterfall
from marketbot_assets.audit.risk_numbers import nearest_stress, pieces, reverse, stress_name, stress_table, stresses
from marketbot_assets.audit.scenario_words import scenario_words

COLUMN = 24
PORTFOLIO_RISKS = (
    ("RC-42", "upper", "Ex-ante volatility, per year"),
    ("RC-44", "", "Expected shortfall 97.5 %, one session"),
    ("RC-39", "", "Concentration (sum of squared weights)"),
    ("RC-40", "", "Ten largest names"),
    ("RC-36", "", "Gross exposure"),
)


def risk_section(facts: ReportFacts) -> Markup:
    """Measures of the book after the plan, and what it would lose in each stress."""
    rows: list[tuple[object, ...]] = []
    for control, key, name in PORTFOLIO_RISKS:
        row = facts.control(control, key)
        if row:
            shown = (in_unit(number(row["observed"]), row["unit"]), in_unit(number(row["limit"]), row["unit"]))
            rows.append((name, control, *shown, _used(row), badge(str(row["status"]))))
        else:
            rows.append((name, control, "n/a", "n/a", "", "did not answer"))
    measures = table(("measure", "control<", "observed>", "limit>", "used", "status<"), rows, caption="Measures")
    lede = "The book as it would stand after the planned orders; losses are positive fractions of NAV."
    stress = stresses(facts.stress_results)
    chart = limit_bars("Stress losses as a share of their hard limits", used_stresses(stress, facts.mandate))
    return section(
        "risk",
        "Risk and stress",
        lede,
        grid(tag("div", measures, _stress_note(facts), waterfalls(facts)), Markup(inline(chart))),
        numbers_table(stress_table(facts.stress_results, facts.named)),
        numbers_table(reverse(facts.stress_results, facts.named)),
    )


def waterfalls(facts: ReportFacts) -> Markup:
    """The stress nearest to its limit, put together from names and from sectors."""
    row = nearest_stress(facts.stress_results)
    if row is None:
        return tag("p", "No stress loss is known.", css="soft")
    whole, limit = number(row["loss"]), number(row["limit"])
    title = f"{stress_name(row)}, nearest to its limit"
    charts = [
        waterfall(f"{title}: by {what}", pieces(row, column, facts.named), whole, limit=limit)
        for what, column in (("name", "worst_contributors"), ("sector", "by_sector"))
    ]
    return joined(Markup(inline(chart)) for chart in charts)


def _stress_note(facts: ReportFacts) -> Markup:
    limits = facts.mandate.volatility
    rung = facts.book.rung.value.replace("_", " ").lower()
    text = (
        f"The volatility target is {percent(limits.target_per_year)} a year; the ladder stands on {rung} and scales it by "
        f"{plain_number(facts.book.multiple, 2)} to {percent(limits.target_per_year * facts.book.multiple)}."
    )
    return tag("p", text, css="soft")


def _used(row: Row) -> Markup:
    share = headroom_share(row)
    return meter(1.0 - share) if math.isfinite(share) else Markup("")


def limits_section(facts: ReportFacts) -> Markup:
    """Every control with a numeric limit by headroom, the other controls, and the limits that priced the target."""
    close = nearest(facts)
    named = with_orders(facts.risk_verdict, facts.named)
    rows = [_limit_row(facts, row, named) for row in close]
    kinds = {str(row["scenario"]): str(row["kind"]) for row in rows_of(facts.stress_results)}
    bars = used_limits(facts.controls, facts.mandate, kinds, named)
    heads = ("control<", "limit of", "observed>", "limit>", "headroom>", "share left>", "used", "status<", "message~")
    numeric = table(heads, rows, caption="Limits with a number, tightest first")
    others = [row for row in facts.controls if row not in close]
    failed = [row for row in others if row["status"] != "PASS"]
    yes_no = [
        (row["control"], _subject(row, named), badge(str(row["status"])), facts.named(row["message"])) for row in failed
    ]
    passed = sorted({str(row["control"]) + " " + str(row["name"]) for row in others if row["status"] == "PASS"})
    lede = (
        "Judged by the risk engine on the planned batch; share left is headroom divided by the limit. A grey bar with (!) is "
        "beyond a limit that is not in force today, such as one for a book that is fully invested."
    )
    folded = tag(
        "details", tag("summary", f"{len(passed)} controls without a number that passed"), tag("p", "; ".join(passed))
    )
    table_no = table(
        ("control<", "what", "status<", "message~"), yes_no, caption="Controls without a number that did not pass"
    )
    return section(
        "limits",
        "Limits and headroom",
        lede,
        limit_charts(bars),
        numeric,
        table_no,
        folded if passed else "",
        _prices(facts),
    )


def limit_charts(bars: list[UsedLimit]) -> Markup:
    """Bars of the tightest limits in two columns, all others folded away."""
    first, rest = bars[: 2 * COLUMN], bars[2 * COLUMN :]
    titles = ("Share of each limit that is used, tightest first", "The next ones")
    half = (len(first) + 1) // 2 if len(first) > COLUMN else len(first)
    charts = [limit_bars(title, part) for title, part in zip(titles, (first[:half], first[half:]), strict=True) if part]
    shown = grid(*(Markup(inline(chart)) for chart in charts))
    if not rest:
        return shown
    half = (len(rest) + 1) // 2
    more = [
        limit_bars(f"Limits {n}", part)
        for n, part in (("with more room", rest[:half]), ("with most room", rest[half:]))
        if part
    ]
    folded = tag("summary", f"{len(rest)} more limits as bars")
    return joined([shown, tag("details", folded, grid(*(Markup(inline(chart)) for chart in more)))])


def _group(row: Row, named: Named) -> str:
    """For what an answer is: a name, group, scenario or order in words; empty for the whole batch."""
    group = str(row["key"]).partition("|")[2]
    return scenario_words(group) if row["control"] == "RC-46" else named(group)


def _subject(row: Row, named: Named) -> str:
    group = _group(row, named)
    return f"{row['name']}: {group}" if group else str(row["name"])


def _limit_row(facts: ReportFacts, row: Row, named: Named) -> tuple[object, ...]:
    unit, share = row["unit"], headroom_share(row)
    numbers = [in_unit(number(row[name]), unit) for name in ("observed", "limit", "headroom")]
    left = percent(share, 1) if math.isfinite(share) else "n/a"
    return (
        row["control"],
        _subject(row, named),
        *numbers,
        left,
        _used(row),
        badge(str(row["status"])),
        facts.named(row["message"]),
    )


def _prices(facts: ReportFacts) -> Markup:
    """Limits that bound the target, with what one unit more of them would be worth."""
    rows = [
        r
        for r in rows_of(facts.target_explanation)
        if r["kind"] == "LIMIT" and (r["binding"] or number(r["dual"]) > 1e-9)
    ]
    rows.sort(
        key=lambda r: (
            -(number(r["dual"]) if math.isfinite(number(r["dual"])) else 0.0),
            str(r["subject"]),
            str(r["name"]),
        )
    )
    shown = [
        (r["subject"], facts.named(r["name"]), *(in_unit(number(r[n]), r["unit"]) for n in ("left", "limit", "hard")),
         plain_number(number(r["dual"]), 3))
        for r in rows
    ]  # fmt: skip
    heads = ("control<", "limit", "target's value>", "optimizer's bound>", "hard>", "dual value>")
    return table(
        heads, shown, caption="Limits that held the target back; dual value = utility per year for one unit more"
    )
