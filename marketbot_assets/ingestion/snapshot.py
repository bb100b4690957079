"""What the broker and the operator report at the cutoff, as rows. Pure. Not here: asking them (`marketbot_resources.broker`)."""

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal

import pandas as pd

from marketbot_assets.ingestion.schema import ACCOUNT_SNAPSHOT
from marketbot_resources.heard import Heard, Working
from marketbot_resources.model import AccountEvent, AccountReport, Bust, Execution, OpenOrder, QuotedHit

LATE, WITHDRAWN = "late", "withdrawn"
Row = dict[str, object]
_EMPTY: Row = {
    "instrument": "",
    "order_kind": "",
    "currency": "",
    "side": "",
    "quantity": None,
    "price": None,
    "amount": None,
    "fee": None,
    "tax": None,
    "client_order_id": "",
    "text": "",
}


def snapshot_frame(
    report: AccountReport | None,
    cutoff_at: dt.datetime,
    halt_status: str,
    halt_reason: str,
    operator: Sequence[str],
    stop_hits: Sequence[QuotedHit] = (),
    heard: Heard | None = None,
    working: Sequence[Working] = (),
) -> pd.DataFrame:
    """One row per fact; without a broker there are none of the account.

    `operator`: reasons of re-arming actions since the last session, oldest first. `stop_hits`: stops that quotes broke since
    then: price in `price`, level in `amount`, control in `text`. `halt_status`: the flag's word. The row BROKER holds the broker's
    clock and its environment. `heard`: which of the report's executions came late or were withdrawn, and what the busts take
    back (without it: what the report itself names); `working`: orders that have not ended by our ledger.
    """
    rows: list[Row] = [
        _row("CUTOFF", "cutoff", cutoff_at),
        _row("HALT_FLAG", "halt", cutoff_at, text=f"{halt_status}: {halt_reason}" if halt_reason else halt_status),
    ]
    rows += [_row("OPERATOR", f"{n:04d}", cutoff_at, text=reason) for n, reason in enumerate(operator, start=1)]
    rows += [
        _row(
            "STOP_HIT",
            hit.instrument,
            cutoff_at,
            instrument=hit.instrument,
            price=Decimal(hit.price),
            amount=Decimal(hit.level),
            text=hit.control,
        )
        for hit in stop_hits
    ]
    if report is None:
        return _frame(rows)
    rows.append(_row("BROKER", "broker", report.broker_at or report.as_of_at, text=report.environment))
    rows += [_row("CASH", ccy, cutoff_at, currency=ccy, amount=amount) for ccy, amount in report.cash.items()]
    rows += [
        _row("POSITION", name, cutoff_at, instrument=name, quantity=q, price=report.average_price.get(name))
        for name, q in report.positions.items()
    ]
    rows += [_open(order, cutoff_at) for order in report.open_orders]
    rows += [_working(one, cutoff_at) for one in working]
    rows += [_execution(fill, _remark(fill, heard)) for fill in report.executions]
    known = heard.busted if heard else {fill.execution_id: fill for fill in report.executions}
    rows += [_bust(bust, known.get(bust.execution_id)) for bust in report.busts]
    rows += [_event(event) for event in report.events]
    return _frame(rows)


def _frame(rows: Sequence[Row]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=[column.name for column in ACCOUNT_SNAPSHOT.columns])


def _row(kind: str, key: str, at: dt.datetime, **values: str | Decimal | None) -> Row:
    return {**_EMPTY, "kind": kind, "key": key, "at": at, **values}


def _open(order: OpenOrder, at: dt.datetime) -> Row:
    return _row(
        "OPEN_ORDER",
        order.client_order_id,
        at,
        instrument=order.instrument,
        currency=order.currency,
        side=order.side.value,
        quantity=order.remaining,
        price=order.limit_price,
        client_order_id=order.client_order_id,
    )


def _working(one: Working, at: dt.datetime) -> Row:
    order = one.order
    return _row(
        "WORKING",
        order.client_order_id,
        at,
        instrument=order.instrument,
        order_kind=order.kind.value,
        currency=order.currency,
        side=order.side.value,
        quantity=one.remaining,
        price=order.limit_price,
        client_order_id=order.client_order_id,
        text=one.state.value,
    )


def _remark(fill: Execution, heard: Heard | None) -> str:
    if heard is None:
        return ""
    return LATE if fill.execution_id in heard.late else WITHDRAWN if fill.execution_id in heard.withdrawn else ""


def _bust(bust: Bust, fill: Execution | None) -> Row:
    """The execution's own facts, empty where nobody knows them."""
    if fill is None:
        return _row("BUST", bust.execution_id, bust.told_at, text=bust.replaced_by)
    facts = _execution(fill, "")
    return {**facts, "kind": "BUST", "at": bust.told_at, "text": bust.replaced_by, "fee": None, "tax": None}


def _execution(fill: Execution, remark: str) -> Row:
    return _row(
        "EXECUTION",
        fill.execution_id,
        fill.executed_at,
        text=remark,
        instrument=fill.instrument,
        order_kind=fill.kind.value,
        currency=fill.currency,
        side=fill.side.value,
        quantity=fill.quantity,
        price=fill.price,
        fee=fill.fee,
        tax=fill.tax,
        client_order_id=fill.client_order_id,
    )


def _event(event: AccountEvent) -> Row:
    return _row(
        "EVENT",
        event.event_id,
        event.effective_at,
        instrument=event.instrument,
        order_kind=event.kind,
        currency=event.currency,
        amount=event.amount,
        quantity=event.quantity,
    )
