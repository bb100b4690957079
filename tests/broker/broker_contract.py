"""The contract of the broker port as numbered cases that every adapter passes: each takes a fresh World.

A World is a broker and the market behind it. Its account holds 10000 USD and 50 shares of A (New York, USD), opened at Monday's
cutoff; no other order or event exists. Expected values are written out by hand. A case that needs more than the port names it
(`needs`); a World says what it `can`, and runs the cases that it can.
"""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Protocol

import pytest
from paper_world import CLOSED, MINUTE, OPEN, OPENED, SENT, D, currency_order, order

from marketbot_resources.errors import BrokerError
from marketbot_resources.model import (
    TERMINAL_STATES,
    AccountReport,
    BrokerPort,
    OrderState,
    OrderType,
    Side,
)

CASH, SHARES = {"USD": D(10000)}, {"A": D(50)}
ENDED_UNFILLED = {OrderState.CANCELED, OrderState.EXPIRED, OrderState.DONE_FOR_DAY}


class World(Protocol):
    """One broker under test.

    `can`: "dedupe" (takes an id once), "faults", "foreign", "busts", "partial", "duplicates", "dividends", "repeats".
    """

    broker: BrokerPort
    can: frozenset[str]

    def price(self, price: float, volume: float = 1_000_000.0) -> None:
        """A's opening auction of Tuesday will be at this price; of `volume` the broker fills what it takes part in."""
        ...

    def pass_to(self, at: dt.datetime) -> None:
        """Lets the broker's time pass; the auction is held on the way."""
        ...

    def reopened(self) -> BrokerPort:
        """The same broker as another process opens it."""
        ...

    def requests(self) -> int:
        """How many requests for orders have reached the broker so far."""
        ...

    def fault(self, name: str) -> None:
        """What becomes of the next request for an order: "accept_silent" (taken, no answer), "lost", "late"."""
        ...

    def foreign(self) -> BrokerPort:
        """The broker as it is opened for another account than the one that answers."""
        ...

    def bust(self, execution_id: str, price: str | None) -> None:
        """The broker takes an execution back; `price`: of the one that stands instead."""
        ...

    def partial(self, quantity: str, price: str) -> None:
        """A part of the order o1 fills now; the rest is not filled any more."""
        ...

    def repeat(self) -> None:
        """From now on the broker tells executions twice and in another order."""
        ...

    def dividend(self, per_share: str) -> None:
        """A pays its holders now."""
        ...


CASES: dict[str, Callable[[World], None]] = {}
NEEDS: dict[str, frozenset[str]] = {}


def case(*needs: str) -> Callable[[Callable[[World], None]], Callable[[World], None]]:
    def keep(check: Callable[[World], None]) -> Callable[[World], None]:
        CASES[check.__name__] = check
        NEEDS[check.__name__] = frozenset(needs)
        return check

    return keep


def cases_of(can: frozenset[str]) -> list[str]:
    """The cases that a World runs."""
    return [name for name, needs in NEEDS.items() if needs <= can]


def moved(report: AccountReport) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
    """Cash and shares that follow from the seed and the executions and events told."""
    cash, shares = dict(CASH), dict(SHARES)
    for fill in report.executions:
        paid = (fill.quantity * fill.price).quantize(D("0.01")) * fill.side.sign
        cash["USD"] -= paid + fill.fee + fill.tax
        shares["A"] += fill.quantity * fill.side.sign
    for event in report.events:
        cash["USD"] += event.amount
    return cash, {name: count for name, count in shares.items() if count}


def state_of(broker: BrokerPort, name: str) -> OrderState | None:
    found = broker.find(name)
    return None if found is None else found.state


@case()
def k01_it_reports_its_account(world: World) -> None:
    report = world.broker.report(OPENED, SENT)
    assert (report.as_of_at, dict(report.cash), dict(report.positions)) == (SENT, CASH, SHARES)
    assert (report.open_orders, report.executions, report.events, report.busts) == ((), (), (), ())


@case()
def k02_it_says_whose_money_it_is_and_its_time(world: World) -> None:
    report = world.broker.report(OPENED, SENT)
    assert report.environment == "paper"
    assert report.broker_at is not None
    assert report.broker_at.tzinfo is not None
    assert abs(report.broker_at - SENT) <= MINUTE


@case()
def k03_an_order_is_acknowledged_and_found(world: World) -> None:
    answer = world.broker.submit(order(), SENT)
    assert (answer.client_order_id, answer.state, answer.reason) == ("o1", OrderState.ACKED, "")
    assert answer.broker_order_id
    assert world.broker.find("o1") == answer
    assert world.reopened().find("o1") == answer


