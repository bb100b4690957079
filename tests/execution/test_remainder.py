"""What slices left goes to the closing auction: never more than the parent in all, nothing while a slice may still fill."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sending_world import NOW, OFF, SESSION, Hours, Killed, frozen, order

from marketbot_resources.broker.following import STRAY, follow, watched
from marketbot_resources.broker.hearing import begin_hearing
from marketbot_resources.broker.remainder import Remainder, Slice, remainder
from marketbot_resources.broker.sending import SendReport, freeze_batch, send_batch
from marketbot_resources.capabilities import Capabilities
from marketbot_resources.errors import BrokerError
from marketbot_resources.halt import HaltFlag
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.model import (
    TERMINAL_STATES,
    AccountReport,
    Acknowledgement,
    Execution,
    OpenOrder,
    Order,
    OrderState,
    OrderType,
    Side,
)
from marketbot_resources.order_slices import beyond_parents
from marketbot_resources.paper import PaperAccount
from marketbot_resources.sessions import as_sent, order_state, record_event

D = Decimal
HALF = dt.timedelta(minutes=30)
LAST = "mb1-z"


def children(*quantities: int, side: Side = Side.BUY) -> tuple[Order, ...]:
    """Slices T1, T2, ... of half an hour each, then the one that takes their rest; the first window is open at NOW."""
    facts: dict[str, object] = {"instrument": "MBx", "side": side, "type": OrderType.LIMIT}
    slices = [
        order(
            f"t{n}",
            quantity=D(q),
            leg=f"T{n}",
            send_from=NOW + (n - 1) * HALF,
            send_until=NOW + n * HALF,
            **facts,
        )
        for n, q in enumerate(quantities, 1)
    ]
    ends = slices[-1].send_until
    facts |= {"type": OrderType.LIMIT_ON_CLOSE, "send_from": ends, "send_until": ends + HALF}
    return (*slices, order("z", quantity=D(sum(quantities)), leg="TC", **facts))


@dataclass
class Market:
    """A broker that fills when told, with races: `before_end` shares fill while it is asked to cancel an order.

    `stubborn`: orders that it does not cancel; `slow`: it cancels at the second asking; `untold`: executions that it names
    later than the order; `counts`: it says how much of an order is filled.
    """

    orders: dict[str, Order] = field(default_factory=dict)
    states: dict[str, OrderState] = field(default_factory=dict)
    filled: dict[str, Decimal] = field(default_factory=dict)
    before_end: dict[str, int] = field(default_factory=dict)
    stubborn: set[str] = field(default_factory=set)
    slow: set[str] = field(default_factory=set)
    untold: set[str] = field(default_factory=set)
    dies_at: str = ""
    deaf: bool = False
    counts: bool = True
    cancels: list[str] = field(default_factory=list)

    @property
    def capabilities(self) -> Capabilities:
        return PaperAccount.capabilities

    def submit(self, order: Order, at: dt.datetime) -> Acknowledgement:
        name = order.client_order_id
        if name not in self.orders:
            self.orders[name], self.states[name] = order, OrderState.ACKED
        if name == self.dies_at:
            self.dies_at = ""
            raise Killed
        told = self.find(name)
        assert told is not None
        return told

    def fill(self, name: str, shares: int) -> None:
        if self.states.get(name) not in (OrderState.ACKED, OrderState.PARTIAL):
            return
        whole = self.orders[name].quantity
        self.filled[name] = min(self.filled.get(name, D(0)) + shares, whole)
        if self.filled[name] > 0:
            self.states[name] = OrderState.FILLED if self.filled[name] == whole else OrderState.PARTIAL

    def find(self, client_order_id: str) -> Acknowledgement | None:
        known = self.orders.get(client_order_id)
        if known is None:
            return None
        state, done = self.states[client_order_id], self.filled.get(client_order_id, D(0))
        return Acknowledgement(client_order_id, state, "b", "", known.instrument, known.side, known.quantity,
                               known.limit_price, done if self.counts else None)  # fmt: skip

    def cancel(self, client_order_id: str, at: dt.datetime) -> Acknowledgement | None:
        self.cancels.append(client_order_id)
        self.fill(client_order_id, self.before_end.pop(client_order_id, 0))
        if client_order_id in self.slow:
            self.slow.remove(client_order_id)
        elif client_order_id not in self.stubborn and self.states[client_order_id] not in TERMINAL_STATES:
            self.states[client_order_id] = OrderState.CANCELED
        return self.find(client_order_id)

    def report(self, since: dt.datetime, until: dt.datetime) -> AccountReport:
        if self.deaf:
            raise BrokerError("no route")
        fills = tuple(
            Execution(f"e{n}", n, o.kind, o.instrument, o.side, self.filled[n], D(20), "USD", D(0), D(0), until)
            for n, o in self.orders.items()
            if n not in self.untold and self.filled.get(n, D(0)) > 0
        )
        working = tuple(
            OpenOrder(n, o.instrument, o.side, o.quantity - self.filled.get(n, D(0)), o.limit_price, "USD")
            for n, o in self.orders.items()
            if self.states[n] not in TERMINAL_STATES
        )
        return AccountReport(until, {}, {}, working, fills, ())


def run(ledger: Ledger, market: Market, orders: Sequence[Order], hours: Hours, flag: HaltFlag = OFF) -> SendReport:
    return send_batch(ledger, market, orders, account="acc", session=SESSION, timing=hours.timing, halt=lambda: flag,
                      gate=lambda _: ())  # fmt: skip


def day(ledger: Ledger, market: Market, orders: Sequence[Order], fills: Sequence[int]) -> Hours:
    """A run in each window of a slice, then its fill; the clock stands at the window of the last child."""
    hours = Hours()
    for child, shares in zip(orders[:-1], fills, strict=True):
        hours.at = child.send_from
        run(ledger, market, orders, hours)
        market.fill(child.client_order_id, shares)
    hours.at = orders[-1].send_from + dt.timedelta(minutes=1)
    return hours


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize(
    ("fills", "left"),
    [
        ((0, 0, 0), 100),
        ((40, 0, 0), 60),
        ((40, 30, 0), 30),
        ((40, 30, 29), 1),
        ((40, 30, 30), None),
        ((1, 2, 3), 94),
        ((39, 30, 30), 1),
    ],
)
def test_what_is_left_is_sent(tmp_path: Path, side: Side, fills: tuple[int, ...], left: int | None) -> None:
    """Slices of 40, 30 and 30: they end first, then the rest goes, at its quantity, which the ledger keeps."""
    orders, market = children(40, 30, 30, side=side), Market()
    ledger = frozen(tmp_path, orders)
    hours = day(ledger, market, orders, fills)
    report = run(ledger, market, orders, hours)
    assert set(market.cancels) == {o.client_order_id for o, n in zip(orders[:-1], fills, strict=True) if n < o.quantity}
    assert all(market.states[o.client_order_id] in TERMINAL_STATES for o in orders[:-1])
    assert all(order_state(ledger, o.client_order_id) in TERMINAL_STATES for o in orders[:-1] if left is not None)
    if left is None:
        assert LAST not in market.orders
        assert report.outcomes[LAST].state is OrderState.EXPIRED
        assert report.outcomes[LAST].reason == "nothing is left by its slices"
        return
    assert market.orders[LAST] == replace(orders[-1], quantity=D(left))
    assert report.outcomes[LAST].state is OrderState.ACKED
    (sending,) = [e for e in ledger.entries("order_event", f"{LAST}/") if e.body["state"] == "SENDING"]
    assert sending.body["quantity"] == str(left)
    assert as_sent(ledger, orders[-1]).quantity == left
    assert watched(ledger, "acc")[LAST].quantity == left
    assert report.outcomes[orders[0].client_order_id].state is OrderState.ACKED, "a later end says nothing of sending"


def test_slices_that_were_never_sent_leave_all(tmp_path: Path) -> None:
    """No run came in their windows: their end is ours to say, and nobody is asked."""
    orders, market, hours = children(40, 60), Market(), Hours()
    ledger = frozen(tmp_path, orders)
    hours.at = orders[-1].send_from
    report = run(ledger, market, orders, hours)
    assert [report.outcomes[o.client_order_id].state for o in orders] == [OrderState.EXPIRED] * 2 + [OrderState.ACKED]
    assert (market.cancels, market.orders[LAST].quantity) == ([], 100)


@pytest.mark.parametrize(
    ("market", "why"),
    [
        (Market(stubborn={"mb1-t1"}), "slice mb1-t1 may still fill: the broker did not confirm its end"),
        (Market(deaf=True), "what its slices filled is unknown: BrokerError: no route"),
    ],
    ids=["not canceled", "no report"],
)
def test_without_proof_nothing_goes(tmp_path: Path, market: Market, why: str) -> None:
    """It is ended unsent with its reason; the broker is asked for a quarter of a minute at most."""
    orders = children(40, 60)
    ledger = frozen(tmp_path, orders)
    hours = day(ledger, market, orders, (10, 0))
    report = run(ledger, market, orders, hours)
    assert LAST not in market.orders
    assert (report.outcomes[LAST].state, report.outcomes[LAST].reason) == (OrderState.EXPIRED, why)
    assert sum(hours.waited) <= 15


@pytest.mark.parametrize("state", [OrderState.REPLACED, OrderState.UNKNOWN, OrderState.REJECTED])
def test_states_that_prove_no_end(tmp_path: Path, state: OrderState) -> None:
    """What replaced an order may fill; what nobody can read says nothing; what filled in part was not refused."""
    orders, market = children(40, 60), Market()
    ledger = frozen(tmp_path, orders)
    hours = day(ledger, market, orders, (0, 10))
    follow_state(ledger, "mb1-t2", OrderState.PARTIAL)
    market.states["mb1-t2"] = state
    assert run(ledger, market, orders, hours).outcomes[LAST].state is OrderState.EXPIRED
    assert LAST not in market.orders


def follow_state(ledger: Ledger, name: str, state: OrderState) -> None:
    record_event(ledger, name, state, {"broker_order_id": "b", "reason": "", "at": NOW.isoformat()})


def test_a_slice_in_doubt_keeps_the_rest_back(tmp_path: Path) -> None:
    """Its answer never came and the broker cannot be asked: nothing else of the name goes."""
    orders, market, hours = children(40, 60), Market(dies_at="mb1-t2"), Hours()
    ledger = frozen(tmp_path, orders)
    hours.at = orders[0].send_from
    run(ledger, market, orders, hours)
    hours.at = orders[1].send_from
    with pytest.raises(Killed):
        run(ledger, market, orders, hours)
    market.states["mb1-t2"] = OrderState.UNKNOWN
    hours.at = orders[-1].send_from
    report = run(ledger, market, orders, hours)
    assert LAST not in market.orders
    assert report.outcomes[LAST].state is OrderState.EXPIRED


def test_a_halt_cancels_nothing(tmp_path: Path) -> None:
    """While nothing may be sent no slice is ended for it, and the rest waits."""
    orders, market = children(40, 60), Market()
    ledger = frozen(tmp_path, orders)
    hours = day(ledger, market, orders, (0, 0))
    report = run(ledger, market, orders, hours, HaltFlag("halt", "a look"))
    assert (market.cancels, report.outcomes[LAST].state) == ([], OrderState.APPROVED)
    assert (
        run(ledger, market, orders, hours, HaltFlag("reduce-only", "a look")).outcomes[LAST].reason.startswith("halt")
    )
    assert market.cancels == []


def test_a_death_while_it_is_sent(tmp_path: Path) -> None:
    """The next run finds it at the broker by the quantity that was sent, not by the frozen one."""
    orders, market = children(40, 60), Market()
    ledger = frozen(tmp_path, orders)
    hours = day(ledger, market, orders, (40, 10))
    market.dies_at = LAST
    with pytest.raises(Killed):
        run(ledger, market, orders, hours)
    assert market.orders[LAST].quantity == 50
    report = run(ledger, market, orders, Hours(hours.at + dt.timedelta(minutes=2)))
    assert (report.halted, report.outcomes[LAST].state) == ("", OrderState.ACKED)
    assert len(market.orders) == 3


def test_a_late_fill_beyond_the_parent_is_a_stray(tmp_path: Path) -> None:
    """RC-66 judges by the parent: 40 filled late, after the rest was sent for all of it."""
    orders, market = children(40, 60), Market(counts=False, untold={"mb1-t1"})
    ledger = frozen(tmp_path, orders)
    hours = day(ledger, market, orders, (40, 60))
    market.states["mb1-t1"] = OrderState.CANCELED  # its fill is told by nobody yet
    run(ledger, market, orders, hours)
    assert market.orders[LAST].quantity == 40
    market.fill(LAST, 40)
    market.untold.clear()
    begin_hearing(ledger, NOW - dt.timedelta(days=1))
    ledger.append("session_cutoff", SESSION.isoformat(), {"cutoff_at": (NOW - dt.timedelta(days=1)).isoformat()})
    found = follow(ledger, market, "acc", hours.at + HALF)
    assert found.strays == (f"order {LAST}: with its slices filled 140 of 100",)
    assert [entry.key for entry in ledger.entries(STRAY)] == [f"parent/{LAST}"]


@pytest.mark.parametrize(
    ("filled", "beyond"),
    [
        ({"mb1-t1": 40, "mb1-t2": 60}, None),
        ({"mb1-t1": 40, "mb1-t2": 60, LAST: 1}, 101),
        ({"mb1-t1": 40, LAST: 60}, None),
        ({"mb1-t1": 40, LAST: 61}, 101),
        ({LAST: 100}, None),
        ({LAST: 101}, 101),
        ({"mb1-t1": 1000}, None),
    ],
)
def test_a_parent_bounds_its_children(filled: dict[str, int], beyond: int | None) -> None:
    """A rest that filled, with its slices; slices alone have bounds of their own. Another batch is another parent."""
    orders = {o.client_order_id: o for o in children(40, 60)}
    orders["other"] = replace(orders["mb1-t1"], client_order_id="other", batch_no=2)
    found = beyond_parents(orders, {**{name: D(n) for name, n in filled.items()}, "other": D(40)})
    if beyond is None:
        assert found == {}
    else:
        assert found == dict.fromkeys(("mb1-t1", "mb1-t2", LAST), (orders[LAST], D(beyond)))


SLICES = st.lists(st.integers(1, 50), min_size=1, max_size=4)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(SLICES, st.data())
def test_never_more_than_the_parent(quantities: list[int], data: st.DataObject) -> None:
    """Fills in part, in any order, while they are canceled, told late; cancels ignored or slow; a death at the last order."""
    orders = children(*quantities)
    names = [o.client_order_id for o in orders[:-1]]
    some = st.sets(st.sampled_from(names))
    market = Market(
        before_end={name: data.draw(st.integers(0, 60)) for name in names},
        stubborn=data.draw(some),
        slow=data.draw(some),
        untold=data.draw(some),
    )
    fills = [data.draw(st.integers(0, 60)) for _ in names]
    with TemporaryDirectory() as folder:
        ledger = SqliteLedger(Path(folder) / "ledger.sqlite")
        freeze_batch(ledger, "acc", SESSION, orders, {})
        hours = day(ledger, market, orders, fills)
        market.dies_at = data.draw(st.sampled_from(["", LAST]))
        try:
            run(ledger, market, orders, hours)
        except Killed:
            run(ledger, market, orders, hours)
        for name in data.draw(st.permutations([*names, LAST])):
            market.fill(name, 1000)
    assert sum(market.filled.values()) <= sum(quantities)
    if LAST in market.orders:
        assert all(market.states[name] in TERMINAL_STATES for name in names)
        assert sum(market.filled.values()) == sum(quantities), "what may be sent is sent"


def asked_for(market: Market, *states: OrderState, sent: bool = True) -> Remainder:
    """What is left of slices of 40 and 60 that the ledger has in these states."""
    first, second, last = children(40, 60)
    slices = [Slice(o, state, NOW if sent else None) for o, state in zip((first, second), states, strict=True)]
    return remainder(market, last, slices, now=lambda: NOW, wait=lambda _: None)


def known(*states: OrderState, filled: Sequence[int] = (0, 0), **facts: object) -> Market:
    """A market that has the two slices in these states."""
    first, second, _ = children(40, 60)
    market = Market(orders={o.client_order_id: o for o in (first, second)}, **facts)  # type: ignore[arg-type]
    market.states = dict(zip(market.orders, states, strict=True))
    market.filled = {name: D(n) for name, n in zip(market.orders, filled, strict=True)}
    return market


CANCELED, FILLED = OrderState.CANCELED, OrderState.FILLED


@pytest.mark.parametrize(
    ("market", "left"),
    [
        (known(CANCELED, CANCELED, filled=(10, 20)), 70),
        (known(CANCELED, CANCELED, filled=(10, 20), untold={"mb1-t1"}), 70),  # the order says what executions do not
        (known(CANCELED, CANCELED, filled=(10, 20), counts=False), 70),  # and the other way round
        (known(FILLED, CANCELED, filled=(0, 20), counts=False), 40),  # a whole slice, whatever else is told
        (known(CANCELED, CANCELED, filled=(70, 20)), 10),  # more than was ordered counts, too
        (known(CANCELED, CANCELED, filled=(41, 60)), 0),
    ],
)
def test_the_most_that_is_told_counts(market: Market, left: int) -> None:
    """Executions, the order's own count and its state: whichever says more."""
    found = asked_for(market, OrderState.ACKED, OrderState.ACKED)
    assert (found.quantity, found.why) == (left, "" if left else "nothing is left by its slices")


@pytest.mark.parametrize("filled", [D("NaN"), D("Infinity"), D("sNaN")])
def test_a_count_that_is_no_number_leaves_nothing(filled: Decimal) -> None:
    market = known(CANCELED, CANCELED)
    market.filled["mb1-t1"], market.untold = filled, {"mb1-t1", "mb1-t2"}
    assert asked_for(market, OrderState.ACKED, OrderState.ACKED).quantity == 0


@pytest.mark.parametrize(
    ("state", "left"),
    [(state, 100 if state in (OrderState.REJECTED, OrderState.EXPIRED) else 0) for state in OrderState],
)
def test_a_slice_that_the_broker_does_not_know(state: OrderState, left: int) -> None:
    """It was refused or never arrived, or nothing goes; in doubt it may still come."""
    assert asked_for(Market(), state, OrderState.EXPIRED).quantity == left


def test_a_doubt_asks_nobody() -> None:
    """The broker could say CANCELED of an order of which the ledger does not know what was sent."""
    market = known(CANCELED, CANCELED)
    assert asked_for(market, OrderState.UNKNOWN, OrderState.ACKED).why.startswith("slice mb1-t1 may still fill")
    assert asked_for(market, OrderState.ACKED, OrderState.SENDING).quantity == 0
