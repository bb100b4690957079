"""Bodies as received become rows of a raw table, strictly: what is not what the parser expects is refused, not repaired. Pure.

A missing number stays missing (NaN), for quality rules to judge. How a body is read is `marketbot_resources.rows`' business.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from marketbot_assets.ingestion import schema
from marketbot_resources.rows import CSV, arrow_parts, arrow_rows
from marketbot_resources.store.table import Table

if TYPE_CHECKING:
    import pyarrow as pa

ADDED = ("source", "blob_sha256")
_NOTHING_ASKED: Mapping[str, str] = {}


def parse(
    table: Table,
    body: bytes | memoryview,
    *,
    source: str,
    blob_sha256: str,
    parser: str = CSV,
    asked: Mapping[str, str] = _NOTHING_ASKED,
) -> pd.DataFrame:
    """Rows of one body in the columns of a raw table. Raises ProviderError with what was expected and found."""
    types, required, where = _asked_of(table, source)
    rows = arrow_rows(body, types, required, parser=parser, asked=asked, where=where)
    return _framed(table, rows, source, blob_sha256)


def parse_in_parts(
    table: Table,
    body: bytes | memoryview,
    *,
    source: str,
    blob_sha256: str,
    parser: str = CSV,
    asked: Mapping[str, str] = _NOTHING_ASKED,
) -> Iterator[pd.DataFrame]:
    """What `parse` gives in parts, so that memory holds one of them; at least one part."""
    types, required, where = _asked_of(table, source)
    for rows in arrow_parts(body, types, required, parser=parser, asked=asked, where=where):
        yield _framed(table, rows, source, blob_sha256)


def _asked_of(table: Table, source: str) -> "tuple[dict[str, pa.DataType], set[str], str]":
    """What is served in which type, which of it is never empty, and how a message begins."""
    served = [column for column in table.columns if column.name not in ADDED]
    types = {column.name: table.arrow_schema.field(column.name).type for column in served}
    return types, {column.name for column in served if not column.nullable}, f"{table.asset} from {source}"


def _framed(table: Table, rows: "pa.Table", source: str, blob_sha256: str) -> pd.DataFrame:
    frame: pd.DataFrame = rows.to_pandas(date_as_object=False)
    frame["source"], frame["blob_sha256"] = source, blob_sha256
    return frame[[column.name for column in table.columns]]


def no_rows(raw: str) -> pd.DataFrame:
    """A raw table of which nobody was asked anything: no subject is covered by a provider."""
    (table,) = (one for one in schema.TABLES if one.asset == raw)
    frame: pd.DataFrame = table.arrow_schema.empty_table().to_pandas(date_as_object=False)
    return frame


PARSERS: dict[str, Callable[..., pd.DataFrame]] = {
    table.asset: partial(parse, table)
    for table in (*schema.TABLES, schema.RAW_QUOTES)
    if table.asset.startswith("raw_")
}
