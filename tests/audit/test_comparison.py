"""Tables compared value by value: what counts as rounding, what as a difference, and which cell is named."""

import datetime as dt
import json
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbot_assets.audit.comparison import FLOAT_TOLERANCE, Comparison, compare

SCHEMA = pa.schema(
    [
        pa.field("name", pa.string()),
        pa.field("day", pa.date32()),
        pa.field("number", pa.float64()),
        pa.field("values", pa.list_(pa.float64())),
        pa.field("text", pa.string()),
        pa.field("money", pa.decimal128(28, 10)),
        pa.field("flag", pa.bool_()),
        pa.field("count", pa.int64()),
        pa.field("at", pa.timestamp("us", tz="UTC")),
    ]
)
KEY = ("name", "day")
DAY = dt.date(2018, 12, 24)
ROW: dict[str, Any] = {
    "name": "A",
    "day": DAY,
    "number": 2.0,
    "values": [1.0, 0.5],
    "text": "why",
    "money": Decimal("10.01"),
    "flag": True,
    "count": 3,
    "at": dt.datetime(2018, 12, 24, 21, 30, tzinfo=dt.UTC),
}


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist([{**ROW, **row} for row in rows], schema=SCHEMA)


def found(stored: dict[str, Any], rebuilt: dict[str, Any], *, exact: bool = False) -> Comparison:
    return compare(table(stored), table(rebuilt), KEY, exact=exact)


@pytest.mark.parametrize(
    ("column", "stored", "rebuilt"),
    [
        ("number", 2.0, 2.0 * (1 + 9e-10)),
        ("number", -4e6, -4e6 * (1 - 9e-10)),
        ("number", 0.0, 9e-13),
        ("number", 1e-15, -1e-15),
        ("number", math.nan, math.nan),
        ("number", None, None),
        ("values", [1.0, 0.5], [1.0, 0.5 + 4e-10]),
        ("text", json.dumps({"dual": 0.25}), json.dumps({"dual": 0.25 + 1e-12})),
        ("text", json.dumps([["cap", 0.05, None]]), json.dumps([["cap", 0.05 + 1e-12, None]])),
    ],
)
def test_rounding_of_floats_is_within(column: str, stored: Any, rebuilt: Any) -> None:
    """A float may be off by 1e-9 of its size (of 0.001 where it is smaller), alone, in a list and in JSON; never in orders."""
    told = found({column: stored}, {column: rebuilt})
    assert told.within
    assert told.float_largest <= FLOAT_TOLERANCE
    assert found({column: stored}, {column: rebuilt}, exact=True).within is (told.cells == 0)


@pytest.mark.parametrize(
    ("column", "stored", "rebuilt", "told"),
    [
        ("number", 2.0, 2.0 * (1 + 2e-9), "2.000000004"),
        ("number", 0.0, 2e-12, "2e-12"),
        ("number", 1.0, math.nan, "nan"),
        ("number", None, math.nan, "nan"),
        ("number", 1.0, None, "None"),
        ("number", math.inf, -math.inf, "-inf"),
        ("values", [1.0, 0.5], [1.0], "[1.0]"),
        ("values", [1.0, 0.5], [1.0, 0.6], "[1.0, 0.6]"),
        ("values", [1.0], None, "None"),
        ("text", "0.5", "0.50000000001", "0.50000000001"),
        ("text", '{"n": 1}', '{"n": 2}', '{"n": 2}'),
        ("text", '{"n": 1}', '{"n": 1.0}', '{"n": 1.0}'),
        ("text", '{"n": true}', '{"n": 1}', '{"n": 1}'),
        ("text", '{"n": 0.5}', '{"m": 0.5}', '{"m": 0.5}'),
        ("text", '{"n": 0.5}', "{", "{"),
        ("text", "x" * 100, "y" * 100, "y" * 77 + "..."),
        ("money", Decimal("10.01"), Decimal("10.0100000001"), "10.0100000001"),
        ("flag", True, False, "False"),
        ("count", 3, 4, "4"),
        ("at", ROW["at"], ROW["at"] + dt.timedelta(microseconds=1), "2018-12-24 21:30:00.000001+00:00"),
    ],
)
def test_everything_else_is_a_difference(column: str, stored: Any, rebuilt: Any, told: str) -> None:
    """Money, texts, flags, counts, instants, unknown values, lengths of lists and floats beyond rounding; the cell is named."""
    other = {"name": "B"}
    result = compare(table({column: stored}, other), table({column: rebuilt}, other), KEY)
    assert not result.within
    assert (result.cells, result.columns) == (1, (column,))
    assert result.first is not None
    assert (result.first.column, result.first.key) == (column, "name A, day 2018-12-24")
    assert result.first.rebuilt == told


