"""Sections of the report about trading: planned orders and what the verdict made of them, fills and what they cost. Pure."""

import math
from collections import Counter

from marketbot_assets.audit.report_facts import ReportFacts, Row, number, rows_of, total
from marketbot_assets.audit.report_parts import (
    Markup,
    badge,
    count,
    money,
    percent,
    plain_number,
    price,
    section,
    table,
    tag,
)


def orders_section(facts: ReportFacts) -> Markup:
    """One row per planned order with its reason and its fate."""
    rows = [_order_row(facts, row) for row in facts.planned]
    heads = ("name<", "side<", "quantity>", "limit>", f"{facts.base}>", "of NAV>", "purpose<", "reason~", "verdict~")
    method = next((str(row["method"]) for row in rows_of(facts.target_portfolio)), "unknown method")
    failures = next((str(row["failures"]) for row in rows_of(facts.target_portfolio)), "")
    no_buys = next((str(row["no_buys"]) for row in rows_of(facts.target_portfolio)), "")
    notes = [f"The target was made by {method.replace('_', ' ')}."]
    notes += [f"Tried before: {facts.named(failures)}."] if failures else []
    notes += [f"Nothing may be bought: {facts.named(no_buys)}."] if no_buys else []
    frozen = len(facts.orders)
    lede = f"{len(rows)} orders planned, {frozen} in the approved batch. Prices are in the listing currency, values at the limit."
    content = table(heads, rows) if rows else tag("p", "No order was planned this session.", css="soft")
    return section("orders", "Orders and reasons", lede, tag("p", " ".join(notes)), content)


def _order_row(facts: ReportFacts, row: Row) -> tuple[object, ...]:
    value, limit = number(row["value_base"]), number(row["limit_price"])
    free = "at the rate" if row["kind"] == "FX" else "at the market"
    shown = f"{price(limit)} {row['currency']}" if math.isfinite(limit) else free
    part = percent(value / facts.nav) if facts.nav > 0.0 else percent(math.nan)
    purpose = {"FX": "currency"}.get(str(row["purpose"]), str(row["purpose"]).replace("_", " ").lower())
    head = (facts.ticker(row["instrument"]), row["side"], count(number(row["quantity"])), shown, money(value), part)
    return (*head, purpose, facts.named(row["reason"]), _fate(facts, row))


def _fate(facts: ReportFacts, row: Row) -> object:
    """What the verdict made of an order, and why."""
    answer, planned, approved = row["answer"], number(row["quantity"]), number(row["approved"])
    if not isinstance(answer, dict) or not answer:
        return "not judged"
    if facts.verdict != "APPROVED":
        return f"not sent: the batch was {facts.verdict}"
    control, message = str(answer["control"]), facts.named(answer["message"])
    why = message if message.startswith(control) else f"{control} {message}".strip()
    if approved == planned:
        return "as planned" if answer["status"] == "PASS" else f"as planned; {why}"
    change = "dropped" if approved == 0.0 else f"{count(planned)} → {count(approved)}"
    return tag("span", tag("b", change), f": {why}" if why else "")


def fills_section(facts: ReportFacts) -> Markup:
    """Executions of earlier orders that this session learned of, their costs, and what became of this session's orders."""
    costs = {str(row["execution_id"]): row for row in rows_of(facts.execution_costs)}
    fills = rows_of(facts.fills)
    rows = [_fill_row(facts, row, costs.get(str(row["execution_id"]), {})) for row in fills]
    values = [number(row.get("value_base")) for row in costs.values()]
    sums = [total([number(row.get(name)) for row in costs.values()]) for name in ("fee_base", "tax_base", "total_base")]
    weighted = [number(row.get("value_base")) * number(row.get("slippage_bps")) for row in costs.values()]
    value = total(values)
    mean = total(weighted) / value if value > 0.0 else math.nan
    if rows:
        rows.append(("all", "", "", "", "", money(value), plain_number(mean, 3), "", *(money(x, 2) for x in sums)))
    heads = ("name<", "side<", "quantity>", "decided at>", "filled at>", f"{facts.base}>", "slippage, bp>", "expected, bp>",
             "fee>", "tax>", "total cost>")  # fmt: skip
    content = table(heads, rows, sums=1) if rows else tag("p", "No fill became known this session.", css="soft")
    lede = f"Fills between the previous cutoff and this one; costs in {facts.base}, slippage against the price at the decision."
    return section("fills", "Fills and costs", lede, content, _submissions(facts))


def _fill_row(facts: ReportFacts, fill: Row, cost: Row) -> tuple[object, ...]:
    head = (facts.ticker(fill["instrument"]), fill["side"], count(number(fill["quantity"])))
    prices = (price(number(cost.get("decision_price"))), price(number(fill["price"])))
    rates = (plain_number(number(cost.get("slippage_bps")), 3), plain_number(number(cost.get("expected_bps")), 3))
    sums = (money(number(cost.get(name)), 2) for name in ("fee_base", "tax_base", "total_base"))
    return (*head, *prices, money(number(cost.get("value_base"))), *rates, *sums)


def _submissions(facts: ReportFacts) -> Markup:
    if facts.submissions is None:
        return tag("p", "This session's orders: nothing was submitted when this report was made.", css="soft")
    rows = rows_of(facts.submissions)
    if not rows:
        return tag("p", "This session's orders: none to submit.", css="soft")
    states = Counter(str(row["state"]) for row in rows)
    text = ", ".join(f"{states[state]} {state}" for state in sorted(states))
    bad = [row for row in rows if str(row["state"]) in ("REJECTED", "UNKNOWN", "CANCELED", "EXPIRED")]
    shown = [
        (facts.ticker(r["instrument"]), r["side"], count(number(r["quantity"])), badge(str(r["state"])), r["reason"])
        for r in bad
    ]
    details = table(("name<", "side<", "quantity>", "state<", "reason~"), shown, caption="Not taken") if shown else ""
    return tag("div", tag("p", f"This session's orders at the broker: {text}.", css="soft"), details)
