"""Alpaca's account as an AccountReport: cash, positions, open orders, executions, busts and account activities. Pure.

Alpaca tells the account as it is now; `report_of` takes back what came after the instant asked for. An execution is known by the
id of its activity. An activity that is no fill happened when it was booked: its `created_at`, else the instant in its id, which is
New York's. Regulatory fees come as activities of their own, fills carry none. Not here: requests (`alpaca`), states.
"""

import datetime as dt
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from decimal import Decimal
from zoneinfo import ZoneInfo

from marketbot_resources.broker import broker_json
from marketbot_resources.broker.alpaca_orders import CURRENCY, side_of, ticker_of
from marketbot_resources.broker.broker_json import Row
from marketbot_resources.broker.symbols import Symbols
from marketbot_resources.errors import BrokerError
from marketbot_resources.market.vendor_json import shown
from marketbot_resources.model import AccountEvent, AccountReport, Bust, Execution, Kind, OpenOrder, to_money

NEW_YORK = ZoneInfo("America/New_York")
FOREIGN = "ALPACA:"
FILL, BUSTED, CORRECTED = "FILL", "trade_bust", "trade_correct"
_FILLED = frozenset({"fill", "partial_fill"})
_STAMP = re.compile(r"([0-9]{14})([0-9]{3})::.{1,80}\Z")
_KINDS = {
    **dict.fromkeys(("DIV", "DIVCGL", "DIVCGS", "DIVROC", "CGD"), "DIVIDEND"),
    **dict.fromkeys(("DIVNRA", "DIVFT", "DIVTW", "DIVTXEX", "DIVWH", "INTNRA", "INTTW", "WH"), "TAX"),
    **dict.fromkeys(("FEE", "CFEE", "DIVFEE", "PTC"), "FEE"),
    **dict.fromkeys(("INT", "INTPNL"), "INTEREST"),
    **dict.fromkeys(("SPLIT", "SSP"), "SPLIT"),
    **dict.fromkeys(("SPIN", "SSO"), "SPIN_OFF"),
    **dict.fromkeys(("MA", "REORG", "REO", "SC"), "MERGER"),
    **dict.fromkeys(("CSD", "CSW", "TRANS", "JNL", "JNLC", "JNLS", "ACATC", "ACATS"), "TRANSFER"),
}
_MOVES_SHARES = frozenset({"SPLIT", "SPIN_OFF", "MERGER", "TRANSFER", "OTHER"})


@dataclass(frozen=True, slots=True)
class Told:
    """Rows as Alpaca answered them, one moment's: the account, positions, open orders, activities, and order id -> our id."""

    account: Row
    positions: Sequence[Row]
    open_orders: Sequence[Row]
    activities: Sequence[Row]
    names: Mapping[str, str]
    broker_at: dt.datetime


@dataclass(frozen=True, slots=True)
class _Move:
    """What moved cash and shares at an instant."""

    at: dt.datetime
    instrument: str
    shares: Decimal
    cash: Decimal


class Listings:
    """Alpaca's symbols and our instruments, both ways round."""

    def __init__(self, symbols: Symbols) -> None:
        self._by_ticker: dict[str, str] = {}
        for symbol in sorted(symbols, key=lambda one: one.instrument):
            ticker = ticker_of(symbol)
            if ticker is not None and self._by_ticker.setdefault(ticker, symbol.instrument) != symbol.instrument:
                raise BrokerError(f"alpaca: expected one listing {ticker} in the US, found two")

    def instrument(self, ticker: str) -> str:
        """Our id; a listing that we do not know keeps Alpaca's name and says whose it is."""
        return self._by_ticker.get(ticker, FOREIGN + ticker)


