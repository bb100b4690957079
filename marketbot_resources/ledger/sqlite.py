"""The ledger in one SQLite file, the embedded default. Triggers refuse changes; the tree shows those made without them."""

import fcntl
import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from marketbot_resources.errors import Equivocation, HomeError, LedgerError, StaleToken
from marketbot_resources.ledger import merkle
from marketbot_resources.ledger.port import Ledger, prefix_end, stale
from marketbot_resources.ledger.record import SENDING_FENCE, Fence, Receipt, Row, record_leaf
from marketbot_resources.store.database import Database

_SCHEMA = """
create table if not exists entry(
  seq integer primary key check (seq >= 0), kind text not null, key text not null,
  record blob not null, leaf blob not null check (length(leaf) = 32), unique(kind, key));
create table if not exists node(
  level integer not null check (level > 0), place integer not null, hash blob not null check (length(hash) = 32),
  primary key(level, place)) without rowid;
create table if not exists checkpoint(size integer primary key, note text not null);
"""
_TABLES = ("entry", "node", "checkpoint")
_TRIGGERS = "".join(
    f"create trigger if not exists {table}_{name} before {action} on {table} begin select raise(abort, 'append only'); end;"
    for table in _TABLES
    for name, action in (("keeps", "update"), ("stays", "delete"))
)
_ROW = "seq, kind, key, record, leaf"
_PAGE = 1_000


class SqliteLedger(Ledger):
    """The ledger file of one home. Raises HomeError for a file of an earlier format, LedgerError for a damaged one."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        self._database = Database(path, "ledger", LedgerError, read_only=read_only)
        with self._database.connection() as connection:
            columns = {row[1] for row in connection.execute("pragma table_info(entry)")}
            if columns and "record" not in columns:
                raise HomeError(
                    f"ledger: expected a transparency log in {path}, found the hash chain of an earlier version; "
                    "keep it with that version and set MARKETBOT_HOME to a new folder"
                )
            if not read_only:
                connection.executescript(_SCHEMA + _TRIGGERS)

    @contextmanager
    def alone(self, name: str) -> Iterator[bool]:
        """By flock on a file beside the ledger, which stays there."""
        beside = self._path.with_name(f"{self._path.name}.{hashlib.sha256(name.encode()).hexdigest()[:16]}.lock")
        try:
            held = beside.open("ab")
        except OSError as error:
            raise HomeError(f"ledger: expected to write {beside}, found: {error.strerror}") from error
        with held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            except OSError as error:
                raise LedgerError(f"ledger: expected to lock {beside}, found: {error.strerror}") from error
            yield True

    def _append(self, records: Sequence[tuple[str, str, bytes]], fence: Fence | None = None) -> list[Receipt]:
        with self._database.transaction() as connection:
            if fence is not None and not _is_newest(connection, fence):
                raise StaleToken(stale(fence))
            return [self._append_one(connection, kind, key, data) for kind, key, data in records]

    def _append_one(self, connection: sqlite3.Connection, kind: str, key: str, data: bytes) -> Receipt:
        query = "select seq, record, leaf from entry where kind = ? and key = ?"
        known = connection.execute(query, (kind, key)).fetchone()
        if known is not None:
            if bytes(known[1]) != data:
                raise Equivocation(f"ledger: {kind} {key} exists with another body; the ledger is never rewritten")
            return Receipt(known[0], bytes(known[2]).hex(), added=False)
        size, leaf = _size(connection), record_leaf(data)
        made = merkle.completed(size, leaf, lambda level, place: _node(connection, level, place))
        connection.execute("insert into entry values (?,?,?,?,?)", (size, kind, key, data, leaf))
        connection.executemany("insert into node values (?,?,?)", made[1:])
        return Receipt(size, leaf.hex(), added=True)

    def _get(self, kind: str, key: str) -> Row | None:
        rows = self._select("where kind = ? and key = ?", (kind, key))
        return rows[0] if rows else None

    def _entries(self, kind: str, prefix: str) -> list[Row]:
        beyond = prefix_end(prefix)
        if beyond is None:
            return self._select("where kind = ? and key >= ? order by seq", (kind, prefix))
        return self._select("where kind = ? and key >= ? and key < ? order by seq", (kind, prefix, beyond))

    def size(self) -> int:
        with self._database.connection() as connection:
            return _size(connection)

    def node(self, level: int, place: int) -> bytes:
        with self._database.connection() as connection:
            return _node(connection, level, place)

    def rows(self, first: int = 0, last: int | None = None) -> Iterator[Row]:
        after = first - 1
        while True:
            page = self._select(f"where seq > ? order by seq limit {_PAGE}", (after,))
            for row in page:
                if last is not None and row.seq >= last:
                    return
                yield row
            if len(page) < _PAGE:
                return
            after = page[-1].seq

    def nodes(self) -> Iterator[tuple[int, int, bytes]]:
        with self._database.connection() as connection:
            found = connection.execute("select level, place, hash from node order by level, place").fetchall()
        return iter([(level, place, bytes(digest)) for level, place, digest in found])

    def keep_checkpoint(self, size: int, note: str) -> None:
        with self._database.transaction() as connection:
            known = connection.execute("select note from checkpoint where size = ?", (size,)).fetchone()
            if known is None:
                connection.execute("insert into checkpoint values (?,?)", (size, note))
            elif known[0] != note:
                raise Equivocation(f"ledger: a checkpoint of size {size} exists with another text")

    def checkpoints(self) -> list[tuple[int, str]]:
        with self._database.connection() as connection:
            return [
                (size, note) for size, note in connection.execute("select size, note from checkpoint order by size")
            ]

    def _select(self, where: str, values: tuple[object, ...]) -> list[Row]:
        with self._database.connection() as connection:
            rows = connection.execute(f"select {_ROW} from entry {where}", values).fetchall()
        return [Row(seq, kind, key, _bytes(record), _bytes(leaf)) for seq, kind, key, record, leaf in rows]


def _size(connection: sqlite3.Connection) -> int:
    """One more than the newest number; a gap shows in verification, never as a number used twice."""
    newest = connection.execute("select max(seq) from entry").fetchone()[0]
    return 0 if newest is None else int(newest) + 1


def _is_newest(connection: sqlite3.Connection, fence: Fence) -> bool:
    """Tokens have no gaps: the newest is there, and the next is not."""
    keys = (fence.key, fence.next_key)
    found = connection.execute("select key from entry where kind = ? and key in (?, ?)", (SENDING_FENCE, *keys))
    return [row[0] for row in found.fetchall()] == [fence.key]


def _node(connection: sqlite3.Connection, level: int, place: int) -> bytes:
    if level == 0:
        row = connection.execute("select leaf from entry where seq = ?", (place,)).fetchone()
    else:
        row = connection.execute("select hash from node where level = ? and place = ?", (level, place)).fetchone()
    if row is None:
        raise LedgerError(f"ledger: expected node {place} of level {level}, found none; run `marketbot verify`")
    return bytes(row[0])


def _bytes(cell: bytes | str) -> bytes:
    """A cell that somebody changed may have become text: its hash tells."""
    return cell.encode() if isinstance(cell, str) else bytes(cell)
