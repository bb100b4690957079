"""Sessions of the whole graph at a broker over HTTP: the misbehaving Alpaca holds the book, and both agree to the cent."""

import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import dagster as dg
import pytest

sys.path.append(str(Path(__file__).parents[1] / "broker"))

import alpaca_server
from broker_home import BrokersClock, at_broker, serving, told, write_mandate
from graph_world import FIRST, SECOND, Home

from marketbot_assets.automation_orders import order_sensor
from marketbot_resources.store.index import STATIC
from marketbot_resources.store.resource import StoreResource
from marketbot_resources.wiring import MandateResource

pytestmark = [pytest.mark.graph, pytest.mark.long]
STARTS = {
    FIRST: "2018-12-13T00:40:00+00:00",
    SECOND: "2018-12-14T00:40:00+00:00",
}  # ten minutes after 19:30 in New York
EVENING, WINDOW, OPENS = "2018-12-12T22:50:00+00:00", "2018-12-13T00:00:00+00:00", "2018-12-13T14:30:00+00:00"
BROKER = (
    f"{{name: alpaca, environment: paper, account: {alpaca_server.NUMBER}, participation_max: 0.02, "
    "dedupes_client_id: true, resend: false}"
)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[alpaca_server.AlpacaServer]:
    """An account with 1,000,000 USD and 100 shares of KO; one acceptance in five is answered by a 504."""
    faults = "accept_504=0.2,get_503=0.05,windows=on"
    found = alpaca_server.open_server(
        tmp_path / "alpaca.sqlite", seed=7, faults=faults, now=EVENING, cash="1000000", shares={"KO": "100"}
    )
    monkeypatch.setenv("MARKETBOT_BROKER_URL", found.base)
    monkeypatch.setenv("APCA_API_KEY_ID", alpaca_server.KEY)
    monkeypatch.setenv("APCA_API_SECRET_KEY", alpaca_server.SECRET)
    with serving(found):
        yield found


def pass_to(server: alpaca_server.AlpacaServer, at: str) -> None:
    server.control({"do": "pass_to", "at": at})


def fill_all(server: alpaca_server.AlpacaServer, until: str) -> None:
    """The next auction fills every order at its limit."""
    for order in server.truth.orders():
        price = order["limit_price"]
        server.control({"do": "print", "at": OPENS, "symbol": order["symbol"], "price": price, "volume": "1000000"})
    pass_to(server, until)
    assert {order["status"] for order in server.truth.orders()} == {"filled"}


def agrees(home: Home, server: alpaca_server.AlpacaServer) -> None:
    """The book of the second session is what the broker holds."""
    truth = server.truth
    assert home.end(SECOND).state == "sent", home.end(SECOND)
    assert told(home, "positions", SECOND, "CASH") == {"USD": truth.cash()}
    assert sorted(told(home, "positions", SECOND, "POSITION").values()) == sorted(truth.positions().values())
    assert len(home.frame("fills", SECOND)) == len(truth.fills())
    assert set(home.frame("reconciliation", SECOND)["outcome"]) == {"match"}


def test_a_book_at_alpaca_lives_through_two_sessions(
    server: alpaca_server.AlpacaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The book opens with what the broker holds, sends each order once although answers get lost, and books every fill."""
    monkeypatch.setenv("MARKETBOT_MANDATE", str(write_mandate(tmp_path / "mandate.yaml", BROKER, "19:30")))
    home, ports = Home(tmp_path / "home"), at_broker(server.base)
    pass_to(server, STARTS[FIRST])
    assert home.run(FIRST, ports)
    assert home.end(FIRST).state == "sent", home.end(FIRST)
    opening = home.frame("opening_balance", STATIC)
    assert told(home, "opening_balance", STATIC, "CASH") == {"USD": Decimal(1000000)}
    assert list(told(home, "opening_balance", STATIC, "POSITION").values()) == [Decimal(100)]
    assert opening.loc[opening["item"] == "lot.entry_price", "number"].tolist() == [8.5], (
        "what alpaca says that it cost"
    )
    sent = home.frame("orders", FIRST)
    came = server.truth.told()["by_client_id"]
    assert came == {name: 1 for name in sent["client_order_id"]}
    assert len(came) > 3
    fill_all(server, STARTS[SECOND])
    assert home.run(SECOND, ports)
    agrees(home, server)


def sensed(home: Home, address: str, monkeypatch: pytest.MonkeyPatch) -> dg.RunRequest | str:
    """What the sensor asks for now, or why it asks for nothing."""
    monkeypatch.setenv("MARKETBOT_HOME", str(home.path))
    with dg.DagsterInstance.ephemeral() as instance:
        resources = {
            "store": StoreResource(),
            "mandate_file": MandateResource(),
            "clock": BrokersClock(address=address),
        }
        found = order_sensor(dg.build_sensor_context(instance=instance, resources=resources))
    assert isinstance(found, dg.RunRequest | dg.SkipReason)
    return found if isinstance(found, dg.RunRequest) else str(found.skip_message)


def test_orders_decided_before_their_window_wait_for_it(
    server: alpaca_server.AlpacaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decided at 17:50, taken from 19:00 on: the sensor starts submissions alone, once, and the session ends as sent."""
    monkeypatch.setenv("MARKETBOT_MANDATE", str(write_mandate(tmp_path / "mandate.yaml", BROKER, "17:45")))
    home, ports = Home(tmp_path / "home"), at_broker(server.base)
    assert home.run(FIRST, ports)
    frame = home.frame("submissions", FIRST)
    assert len(frame) > 3
    assert set(frame["state"]) == {"APPROVED"}
    assert server.truth.told()["by_client_id"] == {}
    assert home.lake.ledger.get("session_end", FIRST) is None
    assert isinstance(sensed(home, server.base, monkeypatch), str), "the window is ahead"
    pass_to(server, WINDOW)
    due = sensed(home, server.base, monkeypatch)
    assert isinstance(due, dg.RunRequest)
    assert (due.job_name, due.partition_key) == ("later_window", FIRST)
    assert home.run(FIRST, ports, str(due.job_name))
    assert home.end(FIRST).state == "sent", home.end(FIRST)
    assert server.truth.told()["by_client_id"] == {name: 1 for name in frame["client_order_id"]}
    assert set(home.frame("submissions", FIRST)["state"]) == {"ACKED"}
    again = sensed(home, server.base, monkeypatch)
    assert isinstance(again, dg.RunRequest)
    assert again.job_name == "order_following"
    fill_all(server, "2018-12-13T22:50:00+00:00")
    assert home.run(SECOND, ports)
    assert home.lake.ledger.get("session_end", FIRST) is not None
    assert told(home, "positions", SECOND, "CASH") == {"USD": server.truth.cash()}
    assert set(home.frame("reconciliation", SECOND)["outcome"]) == {"match"}
