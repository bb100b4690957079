"""RC-62, RC-63, RC-64, RC-31: stops on a total-return scale; splits and dividends never fire them."""

import datetime as dt
import math
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_assets.book.state import Lot, StopHit
from marketbot_assets.book.stops import (
    blocked_names,
    judge_stops,
    passive_breaches,
    roll_lots,
    stop_levels,
    unjudged_lots,
    with_extremes,
)
from marketbot_resources.corporate_actions import CorporateAction
from marketbot_resources.errors import HaltError
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import Execution, Kind, Side

DAY = dt.date(2018, 12, 11)
OPEN = dt.datetime(2018, 12, 11, 14, 30, tzinfo=dt.UTC)
SESSIONS = tuple(DAY + dt.timedelta(days=n) for n in range(40))


def lot(
    entry: float = 100.0, extreme: float = 100.0, dividends: float = 0.0, quantity: int = 10, name: str = "A"
) -> Lot:
    return Lot(name, Decimal(quantity), entry, extreme, dividends, DAY)


def fill(side: Side, quantity: int, price: float, *, name: str = "A", minute: int = 0) -> Execution:
    numbers = (Decimal(quantity), Decimal(repr(price)), "USD", Decimal(0), Decimal(0))
    at = OPEN + dt.timedelta(minutes=minute)
    return Execution(f"{minute:03d}", f"o{minute}", Kind.EQUITY, name, side, *numbers, at)


def action(*, amount: float = 0.0, ratio: float = 1.0, minute: int = 0) -> CorporateAction:
    kind = "SPLIT" if ratio != 1.0 else "CASH_DIVIDEND"
    return CorporateAction("A", DAY, kind, amount, ratio, "USD", OPEN + dt.timedelta(minutes=minute))


def roll(lots, fills=(), actions=()):  # type: ignore[no-untyped-def]
    return roll_lots(lots, fills, actions, session=DAY)


def test_buys_average_sells_do_not() -> None:
    """10 at 100 and 30 at 120: 115; a sell leaves the entry; a sold lot is gone; a new one starts anew."""
    (got,) = roll([lot()], [fill(Side.BUY, 30, 120.0), fill(Side.SELL, 15, 50.0, minute=1)])
    assert (got.quantity, got.entry_price, got.extreme, got.entered_on) == (25, 115.0, 100.0, DAY)
    assert roll([lot()], [fill(Side.SELL, 10, 90.0)]) == ()
    (again,) = roll([lot(extreme=180.0)], [fill(Side.SELL, 10, 90.0), fill(Side.BUY, 5, 91.0, minute=1)])
    assert (again.quantity, again.entry_price, again.extreme) == (5, 91.0, 91.0)


def test_selling_more_than_the_lot_stops() -> None:
    """A lot is never negative."""
    with pytest.raises(HaltError, match="expected to hold 11"):
        roll([lot()], [fill(Side.SELL, 11, 90.0)])


def test_currency_legs_make_no_lots() -> None:
    """An FX fill is cash, not a holding."""
    leg = Execution("1", "o", Kind.FX, "FX:GBP", Side.BUY, Decimal(5), Decimal(1), "GBP", Decimal(0), Decimal(0), OPEN)
    assert roll([lot()], [leg]) == (lot(),)


@settings(max_examples=60, deadline=None)
@given(
    moves=st.lists(st.tuples(st.booleans(), st.integers(1, 50), st.integers(50, 200)), min_size=1, max_size=10),
    close=st.integers(50, 200),
)
def test_entry_keeps_the_profit_true(moves: list[tuple[bool, int, int]], close: int) -> None:
    """Buys and dividends in any order: quantity * (close + dividends - entry) is value + dividends received - money paid."""
    fills, actions, shares, money = [], [], 0, 0.0
    for minute, (is_buy, quantity, price) in enumerate(moves):
        if is_buy:
            fills.append(fill(Side.BUY, quantity, float(price), minute=minute))
            shares, money = shares + quantity, money - quantity * price
        else:
            actions.append(action(amount=quantity / 50, minute=minute))
            money += shares * quantity / 50
    for got in roll([], fills, actions):
        profit = float(got.quantity) * (close + got.dividends - got.entry_price)
        assert profit == pytest.approx(shares * close + money, abs=1e-6)


