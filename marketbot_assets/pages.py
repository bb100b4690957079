"""Small plots and tables for asset pages.

Not here: what every page shows (`lineage.materialized`), the pages of the risk stage (`risk_pages`), reports (`audit`).
"""

from decimal import Decimal
from typing import TYPE_CHECKING

import dagster as dg

from marketbot_assets.markdown_text import cell
from marketbot_resources.order_slices import CLOSE_LEG
from marketbot_resources.order_types import STOP_LEG

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from marketbot_assets.normalization.window import Floats

Shows = dict[str, dg.MetadataValue | str | int | float]
BARS_SHOWN, ROWS_SHOWN = 12, 15
HISTORY_SESSIONS, SUBJECTS_SHOWN = 60, 30


def moves(bars: "pd.DataFrame", recent: "pd.DataFrame") -> Shows:
    """The largest moves of the session's bars against the bar before, as a plot, and how many bars are flagged."""
    from marketbot_assets.audit.charts import bar_chart

    last = recent.sort_values("session").groupby("instrument")["close"].last()
    newest = bars.sort_values("session").groupby("instrument")["close"].last()
    change = (newest / last - 1.0).dropna()
    largest = change.reindex(change.abs().sort_values(ascending=False, kind="stable").index)[:BARS_SHOWN]
    rows = [(str(name), float(value)) for name, value in largest.items()]
    chart = bar_chart("Largest price moves, splits and dividends not removed", rows, unit="%")
    return {"largest moves": picture(chart), "synthetic rows": int(bars["synthetic"].sum())}


def coverage(frame: "pd.DataFrame", instruments: "pd.DataFrame") -> Shows:
    """How many names are complete, and per country the share of equities with each fundamental feature."""
    from marketbot_assets.features.coverage import FILED_FEATURES, coverage

    ordered = instruments.set_index("instrument").loc[frame["instrument"]].reset_index()
    shares = coverage(frame, ordered)
    table = [f"| country | equities | {' | '.join(FILED_FEATURES)} |", "|---" * (len(FILED_FEATURES) + 2) + "|"]
    for row in shares.to_dict("records"):
        cells = " | ".join(f"{row[name]:.0%}" for name in FILED_FEATURES)
        table.append(f"| {cell(row['country'])} | {row['equities']} | {cells} |")
    return {"complete names": int(frame["complete"].sum()), "coverage of fundamentals": markdown(table)}


def outcomes(
    quality: "pd.DataFrame",
    before: "Sequence[tuple[dt.date, pd.DataFrame]]",
    session: "dt.date",
    instruments: "pd.DataFrame",
) -> Shows:
    """How many findings had each outcome, rule x subject as a heat map, the counts of the sessions before, the first bad ones.

    `before`: DATA_QUALITY of earlier sessions, oldest first.
    """
    from marketbot_assets.audit.charts import line_chart
    from marketbot_assets.normalization.schema import OUTCOMES

    labels, tables = labels_of(instruments), [*before, (session, quality)]
    series = [(name, [float((frame["outcome"] == name).sum()) for _, frame in tables]) for name in OUTCOMES[1:]]
    history = line_chart("Findings per session", [day.isoformat() for day, _ in tables], series)
    bad = quality[quality["outcome"] != "pass"].head(BARS_SHOWN)
    lines = [
        f"{row.outcome}: {row.rule} {cell(labels.get(row.subject, row.subject))}: {cell(row.message)}"
        for row in bad.itertuples()
    ]
    counts: Shows = {f"{name} count": int((quality["outcome"] == name).sum()) for name in OUTCOMES}
    return {
        **counts,
        "rule x subject": picture(_heat_map(quality, labels)),
        "history": picture(history),
        "findings": dg.MetadataValue.md("\n".join(f"- {line}" for line in lines) or "every rule passed"),
    }


def _heat_map(quality: "pd.DataFrame", labels: "dict[str, str]") -> str:
    """Every rule against the subjects that are worst off, as many as can be read."""
    from marketbot_assets.audit.charts import heat_map
    from marketbot_assets.normalization.rules import RULES
    from marketbot_assets.normalization.schema import OUTCOMES

    level = {name: place + 1 for place, name in enumerate(OUTCOMES)}
    cells = {(str(r.rule), str(r.subject)): level[str(r.outcome)] for r in quality.itertuples()}
    worst: dict[str, list[int]] = {}
    for (_, name), found in cells.items():
        worst.setdefault(name, []).append(-found)
    subjects = sorted(worst, key=lambda name: (sorted(worst[name]), name))[:SUBJECTS_SHOWN]
    rows = [(rule, [cells.get((rule, name), 0) for name in subjects]) for rule in RULES]
    rows.sort(key=lambda row: (-max(row[1], default=0), row[0]))
    hidden = len(worst) - len(subjects)
    title = f"Rule x subject, worst first{f', {hidden} more subjects not shown' if hidden else ''}"
    return heat_map(title, rows, [labels.get(name, name) for name in subjects], ["not judged", *OUTCOMES])


