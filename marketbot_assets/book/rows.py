"""Rows become a frame that fits its table, typed as the store's reader returns it. Not here: the tables (`schema`)."""

from collections.abc import Mapping, Sequence

import pandas as pd

from marketbot_resources.store.table import Table

_DTYPES = {
    "text": "str",
    "number": "float64",
    "integer": "int64",
    "flag": "bool",
    "date": "datetime64[ms]",
    "instant": "datetime64[us, UTC]",
    "decimal": "object",
}


def rows_frame(table: Table, rows: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    """The rows in the table's columns, sorted by its key. A missing cell raises KeyError."""
    ordered = sorted(rows, key=lambda row: tuple(str(row[name]) for name in table.key))
    columns = {
        column.name: pd.Series([row[column.name] for row in ordered], dtype=_DTYPES[column.kind])
        for column in table.columns
    }
    return pd.DataFrame(columns)
