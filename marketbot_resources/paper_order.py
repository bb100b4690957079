"""An order at the paper broker: what it must respect, how it waits for its auction, what a split makes of it. Pure.

Not here: the account that it moves (`paper`), how it fills (`fillmodel`).
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from marketbot_resources.corporate_actions import CorporateAction
from marketbot_resources.model import Order, Side, to_money, utc_text
from marketbot_resources.paper_market import PaperListing


@dataclass(frozen=True, slots=True)
class WorkingOrder:
    """An order that waits for its auction. `order` carries the quantity and limit as worked: splits adjust them."""

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
    if order.limit_price is None or not _positive(order.limit_price):
        return f"expected a positive limit, found {order.limit_price}"
    if order.limit_price % listing.tick_size:
        return f"limit {order.limit_price} is not a multiple of the tick {listing.tick_size}"
    if not _positive(order.quantity):
        return f"expected a positive quantity, found {order.quantity}"
    if order.side is Side.SELL and order.quantity > free:
        return f"sells {order.quantity}, held and not yet offered are {free}"
    empties = order.side is Side.SELL and order.quantity == free
    if order.quantity % listing.quantity_step and not empties:
        return f"quantity {order.quantity} is not a multiple of the lot {listing.quantity_step}"
    return ""


def currency_refusal(order: Order, base_currency: str) -> str:
    """Why a currency leg cannot be filled; empty when it can, given a rate."""
    if order.currency == base_currency or order.instrument != f"FX:{order.currency}":
        return f"expected FX:<currency> in another currency than {base_currency}, found {order.instrument}"
    if order.limit_price is not None:
        return f"a currency leg has no limit, found {order.limit_price}"
    if not _positive(order.quantity) or to_money(order.quantity, order.currency) != order.quantity:
        return f"expected a positive amount in minor units of {order.currency}, found {order.quantity}"
    return ""


def split_order(working: WorkingOrder, action: CorporateAction, listing: PaperListing) -> WorkingOrder | None:
    """The order in new shares; None when less than a lot or a tick is left.

    Quantity times the ratio, floored to the lot; limit by the ratio, to the tick that is not worse than the limit was.
    """
    order, ratio = working.order, Decimal(repr(action.ratio))
    assert order.limit_price is not None
    rounding = ROUND_FLOOR if order.side is Side.BUY else ROUND_CEILING
    limit = _multiple(order.limit_price / ratio, listing.tick_size, rounding)
    quantity = _multiple(order.quantity * ratio, listing.quantity_step, ROUND_FLOOR)
    if quantity == 0 or limit == 0:
        return None
    return replace(working, order=replace(order, quantity=quantity, limit_price=limit))


def working_record(working: WorkingOrder) -> dict[str, str]:
    """What a working order adds to the order as received, as JSON values."""
    assert working.order.limit_price is not None
    return {
        "quantity": str(working.order.quantity),
        "limit_price": str(working.order.limit_price),
        "submitted_at": utc_text(working.submitted_at),
        "auction_session": working.auction_session.isoformat(),
        "auction_at": utc_text(working.auction_at),
    }


def working_from_record(received: Order, record: Mapping[str, str]) -> WorkingOrder:
    """The inverse of `working_record`. Raises KeyError, ValueError or ArithmeticError for anything else."""
    quantity, limit = Decimal(record["quantity"]), Decimal(record["limit_price"])
    return WorkingOrder(
        order=replace(received, quantity=quantity, limit_price=limit),
        submitted_at=dt.datetime.fromisoformat(record["submitted_at"]),
        auction_session=dt.date.fromisoformat(record["auction_session"]),
        auction_at=dt.datetime.fromisoformat(record["auction_at"]),
    )


def _positive(number: Decimal) -> bool:
    return number.is_finite() and number > 0


def _multiple(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    return (value / step).to_integral_value(rounding) * step
