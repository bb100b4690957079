"""Orders and fills of ours against the broker's: what is told that we did not send, and what of ours is missing (RC-66, P8).

Only what differs leaves a row. Not here: shares and cash (`reconciliation`), following the orders (`broker.following`).
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from decimal import Decimal
from typing import Any

import pandas as pd

from marketbot_assets.book.schema import (
    AMBIGUOUS,
    BREAK,
    BUST,
    EXPLAINED,
    FILL,
    LOCKED,
    MISSED_FILL,
    ORDER,
    ORPHAN_ORDER,
    OVERFILL,
    UNKNOWN_FILL,
    VANISHED_ORDER,
)
from marketbot_resources.model import Execution, Order, OrderType, plain
from marketbot_resources.order_slices import beyond_parents

QUANTITY_TOLERANCE = Decimal("1e-9")
ZERO = Decimal(0)
Row = dict[str, object]


def difference_row(
    kind: str, key: str, instrument: str, ours: Decimal, broker: Decimal, delta: str, outcome: str, message: str
) -> Row:
    """One RECONCILIATION row."""
    return {
        "kind": kind,
        "key": key,
        "instrument": instrument,
        "ours": ours,
        "broker": broker,
        "difference": ours - broker,
        "delta": delta,
        "outcome": outcome,
        "average": None,
        "message": message,
    }


def order_rows(
    snapshot: pd.DataFrame, orders: Mapping[str, Order], *, traded: Collection[str], split: Collection[str]
) -> list[Row]:
    """Open orders of an ACCOUNT_SNAPSHOT against those that work by our ledger (rows WORKING), both by client order id.

    `orders`: recorded intents; `traded`: names that we hold or may buy; `split`: names whose shares an event changed, so that
    quantities and limits of before and after cannot be compared.
    """
    theirs = {row.key: row for row in _rows(snapshot, "OPEN_ORDER")}
    ours = {row.key: row for row in _rows(snapshot, "WORKING")}
    found = []
    for name in sorted({*theirs, *ours}):
        told, known = theirs.get(name), ours.get(name)
        if told is None:
            found.append(_vanished(known))
        elif name not in orders:
            found.append(_orphan(told, traded))
        elif known is None:
            found += [] if _is_protection(orders[name], told) else [_ended(told)]
        elif text := _other_terms(orders[name], known, told, split):
            found.append(_order(told, known.quantity, told.quantity, ORPHAN_ORDER, BREAK, f"order {name}: {text}"))
    return found


def _rows(snapshot: pd.DataFrame, kind: str) -> list[Any]:
    return list(snapshot[snapshot["kind"] == kind].itertuples(index=False))


def _order(row: Any, ours: Decimal, broker: Decimal, delta: str, outcome: str, message: str) -> Row:
    return difference_row(ORDER, row.key, row.instrument, ours, broker, delta, outcome, message)


def _vanished(known: Any) -> Row:
    text = f"order {known.key}: {known.text} by our ledger, the broker does not name it among its open orders"
    return _order(known, known.quantity, ZERO, VANISHED_ORDER, LOCKED, text)


def _orphan(told: Any, traded: Collection[str]) -> Row:
    """An order that nobody of us sent moves our shares when it is in a name that we trade."""
    outcome = BREAK if told.instrument in traded or told.instrument.startswith("FX:") else LOCKED
    text = f"open order {told.key} to {told.side} {told.instrument}: no order of ours has this id"
    return _order(told, ZERO, told.quantity, ORPHAN_ORDER, outcome, text)


def _ended(told: Any) -> Row:
    text = f"order {told.key}: it has ended or was never sent by our ledger, the broker still works it"
    return _order(told, ZERO, told.quantity, AMBIGUOUS, BREAK, text)


def _is_protection(order: Order, told: Any) -> bool:
    """What a bracket leaves behind once its entry is filled works under the same id, on the other side."""
    return order.type is OrderType.BRACKET and told.instrument == order.instrument and told.side != order.side.value


def _other_terms(order: Order, known: Any, told: Any, split: Collection[str]) -> str:
    """How an open order differs from the one that we sent; empty when it does not."""
    if (told.instrument, told.side) != (order.instrument, order.side.value):
        return f"we sent {order.side} {order.instrument}, the broker works {told.side} {told.instrument}"
    if order.instrument in split:
        return ""
    if not abs(known.quantity - told.quantity) <= QUANTITY_TOLERANCE:
        return f"{plain(known.quantity)} shares are left by our fills, {plain(told.quantity)} at the broker"
    limit, theirs = order.limit_price, told.price
    if limit is not None and theirs is not None and not abs(limit - theirs) <= QUANTITY_TOLERANCE:
        return f"its limit is {plain(limit)}, at the broker {plain(theirs)}"
    return ""


def fill_rows(
    snapshot: pd.DataFrame,
    orders: Mapping[str, Order],
    earlier: Iterable[Execution],
    *,
    split: Collection[str],
    agrees: Callable[[str], bool],
) -> list[Row]:
    """Executions and busts of an ACCOUNT_SNAPSHOT that are not plainly fills of our orders.

    `earlier`: fills that the sessions before booked; `agrees`: whether our shares of a name are the broker's with all of them.
    """
    told = _rows(snapshot, "EXECUTION")
    filled: dict[str, Decimal] = {}
    names = {row.key for row in told}
    gone = {row.key for row in _rows(snapshot, "BUST")}
    for name, order_id, quantity in (
        *(
            (fill.execution_id, fill.client_order_id, fill.quantity)
            for fill in earlier
            if fill.execution_id not in names
        ),
        *((row.key, row.client_order_id, row.quantity) for row in told),
    ):
        if name not in gone:
            filled[order_id] = filled.get(order_id, ZERO) + quantity
    beyond = beyond_parents(orders, filled)
    found = [row for each in told if (row := _fill(each, orders, filled, beyond, split, agrees)) is not None]
    for row in _rows(snapshot, "BUST"):
        text = f"execution {row.key} was taken back by the broker"
        text += f", {row.text} stands instead" if row.text else ""
        found.append(
            difference_row(FILL, f"bust:{row.key}", row.instrument, row.quantity or ZERO, ZERO, BUST, BREAK, text)
        )
    return found


def _fill(
    row: Any,
    orders: Mapping[str, Order],
    filled: Mapping[str, Decimal],
    beyond: Mapping[str, tuple[Order, Decimal]],
    split: Collection[str],
    agrees: Callable[[str], bool],
) -> Row | None:
    order, name = orders.get(row.client_order_id), row.instrument

    def said(ours: Decimal, delta: str, outcome: str, what: str) -> Row:
        text = f"execution {row.key} of {row.client_order_id or 'no order'}: {what}"
        return difference_row(FILL, row.key, name, ours, row.quantity, delta, outcome, text)

    if order is None:
        return said(ZERO, UNKNOWN_FILL, BREAK, "no order of ours has this id")
    if (order.instrument, order.side.value, order.kind.value) != (name, row.side, row.order_kind):
        return said(ZERO, UNKNOWN_FILL, BREAK, f"the order is to {order.side} {order.instrument}")
    total = filled.get(row.client_order_id, ZERO)
    if name not in split and not total - order.quantity <= QUANTITY_TOLERANCE:
        return said(ZERO, OVERFILL, BREAK, f"filled {plain(total)} of {plain(order.quantity)}")
    parent, together = beyond.get(row.client_order_id, (order, ZERO))
    if name not in split and not together - parent.quantity <= QUANTITY_TOLERANCE:
        return said(ZERO, OVERFILL, BREAK, f"all slices filled {plain(together)} of {plain(parent.quantity)}")
    if row.text == "withdrawn":
        return said(row.quantity, AMBIGUOUS, BREAK, "the broker named it once and does not name it any more")
    if row.text != "late":
        return None
    if agrees(name):
        return said(ZERO, MISSED_FILL, EXPLAINED, "told after the cutoff of its session, booked with this one")
    return said(ZERO, AMBIGUOUS, BREAK, "told after the cutoff of its session, and our shares still differ")
