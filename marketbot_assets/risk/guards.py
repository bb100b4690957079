"""What a protective order that waits at the broker may be (leg S): part of RC-17, by the projection's own numbers. Pure.

It counts in no weight, no cash and no turnover before it is hit (`projection.is_guard`), so its size is judged here. Not here: the
other order types (`permission_controls`).
"""

from marketbot_assets.risk.control import within
from marketbot_assets.risk.projection import Projection, number
from marketbot_resources.model import Order, OrderType


def guard_problem(p: Projection, order: Order) -> str:
    """A protective order at the broker: a stop, alone in its name, of free shares, within the hard value of one order."""
    if order.type not in (OrderType.STOP, OrderType.TRAILING_STOP):
        return f"is {order.type.value} and protects nothing"
    if sum(other.instrument == order.instrument for other in p.orders) != 1:
        return "protects a name that has another order"
    place = {name: row for row, name in enumerate(p.inputs.instruments)}
    row = place.get(order.instrument, -1)
    free = float(p.available[row]) if row >= 0 and p.pre[row] > 0 else 0.0
    if not within(number(order.quantity), free):
        return f"protects {order.quantity} shares, {free:g} are free"
    share, most = number(order.quantity) * p.price[row] * p.rate[row] / p.nav, p.mandate.limits.order_value.hard
    return "" if within(float(share), most) else f"is worth {share:.6g} of NAV, limit {most}"
