"""What lies in a file instead of in memory has the same values, the same types, and is in nobody's way."""

import dataclasses
import gzip
import io
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import csv

from marketbot_resources.errors import MissingObject, ProviderError, StoreError
from marketbot_resources.market.shelf import PART_ROWS, csv_bytes
from marketbot_resources.rows import CSV, PIECE_BYTES, arrow_parts, arrow_rows
from marketbot_resources.store import scratch
from marketbot_resources.store.content import canonical, content_sha256, encode, to_frame
from marketbot_resources.store.objects import LocalObjects, blob_key
from marketbot_resources.store.table import Column, Table

ROWS = 110_000
WIDE = Table(
    "wide",
    "row",
    ("day", "name"),
    (
        Column("day", "date", "d"),
        Column("name", "text", "n"),
        Column("value", "number", "v", nullable=True),
        Column("count", "integer", "c"),
        Column("flag", "flag", "f"),
        Column("known_at", "instant", "k", nullable=True),
    ),
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where files lie in this test; nowhere afterwards."""
    scratch.lie_in(tmp_path)
    yield tmp_path
    scratch._FOLDERS.clear()


def large(seed: int = 0) -> pd.DataFrame:
    """More than a frame that stays in memory, ascending by (day, name), with what is special in every type."""
    draw = np.random.default_rng(seed)
    places = np.arange(ROWS)
    frame = pd.DataFrame(
        {
            "day": (np.datetime64("2010-01-01") + places // 500).astype("datetime64[ms]"),
            "name": pd.array([f"n{place % 500:03d}" for place in places], dtype="str"),
            "value": draw.normal(size=ROWS),
            "count": draw.integers(-5, 5, ROWS),
            "flag": draw.random(ROWS) < 0.5,
            "known_at": pd.Series(pd.to_datetime(places, unit="s", utc=True)).dt.as_unit("us"),
        }
    )
    frame.loc[[0, 7, ROWS - 1], "value"] = [np.nan, -0.0, np.inf]
    frame.loc[3, "known_at"] = pd.NaT
    assert scratch.held(frame) >= scratch.FRAME_BYTES
    return frame


def test_rows_one_below_the_other_are_those_of_pandas(folder: Path) -> None:
    """Values, order and types; the file has no name, and memory holds nothing of the frame."""
    parts = [large(1), large(2).head(0), large(3)]
    found = scratch.joined(parts)
    pd.testing.assert_frame_equal(found, pd.concat(parts, ignore_index=True), check_exact=True)
    assert np.signbit(found["value"][7])
    assert scratch.held(found) == 0
    assert list(folder.iterdir()) == []
    scratch.rest()
    assert found["count"].sum() == parts[0]["count"].sum() + parts[2]["count"].sum()


def test_a_frame_in_a_file_is_changed_only_in_a_copy() -> None:
    """Who writes into what was read changes his own frame."""
    kept = scratch.joined([large()])
    own = kept.copy(deep=False)
    own.loc[1, "count"] = 77
    own["value"] = own["value"] + 1.0
    pd.testing.assert_frame_equal(kept, large(), check_exact=True)


def test_what_does_not_fit_a_file_stays_in_memory() -> None:
    """Objects are no columns of a file, small frames need none."""
    frame = large().assign(thing=[(n,) for n in range(ROWS)])
    pd.testing.assert_frame_equal(scratch.joined([frame]), frame)
    assert scratch.held(scratch.joined([frame.head(10)])) > 0


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The system refuses larger files, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 3 << 20])
def test_a_full_disk_costs_memory_and_nothing_else(size: int) -> None:
    """The columns that were written lie there, the others stay."""
    window = Pair(np.arange(80_000.0), np.arange(500_000.0))
    with files_of_at_most(size):
        frame, table = scratch.joined([large()]), scratch.kept_table(pa.Table.from_pandas(large()))
        kept, body = scratch.kept(window), scratch.kept_bytes(b"x" * scratch.FRAME_BYTES)
    pd.testing.assert_frame_equal(frame, large(), check_exact=True)
    assert table.equals(pa.Table.from_pandas(large()))
    assert np.array_equal(kept.one, window.one)
    assert np.array_equal(kept.other, window.other)
    assert bytes(body) == b"x" * scratch.FRAME_BYTES


def test_a_folder_that_is_gone_costs_memory_and_nothing_else(folder: Path) -> None:
    """A home may be removed under a process."""
    scratch.lie_in(folder / "nowhere")
    pd.testing.assert_frame_equal(scratch.joined([large()]), large(), check_exact=True)


@dataclasses.dataclass(frozen=True, slots=True)
class Pair:
    """Two arrays."""

    one: np.ndarray
    other: np.ndarray
    name: str = "pair"


def test_arrays_keep_bits_and_order() -> None:
    """Sums depend on how an array lies; what is small, a view or no number is left as it is."""
    draw = np.random.default_rng(1).normal(size=(300, 200))
    draw[3, 4] = np.nan
    small, view = np.arange(9.0), draw[::2, ::2]
    for given in (Pair(draw, np.asfortranarray(draw)), Pair(draw > 0, small), Pair(view, draw[:, :150])):
        kept = scratch.kept(given)
        for was, now in ((given.one, kept.one), (given.other, kept.other)):
            assert now.tobytes() == was.tobytes()
            assert (now.flags.c_contiguous, now.flags.f_contiguous) == (was.flags.c_contiguous, was.flags.f_contiguous)
        assert kept.name == "pair"
    pair = scratch.kept(Pair(draw, small))
    assert pair.other is small
    assert pair.one is not draw
    with pytest.raises(ValueError, match="read-only"):
        pair.one[0, 0] = 1.0


def shuffled(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.iloc[np.random.default_rng(3).permutation(len(frame))]


@pytest.mark.parametrize("keep", [canonical.__defaults__[0], scratch.side_by_side], ids=["memory", "file"])
def test_a_table_in_order_becomes_the_bytes_of_one_that_is_put_in_order(keep) -> None:  # type: ignore[no-untyped-def]
    """Evidence must not depend on how its rows came, nor on where its columns lay."""
    frame = large().head(40_000)
    ordered, other = canonical(frame, WIDE, keep), canonical(shuffled(frame), WIDE)
    assert encode(ordered) == encode(other)
    assert content_sha256(ordered) == content_sha256(other)
    twice = pd.concat([large().head(2), large().iloc[1:3]], ignore_index=True)
    with pytest.raises(StoreError, match="1 duplicates"):
        canonical(twice, WIDE, keep)


def test_rows_by_a_key_are_those_of_pandas() -> None:
    """`in_order`, with parts that overlap and a key that repeats."""
    parts = [shuffled(large(1).head(60_000)), shuffled(large(2).tail(60_000))]
    expected = pd.concat(parts, ignore_index=True).sort_values(["day", "name"], kind="stable", ignore_index=True)
    pd.testing.assert_frame_equal(scratch.in_order(parts, ("day", "name")), expected, check_exact=True)


def test_a_stored_table_is_read_as_without_files() -> None:
    """Column by column or at once: the same frame, types and all."""
    table = canonical(large(), WIDE)
    pd.testing.assert_frame_equal(scratch.frame_of(table), to_frame(table), check_exact=True)
    read = scratch.parquet_frame(encode(table))
    pd.testing.assert_frame_equal(read, to_frame(table), check_exact=True)
    assert scratch.held(read) == 0


@pytest.mark.parametrize("rows", [0, 1, PART_ROWS, PART_ROWS + 1])
def test_a_table_in_parts_is_the_text_of_the_whole(rows: int) -> None:
    """The body of a synthetic table stays what Arrow writes at once."""
    names = pa.array([f"a,{n % 7}" for n in range(rows)], type=pa.string())
    table = pa.table({"name": names.dictionary_encode(), "value": pa.array(np.arange(rows) / 7.0)})
    sink = io.BytesIO()
    plain = pa.table({"name": names, "value": table["value"]})
    csv.write_csv(plain, sink, csv.WriteOptions(include_header=True, quoting_style="needed"))
    assert csv_bytes(table) == sink.getvalue()


TYPES = {"name": pa.string(), "value": pa.float64()}


def test_a_text_in_parts_has_the_rows_of_the_whole() -> None:
    """A text of several pieces; and one of none has one part."""
    body = b"name,value\n" + b"".join(b"n%d,%d.5\n" % (n, n) for n in range(400_000))
    told = {"parser": CSV, "asked": {}, "where": "here"}
    parts = list(arrow_parts(memoryview(body), TYPES, {"name"}, **told))
    assert len(parts) > 1
    whole = pa.concat_tables(parts)
    assert whole.equals(arrow_rows(body, TYPES, {"name"}, **told))
    assert whole["value"].to_pylist()[-1] == 399_999.5
    assert [part.num_rows for part in arrow_parts(b"name,value\n", TYPES, {"name"}, **told)] == [0]


@pytest.mark.parametrize("at", [20, PIECE_BYTES - 1, PIECE_BYTES + 5])
def test_a_byte_that_is_no_text_is_found_in_every_piece(at: int) -> None:
    """Also a character that begins in one piece and breaks off in the next."""
    body = bytearray(b"name,value\n" + b"n,1\n" * (PIECE_BYTES // 2))
    good = bytes(body)
    good = good[: at - at % 4 + 3] + "é".encode() + good[at - at % 4 + 3 :]
    body[at] = 0xC3
    with pytest.raises(ProviderError, match="expected UTF-8"):
        arrow_rows(bytes(body), TYPES, set(), parser=CSV, asked={}, where="here")
    assert good.decode()


def test_a_body_is_judged_in_pieces_as_at_once(tmp_path: Path) -> None:
    """`check_blob` says what `get_blob` says, of a whole, an altered, a torn and a missing body."""
    objects, body = LocalObjects(tmp_path), os.urandom(3 << 20)
    name = objects.put_blob(body)
    objects.check_blob(name)
    path = tmp_path / blob_key(name)
    path.chmod(0o644)
    whole = path.read_bytes()
    for wrong in (gzip.compress(body[:-1]), whole[:-9], b"no gzip", whole + b"more"):
        path.write_bytes(wrong)
        with pytest.raises(StoreError) as told:
            objects.get_blob(name)
        with pytest.raises(StoreError, match=str(told.value)[:30]):
            objects.check_blob(name)
    path.unlink()
    with pytest.raises(MissingObject):
        objects.check_blob(name)
