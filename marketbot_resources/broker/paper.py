"""The paper broker with a file of its own: every call is one transaction on append-only tables.

It loads the account's newest state, applies the rules of `marketbot_resources.paper` and appends what changed; a process that
dies anywhere leaves the state before its call. Not here: any rule of the broker, where its market comes from.
"""

import datetime as dt
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from marketbot_resources.broker.records import (
    event_from_record,
    event_record,
    execution_from_record,
    execution_record,
)
from marketbot_resources.errors import BrokerError, HomeError
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import (
    AccountReport,
    Acknowledgement,
    Order,
    OrderState,
    order_record,
    plain,
    utc_text,
)
from marketbot_resources.paper import PaperAccount
from marketbot_resources.paper_market import AuctionMarket

Market = Callable[[dt.datetime, dt.datetime], AuctionMarket]
_TABLES = {
    "seed": "only integer primary key check (only = 1), body text not null",
    "orders": "client_order_id text primary key, body text not null, received_at text not null",
    "order_states": "seq integer primary key, client_order_id text not null, state text not null,"
    " broker_order_id text not null, reason text not null, at text not null",
    "executions": "execution_id text primary key, at_micros integer not null, body text not null",
    "events": "event_id text primary key, at_micros integer not null, body text not null",
    "state": "seq integer primary key, body text not null",
}
_INDEXES = (
    "create index if not exists order_states_order on order_states(client_order_id, seq)",
    "create index if not exists executions_at on executions(at_micros)",
    "create index if not exists events_at on events(at_micros)",
)
_NEWEST = "select state, broker_order_id, reason from order_states where client_order_id = ? order by seq desc limit 1"
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


