"""Orders by their names in the ledger: from what was typed to the intent, from a batch to its orders. Loads little."""

from collections.abc import Mapping, Sequence
from typing import cast

from marketbot_resources.errors import UsageError
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Entry

PREFIX, PREFIX_LENGTH_MIN = "mb1-", 6


def intent_of(ledger: Ledger, text: str) -> Entry:
    """The intent of an order by its id or a unique beginning of it. Raises UsageError with one line."""
    wanted = text.strip().lower()
    if not wanted.startswith(PREFIX) or len(wanted) < len(PREFIX) + PREFIX_LENGTH_MIN:
        raise UsageError(
            f"order {text!r}: expected an order id or at least {PREFIX_LENGTH_MIN} characters after {PREFIX};"
            " `marketbot report` lists the orders of a session"
        )
    found = ledger.entries("order_intent", wanted)
    if not found:
        raise UsageError(f"order {text}: no such order in this book; `marketbot report` lists the orders of a session")
    if len(found) > 1:
        names = ", ".join(entry.key for entry in found[:3])
        raise UsageError(f"order {text}: {len(found)} orders begin like this ({names}); give more characters")
    return found[0]


def orders_of(batch: Entry) -> list[str]:
    """Client order ids of a frozen batch."""
    return [str(order["client_order_id"]) for order in cast("Sequence[Mapping[str, str]]", batch.body["orders"])]