def test_the_extreme_follows_total_return_closes() -> None:
    """Dividends count, lower closes and unknown ones change nothing."""
    lots = (lot(dividends=3.0),)
    assert with_extremes(lots, {"A": 104.0})[0].extreme == 107.0
    for close in (96.9, math.nan):
        assert with_extremes(lots, {"A": close}) == lots
    assert with_extremes(lots, {}) == lots


LEVELS = [  # lot, ATR20, stop loss, trailing stop (multiples 6 and 8, at least 15 %)
    (lot(), 1.0, 85.0, 85.0),
    (lot(), 3.0, 82.0, 76.0),
    (lot(100.0, 150.0), 1.0, 85.0, 127.5),
    (lot(100.0, 150.0), 5.0, 70.0, 110.0),
    (lot(100.0, 150.0, 10.0), 5.0, 60.0, 100.0),
]


@pytest.mark.parametrize(("held", "atr", "loss", "trail"), LEVELS)
def test_levels(mandate: Mandate, held: Lot, atr: float, loss: float, trail: float) -> None:
    """The formulas by hand; a close at the level is no hit, a cent below is."""
    assert stop_levels(held, atr, mandate.stops) == (pytest.approx(loss), pytest.approx(trail))
    highest = max(loss, trail)
    assert judge_stops([held], {"A": highest + 1e-9}, {"A": atr}, mandate.stops) == ()
    (hit,) = judge_stops([held], {"A": highest - 0.01}, {"A": atr}, mandate.stops)
    assert hit.control == ("RC-62" if loss >= trail else "RC-63")
    assert (hit.close, hit.level) == (highest - 0.01, pytest.approx(highest))


@pytest.mark.parametrize(
    ("close", "atr", "reason"),
    [
        ({"A": math.nan}, {"A": 1.0}, "no close this session"),
        ({}, {"A": 1.0}, "no close this session"),
        ({"A": 1.0}, {"A": math.nan}, "ATR20 is unknown"),
        ({"A": 1.0}, {}, "ATR20 is unknown"),
        ({"A": 1.0}, {"A": -1.0}, "ATR20 is unknown"),
    ],
)
def test_what_is_not_known_fires_nothing_and_is_reported(
    mandate: Mandate, close: dict[str, float], atr: dict[str, float], reason: str
) -> None:
    """NaN never sells, and never passes unseen."""
    assert judge_stops([lot()], close, atr, mandate.stops) == ()
    assert unjudged_lots([lot()], close, atr) == {"A": reason}
    assert unjudged_lots([lot()], {"A": 1.0}, {"A": 1.0}) == {}


def test_a_hit_stays_until_the_lot_is_sold(mandate: Mandate) -> None:
    """A partly filled exit is not called off by a bounce or by a missing close."""
    hit = StopHit("A", "RC-63", 80.0, 85.0)
    for close in ({"A": 99.0}, {}):
        assert judge_stops([lot()], close, {"A": 1.0}, mandate.stops, previous=[hit]) == (hit,)
    assert judge_stops([], {"A": 99.0}, {"A": 1.0}, mandate.stops, previous=[hit]) == ()


events = st.lists(
    st.tuples(st.sampled_from([4.0, 2.0, 0.2, 1.5, 1.0]), st.floats(0.0, 0.03), st.floats(-0.02, 0.02)), max_size=12
)


