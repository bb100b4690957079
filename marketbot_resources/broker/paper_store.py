"""The paper broker's file: append-only tables, and the folds over them. Cash and shares are sums of movements, never stored.

Instants are microseconds UTC, amounts scaled integers, so that SQLite's sums are exact. Not here: any rule of the broker.
"""

import datetime as dt
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from marketbot_resources.errors import BrokerError, HomeError
from marketbot_resources.model import (
    TERMINAL_STATES,
    AccountEvent,
    Execution,
    Kind,
    Order,
    OrderState,
    Side,
    order_from_record,
    order_record,
    plain,
)

CASH, SHARES = "CASH", "SHARES"
SCALE = {CASH: 4, SHARES: 8}
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_TABLES = {
    "orders": "client_order_id text primary key, body text not null, submitted_at integer not null, auction_session text, auction_at integer",
    "order_events": "seq integer primary key, client_order_id text not null, state text not null, quantity text not null,"
    " limit_price text, reason text not null, at integer not null, known_at integer not null",
    "executions": "execution_id text primary key, client_order_id text not null, kind text not null, instrument text not null,"
    " side text not null, quantity text not null, price text not null, currency text not null, fee text not null,"
    " tax text not null, executed_at integer not null, known_at integer not null",
    "events": "event_id text primary key, kind text not null, instrument text not null, currency text not null,"
    " amount text not null, quantity text not null, effective_at integer not null, known_at integer not null",
    "movements": "seq integer primary key, book text not null, name text not null, part text not null, cause text not null,"
    " units integer not null, at integer not null, known_at integer not null, unique(book, name, part, cause)",
    "advances": "seq integer primary key, until_at integer not null, marks text not null, rates text not null",
    "seed": "only integer primary key check (only = 1), body text not null",
}
_INDEXES = (
    "create index if not exists order_events_order on order_events(client_order_id, seq)",
    "create index if not exists movements_name on movements(book, name, at)",
)


@dataclass(frozen=True, slots=True)
class WorkingOrder:
    """An order with its newest state. `order` carries the quantity and limit that the broker works (splits adjust them)."""

    order: Order
    state: OrderState
    reason: str
    submitted_at: dt.datetime
    auction_session: dt.date | None
    auction_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Advance:
    """The end of the last advance: its instant, value per held share in base, base per unit of each currency."""

    until: dt.datetime
    marks: Mapping[str, Decimal]
    rates: Mapping[str, Decimal]


def micros(at: dt.datetime) -> int:
    """An aware instant as microseconds since 1970."""
    if at.tzinfo is None:
        raise BrokerError(f"paper broker: expected an instant with a time zone, found {at}")
    return (at - _EPOCH) // _MICROSECOND


def instant(value: int) -> dt.datetime:
    """The inverse of `micros`."""
    return _EPOCH + value * _MICROSECOND


def to_units(book: str, amount: Decimal) -> int:
    """An amount as scaled integer. Raises BrokerError when it does not fit exactly."""
    scaled = amount.scaleb(SCALE[book])
    if not scaled.is_finite() or scaled != scaled.to_integral_value():
        raise BrokerError(f"paper broker: expected at most {SCALE[book]} decimals in {book}, found {amount}")
    return int(scaled)


def from_units(book: str, units: int) -> Decimal:
    """The inverse of `to_units`, without trailing zeros."""
    return Decimal(plain(Decimal(units).scaleb(-SCALE[book])))


