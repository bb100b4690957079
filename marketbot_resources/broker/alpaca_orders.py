"""An order of ours as Alpaca reads it, and whether what Alpaca tells of an order is the one that was sent. Pure.

Prices are texts, of two decimals from 1 USD on and of four below (RC-16). Auctions are limit or market orders with time in force
`opg` and `cls`, everything else is `day`. Not here: what states mean (`alpaca_states`), requests (`alpaca`).
"""

import datetime as dt
from decimal import Decimal

from marketbot_resources.broker import broker_json
from marketbot_resources.broker.broker_json import Row
from marketbot_resources.broker.symbols import Symbol
from marketbot_resources.capabilities import Capabilities
from marketbot_resources.errors import BrokerError
from marketbot_resources.market.symbols import alpaca_symbol
from marketbot_resources.market.vendor_json import shown
from marketbot_resources.model import Kind, Order, OrderType, Side, plain, utc_text

CURRENCY = "USD"
_WIRE = {
    OrderType.LIMIT_ON_OPEN: ("limit", "opg"),
    OrderType.MARKET_ON_OPEN: ("market", "opg"),
    OrderType.LIMIT_ON_CLOSE: ("limit", "cls"),
    OrderType.MARKET_ON_CLOSE: ("market", "cls"),
    OrderType.LIMIT: ("limit", "day"),
    OrderType.MARKET: ("market", "day"),
    OrderType.STOP: ("stop", "day"),
    OrderType.STOP_LIMIT: ("stop_limit", "day"),
    OrderType.TRAILING_STOP: ("trailing_stop", "day"),
    OrderType.BRACKET: ("limit", "day"),
}
_LIMITED = frozenset(
    {OrderType.LIMIT_ON_OPEN, OrderType.LIMIT_ON_CLOSE, OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.BRACKET}
)
_STOPPED = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})
_PARTS = Decimal("0.000000001")


def ticker_of(symbol: Symbol) -> str | None:
    """Alpaca's symbol of a listing; None when it has none."""
    return alpaca_symbol(symbol.mic, symbol.ticker) if symbol.currency == CURRENCY else None


def prices_of(order: Order) -> dict[str, Decimal | None]:
    """The prices that an order of this type must have."""
    found: dict[str, Decimal | None] = {}
    if order.type in _LIMITED:
        found["limit"] = order.limit_price
    if order.type in _STOPPED or order.type is OrderType.BRACKET:
        found["stop"] = order.stop_price
    if order.type is OrderType.BRACKET:
        found["take-profit"] = order.take_profit
    return found


def refused(order: Order, can: Capabilities, at: dt.datetime) -> str:
    """Why an order is not sent at all; empty when it may be. Raises BrokerError for an instant without time zone."""
    if at.tzinfo is None:
        raise BrokerError(f"alpaca: expected an instant with a time zone, found {at}")
    if order.kind is not Kind.EQUITY:
        return "alpaca converts no currency"
    if order.type not in can.types:
        return f"alpaca takes no {order.type.value} orders"
    if can.mics is not None and order.mic not in can.mics:
        return f"alpaca does not reach {order.mic}"
    if order.currency != CURRENCY:
        return f"alpaca trades in {CURRENCY}, the order says {order.currency}"
    quantity = order.quantity
    if not (quantity.is_finite() and quantity > 0 and quantity % _PARTS == 0):
        return f"expected a positive quantity, found {quantity}"
    if quantity % 1 and not (can.fractions and order.type in can.fraction_types):
        return f"quantity {plain(quantity)}: parts of a share cannot be traded as {order.type.value}"
    for name, price in prices_of(order).items():
        if price is None or not (price.is_finite() and price > 0):
            return f"expected a positive {name} price, found {price}"
        if price % price_step(price):
            return f"{name} price {plain(price)} is not a multiple of {price_step(price)}"
    if order.type is OrderType.TRAILING_STOP and not (order.trail is not None and 0 < order.trail < 1):
        return f"expected a trail between 0 and 1, found {order.trail}"
    if at > order.send_until:
        return f"the window closed at {utc_text(order.send_until)}"
    return ""


def price_step(price: Decimal) -> Decimal:
    """The smallest step of a price: a cent from 1 USD on, a hundredth of a cent below."""
    return Decimal("0.01") if price >= 1 else Decimal("0.0001")


def body_of(order: Order, ticker: str) -> dict[str, object]:
    """The JSON body of POST /v2/orders."""
    kind, force = _WIRE[order.type]
    body: dict[str, object] = {
        "symbol": ticker,
        "qty": plain(order.quantity),
        "side": order.side.value.lower(),
        "type": kind,
        "time_in_force": force,
        "client_order_id": order.client_order_id,
    }
    if order.type in _LIMITED:
        body["limit_price"] = _price(order.limit_price)
    if order.type in _STOPPED:
        body["stop_price"] = _price(order.stop_price)
    if order.type is OrderType.TRAILING_STOP:
        assert order.trail is not None
        body["trail_percent"] = plain(order.trail * 100)
    if order.type is OrderType.BRACKET:
        body["order_class"] = "bracket"
        body["take_profit"] = {"limit_price": _price(order.take_profit)}
        body["stop_loss"] = {"stop_price": _price(order.stop_price)}
    return body


def _price(price: Decimal | None) -> str:
    assert price is not None
    return str(price.quantize(price_step(price)))


def differs(row: Row, order: Order, ticker: str) -> str:
    """What of an order as Alpaca tells it is not what was sent; empty when all agrees. Raises BrokerError."""
    sent = body_of(order, ticker)
    for name in ("symbol", "side", "type", "time_in_force"):
        if row.get(name) != sent[name]:
            return f"{name} {shown(row.get(name))} instead of {sent[name]}"
    for name in ("qty", "limit_price", "stop_price", "trail_percent"):
        if name == "stop_price" and order.type is OrderType.TRAILING_STOP:
            continue  # follows from the best price
        told, ours = broker_json.number_or_none(row, name), sent.get(name)
        if told != (None if ours is None else Decimal(str(ours))):
            return f"{name} {told} instead of {ours}"
    return ""


def side_of(row: Row) -> Side:
    """BUY or SELL. Raises BrokerError."""
    said = row.get("side")
    if said == "buy":
        return Side.BUY
    if isinstance(said, str) and said in ("sell", "sell_short"):
        return Side.SELL
    raise BrokerError(f"alpaca: expected side buy or sell, found {shown(said)}")