@case()
def k04_an_order_that_waits_is_told_as_open(world: World) -> None:
    world.broker.submit(order(), SENT)
    report = world.broker.report(OPENED, SENT + MINUTE)
    assert [(o.client_order_id, o.instrument, o.side, o.remaining, o.limit_price) for o in report.open_orders] == [
        ("o1", "A", Side.BUY, D(100), D("10.50"))
    ]
    assert (report.executions, dict(report.cash), dict(report.positions)) == ((), CASH, SHARES)


@case()
def k05_a_fill_moves_shares_and_cash_to_the_cent(world: World) -> None:
    world.price(10.0)
    world.broker.submit(order(), SENT)
    world.pass_to(CLOSED)
    report = world.broker.report(OPENED, CLOSED)
    assert sum(fill.quantity for fill in report.executions) == 100
    for fill in report.executions:
        assert (fill.client_order_id, fill.instrument, fill.side, fill.currency) == ("o1", "A", Side.BUY, "USD")
        assert 0 < fill.price <= D("10.50")
        assert OPEN <= fill.executed_at <= CLOSED
    assert (dict(report.cash), dict(report.positions)) == moved(report)
    assert report.positions == {"A": D(150)}
    assert report.open_orders == ()
    assert state_of(world.broker, "o1") is OrderState.FILLED


@case()
def k06_a_sell_moves_shares_and_cash_to_the_cent(world: World) -> None:
    world.price(10.0)
    world.broker.submit(order(Side.SELL, "50", "9"), SENT)
    world.pass_to(CLOSED)
    report = world.broker.report(OPENED, CLOSED)
    assert (dict(report.cash), dict(report.positions)) == moved(report)
    assert report.positions == {}
    assert report.cash["USD"] > 10400


@case()
def k07_adjoining_windows_tell_every_execution_once(world: World) -> None:
    world.price(10.0)
    world.broker.submit(order(), SENT)
    world.pass_to(CLOSED)
    whole = [fill.execution_id for fill in world.broker.report(OPENED, CLOSED).executions]
    parts = []
    for since, until in ((OPENED, OPEN - MINUTE), (OPEN - MINUTE, OPEN), (OPEN, CLOSED), (CLOSED, CLOSED + MINUTE)):
        parts += [fill.execution_id for fill in world.broker.report(since, until).executions]
    assert sorted(parts) == sorted(whole)
    assert len(set(whole)) == len(whole) > 0


@case()
def k08_an_order_that_never_came_is_not_found(world: World) -> None:
    assert world.broker.find("o1") is None
    assert world.broker.cancel("o1", SENT) is None
    assert world.broker.report(OPENED, SENT).open_orders == ()


@case("dedupe")
def k09_the_same_order_twice_is_one_order(world: World) -> None:
    world.price(10.0)
    first = world.broker.submit(order(), SENT)
    assert world.broker.submit(order(), SENT + MINUTE) == first == world.broker.find("o1")
    world.pass_to(CLOSED)
    assert world.broker.report(OPENED, CLOSED).positions == {"A": D(150)}
    assert world.broker.submit(order(), SENT + MINUTE).state is OrderState.FILLED


@case("dedupe")
def k10_an_id_with_other_fields_is_refused(world: World) -> None:
    world.price(10.0)
    world.broker.submit(order(), SENT)
    other = world.broker.submit(order(quantity="200"), SENT)
    assert other.state is OrderState.REJECTED
    assert "other fields" in other.reason
    assert state_of(world.broker, "o1") is OrderState.ACKED
    world.pass_to(CLOSED)
    assert world.broker.report(OPENED, CLOSED).positions == {"A": D(150)}


@case()
def k11_more_than_is_held_is_not_sold(world: World) -> None:
    refused = world.broker.submit(order(Side.SELL, "51", "9"), SENT)
    assert refused.state is OrderState.REJECTED
    assert refused.reason
    assert world.broker.report(OPENED, SENT + MINUTE).open_orders == ()


@case()
def k12_a_price_beyond_the_limit_fills_nothing(world: World) -> None:
    world.price(10.51)
    world.broker.submit(order(), SENT)
    world.pass_to(CLOSED)
    report = world.broker.report(OPENED, CLOSED)
    assert state_of(world.broker, "o1") in ENDED_UNFILLED
    assert (dict(report.cash), dict(report.positions), report.open_orders) == (CASH, SHARES, ())


