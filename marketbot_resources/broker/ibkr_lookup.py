"""What Interactive Brokers knows of one order of ours: by its list of orders, by its own number, by what was executed.

The list holds the orders of the brokerage session alone; an order that has left it is filled, over, or in doubt. Not here: the
questions over HTTP (`ibkr_gateway`), what was asked for (`ibkr_memory`).
"""

import datetime as dt
from collections.abc import Mapping

from marketbot_resources.broker.ibkr_account import filled_of
from marketbot_resources.broker.ibkr_gateway import IbkrGateway, Json, number, record, text
from marketbot_resources.broker.ibkr_memory import IbkrMemory, Tried
from marketbot_resources.broker.ibkr_orders import another, differences, live_differences, state_of
from marketbot_resources.errors import BrokerError
from marketbot_resources.model import Acknowledgement, OrderState

TRADES_DAYS = 7  # the most that is told; what is older shows as a position that does not agree
DAY_ENDS = dt.timedelta(hours=12)  # no exchange trades longer than this after an order's window has closed


class Lookup:
    """Questions about orders by our id."""

    def __init__(self, gateway: IbkrGateway, memory: IbkrMemory) -> None:
        self._gateway, self._memory = gateway, memory

    def order(self, client_order_id: str) -> Acknowledgement | None:
        """The broker's view of an order; None when it does not know the id, UNKNOWN when it has another order under it.

        Raises BrokerError when none of it is certain.
        """
        tried = self._memory.tried(client_order_id)
        entry = self.entry(client_order_id, tried)
        if entry is not None:
            if tried is not None and (faults := live_differences(tried.order, tried.leg, entry)):
                return another(tried.order, text(entry.get("orderId")), faults, entry)
            return listed_as(client_order_id, entry)
        if tried is not None and tried.broker_order_id:
            told = self.status(tried.broker_order_id)
            if told is not None:
                faults = differences(tried.order, tried.leg, self._gateway.account, told)
                if faults:
                    return another(tried.order, tried.broker_order_id, faults, told)
                return acknowledged(client_order_id, tried.broker_order_id, told)
        return self._executed(client_order_id, tried)

    def entry(self, client_order_id: str, tried: Tried | None) -> dict[str, Json] | None:
        """The one listed order under our id, a bracket's exits apart. Raises BrokerError when there are two."""
        mine = [told for told in self._gateway.live_orders() if text(told.get("order_ref")) == client_order_id]
        if tried is not None and tried.broker_order_id and len(mine) > 1:
            mine = [told for told in mine if not self._memory.is_child(text(told.get("orderId")))]
        if len(mine) > 1:
            numbers = ", ".join(sorted(text(told.get("orderId")) for told in mine))
            raise BrokerError(
                f"order {client_order_id}: the broker has it {len(mine)} times, as {numbers}; cancel what is too many"
            )
        return mine[0] if mine else None

    def status(self, number_there: str) -> dict[str, Json] | None:
        """An order's own status by the broker's number; None when it tells none."""
        told = self._gateway.found(f"/iserver/account/order/status/{number_there}")
        return None if told is None else record(told, "status")

    def _executed(self, client_order_id: str, tried: Tried | None) -> Acknowledgement | None:
        """An order that is shown no more: filled, over, or never there. Raises BrokerError while it may still trade."""
        side = None if tried is None else tried.leg.side
        filled = filled_of(self._gateway.trades(TRADES_DAYS), client_order_id, side)
        if tried is None and filled:
            raise BrokerError(f"order {client_order_id}: {filled} were executed of an order that this home never sent")
        if tried is None or not (filled or tried.broker_order_id):
            return None
        size, number_there = tried.leg.size, tried.broker_order_id
        if filled >= size:
            return Acknowledgement(client_order_id, OrderState.FILLED, number_there, "", filled=filled)
        now = self._gateway.broker_at
        if now is None or now <= tried.order.send_until + DAY_ENDS:
            raise BrokerError(
                f"order {client_order_id}: taken as {number_there or 'unknown'}, {filled} of {size} executed, and the broker "
                "does not show it any more; look at it there"
            )
        why = f"its day is over and the broker lists it no more; {filled} of {size} were executed"
        return Acknowledgement(client_order_id, OrderState.EXPIRED, number_there, why, filled=filled)


def listed_as(client_order_id: str, entry: Mapping[str, Json]) -> Acknowledgement:
    """An entry of the list of orders as an answer; UNKNOWN for a status that nobody knows or that cannot be."""
    filled, size = (number(entry.get(name), name) for name in ("filledQuantity", "totalSize"))
    state, reason = state_of(text(entry.get("status")), filled, size)
    return Acknowledgement(client_order_id, state, text(entry.get("orderId")), reason, filled=filled)


def acknowledged(client_order_id: str, number_there: str, status: Mapping[str, Json]) -> Acknowledgement:
    """An order's own status as an answer; UNKNOWN for a status that nobody knows or that cannot be."""
    filled, size = (number(status.get(name), name) for name in ("cum_fill", "total_size"))
    state, reason = state_of(text(status.get("order_status")), filled, size)
    return Acknowledgement(client_order_id, state, number_there, reason, filled=filled)