class PaperStore:
    """The file. Every transaction is all or nothing and durable when it returns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._connection() as connection:
            for name, columns in _TABLES.items():
                connection.execute(f"create table if not exists {name}({columns})")
                for verb in ("update", "delete"):
                    connection.execute(
                        f"create trigger if not exists {name}_no_{verb} before {verb} on {name}"
                        " begin select raise(abort, 'append only'); end"
                    )
            for index in _INDEXES:
                connection.execute(index)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = sqlite3.connect(self._path, timeout=30.0, isolation_level=None)
        except sqlite3.Error as error:
            raise HomeError(f"paper broker: expected to open {self._path}, found: {error}") from error
        try:
            connection.execute("pragma synchronous=full")
            yield connection
        except sqlite3.Error as error:
            raise BrokerError(f"paper broker: expected to use {self._path}, found: {error}") from error
        finally:
            connection.close()

    @contextmanager
    def transaction(self) -> Iterator["Books"]:
        """Books to read and write; committed at the end, rolled back (by closing) when anything raises."""
        with self._connection() as connection:
            connection.execute("begin immediate")
            yield Books(connection)
            connection.execute("commit")

    @contextmanager
    def snapshot(self) -> Iterator["Books"]:
        """Books to read, all of one instant."""
        with self._connection() as connection:
            connection.execute("begin")
            yield Books(connection)


class Books:
    """Rows of one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    # --- writing ---

    def add_order(self, order: Order, at: dt.datetime, session: dt.date | None, auction_at: dt.datetime | None) -> None:
        """Notes an order as received."""
        row = (
            order.client_order_id,
            json.dumps(order_record(order), sort_keys=True),
            micros(at),
            None if session is None else session.isoformat(),
            None if auction_at is None else micros(auction_at),
        )
        self._connection.execute("insert into orders values (?,?,?,?,?)", row)

    def add_state(self, order: Order, state: OrderState, reason: str, *, at: dt.datetime, known_at: dt.datetime) -> None:
        """Appends the next state; `order` carries the quantity and limit worked from now on."""
        limit = None if order.limit_price is None else plain(order.limit_price)
        self._connection.execute(
            "insert into order_events(client_order_id, state, quantity, limit_price, reason, at, known_at) values (?,?,?,?,?,?,?)",
            (order.client_order_id, state.value, plain(order.quantity), limit, reason, micros(at), micros(known_at)),
        )

    def add_execution(self, fill: Execution, known_at: dt.datetime) -> None:
        """Notes a fill; its movements are added beside it."""
        numbers = [plain(value) for value in (fill.quantity, fill.price)]
        costs = [plain(value) for value in (fill.fee, fill.tax)]
        head = (fill.execution_id, fill.client_order_id, fill.kind.value, fill.instrument, fill.side.value)
        row = (*head, *numbers, fill.currency, *costs, micros(fill.executed_at), micros(known_at))
        self._connection.execute(f"insert into executions values ({','.join('?' * 12)})", row)

    def add_event(self, event: AccountEvent, known_at: dt.datetime) -> None:
        """Notes income or a change of shares."""
        row = (
            event.event_id,
            event.kind,
            event.instrument,
            event.currency,
            plain(event.amount),
            plain(event.quantity),
            micros(event.effective_at),
            micros(known_at),
        )
        self._connection.execute("insert into events values (?,?,?,?,?,?,?,?)", row)

    def move(
        self, book: str, name: str, part: str, cause: str, amount: Decimal, *, at: dt.datetime, known_at: dt.datetime
    ) -> None:
        """Adds one signed change of cash (a currency) or shares (an instrument)."""
        self._connection.execute(
            "insert into movements(book, name, part, cause, units, at, known_at) values (?,?,?,?,?,?,?)",
            (book, name, part, cause, to_units(book, amount), micros(at), micros(known_at)),
        )

    def add_advance(self, advance: Advance) -> None:
        """Notes how far the market has moved, with the marks and rates of that instant."""
        marks, rates = ({k: str(v) for k, v in sorted(d.items())} for d in (advance.marks, advance.rates))
        self._connection.execute(
            "insert into advances(until_at, marks, rates) values (?,?,?)",
            (micros(advance.until), json.dumps(marks), json.dumps(rates)),
        )

    def add_seed(self, body: str) -> None:
        """Notes what the account was opened with."""
        self._connection.execute("insert into seed values (1, ?)", (body,))

    # --- reading ---

    def seed(self) -> str | None:
        """What the account was opened with, or None."""
        row = self._connection.execute("select body from seed").fetchone()
        return None if row is None else str(row[0])

    def last_advance(self) -> Advance | None:
        """The end of the last advance, or None."""
        row = self._connection.execute("select until_at, marks, rates from advances order by seq desc limit 1").fetchone()
        if row is None:
            return None
        marks, rates = ({k: Decimal(v) for k, v in json.loads(text).items()} for text in row[1:])
        return Advance(instant(row[0]), marks, rates)

    def totals(self, book: str, until: dt.datetime | None = None) -> dict[str, Decimal]:
        """Sum of movements per currency or instrument, as known at an instant (None: all), sorted by name."""
        query = "select name, sum(units) from movements where book = ? and known_at <= ? group by name order by name"
        rows = self._connection.execute(query, (book, 2**62 if until is None else micros(until))).fetchall()
        return {name: from_units(book, units) for name, units in rows}

    def total(self, book: str, name: str, before: dt.datetime | None = None) -> Decimal:
        """Sum of one name's movements that took effect strictly before an instant (None: all)."""
        query = "select coalesce(sum(units), 0) from movements where book = ? and name = ? and at < ?"
        row = self._connection.execute(query, (book, name, 2**62 if before is None else micros(before))).fetchone()
        return from_units(book, row[0])

    def has_event(self, event_id: str) -> bool:
        """Whether an account event was booked."""
        return self._connection.execute("select 1 from events where event_id = ?", (event_id,)).fetchone() is not None

    def order(self, client_order_id: str) -> WorkingOrder | None:
        """One order with its newest state, or None."""
        found = self._orders("where o.client_order_id = ?", (client_order_id,), None)
        return found[0] if found else None

    def open_orders(self, until: dt.datetime | None = None) -> list[WorkingOrder]:
        """Orders that were open as known at an instant (None: now), in the order of their arrival."""
        return [working for working in self._orders("", (), until) if working.state not in TERMINAL_STATES]

    def _orders(self, where: str, values: tuple[str, ...], until: dt.datetime | None) -> list[WorkingOrder]:
        query = (
            "select o.body, o.submitted_at, o.auction_session, o.auction_at, e.state, e.quantity, e.limit_price, e.reason"
            " from orders o join order_events e on e.seq = (select max(seq) from order_events x"
            f" where x.client_order_id = o.client_order_id and x.known_at <= ?) {where} order by o.rowid"
        )
        limit = 2**62 if until is None else micros(until)
        return [_working(row) for row in self._connection.execute(query, (limit, *values)).fetchall()]

    def received(self, client_order_id: str) -> Order | None:
        """An order as it was sent, or None."""
        query = "select body from orders where client_order_id = ?"
        row = self._connection.execute(query, (client_order_id,)).fetchone()
        return None if row is None else order_from_record(json.loads(row[0]))

    def executions(self, since: dt.datetime, until: dt.datetime) -> tuple[Execution, ...]:
        """Fills that became known in (since, until], by time and id."""
        query = "select * from executions where known_at > ? and known_at <= ? order by executed_at, execution_id"
        rows = self._connection.execute(query, (micros(since), micros(until))).fetchall()
        return tuple(_execution(row) for row in rows)

    def events(self, since: dt.datetime, until: dt.datetime) -> tuple[AccountEvent, ...]:
        """Account events that became known in (since, until], by time and id."""
        query = "select * from events where known_at > ? and known_at <= ? order by effective_at, event_id"
        rows = self._connection.execute(query, (micros(since), micros(until))).fetchall()
        return tuple(AccountEvent(r[0], r[1], r[2], r[3], Decimal(r[4]), Decimal(r[5]), instant(r[6])) for r in rows)


def _working(row: tuple[str, int, str | None, int | None, str, str, str | None, str]) -> WorkingOrder:
    body, submitted_at, session, auction_at, state, quantity, limit, reason = row
    order = order_from_record(json.loads(body))
    return WorkingOrder(
        replace(order, quantity=Decimal(quantity), limit_price=None if limit is None else Decimal(limit)),
        OrderState(state),
        reason,
        instant(submitted_at),
        None if session is None else dt.date.fromisoformat(session),
        None if auction_at is None else instant(auction_at),
    )


def _execution(row: tuple[str, str, str, str, str, str, str, str, str, str, int, int]) -> Execution:
    return Execution(
        execution_id=row[0],
        client_order_id=row[1],
        kind=Kind(row[2]),
        instrument=row[3],
        side=Side(row[4]),
        quantity=Decimal(row[5]),
        price=Decimal(row[6]),
        currency=row[7],
        fee=Decimal(row[8]),
        tax=Decimal(row[9]),
        executed_at=instant(row[10]),
    )
