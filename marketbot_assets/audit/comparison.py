"""Two versions of one table, value by value: how a rebuilt table differs from the stored one. Pure.

Floats of another machine or library may differ by rounding: `FLOAT_TOLERANCE` of the larger of the two, or of `SCALE_MIN` where
both are smaller, because what is left of a sum that should be zero has no size of its own. Everything else must be equal: keys,
texts, flags, dates, decimals, which values are unknown. A text that holds JSON is compared value by value, too. Not here:
content hashes, which are asked first; whether the environment excuses anything (`replay`).
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

FLOAT_TOLERANCE = 1e-9
SCALE_MIN = 1e-3
SHOWN_LENGTH = 80
ROW, NO_ROW = "a row", "no row"


@dataclass(frozen=True, slots=True)
class Difference:
    """One cell that differs. `column` is empty where a whole row is missing; `key` names the row; values as text."""

    column: str
    key: str
    stored: str
    rebuilt: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two tables differ. `cells` counts cells, and rows that only one of them has; `columns` in order of the table.

    `float_largest`: largest distance of two floats, as a fraction of their scale; `within`: nothing differs but floats, and
    none of them by more than the tolerance.
    """

    cells: int
    columns: tuple[str, ...]
    first: Difference | None
    float_largest: float
    within: bool


def compare(stored: "pa.Table", rebuilt: "pa.Table", key: Sequence[str], *, exact: bool = False) -> Comparison:
    """Compares two tables in canonical form: sorted by `key`, which is unique. `exact`: floats must be equal as well."""
    other = _other_columns(stored, rebuilt)
    if other is not None:
        return other
    ours, theirs = _keys(stored, key), _keys(rebuilt, key)
    missing = [Difference("", _told(key, row), ROW, NO_ROW) for row in ours if row not in theirs]
    missing += [Difference("", _told(key, row), NO_ROW, ROW) for row in theirs if row not in ours]
    places = [(row, place, theirs[row]) for row, place in ours.items() if row in theirs]
    found = [_column(stored, rebuilt, name, places, key) for name in stored.column_names]
    cells = len(missing) + sum(column.cells for column in found)
    firsts = [*missing, *(column.first for column in found if column.first is not None)]
    loose = not missing and all(column.within for column in found)
    return Comparison(
        cells,
        tuple(name for column in found for name in column.columns),
        firsts[0] if firsts else None,
        max((column.float_largest for column in found), default=0.0),
        within=cells == 0 if exact else loose,
    )


def _other_columns(stored: "pa.Table", rebuilt: "pa.Table") -> Comparison | None:
    """Columns that only one of them has, or of another type; None when both have the same."""
    ours, theirs = ({field.name: field.type for field in table.schema} for table in (stored, rebuilt))
    names = [name for name in [*ours, *(n for n in theirs if n not in ours)] if ours.get(name) != theirs.get(name)]
    if not names:
        return None
    told = [str(types.get(names[0], "no column")) for types in (ours, theirs)]
    return Comparison(len(names), tuple(names), Difference(names[0], "", *told), 0.0, within=False)


def distance(stored: object, rebuilt: object) -> float | None:
    """0 for equal values, the distance of two floats as a fraction of their scale, None when values differ in another way.

    NaN equals NaN and nothing else, a null equals a null alone.
    """
    if isinstance(stored, float) and isinstance(rebuilt, float):
        return _float_distance(stored, rebuilt)
    if isinstance(stored, str) and isinstance(rebuilt, str):
        return 0.0 if stored == rebuilt else _json_distance(stored, rebuilt)
    if isinstance(stored, list) and isinstance(rebuilt, list):
        return _largest(stored, rebuilt)
    if isinstance(stored, dict) and isinstance(rebuilt, dict):
        if list(stored) != list(rebuilt):
            return None
        return _largest(list(stored.values()), list(rebuilt.values()))
    return 0.0 if type(stored) is type(rebuilt) and stored == rebuilt else None


def _float_distance(stored: float, rebuilt: float) -> float | None:
    if stored == rebuilt or (math.isnan(stored) and math.isnan(rebuilt)):
        return 0.0
    if not (math.isfinite(stored) and math.isfinite(rebuilt)):
        return None
    return abs(stored - rebuilt) / max(abs(stored), abs(rebuilt), SCALE_MIN)


def _json_distance(stored: str, rebuilt: str) -> float | None:
    if not (stored[:1] in ("{", "[") and stored[:1] == rebuilt[:1]):
        return None
    try:
        return distance(json.loads(stored), json.loads(rebuilt))
    except ValueError:
        return None


def _largest(stored: Sequence[object], rebuilt: Sequence[object]) -> float | None:
    if len(stored) != len(rebuilt):
        return None
    largest = 0.0
    for one, other in zip(stored, rebuilt, strict=True):
        apart = distance(one, other)
        if apart is None:
            return None
        largest = max(largest, apart)
    return largest


def _keys(table: "pa.Table", key: Sequence[str]) -> dict[tuple[object, ...], int]:
    columns = [table[name].to_pylist() for name in key]
    return {row: place for place, row in enumerate(zip(*columns, strict=True))}


def _column(
    stored: "pa.Table",
    rebuilt: "pa.Table",
    name: str,
    places: "Sequence[tuple[tuple[object, ...], int, int]]",
    key: Sequence[str],
) -> Comparison:
    """One column at rows that both tables have."""
    if stored[name].equals(rebuilt[name]):
        return Comparison(0, (), None, 0.0, within=True)
    ours, theirs = stored[name].to_pylist(), rebuilt[name].to_pylist()
    cells, largest, within = 0, 0.0, True
    first: Difference | None = None
    for row, here, there in places:
        apart = distance(ours[here], theirs[there])
        if apart == 0.0:
            continue
        cells, largest = cells + 1, max(largest, apart or 0.0)
        within = within and apart is not None and apart <= FLOAT_TOLERANCE
        first = first or Difference(name, _told(key, row), _shown(ours[here]), _shown(theirs[there]))
    return Comparison(cells, (name,) if cells else (), first, largest, within)


def _told(key: Sequence[str], row: Sequence[object]) -> str:
    return ", ".join(f"{name} {_shown(value)}" for name, value in zip(key, row, strict=True))


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= SHOWN_LENGTH else text[: SHOWN_LENGTH - 3] + "..."
