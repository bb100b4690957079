"""Cancel-all (RC-80): asks the broker for the end of its open orders until it names none, and tells the ledger.

Proven by the broker's own report, never by its answers. Not here: the halt flag (`halt`), the sending (`sending`).
"""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from marketbot_resources.errors import BrokerError
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.model import TERMINAL_STATES, Acknowledgement, BrokerPort, OrderState, Side, utc_text
from marketbot_resources.redaction import redactor
from marketbot_resources.sessions import order_state, record_event

ROUNDS_MAX = 3
LATER = dt.timedelta(seconds=1)
BOTH = frozenset(Side)
BUYS = frozenset({Side.BUY})


@dataclass(frozen=True, slots=True)
class CancelReport:
    """Client order ids that the broker canceled, and those that it still works after the last round, sorted."""

    canceled: tuple[str, ...]
    left: tuple[str, ...]


def cancel_open(ledger: Ledger, broker: BrokerPort, at: dt.datetime, sides: Collection[Side] = BOTH) -> CancelReport:
    """Cancels the open orders of these sides a second after instant `at`, in the order of their ids, at most three rounds.

    What was sent at `at` is there a moment later, and a clock that stands still must not hide it. An order that fills
    meanwhile stays filled. Raises BrokerError when the broker cannot tell what is open.
    """
    at += LATER
    canceled: set[str] = set()
    names = _open(broker, at, sides)
    for _ in range(ROUNDS_MAX):
        for name in names:
            answer = _cancel(broker, name, at)
            if answer is not None and answer.state is OrderState.CANCELED:
                canceled.add(name)
            if answer is not None and answer.state in TERMINAL_STATES:
                _tell(ledger, name, answer, at)
        names = _open(broker, at, sides)
        if not names:
            break
    return CancelReport(tuple(sorted(canceled)), names)


def _open(broker: BrokerPort, at: dt.datetime, sides: Collection[Side]) -> tuple[str, ...]:
    return tuple(sorted(o.client_order_id for o in broker.report(at, at).open_orders if o.side in sides))


def _cancel(broker: BrokerPort, name: str, at: dt.datetime) -> Acknowledgement | None:
    """One request; a broker that does not answer leaves the order to the next round and to the report."""
    try:
        answer = broker.cancel(name, at)
    except BrokerError:
        return None
    return answer if answer is not None and answer.client_order_id == name else None


def _tell(ledger: Ledger, name: str, answer: Acknowledgement, at: dt.datetime) -> None:
    """The order's new state; an order that is not ours, or has ended in the ledger, is left alone."""
    state = order_state(ledger, name)
    if state is not None and state not in TERMINAL_STATES:
        told = redactor().text(answer.reason)
        record_event(
            ledger,
            name,
            answer.state,
            {"broker_order_id": answer.broker_order_id, "reason": told, "at": utc_text(at)},
        )
