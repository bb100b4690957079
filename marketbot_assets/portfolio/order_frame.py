"""Orders as rows and back, exactly: the columns that every table of orders shares. Pure.

`orders_from_frame(orders_frame(x)) == x` up to sorting by client order id. Not here: how orders come about (`order_plan`).
"""

from collections.abc import Iterable

import pandas as pd

from marketbot_assets.portfolio.order_columns import ORDER_COLUMNS
from marketbot_assets.portfolio.order_rows import orders_from_rows
from marketbot_resources.model import Order

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
    return orders_from_rows(frame[list(ORDER_NAMES)].to_dict("records"))
