"""The misbehaving gateway speaks the recorded shapes, and lives on when its clients do not."""

import json
import subprocess
import sys
from pathlib import Path

import ibkr_wire as wire
import pytest
from broker_truth import Truth
from ibkr_world import IbkrWorld
from paper_world import OPEN, SENT, D, order

from marketbot_resources.broker.ibkr_account import cash_of, open_orders_of, positions_of
from marketbot_resources.broker.ibkr_contracts import listings_of
from marketbot_resources.broker.ibkr_gateway import Json, listed, parsed, record
from marketbot_resources.broker.ibkr_lookup import acknowledged
from marketbot_resources.broker.ibkr_orders import differences, share_leg
from marketbot_resources.errors import BrokerError
from marketbot_resources.model import OrderState, OrderType, Side

SERVER = Path(__file__).with_name("ibkr_server.py")
RECORDED = Path(__file__).parents[3] / "shared" / "data" / "wire" / "ibkr-webapi-ibind" / "responses.json"


def kinds(record: dict) -> dict[str, str]:
    return {name: type(value).__name__ for name, value in record.items() if value is not None}


def compared(ours: dict, theirs: dict) -> None:
    """Every field that we tell is told there, as the same kind of value."""
    assert set(ours) <= set(theirs), sorted(set(ours) - set(theirs))
    told = kinds(theirs)
    assert {n: k for n, k in kinds(ours).items() if n in told} == {n: told[n] for n in kinds(ours) if n in told}


needs_recorded = pytest.mark.skipif(not RECORDED.is_file(), reason="needs ../shared/data/wire beside the project")


def as_answer(value: object) -> Json:
    return parsed(json.dumps(value).encode(), "recorded")


@pytest.mark.shared_data
@needs_recorded
def test_the_recorded_answers_are_read(tmp_path: Path) -> None:
    """P4: numbers as they stand in the recorded bodies, by hand; SAN is three companies on three of these exchanges."""
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    account = "DUMMY_ACCOUNT_ID123"
    place = lambda conid, ticker, exchange, currency: f"{conid}/{ticker}/{exchange}/{currency}"  # noqa: E731
    assert cash_of(record(as_answer(recorded["ledger"]), "ledger")) == {"USD": D("985376.94")}
    page = listed(as_answer(recorded["positions"]), "positions")
    assert positions_of([page], account, place) == {"756733/SPY/ARCA/USD": D(100)}
    orders = [record(each, "order") for each in listed(as_answer(recorded["live_orders"]), "orders")]
    told = open_orders_of(orders, place, lambda order: str(order["order_ref"]))
    assert [order.limit_price for order in told] == [D(453), D(457), D(457), D(458)]
    assert {(order.side, order.remaining, order.instrument) for order in told} == {
        (Side.BUY, D(1), "756733/SPY/ARCA/USD")
    }
    states = [
        acknowledged("x", number, record(as_answer(each), "s")) for number, each in recorded["order_status"].items()
    ]
    assert {answer.state for answer in states} == {OrderState.ACKED}
    stocks = as_answer(recorded["stocks"])
    for ticker, mic, conids in (("AAPL", "XNAS", {265598}), ("SAN", "XNYS", {12442}), ("SAN", "XPAR", {29612249}),
                                ("SAN", "XASX", {199284645}), ("META", "XNAS", {107113386}), ("AAPL", "XNYS", set())):  # fmt: skip
        assert listings_of(stocks, ticker, mic) == conids
    asked = order(limit="457", quantity="1", type=OrderType.LIMIT)
    status = record(as_answer(recorded["order_status"]["1210386759"]), "status")
    assert (
        differences(asked, share_leg(asked, 756733), account, status) == "time in force"
    )  # it is GTC, ours end with the day


@pytest.mark.shared_data
@needs_recorded
def test_it_speaks_the_recorded_shapes(tmp_path: Path) -> None:
    """P4, F03: what the adapter is tested on is what the broker was heard to say."""
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    truth = Truth(tmp_path / "t.sqlite", now=SENT, cash={"USD": "10000"}, shares={"A": "50"})
    ticket = {"conid": 111, "orderType": "LMT", "tif": "DAY", "side": "BUY", "quantity": 1, "price": 457.0, "cOID": "x"}
    row = truth.accept(wire.asked(ticket))
    assert row is not None
    compared(wire.live_order(row), recorded["live_orders"][0])
    compared(wire.order_status(row), next(iter(recorded["order_status"].values())))
    compared(wire.positions(truth)[0], recorded["positions"][0])
    compared(wire.ledger(truth)["USD"], recorded["ledger"]["USD"])
    compared(wire.stocks("A")["A"][0], recorded["stocks"]["AAPL"][0])
    compared(wire.stocks("A")["A"][0]["contracts"][0], recorded["stocks"]["AAPL"][0]["contracts"][0])


def started(state: Path, *more: str) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, str(SERVER), "--state", str(state), *more], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("listening http://127.0.0.1:"), line
    return process, line.split()[1] + "/v1/api"


def ended(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    with process.stdout:  # closed whatever comes, or a later test is blamed for it
        process.terminate()
        process.wait(10)


def test_its_state_outlives_it(tmp_path: Path) -> None:
    """An order that was lost on the way back is found by another client before another server of the same file."""
    state = tmp_path / "truth.sqlite"
    process, address = started(state, "--faults", "accept_silent:1")
    world = IbkrWorld(address, tmp_path / "home")
    try:
        with pytest.raises(BrokerError):
            world.broker.submit(order(), SENT)
    finally:
        world.close()
        ended(process)
    process, address = started(state)
    world = IbkrWorld(address, tmp_path / "home")
    try:
        world.pass_to(OPEN)
        world.control(do="fill", name="o1", qty="100", price="10")
        found = world.broker.find("o1")
        assert found is not None
        assert found.state is OrderState.FILLED
        assert world.broker.report(SENT, OPEN).positions == {"A": D(150)}
    finally:
        world.close()
        ended(process)
