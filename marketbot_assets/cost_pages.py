"""Plots and tables of trading costs on asset pages. Not here: the same in the daily report (`audit.report_costs`), other pages."""

from typing import TYPE_CHECKING

from marketbot_assets.markdown_text import cell
from marketbot_assets.pages import Shows, labels_of, markdown, picture

if TYPE_CHECKING:
    import datetime as dt

    import dagster as dg
    import pandas as pd

    from marketbot_assets.audit.cost_numbers import Group

NAMES_SHOWN = 15


def shortfall(
    frame: "pd.DataFrame", before: "list[tuple[dt.date, pd.DataFrame]]", instruments: "pd.DataFrame", session: "dt.date"
) -> Shows:
    """The session's total, realised cost against the model, parts per session, and tables by kind of order and by name."""
    from marketbot_assets.audit.cost_numbers import by_kind, by_name, ended, groups, words
    from marketbot_assets.audit.report_costs import charts

    labels, frames = labels_of(instruments), [*before, (session, frame)]
    rows, own = ended(told for _, told in frames), ended([frame])
    kinds, names = groups(rows, by_kind), groups(rows, by_name)
    names = sorted(names, key=lambda group: (-abs(group.total_base), group.label))[:NAMES_SHOWN]
    against, parts = charts(frames, "base currency")
    return {
        "orders ended": len(own),
        "still worked": int((frame["state"] == "WORKING").sum()),
        "shortfall, base currency": float(sum(group.total_base for group in groups(own, by_kind))),
        "what it says": words(str(row["environment"]) for row in rows),
        "realised against model": picture(against),
        "parts per session": picture(parts),
        "by kind of order": _table("currency, side, type", kinds, {}),
        "by name": _table("name", names, labels),
    }


def calibration(frame: "pd.DataFrame") -> Shows:
    """How many orders were measured and what each currency and side is charged."""
    rows = frame[frame["kind"] == "BUCKET"]
    lines = [
        f"| {cell(row.bucket)} | {row.side} | {row.orders} | {_number(row.realised_bps)} | {_number(row.model_bps)} |"
        f" {_number(row.ratio)} | {_number(row.standard_error)} | {row.multiple:.3f} | {cell(row.reason)} |"
        for row in rows.itertuples(index=False)
    ]
    head = [
        "| bucket | side | orders | realised, bp | model, bp | ratio | standard error | factor charged | why |",
        "|---" * 9 + "|",
    ]
    return {
        "orders measured": int((frame["kind"] == "ORDER").sum()),
        "largest factor": float(rows["multiple"].max()) if len(rows) else 1.0,
        "factors": markdown([*head, *lines] if lines else ["no bucket"]),
    }


def _table(head: str, groups: "list[Group]", labels: dict[str, str]) -> "dg.MetadataValue":
    lines = [
        f"| {cell(', '.join(labels.get(part, part) for part in group.label))} | {cell(group.environment)} | {group.orders} |"
        f" {group.unfilled} | {_number(group.realised)} | {_number(group.model)} | {_number(group.difference)} |"
        f" {_number(group.error)} | {group.total_base:,.2f} |"
        for group in groups
    ]
    heads = f"| {head} | account | orders | unfilled | realised, bp | model, bp | difference | standard error | shortfall, base |"
    return markdown([heads, "|---" * 9 + "|", *lines] if lines else ["no order has ended yet"])


def _number(value: float) -> str:
    return f"{value:.2f}" if value == value else "n/a"