class PaperBroker:
    """A BrokerPort on one SQLite file. `market` gives a market that knows everything in (first, second].

    Raises HomeError when the file cannot be opened, BrokerError when it cannot be used; several processes may share it.
    """

    capabilities = PaperAccount.capabilities

    def __init__(self, path: Path, mandate: Mandate, market: Market) -> None:
        self._path, self._mandate, self._market = path, mandate, market
        self._asked: tuple[tuple[dt.datetime, dt.datetime], AuctionMarket] | None = None
        with self._transaction() as connection:
            for name, columns in _TABLES.items():
                connection.execute(f"create table if not exists {name}({columns})")
                for verb in ("update", "delete"):
                    connection.execute(
                        f"create trigger if not exists {name}_no_{verb} before {verb} on {name}"
                        " begin select raise(abort, 'append only'); end"
                    )
            for index in _INDEXES:
                connection.execute(index)

    def seed(self, cash: Mapping[str, Decimal], shares: Mapping[str, Decimal], at: dt.datetime) -> None:
        """Opens the account once. The same seed again is a no-op, another one raises BrokerError."""
        books = {
            name: {key: plain(book[key]) for key in sorted(book)} for name, book in (("cash", cash), ("shares", shares))
        }
        body = _json({**books, "at": utc_text(at)})
        with self._transaction() as connection:
            known = connection.execute("select body from seed").fetchone()
            if known is None:
                account = PaperAccount(self._mandate, self._known(at, at), cash=cash, shares=shares, opened_at=at)
                connection.execute("insert into seed values (1, ?)", (body,))
                _append_state(connection, account)
            elif known[0] != body:
                raise BrokerError(f"paper broker: expected the seed {known[0]}, found {body}; {self._path} is in use")

    def submit(self, order: Order, at: dt.datetime) -> Acknowledgement:
        """Takes an order (see `PaperAccount.submit`). Raises BrokerError before the account is seeded."""
        with self._transaction() as connection:
            account = self._load(connection, at, order.client_order_id)
            known = account.find(order.client_order_id) is not None
            answer = account.submit(order, at)
            if not known:
                row = (order.client_order_id, _json(order_record(order)), utc_text(at))
                connection.execute("insert into orders values (?,?,?)", row)
                _append(connection, account)
        return answer

    def find(self, client_order_id: str) -> Acknowledgement | None:
        """The newest state of an order; None when it never came."""
        with self._transaction() as connection:
            row = connection.execute(_NEWEST, (client_order_id,)).fetchone()
        return None if row is None else Acknowledgement(client_order_id, OrderState(row[0]), row[1], row[2])

    def cancel(self, client_order_id: str, at: dt.datetime) -> Acknowledgement | None:
        """Ends an open order (see `PaperAccount.cancel`). Raises BrokerError before the account is seeded."""
        with self._transaction() as connection:
            account = self._load(connection, at, client_order_id)
            before = account.instant
            answer = account.cancel(client_order_id, at)
            if account.changes or account.instant != before:
                _append(connection, account)
        return answer

    def advance(self, until: dt.datetime) -> None:
        """Lets everything happen up to an instant (see `PaperAccount.advance`). Raises BrokerError before the seed."""
        with self._transaction() as connection:
            self._advanced(connection, until)

    def report(self, since: dt.datetime, until: dt.datetime) -> AccountReport:
        """Advances, then tells the account (see `PaperAccount.report`). Raises BrokerError before the seed."""
        first = _micros(min(since, until))
        with self._transaction() as connection:
            account = self._advanced(connection, until)
            executions, events = (
                connection.execute(
                    f"select body from {table} where at_micros > ? order by at_micros, {key}", (first,)
                ).fetchall()
                for table, key in (("executions", "execution_id"), ("events", "event_id"))
            )
        return account.report_of(
            since,
            until,
            [execution_from_record(json.loads(row[0])) for row in executions],
            [event_from_record(json.loads(row[0])) for row in events],
        )

    # --- the file ---

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One transaction: durable when it returns, undone when anything raises."""
        try:
            connection = sqlite3.connect(self._path, timeout=30.0, isolation_level=None)
        except sqlite3.Error as error:
            raise HomeError(f"paper broker: expected to open {self._path}, found: {error}") from error
        try:
            connection.execute("pragma synchronous=full")
            connection.execute("begin immediate")
            yield connection
            connection.execute("commit")
        except sqlite3.Error as error:
            raise BrokerError(f"paper broker: expected to use {self._path}, found: {error}") from error
        finally:
            connection.close()  # what was not committed is rolled back

    def _advanced(self, connection: sqlite3.Connection, until: dt.datetime) -> PaperAccount:
        account = self._load(connection, until, None)
        before = account.instant
        account.advance(until)
        if account.instant != before:
            _append(connection, account)
        return account

    def _load(self, connection: sqlite3.Connection, until: dt.datetime, client_order_id: str | None) -> PaperAccount:
        """The account of the newest state, knowing its working orders and the one asked for."""
        row = connection.execute("select body from state order by seq desc limit 1").fetchone()
        if row is None:
            raise BrokerError(f"paper broker: expected an account in {self._path}, found none; seed it first")
        record = json.loads(row[0])
        orders = {}
        for name in sorted({*record["working"], *([client_order_id] if client_order_id else [])}):
            received = connection.execute("select body from orders where client_order_id = ?", (name,)).fetchone()
            if received is not None:
                state, _, reason = connection.execute(_NEWEST, (name,)).fetchone()
                orders[name] = {"received": json.loads(received[0]), "state": state, "reason": reason}
        instant = dt.datetime.fromisoformat(record["instant"])
        market = self._known(instant, max(instant, _aware(until)))
        return PaperAccount.from_record({**record, "orders": orders}, self._mandate, market)

    def _known(self, since: dt.datetime, until: dt.datetime) -> AuctionMarket:
        if self._asked is None or self._asked[0] != (since, until):
            self._asked = ((since, until), self._market(since, until))
        return self._asked[1]


def _append(connection: sqlite3.Connection, account: PaperAccount) -> None:
    for change in account.changes:
        answer = change.answer
        row = (answer.client_order_id, answer.state.value, answer.broker_order_id, answer.reason, utc_text(change.at))
        connection.execute(
            "insert into order_states(client_order_id, state, broker_order_id, reason, at) values (?,?,?,?,?)", row
        )
    executions, events = account.executions_and_events()
    for fill in executions:
        told = (fill.execution_id, _micros(fill.executed_at), _json(execution_record(fill)))
        connection.execute("insert into executions values (?,?,?)", told)
    for event in events:
        told = (event.event_id, _micros(event.effective_at), _json(event_record(event)))
        connection.execute("insert into events values (?,?,?)", told)
    _append_state(connection, account)


def _append_state(connection: sqlite3.Connection, account: PaperAccount) -> None:
    record = {
        name: value for name, value in account.to_record().items() if name != "orders"
    }  # they have their own table
    connection.execute("insert into state(body) values (?)", (_json(record),))


def _json(record: Mapping[str, object]) -> str:
    return json.dumps(record, sort_keys=True, separators=(",", ":"))


def _aware(at: dt.datetime) -> dt.datetime:
    if at.tzinfo is None:
        raise BrokerError(f"paper broker: expected an instant with a time zone, found {at}")
    return at


def _micros(at: dt.datetime) -> int:
    return (_aware(at) - _EPOCH) // _MICROSECOND
