"""What every asset page says of the session before: rows that came and went, the largest changes, other code and other inputs.

Shown, never decided upon: a version that cannot be read here is told, not raised. Not here: what a page shows beside
(`lineage.materialized`), where to look next (`next_pages`).
"""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, cast

import dagster as dg

from marketbot_assets.markdown_text import cell
from marketbot_resources.errors import MarketbotError
from marketbot_resources.redaction import redactor

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_assets.pages import Shows
    from marketbot_resources.ledger.record import Json
    from marketbot_resources.store.index import IndexRow
    from marketbot_resources.store.lake import Lake
    from marketbot_resources.store.table import Column, Table

ROWS_MAX, BYTES_MAX, INPUTS_MAX = 2_000, 128 * 1024, 150
COLUMNS_SHOWN, KEYS_SHOWN, NAMES_SHOWN, TEXT_SHOWN, TEXT_LONG = 12, 5, 20, 60, 400
MANDATE = "mandate_content_sha256"
NUMBERS = frozenset({"number", "integer", "decimal"})
Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Moved:
    """A column that changed in rows of both versions. `at`: key of the largest change, of the first when it is no number."""

    column: str
    rows: int
    at: Key
    old: object
    new: object


@dataclass(frozen=True, slots=True)
class Apart:
    """What differs between two versions of a table, rows matched by key; a date that is one per version is no part of the key."""

    came: tuple[Key, ...]
    went: tuple[Key, ...]
    moved: tuple[Moved, ...]


def apart(old: "pd.DataFrame", new: "pd.DataFrame", table: "Table") -> Apart:
    """The difference of two frames of one table. Lists of numbers are not compared."""
    keys = [name for name in table.key if not _dated(name, old, new, table)]
    before, after = (_keyed(frame, keys) for frame in (old, new))
    both = [key for key in after if key in before]
    places = [before[key] for key in both], [after[key] for key in both]
    columns = [one for one in table.columns if one.name not in (*table.key, "session") and one.kind != "numbers"]
    moved = [_moved(column, both, _taken(old, column, places[0]), _taken(new, column, places[1])) for column in columns]
    came, went = ([key for key in one if key not in other] for one, other in ((after, before), (before, after)))
    return Apart(tuple(came), tuple(went), tuple(one for one in moved if one is not None))


def _dated(name: str, old: "pd.DataFrame", new: "pd.DataFrame", table: "Table") -> bool:
    """Whether a part of the key only says of which session a version is."""
    kind = next(column.kind for column in table.columns if column.name == name)
    return kind == "date" and all(frame[name].nunique() <= 1 for frame in (old, new))


def _keyed(frame: "pd.DataFrame", keys: Sequence[str]) -> dict[Key, int]:
    if not keys:  # one row per session at most
        return dict.fromkeys([()] * len(frame), 0)
    return {key: place for place, key in enumerate(zip(*(frame[name].tolist() for name in keys), strict=True))}


def _taken(frame: "pd.DataFrame", column: "Column", places: Sequence[int]) -> list[object]:
    values = frame[column.name].tolist()
    return [values[place] for place in places]


def _moved(column: "Column", keys: Sequence[Key], old: Sequence[object], new: Sequence[object]) -> Moved | None:
    places = [place for place, (was, now) in enumerate(zip(old, new, strict=True)) if not _same(was, now)]
    if not places:
        return None
    most = max(places, key=lambda place: _size(old[place], new[place])) if column.kind in NUMBERS else places[0]
    return Moved(column.name, len(places), keys[most], old[most], new[most])


def _same(was: object, now: object) -> bool:
    return was == now or (_unknown(was) and _unknown(now))


def _unknown(value: object) -> bool:
    return value is None or value != value  # a NaN and a missing instant differ from themselves


def _size(was: object, now: object) -> float:
    """How large a change of a number is: absolute; to or from an unknown value the largest of all."""
    if _unknown(was) or _unknown(now):
        return math.inf
    return abs(float(cast("float", now)) - float(cast("float", was)))


def changed(lake: "Lake", row: "IndexRow", frame: "pd.DataFrame", table: "Table") -> "Shows":
    """`since` as metadata of an asset page."""
    told = since(lake, row, frame, table)
    return {"what changed": dg.MetadataValue.md(told)} if told else {}


def since(lake: "Lake", row: "IndexRow", frame: "pd.DataFrame", table: "Table") -> str:
    """Markdown: what changed since the partition before; empty for the first one and for what has no partitions."""
    from marketbot_resources.store.index import STATIC

    if row.part == STATIC:
        return ""
    before = lake.index.before(row.asset, row.part)
    if before is None:
        return ""
    try:
        lines = [f"Since {before.part}: {_rows(lake, before, row, frame, table)}", "", *_versions(lake, before, row)]
    except MarketbotError as error:  # the asset itself was stored and read back: its page may lack this
        return f"Since {before.part}: cannot be told, {cell(redactor().text(str(error)))}"
    return "\n".join(lines)


