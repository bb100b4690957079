"""One SQLite file, kept open: index, ledger and broker use it. Every write is durable when its transaction has ended.

Opening a file per query costs more than the query. Not here: any table.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from marketbot_resources.errors import HomeError, MarketbotError

WAIT_SECONDS = 30.0


class Database:
    """A connection per process, one user at a time. `failure`: what a refused or damaged file raises, with the file's name.

    `read_only`: SQLite itself refuses every write, and a file that is not there is not made.
    """

    def __init__(self, path: Path, name: str, failure: type[MarketbotError], *, read_only: bool = False) -> None:
        self._path, self._name, self._failure, self._read_only = path, name, failure, read_only
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int, int] | None = None

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """The connection in autocommit mode. Raises HomeError when the file cannot be opened."""
        with self._lock:
            connection = self._opened()
            try:
                yield connection
            except sqlite3.Error as error:
                raise self._failure(f"{self._name}: expected to use {self._path}, found: {error}") from error
            finally:
                if connection.in_transaction:
                    connection.rollback()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: committed at the end, rolled back when anything raises."""
        with self.connection() as connection:
            connection.execute("begin immediate")
            yield connection
            connection.execute("commit")

    def close(self) -> None:
        """Closes the connection of this process; the next use opens another."""
        with self._lock:
            if self._connection is not None and self._identity is not None and self._identity[0] == os.getpid():
                self._connection.close()
            self._connection = self._identity = None

    def _opened(self) -> sqlite3.Connection:
        identity = self._file()
        if self._connection is not None and identity is not None and identity == self._identity:
            return self._connection
        if self._connection is not None and self._identity is not None and self._identity[0] == os.getpid():
            self._connection.close()
        try:
            connection = sqlite3.connect(
                f"file:{quote(str(self._path.absolute()))}?mode={'ro' if self._read_only else 'rwc'}",
                timeout=WAIT_SECONDS,
                isolation_level=None,
                check_same_thread=False,
                uri=True,
            )
            connection.execute("pragma synchronous=full")
        except sqlite3.Error as error:
            raise HomeError(f"{self._name}: expected to open {self._path}, found: {error}") from error
        self._connection, self._identity = connection, self._file()
        return connection

    def _file(self) -> tuple[int, int, int] | None:
        """(process, device, inode): a fork or a replaced file asks for a new connection."""
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return (os.getpid(), found.st_dev, found.st_ino)
