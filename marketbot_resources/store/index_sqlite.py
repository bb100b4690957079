"""The index in a file of the home. Triggers refuse every change of a row."""

from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

from marketbot_resources.errors import HomeError
from marketbot_resources.store.database import Database
from marketbot_resources.store.index import BLOB_COLUMNS, COLUMNS, BlobRow, Index, IndexRow

_SCHEMA = """
create table if not exists lake_index(
  seq integer primary key autoincrement,
  asset text not null, part text not null, file_sha256 text not null, content_sha256 text not null, uri text not null,
  rows integer not null, bytes integer not null, schema_sha256 text not null, manifest_sha256 text not null,
  run_id text not null, code_version text not null, written_at text not null);
create index if not exists lake_index_newest on lake_index(asset, part, seq);
create table if not exists blob_index(
  seq integer primary key autoincrement,
  blob_sha256 text not null, provider text not null, url text not null, status integer not null, content_type text not null,
  bytes integer not null, fetched_at text not null, run_id text not null, asset text not null, part text not null);
create index if not exists blob_index_name on blob_index(blob_sha256);
create trigger if not exists lake_index_keeps before update on lake_index begin select raise(abort, 'append only'); end;
create trigger if not exists lake_index_stays before delete on lake_index begin select raise(abort, 'append only'); end;
create trigger if not exists blob_index_keeps before update on blob_index begin select raise(abort, 'append only'); end;
create trigger if not exists blob_index_stays before delete on blob_index begin select raise(abort, 'append only'); end;
"""


class SqliteIndex(Index):
    """The index file of one home; `read_only`: SQLite refuses every write and makes no file."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        self._database = Database(path, "index", HomeError, read_only=read_only)
        if read_only:
            return
        with self._database.connection() as connection:
            connection.executescript(_SCHEMA)

    @property
    def where(self) -> str:
        """The file."""
        return str(self._path)

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    def add_all(self, rows: Sequence[IndexRow]) -> None:
        with self._database.transaction() as connection:
            connection.executemany(
                f"insert into lake_index({COLUMNS}) values ({','.join('?' * 12)})", [astuple(row) for row in rows]
            )

    def add_blobs(self, rows: Sequence[BlobRow]) -> None:
        with self._database.transaction() as connection:
            connection.executemany(
                f"insert into blob_index({BLOB_COLUMNS}) values ({','.join('?' * 10)})", [astuple(row) for row in rows]
            )

    def _rows(self, query: str, values: Sequence[str | int] = ()) -> list[tuple]:
        with self._database.connection() as connection:
            return connection.execute(query, values).fetchall()
