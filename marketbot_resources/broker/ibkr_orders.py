"""Our orders as Interactive Brokers writes them, its statuses as ours, and whether what it accepted is what was asked. Pure.

Not here: contract ids (`ibkr_contracts`), confirmation questions (`ibkr_questions`), the sending (`ibkr`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from types import MappingProxyType

from marketbot_resources.broker.http import one_line
from marketbot_resources.broker.ibkr_gateway import Json, number, text
from marketbot_resources.capabilities import Capabilities
from marketbot_resources.errors import BrokerError
from marketbot_resources.model import Acknowledgement, Kind, Order, OrderState, OrderType, Side, plain
from marketbot_resources.order_types import price_problem

UNMAPPED = "unmapped"
FOREIGN = "IBKR:"
"""What stands before a contract id of theirs where we know no instrument: it must be seen, never left out."""

RATE_MARGIN = Decimal("0.001")
"""What a rate may move until a conversion is done, as a fraction: less is converted by as much, so that it is not too much."""

# What their status says; the fill decides between ACKED and PARTIAL. WarnState waits for a word of a person: nobody knows.
STATES: Mapping[str, OrderState] = MappingProxyType(
    {
        "PendingSubmit": OrderState.ACKED,
        "PreSubmitted": OrderState.ACKED,
        "Submitted": OrderState.ACKED,
        "ApiPending": OrderState.ACKED,
        "PendingCancel": OrderState.ACKED,
        "Filled": OrderState.FILLED,
        "Cancelled": OrderState.CANCELED,
        "ApiCancelled": OrderState.CANCELED,
        "Inactive": OrderState.REJECTED,
        "WarnState": OrderState.UNKNOWN,
    }
)
# order type and time in force; on-open orders are ordinary ones that only the opening auction may fill
_WORDS: Mapping[OrderType, tuple[str, str]] = MappingProxyType(
    {
        OrderType.LIMIT_ON_OPEN: ("LMT", "OPG"),
        OrderType.MARKET_ON_OPEN: ("MKT", "OPG"),
        OrderType.LIMIT_ON_CLOSE: ("LOC", "DAY"),
        OrderType.MARKET_ON_CLOSE: ("MOC", "DAY"),
        OrderType.LIMIT: ("LMT", "DAY"),
        OrderType.MARKET: ("MKT", "DAY"),
        OrderType.STOP: ("STP", "DAY"),
        OrderType.STOP_LIMIT: ("STOP_LIMIT", "DAY"),
        OrderType.TRAILING_STOP: ("TRAIL", "DAY"),
        OrderType.BRACKET: ("LMT", "DAY"),
    }
)
# they have no limit, whatever price is told beside them
_TRIGGERED = frozenset({OrderType.STOP, OrderType.TRAILING_STOP})
_OTHER = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}
_SIDES = MappingProxyType({"B": Side.BUY, "BUY": Side.BUY, "S": Side.SELL, "SELL": Side.SELL})
Ticket = dict[str, str | int | float | bool]


@dataclass(frozen=True, slots=True)
class Leg:
    """What is really asked for: contract, direction and size there. For shares the order's own; for money see `currency_leg`."""

    conid: int
    side: Side
    size: Decimal


def refusal(order: Order, capabilities: Capabilities) -> str:
    """Why an order is not sent at all; empty when it can be."""
    fault = price_problem(order)
    if fault:
        return fault
    if not (order.quantity.is_finite() and order.quantity > 0):
        return f"expected a positive quantity, found {order.quantity}"
    if order.kind is Kind.FX:
        return "" if capabilities.currency_legs else "the broker takes no currency legs"
    if order.type not in capabilities.types:
        return f"the broker takes no {order.type.value}"
    if capabilities.mics is not None and order.mic not in capabilities.mics:
        return f"the broker does not reach {order.mic}"
    if not capabilities.fractions and order.quantity != order.quantity.to_integral_value():
        return f"the broker takes whole shares, found {plain(order.quantity)}"
    return ""


def share_leg(order: Order, conid: int) -> Leg:
    """The leg of an order for shares."""
    return Leg(conid, order.side, order.quantity)


def currency_leg(order: Order, conid: int, *, quoted_first: bool, rate: Decimal | None) -> Leg:
    """The leg of a conversion. A pair EUR.USD is traded in its first currency, so that a leg in the second changes sides.

    `rate`: base currency per unit of the order's, needed in the second case; then the size is what the quantity costs, rounded
    down to whole units and RATE_MARGIN below, so that no more is converted than was asked for.
    """
    if quoted_first:
        return Leg(conid, order.side, order.quantity)
    if rate is None or not rate > 0:
        raise BrokerError(f"order {order.client_order_id}: expected a rate of {order.currency}, found {rate}")
    size = order.quantity * rate * (1 - RATE_MARGIN)
    return Leg(conid, _OTHER[order.side], size.to_integral_value(rounding=ROUND_FLOOR))


def tickets(order: Order, leg: Leg, account: str) -> list[Ticket]:
    """The order as it is posted: one ticket, or three for a bracket, whose children name their parent and carry no id."""
    if order.kind is Kind.FX:
        ticket = _ticket(order, leg, account, ("MKT", "DAY"))
        return [{**ticket, "isCcyConv": True}]
    first = _ticket(order, leg, account, _WORDS[order.type])
    if order.type is OrderType.BRACKET:
        del first["cOID"]
        child = {**first, "side": _OTHER[leg.side].value, "parentId": order.client_order_id}
        return [
            {**first, "cOID": order.client_order_id, "price": _exact(order.limit_price)},
            {**child, "price": _exact(order.take_profit)},
            {**child, "orderType": "STP", "price": _exact(order.stop_price)},
        ]
    if order.type is OrderType.TRAILING_STOP:
        assert order.trail is not None
        return [{**first, "trailingType": "%", "trailingAmt": _exact(order.trail * 100)}]
    if order.type is OrderType.STOP:
        return [{**first, "price": _exact(order.stop_price)}]
    if order.stop_price is not None:
        first["auxPrice"] = _exact(order.stop_price)
    return [first if order.limit_price is None else {**first, "price": _exact(order.limit_price)}]


