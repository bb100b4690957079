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
from graph_world import FIRST, ROOT, SECOND, EditedPorts, Home

from marketbot_resources.store.index import STATIC

# the sample world's price steps are finer than a cent, as its closes are back-adjusted
CENTS = {"ports": EditedPorts(kind="instruments", edits=[["*", "*", "tick_size", "0.01"]])}
pytestmark = [pytest.mark.graph, pytest.mark.long]
CUTOFF, OPENS = {FIRST: "2018-12-13T01:00:00+00:00", SECOND: "2018-12-14T01:00:00+00:00"}, "2018-12-13T14:30:00+00:00"
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


def told(home: Home, asset: str, session: str, kind: str) -> dict[str, Decimal]:
    """Shares or cash per key of a frame of the book."""
    frame = home.frame(asset, session)
    rows = frame[frame["kind"] == kind]
    column = "amount" if kind == "CASH" else "quantity"
    return dict(zip(rows["key"] if "key" in rows else rows["item"], rows[column], strict=True))


def test_a_book_at_alpaca_lives_through_two_sessions(server: alpaca_server.AlpacaServer, tmp_path: Path) -> None:
    """The book opens with what the broker holds, sends each order once although answers get lost, and books every fill."""
    home, truth = Home(tmp_path / "home"), server.truth
    assert home.run(FIRST, CENTS)
    assert home.end(FIRST).state == "sent", home.end(FIRST)
    opening = home.frame("opening_balance", STATIC)
    assert told(home, "opening_balance", STATIC, "CASH") == {"USD": Decimal(1000000)}
    assert list(told(home, "opening_balance", STATIC, "POSITION").values()) == [Decimal(100)]
    assert opening.loc[opening["item"] == "lot.entry_price", "number"].tolist() == [8.5], (
        "what alpaca says that it cost"
    )
    sent = home.frame("orders", FIRST)
    came = truth.told()["by_client_id"]
    assert came == {name: 1 for name in sent["client_order_id"]}
    assert len(came) > 3
    for order in truth.orders():
        price = order["limit_price"]
        server.control({"do": "print", "at": OPENS, "symbol": order["symbol"], "price": price, "volume": "1000000"})
    truth.pass_to(dt.datetime.fromisoformat(CUTOFF[SECOND]))
    assert {order["status"] for order in truth.orders()} == {"filled"}
    assert home.run(SECOND, CENTS)
    assert home.end(SECOND).state == "sent", home.end(SECOND)
    assert told(home, "positions", SECOND, "CASH") == {"USD": truth.cash()}
    shares = told(home, "positions", SECOND, "POSITION")
    assert sorted(shares.values()) == sorted(truth.positions().values())
    assert len(home.frame("fills", SECOND)) == len(truth.fills())
    assert set(home.frame("reconciliation", SECOND)["outcome"]) == {"match"}
