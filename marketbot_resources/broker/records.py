"""What a broker told of an account as JSON values and back: executions, events, busts; as the ledger keeps them. Pure.

Money and quantities are plain decimal text, instants RFC 3339. Not here: who asks the broker and when (`following`).
"""

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal

from marketbot_resources.ledger.record import Json
from marketbot_resources.model import AccountEvent, Bust, Execution, Kind, Side, plain, utc_text

COSTS = frozenset({"fee", "tax"})


def execution_record(fill: Execution) -> dict[str, Json]:
    """An execution as JSON values."""
    return {
        "execution_id": fill.execution_id,
        "client_order_id": fill.client_order_id,
        "kind": fill.kind.value,
        "instrument": fill.instrument,
        "side": fill.side.value,
        "quantity": plain(fill.quantity),
        "price": plain(fill.price),
        "currency": fill.currency,
        "fee": plain(fill.fee),
        "tax": plain(fill.tax),
        "executed_at": utc_text(fill.executed_at),
    }


def execution_from_record(record: Mapping[str, Json]) -> Execution:
    """The inverse of `execution_record`."""
    text = {name: str(value) for name, value in record.items()}
    return Execution(
        execution_id=text["execution_id"],
        client_order_id=text["client_order_id"],
        kind=Kind(text["kind"]),
        instrument=text["instrument"],
        side=Side(text["side"]),
        quantity=Decimal(text["quantity"]),
        price=Decimal(text["price"]),
        currency=text["currency"],
        fee=Decimal(text["fee"]),
        tax=Decimal(text["tax"]),
        executed_at=dt.datetime.fromisoformat(text["executed_at"]),
    )


def event_record(event: AccountEvent) -> dict[str, Json]:
    """An account event as JSON values."""
    return {
        "event_id": event.event_id,
        "kind": event.kind,
        "instrument": event.instrument,
        "currency": event.currency,
        "amount": plain(event.amount),
        "quantity": plain(event.quantity),
        "effective_at": utc_text(event.effective_at),
    }


def event_from_record(record: Mapping[str, Json]) -> AccountEvent:
    """The inverse of `event_record`."""
    text = {name: str(value) for name, value in record.items()}
    return AccountEvent(
        event_id=text["event_id"],
        kind=text["kind"],
        instrument=text["instrument"],
        currency=text["currency"],
        amount=Decimal(text["amount"]),
        quantity=Decimal(text["quantity"]),
        effective_at=dt.datetime.fromisoformat(text["effective_at"]),
    )


def bust_record(bust: Bust) -> dict[str, Json]:
    """A bust as JSON values."""
    return {
        "execution_id": bust.execution_id,
        "replaced_by": bust.replaced_by,
        "reason": bust.reason,
        "told_at": utc_text(bust.told_at),
    }


def bust_from_record(record: Mapping[str, Json]) -> Bust:
    """The inverse of `bust_record`."""
    text = {name: str(value) for name, value in record.items()}
    return Bust(text["execution_id"], text["replaced_by"], text["reason"], dt.datetime.fromisoformat(text["told_at"]))
