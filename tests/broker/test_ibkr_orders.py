"""Orders as Interactive Brokers writes them, its statuses and questions: tables written by hand from its documentation."""

import dataclasses
import datetime as dt
import ssl
import threading
from decimal import Decimal
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from ibkr_server import Server
from paper_world import SENT, currency_order, order

from marketbot_resources.broker.ibkr_account import currency_execution, filled_of, trades_of
from marketbot_resources.broker.ibkr_gateway import IbkrGateway, number, parsed, pinned_tls
from marketbot_resources.broker.ibkr_orders import (
    STATES,
    Leg,
    another,
    currency_leg,
    differences,
    refusal,
    share_leg,
    state_of,
    tickets,
)
from marketbot_resources.broker.ibkr_questions import question_in
from marketbot_resources.errors import BrokerError
from marketbot_resources.ibkr_terms import IBKR_CAPABILITIES
from marketbot_resources.model import Execution, Kind, Order, OrderState, OrderType, Side

D = Decimal
COMMON = {"acctId": "DU1", "conid": 111, "side": "BUY", "quantity": 100, "outsideRTH": False}


def typed(kind: OrderType, *, limit: str | None = None, **prices: str) -> Order:
    return dataclasses.replace(order(limit=limit, type=kind), **{name: D(value) for name, value in prices.items()})


TICKETS = {
    "limit on open": (typed(OrderType.LIMIT_ON_OPEN, limit="10.50"), {"orderType": "LMT", "tif": "OPG", "price": 10.5}),
    "market on open": (typed(OrderType.MARKET_ON_OPEN, limit=None), {"orderType": "MKT", "tif": "OPG"}),
    "limit on close": (
        typed(OrderType.LIMIT_ON_CLOSE, limit="10.50"),
        {"orderType": "LOC", "tif": "DAY", "price": 10.5},
    ),
    "market on close": (typed(OrderType.MARKET_ON_CLOSE, limit=None), {"orderType": "MOC", "tif": "DAY"}),
    "limit": (typed(OrderType.LIMIT, limit="10.50"), {"orderType": "LMT", "tif": "DAY", "price": 10.5}),
    "market": (typed(OrderType.MARKET, limit=None), {"orderType": "MKT", "tif": "DAY"}),
    "stop": (typed(OrderType.STOP, limit=None, stop_price="9"), {"orderType": "STP", "tif": "DAY", "price": 9.0}),
    "stop limit": (
        typed(OrderType.STOP_LIMIT, limit="10.50", stop_price="10.40"),
        {"orderType": "STOP_LIMIT", "tif": "DAY", "price": 10.5, "auxPrice": 10.4},
    ),
    "trail": (
        typed(OrderType.TRAILING_STOP, limit=None, trail="0.05"),
        {"orderType": "TRAIL", "tif": "DAY", "trailingType": "%", "trailingAmt": 5.0},
    ),
}


@pytest.mark.parametrize("name", TICKETS)
def test_each_type_is_one_ticket(name: str) -> None:
    """P6: what is posted is the order, word by word."""
    one, words = TICKETS[name]
    assert refusal(one, IBKR_CAPABILITIES) == ""
    assert tickets(one, share_leg(one, 111), "DU1") == [{**COMMON, "cOID": "o1", **words}]


def test_a_bracket_is_three_tickets_under_one_id() -> None:
    """Children name the parent's id and carry none of their own; both are on the other side."""
    one = typed(OrderType.BRACKET, limit="10", stop_price="9", take_profit="12")
    entry, profit, stop = tickets(one, share_leg(one, 111), "DU1")
    assert entry == {**COMMON, "cOID": "o1", "orderType": "LMT", "tif": "DAY", "price": 10.0}
    child = {**COMMON, "side": "SELL", "tif": "DAY", "parentId": "o1"}
    assert profit == {**child, "orderType": "LMT", "price": 12.0}
    assert stop == {**child, "orderType": "STP", "price": 9.0}


def test_a_number_that_no_double_holds_is_not_posted() -> None:
    """20 digits would arrive as another price."""
    one = order(limit="10.500000000000000001")
    with pytest.raises(BrokerError, match="15 digits"):
        tickets(one, share_leg(one, 111), "DU1")


