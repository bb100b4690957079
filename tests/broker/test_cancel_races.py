"""Cancel-all against a broker whose cancels fail, race with fills, are answered wrongly or not at all: a state machine (F41)."""

import datetime as dt
import tempfile
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from paper_world import SENT, order

from marketbot_resources.broker.cancelling import BOTH, BUYS, CancelReport, cancel_open
from marketbot_resources.errors import BrokerError
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.model import AccountReport, Acknowledgement, OpenOrder, Order, OrderState, Side, order_record
from marketbot_resources.paper import PaperAccount
from marketbot_resources.sessions import order_state, record_event

MOODS = ("does", "does unheard", "lost", "fills first", "fills a part first", "says so only", "about another", "denies")
REPORT_MOODS = ("tells", "fails")


@dataclass
class Work:
    order: Order
    filled: Decimal
    state: OrderState


class Racing:
    """A broker of our own making. `moods`: what becomes of the next requests to cancel; then each does what it is asked."""

    capabilities = PaperAccount.capabilities

    def __init__(self) -> None:
        self.works: dict[str, Work] = {}
        self.moods: list[str] = []
        self.reports: list[str] = []
        self.now, self.asked, self.fills_meanwhile = SENT, 0, 0

    def submit(self, order: Order, at: dt.datetime) -> Acknowledgement:
        raise AssertionError("nothing is sent")

    def take(self, order: Order) -> None:
        self.works[order.client_order_id] = Work(order, Decimal(0), OrderState.ACKED)

    def open(self, sides: frozenset[Side] = BOTH) -> list[str]:
        return sorted(
            name
            for name, work in self.works.items()
            if work.state in (OrderState.ACKED, OrderState.PARTIAL) and work.order.side in sides
        )

    def fill(self, name: str, shares: Decimal) -> None:
        work = self.works[name]
        work.filled += min(shares, work.order.quantity - work.filled)
        work.state = OrderState.FILLED if work.filled == work.order.quantity else OrderState.PARTIAL

    def find(self, client_order_id: str) -> Acknowledgement | None:
        work = self.works.get(client_order_id)
        return None if work is None else Acknowledgement(client_order_id, work.state, "b", "")

    def cancel(self, client_order_id: str, at: dt.datetime) -> Acknowledgement | None:
        self.asked += 1
        mood = self.moods.pop(0) if self.moods else "does"
        if mood == "fills first":
            self.fill(client_order_id, Decimal(10**9))
        if mood == "fills a part first":
            self.fill(client_order_id, Decimal(1))
        work = self.works[client_order_id]
        works = work.state in (OrderState.ACKED, OrderState.PARTIAL)
        if works and mood in ("does", "does unheard", "fills a part first", "about another"):
            work.state = OrderState.CANCELED
        if mood in ("does unheard", "lost"):
            raise BrokerError("no answer in time")
        if mood == "denies":
            return None
        if mood == "about another":
            return Acknowledgement("someone-else", OrderState.CANCELED, "b", "")
        told = OrderState.CANCELED if mood == "says so only" else work.state
        return Acknowledgement(client_order_id, told, "b", "")

    def report(self, since: dt.datetime, until: dt.datetime) -> AccountReport:
        if (self.reports.pop(0) if self.reports else "tells") == "fails":
            raise BrokerError("no report")
        orders = tuple(
            OpenOrder(name, w.order.instrument, w.order.side, w.order.quantity - w.filled, w.order.limit_price, "USD")
            for name, w in self.works.items()
            if w.state in (OrderState.ACKED, OrderState.PARTIAL)
        )
        return AccountReport(until, {}, {}, orders, (), ())

    def wait(self, seconds: float) -> dt.datetime:
        assert seconds > 0
        if self.fills_meanwhile:
            self.fills_meanwhile -= 1
            for name in self.open()[:1]:
                self.fill(name, Decimal(10**9))
        self.now += dt.timedelta(seconds=seconds)
        return self.now