@case("partial")
def k13_a_part_stays_and_the_rest_ends(world: World) -> None:
    world.broker.submit(order(), SENT)
    world.partial("60", "10.00")
    during = world.broker.report(OPENED, OPEN)
    world.pass_to(CLOSED)
    report = world.broker.report(OPENED, CLOSED)
    assert [fill.quantity for fill in report.executions] == [D(60)]
    assert (dict(report.cash), dict(report.positions)) == moved(report)
    assert report.positions == {"A": D(110)}
    assert state_of(world.broker, "o1") in ENDED_UNFILLED
    assert report.open_orders == ()
    assert all(o.remaining == 40 for o in during.open_orders)


@case()
def k14_an_open_order_is_canceled(world: World) -> None:
    world.price(10.0)
    world.broker.submit(order(), SENT)
    world.broker.submit(order(Side.SELL, "30", "9", number="2"), SENT)
    answer = world.broker.cancel("o1", SENT + MINUTE)
    assert answer is not None
    assert (answer.client_order_id, answer.state) == ("o1", OrderState.CANCELED)
    assert state_of(world.broker, "o1") is OrderState.CANCELED
    assert [o.client_order_id for o in world.broker.report(OPENED, SENT + 2 * MINUTE).open_orders] == ["o2"]
    world.pass_to(CLOSED)
    report = world.broker.report(OPENED, CLOSED)
    assert {fill.client_order_id for fill in report.executions} == {"o2"}
    assert report.positions == {"A": D(20)}


@case()
def k15_what_has_filled_is_not_canceled(world: World) -> None:
    world.price(10.0)
    world.broker.submit(order(), SENT)
    world.pass_to(CLOSED)
    world.broker.report(OPENED, CLOSED)
    answer = world.broker.cancel("o1", CLOSED)
    assert answer is not None
    assert answer.state is OrderState.FILLED
    assert world.broker.report(OPENED, CLOSED).positions == {"A": D(150)}


@case()
def k16_a_naive_instant_is_an_error(world: World) -> None:
    before = world.requests()
    with pytest.raises(BrokerError, match="time zone"):
        world.broker.submit(order(), SENT.replace(tzinfo=None))
    assert world.requests() == before


@case()
def k17_what_it_cannot_do_is_refused_without_a_request(world: World) -> None:
    before, can = world.requests(), world.broker.capabilities
    tried = [order(number=f"t{kind.value}", type=kind) for kind in OrderType if kind not in can.types]
    if not can.currency_legs:
        tried.append(currency_order())
    if can.mics is not None:
        tried.append(order(number="7", instrument="T", mic="XTKS", currency="JPY"))
    if not can.fractions:
        tried.append(order(number="8", quantity="1.5"))
    for one in tried:
        answer = world.broker.submit(one, SENT)
        assert (answer.state, bool(answer.reason)) == (OrderState.REJECTED, True), one
    assert world.requests() == before
    assert world.broker.report(OPENED, SENT).open_orders == ()


@case()
def k18_what_makes_no_sense_is_refused_without_a_request(world: World) -> None:
    before = world.requests()
    for number, fields in enumerate(
        ({"quantity": "0"}, {"limit": None}, {"send_until": SENT - MINUTE}, {"limit": "-1"})
    ):
        answer = world.broker.submit(order(number=f"r{number}", **fields), SENT)  # type: ignore[arg-type]
        assert (answer.state, bool(answer.reason)) == (OrderState.REJECTED, True), fields
    assert world.requests() == before
    report = world.broker.report(OPENED, SENT)
    assert (dict(report.cash), dict(report.positions), report.open_orders) == (CASH, SHARES, ())


@case("foreign")
def k19_another_account_is_refused(world: World) -> None:
    with pytest.raises(BrokerError, match="account"):
        world.foreign().report(OPENED, SENT)
    before = world.requests()
    with pytest.raises(BrokerError, match="account"):
        world.foreign().submit(order(), SENT)
    assert world.requests() == before, "no order goes into an account that is not ours"


@case("faults")
def k20_silence_after_an_acceptance_is_an_error_and_the_order_is_found(world: World) -> None:
    world.fault("accept_silent")
    before = world.requests()
    with pytest.raises(BrokerError):
        world.broker.submit(order(), SENT)
    assert world.requests() == before + 1, "a request for an order is never repeated"
    assert state_of(world.broker, "o1") is OrderState.ACKED
    assert len(world.broker.report(OPENED, SENT + MINUTE).open_orders) == 1