def test_conversions_are_posted_in_the_pairs_first_currency() -> None:
    """1000 GBP of GBP.USD is 1000; 1500 JPY at 1/150 of USD.JPY is 9.99 USD after the margin: 9, and the other side."""
    assert currency_leg(currency_order(), 5, quoted_first=True, rate=None) == Leg(5, Side.BUY, D(1000))
    yen = currency_order(quantity="1500", currency="JPY")
    leg = currency_leg(yen, 6, quoted_first=False, rate=1 / D(150))
    assert leg == Leg(6, Side.SELL, D(9))
    (ticket,) = tickets(yen, leg, "DU1")
    assert (ticket["side"], ticket["quantity"], ticket["orderType"], ticket["isCcyConv"]) == ("SELL", 9, "MKT", True)
    for rate in (None, D(0), D(-1), D("NaN")):
        with pytest.raises((BrokerError, ArithmeticError)):
            currency_leg(yen, 6, quoted_first=False, rate=rate)


MAPPED = {
    "PendingSubmit": ("ACKED", "PARTIAL", "UNKNOWN"), "PreSubmitted": ("ACKED", "PARTIAL", "UNKNOWN"),
    "Submitted": ("ACKED", "PARTIAL", "UNKNOWN"), "ApiPending": ("ACKED", "PARTIAL", "UNKNOWN"),
    "PendingCancel": ("ACKED", "PARTIAL", "UNKNOWN"), "Filled": ("UNKNOWN", "UNKNOWN", "UNKNOWN"),
    "Cancelled": ("CANCELED", "CANCELED", "UNKNOWN"), "ApiCancelled": ("CANCELED", "CANCELED", "UNKNOWN"),
    "Inactive": ("REJECTED", "CANCELED", "UNKNOWN"), "WarnState": ("UNKNOWN", "UNKNOWN", "UNKNOWN"),
    "": ("UNKNOWN", "UNKNOWN", "UNKNOWN"), "Expired": ("UNKNOWN", "UNKNOWN", "UNKNOWN"),
}  # fmt: skip


@pytest.mark.parametrize("status", MAPPED)
def test_every_status_has_a_state(status: str) -> None:
    """P4: unfilled, with 40 of 100, with 101 of 100; what is not in the table is UNKNOWN and says so."""
    found = [state_of(status, D(filled), D(100))[0].value for filled in (0, 40, 101)]
    assert tuple(found) == MAPPED[status]
    if status not in STATES:
        assert state_of(status, D(0), D(100))[1].startswith("unmapped")
    assert set(STATES) <= set(MAPPED)


def test_filled_means_all_of_it() -> None:
    assert state_of("Filled", D(100), D(100)) == (OrderState.FILLED, "")