def restated(frame: "pd.DataFrame") -> Shows:
    """How many bars were sent again, how many say something else, and the largest differences."""
    moved = frame[frame["relative_difference"] != 0.0]
    largest = moved.reindex(moved["relative_difference"].abs().sort_values(ascending=False, kind="stable").index)
    lines = [
        f"| {row.instrument} | {row.session.date()} | {row.field} | {row.known:.6g} | {row.restated:.6g} |"
        for row in largest.head(ROWS_SHOWN).itertuples()
    ]
    table = ["| instrument | session | field | we have | sent now |", "|---|---|---|---|---|", *lines]
    return {
        "bars sent again": len(frame.drop_duplicates(["instrument", "session"])),
        "values restated": len(moved),
        "largest": markdown(table if lines else ["nothing was restated"]),
    }


def picture(svg: str) -> dg.MetadataValue:
    """An SVG as an image inside Markdown."""
    import base64

    return dg.MetadataValue.md(f"![plot](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})")


def holdings(positions: "pd.DataFrame", instruments: "pd.DataFrame") -> Shows:
    """NAV, cash and the weights of what is held."""
    from marketbot_assets.audit.charts import bar_chart

    total = float(positions["value_base"].sum())
    held = positions[positions["kind"] == "POSITION"]
    labels = labels_of(instruments)
    rows = [
        (labels.get(name, name), float(value) / total)
        for name, value in zip(held["key"], held["value_base"], strict=True)
    ]
    largest = sorted(rows, key=lambda row: (-row[1], row[0]))[:ROWS_SHOWN]
    chart = bar_chart("Largest holdings, fraction of NAV", largest, unit="%")
    return {"NAV": total, "names": len(held), "weights": picture(chart)}


def reconciliation(frame: "pd.DataFrame") -> Shows:
    """How many rows of book and broker agree, and each that does not with what was found."""
    counts = frame["outcome"].value_counts()
    apart = frame[frame["outcome"] != "match"]
    lines = [
        f"| {row.kind} | {cell(str(row.key))} | {_exact(row.ours)} | {_exact(row.broker)} | {cell(str(row.outcome))} |"
        for row in apart.itertuples()
    ]
    table = ["| kind | key | ours | broker | outcome |", "|---|---|---|---|---|", *lines]
    shown: Shows = {f"outcome {name}": int(counts[name]) for name in sorted(counts.index)}
    return shown | {"not equal": markdown(table if lines else ["book and broker agree"])}


def _exact(value: object) -> str:
    return f"{value.normalize():f}" if isinstance(value, Decimal) and value else "" if value is None else str(value)


def book(frame: "pd.DataFrame", session: "dt.date") -> Shows:
    """Drawdown, rung, stops and the NAV of the last sessions."""
    from marketbot_assets.audit.charts import line_chart
    from marketbot_assets.book.frames import state_of

    state = state_of(frame)
    history = list(state.nav_history)
    labels = [f"-{len(history) - 1 - n}" if n < len(history) - 1 else session.isoformat() for n in range(len(history))]
    chart = line_chart("NAV of the last sessions, base currency", labels, [("NAV", history)])
    return {
        "NAV": state.nav,
        "drawdown from the ladder's high": state.drawdown,
        "drawdown since inception": state.drawdown_inception,
        "rung": state.rung.value,
        "volatility target multiple": state.multiple,
        "stops hit": ", ".join(hit.instrument for hit in state.stop_hits) or "none",
        "recent NAV": picture(chart),
    }


def target(frame: "pd.DataFrame", instruments: "pd.DataFrame") -> Shows:
    """Method, residual, and the target weights against today's."""
    from marketbot_assets.audit.charts import bar_chart

    labels, first = labels_of(instruments), frame.iloc[0]
    rows = frame[frame["instrument"] != "CASH"].assign(size=frame["weight_target"].fillna(0.0))
    largest = rows.sort_values(["size", "instrument"], ascending=[False, True]).head(ROWS_SHOWN)
    bars = [
        (labels.get(name, name), float(weight))
        for name, weight in zip(largest["instrument"], largest["size"], strict=True)
    ]
    invested = float(rows["size"].sum())
    return {
        "method": str(first["method"]),
        "status": str(first["status"]),
        "invested": invested,
        "names": int((rows["size"] > 0).sum()),
        "refused": str(first["no_buys"]) or "nothing",
        "weights": picture(bar_chart("Target weights, fraction of NAV", bars, unit="%")),
    }


def binding(explanation: "pd.DataFrame") -> Shows:
    """The limits that bind, dearest first."""
    rows = explanation[(explanation["kind"] == "LIMIT") & explanation["binding"]]
    rows = rows.sort_values(["dual", "place"], ascending=[False, True]).head(ROWS_SHOWN)
    lines = [
        f"| {row.subject} | {cell(row.name_)} | {row.left:.4f} | {row.limit:.4f} | {row.dual:.4f} |"
        for row in rows.rename(columns={"name": "name_"}).itertuples()
    ]
    table = ["| control | limit | value | bound | price |", "|---|---|---|---|---|", *lines]
    return {
        "binding limits": len(rows),
        "prices of limits": markdown(table if lines else ["no limit binds"]),
    }


