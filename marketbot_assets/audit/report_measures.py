"""Sections of the report about the risk engine: trading state, value at risk, what the risk is made of, the back-test. Pure.

Not here: stresses and limits (`report_risk`), the rows (`risk_numbers`), the forms (`risk_charts`).
"""

import math

from marketbot_assets.audit.charts import bar_chart, inline
from marketbot_assets.audit.report_facts import ReportFacts, number
from marketbot_assets.audit.report_parts import Markup, badge, grid, joined, section, table, tag
from marketbot_assets.audit.risk_charts import exceptions_chart
from marketbot_assets.audit.risk_numbers import (
    Table,
    currencies,
    factor_name,
    factors,
    names,
    parts_of,
    record,
    tails,
)
from marketbot_assets.audit.risk_state import breaches, rungs, state_word

NAMES_SHOWN = 15


def numbers_table(found: Table) -> Markup:
    """A table of the risk numbers, or why there is none."""
    if not found.rows:
        return tag("p", f"{found.caption}: {found.why or 'none'}", css="soft")
    marked = [head == "status<" for head in found.heads]
    rows = [[badge(x) if mark else x for x, mark in zip(row, marked, strict=True)] for row in found.rows]
    told = table(found.heads, rows, caption=found.caption)
    return joined([told, tag("p", found.note, css="soft")]) if found.note else told


def state_section(facts: ReportFacts) -> Markup:
    """What may be sent, the rung of the ladder with the way to the next, and the register of breaches."""
    word = state_word(facts.book, facts.risk_verdict, facts.mandate)
    halted = f"; halted, class {facts.book.halt_class}" if facts.book.halt_class else ""
    no_buys = f"; nothing is bought: {facts.book.no_buys}" if facts.book.no_buys else ""
    line = tag("p", badge(word), f" after this verdict: {STATES[word]}{halted}{no_buys}.")
    lede = "The strictest of the ladder, the halt flag as the verdict saw it, and the open breaches decides what may be sent."
    return section(
        "state",
        "Trading state",
        lede,
        line,
        numbers_table(rungs(facts.book, facts.mandate.ladder)),
        numbers_table(breaches(facts.risk_verdict, facts.named)),
    )


STATES = {
    "ACTIVE": "everything that the verdict approves may be sent",
    "REDUCE_ONLY": "orders that reduce risk may be sent, nothing else",
    "FLATTEN": "sells to cash go on until the book is flat",
    "HALT": "nothing is sent",
}


def tail_section(facts: ReportFacts) -> Markup:
    """Value at risk and expected shortfall by method and level."""
    lede = (
        "The book after the approved batch, one session ahead, before any multiple. RC-43 takes the larger of historical and "
        "filtered at 99 %, RC-44 the historical shortfall at 97.5 %, RC-45 the largest value at risk of all."
    )
    return section("tail", "Value at risk and expected shortfall", lede, numbers_table(tails(facts.risk_report)))


def parts_section(facts: ReportFacts) -> Markup:
    """Contributions to the volatility by name, factor and currency."""
    report = facts.risk_report
    largest = [(facts.ticker(r["key"]), number(r["share"])) for r in parts_of(report, "NAME")[:NAMES_SHOWN]]
    common = [(factor_name(r), number(r["share"])) for r in parts_of(report, "FACTOR")]
    charts = grid(
        Markup(inline(bar_chart("Share of the volatility, largest names", largest, unit="%"))),
        Markup(inline(bar_chart("Share of the variance, factors and specific", common, unit="%"))),
    )
    lede = (
        "The book after the approved batch. Parts by name and currency add up to the volatility of the larger estimator, factors "
        "and the specific part to that of the factor model."
    )
    return section(
        "parts",
        "What the risk is made of",
        lede,
        charts,
        grid(numbers_table(names(report, facts.ticker, NAMES_SHOWN)), numbers_table(factors(report))),
        numbers_table(currencies(report, facts.positions, facts.rate_moves, facts.mandate)),
    )


def backtest_section(facts: ReportFacts) -> Markup:
    """Profit and loss against the value at risk that was forecast, and what the tests say."""
    days = facts.book.risk_days[-facts.mandate.limits.var_backtest.sessions :]
    chart = exceptions_chart(
        "Profit and loss against value at risk", [d.loss for d in days], [d.forecast.var_99 for d in days]
    )
    unknown = sum(not (math.isfinite(day.loss) and math.isfinite(day.forecast.var_99)) for day in days)
    lede = "The book as held at each close, unchanged over the next session, against the forecast of that close (RC-71, RC-72)."
    if unknown:
        lede += f" Sessions without a known number, counted as exceptions: {unknown}."
    told = numbers_table(record(facts.risk_report, days, facts.mandate))
    return section("backtest", "Back-test of value at risk", lede, grid(Markup(inline(chart)), told))
