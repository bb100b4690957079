"""Cancel-all: proven by the broker's own report, told to the ledger, bounded, and harmless to what fills meanwhile."""

import datetime as dt
from pathlib import Path

import pytest
from broker_contract import CASH, SHARES
from paper_world import CLOSED, MINUTE, OPEN, OPENED, SENT, TUESDAY, HandMarket, mandate, order

from marketbot_resources.broker.cancelling import BUYS, CancelReport, cancel_open
from marketbot_resources.broker.paper import PaperBroker
from marketbot_resources.broker.sending import freeze_batch
from marketbot_resources.errors import BrokerError
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.model import AccountReport, Acknowledgement, Order, OrderState, Side
from marketbot_resources.paper import PaperAccount
from marketbot_resources.sessions import order_state, record_event


@pytest.fixture
def market() -> HandMarket:
    made = HandMarket()
    made.trade("A", TUESDAY, 10.0)
    return made


@pytest.fixture
def broker(tmp_path: Path, market: HandMarket) -> PaperBroker:
    made = PaperBroker(tmp_path / "paper.sqlite", mandate(), lambda since, until: market)
    made.seed(CASH, SHARES, OPENED)
    return made


@pytest.fixture
def ledger(tmp_path: Path, broker: PaperBroker) -> SqliteLedger:
    """A buy and a sell of ours, acknowledged, and a buy that no one knows."""
    made = SqliteLedger(tmp_path / "ledger.sqlite")
    orders = [order(), order(Side.SELL, "30", "9", number="2")]
    freeze_batch(made, "paper-1", orders[0].session, orders, {})
    for each in (*orders, order(number="by-hand")):
        broker.submit(each, SENT)
    for each in orders:
        record_event(made, each.client_order_id, OrderState.SENDING, {"reason": ""})
        record_event(made, each.client_order_id, OrderState.ACKED, {"reason": ""})
    return made


def test_every_open_order_ends_and_the_ledger_knows(broker: PaperBroker, ledger: SqliteLedger) -> None:
    """RC-80: afterwards the broker names no open order; ours are CANCELED in the ledger, the stranger has no entry."""
    report = cancel_open(ledger, broker, SENT + MINUTE)
    assert report == CancelReport(("o1", "o2", "oby-hand"), ())
    assert broker.report(OPENED, SENT + MINUTE).open_orders == ()
    assert [order_state(ledger, name) for name in ("o1", "o2", "oby-hand")] == [OrderState.CANCELED] * 2 + [None]
    again = ledger.head()
    assert cancel_open(ledger, broker, SENT + MINUTE) == CancelReport((), ())
    assert ledger.head() == again, "a second time changes nothing"
    assert broker.report(OPENED, CLOSED).executions == ()


def test_what_was_sent_at_the_same_instant_is_seen(broker: PaperBroker, ledger: SqliteLedger) -> None:
    """RC-80: a replay clock stands still while orders are sent; the broker, asked before them, took them a moment later."""
    broker.report(OPENED, SENT + MINUTE)
    broker.submit(order(number="late"), SENT + MINUTE)
    assert broker.report(OPENED, SENT + MINUTE).open_orders[-1].client_order_id != "olate"
    assert "olate" in cancel_open(ledger, broker, SENT + MINUTE).canceled


def test_buys_alone_end_before_a_flatten(broker: PaperBroker, ledger: SqliteLedger) -> None:
    """RC-80: an exit that is on its way stays on its way."""
    assert cancel_open(ledger, broker, SENT + MINUTE, BUYS) == CancelReport(("o1", "oby-hand"), ())
    assert [fill.client_order_id for fill in broker.report(OPENED, CLOSED).executions] == ["o2"]


def test_what_is_in_its_auction_is_named_as_left(broker: PaperBroker, ledger: SqliteLedger, market: HandMarket) -> None:
    """F41: too late to cancel while the bar has not come; once it has, the fill is booked and nothing is open."""
    bar = market.bars.pop(("A", TUESDAY))
    assert cancel_open(ledger, broker, OPEN) == CancelReport((), ("o1", "o2", "oby-hand"))
    assert order_state(ledger, "o1") is OrderState.ACKED
    market.bars["A", TUESDAY] = bar
    assert cancel_open(ledger, broker, CLOSED) == CancelReport((), ())
    assert broker.report(OPENED, CLOSED).positions == {"A": SHARES["A"] + 100 + 100 - 30}


class Faulty:
    """Hands everything on; the first `silent` requests to cancel get no answer, and so many are answered about another order."""

    capabilities = PaperAccount.capabilities

    def __init__(self, broker: PaperBroker, silent: int, *, deaf: bool = False) -> None:
        self._broker, self._silent, self._deaf, self.asked = broker, silent, deaf, 0

    def submit(self, order: Order, at: dt.datetime) -> Acknowledgement:
        raise AssertionError("nothing is sent")

    def find(self, client_order_id: str) -> Acknowledgement | None:
        return self._broker.find(client_order_id)

    def cancel(self, client_order_id: str, at: dt.datetime) -> Acknowledgement | None:
        self.asked += 1
        if self.asked <= self._silent:
            raise BrokerError("no answer in time")
        if self._deaf:
            return Acknowledgement(client_order_id, OrderState.CANCELED, "", "so it says")
        return self._broker.cancel(client_order_id, at)

    def report(self, since: dt.datetime, until: dt.datetime) -> AccountReport:
        return self._broker.report(since, until)


@pytest.mark.parametrize(("silent", "left"), [(0, 0), (3, 0), (6, 0), (8, 2), (9, 3), (99, 3)])
def test_silence_is_asked_again_three_times(broker: PaperBroker, ledger: SqliteLedger, silent: int, left: int) -> None:
    """F41: three orders, three rounds; what is still open is said, never assumed to be gone."""
    twin = Faulty(broker, silent)
    report = cancel_open(ledger, twin, SENT + MINUTE)
    assert len(report.left) == left
    assert twin.asked <= 9
    assert set(report.left) == {o.client_order_id for o in broker.report(OPENED, SENT + MINUTE).open_orders}


def test_a_broker_that_only_says_so_is_not_believed(broker: PaperBroker, ledger: Ledger) -> None:
    """RC-80: its report is the proof."""
    report = cancel_open(ledger, Faulty(broker, 0, deaf=True), SENT + MINUTE)
    assert report.left == ("o1", "o2", "oby-hand")
