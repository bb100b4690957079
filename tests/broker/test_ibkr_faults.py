"""Interactive Brokers' adapter before a gateway that misbehaves: every fault by what it must end in, and what really arrived."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest
from ibkr_server import FAULTS
from ibkr_world import IbkrWorld, ibkr_world
from paper_world import CLOSED, MINUTE, OPEN, OPENED, SENT, D, currency_order, order

from marketbot_resources.broker.symbols import Symbol, Symbols
from marketbot_resources.broker.wire_log import WireLog
from marketbot_resources.errors import BrokerError
from marketbot_resources.model import OrderState, OrderType, Side

DOUBT = "raises"
# fault -> how submit ends, what find says then, how many orders the broker really took
ENDS = {
    "accept_504": (DOUBT, "ACKED", 1), "accept_silent": (DOUBT, "ACKED", 1), "accept_truncated": (DOUBT, "ACKED", 1),
    "accept_html": (DOUBT, "ACKED", 1), "no_id": (DOUBT, "ACKED", 1), "lost": (DOUBT, None, 0),
    "lost_504": (DOUBT, None, 0), "late": (DOUBT, None, 0), "paced": (DOUBT, None, 0), "not_json": (DOUBT, None, 0),
    "refused": ("REJECTED", None, 0), "refused_unclear": (DOUBT, None, 0), "echo": ("UNKNOWN", "UNKNOWN", 1),
    "twice": ("ACKED", DOUBT, 2), "question": ("ACKED", "ACKED", 1), "question_unknown": ("REJECTED", None, 0),
    "question_endless": ("REJECTED", None, 0), "question_silent": (DOUBT, None, 0),
    "decline_taken": (DOUBT, "ACKED", 1),
}  # fmt: skip


def outcome(call) -> str | None:  # type: ignore[no-untyped-def]
    try:
        answer = call()
    except BrokerError:
        return DOUBT
    return None if answer is None else answer.state.value  # type: ignore[no-any-return]


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_ends_as_written(fault: str, tmp_path: Path) -> None:
    """P5, P6: one POST for an order whatever happens; a doubt is an error, never a success and never a refusal."""
    with ibkr_world(tmp_path) as world:
        world.fault(fault)
        submitted, found, taken = ENDS[fault]
        assert outcome(lambda: world.broker.submit(order(), SENT)) == submitted
        assert outcome(lambda: world.broker.find("o1")) == found
        truth = world.truth()
        assert (truth["requests"]["order"], truth["by_client_id"].get("o1", 0)) == (1, taken)
        posted = [row for row in WireLog(world.home, "ibkr").rows() if row[0] == "POST" and row[1].endswith("/orders")]
        assert len(posted) == 1, "its evidence is kept"


def test_another_order_than_was_asked_is_told_as_such(tmp_path: Path) -> None:
    """P6: the sender sees the broker's own quantity and stops the batch."""
    with ibkr_world(tmp_path) as world:
        world.fault("echo")
        for answer in (world.broker.submit(order(), SENT), world.broker.find("o1"), world.reopened().find("o1")):
            assert answer is not None
            assert (answer.state, answer.quantity, answer.side, answer.limit_price) == (
                OrderState.UNKNOWN,
                D(200),
                None,
                None,
            )
            assert "another size" in answer.reason


def test_a_declined_question_is_the_reason(tmp_path: Path) -> None:
    with ibkr_world(tmp_path) as world:
        world.fault("question_unknown")
        answer = world.broker.submit(order(), SENT)
        assert "margined differently" in answer.reason
        world.fault("question_endless")
        assert "more than 3 questions" in world.broker.submit(order(number="2"), SENT).reason
        replies = [row[2] for row in WireLog(world.home, "ibkr").rows() if "/iserver/reply/" in row[1]]
        assert replies == ['{"confirmed":false}', *['{"confirmed":true}'] * 3, '{"confirmed":false}']


SESSIONS = {
    "signed out": ({"session": {"authenticated": False}}, "sign in"),
    "not connected": ({"session": {"connected": False}}, "sign in"),
    "competing": ({"session": {"competing": True}}, "another session"),
    "lost": ({"set": {"signed_in": False}}, "sign in"),
}


