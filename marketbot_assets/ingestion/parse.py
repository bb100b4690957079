"""Bodies as received become rows of a raw table, strictly: what is not what the parser expects is refused, not repaired. Pure.

A missing number stays missing (NaN), for quality rules to judge. How a body is read is `marketbot_resources.rows`' business.
"""

from collections.abc import Callable, Mapping
from functools import partial

import pandas as pd

from marketbot_assets.ingestion import schema
from marketbot_resources.rows import CSV, arrow_rows
from marketbot_resources.store.table import Table

ADDED = ("source", "blob_sha256")
_NOTHING_ASKED: Mapping[str, str] = {}


def parse(
    table: Table,
    body: bytes,
    *,
    source: str,
    blob_sha256: str,
    parser: str = CSV,
    asked: Mapping[str, str] = _NOTHING_ASKED,
) -> pd.DataFrame:
    """Rows of one body in the columns of a raw table. Raises ProviderError with what was expected and found."""
    served = [column for column in table.columns if column.name not in ADDED]
    types = {column.name: table.arrow_schema.field(column.name).type for column in served}
    required = {column.name for column in served if not column.nullable}
    where = f"{table.asset} from {source}"
    rows = arrow_rows(body, types, required, parser=parser, asked=asked, where=where)
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
