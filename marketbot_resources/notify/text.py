"""What people read: an alert with its runbook entry, many alerts as one digest. Pure; the texts are redacted before they come."""

import hashlib
from collections.abc import Sequence

from marketbot_resources.alert_codes import CODES
from marketbot_resources.alerts import Alert, one_line
from marketbot_resources.notify.port import Message

TITLE_MAX = 150
LINES_MAX = 100


def message_of(alerts: Sequence[Alert], head: tuple[int, str], note: str = "") -> Message:
    """One alert, or a digest of several. `head`: size and root of the ledger, a witness in every mailbox; `note`: why this way."""
    assert alerts, "somebody has something to say"
    tail = f"ledger: {head[0]} entries, root {head[1]}"
    text = _one(alerts[0]) if len(alerts) == 1 else _many(alerts)
    parts = [text, *([note] if note else []), tail]
    return Message(_title(alerts), "\n\n".join(parts), name_of(alerts))


def name_of(alerts: Sequence[Alert]) -> str:
    """The same alerts have the same name."""
    told = "\n".join(sorted(alert.key for alert in alerts))
    return f"marketbot.{hashlib.sha256(told.encode()).hexdigest()[:32]}"


def _title(alerts: Sequence[Alert]) -> str:
    first = alerts[0]
    if len(alerts) == 1:
        return one_line(f"[marketbot] {first.severity.name} {first.code} {first.subject} {first.session}", TITLE_MAX)
    return one_line(f"[marketbot] {first.severity.name} {len(alerts)} alerts, first {first.code}", TITLE_MAX)


def _one(alert: Alert) -> str:
    code = CODES.get(alert.code)
    lines = [alert.message, "", f"session: {alert.session}", f"about: {alert.subject}"]
    if code is not None:
        lines += ["", code.meaning, f"Look here: {code.look}", f"Do this: {code.do}"]
    return "\n".join([*lines, f"docs/runbook.md#{alert.code.lower()}"])


def _many(alerts: Sequence[Alert]) -> str:
    lines = [f"{a.severity.name} {a.code} {a.subject} {a.session}: {one_line(a.message, 200)}" for a in alerts]
    more = [f"and {len(lines) - LINES_MAX} more"] if len(lines) > LINES_MAX else []
    return "\n".join([*lines[:LINES_MAX], *more, "", "What each means: docs/runbook.md"])
