"""What `blast-radius` starts from: a hash, an object by asset and partition, or a row; found in the index, else one clear line.

Not here: what used it (`blast_radius`).
"""

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, cast

from marketbot_resources.errors import UsageError
from marketbot_resources.model import instrument_id, plain, utc_text

if TYPE_CHECKING:
    import numpy as np

    from marketbot_resources.store.index import BlobRow, IndexRow
    from marketbot_resources.store.lake import Lake

HASH_LENGTH_MIN, HASH_LENGTH = 8, 64
PARTS_SHOWN = 5
CURRENCY_LEG = "FX:"
_HEX = re.compile(r"[0-9a-f]+")
_NEXT_CELL = re.compile(r",(?=\w+=)")
Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Start:
    """Where the walk begins. `objects`: versions, `bodies`: their blob rows; `rows` of a table when a row was asked for.

    `instruments`: what the row is about, as orders name it; `currency`: of a row that is about a currency alone.
    """

    told: str
    objects: "tuple[IndexRow, ...]"
    bodies: "tuple[BlobRow, ...]" = ()
    rows: tuple[Row, ...] = ()
    instruments: frozenset[str] = frozenset()
    currency: str = ""

    @property
    def hashes(self) -> frozenset[str]:
        """The names by which manifests refer to it."""
        return frozenset(row.manifest_sha256 for row in self.objects) | {row.blob_sha256 for row in self.bodies}


def find_start(lake: "Lake", text: str) -> Start:
    """What a text names. Raises UsageError when it names nothing, or several things."""
    wanted = text.strip()
    if "/" in wanted:
        return _object_or_row(lake, wanted)
    name = wanted.lower()
    if not _HEX.fullmatch(name) or not HASH_LENGTH_MIN <= len(name) <= HASH_LENGTH:
        raise UsageError(
            f"object {text!r}: expected at least {HASH_LENGTH_MIN} hex digits of a hash, asset/partition, "
            "or asset/partition/column=value"
        )
    return _hashed(lake, name)


def _hashed(lake: "Lake", name: str) -> Start:
    """Every version and body with this hash: a file, content or manifest hash, or that of a body."""
    objects: dict[str, list[IndexRow]] = {}
    bodies: dict[str, list[BlobRow]] = {}
    for _, row in lake.index.numbered():
        for digest in {row.file_sha256, row.content_sha256, row.manifest_sha256}:
            if digest.startswith(name):
                objects.setdefault(digest, []).append(row)
    for _, blob in lake.index.numbered_blobs():
        if blob.blob_sha256.startswith(name):
            bodies.setdefault(blob.blob_sha256, []).append(blob)
    found = sorted({*objects, *bodies})
    if not found:
        raise UsageError(f"object {name}: expected a hash of the store's index, found none that begins like this")
    if len(found) > 1:
        shown = ", ".join(digest[: len(name) + 8] for digest in found[:3])
        raise UsageError(f"object {name}: {len(found)} hashes begin like this ({shown}); give more digits")
    digest = found[0]
    told = _kinds(digest, objects.get(digest, ()), bodies.get(digest, ()))
    return Start(told, tuple(objects.get(digest, ())), tuple(bodies.get(digest, ())))


def _kinds(digest: str, objects: "Sequence[IndexRow]", bodies: "Sequence[BlobRow]") -> str:
    kinds = ("file", "content", "manifest")
    names = [name for name in kinds if any(getattr(row, f"{name}_sha256") == digest for row in objects)]
    told = [f"{name} of {_several([(row.asset, row.part) for row in objects])}" for name in names[:1]]
    told += [f"body received for {_several([(b.asset, b.part) for b in bodies])}"] if bodies else []
    return f"{digest}: {'; '.join(told)}"


def _several(places: Iterable[tuple[str, str]]) -> str:
    named = list(dict.fromkeys(f"{asset} {part}" for asset, part in places))
    more = f" and {len(named) - PARTS_SHOWN} more" if len(named) > PARTS_SHOWN else ""
    return ", ".join(named[:PARTS_SHOWN]) + more


def _object_or_row(lake: "Lake", text: str) -> Start:
    asset, part, *rest = text.split("/", 2)
    version = lake.index.newest(asset, part)
    if version is None:
        raise UsageError(f"object {text}: {_what_there_is(lake, asset, part)}")
    if not rest or not rest[0]:
        return Start(f"{asset} {part}, newest version, file {version.file_sha256}", (version,))
    return _row(lake, version, rest[0])


def _what_there_is(lake: "Lake", asset: str, part: str) -> str:
    parts = sorted(row.part for row in lake.index.all_newest() if row.asset == asset)
    if not parts:
        return f"expected an asset of this home, found {asset!r}; the assets stand in docs/reference.md"
    shown = ", ".join(parts) if len(parts) <= PARTS_SHOWN else f"{parts[0]} .. {parts[-1]} ({len(parts)})"
    return f"expected a partition of {asset} ({shown}), found {part!r}"


def _row(lake: "Lake", version: "IndexRow", text: str) -> Start:
    cells = [cell.partition("=") for cell in _NEXT_CELL.split(text)]
    frame = lake.load(version)
    place, columns = f"{version.asset}/{version.part}", [str(name) for name in frame.columns]
    for column, sign, _ in cells:
        if not sign or column not in columns:
            raise UsageError(f"row {place}/{text}: expected column=value of {', '.join(columns)}, found {column!r}")
    rows = [{str(name): _plain(cell) for name, cell in row.items()} for row in frame.to_dict("records")]
    rows = [row for row in rows if all(_is(row[column], value) for column, _, value in cells)]
    if not rows:
        raise UsageError(f"row {place}/{text}: expected a row of {version.rows}, found none with these values")
    instruments = frozenset(name for row in rows for name in _instruments(row))
    currencies = {str(row["currency"]) for row in rows if "currency" in row} if not instruments else set()
    currency = currencies.pop() if len(currencies) == 1 else ""
    legs = frozenset({CURRENCY_LEG + currency} if currency else ())
    told = f"{len(rows)} row{'' if len(rows) == 1 else 's'} of {version.asset} {version.part} with {text}"
    return Start(told, (version,), (), tuple(rows), instruments | legs, currency)


def _plain(cell: object) -> object:
    """A cell as it is, an array as a list."""
    return cast("np.ndarray", cell).tolist() if getattr(cell, "ndim", 0) else cell


def _is(cell: object, text: str) -> bool:
    """Whether a cell has the value that a text names: numbers by value, everything else as it is printed."""
    if isinstance(cell, bool) or not isinstance(cell, int | float | Decimal):
        return _printed(cell) == text
    try:
        return Decimal(repr(cell) if isinstance(cell, float) else cell) == Decimal(text)
    except ArithmeticError:
        return False


def _printed(cell: object) -> str:
    if cell is None or cell != cell:  # NaN and NaT differ from themselves
        return ""
    if isinstance(cell, dt.datetime):
        return cell.date().isoformat() if cell.tzinfo is None else utc_text(cell)
    if isinstance(cell, bool):
        return str(cell).lower()
    return plain(cell) if isinstance(cell, Decimal) else str(cell)


def _instruments(row: Row) -> list[str]:
    """Our ids of what a row is about: its instrument, the listing that a provider names, or the subject of a rule."""
    names = [str(row[column]) for column in ("instrument", "key", "subject") if column in row]
    if "instrument" not in row and "source_id" in row:
        return [instrument_id(str(row["source"]), str(row["source_id"]))]
    return [name for name in names if name.startswith(("MB", CURRENCY_LEG))][:1]
