"""The append-only index: which object is the newest for (asset, partition), and what each blob is. SQLite.

A crash leaves at most an object without a row, never a row without an object. Rows are never changed: triggers refuse it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from marketbot_resources.errors import HomeError
from marketbot_resources.ledger.record import Json
from marketbot_resources.store.database import Database

STATIC, END_OF_TIME = "static", "9999-12-31"
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
_COLUMNS = (
    "asset, part, file_sha256, content_sha256, uri, rows, bytes,"
    " schema_sha256, manifest_sha256, run_id, code_version, written_at"
)
_BLOB_COLUMNS = "blob_sha256, provider, url, status, content_type, bytes, fetched_at, run_id, asset, part"


@dataclass(frozen=True, slots=True)
class IndexRow:
    """One version of one partition of one asset."""

    asset: str
    part: str
    file_sha256: str
    content_sha256: str
    uri: str
    rows: int
    bytes: int
    schema_sha256: str
    manifest_sha256: str
    run_id: str
    code_version: str
    written_at: str


@dataclass(frozen=True, slots=True)
class BlobRow:
    """What a body as received is; `url` carries no secret."""

    blob_sha256: str
    provider: str
    url: str
    status: int
    content_type: str
    bytes: int
    fetched_at: str
    run_id: str
    asset: str
    part: str


@dataclass(frozen=True, slots=True)
class Read:
    """One object that a step read."""

    asset: str
    part: str
    file_sha256: str
    content_sha256: str
    manifest_sha256: str


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a commit comes from: run, code, model, mandate, cutoff; stands in the manifest, never in a table."""

    run_id: str
    code_version: str
    written_at: str
    extra: Mapping[str, Json]


def read_of(row: IndexRow) -> Read:
    """A version as something that was read."""
    return Read(row.asset, row.part, row.file_sha256, row.content_sha256, row.manifest_sha256)


class Index:
    """The index file of one home."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._database = Database(path, "index", HomeError, read_only=read_only)
        if read_only:
            return
        with self._database.connection() as connection:
            connection.executescript(_SCHEMA)

    def add(self, row: IndexRow) -> None:
        """Appends one version."""
        with self._database.transaction() as connection:
            connection.execute(f"insert into lake_index({_COLUMNS}) values ({','.join('?' * 12)})", astuple(row))

    def add_blobs(self, rows: Sequence[BlobRow]) -> None:
        """Appends descriptions of blobs."""
        with self._database.transaction() as connection:
            connection.executemany(
                f"insert into blob_index({_BLOB_COLUMNS}) values (?,?,?,?,?,?,?,?,?,?)",
                [astuple(row) for row in rows],
            )

    def newest(self, asset: str, part: str) -> IndexRow | None:
        """The newest version of one partition."""
        rows = self._select("asset = ? and part = ?", (asset, part))
        return rows[0] if rows else None

    def before(self, asset: str, part: str) -> IndexRow | None:
        """The newest version of the last partition before a key; None for the first."""
        query = f"select {_COLUMNS} from lake_index where asset = ? and part < ? order by part desc, seq desc limit 1"
        with self._database.connection() as connection:
            row = connection.execute(query, (asset, part)).fetchone()
        return IndexRow(*row) if row else None

    def up_to(self, asset: str, part: str, *, inclusive: bool = True) -> list[IndexRow]:
        """The newest version of every partition up to a key, ascending; keys of sessions sort as text."""
        return self._select(f"asset = ? and part {'<=' if inclusive else '<'} ?", (asset, part))

    def all_newest(self) -> list[IndexRow]:
        """The newest version of every partition of every asset, sorted."""
        return self._select("1 = 1", ())

    def of_part(self, part: str) -> dict[str, IndexRow]:
        """Asset -> its newest version of one partition."""
        return {row.asset: row for row in self._select("part = ?", (part,))}

    def by_file(self, asset: str, part: str, file_sha256: str) -> IndexRow | None:
        """The newest version with this file."""
        return self._one("file_sha256", asset, part, file_sha256)

    def by_manifest(self, asset: str, part: str, manifest_sha256: str) -> IndexRow | None:
        """The version with this manifest: what was made from given inputs by given code."""
        return self._one("manifest_sha256", asset, part, manifest_sha256)

    def _one(self, column: str, asset: str, part: str, digest: str) -> IndexRow | None:
        query = (
            f"select {_COLUMNS} from lake_index where asset = ? and part = ? and {column} = ? order by seq desc limit 1"
        )
        with self._database.connection() as connection:
            row = connection.execute(query, (asset, part, digest)).fetchone()
        return IndexRow(*row) if row else None

    def numbered(self, after: int = 0) -> list[tuple[int, IndexRow]]:
        """(number, version) of every row with a number above `after`, ascending."""
        query = f"select seq, {_COLUMNS} from lake_index where seq > ? order by seq"
        with self._database.connection() as connection:
            return [(row[0], IndexRow(*row[1:])) for row in connection.execute(query, (after,))]

    def numbered_blobs(self, after: int = 0) -> list[tuple[int, BlobRow]]:
        """(number, description of a blob) of every row with a number above `after`, ascending."""
        query = f"select seq, {_BLOB_COLUMNS} from blob_index where seq > ? order by seq"
        with self._database.connection() as connection:
            return [(row[0], BlobRow(*row[1:])) for row in connection.execute(query, (after,))]

    def size(self) -> int:
        """The newest number of a version; 0 when there is none."""
        with self._database.connection() as connection:
            return int(connection.execute("select coalesce(max(seq), 0) from lake_index").fetchone()[0])

    def begins(self, digest: str, most: int) -> tuple[list[IndexRow], list[BlobRow]]:
        """The newest `most` versions and bodies of which a hash begins with these hex digits."""
        end = digest + "g"  # after every hex digit
        one = "{0} >= ? and {0} < ?"
        where = " or ".join(one.format(f"{kind}_sha256") for kind in ("file", "content", "manifest"))
        order = "order by seq desc limit ?"
        with self._database.connection() as connection:
            rows = connection.execute(
                f"select {_COLUMNS} from lake_index where {where} {order}", (*[digest, end] * 3, most)
            ).fetchall()
            bodies = connection.execute(
                f"select {_BLOB_COLUMNS} from blob_index where {one.format('blob_sha256')} {order}", (digest, end, most)
            ).fetchall()
        return [IndexRow(*row) for row in rows], [BlobRow(*row) for row in bodies]

    def blobs(self, asset: str, part: str) -> list[BlobRow]:
        """Blobs that one materialization received, oldest first."""
        with self._database.connection() as connection:
            rows = connection.execute(
                f"select {_BLOB_COLUMNS} from blob_index where asset = ? and part = ? order by seq",
                (asset, part),
            ).fetchall()
        return [BlobRow(*row) for row in rows]

    def _select(self, where: str, values: tuple[str, ...]) -> list[IndexRow]:
        query = (
            f"select {_COLUMNS} from (select *, row_number() over (partition by asset, part order by seq desc) as n"
            f" from lake_index where {where}) where n = 1 order by asset, part"
        )
        with self._database.connection() as connection:
            return [IndexRow(*row) for row in connection.execute(query, values).fetchall()]
