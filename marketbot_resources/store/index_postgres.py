"""The index in PostgreSQL, for a home whose machine may be replaced, by a role that can add and read and nothing else.

The database numbers and refuses (`migrations/0004_store_index.sql`); this adapter calls its functions and reads. A number is taken
under a lock, so that who reads on from a number misses no row that another run was still adding. Not here: connections.
"""

from collections.abc import Sequence
from dataclasses import astuple

from marketbot_resources.ledger.postgres_link import INDEX, Link
from marketbot_resources.store.index import BlobRow, Index, IndexRow

_TEXTS, _NUMBERS = "%s::text[]", "%s::bigint[]"
_NUMBER_COLUMNS = {"rows", "bytes", "status"}


def _call(function: str, names: Sequence[str]) -> str:
    places = ", ".join(_NUMBERS if name in _NUMBER_COLUMNS else _TEXTS for name in names)
    return f"select store.{function}({places})"


_ADD_VERSIONS = _call("add_versions", IndexRow.__slots__)
_ADD_BODIES = _call("add_bodies", BlobRow.__slots__)


class PostgresIndex(Index):
    """The index behind an address of libpq. Opens nothing before it is used; `read_only`: the server refuses every write."""

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        self._link = Link(url, INDEX, read_only=read_only)

    @property
    def where(self) -> str:
        """Database and host."""
        return self._link.where

    def close(self) -> None:
        """Closes the connection."""
        self._link.close()

    def add_all(self, rows: Sequence[IndexRow]) -> None:
        if rows:
            self._link.rows(_ADD_VERSIONS, _columns([astuple(row) for row in rows]))

    def add_blobs(self, rows: Sequence[BlobRow]) -> None:
        if rows:
            self._link.rows(_ADD_BODIES, _columns([astuple(row) for row in rows]))

    def _rows(self, query: str, values: Sequence[str | int] = ()) -> list[tuple]:
        return self._link.rows(query.replace("?", "%s"), values)


def _columns(rows: Sequence[tuple]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]
