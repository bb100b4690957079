"""Sections of the report about risk: volatility, shortfall, stress losses, and every limit with its headroom. Pure."""

import math

from marketbot_assets.audit.charts import bar_chart, inline
from marketbot_assets.audit.report_book import headroom_share, nearest
from marketbot_assets.audit.report_facts import ReportFacts, Row, number, rows_of
from marketbot_assets.audit.report_parts import (
    Markup,
    badge,
    grid,
    meter,
    percent,
    plain_number,
    section,
    table,
    tag,
)
from marketbot_assets.risk.schema import REVERSE

PORTFOLIO_RISKS = (
    ("RC-42", "upper", "Ex-ante volatility, per year"),
    ("RC-44", "", "Expected shortfall 97.5 %, one session"),
    ("RC-39", "", "Concentration (sum of squared weights)"),
    ("RC-40", "", "Ten largest names"),
    ("RC-36", "", "Gross exposure"),
)


def in_unit(value: float, unit: object) -> str:
    """A number of a control in its unit: fractions as percent."""
    return percent(value) if str(unit).startswith("fraction") or unit == "NAV" else plain_number(value)


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
    every = sorted(rows_of(facts.stress_results), key=_stress_order)
    stress = [row for row in every if row["kind"] != REVERSE]
    bars = [(_stress_name(row), number(row["loss"])) for row in stress]
    limits = [number(row["limit"]) if math.isfinite(number(row["limit"])) else None for row in stress]
    chart = bar_chart("Stress losses, red marks are hard limits", bars, unit="%", limits=limits)
    return section(
        "risk",
        "Risk",
        lede,
        grid(tag("div", measures, _stress_note(facts)), Markup(inline(chart))),
        _stress(facts, stress),
        _reverse(facts, [row for row in every if row["kind"] == REVERSE]),
    )


def _stress_name(row: Row) -> str:
    return str(row["scenario"]).replace("_", " ")


def _stress_order(row: Row) -> tuple[float, str]:
    loss = number(row["loss"])
    return (-loss if math.isfinite(loss) else -math.inf, str(row["scenario"]))


def _stress_note(facts: ReportFacts) -> Markup:
    limits = facts.mandate.volatility
    rung = facts.book.rung.value.replace("_", " ").lower()
    text = (
        f"The volatility target is {percent(limits.target_per_year)} a year; the ladder stands on {rung} and scales it by "
        f"{plain_number(facts.book.multiple, 2)} to {percent(limits.target_per_year * facts.book.multiple)}."
    )
    return tag("p", text, css="soft")


def _share(value: object, digits: int = 1) -> str:
    """A fraction as percent; empty where a row has none."""
    return percent(number(value), digits) if math.isfinite(number(value)) else ""


def _stress(facts: ReportFacts, stress: list[Row]) -> Markup:
    rows = [
        (
            _stress_name(row),
            row["kind"],
            percent(number(row["loss"])),
            _share(row["limit"]),
            _share(row["replay_loss"]),
            _share(row["factor_loss"]),
            _share(row["path_drawdown"]),
            _share(row["idiosyncratic"]),
            percent(number(row["proxied_share"]), 0),
            badge(str(row["status"])),
            facts.named(row["worst_contributors"]),
        )
        for row in stress
    ]
    heads = ("scenario", "kind<", "loss>", "limit>", "replay>", "factors>", "on the way>", "single names>", "by proxy>")
    caption = (
        "Stress scenarios. The loss is the larger of replay and factors, weights frozen; on the way = deepest fall within "
        "the window; single names = 99 % of what they may add; by proxy = share of the book replayed by peers or by beta "
        "times the index"
    )
    return table((*heads, "status<", "worst contributors~"), rows, caption=caption)


def _reverse(facts: ReportFacts, shocks: list[Row]) -> Markup:
    rows = [
        (
            _stress_name(row),
            _share(row["loss"]),
            plain_number(number(row["shock"]), 2),
            facts.named(row["worst_contributors"]),
        )
        for row in shocks
    ]
    caption = "Reverse stress: the smallest shock that carries the book to the halt; factors in standard deviations of 21 sessions"
    return table(("shock", "loses>", "size>", "of what~"), rows, caption=caption)


def _used(row: Row) -> Markup:
    share = headroom_share(row)
    return meter(1.0 - share) if math.isfinite(share) else Markup("")


def limits_section(facts: ReportFacts) -> Markup:
    """Every control with a numeric limit by headroom, the other controls, and the limits that priced the target."""
    rows = [_limit_row(facts, row) for row in nearest(facts)]
    heads = ("control<", "limit of", "observed>", "limit>", "headroom>", "share left>", "used", "status<", "message~")
    numeric = table(heads, rows, caption="Limits with a number, tightest first")
    others = [row for row in facts.controls if row not in nearest(facts)]
    failed = [row for row in others if row["status"] != "PASS"]
    yes_no = [
        (row["control"], _subject(facts, row), badge(str(row["status"])), facts.named(row["message"])) for row in failed
    ]
    passed = sorted({str(row["control"]) + " " + str(row["name"]) for row in others if row["status"] == "PASS"})
    lede = "Judged by the risk engine on the planned batch; share left is headroom divided by the limit."
    folded = tag(
        "details", tag("summary", f"{len(passed)} controls without a number that passed"), tag("p", "; ".join(passed))
    )
    table_no = table(
        ("control<", "what", "status<", "message~"), yes_no, caption="Controls without a number that did not pass"
    )
    return section("limits", "Limits and headroom", lede, numeric, table_no, folded if passed else "", _prices(facts))


def _subject(facts: ReportFacts, row: Row) -> str:
    group = str(row["key"]).partition("|")[2]
    return f"{row['name']}: {facts.ticker(group)}" if group else str(row["name"])


def _limit_row(facts: ReportFacts, row: Row) -> tuple[object, ...]:
    unit, share = row["unit"], headroom_share(row)
    numbers = [in_unit(number(row[name]), unit) for name in ("observed", "limit", "headroom")]
    left = percent(share, 1) if math.isfinite(share) else "n/a"
    return (
        row["control"],
        _subject(facts, row),
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