@settings(max_examples=80, deadline=None)
@given(moves=events, price=st.floats(5.0, 900.0))
def test_splits_and_dividends_never_fire_a_stop(
    mandate: Mandate, moves: list[tuple[float, float, float]], price: float
) -> None:
    """A total return that stays within 12 % of entry fires nothing, whatever splits and dividends cut from the price."""
    lots, entry, scale, paid = (lot(price, price, quantity=10**10),), price, 1.0, 0.0
    for ratio, share, drift in moves:
        actions = [action(amount=price * share)] + ([action(ratio=ratio)] if ratio != 1.0 else [])
        wealth = price * scale + paid
        paid += price * share * scale
        price, scale = (price * (1.0 - share)) / ratio, scale * ratio
        price *= 1.0 + max(drift, 0.0) if wealth < 0.95 * entry else 1.0 + drift
        lots = with_extremes(roll(lots, (), actions), {"A": price})
        wealth = price * scale + paid  # of one share bought at the start
        assert (price + lots[0].dividends) * scale == pytest.approx(wealth)
        if wealth > 0.88 * lots[0].extreme * scale:
            assert judge_stops(lots, {"A": price}, {"A": 0.01 * price}, mandate.stops) == ()


@settings(max_examples=60, deadline=None)
@given(
    path=st.lists(st.floats(0.9, 1.1), min_size=1, max_size=15),
    split_at=st.integers(0, 14),
    ratio=st.sampled_from([4.0, 2.0, 0.2]),
)
def test_a_split_changes_units_only(mandate: Mandate, path: list[float], split_at: int, ratio: float) -> None:
    """The same path with and without a split: the same hits on the same sessions, quantities times the ratio."""
    plain, split, price, factor = (lot(quantity=1000),), (lot(quantity=1000),), 100.0, 1.0
    for n, move in enumerate(path):
        price *= move
        moved = [action(ratio=ratio)] if n == split_at else []
        factor *= ratio if moved else 1.0
        plain = with_extremes(plain, {"A": price})
        split = with_extremes(roll(split, (), moved), {"A": price / factor})
        hits = [
            judge_stops(lots, {"A": price / unit}, {"A": 0.02 * price / unit}, mandate.stops)
            for lots, unit in ((plain, 1.0), (split, factor))
        ]
        near = [abs(price - level) < 1e-6 * price for level in stop_levels(plain[0], 0.02 * price, mandate.stops)]
        assert [h.control for h in hits[0]] == [h.control for h in hits[1]] or any(near)
        assert split[0].extreme * factor == pytest.approx(plain[0].extreme)
    assert split[0].quantity == plain[0].quantity * Decimal(repr(factor))


def block(previous, hits, session=DAY, days=SESSIONS):  # type: ignore[no-untyped-def]
    return blocked_names(previous, hits, session=session, decision_sessions=days, block_sessions=10)


def test_stopped_names_are_blocked_for_ten_sessions() -> None:
    """May be bought again on the tenth session after the last hit; past blocks are dropped."""
    hit = StopHit("B", "RC-62", 1.0, 2.0)
    blocked = block([("A", DAY), ("C", SESSIONS[3])], [hit])
    assert blocked == (("B", SESSIONS[10]), ("C", SESSIONS[3]))
    assert block(blocked, [], SESSIONS[9]) == (("B", SESSIONS[10]),)
    assert block(blocked, [], SESSIONS[10]) == ()
    assert block(blocked, [hit], SESSIONS[1]) == (("B", SESSIONS[11]), ("C", SESSIONS[3]))


def test_a_calendar_that_ends_blocks_for_good() -> None:
    """Not knowing when the block ends never shortens it."""
    assert block([], [StopHit("B", "RC-62", 1.0, 2.0)], days=SESSIONS[:5]) == (("B", dt.date.max),)


def test_passive_breaches_are_counted_in_sessions(mandate: Mandate) -> None:
    """Above 6 %: one more; at or below: none; unknown weights leave the count; sold names go."""
    rule = mandate.limits.passive_breach
    weights = {"A": 0.061, "B": 0.06, "C": math.nan, "D": math.nan, "E": 0.2}
    assert passive_breaches((("A", 2), ("B", 1), ("C", 3), ("X", 5)), weights, rule) == (("A", 3), ("C", 3), ("E", 1))