ECHO = {"account": "DU1", "conid": 111, "side": "B", "total_size": "100.0", "limit_price": "10.50", "tif": "OPG"}
WRONG = {
    "account": {"account": "DU2"}, "conid": {"conid": 112}, "side": {"side": "S"}, "size": {"total_size": "1,000.0"},
    "limit": {"limit_price": "10.51"}, "time in force": {"tif": "GTC"},
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_an_echo_that_differs_in_one_field_is_named(name: str) -> None:
    """P6: each field alone, wrong and missing."""
    one = order()
    leg = share_leg(one, 111)
    assert differences(one, leg, "DU1", ECHO) == ""
    assert differences(one, leg, "DU1", {**ECHO, **WRONG[name]}) == name
    (field,) = WRONG[name]
    assert differences(one, leg, "DU1", {k: v for k, v in ECHO.items() if k != field}) == name


TOLD = {
    "conid": ("IBKR:112", None, None, None), "side": (None, Side.SELL, None, None), "size": (None, None, D(1000), None),
    "limit": (None, None, None, D("10.51")), "account": (None,) * 4, "time in force": (None,) * 4,
}  # fmt: skip


@pytest.mark.parametrize("name", TOLD)
def test_another_order_is_told_in_the_fields_that_differ(name: str) -> None:
    """P6: UNKNOWN, and the sender sees what was confirmed instead; a field that says nothing of it stays out."""
    one, told = order(), {**ECHO, **WRONG[name]}
    answer = another(one, "77", differences(one, share_leg(one, 111), "DU1", told), told)
    assert (answer.instrument, answer.side, answer.quantity, answer.limit_price) == TOLD[name]
    assert (answer.state, answer.broker_order_id, name in answer.reason) == (OrderState.UNKNOWN, "77", True)


CAP = "<h4>Confirm Mandatory Cap Price</h4>To avoid trading at a price that is not consistent with a fair market, ..."
NO_DATA = "You are submitting an order without market data. We strongly recommend against this"
MARKET = "<h4>Market Order Confirmation</h4>A market order may be executed far from the current price"
STOP = "You are about to submit a stop order. Please be aware of the various stop order types available"
FAR = 'The following order "BUY 1 A" price exceeds \nthe Percentage constraint of 3%.\nAre you sure?'
QUESTIONS = {
    "cap": (CAP, "o10153", OrderType.LIMIT_ON_OPEN, True),
    "cap under its other id": (CAP, "o10223", OrderType.MARKET, True),
    "cap under a foreign id": (CAP, "o354", OrderType.LIMIT, False),
    "other words under the cap's id": ("Your order will be doubled", "o10153", OrderType.LIMIT, False),
    "no data, with a limit": (NO_DATA, "o354", OrderType.LIMIT, True),
    "no data, without a limit": (NO_DATA, "o354", OrderType.MARKET, False),
    "market order": (MARKET, "o10164", OrderType.MARKET_ON_CLOSE, True),
    "market order for a limit": (MARKET, "o10164", OrderType.LIMIT, False),
    "stop": (STOP, "o10331", OrderType.STOP, True),
    "stop for a market order": (STOP, "o10331", OrderType.MARKET, False),
    "far from the market": (FAR, "o163", OrderType.LIMIT, False),
    "unknown": ("Are you sure?", "o99999", OrderType.LIMIT, False),
}  # fmt: skip


@pytest.mark.parametrize("name", QUESTIONS)
def test_questions_are_confirmed_by_id_and_words(name: str) -> None:
    """An order is confirmed only where that cannot make it worse; both marks must agree."""
    message, message_id, kind, confirmed = QUESTIONS[name]
    entry = {"id": "r1", "message": [message], "messageIds": [message_id], "isSuppressed": False}
    question = question_in(entry, order(type=kind))
    assert question is not None
    assert (question.reply_id, question.declined == "") == ("r1", confirmed)
    assert confirmed or message_id in question.declined


def test_one_bad_message_among_good_ones_declines() -> None:
    entry = {"id": "r", "message": [CAP, FAR], "messageIds": ["o10153", "o163"]}
    assert question_in(entry, order()).declined.startswith("declined o163")  # type: ignore[union-attr]
    for broken in ({"id": "r", "message": [CAP]}, {"id": "r", "message": [], "messageIds": []},
                   {"id": "r", "message": [CAP, CAP], "messageIds": ["o10153"]}):  # fmt: skip
        assert question_in(broken, order()).declined  # type: ignore[union-attr]
    assert question_in({"order_id": "5", "order_status": "Submitted"}, order()) is None


def trade(execution_id: str, size: float = 10, price: str = "10.00", *, side: str = "B", at: int = 0) -> dict:
    return {"execution_id": execution_id, "order_ref": "o1", "side": side, "size": D(str(size)), "price": price,
            "conid": 111, "trade_time_r": 1_544_538_600_000 + at}  # fmt: skip


def made(told) -> Execution:  # type: ignore[no-untyped-def]
    at = dt.datetime(2018, 12, 11, 14, 30, tzinfo=dt.UTC)
    name, size, price = told["execution_id"], told["size"], D(told["price"])
    return Execution(name, "o1", Kind.EQUITY, "A", Side.BUY, size, price, "USD", D(0), D(0), at)


def test_corrections_replace_and_void() -> None:
    """P8: .02 stands for .01; a size of nothing takes back; one that came before we asked is told, too."""
    told = trades_of([trade("x.1.01"), trade("x.1.02", price="9.90"), trade("y.1.01"), trade("y.1.02", 0),
                      trade("z.1.03")], made)  # fmt: skip
    assert [fill.execution_id for fill in told.executions] == ["x.1.02", "z.1.03"]
    found = [(bust.execution_id, bust.replaced_by) for bust in told.busts]
    assert sorted(found) == [("x.1.01", "x.1.02"), ("y.1.01", ""), ("z.1.01", "z.1.03"), ("z.1.02", "z.1.03")]


@given(st.permutations([trade(f"{n}.1.0{r}", 10 * n) for n in range(1, 5) for r in (1, 2)] * 2))
def test_order_and_repetition_of_trades_change_nothing(told: list[dict]) -> None:
    """F06: 10 + 20 + 30 + 40 shares, each corrected once, however often and in whatever order they are told."""
    found = trades_of(told, made)
    assert sum(fill.quantity for fill in found.executions) == 100
    assert [bust.execution_id for bust in found.busts] == [f"{n}.1.01" for n in range(1, 5)]
    assert filled_of(told, "o1", Side.BUY) == 100
    assert filled_of(told, "o1", Side.SELL) == 0


def test_an_execution_told_with_two_contents_is_an_error() -> None:
    with pytest.raises(BrokerError, match="other contents"):
        trades_of([trade("x.1.01"), trade("x.1.01", price="10.01")], made)


def test_a_conversion_quoted_in_the_base_is_turned_round() -> None:
    """Selling 10 USD of USD.JPY at 150 buys 1500 JPY at 1/150 USD each."""
    told = {**trade("f.1.01", 10, "150", side="S"), "commission": "2.004"}
    fill = currency_execution(told, client_order_id="o9", currency="JPY", base="USD", quoted_first=False)
    assert (fill.side, fill.quantity, fill.price, fill.fee) == (Side.BUY, D(1500), 1 / D(150), D("2.00"))


@pytest.mark.parametrize("said", [None, "", "x", "NaN", "inf", True, [], D("NaN")])
def test_what_is_no_number_is_an_error(said) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BrokerError):
        number(said, "x")


