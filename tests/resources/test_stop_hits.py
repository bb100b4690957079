"""Stops that quotes broke reach the next decision once, and no decision that had its cutoff before."""

import datetime as dt
from pathlib import Path

import pytest

from marketbot_resources.errors import SessionRefused
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.model import QuotedHit
from marketbot_resources.sessions import record_cutoff, record_end
from marketbot_resources.stop_hits import hits_before, record_hits, refuse_decided

MONDAY, TUESDAY, WEDNESDAY = (dt.date(2018, 12, day) for day in (10, 11, 12))
A, B = QuotedHit("A", "RC-62", "84.8", "85"), QuotedHit("B", "RC-63", "42", "42.5")


def cutoff(ledger: SqliteLedger, session: dt.date) -> None:
    record_cutoff(ledger, session, dt.datetime(session.year, session.month, session.day, 23, 15, tzinfo=dt.UTC))


def test_hits_are_heard_by_the_next_decision_alone(tmp_path: Path) -> None:
    """The first telling per name counts; what came after the cutoff waits for the session after."""
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    assert hits_before(ledger, MONDAY) == ()
    cutoff(ledger, MONDAY)
    record_end(ledger, MONDAY, "sent", "")
    record_hits(ledger, TUESDAY, [B])
    record_hits(ledger, TUESDAY, [QuotedHit("B", "RC-63", "41", "42.5"), A])
    assert hits_before(ledger, TUESDAY) == (A, B)
    cutoff(ledger, TUESDAY)
    with pytest.raises(SessionRefused, match="session 2018-12-11: expected quotes before its cutoff"):
        refuse_decided(ledger, TUESDAY)
    record_hits(ledger, WEDNESDAY, [A])
    assert hits_before(ledger, TUESDAY) == (A, B)
    record_end(ledger, TUESDAY, "sent", "")
    refuse_decided(ledger, WEDNESDAY)
    assert hits_before(ledger, WEDNESDAY) == (A,)


def test_a_skipped_session_loses_no_hit(tmp_path: Path) -> None:
    """What quotes broke on a day that was never decided is due on the next one that is."""
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    cutoff(ledger, MONDAY)
    record_end(ledger, MONDAY, "sent", "")
    record_hits(ledger, TUESDAY, [A])
    record_end(ledger, TUESDAY, "skipped", "too late")
    assert hits_before(ledger, WEDNESDAY) == (A,)
