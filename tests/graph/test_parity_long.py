"""Parity over a year: every session of a book in an eventful world equals its backtest, in every field, bit for bit."""

from pathlib import Path

import pytest
from eventful_world import EventfulPorts, write_mandate
from graph_world import Home

from marketbot_assets.parity_reads import PARITY_DEPS, decided_sessions
from marketbot_assets.parity_runs import Parity
from marketbot_resources.calendars import decision_sessions
from marketbot_resources.store.resource import session_from_key

pytestmark = [pytest.mark.graph, pytest.mark.long]
FIRST, LAST, COUNT = "2018-10-01", "2019-12-31", 250


def test_a_year_of_events_is_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Splits, dividends, spin-offs, renames, mergers and delistings in four currencies: 250 sessions, ten fields each."""
    monkeypatch.setenv("MARKETBOT_MANDATE", str(write_mandate(tmp_path / "mandate.yaml")))
    home = Home(tmp_path / "home")
    days = decision_sessions("XNYS", session_from_key(FIRST), session_from_key(LAST))[:COUNT]
    for day in days:
        assert home.run(day.isoformat(), {"ports": EventfulPorts()}), home.end(day.isoformat())
    rows = [row for found in Parity(home.lake, PARITY_DEPS).rows(decided_sessions(home.lake.ledger)) for row in found]
    assert [row for row in rows if not row.same] == []
    assert {row.session for row in rows} == set(days)
    sent = [day for day in days if len(home.frame("orders", day.isoformat()))]
    assert len(sent) > COUNT * 2 // 3, "most batches are not empty: a book that is halted is equal, too"
    events = {kind for day in days for kind in home.frame("corporate_actions", day.isoformat())["kind"]}
    assert events >= {"CASH_DIVIDEND", "SPLIT", "DELISTING"}
