"""An order at the paper broker: what it must respect, how it waits for its auction, what a split makes of it. Pure.

Not here: the account that it moves (`paper`), how it fills (`fillmodel`).
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from marketbot_resources import calendars
from marketbot_resources.closures import Closed
from marketbot_resources.corporate_actions import CorporateAction
from marketbot_resources.model import Order, OrderType, Side, to_money, utc_text
from marketbot_resources.order_slices import is_slice
from marketbot_resources.order_types import UNLIMITED, Phase, phase_of, price_problem
from marketbot_resources.paper_market import PaperListing

_WORKED_PRICES = ("limit_price", "stop_price", "take_profit")


@dataclass(frozen=True, slots=True)
class WorkingOrder:
    """An order that waits for its auction, or for the end of the day in which it works: a daily bar tells no more.

    `order` carries the quantity and prices as worked: splits adjust them. `auction_at`: when it is decided, the open or the close.
    """

    order: Order
    submitted_at: dt.datetime
    auction_session: dt.date
    auction_at: dt.datetime


def equity_refusal(order: Order, listing: PaperListing | None, free: Decimal) -> str:
    """Why an order for shares cannot work; empty when it can. `free`: shares held and not offered by other open orders."""
    if listing is None:
        return f"unknown instrument {order.instrument}"
    if (order.currency, order.mic) != (listing.currency, listing.mic):
        found = f"{order.currency} on {order.mic}"
        return f"{order.instrument} trades in {listing.currency} on {listing.mic}, the order says {found}"
    if refusal := _price_refusal(order, listing):
        return refusal
    if not _positive(order.quantity):
        return f"expected a positive quantity, found {order.quantity}"
    if order.side is Side.SELL and order.quantity > free:
        return f"sells {order.quantity}, held and not yet offered are {free}"
    empties = order.side is Side.SELL and order.quantity == free
    if order.quantity % listing.quantity_step and not empties:
        return f"quantity {order.quantity} is not a multiple of the lot {listing.quantity_step}"
    return ""


def _price_refusal(order: Order, listing: PaperListing) -> str:
    limit = order.limit_price
    if order.type not in UNLIMITED and (limit is None or not _positive(limit)):
        return f"expected a positive limit, found {limit}"
    if problem := price_problem(order):
        return f"the order {problem}"
    for name, price in (("limit", limit), ("stop", order.stop_price), ("take-profit", order.take_profit)):
        if price is not None and price % listing.tick_size:
            return f"{name} {price} is not a multiple of the tick {listing.tick_size}"
    if order.type is OrderType.BRACKET and order.side is Side.SELL:
        return "a bracket that sells would buy back, which this broker does not offer"
    return ""


def currency_refusal(order: Order, base_currency: str) -> str:
    """Why a currency leg cannot be filled; empty when it can, given a rate."""
    if order.currency == base_currency or order.instrument != f"FX:{order.currency}":
        return f"expected FX:<currency> in another currency than {base_currency}, found {order.instrument}"
    if order.limit_price is not None:
        return f"a currency leg has no limit, found {order.limit_price}"
    if problem := price_problem(order):
        return f"the order {problem}"
    if not _positive(order.quantity) or to_money(order.quantity, order.currency) != order.quantity:
        return f"expected a positive amount in minor units of {order.currency}, found {order.quantity}"
    return ""


def split_order(working: WorkingOrder, action: CorporateAction, listing: PaperListing) -> WorkingOrder | None:
    """The order in new shares; None when less than a lot or a tick is left.

    Quantity times the ratio, floored to the lot; limit by the ratio, to the tick that is not worse than the limit was; stop and
    take-profit by the ratio, to the nearest tick, half to even. A trail is a fraction and stays.
    """
    order, ratio = working.order, Decimal(repr(action.ratio))
    limit_rounding = ROUND_FLOOR if order.side is Side.BUY else ROUND_CEILING
    limit, stop, profit = (
        None if price is None else _multiple(price / ratio, listing.tick_size, rounding)
        for price, rounding in (
            (order.limit_price, limit_rounding),
            (order.stop_price, ROUND_HALF_EVEN),
            (order.take_profit, ROUND_HALF_EVEN),
        )
    )
    quantity = _multiple(order.quantity * ratio, listing.quantity_step, ROUND_FLOOR)
    adjusted = replace(order, quantity=quantity, limit_price=limit, stop_price=stop, take_profit=profit)
    return None if quantity == 0 or price_problem(adjusted) else replace(working, order=adjusted)


def working_record(working: WorkingOrder) -> dict[str, str]:
    """What a working order adds to the order as received, as JSON values."""
    order = working.order
    prices = {name: getattr(order, name) for name in _WORKED_PRICES}
    return {
        "quantity": str(order.quantity),
        **{name: str(price) for name, price in prices.items() if price is not None},
        "submitted_at": utc_text(working.submitted_at),
        "auction_session": working.auction_session.isoformat(),
        "auction_at": utc_text(working.auction_at),
    }


def working_from_record(received: Order, record: Mapping[str, str]) -> WorkingOrder:
    """The inverse of `working_record`. Raises KeyError, ValueError or ArithmeticError for anything else."""
    prices = {name: Decimal(record[name]) for name in _WORKED_PRICES if getattr(received, name) is not None}
    return WorkingOrder(
        order=replace(received, quantity=Decimal(record["quantity"]), **prices),
        submitted_at=dt.datetime.fromisoformat(record["submitted_at"]),
        auction_session=dt.date.fromisoformat(record["auction_session"]),
        auction_at=dt.datetime.fromisoformat(record["auction_at"]),
    )


def _positive(number: Decimal) -> bool:
    return number.is_finite() and number > 0


def _multiple(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    return (value / step).to_integral_value(rounding) * step


def due_in(order: Order, now: dt.datetime, off: Closed) -> tuple[dt.date, dt.datetime]:
    """(session, instant at which the order is decided): the next open, or the close of the session that trades or comes next."""
    if phase_of(order.type) is Phase.OPEN:
        return calendars.next_open(order.mic, now, off)
    today = calendars.session_at(order.mic, now, off)
    if today is not None and now < calendars.close_at(order.mic, today, off):
        return today, calendars.close_at(order.mic, today, off)
    session, _ = calendars.next_open(order.mic, now, off)
    return session, calendars.close_at(order.mic, session, off)


def elapsed_of(working: WorkingOrder, off: Closed) -> float:
    """Fraction of its session that is over when a day order begins to work; a slice counts from the end of its own window."""
    order, session = working.order, working.auction_session
    begin, end = calendars.open_at(order.mic, session, off), calendars.close_at(order.mic, session, off)
    starts = max(working.submitted_at, order.send_until) if is_slice(order.leg) else working.submitted_at
    return min(max((starts - begin) / (end - begin), 0.0), 1.0)
