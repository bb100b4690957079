"""At which price each type of order meets a daily bar: every case worked out by hand, gaps and bounds included."""

import math
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paper_world import OPEN, TUESDAY, D, order

from marketbot_resources.errors import MarketbotError
from marketbot_resources.fill_rules import Bar
from marketbot_resources.fillmodel import FillTerms, order_fill, unfilled_reason
from marketbot_resources.model import Order, OrderType, Side

BUY, SELL = Side.BUY, Side.SELL
T = OrderType
FREE = FillTerms(0.0, 0.0, 0.0, 1.0, 0.02, 0.0, 1e6, D(1), D("0.01"))


def bar(opened: float = 10.0, high: float = 11.0, low: float = 9.0, close: float = 10.5, volume: float = 1e6) -> Bar:
    return Bar("A", TUESDAY, opened, high, low, close, volume, OPEN)


def of(kind: OrderType, side: Side = BUY, limit: str | None = None, **prices: str) -> Order:
    plain = order(side, limit=limit)
    return replace(plain, type=kind, **{name: D(text) for name, text in prices.items()})  # type: ignore[arg-type]


# the bar: open 10, high 11, low 9, close 10.5; no costs, so that the price met is the price paid
MET: dict[str, tuple[Order, float, str | None]] = {
    "limit on open": (of(T.LIMIT_ON_OPEN, limit="10.00"), 0.0, "10.00"),
    "limit on open, beyond": (of(T.LIMIT_ON_OPEN, limit="9.99"), 0.0, None),
    "market on open": (of(T.MARKET_ON_OPEN), 0.0, "10.00"),
    "limit on close": (of(T.LIMIT_ON_CLOSE, limit="10.50"), 0.0, "10.50"),
    "limit on close, beyond": (of(T.LIMIT_ON_CLOSE, limit="10.49"), 0.0, None),
    "limit on close, sell": (of(T.LIMIT_ON_CLOSE, SELL, "10.50"), 0.0, "10.50"),
    "limit on close, sell beyond": (of(T.LIMIT_ON_CLOSE, SELL, "10.51"), 0.0, None),
    "market on close": (of(T.MARKET_ON_CLOSE, SELL), 0.0, "10.50"),
    "market": (of(T.MARKET), 0.0, "10.00"),
    # half of the session is over: half of the way from 10 to 10.5
    "market at noon": (of(T.MARKET), 0.5, "10.25"),
    "market at the end": (of(T.MARKET), 1.0, "10.50"),
    "limit above the open": (of(T.LIMIT, limit="10.20"), 0.0, "10.00"),
    "limit reached later": (of(T.LIMIT, limit="9.50"), 0.0, "9.50"),
    "limit at the low": (of(T.LIMIT, limit="9.00"), 0.0, "9.00"),
    "limit below the low": (of(T.LIMIT, limit="8.99"), 0.0, None),
    "limit sell below the open": (of(T.LIMIT, SELL, "9.50"), 0.0, "10.00"),
    "limit sell at the high": (of(T.LIMIT, SELL, "11.00"), 0.0, "11.00"),
    "limit sell above the high": (of(T.LIMIT, SELL, "11.01"), 0.0, None),
    # from noon on only 10.25 and the close of 10.5 are known: the low of 9 may have been in the morning
    "limit at noon": (of(T.LIMIT, limit="10.25"), 0.5, "10.25"),
    "limit at noon, beyond": (of(T.LIMIT, limit="10.24"), 0.5, None),
    "limit sell at noon": (of(T.LIMIT, SELL, "10.50"), 0.5, "10.50"),
    "stop": (of(T.STOP, SELL, stop_price="9.50"), 0.0, "9.50"),
    "stop at the low": (of(T.STOP, SELL, stop_price="9.00"), 0.0, "9.00"),
    "stop below the low": (of(T.STOP, SELL, stop_price="8.99"), 0.0, None),
    "stop at the open": (of(T.STOP, SELL, stop_price="10.00"), 0.0, "10.00"),
    "stop gapped": (of(T.STOP, SELL, stop_price="10.40"), 0.0, "10.00"),
    "stop that buys": (of(T.STOP, BUY, stop_price="10.80"), 0.0, "10.80"),
    "stop that buys, gapped": (of(T.STOP, BUY, stop_price="9.80"), 0.0, "10.00"),
    "stop that buys, not met": (of(T.STOP, BUY, stop_price="11.01"), 0.0, None),
    "stop limit": (of(T.STOP_LIMIT, SELL, "9.40", stop_price="9.50"), 0.0, "9.50"),
    "stop limit not met": (of(T.STOP_LIMIT, SELL, "8.00", stop_price="8.50"), 0.0, None),
    # gapped below its limit at the open, the bar comes back to 10.8 later
    "stop limit gapped": (of(T.STOP_LIMIT, SELL, "10.80", stop_price="10.90"), 0.0, "10.80"),
    "stop limit gapped away": (of(T.STOP_LIMIT, SELL, "11.01", stop_price="11.20"), 0.0, None),
    # stopped at 9.5 inside the bar with a limit above it: whether 9.6 came back afterwards is not known
    "stop limit unsure": (of(T.STOP_LIMIT, SELL, "9.60", stop_price="9.50"), 0.0, None),
    # 5 % below the open: 9.5
    "trail from the open": (of(T.TRAILING_STOP, SELL, trail="0.05"), 0.0, "9.50"),
    "trail exactly at the low": (of(T.TRAILING_STOP, SELL, trail="0.1"), 0.0, "9.00"),
    # 4 % above the open: 10.4, reached
    "trail that buys": (of(T.TRAILING_STOP, BUY, trail="0.04"), 0.0, "10.40"),
    "trail not met": (of(T.TRAILING_STOP, SELL, trail="0.2"), 0.0, None),
    "bracket entry": (of(T.BRACKET, BUY, "10.20", stop_price="8.50", take_profit="12"), 0.0, "10.00"),
    "bracket without entry": (of(T.BRACKET, BUY, "8.90", stop_price="8.50", take_profit="12"), 0.0, None),
}


