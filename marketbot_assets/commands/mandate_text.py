"""`mandate show`, `approve` and `diff` for people: from the same dictionaries that `--json` prints. Nothing is decided here."""

from collections.abc import Mapping, Sequence

View = dict[str, object]
FILE_SAYS = {
    "first": "nothing is in force yet: the first session takes the file as it is",
    "same": "the file is the mandate in force",
    "neutral": "the file means the same; the next session takes it",
    "tighter": "the file tightens; the next session takes it at once",
    "looser": "the file loosens: no session runs with it before `marketbot mandate approve --reason TEXT`",
}
SESSIONS_SHOWN, ORDERS_SHOWN, CONTROLS_SHOWN = 40, 6, 6


def show_lines(view: View) -> list[str]:
    """What is in force, what the file says, and the history."""
    lines = [
        f"file          {view['path']} (version {view['version']}, {_short(view['file_sha256'])})",
        f"in force      {_short(view['in_force_sha256'])}{_since(view['since'])}",
        f"the file      {FILE_SAYS[str(view['file'])]}",
        *_change_lines(_rows(view["changes"])),
    ]
    for record in _rows(view["records"]):
        told = f"{record['direction']} {_short(record['old_sha256'])} -> {_short(record['new_sha256'])}"
        lines.append(
            f"record {record['n']:<6} from {record['effective_session']}: {told}, {record['changes_count']} keys, "
            f"by {record['operator']}: {record['reason']}"
        )
    return lines


def approve_lines(view: View) -> list[str]:
    """What was recorded."""
    changes = _change_lines(_rows(view["changes"]))
    if not view["needed"]:
        return [*changes, "nothing to approve: the file loosens nothing; the next session takes it as it is"]
    return [
        *changes,
        f"approved and signed (ledger entry {view['entry']}): counts from session {view['effective_session']} on",
    ]


def diff_lines(view: View) -> list[str]:
    """The changes by direction, then the sessions that would have differed."""
    lines = [f"{_short(view['old_sha256'])} -> {_short(view['new_sha256'])}: {view['direction']}"]
    lines += _change_lines(_rows(view["changes"]))
    kept = view["as_stored"]
    if isinstance(kept, list) and kept:
        lines.append(f"not seen below, because data, features, forecasts and book are as stored: {', '.join(kept)}")
    if view["decisions"] == 0:
        return [*lines, "this home has no decisions yet: the mandates alone were compared"]
    lines.append(
        f"{view['differ']} of the last {view['compared']} decisions would have differed "
        f"({view['asked']} asked for, {view['decisions']} in this home)"
    )
    if view["decided_again"]:
        lines.append(
            f"{view['decided_again']} were decided again on both sides: code or environment have changed since"
        )
    found = _rows(view["sessions"])
    for session in found[:SESSIONS_SHOWN]:
        lines += _session_lines(session)
    if len(found) > SESSIONS_SHOWN:
        lines.append(f"and {len(found) - SESSIONS_SHOWN} more; --json names all")
    lines += [f"{row['session']} could not be decided again: {row['reason']}" for row in _rows(view["unread"])]
    return lines


def _session_lines(session: Mapping[str, object]) -> list[str]:
    verdict, counts = _both(session["verdict"]), _both(session["orders_count"])
    lines = [f"{session['session']}  {verdict}, orders {counts}"]
    orders, controls = _rows(session["orders"]), _rows(session["controls"])
    lines += [
        f"    {row['side']:<10} {row['instrument']:<18} {_quantity(row['before'])} -> {_quantity(row['after'])}"
        for row in orders[:ORDERS_SHOWN]
    ]
    lines += [f"    {row['control']}: {row['before']} -> {row['after']}" for row in controls[:CONTROLS_SHOWN]]
    hidden = max(0, len(orders) - ORDERS_SHOWN) + max(0, len(controls) - CONTROLS_SHOWN)
    return [*lines, f"    and {hidden} more"] if hidden else lines


def _change_lines(changes: Sequence[Mapping[str, object]]) -> list[str]:
    order = ("looser", "unknown", "tighter", "neutral")
    rows = sorted(changes, key=lambda row: order.index(str(row["direction"])))
    return [f"  {row['direction']:<8} {row['path']}: {row['old']} -> {row['new']}" for row in rows]


def _both(pair: object) -> str:
    assert isinstance(pair, Mapping)
    return str(pair["before"]) if pair["before"] == pair["after"] else f"{pair['before']} -> {pair['after']}"


def _quantity(order: object) -> str:
    return f"{order['quantity']} at {order['limit_price'] or 'market'}" if isinstance(order, Mapping) else "none"


def _rows(value: object) -> list[Mapping[str, object]]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


def _short(digest: object) -> str:
    return str(digest)[:12] if digest else "none"


def _since(session: object) -> str:
    return f" since session {session}" if session else ""