@pytest.mark.parametrize("name", SESSIONS)
def test_without_a_session_nothing_is_sent_or_told(name: str, tmp_path: Path) -> None:
    """The error says what a person must do; also in the middle, after a good order."""
    with ibkr_world(tmp_path) as world:
        world.broker.submit(order(number="2", quantity="1"), SENT)
        (what,), (status,) = SESSIONS[name][0].keys(), SESSIONS[name][0].values()
        world.control(do=what, **({"status": status} if what == "session" else {"values": status}))
        for call in (
            lambda: world.broker.submit(order(), SENT),
            lambda: world.broker.find("o1"),
            lambda: world.broker.cancel("o2", SENT),
            lambda: world.broker.report(OPENED, SENT),
        ):
            with pytest.raises(BrokerError, match=SESSIONS[name][1]):
                call()
        assert world.requests() == 1


def test_pacing_and_a_list_that_is_never_ready(tmp_path: Path) -> None:
    """Questions wait out two refusals; a list that is not there is not an empty one."""
    with ibkr_world(tmp_path) as world:
        world.broker.submit(order(), SENT)
        world.control(do="set", values={"paced": 2})
        assert outcome(lambda: world.broker.find("o1")) == "ACKED"
        world.control(do="set", values={"never_ready": True})
        with pytest.raises(BrokerError, match="not ready"):
            world.broker.find("o1")
        with pytest.raises(BrokerError, match="not ready"):
            world.broker.report(OPENED, SENT)


def test_the_brokers_clock_is_told(tmp_path: Path) -> None:
    """RC-83 needs the broker's time as it is, an hour off or not."""
    with ibkr_world(tmp_path) as world:
        world.control(do="set", values={"drift": 3600.0})
        assert world.broker.report(OPENED, SENT).broker_at == SENT + dt.timedelta(hours=1)


def test_an_order_that_left_the_list_is_known_by_its_executions(tmp_path: Path) -> None:
    """A new brokerage session forgets ended orders: filled ones are proven by trades, others are in doubt until their day ends."""
    with ibkr_world(tmp_path) as world:
        until = OPEN - MINUTE
        for number in ("1", "2", "3"):
            world.broker.submit(order(number=number, send_until=until), SENT)
        world.pass_to(OPEN)
        world.control(do="fill", name="o3", qty="60", price="10")
        world.control(do="end", name="o3", status="canceled")
        world.control(do="fill", name="o1", qty="100", price="10")
        world.control(do="end", name="o2", status="canceled")
        world.pass_to(OPEN + MINUTE)
        world.control(do="relogin")
        assert outcome(lambda: world.broker.find("o1")) == "FILLED"
        assert [outcome(lambda n=n: world.broker.find(n)) for n in ("o2", "o3")] == [DOUBT, DOUBT]
        world.pass_to(until + dt.timedelta(hours=12, minutes=1))
        found = world.broker.find("o2")
        assert found is not None
        assert (found.state, "0 of 100" in found.reason) == (OrderState.EXPIRED, True)


def test_an_order_that_was_taken_is_not_posted_again(tmp_path: Path) -> None:
    """Also where the broker would take it twice; and what was not there before an order is asked for anew after it."""
    with ibkr_world(tmp_path, dedupes=False) as world:
        assert world.broker.find("o1") is None
        first = world.broker.submit(order(), SENT)
        assert (
            world.broker.find("o1")
            == first
            == world.broker.submit(order(), SENT)
            == world.reopened().submit(order(), SENT)
        )
        assert (world.requests(), world.truth()["by_client_id"]) == (1, {"o1": 1})


