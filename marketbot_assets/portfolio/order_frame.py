"""Orders as rows and back, exactly: the columns that every table of orders shares. Pure.

`orders_from_frame(orders_frame(x)) == x` up to sorting by client order id. Not here: how orders come about (`order_plan`).
"""

from collections.abc import Iterable

import pandas as pd

from marketbot_assets.portfolio.order_columns import LATER_COLUMNS, ORDER_COLUMNS
from marketbot_assets.portfolio.order_rows import orders_from_rows
from marketbot_resources.model import LATER_PRICES, Order

ORDER_NAMES = tuple(column.name for column in ORDER_COLUMNS)
FIRST_NAMES = tuple(name for name in ORDER_NAMES if name not in {column.name for column in LATER_COLUMNS})
PRICE_NAMES = ("limit_price", *LATER_PRICES)


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
            "type": o.type.value,
            **{name: getattr(o, name) for name in LATER_PRICES},
        }
        for o in sorted(orders, key=lambda order: order.client_order_id)
    ]
    frame = pd.DataFrame(rows, columns=list(ORDER_NAMES))
    kinds = {"session": "datetime64[us]", "batch_no": "int64", "quantity": object, **dict.fromkeys(PRICE_NAMES, object)}
    instants = {name: "datetime64[us, UTC]" for name in ("send_from", "send_until")}
    frame = frame.astype({**kinds, **instants})
    for name in PRICE_NAMES:
        frame[name] = frame[name].where(frame[name].notna(), None)
    return frame


def orders_from_frame(frame: pd.DataFrame) -> tuple[Order, ...]:
    """The orders of a frame that has at least ORDER_COLUMNS, sorted by client order id; an old one lacks LATER_COLUMNS.

    Raises StoreError for a quantity that is not positive, prices that its type does not have or an instant without zone.
    """
    later = [name for name in ORDER_NAMES if name not in FIRST_NAMES and name in frame.columns]
    return orders_from_rows(frame[[*FIRST_NAMES, *later]].to_dict("records"))
