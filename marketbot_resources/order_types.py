"""What each order type needs and when it trades: prices it must carry, the phase of the session, its value without a limit. Pure.

Not here: which types a broker takes (`broker_table`), which a mandate allows (`mandate_execution`), how they fill (`fillmodel`).
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import IntEnum
from types import MappingProxyType

from marketbot_resources.model import Kind, Order, OrderType

STOP_LEG = "S"
"""The leg of a protective order that waits at the broker."""

PROTECTIVE_LEGS = frozenset({"P", STOP_LEG})
"""Legs of exits and cures, and of protection: they only ever sell, and are no turnover of the target's."""

MARKET_MARGIN = Decimal("0.04")
"""An order without a limit is worth its reference price and this fraction more: brokers reserve 2.5 to 4 % for it."""

PRICES: Mapping[OrderType, frozenset[str]] = MappingProxyType(
    {
        OrderType.LIMIT_ON_OPEN: frozenset({"limit_price"}),
        OrderType.MARKET_ON_OPEN: frozenset(),
        OrderType.LIMIT_ON_CLOSE: frozenset({"limit_price"}),
        OrderType.MARKET_ON_CLOSE: frozenset(),
        OrderType.LIMIT: frozenset({"limit_price"}),
        OrderType.MARKET: frozenset(),
        OrderType.STOP: frozenset({"stop_price"}),
        OrderType.STOP_LIMIT: frozenset({"limit_price", "stop_price"}),
        OrderType.TRAILING_STOP: frozenset({"trail"}),
        OrderType.BRACKET: frozenset({"limit_price", "stop_price", "take_profit"}),
    }
)
"""The prices that an order of each type carries, no other and none less."""

UNLIMITED = frozenset(kind for kind, needed in PRICES.items() if "limit_price" not in needed)
_PRICE_NAMES = ("limit_price", "stop_price", "take_profit", "trail")


class Phase(IntEnum):
    """The part of a session in which an order trades, in order."""

    OPEN = 0
    DAY = 1
    CLOSE = 2


def phase_of(kind: OrderType) -> Phase:
    """OPEN and CLOSE for auctions, DAY for everything that trades continuously."""
    if kind in (OrderType.LIMIT_ON_OPEN, OrderType.MARKET_ON_OPEN):
        return Phase.OPEN
    return Phase.CLOSE if kind in (OrderType.LIMIT_ON_CLOSE, OrderType.MARKET_ON_CLOSE) else Phase.DAY


def price_problem(order: Order) -> str:
    """Why the prices of an order are not those of its type; empty when they are. A currency leg carries none.

    Each price is finite and above 0, a trail below 1; a buy's bracket has its stop below and its profit above the limit, a
    sell's the other way round.
    """
    if order.kind is Kind.FX:
        given = [name for name in _PRICE_NAMES if getattr(order, name) is not None]
        given += [] if order.type is OrderType.LIMIT_ON_OPEN else [f"type {order.type}"]
        return f"is a conversion with {' and '.join(given)}" if given else ""
    if not isinstance(order.type, OrderType):
        return f"has type {order.type!r}"
    for name in _PRICE_NAMES:
        value, needed = getattr(order, name), name in PRICES[order.type]
        if needed and not (isinstance(value, Decimal) and value.is_finite() and value > 0):
            return f"is {order.type.value} with {name} {value}"
        if not needed and value is not None:
            return f"is {order.type.value} and has a {name}"
    if order.trail is not None and not order.trail < 1:
        return f"has a trail of {order.trail}, expected below 1"
    if order.type is OrderType.BRACKET:
        assert order.limit_price is not None
        assert order.stop_price is not None
        assert order.take_profit is not None
        sign = order.side.sign
        if not sign * order.stop_price < sign * order.limit_price < sign * order.take_profit:
            return f"is a bracket with stop {order.stop_price}, limit {order.limit_price}, profit {order.take_profit}"
    return ""


def in_words(order: Mapping[str, object], shown: Callable[[object], str] = str) -> str:
    """How an order trades, for people: `at 10.5 USD or better`, `at the market in the closing auction`, `at the broker's rate`.

    `order`: a record or row with at least `limit_price` and `currency`; without a `type` it is of the first one. `shown`: how a
    price is written. The opening auction at a limit, which every order once was, is not named.
    """
    kind, currency = OrderType(str(order.get("type") or OrderType.LIMIT_ON_OPEN.value)), order["currency"]
    limit, stop, profit, trail = (order.get(name) for name in _PRICE_NAMES)
    if limit is None and kind is OrderType.LIMIT_ON_OPEN:
        return "at the broker's rate"
    told = "at the market" if limit is None else f"at {shown(limit)} {currency} or better"
    where = {
        OrderType.MARKET_ON_OPEN: " in the opening auction",
        OrderType.LIMIT_ON_CLOSE: " in the closing auction",
        OrderType.MARKET_ON_CLOSE: " in the closing auction",
        OrderType.LIMIT: " within the session",
        OrderType.MARKET: " within the session",
    }
    if stop is not None and kind is not OrderType.BRACKET:
        return f"{told} once it trades at {shown(stop)} {currency}"
    if trail is not None:
        return f"{told} once it trades {trail} off its best price"
    if kind is OrderType.BRACKET:
        return f"{told}, then out at {shown(profit)} or at the stop {shown(stop)} {currency}"
    return told + where.get(kind, "")
