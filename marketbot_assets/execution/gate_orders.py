"""How the last-line gate reads an order: slices of a parent, prices that its type must carry. Pure.

It shares no code with the risk stage or the portfolio. Whatever cannot be read raises or is not as it must be. Not here: any
ceiling (`gate`).
"""

from collections.abc import Sequence
from decimal import Decimal

from marketbot_resources.model import Kind, Order, OrderType, Side

REST_LEG, WAITING_LEG = "TC", "S"
PRICES = ("limit_price", "stop_price", "take_profit", "trail")
_LIMIT, _STOP, _PROFIT, _TRAIL = PRICES
_STOPS = {OrderType.STOP: {_STOP}, OrderType.STOP_LIMIT: {_LIMIT, _STOP}, OrderType.TRAILING_STOP: {_TRAIL}}
_LIMITS = (OrderType.LIMIT_ON_OPEN, OrderType.LIMIT_ON_CLOSE, OrderType.LIMIT)
_NO_LIMIT = (OrderType.MARKET, OrderType.MARKET_ON_OPEN, OrderType.MARKET_ON_CLOSE)
_NEEDED = {
    **{kind: {_LIMIT} for kind in _LIMITS},
    **{kind: set[str]() for kind in _NO_LIMIT},
    **_STOPS,
    OrderType.BRACKET: {_LIMIT, _STOP, _PROFIT},
}


def place(instrument: str, side: Side) -> str:
    """What may be ordered once a session: `<instrument>|<side>`."""
    return f"{instrument}|{side.value}"


def sliced(order: Order) -> bool:
    """Whether an order is one of several slices of a parent: leg T1, T2, ..."""
    return order.kind is not Kind.FX and order.leg[:1] == "T" and order.leg[1:].isdigit()


def is_part(order: Order) -> bool:
    """Whether an order is a slice, or takes what slices leave."""
    return order.leg == REST_LEG or sliced(order)


def siblings(order: Order, batch: Sequence[Order]) -> list[Order]:
    """The slices of the parent that an order is a slice or the rest of, itself included; none for any other order."""
    found = batch if is_part(order) else ()
    return [o for o in found if sliced(o) and (o.instrument, o.side) == (order.instrument, order.side)]


def priced(order: Order) -> bool:
    """Whether an order carries the prices of its type and no other, each finite and above 0; a stop sells, a bracket buys.

    A trail is below 1; a bracket's stop lies below its limit, its take-profit above.
    """
    given = {name: value for name in PRICES if (value := getattr(order, name)) is not None}
    if not all(isinstance(value, Decimal) and value.is_finite() and value > 0 for value in given.values()):
        return False
    if type(order.type) is not OrderType or set(given) != _NEEDED[order.type]:
        return False
    if order.type in _STOPS and not (order.side is Side.SELL and given.get(_TRAIL, 0) < 1):
        return False
    if order.leg == WAITING_LEG and order.type not in (OrderType.STOP, OrderType.TRAILING_STOP):
        return False
    rises = order.type is not OrderType.BRACKET or given[_STOP] < given[_LIMIT] < given[_PROFIT]
    return rises and (order.type is not OrderType.BRACKET or order.side is Side.BUY)
