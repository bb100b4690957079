"""Where test ledgers lie: empty ones on demand, in SQLite and PostgreSQL, and a door past their defences for attackers."""

import itertools
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from string import Template
from typing import Protocol

from services import Postgres

from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.postgres import PostgresLedger
from marketbot_resources.ledger.record import Fence, Receipt, Row
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.migrations.migrate import install

Open = Callable[[], Ledger]
TABLES = ("version", "entry", "node", "checkpoint", "head")


class Shelf(Protocol):
    """One kind of database."""

    def fresh(self) -> Open:
        """Empties the shelf; what it returns opens the one ledger that lies there then, again with each call."""
        ...

    def address(self) -> tuple[str, str]:
        """(kind, where) of the ledger, for another process."""
        ...

    def attack(self, *statements: str) -> None:
        """Runs SQL as one who owns the database, all defences off. $entry stands for the table's name."""
        ...

    def blob(self, data: bytes) -> str:
        """Bytes in SQL."""
        ...


class SqliteShelf:
    """A new file for each ledger."""

    def __init__(self, folder: Path) -> None:
        self._paths = (folder / f"ledger-{number}.sqlite" for number in itertools.count())
        self._path = next(self._paths)

    def fresh(self) -> Open:
        path = self._path = next(self._paths)
        return lambda: SqliteLedger(path)

    def address(self) -> tuple[str, str]:
        return "sqlite", str(self._path)

    def attack(self, *statements: str) -> None:
        connection = sqlite3.connect(self._path)
        connection.execute("pragma ignore_check_constraints = on")
        for (name,) in connection.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            connection.execute(f"drop trigger {name}")
        for statement in statements:
            connection.execute(Template(statement).substitute({table: table for table in TABLES}))
        connection.commit()
        connection.close()

    def blob(self, data: bytes) -> str:
        return f"x'{data.hex()}'"


class PostgresShelf:
    """One database, emptied for each ledger; made anew where its defences were taken off."""

    def __init__(self, server: Postgres) -> None:
        self.server, self.database = server, server.database()
        self._attacked = True
        self._opened: list[PostgresLedger] = []
        self.admin = server.url("postgres", self.database)

    def installed(self) -> Open:
        """As fresh, and nothing is as an earlier test or `fresh` itself has left it."""
        self._attacked = True
        return self.fresh()

    def fresh(self) -> Open:
        while self._opened:
            self._opened.pop().close()  # a failed test's traceback would keep it, and the server has a hundred places
        if self._attacked:
            self.server.execute("drop schema if exists ledger, store, marketbot cascade", self.database)
            install(self.admin)
            self.server.login("ledger_writer")
            self._attacked = False
        else:
            self.server.execute("; ".join(self._emptied()), self.database)
        return self._open

    def _open(self) -> Ledger:
        self._opened.append(PostgresLedger(self.address()[1]))
        return self._opened[-1]

    def address(self) -> tuple[str, str]:
        return "postgres", self.server.url("ledger_writer", self.database)

    def _emptied(self) -> list[str]:
        """A superuser takes the triggers off for one transaction."""
        return [
            *(f"alter table ledger.{table} disable trigger user" for table in ("entry", "node", "checkpoint", "head")),
            "delete from ledger.entry; delete from ledger.node; delete from ledger.checkpoint",
            "update ledger.head set size = 0",
            *(
                f"alter table ledger.{table} enable always trigger stays"
                for table in ("entry", "node", "checkpoint", "head")
            ),
            "alter table ledger.head enable always trigger grows",
        ]

    def attack(self, *statements: str) -> None:
        self._attacked = True
        checks = self.server.execute(
            "select conname from pg_constraint where conrelid = 'ledger.entry'::regclass and contype = 'c'",
            self.database,
        )
        off = [f"alter table ledger.{table} disable trigger user" for table in TABLES]
        off += [f"alter table ledger.entry drop constraint {name}" for (name,) in checks]
        given = [Template(each).substitute({table: f"ledger.{table}" for table in TABLES}) for each in statements]
        self.server.execute("; ".join([*off, *given]), self.database)

    def blob(self, data: bytes) -> str:
        return f"'\\x{data.hex()}'::bytea"


class Growing(Ledger):
    """A ledger to which somebody appends just after its rows were read, and before its nodes are."""

    def __init__(self, reader: Ledger, writer: Ledger) -> None:
        self._reader, self._writer = reader, writer

    def rows(self, first: int = 0, last: int | None = None) -> Iterator[Row]:
        yield from self._reader.rows(first, last)
        self._writer.append_all([("late", str(n), {}) for n in range(8)])

    def size(self) -> int:
        return self._reader.size()

    def nodes(self) -> Iterator[tuple[int, int, bytes]]:
        return self._reader.nodes()

    def node(self, level: int, place: int) -> bytes:
        return self._reader.node(level, place)

    def checkpoints(self) -> list[tuple[int, str]]:
        return self._reader.checkpoints()

    def alone(self, name: str) -> AbstractContextManager[bool]:
        raise NotImplementedError

    def _append(self, records: Sequence[tuple[str, str, bytes]], fence: Fence | None = None) -> list[Receipt]:
        raise NotImplementedError

    def _get(self, kind: str, key: str) -> Row | None:
        raise NotImplementedError

    def _entries(self, kind: str, prefix: str) -> list[Row]:
        raise NotImplementedError

    def keep_checkpoint(self, size: int, note: str) -> None:
        raise NotImplementedError
