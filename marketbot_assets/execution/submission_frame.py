"""SUBMISSIONS rows: the approved orders with what the ledger says became of them. Pure. Not here: sending (`broker.sending`)."""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Protocol

import pandas as pd

from marketbot_assets.book.rows import rows_frame
from marketbot_assets.execution.schema import SUBMISSIONS
from marketbot_resources.model import Order, OrderState


class Outcome(Protocol):
    """What became of one order; `submitted_at` is None when it was never sent."""

    @property
    def state(self) -> OrderState: ...
    @property
    def broker_order_id(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def submitted_at(self) -> dt.datetime | None: ...


def submission_frame(orders: Iterable[Order], outcomes: Mapping[str, Outcome]) -> pd.DataFrame:
    """One SUBMISSIONS row per order, sorted by client order id. Raises KeyError for an order without outcome."""
    rows = [
        {
            "client_order_id": order.client_order_id,
            "instrument": order.instrument,
            "side": order.side.value,
            "quantity": order.quantity,
            "state": outcomes[order.client_order_id].state.value,
            "broker_order_id": outcomes[order.client_order_id].broker_order_id,
            "reason": outcomes[order.client_order_id].reason,
            "submitted_at": outcomes[order.client_order_id].submitted_at,
        }
        for order in orders
    ]
    return rows_frame(SUBMISSIONS, rows)
