"""What the slices of an order left for its last child in the closing auction: first they end at the broker, then it is counted.

Nothing is guessed. A slice has ended when the broker says so after it was asked for its end; what it filled is the most that the
broker's executions, its order and its state say, busted executions included. Who cannot be proven ended leaves nothing to send.
Not here: sending (`desk`), the sum itself (`order_slices.left_of`).
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from marketbot_resources.broker.order_states import IN_DOUBT
from marketbot_resources.broker.settling import asked, failure
from marketbot_resources.errors import BrokerError
from marketbot_resources.model import TERMINAL_STATES, Acknowledgement, BrokerPort, Order, OrderState
from marketbot_resources.order_slices import left_of, siblings

PAUSES = (1.0, 2.0, 4.0, 8.0)
EARLIER = dt.timedelta(hours=1)
NEVER_THERE = frozenset({OrderState.REJECTED, OrderState.EXPIRED})
PROOFS = TERMINAL_STATES - {OrderState.REPLACED}  # what replaced an order may still fill
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Slice:
    """A slice as the ledger knows it. `first_sent_at`: its first attempt, None when it was never handed to the broker."""

    order: Order
    state: OrderState
    first_sent_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Remainder:
    """`quantity`: shares that may be sent, 0 with the reason `why`; `ended`: the broker's last word of slices, by id."""

    quantity: Decimal
    why: str
    ended: Mapping[str, Acknowledgement]


def remainder(
    broker: BrokerPort,
    order: Order,
    slices: Sequence[Slice],
    *,
    now: Callable[[], dt.datetime],
    wait: Callable[[float], None],
) -> Remainder:
    """Ends the slices of an order of leg TC at the broker and counts what they left; asks for at most 15 seconds.

    Slices that were never sent count as nothing filled. Never raises: what goes wrong leaves nothing.
    """
    doubtful = sorted(s.order.client_order_id for s in slices if s.state in IN_DOUBT)
    if doubtful:
        return Remainder(_ZERO, f"slice {doubtful[0]} may still fill: its fate is unknown", {})
    sent = [s for s in slices if s.first_sent_at is not None]
    told, open_ = _ended(broker, sent, now, wait)
    if open_:
        return Remainder(_ZERO, f"slice {open_[0]} may still fill: the broker did not confirm its end", told)
    try:
        filled = _filled(broker, sent, told, now())
    except Exception as error:
        return Remainder(_ZERO, f"what its slices filled is unknown: {failure(error)}", told)
    children = [s.order for s in slices]
    assert len(children) == len(siblings(order, children)), "slices of this order alone"
    states = {s.order.client_order_id: _state(s, told) for s in slices}
    left = left_of(order, children, states, filled)
    return Remainder(left, "" if left > 0 else "nothing is left by its slices", told)


def _state(one: Slice, told: Mapping[str, Acknowledgement]) -> OrderState:
    known = told.get(one.order.client_order_id)
    if known is not None:
        return known.state
    return OrderState.EXPIRED if one.first_sent_at is None else one.state


def _ended(
    broker: BrokerPort, sent: Sequence[Slice], now: Callable[[], dt.datetime], wait: Callable[[float], None]
) -> tuple[dict[str, Acknowledgement], list[str]]:
    """(the broker's word of slices that have ended, ids of those that may not have), the open ones asked to end."""
    told: dict[str, Acknowledgement] = {}
    waiting = sorted(sent, key=lambda one: one.order.client_order_id)
    for pause in (0.0, *PAUSES):
        if pause:
            wait(pause)
        waiting = [one for one in waiting if not _has_ended(broker, one, told, now)]
        if not waiting:
            break
    return told, [one.order.client_order_id for one in waiting]


def _has_ended(
    broker: BrokerPort, one: Slice, told: dict[str, Acknowledgement], now: Callable[[], dt.datetime]
) -> bool:
    """Looks, asks for the end of what is open, and looks again: an answer to the asking alone proves nothing."""
    name = one.order.client_order_id
    view = asked(broker, one.order)
    if view.answer is not None and view.answer.state not in TERMINAL_STATES:
        try:
            broker.cancel(name, now())
        except Exception:
            return False
        view = asked(broker, one.order)
    if view.absent:
        return one.state in NEVER_THERE
    if view.answer is None or view.answer.state not in PROOFS:
        return False
    if one.state is OrderState.PARTIAL and view.answer.state is OrderState.REJECTED:
        return False  # what was filled in part was not refused
    told[name] = view.answer
    return True


def _filled(
    broker: BrokerPort, sent: Sequence[Slice], told: Mapping[str, Acknowledgement], at: dt.datetime
) -> dict[str, Decimal]:
    """Shares that each slice filled at most. Raises BrokerError for what contradicts their end."""
    filled = dict.fromkeys((one.order.client_order_id for one in sent), _ZERO)
    begun = [one.first_sent_at for one in sent if one.first_sent_at is not None]
    if not begun:
        return filled
    report = broker.report(min(begun) - EARLIER, at)
    if still := sorted({o.client_order_id for o in report.open_orders} & set(filled)):
        raise BrokerError(f"expected slice {still[0]} to have ended, found it open")
    orders = {one.order.client_order_id: one.order for one in sent}
    for fill in report.executions:
        order = orders.get(fill.client_order_id)
        if order is None:
            continue
        if (fill.instrument, fill.side, fill.kind) != (order.instrument, order.side, order.kind):
            raise BrokerError(f"expected execution {fill.execution_id} of slice {fill.client_order_id}, found another")
        filled[fill.client_order_id] += fill.quantity
    for name, answer in told.items():
        whole = orders[name].quantity if answer.state is OrderState.FILLED else _ZERO
        filled[name] = max(filled[name], whole, _ZERO if answer.filled is None else answer.filled)
    return filled
