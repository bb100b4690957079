"""Bodies as received become Arrow tables, strictly: other columns, other types or empty cells are refused, nothing is repaired.

`csv/1` and `parquet/1` are the forms of whole-table providers; any other parser is a vendor's (`vendors`). Pure but for the import
of that vendor. Not here: which columns a raw table has (`marketbot_assets.ingestion.schema`).
"""

import codecs
import csv as csv_rows
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from marketbot_resources.errors import ProviderError
from marketbot_resources.provider import Body, Columns, Delivery

if TYPE_CHECKING:
    import pyarrow as pa

CSV, PARQUET = "csv/1", "parquet/1"
PIECE_BYTES, TEXT_BYTES, PART_ROWS = 1 << 20, 1 << 22, 1 << 15


def arrow_rows(
    content: bytes | memoryview,
    types: "Mapping[str, pa.DataType]",
    required: Collection[str],
    *,
    parser: str,
    asked: Mapping[str, str],
    where: str,
) -> "pa.Table":
    """Rows in the columns of `types`, in that order; a cell of a `required` column is never empty.

    `where` begins every message. Raises ProviderError with what was expected and found.
    """
    import pyarrow as pa

    if parser == CSV:
        table = pa.concat_tables(_csv(content, types, where))
    elif parser == PARQUET:
        table = _parquet(content, types, where)
    else:
        table = _vendor(content, types, parser, asked, where)
    return _filled(table, types, required, where)


def arrow_parts(
    content: bytes | memoryview,
    types: "Mapping[str, pa.DataType]",
    required: Collection[str],
    *,
    parser: str,
    asked: Mapping[str, str],
    where: str,
) -> "Iterator[pa.Table]":
    """The rows of `arrow_rows` in parts of a few tens of thousands; at least one part. A text is read as it is asked for."""
    if parser == CSV:
        for part in _csv(content, types, where):
            yield _filled(part, types, required, where)
        return
    table = arrow_rows(content, types, required, parser=parser, asked=asked, where=where)
    for begin in range(0, max(table.num_rows, 1), PART_ROWS):
        yield table.slice(begin, PART_ROWS)


def _filled(table: "pa.Table", types: "Mapping[str, pa.DataType]", required: Collection[str], where: str) -> "pa.Table":
    import pyarrow.compute as pc  # with every process that only names what is parsed it would cost 50 MiB

    for name in types:
        if name in required and pc.any(pc.is_null(table[name], nan_is_null=True)).as_py():
            raise ProviderError(f"{where}: expected a value in every row of {name}, found empty cells")
    return table


def _csv(content: bytes | memoryview, types: "Mapping[str, pa.DataType]", where: str) -> "Iterator[pa.Table]":
    import pyarrow as pa
    from pyarrow import csv

    header = next(iter(_utf8(content, where).splitlines()), "")
    _same_columns([cell.strip('"') for cell in header.split(",")], types, where)
    options = csv.ConvertOptions(
        column_types=dict(types),
        include_columns=list(types),
        null_values=[""],
        strings_can_be_null=False,
        true_values=["true"],
        false_values=["false"],
    )
    try:
        rows = csv.open_csv(
            pa.BufferReader(content), csv.ReadOptions(use_threads=False, block_size=TEXT_BYTES), convert_options=options
        )
        none = True
        for batch in rows:
            none = False
            yield pa.Table.from_batches([batch])
        if none:
            yield pa.schema(list(types.items())).empty_table()
    except pa.ArrowInvalid as error:
        raise ProviderError(f"{where}: expected well-formed rows, found: {error}") from error


def _utf8(content: bytes | memoryview, where: str) -> str:
    """The first piece of a text, all of which is looked at piece by piece: a history as one text needs as much memory again."""
    decoder, first = codecs.getincrementaldecoder("utf-8")(), ""
    try:
        for begin in range(0, max(len(content), 1), PIECE_BYTES):
            piece = decoder.decode(content[begin : begin + PIECE_BYTES], final=begin + PIECE_BYTES >= len(content))
            first = first or piece
    except UnicodeDecodeError as error:
        raise ProviderError(f"{where}: expected UTF-8 text, found other bytes") from error
    return first


def _parquet(content: bytes | memoryview, types: "Mapping[str, pa.DataType]", where: str) -> "pa.Table":
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(pa.BufferReader(content))
    except (pa.ArrowInvalid, OSError) as error:
        raise ProviderError(f"{where}: expected a Parquet table, found: {' '.join(str(error).split())}") from error
    _same_columns(table.column_names, types, where)
    return _typed(table.select(list(types)), types, where)


def _vendor(
    content: bytes | memoryview, types: "Mapping[str, pa.DataType]", parser: str, asked: Mapping[str, str], where: str
) -> "pa.Table":
    import pyarrow as pa

    from marketbot_resources.vendors import parser_of

    columns = parser_of(parser)(bytes(content), asked)
    _same_columns(list(columns), types, where)
    try:
        arrays = {name: pa.array(list(columns[name]), type=kind, from_pandas=True) for name, kind in types.items()}
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, ValueError, TypeError) as error:
        raise ProviderError(
            f"{where}: expected typed rows of {parser}, found: {' '.join(str(error).split())}"
        ) from error
    return pa.table(arrays)


def _typed(table: "pa.Table", types: "Mapping[str, pa.DataType]", where: str) -> "pa.Table":
    import pyarrow as pa

    try:
        return table.cast(pa.schema(list(types.items())))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ProviderError(f"{where}: expected other types, found: {' '.join(str(error).split())}") from error


def _same_columns(found: list[str], types: "Mapping[str, pa.DataType]", where: str) -> None:
    if sorted(found) != sorted(types):
        raise ProviderError(f"{where}: expected columns {list(types)}, found {found}")


def cells(delivery: Delivery, names: Sequence[str]) -> Iterator[tuple[object, ...]]:
    """Some columns of every row, whatever else the bodies hold: for a quick look. Raises ProviderError when one is missing."""
    for body in delivery.bodies:
        if body.status != 200:
            raise ProviderError(f"{body.url}: expected status 200, found {body.status}")
        columns = _loose(body)
        missing = [name for name in names if name not in columns]
        if missing:
            raise ProviderError(f"{body.url}: expected columns {list(names)}, found none named {missing[0]}")
        yield from zip(*(columns[name] for name in names), strict=True)


def _loose(body: Body) -> Columns:
    if body.parser == CSV:
        reader = csv_rows.DictReader(io.StringIO(body.content.decode("utf-8", errors="replace")))
        rows = list(reader)
        return {name: [row[name] for row in rows] for name in reader.fieldnames or ()}
    if body.parser == PARQUET:
        from pyarrow import parquet

        return parquet.read_table(io.BytesIO(body.content)).to_pydict()
    from marketbot_resources.vendors import parser_of

    return parser_of(body.parser)(body.content, body.asked)
