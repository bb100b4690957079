"""Delta tables over the store's objects, for engines that read Delta (Spark, Trino, Athena, DuckDB, polars). Extra `delta`.

One table per asset; its files are the store's Parquet objects, byte for byte, under their own names, copied (or linked) to a place
beside the store, which is read and never written. The newest version of each partition counts; what it replaced stays on the disk
and in the table's history. Two columns come from the table's log: the partition's key, and the hash of the object a row is from.
Not here: which assets, and what a home knows of its sessions (`marketbot_assets.commands.publish`).
"""

import datetime as dt
import importlib.util
import io
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketbot_resources import settings
from marketbot_resources.errors import HomeError, StoreError, UsageError
from marketbot_resources.store.objects import LocalObjects
from marketbot_resources.store.port import Objects

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable, Schema
    from deltalake.transaction import AddAction

KEY, OBJECT = "partition_key", "object_sha256"
APPLICATION = "marketbot"
CONFIGURATION = {
    "delta.enableExpiredLogCleanup": "false",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
    "delta.logRetentionDuration": "interval 36500 days",
}
_FILE = re.compile(r"([^/]+)/([0-9a-f]{64})\.parquet")


@dataclass(frozen=True, slots=True)
class Piece:
    """One object to publish: its partition, hash, rows, and the instant at which it was stored (RFC 3339; empty: not known)."""

    part: str
    file_sha256: str
    rows: int
    written_at: str

    @property
    def path(self) -> str:
        """Where it lies below its table."""
        return f"{self.part}/{self.file_sha256}.parquet"


@dataclass(frozen=True, slots=True)
class Published:
    """What one publication did to one table. `version`: the table's newest in its own counting."""

    table: str
    version: int
    added: int
    replaced: int
    columns: tuple[str, ...]