def _rows(lake: "Lake", before: "IndexRow", row: "IndexRow", frame: "pd.DataFrame", table: "Table") -> str:
    if before.content_sha256 == row.content_sha256:
        return f"the same {row.rows} rows"
    if max(before.rows, row.rows) > ROWS_MAX or before.bytes > BYTES_MAX:
        return f"{before.rows} rows then, {row.rows} now; too large to be compared here"
    old = lake.load(before)
    if before.schema_sha256 != row.schema_sha256:  # stored by another version of the code
        return f"{before.rows} rows then, {row.rows} now; {_columns(old, frame)}; rows are not compared"
    found = apart(old, frame, table)
    told = f"{len(found.came)} rows came, {len(found.went)} went, {len(found.moved)} columns changed in the others"
    lines = [f"{told}.", *_named("came", found.came), *_named("went", found.went), "", *_table(found.moved)]
    return "\n".join(lines)


def _columns(old: "pd.DataFrame", new: "pd.DataFrame") -> str:
    """Which columns another table of the same asset has and had."""
    came, went = (sorted({*one.columns} - {*other.columns}) for one, other in ((new, old), (old, new)))
    told = [f"{what}: {', '.join(names[:NAMES_SHOWN])}" for what, names in (("came", came), ("went", went)) if names]
    return f"another table then, columns that {'; '.join(told)}" if told else "columns were described otherwise then"


def _named(what: str, keys: Sequence[Key]) -> list[str]:
    more = f" and {len(keys) - KEYS_SHOWN} more" if len(keys) > KEYS_SHOWN else ""
    return ["", f"{what}: {'; '.join(_key(key) for key in keys[:KEYS_SHOWN])}{more}"] if keys else []


def _table(moved: Sequence[Moved]) -> list[str]:
    if not moved:
        return []
    rows = [
        f"| {one.column} | {one.rows} | {_key(one.at)} | {_told(one.old)} | {_told(one.new)} |"
        for one in moved[:COLUMNS_SHOWN]
    ]
    more = [f"\nand {len(moved) - COLUMNS_SHOWN} more columns"] if len(moved) > COLUMNS_SHOWN else []
    return ["| column | rows | most at | then | now |", "|---|---|---|---|---|", *rows, *more]


def _key(key: Key) -> str:
    return " ".join(_told(part) for part in key)


def _told(value: object) -> str:
    if _unknown(value):
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Decimal):
        return f"{value.normalize():f}" if value else "0"
    if isinstance(value, dt.datetime) and value.tzinfo is None:
        return value.date().isoformat()
    text = str(value)
    if len(text) > TEXT_LONG:
        return f"{len(text)} characters"
    return cell(redactor().text(text)[:TEXT_SHOWN])


def _versions(lake: "Lake", before: "IndexRow", row: "IndexRow") -> list[str]:
    """Whether code, mandate and environment are the same, and which inputs hold something else."""
    then, now = lake.manifest(before), lake.manifest(row)
    code = (before.code_version, row.code_version)
    lines = [
        f"- code: {'the same' if code[0] == code[1] else f'{code[0]} then, {code[1]} now'}",
        f"- mandate: {'the same' if then.get(MANDATE) == now.get(MANDATE) else 'another'}",
    ]
    other = _differ(then.get("environment"), now.get("environment"))
    lines += [f"- other versions of: {', '.join(other)}"] if other else []
    return [*lines, *_inputs(_contents(then), _contents(now))]


def _differ(then: object, now: object) -> list[str]:
    old, new = (one if isinstance(one, Mapping) else {} for one in (then, now))
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))


def _contents(manifest: "Mapping[str, Json]") -> dict[str, set[str]]:
    """Input -> content hashes of the versions that were read; the newest when there are too many."""
    found: dict[str, set[str]] = {}
    read = cast("Sequence[Mapping[str, str]]", manifest["inputs"])
    for one in read if len(read) <= INPUTS_MAX else {one["asset"]: one for one in read}.values():
        found.setdefault(one["asset"], set()).add(one["content_sha256"])
    return found


def _inputs(then: Mapping[str, set[str]], now: Mapping[str, set[str]]) -> list[str]:
    kinds = (
        ("inputs with the same content", [name for name in now if now[name] == then.get(name)]),
        ("inputs with other content", [name for name in now if name in then and now[name] != then[name]]),
        ("inputs that were not read then", [name for name in now if name not in then]),
        ("inputs that are not read any more", [name for name in then if name not in now]),
    )
    return [
        f"- {what}: {', '.join(sorted(names)[:NAMES_SHOWN])}{', ...' if len(names) > NAMES_SHOWN else ''}"
        for what, names in kinds
        if names
    ]