@pytest.mark.parametrize("name", MET)
def test_the_price_that_each_type_meets(name: str) -> None:
    """The documented rule of the type, at, inside and beyond its bounds."""
    sent, elapsed, expected = MET[name]
    fill = order_fill(sent, bar(), FREE, elapsed=elapsed)
    assert (None if fill is None else fill.execution.price) == (None if expected is None else D(expected))
    assert bool(unfilled_reason(sent, bar(), FREE, elapsed=elapsed)) is (fill is None)


def test_a_trail_that_the_close_proves() -> None:
    """High 12, close 11: 5 % off the high is 11.4, above the close, so it was met after the high; off the open 9.5 was not."""
    sent = of(T.TRAILING_STOP, SELL, trail="0.05")
    fill = order_fill(sent, bar(10.0, 12.0, 9.8, 11.0), FREE)
    assert fill is not None
    assert fill.execution.price == D("11.40")
    assert order_fill(sent, bar(10.0, 12.0, 9.8, 11.41), FREE) is None


BRACKETS: dict[str, tuple[Bar, tuple[str, str] | None]] = {
    # limit 10.20, stop 9.50, take-profit 10.80. What closes it: side price
    "both met: the stop first": (bar(10.0, 11.0, 9.0, 10.5), ("stop", "9.50")),
    "profit alone": (bar(10.0, 10.8, 9.6, 10.5), ("profit", "10.80")),
    "profit just missed": (bar(10.0, 10.79, 9.6, 10.5), None),
    "stop at the low": (bar(10.0, 10.5, 9.5, 10.0), ("stop", "9.50")),
    "stop just missed": (bar(10.0, 10.5, 9.51, 10.0), None),
    "opened below the stop": (bar(9.4, 10.5, 9.3, 10.0), ("stop", "9.40")),
    # entry inside the bar (open 10.5 above the limit): the high of 11 may have been before it
    "profit unsure": (bar(10.5, 11.0, 10.1, 10.4), None),
    "profit by the close": (bar(10.5, 11.0, 10.1, 10.9), ("profit", "10.80")),
    "stop after an entry inside": (bar(10.5, 10.6, 9.4, 10.0), ("stop", "9.50")),
}


@pytest.mark.parametrize("name", BRACKETS)
def test_a_bracket_is_closed_on_its_bar_only_when_that_is_sure(name: str) -> None:
    """The stop before the take-profit; what may have been before the entry does not count; the rest ends with the day."""
    traded, expected = BRACKETS[name]
    fill = order_fill(of(T.BRACKET, BUY, "10.20", stop_price="9.50", take_profit="10.80"), traded, FREE)
    assert fill is not None
    found = fill.closing
    if expected is None:
        assert found is None
        return
    assert found is not None
    assert (found.side, found.price, found.quantity) == (SELL, D(expected[1]), fill.execution.quantity)
    assert (fill.execution.execution_id, found.execution_id) == ("o1-1", "o1-2")