class Place:
    """A folder, or s3://bucket/prefix, in which each table is a folder. `link`: where files are put as hard links from."""

    def __init__(self, objects: Objects, root: str, options: Mapping[str, str], link: Path | None = None) -> None:
        self.objects, self.root, self.options, self._link = objects, root, dict(options), link

    def publish(
        self,
        name: str,
        pieces: Sequence[Piece],
        fetch: Callable[[Piece], bytes],
        *,
        home: str,
        number: int,
        about: str = "",
        comments: Mapping[str, str] | None = None,
    ) -> Published:
        """Brings a table to exactly these pieces, one per partition, in one commit; nothing when it has them already.

        `home` names whose table it is, `number` grows with what the home knows. Raises StoreError when the table is another home's,
        newer than this one, has files that no publication put there, or has a column of another type.
        """
        table = self._open(name)
        held = self._held(name, table, home, number)
        wanted = {piece.part: piece for piece in pieces}
        foreign = sorted(set(held) - set(wanted))
        if foreign:
            raise StoreError(f"{self.root}/{name}: partition {foreign[0]} is not this home's; publish to another place")
        new = [piece for piece in pieces if held.get(piece.part) != piece.path]
        if table is not None and not new:
            return Published(name, table.version(), 0, 0, ())
        sizes, columns = [], list["pa.Schema"]()
        for piece in new:
            size, found = self._put(name, piece, fetch(piece))
            sizes.append(size)
            if found not in columns:
                columns.append(found)
        schema, added = _joined(name, table, columns, comments or {})
        replaced = [(piece.part, held[piece.part], piece) for piece in new if piece.part in held]
        adds = [_added(piece, size) for piece, size in zip(new, sizes, strict=True)]
        self._commit(name, table, schema, adds, replaced, home=home, number=number, about=about)
        done = self._open(name)
        assert done is not None, "it was just written"
        return Published(name, done.version(), len(new), len(replaced), added if table is not None else ())

    def _open(self, name: str) -> "DeltaTable | None":
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        try:
            return DeltaTable(self._uri(name), storage_options=self.options or None)
        except TableNotFoundError:
            return None
        except (DeltaError, OSError) as error:
            raise HomeError(f"publish: expected to read {self._uri(name)}, found: {_line(error)}") from error

    def _uri(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _held(self, name: str, table: "DeltaTable | None", home: str, number: int) -> dict[str, str]:
        """Partition -> file of a table that is ours."""
        if table is None:
            return {}
        where, last = self._uri(name), table.transaction_version(_application(home))
        if last is None:
            raise StoreError(f"{where}: expected a table of this home, found one of another; publish to another place")
        if last > number:
            raise StoreError(
                f"{where}: expected nothing newer than this home, found a publication of {last} entries for {number} here; "
                "a restored home publishes to another place"
            )
        held: dict[str, str] = {}
        for path in _paths(table):
            found = _FILE.fullmatch(path)
            if found is None or found[1] in held:
                raise StoreError(f"{where}: {path[:80]} was put there by something else; publish to another place")
            held[found[1]] = path
        return held

    def _put(self, name: str, piece: Piece, data: bytes) -> "tuple[int, pa.Schema]":
        """Bytes and columns of a file that is there now."""
        import pyarrow.parquet as pq

        key = f"{name}/{piece.path}"
        if self._link is not None and isinstance(self.objects, LocalObjects):
            _linked(self._link / key, self.objects.root / key)
        else:
            self.objects.put(key, data)
        return len(data), pq.read_schema(io.BytesIO(data)).remove_metadata()

    def _commit(
        self,
        name: str,
        table: "DeltaTable | None",
        schema: "Schema",
        adds: "Sequence[AddAction]",
        replaced: Sequence[tuple[str, str, Piece]],
        *,
        home: str,
        number: int,
        about: str,
    ) -> None:
        from deltalake import CommitProperties, Transaction
        from deltalake.exceptions import DeltaError
        from deltalake.transaction import RemoveAction, create_table_with_add_actions

        removes = [
            RemoveAction(
                old,
                True,
                _milliseconds(piece.written_at),
                partition_values={KEY: part, OBJECT: old.rpartition("/")[2].removesuffix(".parquet")},
            )
            for part, old, piece in replaced
        ]
        properties = CommitProperties(app_transactions=[Transaction(_application(home), number)])
        try:
            if table is None:
                create_table_with_add_actions(
                    self._uri(name),
                    schema,
                    list(adds),
                    partition_by=[KEY, OBJECT],
                    name=name,
                    description=about,
                    configuration=CONFIGURATION,
                    storage_options=self.options or None,
                    commit_properties=properties,
                )
            else:
                table.create_write_transaction(
                    [*adds, *removes], "append", schema, [KEY, OBJECT], commit_properties=properties
                )
        except (DeltaError, OSError) as error:
            raise HomeError(
                f"publish: expected to add {len(adds)} files to {self._uri(name)}, found: {_line(error)}; "
                "nothing of it is visible: give the same command again"
            ) from error


def open_target(address: str, store: Objects, *, link: bool = False) -> Place:
    """The place of an address: s3://bucket/prefix, or a folder. Raises UsageError when it is the store, holds it or lies in it."""
    if importlib.util.find_spec("deltalake") is None:
        raise UsageError(
            "publish: expected the library deltalake, found none; install the extra delta: marketbot[delta]"
        )
    if address.startswith("s3://"):
        from marketbot_resources.store.opening import open_place

        if link:
            raise UsageError(f"--link: expected a folder on the store's own disk, found {address}")
        objects = open_place(address, settings.home()).at_source()
        _apart(objects.name + "/", store.name + "/")
        return Place(objects, objects.name, bucket_options())
    root = Path(address).resolve()
    _apart(f"{root}/", f"{Path(store.name).resolve()}/" if isinstance(store, LocalObjects) else store.name + "/")
    if link and not isinstance(store, LocalObjects):
        raise UsageError(f"--link: expected the store on this disk, found {store.name}")
    return Place(LocalObjects(root), str(root), {}, store.root if link and isinstance(store, LocalObjects) else None)


def bucket_options() -> dict[str, str]:
    """The door of a bucket as boto3 finds it, for the library's own client: endpoint, region and credentials."""
    import boto3

    session = boto3.session.Session()
    given, found = session.get_credentials(), dict[str, str]()
    if given is not None:
        keys = given.get_frozen_credentials()
        named = {
            "AWS_ACCESS_KEY_ID": keys.access_key,
            "AWS_SECRET_ACCESS_KEY": keys.secret_key,
            "AWS_SESSION_TOKEN": keys.token,
        }
        found |= {name: value for name, value in named.items() if value}
    endpoint = settings.variable("AWS_ENDPOINT_URL_S3") or settings.variable("AWS_ENDPOINT_URL")
    if endpoint is not None:
        found |= {"AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": str(endpoint.startswith("http://")).lower()}
    return {**found, "AWS_REGION": session.region_name or "us-east-1", "aws_conditional_put": "etag"}


def _apart(place: str, store: str) -> None:
    if place.startswith(store) or store.startswith(place):
        raise UsageError(f"--to: expected a place beside the store {store}, found {place}")


def _paths(table: "DeltaTable") -> list[str]:
    import pyarrow as pa

    return [str(path) for path in pa.table(table.get_add_actions(flatten=True))["path"].to_pylist()]


def _linked(source: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            os.link(source, target)
    except OSError as error:
        raise HomeError(
            f"--link: expected to link {source} as {target}, found: {error.strerror}; leave --link out"
        ) from error


def _joined(
    name: str, table: "DeltaTable | None", files: "Sequence[pa.Schema]", comments: Mapping[str, str]
) -> "tuple[Schema, tuple[str, ...]]":
    """(the table's columns with those of the files behind them, every one nullable; names of the columns that a table gained)."""
    from deltalake import Field, Schema
    from deltalake.schema import PrimitiveType

    known: dict[str, Any] = {} if table is None else {field.name: field for field in table.schema().fields}
    had = set(known)
    for columns in files:
        for found in Schema.from_arrow(columns).fields:
            field = Field(found.name, found.type, nullable=True, metadata=_comment(comments.get(found.name, "")))
            if known.setdefault(field.name, field).type != field.type:
                raise StoreError(
                    f"{name}: expected column {field.name} as {known[field.name].type}, found {field.type}; "
                    "a changed type is published to another place"
                )
    added = tuple(sorted(set(known) - had))
    for column, told in (
        (KEY, "the store's partition: the session"),
        (OBJECT, "SHA-256 of the object that holds the row"),
    ):
        known.setdefault(column, Field(column, PrimitiveType("string"), nullable=True, metadata=_comment(told)))
    if table is not None and added:
        table.alter.add_columns([known[column] for column in added])
    order = [column for column in known if column not in (KEY, OBJECT)]
    return Schema([known[column] for column in (*order, KEY, OBJECT)]), added


def _added(piece: Piece, size: int) -> "AddAction":
    from deltalake.transaction import AddAction

    values = {KEY: piece.part, OBJECT: piece.file_sha256}
    stored = _milliseconds(piece.written_at)
    return AddAction(piece.path, size, values, stored, True, json.dumps({"numRecords": piece.rows}))


def _comment(text: str) -> dict[str, Any]:
    return {"comment": text} if text else {}


def _application(home: str) -> str:
    """Under which name a home counts its publications in a table's log."""
    return f"{APPLICATION}-{home[:16] or 'no-book'}"


def _milliseconds(at: str) -> int:
    return int(dt.datetime.fromisoformat(at).timestamp() * 1000) if at else 0


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
