"""Listings as a file of prices shows them: one per exchange and ticker, listed on its first session. Pure.

Name and issuer are the ticker, the sector is the file's where it has one (the last of the file), the rest as `forms` fills it.
A listing is not known to have ended: that its bars stop is for the quality rules to say.
"""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from marketbot_resources.errors import UsageError
from marketbot_resources.imports.forms import DAY, TEXT
from marketbot_resources.imports.shape import Reading, typed

_KEY = ("mic", "ticker", "currency")
_MORE = ("name", "sector", "country", "kind", "issuer")


def listings_of(batches: Iterable[pa.Table], how: Reading) -> pa.Table:
    """One row per listing with the columns of an import of instruments, sorted by exchange and ticker."""
    found = []
    first_row = 1
    for batch in batches:
        columns = {}
        for name in (*_KEY, "session", *_MORE):
            values = _column(batch, how, name)
            if values is not None:
                columns[name] = typed(values, DAY if name == "session" else TEXT, name, first_row)
        missing = [name for name in (*_KEY, "session") if name not in columns]
        if missing:
            raise UsageError(
                f"import instruments: expected a column {missing[0]}, found {', '.join(batch.column_names)}"
            )
        first_row += batch.num_rows
        more = [(name, "last") for name in _MORE if name in columns]
        table = pa.table(columns)
        found.append(table.group_by(list(_KEY), use_threads=False).aggregate([("session", "min"), *more]))
    joined = pa.concat_tables(found, promote_options="default")
    described = [name for name in joined.column_names if name.endswith("_last")]
    whole = joined.group_by(list(_KEY), use_threads=False).aggregate(
        [("session_min", "min"), *((name, "last") for name in described)]
    )
    names = {"session_min_min": "listed_on", **{f"{name}_last": name.removesuffix("_last") for name in described}}
    renamed = whole.rename_columns([names.get(name, name) for name in whole.column_names])
    filled = [pc.fill_null(renamed[name], "") if name == "sector" else renamed[name] for name in renamed.column_names]
    return pa.table(dict(zip(renamed.column_names, filled, strict=True))).sort_by(
        [("mic", "ascending"), ("ticker", "ascending")]
    )


def _column(batch: pa.Table, how: Reading, name: str) -> pa.ChunkedArray | None:
    if name in how.constants:
        return pa.chunked_array([pa.repeat(how.constants[name], batch.num_rows)])
    lower = {theirs.strip().lower(): theirs for theirs in batch.column_names}
    found = how.columns.get(name) or lower.get(name)
    return None if found is None else batch[found]
