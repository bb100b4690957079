"""An import becomes evidence: rows by year of `known_at` as write-once Parquet objects, and one ledger entry that names them.

Rows are spread to one temporary file per year as they are read, then each year is sorted, checked and put: memory is bounded by
the largest year. Nothing is stored before every row was accepted. Not here: what a row must be (`shape`), serving (`provider`).
"""

import datetime as dt
import hashlib
import io
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from marketbot_resources.errors import UsageError
from marketbot_resources.imports.files import batches
from marketbot_resources.imports.forms import FORMS, KNOWN_AT, Form
from marketbot_resources.imports.shape import Reading, shape
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Json
from marketbot_resources.model import utc_text
from marketbot_resources.store.content import sha256
from marketbot_resources.store.port import Objects

ENTRY = "data_import"
ROW_GROUP = 65_536
_HASH_BLOCK = 1 << 20


@dataclass(frozen=True)
class Kept:
    """What an import added. `seq`: its ledger entry; `added`: false when the same import was there before."""

    seq: int
    added: bool
    rows: int
    closed: int
    repeated: int
    contradicting: int
    objects: tuple[Mapping[str, Json], ...]


@dataclass
class Spread:
    """Temporary files, one per year of `known_at`."""

    folder: Path
    form: Form
    writers: dict[int, parquet.ParquetWriter] = field(default_factory=dict)

    def add(self, rows: pa.Table) -> None:
        years = pc.year(rows[KNOWN_AT]).combine_chunks()
        for year in sorted(pc.unique(years).to_pylist()):
            if year not in self.writers:
                self.writers[year] = parquet.ParquetWriter(
                    self.folder / f"{year}.parquet", rows.schema, compression="lz4"
                )
            self.writers[year].write_table(rows.filter(pc.equal(years, year)))

    def years(self) -> Iterator[tuple[int, pa.Table]]:
        for writer in self.writers.values():
            writer.close()
        for year in sorted(self.writers):
            yield year, parquet.read_table(self.folder / f"{year}.parquet")


def import_file(
    path: Path,
    kind: str,
    how: Reading,
    *,
    objects: Objects,
    ledger: Ledger,
    at: dt.datetime,
    table: str | None = None,
    rows: pa.Table | None = None,
) -> Kept:
    """Reads, checks, keeps a file, or `rows` made from it. Raises UsageError in one line; then nothing was stored."""
    if kind not in FORMS:
        raise UsageError(f"import: expected one of {', '.join(FORMS)}, found {kind!r}")
    form, closed, first_row = FORMS[kind], 0, 1
    with tempfile.TemporaryDirectory(prefix="import-") as folder:
        spread = Spread(Path(folder), form)
        for batch in batches(path, table) if rows is None else (rows,):
            shaped = shape(batch, form, how, first_row)
            first_row += batch.num_rows
            closed += shaped.closed
            if shaped.rows.num_rows:
                spread.add(shaped.rows)
        if not spread.writers:
            raise UsageError(f"import {kind}: expected rows in {path.name}, found none")
        packed, repeated, torn = _packed(spread, form, how)
    described = [_put(objects, kind, *one) for one in packed]
    count = sum(one[2] for one in packed)
    told: dict[str, Json] = {
        "kind": kind,
        "file": path.name,
        "file_sha256": _file_sha256(path),
        "columns": dict(how.columns),
        "constants": dict(how.constants),
        "rows": count,
        "closed_days_dropped": closed,
        "repeated_rows_dropped": repeated,
        "contradicting_rows_dropped": torn,
        "objects": [dict(one) for one in described],
    }
    return _entered(ledger, kind, told, at, Kept(0, True, count, closed, repeated, torn, tuple(described)))


