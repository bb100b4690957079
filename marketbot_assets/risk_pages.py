"""Plots and tables on the asset pages of the risk stage.

Not here: the same in the daily report (`audit.report_risk`, `audit.report_measures`), other pages (`pages`).
"""

from typing import TYPE_CHECKING

import dagster as dg

from marketbot_assets.markdown_text import cell
from marketbot_assets.pages import Shows, markdown, picture

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from marketbot_assets.audit.risk_numbers import Named, Table
    from marketbot_resources.mandate import Mandate

LIMITS_SHOWN, NAMES_SHOWN = 40, 15


def stress(frame: "pd.DataFrame", instruments: "pd.DataFrame", mandate: "Mandate") -> Shows:
    """Every stress against target, warning and limit; the one nearest to its limit by name and by sector; reverse stress."""
    from marketbot_assets.audit.limit_marks import used_stresses
    from marketbot_assets.audit.risk_charts import limit_bars, waterfall
    from marketbot_assets.audit.risk_numbers import nearest_stress, pieces, reverse, stress_name, stress_table, stresses

    named, rows = _named(instruments), stresses(frame)
    bars = limit_bars("Stress losses as a share of their hard limits", used_stresses(rows, mandate))
    shows: Shows = {"against limits": picture(bars)}
    row = nearest_stress(frame)
    if row is not None:
        whole, limit, name = float(str(row["loss"])), float(str(row["limit"])), stress_name(row)
        shows["nearest to its limit"] = name
        for what, column in (("name", "worst_contributors"), ("sector", "by_sector")):
            svg = waterfall(f"{name}, nearest to its limit: by {what}", pieces(row, column, named), whole, limit=limit)
            shows[f"waterfall by {what}"] = picture(svg)
    return {**shows, "scenarios": _table(stress_table(frame, named)), "reverse stress": _table(reverse(frame, named))}


def verdict(
    frame: "pd.DataFrame",
    instruments: "pd.DataFrame",
    book: "pd.DataFrame",
    model: "pd.DataFrame",
    *,
    mandate: "Mandate",
) -> Shows:
    """The verdict, what may be sent, every control that did not simply pass, every limit as a bar, ladder and breaches."""
    from marketbot_assets.audit.limit_marks import used_limits, with_orders
    from marketbot_assets.audit.report_facts import rows_of
    from marketbot_assets.audit.risk_charts import limit_bars
    from marketbot_assets.audit.risk_state import breaches, rungs, state_word
    from marketbot_assets.book.frames import state_of
    from marketbot_assets.features.factor_model import from_frame
    from marketbot_assets.risk.hypothetical import kinds_of

    named, state, batch = _named(instruments), state_of(book), frame[frame["kind"] == "BATCH"].iloc[0]
    controls = [row for row in rows_of(frame) if row["kind"] == "CONTROL"]
    loud = [
        f"| {r['status']} | {r['control']} | {cell(named(r['message']))} |" for r in controls if r["status"] != "PASS"
    ]
    keys = [str(row["key"]).partition("|")[2] for row in controls]
    bars = used_limits(controls, mandate, kinds_of(from_frame(model), keys), with_orders(frame, named))
    title = f"Limits by the share that is used, the first {LIMITS_SHOWN} of {len(bars)}"
    return {
        "verdict": str(batch["verdict"]),
        "orders": str(batch["message"]),
        "rounds": int(batch["rounds"]),
        "trading state": state_word(state, frame, mandate),
        "controls": markdown(
            ["| status | control | why |", "|---|---|---|", *loud] if loud else ["every control passed"]
        ),
        "headroom": picture(limit_bars(title, bars[:LIMITS_SHOWN])),
        "ladder": _table(rungs(state, mandate.ladder)),
        "breaches": _table(breaches(frame, named)),
    }


def risk(
    frame: "pd.DataFrame",
    instruments: "pd.DataFrame",
    book: "pd.DataFrame",
    positions: "pd.DataFrame",
    *,
    moves: "Mapping[str, Sequence[float]]",
    mandate: "Mandate",
) -> Shows:
    """Value at risk and shortfall by method, what the risk is made of, and the back-test."""
    from marketbot_assets.audit.charts import bar_chart
    from marketbot_assets.audit.report_facts import number
    from marketbot_assets.audit.risk_charts import exceptions_chart
    from marketbot_assets.audit.risk_numbers import (
        currencies,
        factor_name,
        factors,
        names,
        parts_of,
        record,
        tails,
        text_of,
    )
    from marketbot_assets.book.frames import state_of

    named, days = _named(instruments), state_of(book).risk_days[-mandate.limits.var_backtest.sessions :]
    largest = [(named(r["key"]), number(r["share"])) for r in parts_of(frame, "NAME")[:NAMES_SHOWN]]
    common = [(factor_name(r), number(r["share"])) for r in parts_of(frame, "FACTOR")]
    judged = exceptions_chart(
        "Profit and loss against value at risk", [d.loss for d in days], [d.forecast.var_99 for d in days]
    )
    return {
        "value at risk and shortfall": _table(tails(frame)),
        "names": picture(bar_chart("Share of the volatility, largest names", largest, unit="%")),
        "by name": _table(names(frame, named, NAMES_SHOWN)),
        "factors": picture(bar_chart("Share of the variance, factors and specific", common, unit="%")),
        "by factor": _table(factors(frame)),
        "by currency": _table(currencies(frame, positions, moves, mandate)),
        "back-test": picture(judged),
        "zone": text_of(frame, "BACKTEST", "exceptions") or "n/a",
        "record": _table(record(frame, days, mandate)),
    }


def _named(instruments: "pd.DataFrame") -> "Named":
    """Replaces internal ids in a text by tickers."""
    from marketbot_assets.audit.report_facts import named_by, rows_of, tickers_of

    return named_by(tickers_of(rows_of(instruments)))


def _table(found: "Table") -> dg.MetadataValue:
    """A table as Markdown, or why there is none."""
    if not found.rows:
        return markdown([f"{found.caption}: {found.why or 'none'}"])
    heads = [head.rstrip("<>~") for head in found.heads]
    rule = ["---:" if head.endswith(">") else "---" for head in found.heads]
    lines = [heads, rule, *([cell(text) for text in row] for row in found.rows)]
    note = ["", found.note] if found.note else []
    return markdown([found.caption, "", *(f"| {' | '.join(line)} |" for line in lines), *note])
