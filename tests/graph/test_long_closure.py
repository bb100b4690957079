"""Orders that wait for an exchange that is closed for ten days: Tokyo in spring 2019, from April 27th to May 6th."""

import datetime as dt
from pathlib import Path

import pytest
from eventful_world import EventfulPorts, write_mandate
from graph_world import Home

from marketbot_assets.parity_reads import PARITY_DEPS, decided_sessions
from marketbot_assets.parity_runs import Parity
from marketbot_resources.calendars import decision_sessions
from marketbot_resources.model import OrderState
from marketbot_resources.sessions import order_state

pytestmark = [pytest.mark.graph, pytest.mark.long]
FIRST, LAST = dt.date(2019, 4, 23), dt.date(2019, 5, 10)
OPENS_AGAIN = "2019-05-07"


def test_orders_wait_for_tokyo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They stay ours while they wait, fill when it opens again, and no session is halted; the backtest says the same."""
    monkeypatch.setenv("MARKETBOT_MANDATE", str(write_mandate(tmp_path / "mandate.yaml")))
    home = Home(tmp_path / "home")
    days = decision_sessions("XNYS", FIRST, LAST)
    for day in days:
        assert home.run(day.isoformat(), {"ports": EventfulPorts()}), home.end(day.isoformat())
    intents = [entry.body for entry in home.lake.ledger.entries("order_intent")]
    sent = [body for body in intents if body["mic"] == "XTKS" and str(body["session"]) < "2019-05-01"]
    waited = [body for body in sent if str(body["send_until"]) > "2019-05-05"]
    assert waited, "an order waits for more than the three newest batches"
    states = {order_state(home.lake.ledger, str(body["client_order_id"])) for body in waited}
    assert OrderState.FILLED in states
    assert OrderState.ACKED not in states
    for day in days:
        part = day.isoformat()
        assert home.verdict(part) == "APPROVED"
        assert set(home.frame("reconciliation", part)["outcome"]) <= {"match"}
    assert len(home.frame("fills", OPENS_AGAIN)) > 0
    rows = [row for found in Parity(home.lake, PARITY_DEPS).rows(decided_sessions(home.lake.ledger)) for row in found]
    assert [row for row in rows if not row.same] == []