def test_an_id_that_the_broker_knows_is_ours_only_if_it_agrees(tmp_path: Path) -> None:
    """A home that lost its memory: the same order is adopted, another one refused, one that is not shown leaves a doubt."""
    with ibkr_world(tmp_path) as world:
        first = world.broker.submit(order(), SENT)
        for home, quantity, state in (("b", "100", "ACKED"), ("c", "99", "REJECTED")):
            again = IbkrWorld(world.address, tmp_path / home)
            answer = again.broker.submit(order(quantity=quantity), SENT)
            assert answer.state.value == state
            assert answer == first or "other fields" in answer.reason
            again.close()
        world.control(do="end", name="o1", status="canceled")
        world.pass_to(SENT + MINUTE)
        world.control(do="relogin")
        late = IbkrWorld(world.address, tmp_path / "d")
        with pytest.raises(BrokerError, match="registered"):
            late.broker.submit(order(), SENT)
        late.close()
        assert world.truth()["by_client_id"] == {"o1": 1}


def test_a_listing_in_another_currency_is_not_the_contract(tmp_path: Path) -> None:
    with ibkr_world(tmp_path) as world:
        broker = world.open(symbols=Symbols([Symbol("F", "BATS", "F", "EUR")]))
        answer = broker.submit(order(instrument="F", mic="BATS", currency="EUR"), SENT)
        assert (answer.state, "expected one contract, found 0" in answer.reason) == (OrderState.REJECTED, True)


def test_fees_reach_the_cash_to_the_cent(tmp_path: Path) -> None:
    """100 at 10.01 and 1.00 of commission: 10000 - 1001 - 1."""
    with ibkr_world(tmp_path) as world:
        world.broker.submit(order(), SENT)
        world.pass_to(OPEN)
        world.control(do="fill", name="o1", qty="100", price="10.01", fee="1.00")
        report = world.broker.report(OPENED, CLOSED)
        assert [(f.price, f.fee) for f in report.executions] == [(D("10.01"), D(1))]
        assert report.cash == {"USD": D(8998)}


def test_unmapped_and_waiting_states_are_unknown(tmp_path: Path) -> None:
    with ibkr_world(tmp_path) as world:
        world.broker.submit(order(), SENT)
        for status, word in (("Frobnicated", "unmapped"), ("WarnState", "waits")):
            world.control(do="end", name="o1", status=status)
            found = world.broker.find("o1")
            assert found is not None
            assert (found.state, word in found.reason) == (OrderState.UNKNOWN, True)
            assert len(world.broker.report(OPENED, SENT).open_orders) == 1, "it may still trade"
        world.control(do="end", name="o1", status="Inactive")
        assert outcome(lambda: world.broker.find("o1")) == "REJECTED"


@pytest.mark.parametrize(("currency", "quantity", "cash"), [
    ("EUR", "1000", {"EUR": D(1000), "USD": D(8748)}),  # 10000 - 1000 * 1.25 - 2
    ("JPY", "150000", {"JPY": D(149850), "USD": D(8999)}),  # 1000 USD less a thousandth, 999, at 150; 10000 - 999 - 2
])  # fmt: skip
def test_conversions_both_ways_round(currency: str, quantity: str, cash: dict, tmp_path: Path) -> None:
    """Currency legs fill at once and the report's own executions explain the cash."""
    with ibkr_world(tmp_path) as world:
        leg = currency_order(quantity=quantity, currency=currency)
        answer = world.broker.submit(leg, SENT)
        assert answer.state is OrderState.FILLED, answer.reason
        report = world.broker.report(OPENED, CLOSED)
        (fill,) = report.executions
        assert report.cash == cash
        assert (fill.instrument, fill.side, fill.quantity) == (f"FX:{currency}", Side.BUY, cash[currency])
        assert (fill.fee, fill.client_order_id) == (D(2), "o9")


def test_rates_that_disagree_convert_nothing(tmp_path: Path) -> None:
    """A rate the wrong way round would convert 22,500 times too much."""
    with ibkr_world(tmp_path) as world:
        world.control(do="set", values={"rates_apart": "1.03"})
        answer = world.broker.submit(currency_order(quantity="150000", currency="JPY"), SENT)
        assert (answer.state, "expected one rate" in answer.reason) == (OrderState.REJECTED, True)
        unknown = world.broker.submit(currency_order(number="8", currency="SEK"), SENT)
        assert (unknown.state, "expected one pair" in unknown.reason) == (OrderState.REJECTED, True)
        assert world.requests() == 0


