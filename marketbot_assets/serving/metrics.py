"""Numbers for Prometheus, as its text format 0.0.4. Pure. Not here: who may read them (`routes`)."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

View = Mapping[str, object]
Sample = tuple[Mapping[str, str], float]


def metrics_text(view: View, answers: Mapping[int, int], seconds: float) -> str:
    """The status as numbers, and what this server answered since it began. A number that is not known is left out."""
    ledger, book = cast("View", view["ledger"]), cast("View", view["book"] or {})
    halt, sessions = cast("View", view["halt"]), cast("View", view["sessions"] or {})
    limits = cast("Sequence[View]", view["limits"] or ())
    families: list[tuple[str, str, str, Iterable[Sample]]] = [
        ("ledger_entries", "gauge", "entries of the ledger", _one(ledger["size"])),
        ("ledger_whole", "gauge", "1 while the ledger's chain holds", _one(ledger["whole"])),
        ("fine", "gauge", "1 while nobody has to act before the next session", _one(view["fine"])),
        ("halted", "gauge", "1 while the halt flag is not off", _one(halt["status"] != "off")),
        ("nav_base", "gauge", "net asset value, base currency", _one(book.get("nav"))),
        ("drawdown", "gauge", "drawdown of the ladder, fraction", _one(book.get("drawdown"))),
        ("drawdown_inception", "gauge", "drawdown from inception, fraction", _one(book.get("drawdown_inception"))),
        ("risk_multiple", "gauge", "what the ladder leaves of the risk, fraction", _one(book.get("multiple"))),
        ("invested", "gauge", "share of NAV in positions", _one(book.get("invested"))),
        ("positions", "gauge", "positions held", _one(book.get("positions"))),
        ("open_orders", "gauge", "orders sent and not ended", _many(view["open_orders"])),
        ("orders_in_doubt", "gauge", "orders without an answer", _many(view["in_doubt_orders"])),
        ("breaches", "gauge", "breaches in the register", _many(view["breaches"])),
        ("run_failed", "gauge", "1 while the newest run failed", _one(view["failure"] is not None)),
        ("last_session", "gauge", "the last session as its label", _session(sessions)),
        ("limit_used", "gauge", "share of the tightest limits in use, 1 is at the bound", _limits(limits)),
        ("http_answers_total", "counter", "answers since the start", _answers(answers)),
        ("http_seconds_total", "counter", "time spent on answers", _one(seconds)),
    ]
    lines: list[str] = []
    for name, kind, told, samples in families:
        own = [_line(f"marketbot_{name}", labels, value) for labels, value in samples if math.isfinite(value)]
        lines += [f"# HELP marketbot_{name} {told}", f"# TYPE marketbot_{name} {kind}", *own] if own else []
    return "\n".join(lines) + "\n"


def _one(value: object) -> list[Sample]:
    return [({}, float(value))] if isinstance(value, bool | int | float) else []


def _many(value: object) -> list[Sample]:
    return [({}, float(len(value)))] if isinstance(value, list) else []


def _session(sessions: View) -> list[Sample]:
    last = sessions.get("last")
    return [({"session": str(last), "state": str(sessions["last_state"])}, 1.0)] if last else []


def _limits(rows: Sequence[View]) -> list[Sample]:
    """The most used bound of each control: a label that names orders would grow without end."""
    used: dict[str, float] = {}
    for row in rows:
        control, share = str(row["control"]), float(cast("float", row["used"]))
        used[control] = max(share, used.get(control, share))
    return [({"control": control}, used[control]) for control in sorted(used)]


def _answers(answers: Mapping[int, int]) -> list[Sample]:
    return [({"status": str(status)}, float(answers[status])) for status in sorted(answers)]


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{inside}}} {value:.17g}" if inside else f"{name} {value:.17g}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
