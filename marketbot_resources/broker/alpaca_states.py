"""What Alpaca's words mean: the states of its orders and the bodies of its errors. Pure.

Sources: Alpaca, "Orders lifecycle" (18 states); error bodies as people have published them. One code covers many causes, so an
error is known by status, code, message and fields together. What is not in a table is said to be unmapped. Not here: the wire.
"""

from dataclasses import dataclass
from decimal import Decimal

from marketbot_resources.broker import broker_json
from marketbot_resources.broker.broker_json import Row
from marketbot_resources.market.vendor_json import shown, words
from marketbot_resources.model import OrderState

UNMAPPED = "unmapped"
_FINISHED = None
STATES: dict[str, OrderState | None] = {
    "new": OrderState.ACKED,
    "accepted": OrderState.ACKED,
    "pending_new": OrderState.ACKED,
    "accepted_for_bidding": OrderState.ACKED,
    "held": OrderState.ACKED,
    "pending_review": OrderState.ACKED,
    "stopped": OrderState.ACKED,  # a trade is guaranteed, it has not happened
    "suspended": OrderState.ACKED,  # does not trade at present, may again
    "pending_cancel": OrderState.ACKED,  # may still fill
    "pending_replace": OrderState.ACKED,
    "partially_filled": OrderState.PARTIAL,
    "filled": OrderState.FILLED,
    "done_for_day": OrderState.DONE_FOR_DAY,
    "calculated": _FINISHED,  # filled or done for the day; its settlement is being computed
    "canceled": OrderState.CANCELED,
    "expired": OrderState.EXPIRED,
    "replaced": OrderState.REPLACED,
    "rejected": OrderState.REJECTED,
}
"""Alpaca's status -> our state; None: by what has filled."""

# (code, words that the message holds, our word); the first that fits
_ERRORS: tuple[tuple[int | None, str, str], ...] = (
    (None, "client_order_id", "DUPLICATE_ID"),
    (None, "wash trade", "WASH_TRADE"),
    (40310000, "insufficient buying power", "BUYING_POWER"),
    (40310000, "insufficient underlying qty", "QUANTITY_HELD"),
    (40310000, "insufficient qty", "QUANTITY_HELD"),
    (40310000, "rejected by user request", "SUSPENDED_BY_USER"),
    (40310000, "not allowed to short", "NO_SHORTS"),
    (40310100, "pattern day trading", "PATTERN_DAY_TRADER"),
    (40010001, "not allowed for account", "NOT_PERMITTED"),
    (40010001, "is allowed for extended hours", "ORDER_TYPE"),
    (42210000, "stop price", "STOP_PRICE"),
    (42210000, "sub-penny", "PRICE_INCREMENT"),
    (42210000, "increment", "PRICE_INCREMENT"),
    (42210000, "not tradable", "NOT_TRADABLE"),
    (42210000, "not active", "NOT_TRADABLE"),
    (42210000, "opening window", "AUCTION_WINDOW"),
    (42210000, "closing window", "AUCTION_WINDOW"),
    (40010000, "request body format is invalid", "MALFORMED"),
    (40410000, "does not exist", "NOT_FOUND"),
    (40410000, "not found", "NOT_FOUND"),
    (42910000, "rate limit exceeded", "RATE_LIMIT"),
)
IN_DOUBT = frozenset({408, 425, 429})
"""Statuses below 500 after which an order may exist all the same."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error body. `word`: one of ours, UNMAPPED when no row of the table fits; `text`: a bounded reason of one line."""

    word: str
    text: str


def refusal_of(status: int, body: bytes) -> Refusal:
    """What an error says. Raises BrokerError for a body that is not Alpaca's error form."""
    row = broker_json.row_of("alpaca", broker_json.read("alpaca", body))
    message, code = row.get("message"), row.get("code")
    said = words(message.encode()) if isinstance(message, str) and message else ""
    known = int(code) if isinstance(code, Decimal) and code == code.to_integral_value() else None
    if not said:
        return Refusal(UNMAPPED, f"{UNMAPPED} error {status}: {words(body)}")
    more = row.get("reject_reason")
    detail = f"; {words(more.encode())}" if isinstance(more, str) and more else ""
    low = said.lower()
    for wanted, part, word in _ERRORS:
        if (wanted is None or wanted == known) and part in low:
            return Refusal(word, f"{word} ({status}/{known}): {said}{detail}")
    if status == 401 or (status == 403 and known is None):
        return Refusal("UNAUTHORIZED", f"UNAUTHORIZED ({status}/{known}): {said}{detail}")
    return Refusal(UNMAPPED, f"{UNMAPPED} error {status}/{known}: {said}{detail}")


def state_of(row: Row) -> tuple[OrderState, str]:
    """(state, reason) of an order as Alpaca tells it; UNKNOWN with a reason for what it cannot mean. Raises BrokerError."""
    status = row.get("status")
    filled, quantity = broker_json.number_or_none(row, "filled_qty"), broker_json.number_or_none(row, "qty")
    if not isinstance(status, str) or status not in STATES:
        return OrderState.UNKNOWN, f"{UNMAPPED} status {shown(status)}"
    if filled is None or filled < 0 or quantity is None or filled > quantity:
        return OrderState.UNKNOWN, f"status {status} with {filled} of {quantity} filled"
    state, whole = STATES[status], filled == quantity
    if state is _FINISHED:
        state = OrderState.FILLED if whole else OrderState.DONE_FOR_DAY
    if state is OrderState.FILLED and not whole:
        return OrderState.UNKNOWN, f"status filled with {filled} of {quantity} filled"
    if state is OrderState.ACKED and filled > 0:
        state = OrderState.PARTIAL
    assert state is not None
    plain = state in (OrderState.ACKED, OrderState.PARTIAL, OrderState.FILLED)
    return state, "" if plain else f"{status} with {filled} of {quantity} filled"
