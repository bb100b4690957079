"""One large order as children of the same batch: legs, the profile of a session's volume, whole lots, what is left. Pure.

Children have legs T1, T2, ...; TC is the one that takes what they left to the closing auction. Its frozen quantity is an upper
bound: all of them together never trade more than the parent. Not here: which orders are large, their windows (`portfolio.slicing`).

The profile is a parabola, u(x) = (1 + 2 (2x - 1)^2) / (5/3) over the elapsed fraction x of a session: three times as much volume
per minute at either end as at noon. The U shape is Jain and Joh's (1988, Journal of Financial and Quantitative Analysis 23, 269),
Wood, McInish and Ord's (1985, Journal of Finance 40, 723); the parabola is this house's plain form of it, not their numbers.
"""

from collections.abc import Mapping, Sequence
from decimal import ROUND_FLOOR, Decimal
from fractions import Fraction
from itertools import pairwise

from marketbot_resources.model import TERMINAL_STATES, Order, OrderState

SLICE_LEG, CLOSE_LEG, SLICES_MAX = "T", "TC", 24
CURVATURE = Fraction(2)
_ZERO = Decimal(0)


def is_slice(leg: str) -> bool:
    """Whether a leg is T1, T2, ..."""
    return leg[:1] == SLICE_LEG and leg[1:].isdigit()


def parent_leg(leg: str) -> str:
    """The leg that an order counts as: T for T1, T2, ... and TC, else its own."""
    return SLICE_LEG if leg == CLOSE_LEG or is_slice(leg) else leg


def volume_until(elapsed: Fraction) -> Fraction:
    """Fraction of a session's volume that the profile expects by an elapsed fraction of it, both in [0, 1]."""
    x = min(max(elapsed, Fraction(0)), Fraction(1))
    return (x + CURVATURE * ((2 * x - 1) ** 3 + 1) / 6) / (1 + CURVATURE / 3)


def interval_volumes(edges: Sequence[Fraction]) -> tuple[Fraction, ...]:
    """(k,) fractions of the session's volume between k + 1 ascending edges in [0, 1]."""
    until = [volume_until(edge) for edge in edges]
    return tuple(after - before for before, after in pairwise(until))


def in_lots(
    quantity: Decimal, step: Decimal, shares: Sequence[Fraction], caps: Sequence[Decimal]
) -> tuple[Decimal, ...]:
    """(k,) whole lots per interval, by `shares` (k,), which sum to 1, each at most its cap; what a cap holds back moves on.

    The sum is the quantity, or all that the caps allow when that is less. A remainder below one lot (a full exit of an odd
    lot) goes with the last child that has room for it, else it stays.
    """
    lots = [(cap / step).to_integral_value(ROUND_FLOOR) * step for cap in caps]
    whole = (quantity / step).to_integral_value(ROUND_FLOOR) * step
    found, done, given, due = [], _ZERO, Fraction(0), _ZERO
    for share, most in zip(shares, lots, strict=True):
        given += share
        wanted = Decimal(int(Fraction(whole) * given / Fraction(step))) * step
        due = wanted - done
        found.append(min(due, most))
        done += found[-1]
    for place, most in enumerate(lots):  # what the caps held back at the end goes where room is left
        extra = min(whole - done, most - found[place])
        found[place] += extra
        done += extra
    odd = quantity - whole
    if odd and done == whole:
        room = [k for k, cap in enumerate(caps) if found[k] > 0 and found[k] + odd <= cap]
        if room:
            found[room[-1]] += odd
    return tuple(found)


def in_turn(quantity: Decimal, step: Decimal, caps: Sequence[Decimal]) -> tuple[Decimal, ...]:
    """(k,) whole lots per interval, each as much as its cap allows, until the quantity is reached (POV)."""
    left, found = quantity, []
    for cap in caps:
        lots = (min(cap, left) / step).to_integral_value(ROUND_FLOOR) * step
        found.append(left if left <= cap else lots)
        left -= found[-1]
    return tuple(found)


def siblings(order: Order, batch: Sequence[Order]) -> tuple[Order, ...]:
    """The slices of the parent that an order of leg TC belongs to."""
    return tuple(
        other
        for other in batch
        if is_slice(other.leg) and (other.instrument, other.side) == (order.instrument, order.side)
    )


def left_of(
    order: Order, batch: Sequence[Order], states: Mapping[str, OrderState], filled: Mapping[str, Decimal]
) -> Decimal:
    """Shares that an order of leg TC may send: its bound and its parent's less all that its slices filled or still may fill.

    `states` and `filled` by client order id. A slice that has not ended, is in doubt or whose state is missing counts whole; a fill
    that is no number leaves nothing. Never negative, never more than the frozen quantity.
    """
    slices = siblings(order, batch)
    parent = sum((child.quantity for child in slices), _ZERO)
    used = _ZERO
    for child in slices:
        done = filled.get(child.client_order_id, _ZERO)
        if not (isinstance(done, Decimal) and done.is_finite() and done >= 0):
            return _ZERO
        ended = states.get(child.client_order_id) in TERMINAL_STATES
        used += done if ended else max(child.quantity, done)
    return max(min(order.quantity, parent) - used, _ZERO)


def beyond_parents(orders: Mapping[str, Order], filled: Mapping[str, Decimal]) -> dict[str, tuple[Order, Decimal]]:
    """Id of a TC that filled, and of its slices -> (TC, shares that all of them filled), where they are more than its quantity.

    `orders`, as frozen, and `filled` by client order id; slices that are not among `orders` count as nothing filled. A TC that
    filled nothing bounds nothing: its slices have bounds of their own.
    """
    found: dict[str, tuple[Order, Decimal]] = {}
    for name, order in orders.items():
        if order.leg != CLOSE_LEG or not filled.get(name, _ZERO) > 0:
            continue
        batch = [o for o in orders.values() if (o.session, o.batch_no) == (order.session, order.batch_no)]
        parts = {name, *(child.client_order_id for child in siblings(order, batch))}
        total = sum((filled.get(part, _ZERO) for part in sorted(parts)), _ZERO)
        if not total <= order.quantity:
            found |= dict.fromkeys(sorted(parts), (order, total))
    return found