def report_of(
    told: Told, listings: Listings, *, environment: str, since: dt.datetime, until: dt.datetime
) -> AccountReport:
    """The account at `until`, with what happened in (since, until]. Raises BrokerError for what cannot be read or contradicts."""
    if broker_json.text(told.account, "currency") != CURRENCY:
        raise BrokerError(f"alpaca: expected an account in {CURRENCY}, found {shown(told.account.get('currency'))}")
    rows = _unique(told.activities)
    fills = [(_execution(row, told.names, listings), row) for row in rows if row.get("activity_type") == FILL]
    executions = {fill.execution_id: fill for fill, row in fills if row.get("type") != BUSTED}
    busts = [_bust(fill, row) for fill, row in fills if row.get("type") in (BUSTED, CORRECTED)]
    events = [_event(row, listings) for row in rows if row.get("activity_type") != FILL and _counts(row)]
    moves = _moves(executions, busts, events, until)
    cash = broker_json.number(told.account, "cash") - sum((move.cash for move in moves), Decimal(0))
    positions = _positions(told.positions, listings)
    for move in moves:
        positions[move.instrument] = positions.get(move.instrument, Decimal(0)) - move.shares
    inside = [fill for fill in executions.values() if since < fill.executed_at <= until]
    return AccountReport(
        as_of_at=until,
        cash={CURRENCY: cash},
        positions={name: count for name, count in sorted(positions.items()) if count},
        open_orders=tuple(sorted(_open(told, listings), key=lambda order: order.client_order_id)),
        executions=tuple(sorted(inside, key=lambda fill: (fill.executed_at, fill.execution_id))),
        events=tuple(
            sorted((e for e in events if since < e.effective_at <= until), key=lambda e: (e.effective_at, e.event_id))
        ),
        environment=environment,
        broker_at=told.broker_at,
        busts=tuple(
            sorted((b for b in busts if since < b.told_at <= until), key=lambda b: (b.told_at, b.execution_id))
        ),
        average_price=_average_prices(told.positions, listings, {move.instrument for move in moves}),
    )


def activity_ids(rows: Sequence[Row]) -> frozenset[str]:
    """The ids of activities."""
    return frozenset(broker_json.text(row, "id") for row in rows)


def booked_at(row: Row) -> dt.datetime:
    """When an activity happened. Raises BrokerError when it does not say."""
    for name in ("transaction_time", "created_at"):
        if row.get(name) is not None:
            return broker_json.instant(row, name)
    found = _STAMP.match(broker_json.text(row, "id"))
    try:
        if found is not None:
            local = dt.datetime.strptime(found[1], "%Y%m%d%H%M%S").replace(tzinfo=NEW_YORK)
            return local.astimezone(dt.UTC) + dt.timedelta(milliseconds=int(found[2]))
    except ValueError:
        pass
    raise BrokerError(f"alpaca: expected an activity with its instant, found the id {shown(row.get('id'))}")


def _unique(rows: Sequence[Row]) -> list[Row]:
    """Each activity once, whatever pages repeat."""
    found: dict[str, Row] = {}
    for row in rows:
        name = broker_json.text(row, "id")
        if found.setdefault(name, row) != row:
            raise BrokerError(f"activity {shown(name)}: alpaca tells it twice and differently; ask alpaca")
    return [found[name] for name in sorted(found)]


def _counts(row: Row) -> bool:
    """An activity that was canceled moved nothing in the end; one that has not been executed has moved nothing yet."""
    return row.get("status") in (None, "executed", "correct")


def _execution(row: Row, names: Mapping[str, str], listings: Listings) -> Execution:
    if row.get("type") not in _FILLED | {BUSTED, CORRECTED}:
        raise BrokerError(f"activity {shown(row.get('id'))}: expected a fill, found {shown(row.get('type'))}")
    quantity, price = broker_json.number(row, "qty"), broker_json.number(row, "price")
    if not (quantity > 0 and price > 0):
        raise BrokerError(
            f"activity {shown(row.get('id'))}: expected a quantity and a price, found {quantity}, {price}"
        )
    order = broker_json.text(row, "order_id")
    return Execution(
        execution_id=broker_json.text(row, "id"),
        client_order_id=names.get(order, FOREIGN + order),
        kind=Kind.EQUITY,
        instrument=listings.instrument(broker_json.text(row, "symbol")),
        side=side_of(row),
        quantity=quantity,
        price=price,
        currency=CURRENCY,
        fee=Decimal(0),
        tax=Decimal(0),
        executed_at=booked_at(row),
    )


