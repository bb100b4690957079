"""The canonical form of a table and its two hashes. Pure.

`file_sha256` names the exact bytes and is the evidence; `content_sha256` covers the values alone, so that an upgrade of the
Parquet writer does not make everything downstream look changed (specs: the content hash is equal across pyarrow versions,
chunking, hidden values under nulls and -0.0, while NaN and null stay distinct). pyarrow and numpy are imported on first use: a
sensor opens the store at every tick and reads no table.
"""

import datetime as dt
import functools
import hashlib
import io
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from marketbot_resources.errors import StoreError
from marketbot_resources.store.table import Table

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    Keep = Callable[[Sequence[str], Callable[[str], pa.Table]], pa.Table]

WRITE_OPTIONS = {
    "compression": "zstd",
    "compression_level": 3,
    "version": "2.6",
    "data_page_version": "1.0",
    "use_dictionary": True,
    "write_statistics": True,
    "row_group_size": 122_880,
    "store_schema": False,
}


def sha256(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def _in_memory(names: Sequence[str], column: "Callable[[str], pa.Table]") -> "pa.Table":
    return functools.reduce(lambda left, right: left.append_column(right.schema[0], right[0]), map(column, names))


def _column(frame: "pd.DataFrame", table: Table, name: str) -> "pa.Table":
    """One column in the table's fixed type."""
    import pyarrow as pa

    schema = pa.schema([table.arrow_schema.field(name)])
    column = frame[[name]].reset_index(drop=True)
    return pa.Table.from_pandas(column, schema=schema, preserve_index=False, safe=True).replace_schema_metadata(None)


def canonical(frame: "pd.DataFrame", table: Table, keep: "Keep" = _in_memory) -> "pa.Table":
    """The frame cast to the table's fixed schema, sorted by its key, in one chunk.

    `keep` puts columns together that are made one after another, each a table of its own.

    Raises StoreError when columns are missing or extra, a value does not fit its type, or the key is not unique.
    """
    import pyarrow as pa

    found, expected = set(frame.columns), table.names
    if found != expected:
        missing, extra = sorted(expected - found), sorted(found - expected)
        raise StoreError(f"{table.asset}: expected its schema's columns, found missing {missing}, extra {extra}")
    try:
        raw = keep(table.arrow_schema.names, lambda name: _column(frame, table, name))
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, ValueError) as error:
        raise StoreError(f"{table.asset}: a value does not fit its column: {error}") from error
    if _ascends(raw, table.key):
        return raw
    ordered = raw.sort_by([(name, "ascending") for name in table.key]).combine_chunks()
    keys = ordered.select(list(table.key)).group_by(list(table.key)).aggregate([([], "count_all")])
    if keys.num_rows != ordered.num_rows:
        raise StoreError(
            f"{table.asset}: expected a unique key {table.key}, found {ordered.num_rows - keys.num_rows} duplicates"
        )
    return ordered


def _ascends(table: "pa.Table", key: Sequence[str]) -> bool:
    """Whether every row has a larger key than the one before, all in one chunk: then it is in order and no key repeats."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if table.num_rows < 2 or any(column.num_chunks != 1 for column in table.columns):
        return False
    rest, equal = table.num_rows - 1, pa.scalar(True)
    larger = pa.scalar(False)
    for name in key:
        before, after = table[name].slice(0, rest), table[name].slice(1)
        larger = pc.or_kleene(larger, pc.and_kleene(equal, pc.greater(after, before)))
        equal = pc.and_kleene(equal, pc.equal(after, before))
    return bool(pc.all(pc.fill_null(larger, False)).as_py())


def encode(table: "pa.Table") -> bytes:
    """The table as Parquet bytes with fixed options."""
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(table, sink, **WRITE_OPTIONS)
    return sink.getvalue()


def decode(data: bytes, schema: "pa.Schema | None") -> "pa.Table":
    """Parquet bytes back to a table, cast to the schema. pyarrow's `read_table` would load pandas: 50 MiB of every process."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(pa.BufferReader(data)) as file:
        table = file.read(use_threads=False)
    return table if schema is None else table.cast(schema)


def content_sha256(table: "pa.Table") -> str:
    """Hash of names, types and values, independent of library versions. Column order and row order count."""
    import pyarrow as pa

    top = hashlib.sha256()
    for field in table.schema:
        column = table[field.name].combine_chunks()
        array = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
        top.update(f"{field.name}:{_kind(field.type)}:{_column_sha256(array)}\n".encode())
    return top.hexdigest()


def _kind(kind: "pa.DataType") -> str:
    """Name of a type, the same before and after a round trip through Parquet, which renames the items of lists."""
    import pyarrow as pa

    if pa.types.is_list(kind):
        return f"list<item: {_kind(kind.value_type)}>"
    return "string" if pa.types.is_large_string(kind) else str(kind)


def _column_sha256(array: "pa.Array") -> str:
    import numpy as np
    import pyarrow.compute as pc

    digest = hashlib.sha256()
    valid = np.asarray(pc.is_valid(array).to_numpy(zero_copy_only=False), dtype=bool)
    digest.update(len(array).to_bytes(8, "little"))
    digest.update(np.packbits(valid).tobytes())
    for part in _value_parts(array):
        digest.update(part)
    return digest.hexdigest()


def _value_parts(array: "pa.Array") -> list[bytes]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc  # costs more at import than reading a table does

    kind = array.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_decimal(kind):
        text = pc.fill_null(array.cast(pa.string()).cast(pa.large_string()), "")
        _, ends, data = text.buffers()
        if not len(text):
            return [b"", b""]
        offsets = np.frombuffer(ends, dtype="<i8")[text.offset : text.offset + len(text) + 1]
        inside = b"" if data is None else memoryview(data)[offsets[0] : offsets[-1]]
        return [np.diff(offsets).astype("<i8").tobytes(), bytes(inside)]
    if pa.types.is_list(kind):
        lists = pc.fill_null(pc.list_value_length(array), 0)
        flat = pc.list_flatten(array)
        return [np.asarray(lists.to_numpy(zero_copy_only=False), dtype="<i8").tobytes(), *_value_parts(flat)]
    if pa.types.is_floating(kind):
        values = np.asarray(pc.fill_null(array, 0.0).to_numpy(zero_copy_only=False), dtype="<f8")
        return [(np.where(np.isnan(values), np.nan, values) + 0.0).tobytes()]
    if pa.types.is_boolean(kind):
        return [np.asarray(pc.fill_null(array, False).to_numpy(zero_copy_only=False), dtype="<i8").tobytes()]
    if pa.types.is_date32(kind):
        array = array.cast(pa.int32())
    values = pc.fill_null(array.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    return [np.asarray(values, dtype="<i8").tobytes()]


def to_records(table: "pa.Table") -> list[dict[str, object]]:
    """A stored table as rows: NaN for an unknown number, midnight without zone for a date, None for any other null."""
    import pyarrow as pa

    columns = {}
    for field in table.schema:
        values = table[field.name].to_pylist()
        if pa.types.is_floating(field.type):
            values = [math.nan if value is None else value for value in values]
        elif pa.types.is_date32(field.type):
            values = [None if value is None else dt.datetime.combine(value, dt.time()) for value in values]
        columns[field.name] = values
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def to_frame(table: "pa.Table") -> "pd.DataFrame":
    """A stored table as a frame: dates are datetime64 without zone, instants are UTC, decimals are Decimal objects."""
    frame: pd.DataFrame = table.to_pandas(date_as_object=False, use_threads=False)
    return frame
