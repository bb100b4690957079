"""Orders as rows and back, exactly: the columns that every table of orders shares. Pure.

`orders_from_frame(orders_frame(x)) == x` up to sorting by client order id. Not here: how orders come about (`order_plan`).
"""

import datetime as dt
from collections.abc import Iterable
from decimal import Decimal

import pandas as pd

from marketbot_assets.portfolio.order_columns import ORDER_COLUMNS
from marketbot_resources.errors import StoreError
from marketbot_resources.model import Kind, Order, Side, plain

ORDER_NAMES = tuple(column.name for column in ORDER_COLUMNS)


def orders_frame(orders: Iterable[Order]) -> pd.DataFrame:
    """One row per order with ORDER_COLUMNS, sorted by client order id."""
    rows = [
        {
            "client_order_id": o.client_order_id,
            "session": pd.Timestamp(o.session),
            "batch_no": o.batch_no,
            "leg": o.leg,
            "kind": o.kind.value,
            "instrument": o.instrument,
            "mic": o.mic,
            "side": o.side.value,
            "quantity": o.quantity,
            "limit_price": o.limit_price,
            "currency": o.currency,
            "send_from": pd.Timestamp(o.send_from).tz_convert("UTC"),
            "send_until": pd.Timestamp(o.send_until).tz_convert("UTC"),
            "reason": o.reason,
        }
        for o in sorted(orders, key=lambda order: order.client_order_id)
    ]
    frame = pd.DataFrame(rows, columns=list(ORDER_NAMES))
    kinds = {"session": "datetime64[us]", "batch_no": "int64", "quantity": object, "limit_price": object}
    instants = {name: "datetime64[us, UTC]" for name in ("send_from", "send_until")}
    frame = frame.astype({**kinds, **instants})
    frame["limit_price"] = frame["limit_price"].where(frame["limit_price"].notna(), None)
    return frame


def orders_from_frame(frame: pd.DataFrame) -> tuple[Order, ...]:
    """The orders of a frame that has at least ORDER_COLUMNS, sorted by client order id.

    Raises StoreError for a quantity that is not positive, a missing limit of shares or an instant without zone.
    """
    orders = [_order(row) for row in frame[list(ORDER_NAMES)].to_dict("records")]
    return tuple(sorted(orders, key=lambda order: order.client_order_id))


def _order(row: dict[str, object]) -> Order:
    name, kind = str(row["client_order_id"]), Kind(str(row["kind"]))
    limit = _decimal(row["limit_price"])
    quantity = _decimal(row["quantity"])
    if quantity is None or quantity <= 0:
        raise StoreError(f"order {name}: expected a positive quantity, found {row['quantity']}")
    if (limit is None) is not (kind is Kind.FX):
        raise StoreError(f"order {name}: expected a limit for shares alone, found {row['limit_price']} for {kind}")
    return Order(
        client_order_id=name,
        session=_instant(row["session"], name).date(),
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
    )


def _decimal(value: object) -> Decimal | None:
    """A stored decimal without the zeros of its column's scale; None for a null."""
    if not isinstance(value, Decimal) or not value.is_finite():
        return None
    return Decimal(plain(value))


def _instant(value: object, name: str) -> pd.Timestamp:
    if not isinstance(value, dt.datetime | dt.date):
        raise StoreError(f"order {name}: expected an instant, found {value!r}")
    return pd.Timestamp(value)


def _utc(value: object, name: str) -> dt.datetime:
    stamp = _instant(value, name)
    if stamp.tzinfo is None:
        raise StoreError(f"order {name}: expected an instant with a time zone, found {value}")
    return stamp.tz_convert("UTC").to_pydatetime().astimezone(dt.UTC)