@pytest.mark.parametrize("body", [b"", b"{", b"NaN", b"[Infinity]", b"\xff", b"<html>"])
def test_what_is_no_json_is_an_error(body: bytes) -> None:
    with pytest.raises(BrokerError):
        parsed(body, "x")


@pytest.mark.parametrize(
    ("account", "environment"), [("U1234567", "paper"), ("DU1234567", "live"), ("", "live"), ("U12/../x", "live")]
)
def test_account_and_environment_must_agree(account: str, environment: str) -> None:
    """RC-82: paper accounts begin with D; nothing is asked before they agree."""
    with pytest.raises(BrokerError, match="account"):
        IbkrGateway("https://127.0.0.1:5000/v1/api", account, environment)


def test_the_gateway_is_asked_over_https_or_on_this_machine() -> None:
    for address in ("http://192.0.2.1:5000/v1/api", "http://localhost:5000/v1/api", "ftp://127.0.0.1/v1/api"):
        with pytest.raises(BrokerError):
            IbkrGateway(address, "DU1", "paper")
    IbkrGateway("http://127.0.0.1:5000/v1/api", "DU1", "paper").close()


def test_only_this_machines_gateway_may_show_any_certificate(tmp_path: Path) -> None:
    """Elsewhere the public authorities judge, or the one certificate in the file."""
    here, there = pinned_tls("127.0.0.1", None), pinned_tls("gateway.example", None)
    assert here is not None
    assert here.verify_mode.name == "CERT_NONE"
    assert there is None
    (tmp_path / "bad.pem").write_text("nothing")
    for path in (tmp_path / "bad.pem", tmp_path / "absent.pem"):
        with pytest.raises(BrokerError, match="MARKETBOT_IBKR_CERTIFICATE"):
            pinned_tls("127.0.0.1", path)


def certificate(path: Path) -> Path:
    """A self-signed certificate with its key in one PEM file, as the gateway makes itself one."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gateway")])
    begun = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    built = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(7).not_valid_before(begun).not_valid_after(begun.replace(year=2120)).sign(key, hashes.SHA256())
    )  # fmt: skip
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + built.public_bytes(serialization.Encoding.PEM))
    return path


def test_a_pinned_certificate_is_the_only_one_taken(tmp_path: Path) -> None:
    """S1: with the gateway's own certificate it is asked, with another one nothing is; without one this machine is trusted."""
    own, other = certificate(tmp_path / "own.pem"), certificate(tmp_path / "other.pem")
    server = Server(tmp_path / "t.sqlite", now=SENT)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(own)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that hangs up is what is tested
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        for pinned, asked in ((own, True), (None, True), (other, False)):
            address = server.address.replace("http:", "https:")
            gateway = IbkrGateway(address, "DU1234567", "paper", certificate=pinned, wait=lambda _: None)
            if asked:
                gateway.signed_in()
            else:
                with pytest.raises(BrokerError, match="no answer"):
                    gateway.signed_in()
            gateway.close()
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