def _packed(spread: Spread, form: Form, how: Reading) -> tuple[list[tuple[int, bytes, int, str, str]], int, int]:
    """((year, Parquet bytes, rows, first and last instant) of each year; repeated and contradicting rows left out)."""
    packed, repeated, contradicting = [], 0, 0
    for year, rows in spread.years():
        ordered = rows.sort_by(
            [(KNOWN_AT, "ascending"), *((name, "ascending") for name in form.key if name != KNOWN_AT)]
        )
        kept, torn = _unique(ordered.combine_chunks(), form, how)
        contradicting += torn
        repeated += ordered.num_rows - kept.num_rows - torn
        sink = io.BytesIO()
        parquet.write_table(
            kept,
            sink,
            compression="zstd",
            compression_level=3,
            version="2.6",
            row_group_size=ROW_GROUP,
            store_schema=False,
        )
        ends = (kept[KNOWN_AT][0].as_py(), kept[KNOWN_AT][-1].as_py())
        packed.append((year, sink.getvalue(), kept.num_rows, utc_text(ends[0]), utc_text(ends[1])))
    return packed, repeated, contradicting


def _unique(rows: pa.Table, form: Form, how: Reading) -> tuple[pa.Table, int]:
    """(rows without exact repeats, contradicting rows left out). Raises UsageError for two rows of one key that differ."""
    names = [name for name in form.key if name != KNOWN_AT]
    order = rows.sort_by([(name, "ascending") for name in (*names, KNOWN_AT)]) if rows.num_rows else rows
    keys = names if KNOWN_AT not in form.key else [*names, KNOWN_AT]
    same = _same_as_before(order, keys)
    if not same.any():
        return rows, 0
    equal = _same_as_before(order, list(form.types))
    torn = np.flatnonzero(same & ~equal)
    if len(torn) and not how.drop_contradicting:
        found = {name: str(order[name][int(torn[0])].as_py()) for name in keys}
        raise UsageError(
            f"import {form.kind}: expected one row per {', '.join(keys)}, found {len(torn)} that contradict another, as {found}; "
            "mend the file or leave all of them out with --drop-contradicting"
        )
    keep = ~equal
    if len(torn):
        group = np.cumsum(~same)
        keep &= ~np.isin(group, group[torn])
    left = order.filter(pa.array(keep))
    return left.sort_by([(KNOWN_AT, "ascending"), *((name, "ascending") for name in names)]).combine_chunks(), int(
        (~keep & ~equal).sum()
    )


def _same_as_before(rows: pa.Table, names: list[str]) -> np.ndarray:
    """Whether each row has the same values as the one before; two missing values are the same."""
    same = np.ones(rows.num_rows, dtype=bool)
    same[:1] = False
    for name in names:
        column = rows[name].combine_chunks()
        one, other = column.slice(1), column.slice(0, len(column) - 1)
        both = pc.and_(pc.is_null(one, nan_is_null=True), pc.is_null(other, nan_is_null=True))
        equal = pc.or_(pc.fill_null(pc.equal(one, other), False), both)
        same[1:] &= equal.to_numpy(zero_copy_only=False)
    return same


def _put(objects: Objects, kind: str, year: int, data: bytes, rows: int, first: str, last: str) -> Mapping[str, Json]:
    digest = sha256(data)
    objects.put(import_key(kind, digest), data)
    return {
        "sha256": digest,
        "year": year,
        "rows": rows,
        "bytes": len(data),
        "first_known_at": first,
        "last_known_at": last,
    }


def import_key(kind: str, digest: str) -> str:
    """Where an imported object lies."""
    return f"imports/{kind}/{digest}.parquet"


def _entered(ledger: Ledger, kind: str, told: dict[str, Json], at: dt.datetime, kept: Kept) -> Kept:
    """One entry per content: importing the same file in the same way again adds nothing."""
    key = f"{kind}-{hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:24]}"
    known = ledger.get(ENTRY, key)
    if known is not None:
        return replace(kept, seq=known.seq, added=False)
    receipt = ledger.append(ENTRY, key, {**told, "imported_at": utc_text(at)})
    return replace(kept, seq=receipt.seq, added=receipt.added)


def _file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_HASH_BLOCK):
            digest.update(block)
    return digest.hexdigest()
