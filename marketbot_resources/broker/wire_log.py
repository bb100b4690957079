"""What went over the wire to a broker and back, kept beside the ledger: append-only rows in one SQLite file of the home.

Evidence for people who settle a doubt with the broker; nothing decides on it. Known secrets are masked before a row is
written. Not here: the exchange itself (`http`).
"""

from pathlib import Path

from marketbot_resources.broker.http import Answer, Seen
from marketbot_resources.clock import machine_now
from marketbot_resources.errors import BrokerError
from marketbot_resources.model import utc_text
from marketbot_resources.redaction import redactor
from marketbot_resources.store.database import Database

FILE = "broker-wire.sqlite"
BODY_BYTES_MAX = 200_000
_TABLE = """
create table if not exists exchange (
  seq integer primary key, at text not null, broker text not null, method text not null, target text not null,
  sent text not null, status integer, body text not null
);
create trigger if not exists exchange_no_update before update on exchange begin select raise(abort, 'append only'); end;
create trigger if not exists exchange_no_delete before delete on exchange begin select raise(abort, 'append only'); end;
"""


class WireLog:
    """The exchanges of a home with one broker. Raises HomeError, BrokerError when the file cannot be used."""

    def __init__(self, home: Path, broker: str) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._broker = broker
        self._database = Database(home / FILE, "broker exchanges", BrokerError)
        with self._database.connection() as connection:
            connection.execute("pragma journal_mode=wal")
            connection.executescript(_TABLE)

    def keep(self, seen: Seen) -> None:
        """Writes one exchange down. A body beyond BODY_BYTES_MAX is cut, and says so."""
        known = isinstance(seen.answer, Answer)
        status = seen.answer.status if isinstance(seen.answer, Answer) else None
        body = seen.answer.body if isinstance(seen.answer, Answer) else seen.answer.reason.encode()
        text = body[:BODY_BYTES_MAX].decode("utf-8", "replace")
        if known and len(body) > BODY_BYTES_MAX:
            text += f"... ({len(body)} bytes)"
        clean = redactor().text
        row = (utc_text(machine_now()), self._broker, seen.method, clean(seen.target),
               clean(seen.sent.decode("utf-8", "replace")), status, clean(text))  # fmt: skip
        with self._database.connection() as connection:
            # an exchange that is not on disk when the machine stops is lost evidence, never a lost order: the ledger has that
            connection.execute("pragma synchronous=normal")
            connection.execute(
                "insert into exchange(at, broker, method, target, sent, status, body) values (?,?,?,?,?,?,?)", row
            )

    def rows(self) -> list[tuple[str, str, str, int | None, str]]:
        """(method, target, sent, status, body) of every exchange, oldest first."""
        with self._database.connection() as connection:
            return list(connection.execute("select method, target, sent, status, body from exchange order by seq"))