def test_costs_move_the_price_against_the_order_but_not_beyond_a_limit() -> None:
    """10 bps, of which 6 move the price: a market order pays 10.006 -> 10.01, a stop sells 9.4943 -> 9.49; limits cap it."""
    dear = replace(FREE, half_spread_and_fee_bps=10.0)
    found = [
        order_fill(sent, bar(), dear)
        for sent in (of(T.MARKET), of(T.STOP, SELL, stop_price="9.50"), of(T.LIMIT, limit="9.50"))
    ]
    assert [fill.execution.price for fill in found if fill is not None] == [D("10.01"), D("9.49"), D("9.50")]


def test_what_others_took_of_the_volume_is_gone() -> None:
    """2 % of 10,000 shares are 200: after 150 of them 50 are left, after 200 none."""
    thin = bar(volume=10_000.0)
    fill = order_fill(of(T.MARKET), thin, FREE, taken=D(150))
    assert fill is not None
    assert (fill.execution.quantity, fill.remaining) == (D(50), D(50))
    assert order_fill(of(T.MARKET), thin, FREE, taken=D(200)) is None


@pytest.mark.parametrize("field", ["open", "high", "low", "close"])
@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, -1.0])
def test_a_bar_with_a_hole_fills_nothing_within_the_session(field: str, value: float) -> None:
    """Continuous orders need the whole bar, auctions their own price."""
    holed = replace(bar(), **{field: value})  # type: ignore[arg-type]
    assert unfilled_reason(of(T.LIMIT, limit="10.50"), holed, FREE) == "no whole bar"
    assert (order_fill(of(T.MARKET_ON_CLOSE), holed, FREE) is None) is (field == "close")


def test_an_order_outside_of_its_session_fills_nothing() -> None:
    """The elapsed fraction lies in [0, 1]."""
    for elapsed in (math.nan, -0.01, 1.01):
        assert "not in the session" in unfilled_reason(of(T.MARKET), bar(), FREE, elapsed=elapsed)


@pytest.mark.parametrize(
    "sent",
    [of(T.MARKET, limit="10"), of(T.LIMIT), of(T.STOP, SELL), of(T.TRAILING_STOP, SELL, trail="1"),
     of(T.LIMIT_ON_OPEN, limit="10", trail="0.1"),
     of(T.BRACKET, BUY, "10", stop_price="10", take_profit="11"), of(T.BRACKET, BUY, "10", stop_price="9", take_profit="10")],
    ids=range(7),
)  # fmt: skip
def test_an_order_with_prices_of_another_type_is_an_error(sent: Order) -> None:
    """Never a silent change of type."""
    with pytest.raises(MarketbotError, match="prices of their type"):
        order_fill(sent, bar(), FREE)


PRICES = st.integers(500, 1500).map(lambda n: n / 100.0)


@settings(max_examples=150, deadline=None)
@given(PRICES, PRICES, PRICES, PRICES, st.sampled_from([T.LIMIT, T.STOP, T.STOP_LIMIT, T.TRAILING_STOP, T.MARKET]),
       st.sampled_from([BUY, SELL]), PRICES, PRICES, st.floats(0.0, 1.0))  # fmt: skip
def test_no_fill_lies_outside_of_the_bar_or_beyond_its_limit(
    a: float, b: float, c: float, d: float, kind: OrderType, side: Side, limit: float, stop: float, elapsed: float
) -> None:
    """Without costs every price was traded, to the tick, and a limit holds."""
    opened, close = sorted((a, b, c, d))[1:3]
    traded = Bar("A", TUESDAY, opened, max(a, b, c, d), min(a, b, c, d), close, 1e6, OPEN)
    prices = {"limit": f"{limit:.2f}"} if kind in (T.LIMIT, T.STOP_LIMIT) else {}
    stops = {"stop_price": f"{stop:.2f}"} if kind in (T.STOP, T.STOP_LIMIT) else {}
    trails = {"trail": "0.03"} if kind is T.TRAILING_STOP else {}
    sent = of(kind, side, **prices, **stops, **trails)
    fill = order_fill(sent, traded, FREE, elapsed=elapsed)
    if fill is None:
        return
    price = float(fill.execution.price)
    assert traded.low - 0.005 <= price <= traded.high + 0.005
    assert sent.limit_price is None or side.sign * (fill.execution.price - sent.limit_price) <= Decimal(0)
