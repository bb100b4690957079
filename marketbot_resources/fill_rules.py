"""At which price a type of order meets a daily bar, before costs. Pure.

A bar tells open, high, low and close, not the way between them. Where more than one way is possible, the rule takes the one that is
worse for the order, and a fill that is not certain is none. Not here: volume and costs (`fillmodel`), when a bar counts (`paper`).

- LIMIT_ON_OPEN, MARKET_ON_OPEN: the open; LIMIT_ON_CLOSE, MARKET_ON_CLOSE: the close. A limit must allow it.
- MARKET: where the straight line from open to close stands when the order begins to work; at the open, the open.
- LIMIT: that price when it is within the limit, else the limit once the bar reaches it.
- STOP: that price when it is at or beyond the stop (a gap fills at the open), else the stop once the bar reaches it.
- STOP_LIMIT: triggered like STOP, then a limit; triggered beyond its limit it fills at the limit only if the bar gets back there
  after the first price; triggered inside the bar it fills at the stop when the limit allows that.
- TRAILING_STOP: the first price less the trail once the bar reaches that; else the bar's best price less the trail when the close
  lies beyond it, for then the stop was met on the way from the best price to the close.
- BRACKET: the entry is a LIMIT. On the same bar its stop comes first when both could have been met. After an entry at the first
  price the whole bar may close it; after one inside the bar the stop counts when the bar reached it (the way there leads through
  the limit), the take-profit only when the close is beyond it. What is not met ends with the day.

An order that begins to work inside the session knows of the bar only its line price and the close.
"""

import datetime as dt
import math
from dataclasses import dataclass
from decimal import Decimal

from marketbot_resources.model import Order, OrderType
from marketbot_resources.order_types import Phase, phase_of


@dataclass(frozen=True, slots=True)
class Bar:
    """One session of one instrument on its own exchange: listing currency's major unit, shares. NaN = not known."""

    instrument: str
    session: dt.date
    open: float
    high: float
    low: float
    close: float
    volume: float
    opened_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Path:
    """What an order can know of a bar from its first price on: that price, the extremes that it may meet, the close."""

    first: float
    high: float
    low: float
    close: float


def path_of(kind: OrderType, bar: Bar, elapsed: float) -> Path | str:
    """The part of a bar that a type of order meets, or why it meets none. `elapsed` in [0, 1], ignored by auctions."""
    phase = phase_of(kind)
    if phase is not Phase.DAY:
        price = bar.open if phase is Phase.OPEN else bar.close
        return Path(price, price, price, price) if _positive(price) else "no auction price"
    if not all(_positive(price) for price in (bar.open, bar.high, bar.low, bar.close)):
        return "no whole bar"
    if not 0.0 <= elapsed <= 1.0:
        return f"its window is not in the session, elapsed {elapsed}"
    if elapsed == 0.0:
        high, low = max(bar.high, bar.open, bar.close), min(bar.low, bar.open, bar.close)
        return Path(bar.open, high, low, bar.close)
    first = bar.open + elapsed * (bar.close - bar.open)
    return Path(first, max(first, bar.close), min(first, bar.close), bar.close)


def met_at(order: Order, path: Path) -> float | str:
    """The price before costs at which the order fills, or why it does not."""
    if order.type in (OrderType.MARKET, OrderType.MARKET_ON_OPEN, OrderType.MARKET_ON_CLOSE):
        return path.first
    if order.type in (OrderType.LIMIT_ON_OPEN, OrderType.LIMIT_ON_CLOSE):
        assert order.limit_price is not None
        price = _decimal(path.first)
        beyond = order.side.sign * (price - order.limit_price) > 0
        return f"auction price {price} is beyond the limit {order.limit_price}" if beyond else path.first
    if order.type in (OrderType.LIMIT, OrderType.BRACKET):
        return _limit(order, path)
    return _stopped(order, path)


def _limit(order: Order, path: Path) -> float | str:
    assert order.limit_price is not None
    sign, limit = order.side.sign, float(order.limit_price)
    best = path.low if sign > 0 else path.high
    if not sign * (best - limit) <= 0.0:
        return f"the session's best price {_decimal(best)} is beyond the limit {order.limit_price}"
    return path.first if sign * (path.first - limit) <= 0.0 else limit


def _stopped(order: Order, path: Path) -> float | str:
    """A stop order: buys stop above, sells below."""
    sign = order.side.sign
    worst, best = (path.high, path.low) if sign > 0 else (path.low, path.high)
    if order.type is OrderType.TRAILING_STOP:
        assert order.trail is not None
        near, far = (price * (1.0 + sign * float(order.trail)) for price in (path.first, best))
        if sign * (worst - near) >= 0.0:
            return near
        return far if sign * (path.close - far) >= 0.0 else f"the trail of {order.trail} was not met"
    assert order.stop_price is not None
    stop = float(order.stop_price)
    if not sign * (worst - stop) >= 0.0:
        return f"the stop {order.stop_price} was not met"
    gapped = sign * (path.first - stop) >= 0.0
    price = path.first if gapped else stop
    if order.limit_price is None or sign * (price - float(order.limit_price)) <= 0.0:
        return price
    limit = float(order.limit_price)
    if gapped and sign * (best - limit) <= 0.0:
        return limit
    return f"stopped at {_decimal(price)}, beyond the limit {order.limit_price}"


def bracket_exit(order: Order, path: Path, met: float) -> tuple[float, Decimal | None] | None:
    """(price before costs, limit) at which a bracket that entered at `met` is closed on its bar; None when neither is met."""
    assert order.stop_price is not None
    assert order.take_profit is not None
    sign, stop, profit = order.side.sign, float(order.stop_price), float(order.take_profit)
    worst, best = (path.low, path.high) if sign > 0 else (path.high, path.low)
    if sign * (worst - stop) <= 0.0:
        return min(stop, met) if sign > 0 else max(stop, met), None
    reached = best if met == path.first else path.close
    return (profit, order.take_profit) if sign * (reached - profit) >= 0.0 else None


def _positive(price: float) -> bool:
    return math.isfinite(price) and price > 0.0


def _decimal(value: float) -> Decimal:
    return Decimal(repr(float(value)))
