"""Protective orders that wait at the broker (RC-62, RC-63): one per held name that the session's plan leaves alone. Pure.

A stop lies at the higher of the stop loss and the trail of the book's state, which are levels of the close; at the broker they
act within the session. A trailing stop starts that far below the last close and follows the best price of its session. Both end
with the session's day, so the next plan is free, and sell what an exit could sell at once. A name with another order of the plan
or of the broker gets none, nor does one whose levels are unknown, are reached already, or that the broker cannot protect. What
they would sell pays for nothing and counts in no weight until it is sold. Not here: exits at the open (`order_plan`), levels
(`book.stops`), windows (`broker_windows`).
"""

from collections.abc import Collection, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import numpy as np

from marketbot_assets.portfolio.bounds import sell_capacity
from marketbot_assets.portfolio.draft import PROTECTION, Desk
from marketbot_assets.portfolio.inputs import PlannedOrder
from marketbot_assets.portfolio.rounding import exact, lots_down
from marketbot_resources.model import BASIS_POINT, Kind, OrderType, Side
from marketbot_resources.order_types import STOP_LEG

TRAIL_STEP = Decimal("0.0001")


def protections(desk: Desk, planned: Sequence[PlannedOrder]) -> tuple[PlannedOrder, ...]:
    """The protective orders beside a plan, sorted by instrument; the largest holdings first where RC-14 has no room for all."""
    inputs, kind = desk.inputs, desk.mandate.execution.protective_type
    if kind is None:
        return ()
    rule = desk.mandate.limits.order_count
    room = max(int(rule.warn * rule.per_session) - len(planned), 0)
    taken = {order.instrument for order in planned}
    capacity = sell_capacity(inputs, desk.mandate, np.ones(len(inputs.instruments), dtype=bool))
    weights = np.where(np.isfinite(desk.facts.weights_now), desk.facts.weights_now, 0.0)
    found: list[PlannedOrder] = []
    for row in sorted(range(len(inputs.instruments)), key=lambda row: (-float(weights[row]), row)):
        order = None if why_not(desk, row, taken) else _protection(desk, row, kind, float(capacity[row]))
        if order is not None and len(found) < room:
            found.append(order)
    return tuple(sorted(found, key=lambda order: order.instrument))


def why_not(desk: Desk, row: int, taken: Collection[str]) -> str:
    """Why a held name gets no protective order; empty when it may. `taken`: names that the plan orders in."""
    inputs = desk.inputs
    if not inputs.positions[row] > 0:
        return "it is not held"
    if inputs.instruments[row] in taken or inputs.open_quantity[row] != 0 or not desk.facts.sellable[row]:
        return "it has another order, or cannot be sold"
    if not inputs.protective_windows or inputs.protective_windows[row].refusal:
        return (
            inputs.protective_windows[row].refusal if inputs.protective_windows else "the broker has no window for it"
        )
    level, price = float(inputs.stop_level[row]), float(inputs.price[row])
    return "" if 0.0 < level < price and np.isfinite(price) else "its level is unknown or reached"


def _protection(desk: Desk, row: int, kind: OrderType, capacity: float) -> PlannedOrder | None:
    """The order of one name; None when nothing is left of its size, price or distance."""
    inputs = desk.inputs
    price, level, tick = exact(float(inputs.price[row])), exact(float(inputs.stop_level[row])), inputs.tick_size[row]
    held, window = inputs.positions[row], inputs.protective_windows[row]
    most = desk.shares(row, capacity)
    quantity = held if held <= most else lots_down(most, desk.step(row))
    stop = (level / tick).to_integral_value(rounding=ROUND_FLOOR) * tick
    trail = ((1 - level / price) / TRAIL_STEP).to_integral_value(rounding=ROUND_CEILING) * TRAIL_STEP
    is_stop = kind is OrderType.STOP
    if not (quantity > 0 and (stop > 0 if is_stop else 0 < trail < 1)):
        return None
    how = f"at {stop}" if is_stop else f"{trail:%} below the best price"
    return PlannedOrder(
        instrument=inputs.instruments[row],
        kind=Kind.EQUITY.value,
        leg=STOP_LEG,
        side=Side.SELL.value,
        quantity=quantity,
        limit_price=None,
        reference_price=float(inputs.price[row]),
        currency=inputs.currency[row],
        mic=inputs.mic[row],
        value_base=float(quantity) * float(inputs.price[row]) * float(inputs.fx[row]),
        cost_bps=float(desk.facts.cost_sell[row]) / BASIS_POINT,
        purpose=PROTECTION,
        reason=f"protects what is held: {kind.value} {how} (RC-62, RC-63: {float(level):.6g})",
        send_from=window.send_from,
        send_until=window.send_until,
        type=kind,
        stop_price=stop if is_stop else None,
        trail=None if is_stop else trail,
    )
