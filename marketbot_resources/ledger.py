"""The decision ledger: append-only, hash-chained, idempotent. SQLite now, the same contract for other databases later.

An entry's hash covers the previous hash and the canonical JSON (RFC 8785) of kind, key and body: `root` is the last hash.
The same (kind, key, body) returns the entry that exists; the same key with another body is an Equivocation.
Everything that shall be evidence stands inside the body; `written_at` beside it is a convenience.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from marketbot_resources.errors import Equivocation, LedgerError
from marketbot_resources.redaction import redactor
from marketbot_resources.store.database import Database

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
GENESIS = "0" * 64
BODY_BYTES_MAX = 65_535
_SCHEMA = """
create table if not exists entry(
  seq integer primary key, kind text not null, key text not null, body blob not null,
  previous text not null, hash text not null, unique(kind, key));
create trigger if not exists entry_keeps before update on entry begin select raise(abort, 'append only'); end;
create trigger if not exists entry_stays before delete on entry begin select raise(abort, 'append only'); end;
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as stored."""

    seq: int
    kind: str
    key: str
    body: Mapping[str, Json]
    hash: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that an entry is durable: its place and hash, and whether this call added it."""

    seq: int
    hash: str
    added: bool


class Ledger:
    """The ledger file of one home."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, "ledger", LedgerError)
        with self._database.connection() as connection:
            connection.executescript(_SCHEMA)

    def append(self, kind: str, key: str, body: Mapping[str, Json]) -> Receipt:
        """Appends one entry durably. Raises Equivocation for another body under the same key."""
        data = canonical_json(redactor().json(body))
        if len(data) > BODY_BYTES_MAX:
            raise LedgerError(
                f"ledger: expected a body of at most {BODY_BYTES_MAX} bytes, found {len(data)} in {kind} {key}"
            )
        with self._database.connection() as connection:
            connection.execute("begin immediate")
            known = connection.execute(
                "select seq, body, hash from entry where kind = ? and key = ?", (kind, key)
            ).fetchone()
            if known is not None:
                connection.execute("rollback")
                if bytes(known[1]) != data:
                    raise Equivocation(f"ledger: {kind} {key} exists with another body; the ledger is never rewritten")
                return Receipt(known[0], known[2], added=False)
            last = connection.execute("select seq, hash from entry order by seq desc limit 1").fetchone() or (
                0,
                GENESIS,
            )
            seq, digest = last[0] + 1, entry_hash(last[1], kind, key, data)
            connection.execute("insert into entry values (?,?,?,?,?,?)", (seq, kind, key, data, last[1], digest))
            connection.execute("commit")
        return Receipt(seq, digest, added=True)

    def get(self, kind: str, key: str) -> Entry | None:
        """One entry, or None."""
        rows = self._rows("where kind = ? and key = ?", (kind, key))
        return rows[0] if rows else None

    def entries(self, kind: str, prefix: str = "") -> list[Entry]:
        """Entries of a kind whose key starts with a prefix, in order."""
        escaped = prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return self._rows("where kind = ? and key like ? escape '\\'", (kind, escaped + "%"))

    def head(self) -> tuple[int, str]:
        """(number of entries, root)."""
        with self._database.connection() as connection:
            row = connection.execute("select seq, hash from entry order by seq desc limit 1").fetchone()
        return (row[0], row[1]) if row else (0, GENESIS)

    def verify(self) -> str | None:
        """Recomputes the chain; None when whole, else one line that names the first fault."""
        with self._database.connection() as connection:
            rows = connection.execute("select seq, kind, key, body, previous, hash from entry order by seq").fetchall()
        previous = GENESIS
        for expected, (seq, kind, key, body, before, digest) in enumerate(rows, start=1):
            if seq != expected:
                return f"gap: expected entry {expected}, found {seq}"
            if before != previous or digest != entry_hash(previous, kind, key, bytes(body)):
                return f"entry {seq} ({kind} {key}) was altered"
            previous = digest
        return None

    def _rows(self, where: str, values: tuple[str, ...]) -> list[Entry]:
        with self._database.connection() as connection:
            query = f"select seq, kind, key, body, hash from entry {where} order by seq"
            rows = connection.execute(query, values).fetchall()
        return [Entry(row[0], row[1], row[2], parse_body(bytes(row[3])), row[4]) for row in rows]


def entry_hash(previous: str, kind: str, key: str, body: bytes) -> str:
    """Hash of one entry: the chain is over the previous hash, kind, key and the canonical body."""
    head = canonical_json({"previous": previous, "kind": kind, "key": key})
    return hashlib.sha256(head + b"\n" + body).hexdigest()


def canonical_json(value: Mapping[str, Json]) -> bytes:
    """RFC 8785 bytes. Refuses NaN, infinities, big integers and non-text keys."""
    import rfc8785

    try:
        return rfc8785.dumps(cast("dict[str, object]", value))  # type: ignore[arg-type]
    except (rfc8785.CanonicalizationError, TypeError, ValueError) as error:
        raise LedgerError(f"ledger: expected plain JSON values, found: {error}") from error


def parse_body(data: bytes) -> Mapping[str, Json]:
    """The JSON body of an entry."""
    import json

    return cast("Mapping[str, Json]", json.loads(data))