@case("faults")
def k21_silence_without_an_acceptance_is_an_error_and_no_order_is_found(world: World) -> None:
    world.fault("lost")
    before = world.requests()
    with pytest.raises(BrokerError):
        world.broker.submit(order(), SENT)
    assert world.requests() <= before + 1
    assert world.broker.find("o1") is None
    assert world.broker.report(OPENED, SENT + MINUTE).open_orders == ()


@case("faults")
def k22_a_late_acceptance_is_found_later(world: World) -> None:
    world.fault("late")
    with pytest.raises(BrokerError):
        world.broker.submit(order(), SENT)
    assert world.broker.find("o1") is None
    world.pass_to(SENT + world.broker.capabilities.lateness_max + MINUTE)
    assert state_of(world.broker, "o1") is OrderState.ACKED


@case("repeats")
def k23_executions_told_twice_count_once(world: World) -> None:
    world.price(10.0)
    world.broker.submit(order(), SENT)
    world.broker.submit(order(Side.SELL, "30", "9", number="2"), SENT)
    world.repeat()
    world.pass_to(CLOSED)
    report = world.broker.report(OPENED, CLOSED)
    assert (dict(report.cash), dict(report.positions)) == moved(report)
    assert report.positions == {"A": D(120)}
    assert [f.executed_at for f in report.executions] == sorted(f.executed_at for f in report.executions)


@case("busts")
def k24_a_bust_is_told_with_what_stands_instead(world: World) -> None:
    world.price(10.0)
    world.broker.submit(order(), SENT)
    world.pass_to(CLOSED)
    (first, *_) = world.broker.report(OPENED, CLOSED).executions
    world.bust(first.execution_id, "9.90")
    (bust,) = world.broker.report(OPENED, CLOSED + MINUTE).busts
    assert bust.execution_id == first.execution_id
    after = world.broker.report(OPENED, CLOSED + MINUTE)
    (stands,) = [fill for fill in after.executions if fill.execution_id == bust.replaced_by]
    assert (stands.quantity, stands.price) == (first.quantity, D("9.90"))


@case("busts")
def k25_a_bust_without_successor_gives_the_money_back(world: World) -> None:
    world.price(10.0)
    world.broker.submit(order(), SENT)
    world.pass_to(CLOSED)
    fills = world.broker.report(OPENED, CLOSED).executions
    for fill in fills:
        world.bust(fill.execution_id, None)
    report = world.broker.report(OPENED, CLOSED + MINUTE)
    assert {bust.execution_id for bust in report.busts} == {fill.execution_id for fill in fills}
    assert {bust.replaced_by for bust in report.busts} == {""}
    assert (dict(report.cash), dict(report.positions)) == (CASH, SHARES)


@case("dividends")
def k26_a_dividend_is_told_once(world: World) -> None:
    world.dividend("0.335")
    report = world.broker.report(OPENED, CLOSED)
    (event,) = report.events
    assert (event.kind, event.instrument, event.currency, event.amount, event.quantity) == (
        "DIVIDEND",
        "A",
        "USD",
        D("16.75"),
        D(0),
    )
    assert (dict(report.cash), dict(report.positions)) == ({"USD": D("10016.75")}, SHARES)
    assert world.broker.report(event.effective_at, CLOSED).events == ()


@case()
def k27_capabilities_can_be_planned_with(world: World) -> None:
    can = world.broker.capabilities
    assert can.name
    assert can.lateness_max >= dt.timedelta(0)
    assert can.settlement_days >= 0
    for kinds, terms in (
        ({OrderType.LIMIT_ON_OPEN, OrderType.MARKET_ON_OPEN}, can.open_auction),
        ({OrderType.LIMIT_ON_CLOSE, OrderType.MARKET_ON_CLOSE}, can.close_auction),
    ):
        assert not (can.types & kinds) or terms is not None
        assert terms is None or terms.closes_before >= dt.timedelta(0)


@case()
def k28_orders_that_ended_leave_nothing_open(world: World) -> None:
    world.price(10.0)
    for number in ("1", "2", "3"):
        world.broker.submit(order(number=number, quantity="10"), SENT)
    world.broker.cancel("o2", SENT + MINUTE)
    world.pass_to(CLOSED)
    report = world.reopened().report(OPENED, CLOSED)
    assert report.open_orders == ()
    assert {state_of(world.reopened(), f"o{n}") for n in (1, 2, 3)} <= TERMINAL_STATES
    assert report.positions == {"A": D(70)}
