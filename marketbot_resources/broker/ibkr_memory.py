"""What a home knows of its dealings with Interactive Brokers: contract ids, orders tried, orders taken; append-only, one file.

The broker forgets ended orders with the brokerage session, and an order's size with them; this file keeps what was asked. Evidence
of trading is the ledger's, never this file's: without it, orders of before are in doubt, and no order is sent twice for it.
"""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from marketbot_resources.broker.ibkr_orders import Leg
from marketbot_resources.errors import BrokerError
from marketbot_resources.model import Order, Side, order_from_record, order_record, plain, utc_text
from marketbot_resources.store.database import Database

FILE = "ibkr.sqlite"
_TABLES = """
create table if not exists contract (
  seq integer primary key, mic text not null, ticker text not null, currency text not null, conid integer not null,
  learnt_on text not null
);
create table if not exists tried (
  client_order_id text primary key, body text not null, conid integer not null, side text not null, size text not null,
  at text not null
);
create table if not exists taken (
  seq integer primary key, client_order_id text not null, broker_order_id text not null unique, child integer not null
);
"""
_TRIGGER = "create trigger if not exists {0}_no_{1} before {1} on {0} begin select raise(abort, 'append only'); end"


@dataclass(frozen=True, slots=True)
class Tried:
    """An order that was posted, or was about to be. `broker_order_id`: empty until the broker has named it."""

    order: Order
    leg: Leg
    broker_order_id: str


@dataclass(frozen=True, slots=True)
class Contract:
    """One listing by the broker's id, and the day on which the broker told it."""

    mic: str
    ticker: str
    currency: str
    conid: int
    learnt_on: dt.date


class IbkrMemory:
    """The file of one home. Raises HomeError, BrokerError when it cannot be used."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._database = Database(home / FILE, "Interactive Brokers", BrokerError)
        with self._database.connection() as connection:
            connection.executescript(_TABLES)
            for table in ("contract", "tried", "taken"):
                for verb in ("update", "delete"):
                    connection.execute(_TRIGGER.format(table, verb))

    def contract(self, mic: str, ticker: str, currency: str) -> Contract | None:
        """What was learnt last of a listing."""
        with self._database.connection() as connection:
            row = connection.execute(
                "select mic, ticker, currency, conid, learnt_on from contract"
                " where mic = ? and ticker = ? and currency = ? order by seq desc limit 1",
                (mic, ticker, currency),
            ).fetchone()
        return None if row is None else _contract(row)

    def contract_of(self, conid: int) -> Contract | None:
        """The listing that a contract id was last learnt for."""
        with self._database.connection() as connection:
            row = connection.execute(
                "select mic, ticker, currency, conid, learnt_on from contract where conid = ? order by seq desc limit 1",
                (conid,),
            ).fetchone()
        return None if row is None else _contract(row)

    def learn(self, contract: Contract) -> None:
        """Writes a listing down."""
        row = (contract.mic, contract.ticker, contract.currency, contract.conid, contract.learnt_on.isoformat())
        with self._database.transaction() as connection:
            connection.execute("insert into contract(mic, ticker, currency, conid, learnt_on) values (?,?,?,?,?)", row)

    def tried(self, client_order_id: str) -> Tried | None:
        """What was asked under an id; None when this home never asked anything."""
        with self._database.connection() as connection:
            row = connection.execute(
                "select body, conid, side, size from tried where client_order_id = ?", (client_order_id,)
            ).fetchone()
            taken = connection.execute(
                "select broker_order_id from taken where client_order_id = ? and child = 0 order by seq desc limit 1",
                (client_order_id,),
            ).fetchone()
        if row is None:
            return None
        leg = Leg(int(row[1]), Side(row[2]), Decimal(row[3]))
        return Tried(order_from_record(json.loads(row[0])), leg, taken[0] if taken else "")

    def trying(self, order: Order, leg: Leg, at: dt.datetime) -> None:
        """Writes down what is about to be posted; the same id again, sent by decision of the protocol, changes nothing."""
        body = json.dumps(order_record(order), sort_keys=True)
        row = (order.client_order_id, body, leg.conid, leg.side.value, plain(leg.size), utc_text(at))
        with self._database.transaction() as connection:
            connection.execute("insert or ignore into tried values (?,?,?,?,?,?)", row)

    def took(self, client_order_id: str, broker_order_ids: Mapping[str, bool]) -> None:
        """Writes down the broker's own ids of an order and of its children (True)."""
        with self._database.transaction() as connection:
            for broker_order_id, child in broker_order_ids.items():
                connection.execute(
                    "insert or ignore into taken(client_order_id, broker_order_id, child) values (?,?,?)",
                    (client_order_id, broker_order_id, int(child)),
                )

    def is_child(self, broker_order_id: str) -> bool:
        """Whether the broker's order is the exit of a bracket of ours."""
        with self._database.connection() as connection:
            row = connection.execute("select child from taken where broker_order_id = ?", (broker_order_id,)).fetchone()
        return row is not None and bool(row[0])

    def owner(self, broker_order_id: str) -> str:
        """Our id of the broker's order, empty when it is none of ours."""
        with self._database.connection() as connection:
            row = connection.execute(
                "select client_order_id from taken where broker_order_id = ?", (broker_order_id,)
            ).fetchone()
        return "" if row is None else str(row[0])


def _contract(row: tuple[str, str, str, int, str]) -> Contract:
    return Contract(row[0], row[1], row[2], int(row[3]), dt.date.fromisoformat(row[4]))
