"""Orders from stored rows, without a frame: what `explain` and every reader of a batch use. Pure.

Not here: orders as rows and whole frames (`order_frame`), how orders come about (`order_plan`).
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from decimal import Decimal

from marketbot_resources.errors import StoreError
from marketbot_resources.model import LATER_PRICES, Kind, Order, OrderType, Side, plain
from marketbot_resources.order_types import price_problem


def orders_from_rows(rows: Iterable[Mapping[str, object]]) -> tuple[Order, ...]:
    """The orders of rows that have at least ORDER_COLUMNS, sorted by client order id.

    Rows of tables that were written before LATER_COLUMNS existed hold orders of the first type. Raises StoreError for a quantity
    that is not positive, prices that are not those of the order's type or an instant without zone.
    """
    return tuple(sorted((_order(row) for row in rows), key=lambda order: order.client_order_id))


def _order(row: Mapping[str, object]) -> Order:
    name, kind = str(row["client_order_id"]), Kind(str(row["kind"]))
    limit = _decimal(row["limit_price"])
    quantity = _decimal(row["quantity"])
    if quantity is None or quantity <= 0:
        raise StoreError(f"order {name}: expected a positive quantity, found {row['quantity']}")
    order = Order(
        client_order_id=name,
        session=_day(row["session"], name),
        batch_no=int(str(row["batch_no"])),
        leg=str(row["leg"]),
        kind=kind,
        instrument=str(row["instrument"]),
        mic=str(row["mic"]),
        side=Side(str(row["side"])),
        quantity=quantity,
        limit_price=limit,
        currency=str(row["currency"]),
        send_from=_utc(row["send_from"], name),
        send_until=_utc(row["send_until"], name),
        reason=str(row["reason"]),
        type=OrderType(str(row.get("type", OrderType.LIMIT_ON_OPEN.value))),
        **{later: _decimal(row.get(later)) for later in LATER_PRICES},
    )
    if problem := price_problem(order):
        raise StoreError(f"order {name}: expected the prices of its type, but it {problem}")
    return order


def _decimal(value: object) -> Decimal | None:
    """A stored decimal without the zeros of its column's scale; None for a null."""
    if not isinstance(value, Decimal) or not value.is_finite():
        return None
    return Decimal(plain(value))


def _day(value: object, name: str) -> dt.date:
    if isinstance(value, dt.datetime):
        return value.date()
    if not isinstance(value, dt.date):
        raise StoreError(f"order {name}: expected an instant, found {value!r}")
    return value


def _utc(value: object, name: str) -> dt.datetime:
    if not isinstance(value, dt.datetime):
        raise StoreError(f"order {name}: expected an instant, found {value!r}")
    if value.tzinfo is None:
        raise StoreError(f"order {name}: expected an instant with a time zone, found {value}")
    stamp = value.astimezone(dt.UTC)
    return dt.datetime(*stamp.timetuple()[:6], stamp.microsecond, tzinfo=dt.UTC)
