"""A tiled log as C2SP tlog-tiles says: paths, widths, contents, and no damaged ledger written out as a whole one."""

from pathlib import Path

import naive_merkle as naive
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_resources.errors import LedgerError
from marketbot_resources.ledger.record import Row, record_leaf
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.ledger.tiles import TILE_WIDTH, Tiles, bundle, tile_path

FULL = TILE_WIDTH


@pytest.mark.parametrize(
    ("level", "number", "width", "path"),
    [
        (0, 0, FULL, "tile/0/000"),
        (0, 1234067, FULL, "tile/0/x001/x234/067"),
        (1, 1234067, 8, "tile/1/x001/x234/067.p/8"),
        ("entries", 1000, 255, "tile/entries/x001/000.p/255"),
        (63, 999, 1, "tile/63/999.p/1"),
    ],
)
def test_paths(level: int | str, number: int, width: int, path: str) -> None:
    """The examples of the specification, and its corners."""
    assert tile_path(level, number, width) == path


def rows(count: int) -> list[Row]:
    """Records of growing length."""
    records = [b'{"n":%d}' % number + b"x" * (number % 7) for number in range(count)]
    return [Row(number, "k", str(number), data, record_leaf(data)) for number, data in enumerate(records)]


def widths(count: int) -> dict[str, int]:
    """Path of every hash tile -> its number of hashes."""
    files = Tiles().files(rows(count))
    return {path: len(data) // 32 for path, data in files if not path.startswith("tile/entries/")}


def test_the_tree_of_70000_entries() -> None:
    """The example of the specification: 273 full tiles of level 0 and one of 112; one full of level 1, one of 17; one of 1."""
    found = widths(70_000)
    levels = [[path for path in found if path.startswith(f"tile/{level}/")] for level in range(4)]
    assert [len(paths) for paths in levels] == [274, 2, 1, 0]
    partial = {path: width for path, width in found.items() if width < FULL}
    assert partial == {"tile/0/273.p/112": 112, "tile/1/001.p/17": 17, "tile/2/000.p/1": 1}


def test_the_tree_of_256_entries() -> None:
    """One full tile, and one of a single hash above; none of no hash."""
    assert widths(256) == {"tile/0/000": 256, "tile/1/000.p/1": 1}
    assert widths(0) == {}


@settings(max_examples=12, deadline=None)
@given(st.one_of(st.integers(0, 40), st.integers(250, 262), st.integers(505, 520)))
def test_tiles_hold_the_hashes_of_the_definition(count: int) -> None:
    """MTH(D[(n*256+i)*256**l : (n*256+i+1)*256**l]), by the recursive definition; bundles hold the records; the root is MTH."""
    tiles, given_rows = Tiles(), rows(count)
    files = dict(tiles.files(given_rows))
    data = [row.record for row in given_rows]
    level = 0
    while 256**level <= len(data):
        span = 256**level
        hashes = [naive.head(data[at : at + span]) for at in range(0, len(data) // span * span, span)]
        for number in range(0, len(hashes), FULL):
            part = hashes[number : number + FULL]
            assert files.pop(tile_path(level, number // FULL, len(part))) == b"".join(part)
        level += 1
    for first in range(0, count, FULL):
        part = data[first : first + FULL]
        encoded = b"".join(bytes([len(record) >> 8, len(record) & 255]) + record for record in part)
        assert files.pop(tile_path("entries", first // FULL, len(part))) == encoded == bundle(part)
    assert files == {}
    assert tiles.root == naive.head(data)


def test_a_ledger_gives_its_rows(tmp_path: Path) -> None:
    """From the file itself, page by page; the root is the ledger's own."""
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    ledger.append_all([("fill", f"f{number}", {"n": number}) for number in range(300)])
    tiles = Tiles()
    files = dict(tiles.files(ledger.rows(0, 290)))
    assert tiles.root == ledger.root(290)
    assert sorted(files) == [
        "tile/0/000",
        "tile/0/001.p/34",
        "tile/1/000.p/1",
        "tile/entries/000",
        "tile/entries/001.p/34",
    ]


@pytest.mark.parametrize("place", [0, 3, 9])
def test_a_damaged_row_is_refused(place: int) -> None:
    """A record that does not have its hash is not written as if it did."""
    given_rows = rows(10)
    given_rows[place] = Row(place, "k", str(place), b"{}", given_rows[place].leaf)
    with pytest.raises(LedgerError, match=f"entry {place} "):
        list(Tiles().files(given_rows))


@pytest.mark.parametrize("place", [0, 3, 8])
def test_a_gap_is_refused(place: int) -> None:
    """Neither is a ledger from which a row is gone; only a signed head can tell that the last one is."""
    given_rows = rows(10)
    with pytest.raises(LedgerError, match=f"entry {place} "):
        list(Tiles().files(given_rows[:place] + given_rows[place + 1 :]))