def _ticket(order: Order, leg: Leg, account: str, words: tuple[str, str]) -> Ticket:
    size = int(leg.size) if leg.size == leg.size.to_integral_value() else _exact(leg.size)
    return {"acctId": account, "conid": leg.conid, "cOID": order.client_order_id, "orderType": words[0], "tif": words[1],
            "side": leg.side.value, "quantity": size, "outsideRTH": False}  # fmt: skip


def _exact(value: Decimal | None) -> float:
    """A decimal as the JSON number with the same digits. Raises BrokerError for what a double cannot hold."""
    assert value is not None
    found = float(value)
    if Decimal(repr(found)) != value:
        raise BrokerError(f"expected a number of at most 15 digits, found {value}")
    return found


def state_of(status: str, filled: Decimal, size: Decimal) -> tuple[OrderState, str]:
    """Our state and the reason to tell, from their status, the filled size and the whole.

    What is unknown or cannot be is UNKNOWN: an unknown status with a reason that begins with "unmapped". What ended with a fill
    was not refused.
    """
    state = STATES.get(status)
    if state is None:
        return OrderState.UNKNOWN, f"{UNMAPPED} status {one_line(status) or 'without a word'} of Interactive Brokers"
    if state is OrderState.UNKNOWN:
        return state, f"status {status}: the broker waits for an answer in its own window"
    if not 0 <= filled <= size or (state is OrderState.FILLED and filled != size):
        return OrderState.UNKNOWN, f"status {status} with {plain(filled)} of {plain(size)} filled"
    if state is OrderState.ACKED:
        return (OrderState.PARTIAL if filled > 0 else state), ""
    if state is OrderState.REJECTED:
        ended = OrderState.CANCELED if filled > 0 else state
        return ended, f"status {status}: refused or canceled by the broker"
    return state, "" if state is OrderState.FILLED else f"status {status}"


def differences(order: Order, leg: Leg, account: str, told: Mapping[str, Json]) -> str:
    """What of an accepted order is not what was asked, empty when it agrees. `told`: an order's status as the broker says it.

    A field that is not there is a difference where it says what is traded: contract, side, size and limit.
    """
    faults = []
    if text(told.get("account")) != account:
        faults.append("account")
    if text(told.get("conid")) != str(leg.conid):
        faults.append("conid")
    if _SIDES.get(text(told.get("side")).upper()) is not leg.side:
        faults.append("side")
    if _number(told.get("total_size")) != leg.size:
        faults.append("size")
    if (_number(told.get("limit_price")) or None) != order.limit_price and order.type not in _TRIGGERED:
        faults.append("limit")
    if order.type in (OrderType.STOP, OrderType.STOP_LIMIT) and "stop_price" in told:
        faults += ["stop"] if _number(told["stop_price"]) != order.stop_price else []
    tif = "DAY" if order.kind is Kind.FX else _WORDS[order.type][1]
    if text(told.get("tif")).upper() != tif:
        faults.append("time in force")
    return ", ".join(faults)


def live_differences(order: Order, leg: Leg, told: Mapping[str, Json]) -> str:
    """The same for an entry of the list of orders, which says less."""
    faults = []
    if text(told.get("conid")) != str(leg.conid):
        faults.append("conid")
    if _SIDES.get(text(told.get("side")).upper()) is not leg.side:
        faults.append("side")
    if _number(told.get("totalSize")) != leg.size:
        faults.append("size")
    if order.limit_price is not None and _number(told.get("price")) != order.limit_price:
        faults.append("limit")
    return ", ".join(faults)


def another(order: Order, number_there: str, faults: str, told: Mapping[str, Json]) -> Acknowledgement:
    """The answer when the broker has another order than was asked: UNKNOWN, with what it has in the fields that differ.

    `faults` as `differences` names them; `told`: the status or the list's entry.
    """
    names = faults.split(", ")
    conid = f"{FOREIGN}{text(told.get('conid'))}"
    size, limit = told.get("total_size", told.get("totalSize")), told.get("limit_price", told.get("price"))
    return Acknowledgement(
        client_order_id=order.client_order_id,
        state=OrderState.UNKNOWN,
        broker_order_id=number_there,
        reason=f"the broker has another {faults} than was asked; compare with its statement first",
        instrument=conid if "conid" in names else None,
        side=_OTHER[order.side] if "side" in names else None,
        quantity=_number(size) if "size" in names else None,
        limit_price=_number(limit) if "limit" in names else None,
    )


def side_of(told: Json) -> Side:
    """Direction of an order or execution. Raises BrokerError for another word."""
    found = _SIDES.get(text(told).upper())
    if found is None:
        raise BrokerError(f"Interactive Brokers: expected a side, found {one_line(text(told))}")
    return found


def _number(told: Json) -> Decimal | None:
    """A number where one is told; None where it is missing, empty or no number."""
    if told is None or told == "":
        return None
    try:
        return number(told, "field")
    except BrokerError:
        return None