def _bust(fill: Execution, row: Row) -> Bust:
    corrected = row.get("type") == CORRECTED
    return Bust(
        execution_id=broker_json.text(row, "previous_execution_id"),
        replaced_by=fill.execution_id if corrected else "",
        reason="corrected by the exchange" if corrected else "busted by the exchange",
        told_at=fill.executed_at,
    )


def _event(row: Row, listings: Listings) -> AccountEvent:
    kind = _KINDS.get(broker_json.text(row, "activity_type"), "OTHER")
    symbol = row.get("symbol")
    moved = broker_json.number_or_none(row, "qty") if kind in _MOVES_SHARES and symbol else None
    return AccountEvent(
        event_id=broker_json.text(row, "id"),
        kind=kind,
        instrument=listings.instrument(symbol) if isinstance(symbol, str) and symbol else "",
        currency=CURRENCY,
        amount=broker_json.number_or_none(row, "net_amount") or Decimal(0),
        quantity=moved or Decimal(0),
        effective_at=booked_at(row),
    )


def _moves(
    executions: Mapping[str, Execution], busts: Sequence[Bust], events: Sequence[AccountEvent], until: dt.datetime
) -> list[_Move]:
    """What moved the account after an instant."""
    moves = [_of(fill, fill.executed_at, 1) for fill in executions.values() if fill.executed_at > until]
    for bust in busts:
        if bust.told_at > until:
            if bust.execution_id not in executions:
                raise BrokerError(f"bust of {shown(bust.execution_id)}: expected that execution, found none")
            moves.append(_of(executions[bust.execution_id], bust.told_at, -1))
    moves += [
        _Move(event.effective_at, event.instrument, event.quantity, event.amount)
        for event in events
        if event.effective_at > until
    ]
    return moves


def _of(fill: Execution, at: dt.datetime, sign: int) -> _Move:
    paid = to_money(fill.quantity * fill.price, CURRENCY)
    return _Move(at, fill.instrument, sign * fill.side.sign * fill.quantity, -sign * fill.side.sign * paid)


def _positions(rows: Sequence[Row], listings: Listings) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for row in rows:
        name, quantity = listings.instrument(broker_json.text(row, "symbol")), broker_json.number(row, "qty")
        if name in found:
            raise BrokerError(f"position {name}: alpaca tells it twice")
        found[name] = -abs(quantity) if row.get("side") == "short" else quantity
    return found


def _average_prices(rows: Sequence[Row], listings: Listings, moved: Set[str]) -> dict[str, Decimal]:
    """Average entry price in USD, where Alpaca tells one that is positive; it is of now, hence none of what `moved` since."""
    told = {
        listings.instrument(broker_json.text(row, "symbol")): broker_json.number_or_none(row, "avg_entry_price")
        for row in rows
    }
    return {
        name: price for name, price in sorted(told.items()) if price is not None and price > 0 and name not in moved
    }


def _open(told: Told, listings: Listings) -> list[OpenOrder]:
    found = []
    for row in told.open_orders:
        order, filled = broker_json.text(row, "id"), broker_json.number_or_none(row, "filled_qty") or Decimal(0)
        found.append(
            OpenOrder(
                client_order_id=told.names.get(order, broker_json.text(row, "client_order_id")),
                instrument=listings.instrument(broker_json.text(row, "symbol")),
                side=side_of(row),
                remaining=broker_json.number(row, "qty") - filled,
                limit_price=broker_json.number_or_none(row, "limit_price"),
                currency=CURRENCY,
            )
        )
    return found
