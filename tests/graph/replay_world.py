"""What someone with access to a home can do to one version: change a cell or a byte in place, forge a version, lose one.

Not here: any statement about the product.
"""

import datetime as dt
import gzip
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from graph_world import Home

from marketbot_assets.replay import tables
from marketbot_resources.store.content import WRITE_OPTIONS, content_sha256, decode, encode, sha256, to_frame
from marketbot_resources.store.index import STATIC, IndexRow, Origin, Read
from marketbot_resources.store.lake import manifest_key
from marketbot_resources.store.objects import blob_key
from marketbot_resources.store.reader import UNPARTITIONED

Attack = Callable[[Home, str, str], None]
MADE_UP: dict[str, Any] = {
    "string": "x",
    "double": 1.0,
    "bool": False,
    "date32[day]": dt.date(2018, 12, 13),
    "timestamp[us, tz=UTC]": dt.datetime(2018, 12, 13, 21, tzinfo=dt.UTC),
}


def newest(home: Home, asset: str, part: str) -> IndexRow:
    row = home.lake.index.newest(asset, STATIC if asset in UNPARTITIONED else part)
    assert row is not None, f"{asset} {part}"
    return row


def stored(home: Home, row: IndexRow) -> Path:
    return home.path / "store" / row.uri


def write(path: Path, data: bytes) -> None:
    """Over what is there, under its old name."""
    path.chmod(0o644)
    path.write_bytes(data)


def one_cell_changed(table: pa.Table) -> pa.Table:
    """The first float that is known is a thousandth larger; without one the first text of a column out of the key says `x`."""
    for place, field in enumerate(table.schema):
        values = table[field.name].to_pylist()
        known = next(
            (n for n, value in enumerate(values) if isinstance(value, float) and value == value and value), None
        )
        if known is not None:
            values[known] *= 1.001
            return table.set_column(place, field, pa.chunked_array([pa.array(values, field.type)]))
    place = next(n for n, field in reversed(list(enumerate(table.schema))) if pa.types.is_string(field.type))
    values = ["x", *table.column(place).to_pylist()[1:]]
    return table.set_column(place, table.schema.field(place), pa.chunked_array([pa.array(values, pa.string())]))


def one_row_more(table: pa.Table) -> pa.Table:
    """A row that was made up."""
    row = {field.name: MADE_UP[str(field.type)] for field in table.schema}
    return pa.concat_tables([table, pa.Table.from_pylist([row], schema=table.schema)])


def forged(home: Home, row: IndexRow) -> pa.Table:
    table = decode(stored(home, row).read_bytes(), None)
    return one_cell_changed(table) if table.num_rows else one_row_more(table)


def cell(home: Home, asset: str, part: str) -> None:
    """One cell of the object changed, the file under its old name."""
    row = newest(home, asset, part)
    sink = pa.BufferOutputStream()
    pq.write_table(forged(home, row), sink, **WRITE_OPTIONS)
    write(stored(home, row), sink.getvalue().to_pybytes())


def body(home: Home, asset: str, part: str) -> None:
    """One byte of the body as received changed."""
    (name,) = home.lake.manifest(newest(home, asset, part))["blobs"]  # type: ignore[misc]
    path = home.path / "store" / blob_key(str(name))
    data = bytearray(gzip.decompress(path.read_bytes()))
    data[len(data) // 2] ^= 1
    write(path, gzip.compress(bytes(data)))


def manifest(home: Home, asset: str, part: str) -> None:
    """The manifest names one input less."""
    row = newest(home, asset, part)
    path = home.path / "store" / manifest_key(asset, row.part, row.manifest_sha256)
    told = json.loads(path.read_bytes())
    write(path, json.dumps({**told, "inputs": told["inputs"][1:]}, sort_keys=True, separators=(",", ":")).encode())


def lost_object(home: Home, asset: str, part: str) -> None:
    """The object is gone."""
    stored(home, newest(home, asset, part)).unlink()


def unguarded(home: Home) -> sqlite3.Connection:
    """The index without its triggers."""
    connection = sqlite3.connect(home.path / "index.sqlite")
    for trigger in ("lake_index_keeps", "lake_index_stays"):
        connection.execute(f"drop trigger {trigger}")
    return connection


def index_row(home: Home, asset: str, part: str) -> None:
    """Another object under its own right name, and the index row says that this was it all along."""
    row = newest(home, asset, part)
    table = forged(home, row)
    data = encode(table)
    uri = f"{asset}/{row.part}/{sha256(data)}.parquet"
    (home.path / "store" / uri).write_bytes(data)
    with unguarded(home) as connection:
        connection.execute(
            "update lake_index set file_sha256 = ?, content_sha256 = ?, uri = ? where manifest_sha256 = ?",
            (sha256(data), content_sha256(table), uri, row.manifest_sha256),
        )
    connection.close()


def lost_row(home: Home, asset: str, part: str) -> None:
    """The index row is gone."""
    name = newest(home, asset, part).manifest_sha256
    with unguarded(home) as connection:
        connection.execute("delete from lake_index where manifest_sha256 = ?", (name,))
    connection.close()


def lost(home: Home, asset: str, part: str) -> None:
    """Index row, manifest and object are gone."""
    row = newest(home, asset, part)
    lost_object(home, asset, part)
    lost_row(home, asset, part)
    (home.path / "store" / manifest_key(asset, row.part, row.manifest_sha256)).unlink()


def version(home: Home, asset: str, part: str) -> None:
    """A consistent new version: other values, an object, a manifest with the true inputs, an index row."""
    lake, row = home.lake, newest(home, asset, part)
    told = lake.manifest(row)
    reads = [Read(*(i[n] for n in _READ)) for i in told["inputs"]]  # type: ignore[union-attr, index, call-overload, arg-type]
    origin = Origin(row.run_id, row.code_version, row.written_at, {})
    frame = to_frame(forged(home, row))
    lake.commit(frame, tables()[asset], row.part, reads=reads, blobs=told["blobs"], origin=origin)  # type: ignore[arg-type]


_READ = ("asset", "partition", "file_sha256", "content_sha256", "manifest_sha256")
