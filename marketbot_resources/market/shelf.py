"""Rows that a sample provider serves by the time at which they became knowable, as CSV bodies. Not here: the rows."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable
from typing import TYPE_CHECKING

from marketbot_resources.model import utc_text
from marketbot_resources.provider import Body

if TYPE_CHECKING:
    import pyarrow as pa

PART_ROWS = 1 << 16
Transform = Callable[[str, bytes], bytes]


class Shelf:
    """One table sorted by `known_at`. Slicing is a binary search."""

    def __init__(self, kind: str, table: pa.Table) -> None:
        self.kind = kind
        order = [("known_at", "ascending"), *((name, "ascending") for name in table.column_names if name != "known_at")]
        self._table = table.sort_by(order).combine_chunks()
        self._known = self._table["known_at"].cast("int64").to_numpy()

    def body(self, since: dt.datetime | None, until: dt.datetime, transform: Transform | None = None) -> Body:
        """Rows with since < known_at <= until as a CSV body."""
        first = 0 if since is None else int(self._known.searchsorted(_micros(since), side="right"))
        last = int(self._known.searchsorted(_micros(until), side="right"))
        content = csv_bytes(self._table.slice(first, max(0, last - first)))
        url = f"sample://{self.kind}?since={utc_text(since) if since else ''}&until={utc_text(until)}"
        return Body("sample", url, "text/csv", 200, transform(self.kind, content) if transform else content)


def csv_bytes(table: pa.Table) -> bytes:
    """A table as CSV: header always, text quoted where needed, floats in their shortest exact form."""
    import pyarrow as pa
    from pyarrow import csv

    plain = [pa.string() if pa.types.is_dictionary(field.type) else field.type for field in table.schema]
    schema, sink = pa.schema(zip(table.column_names, plain, strict=True)), io.BytesIO()
    with csv.CSVWriter(
        sink, schema, write_options=csv.WriteOptions(include_header=True, quoting_style="needed")
    ) as rows:
        for begin in range(0, table.num_rows, PART_ROWS):  # a history as plain text beside its table is large
            rows.write_table(table.slice(begin, PART_ROWS).cast(schema))
    return sink.getvalue()


def _micros(at: dt.datetime) -> int:
    return int(at.timestamp() * 1_000_000)
