"""The content hash sees values alone; the canonical form refuses what does not fit."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_resources.errors import StoreError
from marketbot_resources.store.content import canonical, content_sha256, decode, encode, to_frame
from marketbot_resources.store.table import Column, Table

TABLE = Table(
    "sample",
    "one row",
    ("session", "name"),
    (
        Column("session", "date", "d"),
        Column("name", "text", "n"),
        Column("value", "number", "v", nullable=True),
        Column("money", "decimal", "m", nullable=True),
        Column("at", "instant", "i"),
        Column("flag", "flag", "f"),
        Column("count", "integer", "c"),
        Column("values", "numbers", "l"),
    ),
)


def frame(rows: int = 5) -> pd.DataFrame:
    at = dt.datetime(2018, 1, 2, 21, tzinfo=dt.UTC)
    return pd.DataFrame(
        {
            "session": [dt.date(2018, 1, 1) + dt.timedelta(days=n) for n in range(rows)],
            "name": [f"n{n}" for n in range(rows)],
            "value": [float(n) / 3 for n in range(rows)],
            "money": [Decimal(n) / 4 for n in range(rows)],
            "at": [at] * rows,
            "flag": [n % 2 == 0 for n in range(rows)],
            "count": list(range(rows)),
            "values": [[float(n)] * n for n in range(rows)],
        }
    )


def test_row_order_changes_nothing() -> None:
    """The key sorts the rows, so the order in which they were computed is no evidence."""
    first = canonical(frame(), TABLE)
    second = canonical(frame().sample(frac=1.0, random_state=3), TABLE)
    assert encode(first) == encode(second)
    assert content_sha256(first) == content_sha256(second)


def test_content_survives_the_round_trip_through_parquet_and_pandas() -> None:
    """Equal values give an equal hash, whatever carried them."""
    table = canonical(frame(), TABLE)
    assert content_sha256(decode(encode(table), None)) == content_sha256(table), (
        "no schema is needed to check a stored file"
    )
    again = decode(encode(table), TABLE.arrow_schema)
    assert content_sha256(again) == content_sha256(table)
    assert content_sha256(canonical(to_frame(again), TABLE)) == content_sha256(table)


def test_chunks_slices_and_hidden_values_do_not_count() -> None:
    """Chunking, slices and what lies under a null are no values."""
    values = pa.array([1.0, 2.0, 3.0, 4.0], mask=np.array([False, True, False, False]))
    hidden = pa.Array.from_buffers(
        pa.float64(), 4, [values.buffers()[0], pa.py_buffer(np.array([1.0, -999.0, 3.0, 4.0]))]
    )
    plain, other = pa.table({"x": values}), pa.table({"x": hidden})
    chunked = pa.concat_tables([plain.slice(0, 1), plain.slice(1)])
    sliced = pa.concat_tables([plain, plain]).slice(4)
    assert len({content_sha256(t) for t in (plain, other, chunked, sliced)}) == 1


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ([0.0], [-0.0], True),
        ([float("nan")], [None], False),
        ([1.0], [1.0 + 2**-52], False),
        (["ab", "c"], ["a", "bc"], False),
        ([None], [""], False),
        ([True], [False], False),
        ([[1.0], [2.0]], [[1.0, 2.0], []], False),
    ],
)
def test_values_that_differ_have_other_hashes(left: list[object], right: list[object], equal: bool) -> None:
    """NaN is not null, 'ab','c' is not 'a','bc', and -0.0 is 0.0."""
    kind = pa.list_(pa.float64()) if isinstance(left[0], list) else None
    kind = pa.string() if isinstance(left[0] or right[0], str) else kind
    kind = pa.float64() if isinstance(left[0], float) else kind
    hashes = [content_sha256(pa.table({"x": pa.array(v, type=kind)})) for v in (left, right)]
    assert (hashes[0] == hashes[1]) is equal


def test_published_hash_of_a_known_table() -> None:
    """A change of the content hash would make every stored version look changed: the form is pinned by hand."""
    import hashlib

    table = pa.table({"x": pa.array([1, 2], type=pa.int64())})
    column = hashlib.sha256(
        (2).to_bytes(8, "little") + bytes([0b11000000]) + np.array([1, 2], dtype="<i8").tobytes()
    ).hexdigest()
    assert content_sha256(table) == hashlib.sha256(f"x:int64:{column}\n".encode()).hexdigest()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="value"), "missing"),
        (lambda f: f.assign(extra=1), "extra"),
        (lambda f: pd.concat([f, f]), "unique key"),
        (lambda f: f.assign(count="x"), "does not fit"),
        (lambda f: f.assign(name=None), "null"),
    ],
)
def test_what_does_not_fit_is_refused(change: object, message: str) -> None:
    """A frame that breaks its contract is never stored."""
    with pytest.raises(StoreError, match=message):
        canonical(change(frame()), TABLE)  # type: ignore[operator]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(allow_nan=True), min_size=1, max_size=30), st.integers(1, 10))
def test_hash_depends_on_values_only(values: list[float], cut: int) -> None:
    """Any float column hashes the same whole and in pieces."""
    whole = pa.table({"x": pa.array(values, type=pa.float64())})
    pieces = pa.concat_tables([whole.slice(0, cut), whole.slice(cut)])
    assert content_sha256(whole) == content_sha256(pieces)