def test_rows_are_matched_by_key_not_by_place() -> None:
    """A row too many shifts nothing: it is the only difference, and it is named by its key."""
    result = compare(table({"name": "B"}), table({"name": "A"}, {"name": "B"}), KEY)
    assert (result.cells, result.columns, result.within) == (1, (), False)
    assert result.first is not None
    assert (result.first.column, result.first.key) == ("", "name A, day 2018-12-24")
    assert (result.first.stored, result.first.rebuilt) == ("no row", "a row")


@pytest.mark.parametrize(
    ("change", "column", "stored", "rebuilt"),
    [
        (lambda t: t.drop_columns(["count"]), "count", "int64", "no column"),
        (lambda t: t.append_column("more", t["count"]), "more", "no column", "int64"),
        (lambda t: t.set_column(7, "count", t["count"].cast(pa.float64())), "count", "int64", "double"),
    ],
)
def test_other_columns_are_a_difference(
    change: Callable[[pa.Table], pa.Table], column: str, stored: str, rebuilt: str
) -> None:
    """A column that is new, gone or of another type, as code that has changed may make it."""
    result = compare(table({}), change(table({})), KEY)
    assert (result.cells, result.columns, result.within) == (1, (column,), False)
    assert result.first is not None
    assert (result.first.column, result.first.stored, result.first.rebuilt) == (column, stored, rebuilt)


numbers = st.one_of(st.none(), st.floats(), st.sampled_from([0.0, -0.0, math.nan]))
rows = st.fixed_dictionaries(
    {
        "name": st.sampled_from("ABCDE"),
        "day": st.dates(dt.date(2018, 1, 1), dt.date(2018, 1, 3)),
        "number": numbers,
        "values": st.one_of(st.none(), st.lists(st.floats(), max_size=3)),
        "text": st.text(max_size=5),
        "money": st.decimals(-100, 100, places=2),
        "flag": st.booleans(),
    }
)
tables = st.lists(rows, max_size=8, unique_by=lambda row: (row["name"], row["day"])).map(
    lambda found: table(*sorted(found, key=lambda row: (row["name"], row["day"])))
)


@given(tables)
def test_a_table_equals_itself(stored: pa.Table) -> None:
    """Whatever it holds, unknown values and NaN included."""
    assert compare(stored, stored, KEY, exact=True) == Comparison(0, (), None, 0.0, within=True)


@given(tables, tables)
def test_comparing_has_no_direction(stored: pa.Table, rebuilt: pa.Table) -> None:
    """Stored against rebuilt finds what rebuilt against stored finds."""
    one, other = compare(stored, rebuilt, KEY), compare(rebuilt, stored, KEY)
    assert (one.cells, one.columns, one.float_largest, one.within) == (
        other.cells,
        other.columns,
        other.float_largest,
        other.within,
    )


@given(
    st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=6),
    st.integers(0, 5),
    st.floats(-1e-6, 1e-6),
)
def test_the_bound_is_where_it_is_said_to_be(values: list[float], place: int, shift: float) -> None:
    """One float moved by a fraction of its size: within exactly when the distance is at most 1e-9 of the larger one or of 0.001."""
    place %= len(values)
    moved = [value * (1 + shift) if n == place else value for n, value in enumerate(values)]
    names = [f"{n}" for n in range(len(values))]
    result = compare(
        table(*({"name": name, "number": value} for name, value in zip(names, values, strict=True))),
        table(*({"name": name, "number": value} for name, value in zip(names, moved, strict=True))),
        KEY,
    )
    apart = abs(moved[place] - values[place])
    assert result.cells == (1 if apart else 0)
    allowed = 1e-9 * max(abs(moved[place]), abs(values[place]), 0.001)
    if abs(apart - allowed) > 1e-6 * allowed:
        assert result.within is (apart <= allowed)
