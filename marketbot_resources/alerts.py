"""What an alert is: how severe, of what, to whom it may wait. Pure.

Not here: the table of codes, from which the runbook is made (`alert_codes`); what raises one (`alert_detection`); sending
(`delivery`, `notify`).
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from marketbot_resources.errors import LedgerError
from marketbot_resources.ledger.record import Entry, Json

KIND, SENT, FAILED, HEARTBEAT = "alert", "alert_sent", "alert_failed", "heartbeat"
MESSAGE_MAX, SUBJECT_MAX = 600, 120
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]+")


class Severity(IntEnum):
    """How much it matters. CRITICAL: trading has stopped or money may be at risk; ERROR: someone has to act; WARN: look."""

    INFO = 0
    WARN = 1
    ERROR = 2
    CRITICAL = 3


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of alert, with what a reader of the runbook needs."""

    name: str
    severity: Severity
    meaning: str
    look: str
    do: str


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. `subject`: what it is about, a control, an order, a step; `session`: ISO date of the session, or UTC day.

    The same (code, subject, session) is the same alert, whatever it says: it is told once.
    """

    code: str
    severity: Severity
    subject: str
    session: str
    message: str

    @property
    def key(self) -> str:
        """code/subject/session."""
        return f"{self.code}/{self.subject}/{self.session}"

    def body(self) -> dict[str, Json]:
        """Its entry in the ledger, without an instant: who finds it again says the same."""
        return {
            "code": self.code,
            "severity": self.severity.name,
            "subject": self.subject,
            "session": self.session,
            "message": self.message,
        }


def one_line(text: str, longest: int) -> str:
    """Text from anywhere as one line of at most so many characters."""
    line = _CONTROL.sub(" ", text).strip()
    return line if len(line) <= longest else line[: longest - 3] + "..."


def subject_of(text: str) -> str:
    """A subject that fits into a key: long ones end with a hash instead, so that two stay two."""
    line = _CONTROL.sub(" ", text).replace("/", "|").strip() or "-"
    if len(line) <= SUBJECT_MAX:
        return line
    return f"{line[: SUBJECT_MAX - 13]}~{hashlib.sha256(line.encode()).hexdigest()[:12]}"


def alert_of(entry: Entry) -> Alert:
    """The alert of an entry. Raises LedgerError for one that is none."""
    body: Mapping[str, Json] = entry.body
    try:
        words = [str(body[name]) for name in ("code", "subject", "session", "message")]
        return Alert(words[0], Severity[str(body["severity"])], words[1], words[2], words[3])
    except KeyError as error:
        raise LedgerError(f"alert {entry.key}: expected code, severity, subject, session and message") from error


def told_in(entry: Entry) -> tuple[str, ...]:
    """Keys of the alerts that an entry `alert_sent` or `alert_failed` is about: a digest is about many."""
    told = entry.body.get("alerts")
    return tuple(str(key) for key in told) if isinstance(told, list) else ()
