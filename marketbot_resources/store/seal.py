"""The index sealed into the ledger: a hash of every row, so that no version can be changed, added or taken away unseen.

An entry `index_rows` covers the rows of one table from one number to another; a row's hash is over all of its columns and its
number. With the manifests' hashes in the rows, one root stands for every byte of the store. Not here: who signs the root.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import cast

from marketbot_resources.errors import Equivocation
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Entry, Json
from marketbot_resources.store.index import BlobRow, Index, IndexRow

KIND = "index_rows"
LAKE, BLOBS = "lake_index", "blob_index"
TABLES = (LAKE, BLOBS)
ROWS_MAX = 500
_ATTEMPTS_MAX = 5


@dataclass(frozen=True, slots=True)
class Seal:
    """What one entry covers: rows `first` to `last` of a table, each by its hash, in order of their numbers."""

    table: str
    first: int
    last: int
    rows: tuple[str, ...]
    seq: int


def row_sha256(number: int, row: IndexRow | BlobRow) -> str:
    """Hash of an index row: its number and every column, as one JSON array."""
    text = json.dumps([number, *astuple(row)], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def numbered(index: Index, table: str, after: int = 0) -> Sequence[tuple[int, IndexRow | BlobRow]]:
    """(number, row) of a table above a number."""
    return index.numbered(after) if table == LAKE else index.numbered_blobs(after)


def seals(ledger: Ledger, table: str) -> list[Seal]:
    """Every seal of a table, ascending by number."""
    return sorted((_seal(entry) for entry in ledger.entries(KIND, table + "/")), key=lambda seal: seal.first)


def sealed_up_to(ledger: Ledger, table: str) -> int:
    """Number of the last sealed row; 0 before the first seal."""
    found = ledger.entries(KIND, table + "/")
    return max((_seal(entry).last for entry in found), default=0)


def seal_index(index: Index, ledger: Ledger) -> int:
    """Seals every row that is not sealed yet; returns how many. Raises LedgerError when the ledger refuses."""
    return sum(_seal_table(index, ledger, table) for table in TABLES)


def _seal_table(index: Index, ledger: Ledger, table: str) -> int:
    for attempt in range(_ATTEMPTS_MAX):
        new = numbered(index, table, sealed_up_to(ledger, table))
        if not new:
            return 0
        try:
            ledger.append_all([(KIND, f"{table}/{body['first']:012d}", body) for body in _bodies(table, new)])
        except Equivocation:  # another run sealed up to another row first: what it left is sealed next
            if attempt == _ATTEMPTS_MAX - 1:
                raise
            continue
        return len(new)
    return 0


def _bodies(table: str, rows: Sequence[tuple[int, IndexRow | BlobRow]]) -> Iterator[dict[str, Json]]:
    for start in range(0, len(rows), ROWS_MAX):
        part = rows[start : start + ROWS_MAX]
        hashes = [row_sha256(number, row) for number, row in part]
        yield {"table": table, "first": part[0][0], "last": part[-1][0], "rows": hashes}


def _seal(entry: Entry) -> Seal:
    body = entry.body
    rows = tuple(str(digest) for digest in cast("Sequence[str]", body["rows"]))
    return Seal(str(body["table"]), int(cast("int", body["first"])), int(cast("int", body["last"])), rows, entry.seq)
