"""Alpaca's adapter over HTTP beyond the contract: bodies, echoes, errors of an order, pages, keys, texts."""

import dataclasses
import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import alpaca_server
import pytest
from alpaca_wire import recorded
from alpaca_world import AlpacaWorld
from paper_world import CLOSED, MINUTE, OPEN, OPENED, SENT, D, mandate, order

from marketbot_assets.commands import doctor
from marketbot_resources.alpaca_terms import ALPACA_CAPABILITIES
from marketbot_resources.broker.alpaca import AlpacaBroker, open_alpaca
from marketbot_resources.broker.alpaca_orders import body_of, differs
from marketbot_resources.broker.http import Seen
from marketbot_resources.broker.wire_log import WireLog
from marketbot_resources.clock import machine_now
from marketbot_resources.errors import BrokerError, HomeError
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import TERMINAL_STATES, Order, OrderState, OrderType, Side


@pytest.fixture
def world(tmp_path: Path) -> Iterator[AlpacaWorld]:
    one = AlpacaWorld(tmp_path)
    yield one
    one.close()


def test_the_capabilities_of_this_world_are_alpacas(world: AlpacaWorld) -> None:
    """Ids are taken twice until the mandate says otherwise: sources disagree."""
    assert dataclasses.replace(ALPACA_CAPABILITIES, dedupes_client_id=False) == world.broker.capabilities


PRICED = {"stop_price": D("9.50"), "take_profit": D("12"), "trail": D("0.05")}
BODIES: dict[OrderType, dict[str, object]] = {
    OrderType.LIMIT_ON_OPEN: {"type": "limit", "time_in_force": "opg", "limit_price": "10.50"},
    OrderType.MARKET_ON_OPEN: {"type": "market", "time_in_force": "opg"},
    OrderType.LIMIT_ON_CLOSE: {"type": "limit", "time_in_force": "cls", "limit_price": "10.50"},
    OrderType.MARKET_ON_CLOSE: {"type": "market", "time_in_force": "cls"},
    OrderType.LIMIT: {"type": "limit", "time_in_force": "day", "limit_price": "10.50"},
    OrderType.MARKET: {"type": "market", "time_in_force": "day"},
    OrderType.STOP: {"type": "stop", "time_in_force": "day", "stop_price": "9.50"},
    OrderType.STOP_LIMIT: {"type": "stop_limit", "time_in_force": "day", "limit_price": "10.50", "stop_price": "9.50"},
    OrderType.TRAILING_STOP: {"type": "trailing_stop", "time_in_force": "day", "trail_percent": "5"},
    OrderType.BRACKET: {
        "type": "limit",
        "time_in_force": "day",
        "limit_price": "10.50",
        "order_class": "bracket",
        "take_profit": {"limit_price": "12.00"},
        "stop_loss": {"stop_price": "9.50"},
    },
}


