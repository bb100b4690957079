"""How the last-line gate reads an order: slices of a parent, prices that its type must carry. Pure.

It shares no code with the risk stage or the portfolio. Whatever cannot be read raises or is not as it must be. Not here: any
ceiling (`gate`).
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import TypeVar

from marketbot_resources.model import Kind, OpenOrder, Order, OrderType, Side

REST_LEG, WAITING_LEG = "TC", "S"
_ZERO, _NUMBERS = Decimal(0), int | float | Decimal
# Which of limit, stop, take-profit and trail (L, S, P, T) an order of a type carries.
_STOPS = {OrderType.STOP: "S", OrderType.STOP_LIMIT: "LS", OrderType.TRAILING_STOP: "T"}
_LIMITS = dict.fromkeys((OrderType.LIMIT_ON_OPEN, OrderType.LIMIT_ON_CLOSE, OrderType.LIMIT), "L")
_NO_LIMIT = dict.fromkeys((OrderType.MARKET_ON_OPEN, OrderType.MARKET_ON_CLOSE, OrderType.MARKET), "")
_NEEDED = {**_LIMITS, **_NO_LIMIT, **_STOPS, OrderType.BRACKET: "LSP"}
_Named = TypeVar("_Named", Order, OpenOrder)
_decimal = lru_cache(maxsize=1024)(lambda value: Decimal(repr(value)))


class Unreadable(Exception):
    """A fact that cannot be read; its text says which and what was found."""


def number(value: object, what: str, name: str = "", *, positive: bool = False) -> Decimal:
    """A number as the decimal that it prints as. Raises Unreadable for anything else, NaN and infinity."""
    if type(value) is not Decimal:
        if isinstance(value, bool) or not isinstance(value, _NUMBERS):
            raise Unreadable(f"expected {what}{name} as a number, found {type(value).__name__}")
        value = _decimal(float(value)) if isinstance(value, float) else Decimal(value)
    if not (value.is_finite() and (not positive or value > _ZERO)):
        raise Unreadable(f"expected {what}{name} finite{' and above 0' if positive else ''}, found {value}")
    return value


def place(instrument: str, side: Side) -> str:
    """What may be ordered once a session: `<instrument>|<side>`."""
    return f"{instrument}|{side.value}"


def sliced(order: Order) -> bool:
    """Whether an order is one of several slices of a parent: leg T1, T2, ..."""
    return order.kind is not Kind.FX and order.leg[:1] == "T" and order.leg[1:].isdigit()


def is_part(order: Order) -> bool:
    """Whether an order is a slice, or takes what slices leave."""
    return order.leg == REST_LEG or sliced(order)


def by_key(orders: Iterable[_Named], *fields: str) -> Mapping[str, Sequence[_Named]]:
    """Value of any of the fields -> its orders."""
    found: dict[str, list[_Named]] = {}
    for order, name in ((order, name) for order in orders for name in fields):
        found.setdefault(getattr(order, name), []).append(order)
    return found


def priced(order: Order) -> bool:
    """Whether an order carries the prices of its type and no other, each finite and above 0; a stop sells, a bracket buys.

    A trail is below 1; a bracket's stop lies below its limit, its take-profit above. A currency leg has no price and no type.
    """
    prices = zip("LSPT", (order.limit_price, order.stop_price, order.take_profit, order.trail), strict=True)
    given = {letter: value for letter, value in prices if value is not None}
    if order.kind is Kind.FX:
        return order.type is OrderType.LIMIT_ON_OPEN and not given
    if not all(isinstance(value, Decimal) and value.is_finite() and value > _ZERO for value in given.values()):
        return False
    if type(order.type) is not OrderType or "".join(given) != _NEEDED[order.type]:
        return False
    if order.leg == WAITING_LEG and order.type not in (OrderType.STOP, OrderType.TRAILING_STOP):
        return False
    if order.type in _STOPS:
        return order.side is Side.SELL and (order.trail is None or order.trail < 1)
    return order.type is not OrderType.BRACKET or (order.side is Side.BUY and given["S"] < given["L"] < given["P"])