def test_a_brackets_exits_are_told_under_its_id(tmp_path: Path) -> None:
    with ibkr_world(tmp_path) as world:
        one = replace(order(type=OrderType.BRACKET, limit="10"), stop_price=D(9), take_profit=D(12))
        assert world.broker.submit(one, SENT).state is OrderState.ACKED
        assert outcome(lambda: world.broker.find("o1")) == "ACKED"
        report = world.broker.report(OPENED, SENT)
        assert [(o.client_order_id, o.side) for o in report.open_orders] == [("o1", Side.BUY)] + [("o1", Side.SELL)] * 2


def test_what_is_not_ours_is_told_and_marked(tmp_path: Path) -> None:
    """F09: positions on further pages, unknown contracts, orders of other hands: nothing is left out."""
    with ibkr_world(tmp_path) as world:
        for n in range(120):
            held = {"acctId": "DU1234567", "assetClass": "STK", "conid": 5000 + n, "contractDesc": f"X{n}", "ticker": f"X{n}",
                    "currency": "USD", "listingExchange": "NYSE", "position": 1.0}  # fmt: skip
            world.control(do="hold", position=held)
        world.control(do="hold", position={**held, "conid": 7, "ticker": "B C", "position": -3.0})
        world.control(
            do="hold", position={**held, "conid": 8, "ticker": "F", "listingExchange": "BATS", "assetClass": "OPT"}
        )
        world.control(do="foreign")
        report = world.broker.report(OPENED, SENT)
        assert len(report.positions) == 123
        assert (report.positions["A"], report.positions["BC"]) == (D(50), D(-3))
        assert (report.positions["IBKR:5119"], report.positions["IBKR:8"]) == (D(1), D(1))
        (foreign,) = report.open_orders
        assert (foreign.client_order_id, foreign.instrument, foreign.remaining) == ("IBKR:1210386001", "A", D(7))
        world.control(do="hold", position={**held, "conid": 9, "ticker": "B C"})
        with pytest.raises(BrokerError, match="found two"):
            world.broker.report(OPENED, SENT)


CONTRACTS = {
    "pence": (dict(instrument="L", mic="XLON", currency="GBP"), "does not reach XLON"),
    "not on that exchange": (dict(instrument="N", mic="ARCX"), "expected one contract, found 0"),
    "another currency": (dict(currency="EUR"), "trades in USD on XNYS, the order says EUR on XNYS"),
    "no listing": (dict(instrument="Q"), "expected a listing"),
}


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_contract_that_is_not_certain_is_refused(name: str, tmp_path: Path) -> None:
    """F19: exchange, ticker and currency must all agree; nothing is posted."""
    with ibkr_world(tmp_path) as world:
        fields, reason = CONTRACTS[name]
        answer = world.broker.submit(order(**fields), SENT)  # type: ignore[arg-type]
        assert (answer.state, reason in answer.reason) == (OrderState.REJECTED, True), answer.reason
        assert world.requests() == 0


def test_contracts_are_learnt_once_a_week_and_may_not_change(tmp_path: Path) -> None:
    """Share classes are written with a space there; a listing that means another contract than before is not traded."""
    with ibkr_world(tmp_path) as world:
        asked = lambda: sum("/trsrv/stocks" in row[1] for row in WireLog(world.home, "ibkr").rows())  # noqa: E731
        for number in ("1", "2"):
            one = order(number=number, instrument="BC", quantity="1")
            assert world.reopened().submit(one, SENT).state is OrderState.ACKED
        assert asked() == 1
        later = SENT + dt.timedelta(days=8)
        world.broker._memory.learn(_changed(world, later - dt.timedelta(days=8)))
        answer = world.broker.submit(order(number="3", instrument="BC", quantity="1", send_until=later), later)
        assert (answer.state, "meant contract 444, now 333" in answer.reason) == (OrderState.REJECTED, True)
        assert asked() == 2


def _changed(world: IbkrWorld, at: dt.datetime):  # type: ignore[no-untyped-def]
    from marketbot_resources.broker.ibkr_memory import Contract

    return Contract("XNYS", "B.C", "USD", 444, at.date())
