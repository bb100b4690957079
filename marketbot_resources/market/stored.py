"""The market as the home's own stored bodies tell it, for the paper broker beside web services: nothing is asked twice.

Bodies are read anew by their parsers, so the broker shares bytes with the decision and no rows. Of a bar that was received several
times the first one counts. Not here: what the broker makes of it (`broker.provider_market`).
"""

import datetime as dt
import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

import pyarrow as pa
import pyarrow.compute as pc

from marketbot_resources.errors import ProviderError
from marketbot_resources.imports.forms import FORMS, INSTANT, KNOWN_AT
from marketbot_resources.provider import Body, Delivery, whole
from marketbot_resources.rows import PARQUET, arrow_rows
from marketbot_resources.store.index import STATIC, IndexRow
from marketbot_resources.store.scratch import FRAME_BYTES, kept_table

if TYPE_CHECKING:
    from marketbot_resources.store.lake import Lake

NAME = "stored"
_ASSETS = {
    "instruments": ("raw_instruments", "instrument_history"),
    "prices": ("raw_prices", "price_history"),
    "corporate_actions": ("raw_corporate_actions", "corporate_action_history"),
    "fx": ("raw_fx", "fx_history"),
}

READ_BYTES, TABLE_BYTES = 64 << 20, 4 << 10  # what is kept of all bodies; what a table takes beside its cells


class _Shelf:
    """Rows that were read, the newest used up to a number of bytes; a large table lies in a file and takes none of them."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max, self._bytes = bytes_max, 0
        self._tables: OrderedDict[tuple[str, str], tuple[pa.Table, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[str, str], make: Callable[[], pa.Table]) -> pa.Table:
        """The rows of a key that names all their bytes by hash. What `make` raises is not kept."""
        with self._lock:
            found = self._tables.get(key)
            if found is not None:
                self._tables.move_to_end(key)
                return found[0]
        table = make().combine_chunks()
        size = TABLE_BYTES + (0 if table.nbytes >= FRAME_BYTES else table.nbytes)
        table = kept_table(table)
        with self._lock:
            self._bytes += size - self._tables.pop(key, (table, 0))[1]
            self._tables[key] = (table, size)
            while self._bytes > self._bytes_max:
                self._bytes -= self._tables.popitem(last=False)[1][1]
        return table


_READ = _Shelf(READ_BYTES)  # of this process: each broker that is opened has a market of its own


class StoredMarket:
    """Listings, bars, actions and rates that this home has received."""

    def __init__(self, lake: "Lake") -> None:
        self._lake = lake

    def instruments(self, as_of: dt.datetime) -> Delivery:
        """Every listing that was ever described, each as last received: one that no vendor described today is still held."""
        parts = [self._rows("instruments", row) for row in self._stored("instruments")]
        if not parts:
            raise ProviderError(
                "stored market: expected listings in the store, found none; run the session's data first"
            )
        newest: dict[str, tuple[int, int]] = {}
        for n, part in enumerate(parts):
            newest |= {name: (n, place) for place, name in enumerate(part["source_id"].to_pylist())}
        kept = [parts[n].slice(place, 1) for _, (n, place) in sorted(newest.items())]
        return _delivery("instruments", pa.concat_tables(kept))

    def prices(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Bars known in the window, each as first received."""
        return self._window("prices", since, until)

    def corporate_actions(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Events known in the window, each as first received."""
        return self._window("corporate_actions", since, until)

    def fx(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Rates known in the window."""
        return self._window("fx", since, until)

    def probe(self, mic: str) -> "StoredMarket":
        """Itself."""
        return self

    def _window(self, kind: str, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        parts = [self._rows(kind, row) for row in self._stored(kind)]
        rows = pa.concat_tables(parts) if parts else pa.schema(list(FORMS[kind].types.items())).empty_table()
        inside = pc.less_equal(rows[KNOWN_AT], pa.scalar(until, INSTANT))
        if since is not None:
            inside = pc.and_(inside, pc.greater(rows[KNOWN_AT], pa.scalar(since, INSTANT)))
        return _delivery(kind, _first_known(rows.filter(inside), FORMS[kind].key))

    def _stored(self, kind: str) -> list[IndexRow]:
        """The versions that hold rows of a kind, oldest session first."""
        daily, history = _ASSETS[kind]
        first = self._lake.index.newest(history, STATIC)
        return [*([first] if first else []), *self._lake.index.up_to(daily, "9999")]

    def _rows(self, kind: str, row: IndexRow) -> pa.Table:
        """The rows in the bodies of one stored version, which its manifest names by hash: read once in a process."""
        return _READ.get((kind, row.manifest_sha256), lambda: self._read(kind, row))

    def _read(self, kind: str, row: IndexRow) -> pa.Table:
        types = FORMS[kind].types
        parts = []
        for used in cast("Sequence[Mapping[str, object]]", self._lake.manifest(row)["received"]):
            content = self._lake.objects.get_blob(str(used["blob_sha256"]))
            asked = cast("Mapping[str, str]", used["asked"])
            where = f"{row.asset} {row.part}"
            parts.append(arrow_rows(content, types, (), parser=str(used["parser"]), asked=asked, where=where))
        return pa.concat_tables(parts)


def _first_known(rows: pa.Table, key: Sequence[str]) -> pa.Table:
    """One row per key: that with the earliest known_at."""
    ordered = rows.sort_by([*((name, "ascending") for name in key), (KNOWN_AT, "ascending")]).combine_chunks()
    if ordered.num_rows < 2:
        return ordered
    same = pa.array([True] * (ordered.num_rows - 1))
    for name in key:
        column = ordered[name].combine_chunks()
        same = pc.and_(same, pc.equal(column.slice(1), column.slice(0, len(column) - 1)))
    return ordered.filter(pa.concat_arrays([pa.array([True]), pc.invert(pc.fill_null(same, False))]))


def _delivery(kind: str, rows: pa.Table) -> Delivery:
    from pyarrow import parquet

    sink = io.BytesIO()
    parquet.write_table(rows, sink, compression="lz4")
    return whole(Body(NAME, f"{NAME}://{kind}", "application/vnd.apache.parquet", 200, sink.getvalue(), PARQUET))
