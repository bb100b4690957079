"""Section of the report about what orders cost: shortfall in its parts, realised against model, factors charged. Pure."""

import datetime as dt
import math
from collections.abc import Sequence

import pandas as pd

from marketbot_assets.audit.charts import inline
from marketbot_assets.audit.cost_charts import Mean, against_model, parts_chart
from marketbot_assets.audit.cost_numbers import (
    PARTS,
    Group,
    by_kind,
    by_name,
    ended,
    groups,
    parts_by_session,
    value_of,
    words,
)
from marketbot_assets.audit.report_facts import ReportFacts, Row, number, rows_of
from marketbot_assets.audit.report_parts import (
    Markup,
    badge,
    bullets,
    count,
    grid,
    joined,
    money,
    plain_number,
    price,
    section,
    table,
    tag,
)

NAMES_SHOWN = 12


def charts(frames: Sequence[tuple[dt.date, pd.DataFrame]], unit: str) -> tuple[str, str]:
    """(realised against model, parts per session) of SHORTFALL frames, oldest first, as SVG."""
    rows = ended(frame for _, frame in frames)
    dots = [(value_of(row, "model_bps"), value_of(row, "realised_bps")) for row in rows]
    means = [
        Mean(_label(group), group.model, group.realised, group.error, group.compared) for group in groups(rows, by_kind)
    ]
    days, series = parts_by_session(frames)
    return (
        against_model("Realised cost against the model, basis points", dots, means),
        parts_chart("Implementation shortfall per session, in its parts", days, series, unit),
    )


def costs_section(facts: ReportFacts) -> Markup:
    """Orders that ended, what they cost in parts, and how that compares with what the model said."""
    frames = [*facts.shortfall_history, (facts.session, facts.shortfall)]
    rows = ended(frame for _, frame in frames)
    names = sorted(groups(rows, by_name), key=lambda group: (-abs(group.total_base), group.label))[:NAMES_SHOWN]
    content: list[object] = [tag("p", words(str(row["environment"]) for row in rows), css="soft"), _orders(facts)]
    if rows:
        content.append(grid(*(Markup(inline(svg)) for svg in charts(frames, facts.base))))
        content.append(_groups(facts, groups(rows, by_kind), "By currency, side and type of order"))
        content.append(_groups(facts, names, "By name, largest shortfall first"))
    content.append(_factors(facts))
    lede = (
        f"Implementation shortfall of the orders that ended: the paper portfolio at the decision's price less the real one, "
        f"{facts.base}, positive is a cost."
    )
    return section("shortfall", "What orders cost", lede, *content)


def _label(group: Group) -> str:
    currency, side, kind = group.label
    return f"{currency} {side}{' FX' if kind == 'FX' else ''}{' ' + group.environment if group.environment != 'paper' else ''}"


def _orders(facts: ReportFacts) -> Markup:
    rows = [_order(facts, row) for row in rows_of(facts.shortfall)]
    if not rows:
        return tag("p", "No order ended this session.", css="soft")
    heads = ("name<", "side<", "state<", "filled>", "decided at>", "arrival>", "delay>", "spread>", "impact>", "rest>", "missed>",
             "fees>", "taxes>", "total>", "bp>", "rate effect>")  # fmt: skip
    told = table(heads, rows, caption=f"Orders that ended this session, parts in {facts.base}")
    unknown = [
        f"{facts.ticker(row['instrument'])}: {row['reason']}" for row in rows_of(facts.shortfall) if row["reason"]
    ]
    key = (
        "Delay: from the decision's price to the auction's; spread and impact: as the model has them, rest: what it does not say; "
        "missed: what was not filled, at the close (opportunity); rate effect: beside the total."
    )
    return joined([told, tag("p", key, css="soft"), bullets(unknown) if unknown else ""])


def _order(facts: ReportFacts, row: Row) -> tuple[object, ...]:
    rate = number(row["rate"])
    head = (facts.ticker(row["instrument"]), row["side"], badge(str(row["state"])))
    filled, ordered = count(number(row["filled"])), count(number(row["quantity"]))
    shares = filled if filled == ordered else f"{filled} of {ordered}"
    prices = (price(number(row["decision_price"])), price(number(row["arrival_price"])))
    parts = (money(number(row[name]) * rate, 2) for name, _ in PARTS)
    sums = (money(number(row["total_base"]), 2), plain_number(number(row["total_bps"]), 3))
    return (*head, shares, *prices, *parts, *sums, money(number(row["fx_base"]), 2))


def _groups(facts: ReportFacts, found: Sequence[Group], caption: str) -> Markup:
    heads = ("orders of<", "account<", "orders>", "unfilled>", "realised, bp>", "model, bp>", "difference>", "standard error>",
             f"shortfall, {facts.base}>")  # fmt: skip
    rows = [
        (", ".join(_plain(facts, part) for part in group.label), group.environment or "n/a", group.orders, group.unfilled,
         *(money(x, 2) for x in (group.realised, group.model, group.difference, group.error)), money(group.total_base, 2))
        for group in found
    ]  # fmt: skip
    return table(heads, rows, caption=caption)


def _plain(facts: ReportFacts, part: str) -> str:
    return part.replace("_", " ").lower() if "_" in part else facts.ticker(part)


def _factors(facts: ReportFacts) -> Markup:
    """What the calibration charges on top of the mandate's costs."""
    rows = [row for row in rows_of(facts.cost_calibration) if row["kind"] == "BUCKET"]
    charged = [row for row in rows if number(row["multiple"]) != 1.0 and math.isfinite(number(row["multiple"]))]
    if not charged:
        why = sorted({str(row["reason"]) for row in rows}) or ["nothing measured"]
        return tag("p", f"The mandate's costs are charged as written: {'; '.join(why)}.", css="soft")
    heads = ("bucket<", "side<", "orders>", "ratio>", "standard error>", "factor charged>", "why~")
    told = [
        (row["bucket"], row["side"], count(number(row["orders"])), plain_number(number(row["ratio"]), 3),
         plain_number(number(row["standard_error"]), 3), plain_number(number(row["multiple"]), 4), row["reason"])
        for row in charged
    ]  # fmt: skip
    return table(heads, told, caption="Factors on half-spread, fee and impact that live fills ask for")
