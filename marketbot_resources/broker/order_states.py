"""Which state of an order may follow which: one table, and every recorded state goes by it. Pure.

SENDING is durable before the broker hears of an order; UNKNOWN is left by the broker's own view of it, by sending the same
id again, or by time. What the broker has acknowledged is never in doubt again, and an end is never left: a fill that comes
later is evidence of its own. Not here: who records states (`sessions.record_event`), what a doubt leads to (`settling`).
"""

from collections.abc import Mapping

from marketbot_resources.errors import HaltError
from marketbot_resources.model import TERMINAL_STATES, OrderState

IN_DOUBT = frozenset({OrderState.SENDING, OrderState.UNKNOWN})
_WORKED = frozenset({OrderState.ACKED, OrderState.PARTIAL})
ANSWERS = _WORKED | TERMINAL_STATES
_UNSENT = frozenset({OrderState.SENDING, OrderState.EXPIRED})
MOVES: Mapping[OrderState, frozenset[OrderState]] = {
    OrderState.APPROVED: _UNSENT,
    OrderState.SENDING: ANSWERS | {OrderState.UNKNOWN},
    OrderState.UNKNOWN: ANSWERS | {OrderState.SENDING},
    OrderState.ACKED: TERMINAL_STATES | {OrderState.PARTIAL},
    OrderState.PARTIAL: TERMINAL_STATES - {OrderState.REJECTED} | {OrderState.PARTIAL},
    **{state: frozenset() for state in TERMINAL_STATES},
}


def check_move(client_order_id: str, before: OrderState, after: OrderState) -> None:
    """Raises HaltError when an order may not go from one state to the other."""
    if after in MOVES[before]:
        return
    if before in TERMINAL_STATES:
        raise HaltError(f"order {client_order_id}: expected an open order, found it {before}")
    allowed = ", ".join(sorted(MOVES[before]))
    raise HaltError(f"order {client_order_id}: expected {allowed} after {before}, found {after}")
