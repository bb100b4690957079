"""Bodies as received become rows, strictly: what is not what the parser expects is refused, nothing is repaired. Pure.

The sample providers serve CSV. A missing number stays missing (NaN), for quality rules to judge.
"""

import io
from collections.abc import Callable
from functools import partial

import pandas as pd
import pyarrow as pa
from pyarrow import csv

from marketbot_assets.ingestion import schema
from marketbot_resources.errors import ProviderError
from marketbot_resources.store.table import Table

PARSER_VERSION = "1"
ADDED = ("source", "blob_sha256")


def parse(table: Table, body: bytes, *, source: str, blob_sha256: str) -> pd.DataFrame:
    """Rows of one CSV body in the columns of a raw table. Raises ProviderError with what was expected and found."""
    served = [column for column in table.columns if column.name not in ADDED]
    names = [column.name for column in served]
    types = {name: table.arrow_schema.field(name).type for name in names}
    try:
        header = next(iter(body.decode("utf-8").splitlines()), "")
    except UnicodeDecodeError as error:
        raise ProviderError(f"{table.asset}: expected UTF-8 text from {source}, found other bytes") from error
    found = [cell.strip('"') for cell in header.split(",")]
    if sorted(found) != sorted(names):
        raise ProviderError(f"{table.asset}: expected columns {names} from {source}, found {found}")
    options = csv.ConvertOptions(
        column_types=types,
        include_columns=names,
        null_values=[""],
        strings_can_be_null=False,
        true_values=["true"],
        false_values=["false"],
    )
    try:
        rows = csv.read_csv(io.BytesIO(body), convert_options=options)
    except pa.ArrowInvalid as error:
        raise ProviderError(f"{table.asset}: expected well-formed rows from {source}, found: {error}") from error
    frame: pd.DataFrame = rows.to_pandas(date_as_object=False)
    _refuse_missing(table, frame, source)
    frame["source"], frame["blob_sha256"] = source, blob_sha256
    return frame[[column.name for column in table.columns]]


def _refuse_missing(table: Table, frame: pd.DataFrame, source: str) -> None:
    for column in table.columns:
        if column.name not in ADDED and not column.nullable and bool(frame[column.name].isna().any()):
            raise ProviderError(
                f"{table.asset}: expected a value in every row of {column.name} from {source}, found empty cells"
            )


PARSERS: dict[str, Callable[..., pd.DataFrame]] = {
    table.asset: partial(parse, table) for table in schema.TABLES if table.asset.startswith("raw_")
}
