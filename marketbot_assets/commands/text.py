"""What commands print for people, from the same objects that `--json` prints. Plain aligned text, no decisions."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

Rows = Sequence[Mapping[str, Any]]


def _number(value: object, form: str) -> str:
    return format(value, form) if isinstance(value, int | float) else "-"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Aligned columns; the first `left` ones and the last to the left, the others to the right."""
    widths = [max(len(row[n]) for row in [heads, *rows]) for n in range(len(heads))]
    lines = []
    for row in [heads, *rows]:
        cells = [
            cell.ljust(width) if n < left or n == len(heads) - 1 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _session_rows(sessions: Rows) -> list[list[str]]:
    return [
        [
            str(row["session"]),
            str(row["state"]),
            str(row["verdict"] or "-"),
            _number(row["orders"], "d"),
            _number(row["fills"], "d"),
            _number(row["turnover"], ".2%"),
            _number(row["nav"], ",.0f"),
            _number(row["drawdown"], ".2%"),
            str(row["rung"] or "-"),
            " ".join(row["bound"]) or "-",
            " ".join(row["failed"]) or "-",
        ]
        for row in sessions
    ]


_HEADS = ("session", "state", "verdict", "orders", "fills", "turnover", "NAV", "drawdown", "rung", "bound", "failed")


def sessions_text(view: Mapping[str, object]) -> str:
    """One line per session, reasons of those that did not end well, and where everything lies."""
    sessions = cast("Rows", view["sessions"])
    lines = _table(_HEADS, _session_rows(sessions), 3)
    lines += [
        f"{row['session']} {row['state']}: {row['reason']}" for row in sessions if row["state"] not in ("sent", "data")
    ]
    ledger = cast("Mapping[str, object]", view["ledger"])
    lines.append(
        f"ledger head {ledger['size']}:{ledger['root']}; store: {view['store_objects']} objects in {view['home']}"
    )
    return "\n".join(lines)


def demo_text(view: Mapping[str, object]) -> str:
    """The sessions, the orders counted by status, where the report lies, what to do next."""
    orders = cast("Rows", view["orders"])
    counts: dict[str, int] = {}
    for order in orders:
        counts[str(order["status"])] = counts.get(str(order["status"]), 0) + 1
    listed = ", ".join(f"{number} {status}" for status, number in sorted(counts.items())) or "none"
    first = next((str(order["order_id"]) for order in reversed(orders)), "")
    lines = [
        sessions_text(view),
        f"orders: {len(orders)} ({listed}); fills: {view['fills']}",
        "bound: controls whose limit shaped the target; failed: controls that made orders smaller or refused some",
        "partly simulated data: a demonstration, not a backtest",
        f"report: {view['report']}",
        "next: make ui, then materialize job `daily` for the next session; or: marketbot run, marketbot status",
    ]
    if first:
        lines.append(f"why an order exists: marketbot explain {first}")
    return "\n".join(lines)


def described_later(count: object) -> str:
    """What is wrong with a backtest of listings that their provider describes only as they are today."""
    return (
        f"{count} listings were first described after the first session and are absent until then: the choice is biased"
    )


def backtest_text(view: Mapping[str, object]) -> str:
    """One line per session, how often each control spoke, and what the range cost."""
    sessions, controls = cast("Rows", view["sessions"]), cast("Rows", view["controls"])
    rows = [
        [
            str(row["session"]),
            str(row["verdict"]),
            _number(row["orders"], "d"),
            _number(row["nav"], ",.0f"),
            _number(row["drawdown"], ".2%"),
            str(row["rung"]),
            _number(row["invested"], ".1%"),
            _number(row["names"], "d"),
            _number(row["buys"], ".2%"),
            _number(row["sells"], ".2%"),
            _number(row["stops"], "d"),
            str(row["shrank"] or "-"),
        ]
        for row in sessions
    ]
    heads = (
        "session",
        "verdict",
        "orders",
        "NAV",
        "drawdown",
        "rung",
        "invested",
        "names",
        "buys",
        "sells",
        "stops",
        "shrank",
    )
    told = [[str(r["control"]), *(_number(r[n], "d") for n in ("warned", "shrank", "rejected")), ""] for r in controls]
    words = {True: "passed", False: "FAILED", None: "not tested"}
    tests = [[n, v, r, words[p]] for n, v, r, p in cast("Sequence[tuple[str, str, str, bool | None]]", view["tests"])]
    return "\n".join(
        [
            str(view["first_line"]),
            *([*_table(("test", "value", "rule", "result"), tests, 4), ""] if tests else []),
            *_table(heads, rows, 2),
            "",
            f"sessions in which each control spoke, of {len(sessions)}:",
            *_table(("control", "warned", "shrank", "rejected", ""), told, 1),
            "",
            str(view["summary"]),
            *([described_later(view["described_later"])] if view["described_later"] else []),
            f"{'partly simulated data and survivors' if view['synthetic'] else 'names as they are today, survivors'}: "
            "a demonstration, not evidence of returns",
        ]
    )
