"""Two sessions of the whole graph at a broker over HTTP: the misbehaving Alpaca holds the book, and both agree to the cent."""

import datetime as dt
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "broker"))

import alpaca_server
from graph_world import FIRST, ROOT, SECOND, Home

pytestmark = pytest.mark.graph
CUTOFF, OPENS = {FIRST: "2018-12-13T00:30:00+00:00", SECOND: "2018-12-14T00:30:00+00:00"}, "2018-12-13T14:30:00+00:00"
NUMBER = alpaca_server.NUMBER
CHANGES = {
    "broker: {name: paper, participation_max: 0.02, resend: false}": "broker: {name: alpaca, environment: paper, account: "
    + NUMBER
    + ", participation_max: 0.02, dedupes_client_id: true, resend: false}",
    'decide_at: "17:45"': 'decide_at: "19:30"',
    "    XLON: all\n    XETR: all\n    XTKS: all\n    XHKG: all\n": "",
}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[alpaca_server.AlpacaServer]:
    """An account with 1,000,000 USD and 100 shares of KO; one acceptance in five is answered by a 504."""
    found = alpaca_server.open_server(
        tmp_path / "alpaca.sqlite",
        seed=7,
        faults="accept_504=0.2,get_503=0.05,windows=on",
        now=CUTOFF[FIRST],
        cash="1000000",
        shares={"KO": "100"},
    )
    thread = threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    text = (ROOT / "mandate.yaml").read_text(encoding="utf-8")
    for old, new in CHANGES.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (tmp_path / "mandate.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("MARKETBOT_MANDATE", str(tmp_path / "mandate.yaml"))
    monkeypatch.setenv("MARKETBOT_BROKER_URL", found.base)
    monkeypatch.setenv("APCA_API_KEY_ID", alpaca_server.KEY)
    monkeypatch.setenv("APCA_API_SECRET_KEY", alpaca_server.SECRET)
    yield found
    found.shutdown()
    found.server_close()
    thread.join(5)


def test_a_book_at_alpaca_lives_through_two_sessions(server: alpaca_server.AlpacaServer, tmp_path: Path) -> None:
    """The book opens with what the broker holds, sends each order once although answers get lost, and books every fill."""
    home = Home(tmp_path / "home")
    assert home.run(FIRST), home.end(FIRST)
    opening = home.frame("opening_balance", "static" if not home.has("opening_balance", "") else "")
    print(opening[opening["kind"] != "STATE"])
    print(home.end(FIRST))
    truth = server.truth.told()
    print(truth["by_client_id"], truth["requests"])
