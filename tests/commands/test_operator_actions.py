"""What an operator did counts for the next session alone, and only a resume re-arms."""

import datetime as dt
from pathlib import Path

from marketbot_resources.broker.account import operator_actions
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.sqlite import SqliteLedger

MONDAY, TUESDAY, WEDNESDAY = dt.date(2018, 12, 10), dt.date(2018, 12, 11), dt.date(2018, 12, 12)


def act(ledger: Ledger, n: int, action: str, reason: str) -> None:
    ledger.append("operator_action", f"{n:06d}", {"operator": "cli", "action": action, "reason": reason, "n": n})


def cutoff(ledger: Ledger, session: dt.date) -> None:
    body = {"session": session.isoformat(), "cutoff_at": f"{session.isoformat()}T23:15:00Z"}
    ledger.append("session_cutoff", session.isoformat(), body)


def test_a_halt_is_no_rearm(tmp_path: Path) -> None:
    """A halt says stop; only the resume after it is handed to the session."""
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    cutoff(ledger, MONDAY)
    act(ledger, 1, "halt", "a doubt")
    assert operator_actions(ledger, TUESDAY) == ()
    act(ledger, 2, "resume", "no doubt")
    assert operator_actions(ledger, TUESDAY) == ("cli: no doubt",)


def test_an_action_counts_once(tmp_path: Path) -> None:
    """What came before a session's cutoff is seen by that session, what came after it by the next, never by both."""
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    cutoff(ledger, MONDAY)
    act(ledger, 1, "resume", "before")
    cutoff(ledger, TUESDAY)
    act(ledger, 2, "resume", "after")
    assert operator_actions(ledger, TUESDAY) == ("cli: before",)
    assert operator_actions(ledger, WEDNESDAY) == ("cli: after",)
