"""A large order of the plan as children in windows of its own session: TWAP, VWAP or POV. Pure.

Children are marketable or plain limits with the parent's limit; all of a parent never trade more than it. Together they stay
within `participation_max` of the average daily volume, each within `interval_participation_max` of what its window is expected to
trade; what does not fit is not ordered, the next plan takes it up. TWAP: equal parts; VWAP: parts by the profile of volume; POV: as
much as each window allows, in turn. `close_auction` adds one child that takes what the others left (`order_slices.left_of`); its
quantity is a bound, not an amount. Slices fill over hours, so planned sells pay for no buys while a mandate slices (`funding`). Not
here: the profile and whole lots (`order_slices`), the windows of other orders (`windows`).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import numpy as np

from marketbot_assets.portfolio.inputs import PlannedOrder, PortfolioInputs, SliceWindow
from marketbot_assets.portfolio.rounding import exact, lots_down
from marketbot_assets.portfolio.windows import DAY_MARGIN, SEND_WINDOW, window_of
from marketbot_resources.capabilities import Capabilities
from marketbot_resources.closures import NO_CLOSURES, Closed
from marketbot_resources.mandate import Mandate
from marketbot_resources.mandate_execution import CLOSE_AUCTION, POV, TWAP
from marketbot_resources.model import OrderType
from marketbot_resources.order_slices import CLOSE_LEG, SLICE_LEG, in_lots, in_turn, interval_volumes

TARGET, EQUITY = "TARGET", "EQUITY"


def slice_windows(
    mics: Sequence[str], after: dt.datetime, mandate: Mandate, terms: Capabilities, off: Closed = NO_CLOSURES
) -> dict[str, tuple[SliceWindow, ...]]:
    """Exchange -> windows of slices in its next session, then the one of the closing child if the mandate wants it.

    As many as fit between the open and the last margin before the close: on half days fewer. Empty when nothing is sliced.
    """
    if not mandate.execution.sliced:
        return {}
    return {mic: _windows(mic, after, mandate, terms, off) for mic in sorted(set(mics))}


def _windows(
    mic: str, after: dt.datetime, mandate: Mandate, terms: Capabilities, off: Closed
) -> tuple[SliceWindow, ...]:
    rule = mandate.execution.slices
    day = window_of(OrderType.LIMIT, mic, after, terms, off)
    last = window_of(OrderType.LIMIT_ON_CLOSE, mic, after, terms, off) if _closes(mandate) else None
    ends = (
        day.closes_at - DAY_MARGIN if last is None else min(last.send_until - SEND_WINDOW, day.closes_at - DAY_MARGIN)
    )
    width = dt.timedelta(minutes=rule.minutes)
    count = max(min(rule.count, (ends - day.opens_at) // width), 0)
    starts = [day.opens_at + k * width for k in range(count + 1)]
    length = int((day.closes_at - day.opens_at).total_seconds())
    volumes = interval_volumes([Fraction(int((at - day.opens_at).total_seconds()), length) for at in starts])
    found = [
        SliceWindow(after if terms.at_once else begin, end, volume)
        for begin, end, volume in zip(starts, starts[1:], volumes, strict=False)
    ]
    if last is not None and found:
        found.append(SliceWindow(starts[-1], last.send_until, Fraction(0)))
    return tuple(found)


def _closes(mandate: Mandate) -> bool:
    return mandate.execution.remainder == CLOSE_AUCTION


def sliced(planned: Sequence[PlannedOrder], inputs: PortfolioInputs, mandate: Mandate) -> tuple[PlannedOrder, ...]:
    """The plan with its large orders as children, in the same order; unchanged when the mandate does not slice.

    Exits and cures are never sliced. So that a batch stays within RC-14 the slices of every large order become fewer, alike.
    """
    if not mandate.execution.sliced:
        return tuple(planned)
    row_of = {name: row for row, name in enumerate(inputs.instruments)}
    large = [order for order in planned if _is_large(order, inputs, row_of, mandate)]
    if not large:
        return tuple(planned)
    rule = mandate.limits.order_count
    room = int(rule.warn * rule.per_session) - (len(planned) - len(large))
    most = room // len(large) - int(_closes(mandate))
    if most < 1:
        return tuple(planned)
    chosen = set(large)
    return tuple(
        child
        for order in planned
        for child in (_children(order, inputs, row_of, mandate, most) if order in chosen else (order,))
    )


def _is_large(order: PlannedOrder, inputs: PortfolioInputs, row_of: Mapping[str, int], mandate: Mandate) -> bool:
    """Whether an order is sliced: large by value or by average daily value, its volume and windows known."""
    rule = mandate.execution.slices
    if order.kind != EQUITY or order.purpose != TARGET or not inputs.slice_windows.get(order.mic):
        return False
    adv = float(inputs.adv[row_of[order.instrument]])
    if not (np.isfinite(adv) and adv > 0.0):
        return False
    by_value = rule.from_value is not None and order.value_base >= rule.from_value
    return by_value or (rule.from_adv is not None and order.value_base >= rule.from_adv * adv)


def _children(
    order: PlannedOrder, inputs: PortfolioInputs, row_of: Mapping[str, int], mandate: Mandate, most: int
) -> tuple[PlannedOrder, ...]:
    rule, row = mandate.execution.slices, row_of[order.instrument]
    found = inputs.slice_windows[order.mic]
    windows = (found[:-1] if _closes(mandate) else found)[:most]
    step = inputs.quantity_step[row]
    adv = exact(float(inputs.adv[row]) / (float(inputs.price[row]) * float(inputs.fx[row])))
    room = adv * exact(rule.participation_max)
    total = order.quantity if order.quantity <= room else lots_down(room, step)
    rate = adv * exact(rule.interval_participation_max)
    caps = [rate * Decimal(w.volume.numerator) / Decimal(w.volume.denominator) for w in windows]
    if rule.algorithm == POV:
        parts = in_turn(total, step, caps)
    else:
        whole = sum((w.volume for w in windows), Fraction(0))
        even = Fraction(1, len(windows))
        parts = in_lots(total, step, [even if rule.algorithm == TWAP else w.volume / whole for w in windows], caps)
    used = [(number, part, w) for number, (part, w) in enumerate(zip(parts, windows, strict=True), 1) if part > 0]
    children = [
        _child(order, part, w, f"{SLICE_LEG}{number}", f"slice {number} of {len(windows)} by {rule.algorithm}")
        for number, part, w in used
    ]
    if children and _closes(mandate):
        last = _child(order, sum((p for _, p, _ in used), Decimal(0)), found[-1], CLOSE_LEG, "what the slices left")
        children.append(replace(last, type=OrderType.LIMIT_ON_CLOSE))
    return tuple(children)


def _child(order: PlannedOrder, quantity: Decimal, window: SliceWindow, leg: str, why: str) -> PlannedOrder:
    return replace(
        order,
        leg=leg,
        quantity=quantity,
        value_base=order.value_base * float(quantity / order.quantity),
        reason=f"{order.reason}; {why}",
        send_from=window.send_from,
        send_until=window.send_until,
    )
