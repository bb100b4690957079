"""Executions that the broker reports, each counted once: the FILLS frame and the same as `Execution`s.

Not here: what a fill does to cash and shares (`positions`), what it cost against the plan (`execution`).
"""

from decimal import Decimal

import pandas as pd

from marketbot_assets.book.rows import rows_frame
from marketbot_assets.book.schema import FILLS
from marketbot_resources.errors import BrokerError
from marketbot_resources.model import Execution, Kind, Side

BUST_PREFIX = "bust:"
_FACTS = (
    "client_order_id",
    "order_kind",
    "instrument",
    "side",
    "quantity",
    "price",
    "currency",
    "fee",
    "tax",
    "executed_at",
)


def fills_of(snapshot: pd.DataFrame) -> pd.DataFrame:
    """The executions of an ACCOUNT_SNAPSHOT frame as FILLS rows, one per execution id, sorted by it.

    An execution that the broker took back stays as it is: a row of its own (`bust:<id>`) on the other side, at its price and the
    instant at which it was told, undoes it. What the broker refunds of the costs is its own event.
    The same execution told twice counts once. Raises BrokerError when two rows of one id differ, when a quantity or
    price is missing or not positive, when a cost is negative, or when an execution lies after the snapshot's cutoff.
    """
    cutoffs = snapshot.loc[snapshot["kind"] == "CUTOFF", "at"]
    if len(cutoffs) != 1:
        raise BrokerError(f"account_snapshot: expected one CUTOFF row, found {len(cutoffs)}")
    rows: dict[str, dict[str, object]] = {}
    for row in snapshot[snapshot["kind"] == "EXECUTION"].itertuples(index=False):
        facts = {"executed_at" if name == "at" else name: getattr(row, name) for name in (*_FACTS[:-1], "at")}
        facts = {"execution_id": row.key, **facts}
        _check(facts)
        if facts["executed_at"] > cutoffs.iloc[0]:
            raise BrokerError(
                f"execution {row.key}: expected an instant up to the cutoff {cutoffs.iloc[0]}, found {row.at}"
            )
        if rows.setdefault(row.key, facts) != facts:
            raise BrokerError(f"execution {row.key}: the broker reports it twice and differently; ask the broker")
    for row in snapshot[snapshot["kind"] == "BUST"].itertuples(index=False):
        if row.side == "":
            continue  # an execution that never was in the book
        facts = {"executed_at" if name == "at" else name: getattr(row, name) for name in (*_FACTS[:-1], "at")}
        other = Side.SELL if row.side == Side.BUY else Side.BUY
        facts |= {"execution_id": BUST_PREFIX + row.key, "side": other.value, "fee": Decimal(0), "tax": Decimal(0)}
        _check(facts)
        rows[BUST_PREFIX + row.key] = facts
    return rows_frame(FILLS, list(rows.values()))


def is_bust(execution_id: str) -> bool:
    """Whether a FILLS row undoes an execution."""
    return execution_id.startswith(BUST_PREFIX)


def _check(facts: dict[str, object]) -> None:
    name = facts["execution_id"]
    if facts["side"] not in ("BUY", "SELL") or facts["order_kind"] not in ("EQUITY", "FX"):
        raise BrokerError(f"execution {name}: expected BUY or SELL of EQUITY or FX, found {facts}")
    for field, at_least_zero in (("quantity", False), ("price", False), ("fee", True), ("tax", True)):
        value = facts[field]
        good = isinstance(value, Decimal) and value.is_finite() and (value > 0 or (at_least_zero and value == 0))
        if not good:
            raise BrokerError(f"execution {name}: expected a {field} that is known and not negative, found {value}")


def executions_of(fills: pd.DataFrame) -> tuple[Execution, ...]:
    """FILLS rows as executions, in the order in which they happened (instant, then execution id)."""
    found = [
        Execution(
            execution_id=row.execution_id,
            client_order_id=row.client_order_id,
            kind=Kind(row.order_kind),
            instrument=row.instrument,
            side=Side(row.side),
            quantity=row.quantity,
            price=row.price,
            currency=row.currency,
            fee=row.fee,
            tax=row.tax,
            executed_at=row.executed_at.to_pydatetime(),
        )
        for row in fills.itertuples(index=False)
    ]
    return tuple(sorted(found, key=lambda fill: (fill.executed_at, fill.execution_id)))