def orders(plan: "pd.DataFrame", instruments: "pd.DataFrame") -> Shows:
    """The plan with reasons."""
    labels = labels_of(instruments)
    lines = [
        f"| {row.side} | {cell(labels.get(row.instrument, row.instrument))} | {row.quantity.normalize():f} |"
        f" {row.value_base:,.0f} | {row.purpose} | {cell(row.reason)} |"
        for row in plan.itertuples()
    ]
    table = ["| side | name | quantity | value | purpose | reason |", "|---|---|---|---|---|---|", *lines]
    # Protective stops wait for their price, and what takes the rest of slices is counted with them.
    counted = (plan["kind"] == "EQUITY") & ~plan["leg"].isin([CLOSE_LEG, STOP_LEG])
    bought = plan.loc[(plan["side"] == "BUY") & counted, "value_base"]
    sold = plan.loc[(plan["side"] == "SELL") & counted, "value_base"]
    return {
        "buys": float(bought.sum()),
        "sells": float(sold.sum()),
        "plan": markdown(table if lines else ["no orders"]),
    }


def dossiers(index: "Path", orders: "pd.DataFrame", instruments: "pd.DataFrame") -> Shows:
    """Where the session's dossiers lie (`index`: the page that lists them), and its orders with the file of each."""
    labels = labels_of(instruments)
    lines = [
        f"| {row.client_order_id} | {row.side} | {row.quantity.normalize():f} |"
        f" {cell(labels.get(row.instrument, row.instrument))} | {cell(row.reason)} |"
        f" {cell(str(index.parent / f'{row.client_order_id}.html'))} |"
        for row in orders.itertuples()
    ]
    table = ["| order | side | quantity | name | why | dossier |", "|---|---|---|---|---|---|", *lines]
    return {"dossiers": dg.MetadataValue.path(str(index)), "orders": markdown(table if lines else ["no orders"])}


def backtest(frame: "pd.DataFrame", tables: "Mapping[str, pd.DataFrame]", base: str) -> Shows:
    """NAV over the range, growth against the benchmark, drawdown, sectors, limits, and how often each control spoke.

    `tables`: the details; `base`: the base currency. The whole report: `marketbot backtest A B --html FILE`.
    """
    from marketbot_assets.audit.charts import line_chart
    from marketbot_assets.research.outcomes import how_often

    labels = [str(day.date()) for day in frame["session"]]
    spoke = how_often(frame)
    lines = [f"| {row.control} | {row.warned} | {row.shrank} | {row.rejected} |" for row in spoke.itertuples()]
    table = ["| control | warned | shrank | rejected |", "|---|---|---|---|", *lines]
    return {
        "NAV": picture(line_chart("NAV, base currency", labels, [("NAV", list(frame["nav"]))])),
        "worst drawdown": float(frame["drawdown"].max()),
        "approved": int((frame["verdict"] == "APPROVED").sum()),
        "language models": str(frame["llm"].iloc[0]) if len(frame) else "none",
        "controls": markdown(table),
        **(_tear_sheet(frame, tables, base) if len(frame) > 1 else {}),
    }


def _tear_sheet(frame: "pd.DataFrame", tables: "Mapping[str, pd.DataFrame]", base: str) -> Shows:
    from marketbot_assets.research.tear_sheet import tear_sheet, wealth
    from marketbot_assets.research.tear_sheet_charts import thinned
    from marketbot_assets.research.tear_sheet_trades import limits, over_time

    sheet = tear_sheet(frame, tables, base)
    mine, labels = wealth(sheet.returns), sheet.labels
    both = {"backtest": mine - 1.0, "benchmark": wealth(sheet.benchmark) - 1.0}
    lines = [
        f"| {row['control']} | {row['mean']:.0%} | {row['largest']:.0%} | {cell(str(row['item']))} | {row['bound']} |"
        for row in limits(sheet)
    ]
    heads = ["| control | mean use | largest | of | sessions it bound |", "|---|---|---|---|---|"]
    told = {"return": "total_return", "benchmark": "benchmark_return", "excess": "excess", "volatility": "volatility"}
    return {
        **{name: sheet.numbers[key] for name, key in told.items()},
        "growth": picture(thinned("Return since the start", labels, both)),
        "falls": picture(thinned("Fall below the last high", labels, {"drawdown": _fall(mine)}, invert=True)),
        "sectors": picture(thinned("Largest sectors, of NAV", labels, over_time(sheet, "sector", 4))),
        "limits": markdown([*heads, *lines]),
    }


def _fall(wealth: "Floats") -> "Floats":
    import numpy as np

    return np.asarray(1.0 - wealth / np.maximum.accumulate(wealth))


def labels_of(instruments: "pd.DataFrame") -> dict[str, str]:
    """Instrument -> MIC:ticker."""
    pairs = zip(instruments["instrument"], instruments["mic"] + ":" + instruments["ticker"], strict=True)
    return {str(name): str(label) for name, label in pairs}


def markdown(lines: "list[str]") -> dg.MetadataValue:
    """Lines as Markdown."""
    return dg.MetadataValue.md("\n".join(lines))
