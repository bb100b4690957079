"""Serves what users imported: rows whose `known_at` lies in the window, from the objects that the ledger names, as Parquet bodies.

Later imports come first: of two rows of one key the one imported last is served. What was imported after a session, with a known_at
before its cutoff, became knowable to us at the import: it is served once, with that instant, in the window in which it lies.
"""

import datetime as dt
import io
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from marketbot_resources.errors import SetupError
from marketbot_resources.imports.forms import FORMS, INSTANT, KNOWN_AT
from marketbot_resources.imports.keep import ENTRY, import_key
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.model import utc_text
from marketbot_resources.provider import Body, Delivery, Refusal
from marketbot_resources.rows import PARQUET
from marketbot_resources.store.port import Objects

NAME = "import"


@dataclass(frozen=True)
class _Object:
    """One imported object; `number` of its import, from 0."""

    number: int
    sha256: str
    first: dt.datetime
    last: dt.datetime
    imported_at: dt.datetime


class ImportProvider:
    """Listings, bars, actions, rates, series, figures and headlines as imported into one home."""

    def __init__(self, objects: Objects, ledger: Ledger) -> None:
        self._objects = objects
        self._ledger = ledger

    def instruments(self, as_of: dt.datetime) -> Delivery:
        """Listings known at the instant."""
        return self._serve("instruments", None, as_of, required=True)

    def prices(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Daily bars."""
        return self._serve("prices", since, until, required=True)

    def corporate_actions(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Corporate actions; none when none were imported."""
        return self._serve("corporate_actions", since, until)

    def fx(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Reference rates; none when none were imported."""
        return self._serve("fx", since, until)

    def series(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Macro observations."""
        return self._serve("macro", since, until)

    def filings(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Reported figures."""
        return self._serve("fundamentals", since, until)

    def headlines(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Headlines."""
        return self._serve("news", since, until)

    def probe(self, mic: str) -> "ImportProvider":
        """Itself: asking costs nothing."""
        return self

    def _serve(self, kind: str, since: dt.datetime | None, until: dt.datetime, *, required: bool = False) -> Delivery:
        known = self._of(kind)
        if required and not known:
            raise SetupError(
                f"the mandate asks for imported {kind}, found none in this home; run: marketbot import {kind} FILE"
            )
        bodies = []
        several = len({one.number for one in known}) > 1
        taken: pa.Table | None = None
        for one in known:
            if since is None and not several and one.last <= until:
                bodies.append(self._whole(one, kind, until))
                continue
            rows = self._rows(one, kind, since, until)
            if several:
                rows, taken = _without(rows, taken, kind)
            if rows.num_rows:
                bodies.append(_body(kind, rows, since, until, one.sha256))
        if not bodies:
            return Delivery((_body(kind, _empty(kind), since, until, ""),), refusals=() if known else (_nothing(kind),))
        return Delivery(tuple(bodies[::-1]))

    def _whole(self, one: _Object, kind: str, until: dt.datetime) -> Body:
        """An object that lies in the window as a whole, as it was stored."""
        data = self._objects.get(import_key(kind, one.sha256), one.sha256)
        url = f"import://{kind}/{one.sha256[:16]}?since=&until={utc_text(until)}"
        return Body(NAME, url, "application/vnd.apache.parquet", 200, data, PARQUET)

    def _of(self, kind: str) -> list[_Object]:
        found = []
        for number, entry in enumerate(self._ledger.entries(ENTRY)):
            if entry.body["kind"] == kind:
                at = dt.datetime.fromisoformat(str(entry.body["imported_at"]))
                listed = entry.body["objects"]
                assert isinstance(listed, list)
                for one in listed:
                    assert isinstance(one, dict)
                    first, last = (
                        dt.datetime.fromisoformat(str(one[name])) for name in ("first_known_at", "last_known_at")
                    )
                    found.append(_Object(number, str(one["sha256"]), first, last, at))
        return found[::-1]

    def _rows(self, one: _Object, kind: str, since: dt.datetime | None, until: dt.datetime) -> pa.Table:
        """Rows of one object in the window."""
        late = since is not None and since < one.imported_at <= until
        if one.first > until or (since is not None and one.last <= since and not late):
            return _empty(kind)
        data = self._objects.get(import_key(kind, one.sha256), one.sha256)
        file = parquet.ParquetFile(io.BytesIO(data))
        groups = [n for n in range(file.num_row_groups) if _may_hold(file, n, None if late else since, until)]
        rows = (
            file.read_row_groups(groups)
            .select(list(FORMS[kind].types))
            .cast(pa.schema(list(FORMS[kind].types.items())))
        )
        known = rows[KNOWN_AT]
        upto = pc.less_equal(known, pa.scalar(until, INSTANT))
        if since is None:
            return rows.filter(upto)
        fresh = pc.and_(upto, pc.greater(known, pa.scalar(since, INSTANT)))
        if not late:
            return rows.filter(fresh)
        wanted = rows.filter(upto)
        old = pc.less_equal(wanted[KNOWN_AT], pa.scalar(since, INSTANT))
        at = pc.if_else(old, pa.scalar(one.imported_at, INSTANT), wanted[KNOWN_AT])
        return wanted.set_column(wanted.column_names.index(KNOWN_AT), KNOWN_AT, at)


def _may_hold(file: parquet.ParquetFile, group: int, since: dt.datetime | None, until: dt.datetime) -> bool:
    """Whether a row group's statistics allow rows in the window."""
    place = file.schema_arrow.get_field_index(KNOWN_AT)
    stats = file.metadata.row_group(group).column(place).statistics
    if stats is None or not stats.has_min_max:
        return True
    low, high = (_utc(value) for value in (stats.min, stats.max))
    return bool(low <= until and (since is None or high > since))


def _utc(value: dt.datetime) -> dt.datetime:
    return value if value.tzinfo else value.replace(tzinfo=dt.UTC)


def _without(rows: pa.Table, taken: pa.Table | None, kind: str) -> tuple[pa.Table, pa.Table | None]:
    """(rows whose key was not served yet, all keys served so far)."""
    key = list(FORMS[kind].key)
    if not rows.num_rows:
        return rows, taken
    if taken is not None:
        rows = rows.join(taken, keys=key, join_type="left anti") if rows.num_rows else rows
        rows = rows.select(list(FORMS[kind].types)).sort_by([(KNOWN_AT, "ascending"), *((n, "ascending") for n in key)])
    keys = rows.select(key)
    return rows, keys if taken is None else pa.concat_tables([taken, keys])


def _empty(kind: str) -> pa.Table:
    return pa.schema(list(FORMS[kind].types.items())).empty_table()


def _nothing(kind: str) -> Refusal:
    return Refusal(NAME, "*", f"no {kind} were imported into this home")


def _body(kind: str, rows: pa.Table, since: dt.datetime | None, until: dt.datetime, digest: str) -> Body:
    sink = io.BytesIO()
    parquet.write_table(rows, sink, compression="zstd", compression_level=3, version="2.6", store_schema=False)
    window = f"since={utc_text(since) if since else ''}&until={utc_text(until)}"
    url = f"import://{kind}/{digest[:16]}?{window}"
    return Body(NAME, url, "application/vnd.apache.parquet", 200, sink.getvalue(), PARQUET)