class Cancelling(RuleBasedStateMachine):
    """Orders come and fill, people cancel; afterwards ledger and broker say the same of every order that ended."""

    names = Bundle("names")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.ledger = SqliteLedger(Path(self.folder.name) / "ledger.sqlite")
        self.broker, self.count = Racing(), 0

    def teardown(self) -> None:
        self.folder.cleanup()

    @rule(target=names, side=st.sampled_from(Side), shares=st.integers(1, 3), ours=st.booleans())
    def send(self, side: Side, shares: int, ours: bool) -> str:
        self.count += 1
        made = order(side, str(shares), "9", number=f"{self.count:03d}")
        name = made.client_order_id
        self.broker.take(made)
        if ours:
            self.ledger.append("order_intent", name, order_record(made))
            for state in (OrderState.SENDING, OrderState.ACKED):
                record_event(self.ledger, name, state, {"reason": ""})
        return name

    @rule(name=names, shares=st.integers(1, 3))
    def fills(self, name: str, shares: int) -> None:
        if name in self.broker.open():
            self.broker.fill(name, Decimal(shares))

    @rule(
        moods=st.lists(st.sampled_from(MOODS), max_size=6),
        reports=st.lists(st.sampled_from(REPORT_MOODS), max_size=4),
        fills=st.integers(0, 3),
    )
    def worsens(self, moods: list[str], reports: list[str], fills: int) -> None:
        self.broker.moods, self.broker.reports, self.broker.fills_meanwhile = moods, reports, fills

    @rule(sides=st.sampled_from([BOTH, BUYS]))
    def cancels(self, sides: frozenset[Side]) -> None:
        """With a minute's time and a broker that fails a bounded number of times, nothing of these sides is left."""
        before, others = self.broker.open(sides), self.broker.open(BOTH - sides)
        started = self.broker.now
        report = cancel_open(self.ledger, self.broker, started, sides, wait=self.broker.wait)
        assert (self.broker.now - started).total_seconds() <= 60
        assert report.left == () == tuple(self.broker.open(sides))
        left = [name for name in others if self.broker.works[name].state is not OrderState.FILLED]
        assert self.broker.open(BOTH - sides) == left, "an exit that is on its way stays on its way"
        self.ended(report, before)

    @rule(sides=st.sampled_from([BOTH, BUYS]))
    def cancels_at_once(self, sides: frozenset[Side]) -> None:
        """Without time what is left is told, as the broker's last report has it; without a report nothing is claimed."""
        before = self.broker.open(sides)
        try:
            report = cancel_open(self.ledger, self.broker, self.broker.now, sides)
        except BrokerError:
            return
        assert list(report.left) == self.broker.open(sides)
        self.ended(report, before)

    def ended(self, report: CancelReport, before: list[str]) -> None:
        for name in report.canceled:
            assert self.broker.works[name].state is OrderState.CANCELED
        for name in report.ended:
            assert self.broker.works[name].state is OrderState.FILLED
        gone = set(before) - set(report.left)
        assert gone == {*report.canceled, *report.ended}, "how each of them ended is known"
        for name in gone:
            if self.ledger.get("order_intent", name) is not None:
                assert order_state(self.ledger, name) is self.broker.works[name].state
        assert report.untold == ""

    @invariant()
    def nothing_is_invented(self) -> None:
        for name, work in self.broker.works.items():
            known = order_state(self.ledger, name)
            if known in (OrderState.CANCELED, OrderState.FILLED):
                assert known is work.state, "the ledger never ends an order that the broker still works"
            assert Decimal(0) <= work.filled <= work.order.quantity


Cancelling.TestCase.settings = settings(max_examples=40, stateful_step_count=14, deadline=None, derandomize=True)
TestCancelling = Cancelling.TestCase


def test_a_word_that_was_not_true_is_forgotten(tmp_path: Path) -> None:
    """F41: it says canceled and goes on working, then fills: the ledger hears of the fill."""
    broker, ledger = Racing(), SqliteLedger(tmp_path / "l.sqlite")
    made = order(number="1")
    broker.take(made)
    ledger.append("order_intent", "o1", order_record(made))
    for state in (OrderState.SENDING, OrderState.ACKED):
        record_event(ledger, "o1", state, {"reason": ""})
    broker.moods, broker.fills_meanwhile = ["says so only"], 1
    assert cancel_open(ledger, broker, SENT, wait=broker.wait) == CancelReport((), (), ("o1",))
    assert order_state(ledger, "o1") is OrderState.FILLED


def test_a_broker_that_never_ends_an_order_is_asked_for_a_minute(tmp_path: Path) -> None:
    """RC-80: within sixty seconds, then what is left is told; also where the clock stands still."""
    for stands in (False, True):
        broker = Racing()
        broker.take(order(number="1"))
        broker.moods = ["lost"] * 10_000
        waited: list[float] = []

        def wait(
            seconds: float, stands: bool = stands, broker: Racing = broker, waited: list[float] = waited
        ) -> dt.datetime:
            waited.append(seconds)
            return SENT if stands else broker.wait(seconds)

        report = cancel_open(SqliteLedger(tmp_path / "l.sqlite"), broker, SENT, wait=wait)
        assert report == CancelReport((), ("o1",))
        assert 50 <= sum(waited) <= 60
        assert broker.asked == len(waited) + 1 <= 30


def test_a_broker_that_never_reports_is_an_error(tmp_path: Path) -> None:
    """RC-80: nothing is proven without its report."""
    broker = Racing()
    broker.reports = ["fails"] * 10_000
    with pytest.raises(BrokerError, match="cancel-all: expected the broker to tell what is open"):
        cancel_open(SqliteLedger(tmp_path / "l.sqlite"), broker, SENT, wait=broker.wait)
    assert (broker.now - SENT).total_seconds() <= 60
