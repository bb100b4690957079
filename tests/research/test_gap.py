"""A gap that no sample data hold: all prices fall in one session, and the ladder goes where past years never took it."""

import pytest
from research_world import START, loop, scaled_from, sessions

from marketbot_assets.book.state import Rung
from marketbot_assets.research.history import Tables
from marketbot_assets.research.loop import Day
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import Kind, Side
from marketbot_resources.paper import PaperAccount

BUILT = 9  # sessions before the gap: the book is built up


def equity(day: Day) -> list:
    return [order for order in day.decision.batch if order.kind is Kind.EQUITY]


def invested(day: Day) -> float:
    return sum(day.rolled.valuation.values.values()) / day.rolled.valuation.nav


@pytest.fixture(scope="module")
def two_gaps(world: Tables, mandate: Mandate) -> list[Day]:
    """-18 % on one session at a full book, a further -10 % on the next, overnight, before its exits could fill."""
    first, second = sessions(START, BUILT + 2)[BUILT:]
    crafted = scaled_from(scaled_from(world, first, 0.82), second, 0.90)
    return list(loop(crafted, mandate, BUILT + 12)[0])


@pytest.fixture(scope="module")
def one_gap(world: Tables, mandate: Mandate) -> tuple[list[Day], PaperAccount]:
    """-15 % on one session: a drawdown between 10 % and 12.5 %."""
    first = sessions(START, BUILT + 1)[BUILT]
    days, _, account = loop(scaled_from(world, first, 0.85), mandate, BUILT + 23)
    return list(days), account


def test_the_crafted_drawdowns_are_where_they_should_be(
    two_gaps: list[Day], one_gap: tuple[list[Day], PaperAccount]
) -> None:
    """The tests below mean something: a built book before the gap, 12.5 to 15 %, then beyond 15 %; 10 to 12.5 % in the other."""
    assert invested(two_gaps[BUILT - 1]) > 0.40
    assert two_gaps[BUILT - 1].state.drawdown < 0.05
    assert 0.125 < two_gaps[BUILT].state.drawdown < 0.15 < two_gaps[BUILT + 1].state.drawdown
    assert all(0.10 < day.state.drawdown < 0.125 for day in one_gap[0][BUILT : BUILT + 20])


def test_to_cash_sells_everything(two_gaps: list[Day]) -> None:
    """RC-60 at 12.5 %: every holding is sold whole and nothing is bought, although the day's loss halts (RC-61)."""
    day = two_gaps[BUILT]
    assert day.state.rung is Rung.TO_CASH
    assert day.decision.judgement.verdict == "APPROVED"
    assert {order.side for order in equity(day)} == {Side.SELL}
    assert {o.instrument: o.quantity for o in equity(day)} == dict(day.rolled.valuation.holdings.shares)


def test_halt_goes_on_selling_until_flat(two_gaps: list[Day]) -> None:
    """RC-60 at 15 %: class C, the exits that missed the auction (RC-07 collar) are sent again, nothing else is."""
    day = two_gaps[BUILT + 1]
    assert day.state.rung is Rung.HALT
    assert day.state.halt_class == "C"
    assert invested(day) > 0.20, "the second gap jumped over the exits' limits"
    assert day.decision.judgement.verdict == "APPROVED"
    assert {order.side for order in equity(day)} == {Side.SELL}
    assert {order.instrument for order in equity(day)} == set(day.rolled.valuation.holdings.shares)


def test_the_loop_ends_flat_and_halted(two_gaps: list[Day]) -> None:
    """A class C halt is an operator's: once flat the loop ends, its last verdict is HALT, nothing is sent."""
    last = two_gaps[-1]
    assert BUILT + 2 < len(two_gaps) < BUILT + 12
    assert all(day.state.halt_class == "C" for day in two_gaps[BUILT + 1 :])
    assert not last.rolled.valuation.holdings.shares
    assert last.decision.judgement.verdict == "HALT"
    assert last.decision.batch == ()


def test_the_overshoot_is_bounded_by_invested_times_gap(two_gaps: list[Day]) -> None:
    """The halt is a trigger, no guarantee: the loss passes 15 %, by no more than what was invested times the gap."""
    before, after = two_gaps[BUILT], two_gaps[BUILT + 1]
    high = before.state.reference_high
    overshoot = two_gaps[-1].state.drawdown - 0.15
    assert overshoot > 0.0
    bound = 1.0 - before.state.nav / high + invested(before) * (0.10 + 0.03) * before.state.nav / high
    assert after.state.drawdown <= bound
    assert overshoot <= 0.10


def test_the_loss_of_the_day_halts_one_session(one_gap: tuple[list[Day], PaperAccount]) -> None:
    """RC-61: -4 % on the day is HALT class B above 12.5 %: nothing is sent, not one planned order reaches the broker."""
    days, account = one_gap
    day = days[BUILT]
    assert day.state.halt_class == "B"
    assert day.decision.judgement.verdict == "HALT"
    assert len(day.decision.orders) > 0
    assert [order for order in day.decision.orders if account.find(order.client_order_id) is not None] == []
    assert days[BUILT + 1].decision.judgement.verdict == "APPROVED"


def test_reduce_only_buys_nothing(one_gap: tuple[list[Day], PaperAccount]) -> None:
    """RC-60 at 10 %: twenty sessions of sells alone; the book ends below a quarter of the volatility target."""
    waiting = one_gap[0][BUILT : BUILT + 20]
    assert {day.state.rung for day in waiting} == {Rung.REDUCE_ONLY}
    assert {order.side for day in waiting for order in equity(day)} == {Side.SELL}
    assert invested(waiting[-1]) < 0.25


def test_a_calm_market_rearms_after_twenty_sessions(one_gap: tuple[list[Day], PaperAccount]) -> None:
    """Class B re-arm: after 20 sessions and a calm index the reference high is NAV / 0.95, half the target, buys again."""
    day = one_gap[0][BUILT + 20]
    assert day.known.factor_model.index_vol_20d < 0.25
    assert day.state.rearms == (day.state.session,)
    assert day.state.reference_high == pytest.approx(day.state.nav / 0.95, rel=1e-12)
    assert day.state.multiple == 0.5
    assert day.state.rung is Rung.SCALED
    assert day.state.drawdown_inception > 0.10, "the high since inception is not forgiven"
    after = one_gap[0][BUILT + 20 :]
    assert Side.BUY in {order.side for later in after for order in equity(later)}
    assert all(later.state.multiple == 0.5 for later in after), "a step up needs ten sessions"
