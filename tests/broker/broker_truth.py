"""What a broker really did, for servers that misbehave towards their clients: orders, matching, fills, cash to the cent.

All of it lies in one SQLite file, so that the server's clients may be killed and the truth is still there. Time is virtual and
passes only by `pass_to`. A late acceptance waits in `arrivals`. Not here: a broker's wire (`alpaca_server`, `ibkr_server`).
"""

import datetime as dt
import json
import sqlite3
import threading
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

CENT = Decimal("0.01")
NEW_YORK = ZoneInfo("America/New_York")
OPEN, WORKING = "open", ("new", "partially_filled")
MOVES_SHARES = frozenset({"SPLIT", "SPIN", "MA", "REORG", "JNLS", "ACATS"})  # a dividend's quantity is what was held
_TABLES = """
create table if not exists meta (name text primary key, value text not null);
create table if not exists orders (
  number integer primary key, id text not null unique, client_id text not null, symbol text not null, side text not null,
  qty text not null, kind text not null, tif text not null, limit_price text, stop_price text, status text not null,
  filled text not null, paid text not null, at text not null, ends_at text not null, changed_at text not null,
  body text not null
);
create index if not exists orders_client on orders(client_id);
create table if not exists fills (
  number integer primary key, id text not null unique, order_id text not null, qty text not null, price text not null,
  fee text not null, at text not null, stands integer not null default 1, replaces text not null default ''
);
create table if not exists busts (number integer primary key, id text not null, replaced_by text not null, at text not null);
create table if not exists events (
  number integer primary key, id text not null, kind text not null, symbol text not null, amount text not null,
  qty text not null, at text not null
);
create table if not exists prints (
  number integer primary key, at text not null, symbol text not null, price text not null, volume text not null,
  kind text not null, done integer not null default 0
);
create table if not exists arrivals (number integer primary key, due_at text not null, body text not null);
create table if not exists requests (number integer primary key, kind text not null);
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """An order as it arrives. `kind`: market, limit, stop, stop_limit, trailing_stop; `tif`: opg, cls, day, ...; `body`: wire."""

    client_id: str
    symbol: str
    side: str
    qty: Decimal
    kind: str
    tif: str
    limit_price: Decimal | None
    stop_price: Decimal | None
    body: Mapping[str, object]

    def record(self) -> str:
        """As JSON."""
        texts = {name: None if (v := getattr(self, name)) is None else str(v) for name in ("limit_price", "stop_price")}
        plain = {name: getattr(self, name) for name in ("client_id", "symbol", "side", "kind", "tif")}
        return json.dumps({**plain, **texts, "qty": str(self.qty), "body": dict(self.body)})

    @classmethod
    def read(cls, text: str) -> "Asked":
        """From JSON."""
        record = json.loads(text)
        prices = {n: None if record[n] is None else Decimal(record[n]) for n in ("limit_price", "stop_price")}
        return cls(**{**record, **prices, "qty": Decimal(record["qty"])})


class Truth:
    """One account. `seed`: cash per currency and shares per symbol, counted once in a new file."""

    def __init__(
        self,
        path: Path | str,
        *,
        now: dt.datetime,
        cash: Mapping[str, str] | None = None,
        shares: Mapping[str, str] | None = None,
        dedupes: bool = True,
        name: str = "truth",
    ) -> None:
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.execute("pragma journal_mode=wal")
        self._db.execute("pragma synchronous=off")  # clients are killed here, not machines
        self._db.executescript(_TABLES)
        self.dedupes, self.name = dedupes, name
        if self._meta("cash") is None:
            self._set("cash", json.dumps(dict(cash or {})))
            self._set("shares", json.dumps(dict(shares or {})))
            self._set("now", now.isoformat())

    @contextmanager
    def locked(self) -> Iterator[sqlite3.Connection]:
        """One change at a time, whole or not at all."""
        with self._lock:
            outer = self._db.in_transaction
            if not outer:
                self._db.execute("begin immediate")
            try:
                yield self._db
            except BaseException:
                if not outer:
                    self._db.execute("rollback")
                raise
            if not outer:
                self._db.execute("commit")

    # --- time ---

    @property
    def now(self) -> dt.datetime:
        """The broker's own time."""
        return dt.datetime.fromisoformat(self._meta("now") or "")

    def pass_to(self, at: dt.datetime) -> None:
        """Lets everything happen up to an instant, in its order: arrivals, prints, ends of orders. Time never goes back."""
        with self.locked():
            while (due := self._next(at)) is not None:
                when, kind, number = due
                self._set("now", max(self.now, when).isoformat())
                if kind == "arrival":
                    row = self._one("select body from arrivals where number = ?", number)
                    self._db.execute("delete from arrivals where number = ?", (number,))
                    self.accept(Asked.read(row["body"]))
                elif kind == "print":
                    self._db.execute("update prints set done = 1 where number = ?", (number,))
                    self._match(self._one("select * from prints where number = ?", number))
                else:
                    self._end(number, "expired")
            self._set("now", max(self.now, at).isoformat())

    def _next(self, until: dt.datetime) -> tuple[dt.datetime, str, int] | None:
        """What happens next: at one instant an arrival comes first, a print second, an end last."""
        found = []
        for rank, kind, query in (
            (0, "arrival", "select number, due_at at from arrivals"),
            (1, "print", "select number, at from prints where done = 0"),
            (2, "end", "select number, ends_at at from orders where status in ('new', 'partially_filled')"),
        ):
            for row in self._db.execute(query):
                when = dt.datetime.fromisoformat(row["at"])
                if when <= until:
                    found.append((when, rank, row["number"], kind))
        return (lambda one: (one[0], one[3], one[2]))(min(found)) if found else None

    # --- orders ---

    def accept(self, asked: Asked, *, status: str = "new") -> sqlite3.Row | None:
        """Takes an order now; None when this id was taken before and the broker dedupes."""
        with self.locked():
            if self.dedupes and self.by_client_id(asked.client_id):
                return None
            number = self._count("orders") + 1
            found = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.name}|order|{number}"))
            at, ends = self.now.isoformat(), self.ends_at(asked.tif).isoformat()
            limit, stop = (None if p is None else str(p) for p in (asked.limit_price, asked.stop_price))
            row = (number, found, asked.client_id, asked.symbol, asked.side, str(asked.qty), asked.kind, asked.tif, limit,
                   stop, status, "0", "0", at, ends, at, json.dumps(dict(asked.body)))  # fmt: skip
            self._db.execute(f"insert into orders values ({','.join('?' * len(row))})", row)
            return self.order(found)

    def arrive(self, asked: Asked, seconds: float) -> None:
        """The order gets in so many virtual seconds from now."""
        with self.locked():
            due = (self.now + dt.timedelta(seconds=seconds)).isoformat()
            self._db.execute("insert into arrivals(due_at, body) values (?, ?)", (due, asked.record()))

    def ends_at(self, tif: str) -> dt.datetime:
        """When an order that nothing fills ends: after the next auction of its kind, or at the end of the next trading day."""
        local = self.now.astimezone(NEW_YORK)
        clock = dt.time(9, 31) if tif == "opg" else dt.time(16, 1)
        day = local.date()
        while day.weekday() > 4 or dt.datetime.combine(day, clock, NEW_YORK) <= local:
            day += dt.timedelta(days=1)
        return dt.datetime.combine(day, clock, NEW_YORK).astimezone(dt.UTC)

    def order(self, order_id: str) -> sqlite3.Row | None:
        """An order by the broker's id."""
        return self._one("select * from orders where id = ?", order_id)

    def by_client_id(self, client_id: str) -> list[sqlite3.Row]:
        """Every order taken under a client's id, newest first."""
        return list(self._db.execute("select * from orders where client_id = ? order by number desc", (client_id,)))

    def orders(self, *, working: bool = False) -> list[sqlite3.Row]:
        """The orders, oldest first."""
        where = " where status in ('new', 'partially_filled')" if working else ""
        return list(self._db.execute(f"select * from orders{where} order by number"))

    def cancel(self, order_id: str) -> bool:
        """Ends an order that still works; False when it is too late."""
        with self.locked():
            row = self.order(order_id)
            if row is None or row["status"] not in WORKING:
                return False
            self._end(row["number"], "canceled")
            return True

    def set_status(self, order_id: str, status: str) -> None:
        """Puts an order into any state that the broker has."""
        with self.locked():
            self._db.execute("update orders set status = ? where id = ?", (status, order_id))

    def _end(self, number: int, status: str) -> None:
        self._db.execute(
            "update orders set status = ?, changed_at = ? where number = ?", (status, self.now.isoformat(), number)
        )

    # --- fills ---

    def print_at(self, at: dt.datetime, symbol: str, price: str, volume: str, kind: str) -> None:
        """A trade of the market: `kind` open, close or trade; orders of the symbol fill at it up to its volume."""
        with self.locked():
            self._db.execute(
                "insert into prints(at, symbol, price, volume, kind) values (?,?,?,?,?)",
                (at.isoformat(), symbol, price, volume, kind),
            )

    def fill(
        self, order_id: str, qty: Decimal, price: Decimal, *, fee: Decimal = Decimal(0), replaces: str = ""
    ) -> str:
        """Fills a part of an order now; the id of the execution."""
        with self.locked():
            row = self.order(order_id)
            assert row is not None
            number = self._count("fills") + 1
            name = self.fill_id(number)
            at = self.now.isoformat()
            values = (number, name, order_id, str(qty), str(price), str(fee), at, replaces)
            self._db.execute(
                "insert into fills(number, id, order_id, qty, price, fee, at, replaces) values (?,?,?,?,?,?,?,?)",
                values,
            )
            if not replaces:
                filled = Decimal(row["filled"]) + qty
                status = row["status"] if row["status"] not in WORKING else "partially_filled"
                status = "filled" if filled >= Decimal(row["qty"]) else status
                paid = Decimal(row["paid"]) + qty * price
                self._db.execute(
                    "update orders set filled = ?, paid = ?, status = ?, changed_at = ? where id = ?",
                    (str(filled), str(paid), status, at, order_id),
                )
            return name

    def fill_id(self, number: int) -> str:
        """The broker's name of its n-th execution: instant of New York, then an id."""
        local = self.now.astimezone(NEW_YORK)
        name = uuid.uuid5(uuid.NAMESPACE_OID, f"{self.name}|fill|{number}")
        return f"{local:%Y%m%d%H%M%S}{local.microsecond // 1000:03d}::{name}"

    def bust(self, fill_id: str, price: str | None) -> None:
        """Takes an execution back; with a price another one stands instead."""
        with self.locked():
            row = self._one("select * from fills where id = ?", fill_id)
            assert row is not None
            self._db.execute("update fills set stands = 0 where id = ?", (fill_id,))
            instead = ""
            if price is not None:
                instead = self.fill(row["order_id"], Decimal(row["qty"]), Decimal(price), replaces=fill_id)
            self._db.execute(
                "insert into busts(id, replaced_by, at) values (?,?,?)", (fill_id, instead, self.now.isoformat())
            )

    def _match(self, row: sqlite3.Row) -> None:
        price, left = Decimal(row["price"]), Decimal(row["volume"])
        for order in self.orders(working=True):
            if order["symbol"] != row["symbol"] or not _takes_part(order, row["kind"], price):
                continue
            qty = min(Decimal(order["qty"]) - Decimal(order["filled"]), left)
            if qty > 0:
                self.fill(order["id"], qty, price)
                left -= qty

    # --- the account ---

    def event(self, kind: str, symbol: str, amount: Decimal, qty: Decimal = Decimal(0)) -> None:
        """Cash or shares that no order moved, now."""
        with self.locked():
            number = self._count("events") + 1
            name = self.fill_id(1_000_000 + number)
            row = (number, name, kind, symbol, str(amount), str(qty), self.now.isoformat())
            self._db.execute("insert into events values (?,?,?,?,?,?,?)", row)

    def fills(self, *, standing: bool = False) -> list[sqlite3.Row]:
        """Executions with their orders' side and symbol, oldest first."""
        where = " where stands = 1" if standing else ""
        return list(
            self._db.execute(
                "select fills.*, orders.side, orders.symbol, orders.client_id, orders.qty order_qty from fills"
                f" join orders on orders.id = fills.order_id{where} order by fills.number"
            )
        )

    def busts(self) -> list[sqlite3.Row]:
        """Executions taken back, oldest first."""
        return list(self._db.execute("select * from busts order by number"))

    def events(self) -> list[sqlite3.Row]:
        """Cash and shares that no order moved, oldest first."""
        return list(self._db.execute("select * from events order by number"))

    def cash(self, currency: str = "USD") -> Decimal:
        """Cash to the cent: every fill is rounded by itself, half to even."""
        total = Decimal(json.loads(self._meta("cash") or "{}").get(currency, "0"))
        for fill in self.fills(standing=True):
            paid = (Decimal(fill["qty"]) * Decimal(fill["price"])).quantize(CENT, rounding=ROUND_HALF_EVEN)
            total += (paid if fill["side"] == "sell" else -paid) - Decimal(fill["fee"])
        return total + sum((Decimal(event["amount"]) for event in self.events()), Decimal(0))

    def positions(self) -> dict[str, Decimal]:
        """Shares per symbol, none that are zero."""
        held = {symbol: Decimal(count) for symbol, count in json.loads(self._meta("shares") or "{}").items()}
        for fill in self.fills(standing=True):
            sign = 1 if fill["side"] == "buy" else -1
            held[fill["symbol"]] = held.get(fill["symbol"], Decimal(0)) + sign * Decimal(fill["qty"])
        for event in self.events():
            if event["kind"] in MOVES_SHARES:
                held[event["symbol"]] = held.get(event["symbol"], Decimal(0)) + Decimal(event["qty"])
        return {symbol: count for symbol, count in sorted(held.items()) if count}

    def offered(self, symbol: str) -> Decimal:
        """Shares that working sells have not sold yet."""
        rows = [o for o in self.orders(working=True) if o["symbol"] == symbol and o["side"] == "sell"]
        return sum((Decimal(o["qty"]) - Decimal(o["filled"]) for o in rows), Decimal(0))

    def count(self, kind: str) -> None:
        """Notes that a request came."""
        with self.locked():
            self._db.execute("insert into requests(kind) values (?)", (kind,))

    def told(self) -> dict[str, object]:
        """All of it as JSON values: what a test compares with what our side believes."""
        with self.locked():
            orders = [
                {name: order[name] for name in ("id", "client_id", "symbol", "side", "qty", "status", "filled", "at")}
                for order in self.orders()
            ]
            names = ("id", "order_id", "client_id", "symbol", "side", "qty", "price", "fee", "at", "stands")
            return {
                "now": self.now.isoformat(),
                "cash": str(self.cash()),
                "positions": {symbol: str(count) for symbol, count in self.positions().items()},
                "orders": orders,
                "by_client_id": dict(Counter(order["client_id"] for order in self.orders())),
                "pending": self._count("arrivals"),
                "fills": [{name: fill[name] for name in names} for fill in self.fills()],
                "busts": [dict(bust) for bust in self.busts()],
                "requests": dict(Counter(row["kind"] for row in self._db.execute("select kind from requests"))),
            }

    def _meta(self, name: str) -> str | None:
        row = self._one("select value from meta where name = ?", name)
        return None if row is None else str(row["value"])

    def _set(self, name: str, value: str) -> None:
        self._db.execute(
            "insert into meta values (?, ?) on conflict do update set value = excluded.value", (name, value)
        )

    def _one(self, query: str, *values: object) -> sqlite3.Row | None:
        with self._lock:
            row: sqlite3.Row | None = self._db.execute(query, values).fetchone()
            return row

    def _count(self, table: str) -> int:
        return int(self._db.execute(f"select count(*) from {table}").fetchone()[0])


def _takes_part(order: sqlite3.Row, kind: str, price: Decimal) -> bool:
    """Whether a print may fill an order: its auction, its limit, its stop (a touched stop is taken as hit by this print)."""
    if {"opg": "open", "cls": "close"}.get(order["tif"], kind) != kind:
        return False
    up = order["side"] == "buy"
    if order["stop_price"] is not None and order["kind"] in ("stop", "stop_limit"):
        stop = Decimal(order["stop_price"])
        if price < stop if up else price > stop:
            return False
    if order["kind"] == "trailing_stop":
        return False
    limit = order["limit_price"]
    return limit is None or (price <= Decimal(limit) if up else price >= Decimal(limit))
