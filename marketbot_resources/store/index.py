"""The append-only index: which object is the newest for (asset, partition), and what each blob is. Rows and questions.

A crash leaves at most an object without a row, never a row without an object. Rows are never changed. Not here: where rows lie
(`index_sqlite`, `index_postgres`) and which of them a home has (`index_opening`).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from marketbot_resources.ledger.record import Json

STATIC, END_OF_TIME = "static", "9999-12-31"
LAKE, BLOBS = "lake_index", "blob_index"
COLUMNS = (
    "asset, part, file_sha256, content_sha256, uri, rows, bytes,"
    " schema_sha256, manifest_sha256, run_id, code_version, written_at"
)
BLOB_COLUMNS = "blob_sha256, provider, url, status, content_type, bytes, fetched_at, run_id, asset, part"


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


class Index(ABC):
    """The index of one home: one port, an adapter per kind of database. Raises HomeError when it cannot be used.

    Questions are SQL that both kinds read; keys of partitions are compared by their code points.
    """

    @abstractmethod
    def add_all(self, rows: Sequence[IndexRow]) -> None:
        """Appends versions in their order, all or none."""

    @abstractmethod
    def add_blobs(self, rows: Sequence[BlobRow]) -> None:
        """Appends descriptions of blobs in their order, all or none."""

    @abstractmethod
    def _rows(self, query: str, values: Sequence[str | int] = ()) -> list[tuple]:
        """The rows of a question, whose places for values are question marks."""

    @property
    @abstractmethod
    def where(self) -> str:
        """File, or database and host, for people."""

    @abstractmethod
    def close(self) -> None:
        """Closes the connection; the next use opens another."""

    def add(self, row: IndexRow) -> None:
        """Appends one version."""
        self.add_all([row])

    def newest(self, asset: str, part: str) -> IndexRow | None:
        """The newest version of one partition."""
        rows = self._select("asset = ? and part = ?", (asset, part))
        return rows[0] if rows else None

    def before(self, asset: str, part: str) -> IndexRow | None:
        """The newest version of the last partition before a key; None for the first."""
        where = "where asset = ? and part < ? order by part desc, seq desc limit 1"
        rows = self._rows(f"select {COLUMNS} from {LAKE} {where}", (asset, part))
        return IndexRow(*rows[0]) if rows else None

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
        where = f"where asset = ? and part = ? and {column} = ? order by seq desc limit 1"
        rows = self._rows(f"select {COLUMNS} from {LAKE} {where}", (asset, part, digest))
        return IndexRow(*rows[0]) if rows else None

    def restated(self, asset: str) -> list[tuple[int, IndexRow]]:
        """(number, version) of every version of the partitions that hold more than one content, by partition, oldest first."""
        several = f"select part from {LAKE} where asset = ? group by part having count(distinct content_sha256) > 1"
        where = f"where asset = ? and part in ({several}) order by part, seq"
        rows = self._rows(f"select seq, {COLUMNS} from {LAKE} {where}", (asset, asset))
        return [(row[0], IndexRow(*row[1:])) for row in rows]

    def numbered(self, after: int = 0) -> list[tuple[int, IndexRow]]:
        """(number, version) of every row with a number above `after`, ascending."""
        rows = self._rows(f"select seq, {COLUMNS} from {LAKE} where seq > ? order by seq", (after,))
        return [(row[0], IndexRow(*row[1:])) for row in rows]

    def numbered_blobs(self, after: int = 0) -> list[tuple[int, BlobRow]]:
        """(number, description of a blob) of every row with a number above `after`, ascending."""
        rows = self._rows(f"select seq, {BLOB_COLUMNS} from {BLOBS} where seq > ? order by seq", (after,))
        return [(row[0], BlobRow(*row[1:])) for row in rows]

    def size(self) -> int:
        """The newest number of a version; 0 when there is none."""
        return int(self._rows(f"select coalesce(max(seq), 0) from {LAKE}")[0][0])

    def named(self) -> int:
        """How many objects, manifests and bodies it names."""
        distinct = (("uri", LAKE), ("manifest_sha256", LAKE), ("blob_sha256", BLOBS))
        query = " + ".join(f"(select count(distinct {column}) from {table})" for column, table in distinct)
        return int(self._rows(f"select {query}")[0][0])

    def begins(self, digest: str, most: int) -> tuple[list[IndexRow], list[BlobRow]]:
        """The newest `most` versions and bodies of which a hash begins with these hex digits."""
        end = digest + "g"  # after every hex digit
        one = "{0} >= ? and {0} < ?"
        where = " or ".join(one.format(f"{kind}_sha256") for kind in ("file", "content", "manifest"))
        order = "order by seq desc limit ?"
        rows = self._rows(f"select {COLUMNS} from {LAKE} where {where} {order}", (*[digest, end] * 3, most))
        bodies = self._rows(
            f"select {BLOB_COLUMNS} from {BLOBS} where {one.format('blob_sha256')} {order}", (digest, end, most)
        )
        return [IndexRow(*row) for row in rows], [BlobRow(*row) for row in bodies]

    def blobs(self, asset: str, part: str) -> list[BlobRow]:
        """Blobs that one materialization received, oldest first."""
        query = f"select {BLOB_COLUMNS} from {BLOBS} where asset = ? and part = ? order by seq"
        return [BlobRow(*row) for row in self._rows(query, (asset, part))]

    def _select(self, where: str, values: tuple[str, ...]) -> list[IndexRow]:
        query = (
            f"select {COLUMNS} from (select *, row_number() over (partition by asset, part order by seq desc) as n"
            f" from {LAKE} where {where}) as ranked where n = 1 order by asset, part"
        )
        return [IndexRow(*row) for row in self._rows(query, values)]