def typed(kind: OrderType, **more: object) -> Order:
    return dataclasses.replace(order(type=kind), **{**PRICED, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", list(OrderType), ids=str)
def test_every_type_goes_over_the_wire_as_documented(kind: OrderType, world: AlpacaWorld) -> None:
    """Auctions are opg and cls, the rest day orders; the server takes each and the echo is verified."""
    common = {"symbol": "AAA", "qty": "100", "side": "buy", "client_order_id": "o1"}
    assert body_of(typed(kind), "AAA") == {**common, **BODIES[kind]}
    assert world.broker.submit(typed(kind), SENT).state is OrderState.ACKED
    assert world.reopened().find("o1") is not None


@pytest.mark.parametrize(
    ("price", "sent"), [("10.5", "10.50"), ("1", "1.00"), ("0.9999", "0.9999"), ("0.5", "0.5000"), ("1234", "1234.00")]
)
def test_prices_have_the_decimals_of_their_size(price: str, sent: str) -> None:
    """RC-16: two decimals from 1 USD on, four below."""
    assert body_of(order(limit=price), "AAA")["limit_price"] == sent


@pytest.mark.parametrize(
    "made",
    [
        order(limit="10.505"),
        order(limit="0.99999"),
        typed(OrderType.STOP, stop_price=D("9.505")),
        typed(OrderType.STOP, stop_price=None),
        typed(OrderType.TRAILING_STOP, trail=D(1)),
        typed(OrderType.BRACKET, take_profit=None),
        order(quantity="NaN"),
        order(limit="Infinity"),
        order(quantity="1.5"),
        typed(OrderType.LIMIT, quantity=D("0.0000000001")),
        order(instrument="NEW"),
        order(mic="XNAS"),
    ],
    ids=lambda one: f"{one.type}-{one.quantity}-{one.limit_price}-{one.stop_price}-{one.trail}-{one.mic}",
)
def test_what_alpaca_would_refuse_is_not_sent(made: Order, world: AlpacaWorld) -> None:
    """F10: sub-penny, odd parts and missing prices are dropped with a reason, without a request."""
    answer = world.broker.submit(made, SENT)
    assert (answer.state, bool(answer.reason)) == (OrderState.REJECTED, True)
    assert world.requests() == 0


def test_parts_of_a_share_are_day_orders(world: AlpacaWorld) -> None:
    """A fraction goes as a day order."""
    assert world.broker.submit(typed(OrderType.LIMIT, quantity=D("1.5")), SENT).state is OrderState.ACKED
    assert world.told()["orders"][0]["qty"] == "1.5"


@pytest.mark.parametrize("number", range(len(recorded())))
def test_each_recorded_error_refuses_and_leaves_no_order(number: int, world: AlpacaWorld) -> None:
    """P6: a business refusal is REJECTED with its word; the order was asked for once more by its id."""
    world.do(do="next", faults=[f"reject:{number}"])
    answer = world.broker.submit(order(), SENT)
    assert answer.state is OrderState.REJECTED
    assert str(recorded()[number][0]) in answer.reason
    assert world.told()["orders"] == []
    assert world.requests() == 1


@pytest.mark.parametrize("number", range(len(recorded())))
def test_an_error_although_the_order_is_live_is_no_refusal(number: int, world: AlpacaWorld) -> None:
    """An order POST may answer an error although the order exists: then it is what Alpaca says it is."""
    world.do(do="next", faults=[f"error_live:{number}"])
    answer = world.broker.submit(order(), SENT)
    assert answer.state is OrderState.ACKED
    assert len(world.told()["orders"]) == 1


@pytest.mark.parametrize(
    "fault", ["accept_504", "accept_reset", "truncate", "html", "lose", "lose_504", "late", "rate_limit"]
)
def test_silence_and_nonsense_are_never_an_answer(fault: str, world: AlpacaWorld) -> None:
    """P6: timeout, reset, 429, 5xx, bad JSON: BrokerError after exactly one POST."""
    world.do(do="next", faults=[fault])
    with pytest.raises(BrokerError):
        world.broker.submit(order(), SENT)
    assert world.requests() == 1


@pytest.mark.parametrize(("fault", "reason"), [("mangle", "another order: qty 101"), ("weird", "unmapped status")])
def test_an_echo_that_is_not_the_order_is_unknown(fault: str, reason: str, world: AlpacaWorld) -> None:
    """P6: 2xx counts after id, symbol, quantity, side, limit and type were compared."""
    world.do(do="next", faults=[fault])
    answer = world.broker.submit(order(), SENT)
    assert answer.state is OrderState.UNKNOWN
    assert reason in answer.reason


@pytest.mark.parametrize(
    ("field", "value"),
    [("symbol", "AAB"), ("side", "sell"), ("type", "market"), ("time_in_force", "day"), ("qty", "99"),
     ("limit_price", "10.51"), ("limit_price", None), ("stop_price", "1"), ("trail_percent", "1")],
)  # fmt: skip
def test_every_field_of_an_echo_counts(field: str, value: str | None) -> None:
    """Each alone makes another order of it."""
    row = {**body_of(order(), "AAA"), "stop_price": None, "trail_percent": None}
    assert differs(row, order(), "AAA") == ""
    assert differs({**row, field: value}, order(), "AAA").startswith(field)


def test_an_answer_echoes_the_order_in_our_words(world: AlpacaWorld) -> None:
    """Another process, which did not send the order, can compare it: P7."""
    world.broker.submit(order(), SENT)
    found = world.reopened().find("o1")
    assert found is not None
    assert (found.instrument, found.side, found.quantity, found.limit_price) == ("A", Side.BUY, D(100), D("10.50"))


def test_reads_are_asked_again_and_a_report_survives(tmp_path: Path) -> None:
    """GETs meet 503, 429 and cut bodies; a report is right or an error, never something else."""
    world = AlpacaWorld(tmp_path, faults="get_503=0.2,get_429=0.1")
    world.broker.submit(order(), SENT)
    for _ in range(5):
        try:
            report = world.broker.report(OPENED, SENT + MINUTE)
        except BrokerError:
            continue
        assert (dict(report.positions), len(report.open_orders)) == ({"A": D(50)}, 1)
    world.close()


def test_a_cut_report_is_an_error(tmp_path: Path) -> None:
    """Half a body is no account."""
    world = AlpacaWorld(tmp_path, faults="get_truncate=1")
    with pytest.raises(BrokerError, match="JSON"):
        world.broker.report(OPENED, SENT)
    with pytest.raises(BrokerError, match="JSON"):
        world.broker.find("o1")
    world.close()


def test_long_histories_come_in_pages(world: AlpacaWorld) -> None:
    """230 executions of one order are three pages; each is told once."""
    world.broker.submit(order(quantity="230", limit="10"), SENT)
    for _ in range(230):
        world.do(do="fill", client_order_id="o1", qty="1", price="10")
    report = world.broker.report(OPENED, CLOSED)
    assert len({fill.execution_id for fill in report.executions}) == len(report.executions) == 230
    assert report.cash == {"USD": D(7700)}
    assert report.positions == {"A": D(280)}


def test_the_account_of_an_earlier_instant_is_taken_back_to_it(world: AlpacaWorld) -> None:
    """What filled and was paid after the cutoff belongs to the next session."""
    world.price(10.0)
    world.broker.submit(order(), SENT)
    world.pass_to(OPEN + MINUTE)
    world.dividend("1")
    early = world.broker.report(OPENED, OPEN - MINUTE)
    assert (dict(early.cash), dict(early.positions), early.executions, early.events) == (
        {"USD": D(10000)},
        {"A": D(50)},
        (),
        (),
    )
    late = world.broker.report(OPEN - MINUTE, OPEN + 2 * MINUTE)
    assert (dict(late.cash), dict(late.positions)) == ({"USD": D(9050)}, {"A": D(150)})


def test_what_is_not_ours_keeps_alpacas_name(world: AlpacaWorld) -> None:
    """F09: a position and an order that were made by hand are reported, not dropped."""
    world.do(do="event", kind="JNLS", symbol="ZZZ", amount="0", qty="7")
    report = world.broker.report(OPENED, CLOSED)
    assert report.positions == {"A": D(50), "ALPACA:ZZZ": D(7)}
    assert [(e.kind, e.quantity) for e in report.events] == [("TRANSFER", D(7))]


KINDS = {"DIV": "DIVIDEND", "DIVNRA": "TAX", "FEE": "FEE", "INT": "INTEREST", "SPLIT": "SPLIT", "SPIN": "SPIN_OFF",
         "MA": "MERGER", "CSD": "TRANSFER", "NC": "OTHER", "SOMETHING": "OTHER"}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_activity_has_a_kind(kind: str, world: AlpacaWorld) -> None:
    """Cash that no order moved is an event, whatever Alpaca calls it; the books agree to the cent."""
    world.do(do="event", kind=kind, symbol="AAA", amount="-1.23")
    report = world.broker.report(OPENED, CLOSED)
    assert [(e.kind, e.instrument, e.amount) for e in report.events] == [(KINDS[kind], "A", D("-1.23"))]
    assert report.cash == {"USD": D("9998.77")}


def test_canceling_what_is_pending_says_that_it_still_works(world: AlpacaWorld) -> None:
    """A cancel that Alpaca has not carried out yet is told as a working order."""
    world.broker.submit(order(), SENT)
    world.do(do="status", client_order_id="o1", status="pending_cancel")
    answer = world.broker.cancel("o1", SENT)
    assert answer is not None
    assert answer.state is OrderState.ACKED
    assert answer.state not in TERMINAL_STATES


def test_auctions_have_their_windows(tmp_path: Path) -> None:
    """An opening order is taken from 19:00 New York on; before, Alpaca refuses it in words that we know."""
    world = AlpacaWorld(tmp_path, faults="windows=on")
    refused = world.broker.submit(order(), SENT)  # 18:16 in New York
    assert (refused.state, refused.reason[:14]) == (OrderState.REJECTED, "AUCTION_WINDOW")
    world.pass_to(dt.datetime(2018, 12, 11, 0, 0, tzinfo=dt.UTC))
    assert world.broker.submit(order(number="2"), SENT).state is OrderState.ACKED
    world.close()


def test_short_positions_are_negative(world: AlpacaWorld) -> None:
    """Alpaca says side short; our shares are signed."""
    world.do(do="event", kind="JNLS", symbol="AAA", amount="0", qty="-60")
    assert world.broker.report(OPENED, CLOSED).positions == {"A": D(-10)}


def test_average_costs_are_told(world: AlpacaWorld) -> None:
    """Entry prices for the opening balance of a live book."""
    assert world.broker.report(OPENED, SENT).average_price == {"A": Decimal("8.5")}
    world.price(10.0)
    world.broker.submit(order(), SENT)
    world.pass_to(OPEN)
    assert world.broker.report(OPENED, OPEN - MINUTE).average_price == {}, "it is of now, not of then"


# --- keys and evidence ---


def live_mandate(environment: str = "paper", account: str = alpaca_server.NUMBER) -> Mandate:
    base = mandate()
    broker = base.broker.model_copy(update={"name": "alpaca", "environment": environment, "account": account})
    return base.model_copy(update={"broker": broker})


def keyed(monkeypatch: pytest.MonkeyPatch, key: str = alpaca_server.KEY) -> None:
    monkeypatch.setenv("APCA_API_KEY_ID", key)
    monkeypatch.setenv("APCA_API_SECRET_KEY", alpaca_server.SECRET)


def test_it_opens_from_a_mandate_and_keeps_the_wire(
    world: AlpacaWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """open_alpaca: keys of the environment, another address on this machine, evidence without keys."""
    keyed(monkeypatch)
    monkeypatch.setenv("MARKETBOT_BROKER_URL", world.server.base)
    broker = open_alpaca(live_mandate(), tmp_path / "home")
    assert isinstance(broker, AlpacaBroker)
    report = broker.report(OPENED, SENT)
    assert (report.environment, report.cash) == ("paper", {"USD": D(10000)})
    assert report.positions == {"ALPACA:AAA": D(50)}, "a home without listings knows no instrument"
    rows = WireLog(tmp_path / "home", "alpaca").rows()
    assert {row[0] for row in rows} == {"GET"}
    assert alpaca_server.SECRET not in str(rows)
    assert alpaca_server.KEY not in str(rows)


def test_doctor_asks_the_broker_for_its_state(
    world: AlpacaWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is missing is said before anything is run; no order endpoint is touched."""
    text = (Path(__file__).parents[2] / "examples" / "alpaca" / "mandate.yaml").read_text(encoding="utf-8")
    path = tmp_path / "mandate.yaml"
    path.write_text(text.replace("PA0000000000", alpaca_server.NUMBER), encoding="utf-8")
    keyed(monkeypatch)
    monkeypatch.setenv("MARKETBOT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    monkeypatch.setenv("MARKETBOT_MANDATE", str(path))
    monkeypatch.setenv("MARKETBOT_BROKER_URL", world.server.base)
    (late,) = [found for found in doctor.examine() if found.name == "broker alpaca"]
    assert (late.good, late.found.startswith("RC-83: expected a clock within 30 s of ours")) == (False, True)
    world.pass_to(machine_now())
    (good,) = [found for found in doctor.examine() if found.name == "broker alpaca"]
    assert good.good, good.found
    assert good.found.startswith("paper money, 1 positions, 0 open orders, clock ")
    assert world.requests() == 0
    path.write_text(text, encoding="utf-8")
    (bad,) = [found for found in doctor.examine() if found.name == "broker alpaca"]
    assert (bad.good, "account that the mandate names" in bad.found) == (False, True)


@pytest.mark.parametrize(
    ("environment", "key"), [("paper", "AKLIVE000000000001"), ("live", alpaca_server.KEY), ("live", "XX")]
)
def test_keys_of_the_other_environment_are_refused_before_any_request(
    environment: str, key: str, world: AlpacaWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RC-82: nothing is asked with a key that does not belong to the mandate's environment, and the key is not shown."""
    keyed(monkeypatch, key)
    monkeypatch.setenv("MARKETBOT_BROKER_URL", world.server.base)
    with pytest.raises(BrokerError, match="RC-82") as error:
        open_alpaca(live_mandate(environment), tmp_path)
    assert key not in str(error.value)
    assert world.told()["requests"] == {}


def test_without_keys_it_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that cannot start says why."""
    for name in ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(HomeError, match="APCA_API_KEY_ID and APCA_API_SECRET_KEY"):
        open_alpaca(live_mandate(), tmp_path)


def test_paper_money_is_not_taken_for_live_money(world: AlpacaWorld) -> None:
    """An account number of paper behind the live environment is refused, for reports and orders alike."""
    broker = world.opened(environment="live")
    with pytest.raises(BrokerError, match="live money"):
        broker.report(OPENED, SENT)
    with pytest.raises(BrokerError, match="live money"):
        broker.submit(order(), SENT)
    assert world.requests() == 0


def test_wrong_keys_refuse_an_order_and_stop_a_report(world: AlpacaWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """401: no report, so no order either."""
    monkeypatch.setattr(alpaca_server, "SECRET", "changed")
    with pytest.raises(BrokerError, match="401"):
        world.broker.report(OPENED, SENT)
    with pytest.raises(BrokerError, match="401"):
        world.broker.submit(order(), SENT)


def test_answers_that_say_a_secret_are_masked(world: AlpacaWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """S9: what comes back passes the redactor before it may reach a ledger or a log."""
    monkeypatch.setenv("APCA_API_SECRET_KEY", "canary-7Hq2ZpLw93xTmV")
    body = {"code": 40310000, "message": "bad key canary-7Hq2ZpLw93xTmV insufficient buying power"}
    monkeypatch.setattr("alpaca_wire.recorded", lambda: [(403, body)])
    world.do(do="next", faults=["reject:0"])
    answer = world.broker.submit(order(Side.BUY), SENT)
    assert answer.state is OrderState.REJECTED
    assert "canary" not in answer.reason
    assert "BUYING_POWER" in answer.reason


def test_every_exchange_is_seen(world: AlpacaWorld) -> None:
    """Evidence: request and answer of each, in order."""
    seen: list[Seen] = []
    broker = world.opened(seen=seen.append)
    broker.submit(order(), SENT)
    assert [(one.method, one.target) for one in seen] == [("GET", "/v2/account"), ("POST", "/v2/orders")]
    assert json.loads(seen[1].sent)["client_order_id"] == "o1"
