"""Objects are written once, the index only grows, a commit that changes nothing adds nothing, an altered byte is found."""

import datetime as dt
import multiprocessing
import os
import sqlite3
from pathlib import Path

import pandas as pd
import pytest

from marketbot_resources.errors import HomeError, StoreError
from marketbot_resources.store.index import Origin, Read
from marketbot_resources.store.lake import Lake
from marketbot_resources.store.objects import LocalObjects
from marketbot_resources.store.reader import Reader
from marketbot_resources.store.table import Column, Table

PRICES = Table(
    "prices",
    "row",
    ("name",),
    (Column("name", "text", "n"), Column("value", "number", "v"), Column("known_at", "instant", "k")),
)
HISTORY = Table("price_history", "row", ("name",), PRICES.columns)
ORIGIN = Origin("run-1", "code-1", "2018-01-02T00:00:00Z", {})
DAYS = [dt.date(2018, 1, 2), dt.date(2018, 1, 3), dt.date(2018, 1, 4)]


def rows(value: float) -> pd.DataFrame:
    return pd.DataFrame({"name": ["a"], "value": [value], "known_at": [dt.datetime(2018, 1, 2, tzinfo=dt.UTC)]})


def commit(lake: Lake, value: float, part: str, table: Table = PRICES, origin: Origin = ORIGIN) -> str:
    return lake.commit(rows(value), table, part, reads=[], blobs=[], origin=origin).file_sha256


def test_a_restatement_adds_a_version_and_keeps_the_old_one(tmp_path: Path) -> None:
    """The past does not change: the old object can still be read by its name."""
    lake = Lake(tmp_path)
    first = commit(lake, 1.0, "2018-01-02")
    second = commit(lake, 2.0, "2018-01-02")
    newest = lake.index.newest("prices", "2018-01-02")
    old = lake.index.by_file("prices", "2018-01-02", first)
    assert newest is not None
    assert old is not None
    assert newest.file_sha256 == second
    assert lake.load(old)["value"].tolist() == [1.0]


def test_committing_the_same_again_adds_nothing(tmp_path: Path) -> None:
    """A re-run is a no-op; other inputs or other code are a new version even when the bytes agree."""
    lake = Lake(tmp_path)
    commit(lake, 1.0, "2018-01-02")
    commit(lake, 1.0, "2018-01-02", origin=Origin("run-2", "code-1", "later", {}))
    assert len(lake.index.all_newest()) == 1
    before = lake.objects.count()
    lake.commit(rows(1.0), PRICES, "2018-01-02", reads=[Read("x", "static", "f", "c", "m")], blobs=[], origin=ORIGIN)
    assert lake.objects.count() == before + 1


def test_index_rows_cannot_be_changed(tmp_path: Path) -> None:
    """The index is append-only, by trigger."""
    lake = Lake(tmp_path)
    commit(lake, 1.0, "2018-01-02")
    connection = sqlite3.connect(tmp_path / "index.sqlite")
    for statement in ("update lake_index set rows = 7", "delete from lake_index"):
        with pytest.raises(sqlite3.IntegrityError, match="append only"):
            connection.execute(statement)
    connection.close()


def test_an_altered_object_is_found(tmp_path: Path) -> None:
    """An object is what its name says or it is refused."""
    lake = Lake(tmp_path)
    commit(lake, 1.0, "2018-01-02")
    path = next((tmp_path / "store" / "prices").rglob("*.parquet"))
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(StoreError, match="altered"):
        Lake(tmp_path).load(lake.index.newest("prices", "2018-01-02"))  # type: ignore[arg-type]


def test_blobs_keep_the_body_as_received(tmp_path: Path) -> None:
    """A body comes back byte for byte under its own hash."""
    objects = LocalObjects(tmp_path)
    body = b"a,b\n1,2\n" * 100
    assert objects.get_blob(objects.put_blob(body)) == body


def test_reader_reads_only_what_is_declared(tmp_path: Path) -> None:
    """An object of an asset that is not in deps cannot be read."""
    lake = Lake(tmp_path)
    commit(lake, 1.0, "2018-01-02")
    with pytest.raises(StoreError, match="not declared"):
        Reader(lake, DAYS[0], allowed={"fx"}).read("prices")


def test_panel_joins_bootstrap_and_partitions_and_never_looks_ahead(tmp_path: Path) -> None:
    """A panel ends with its session; `previous` skips holes."""
    lake = Lake(tmp_path)
    commit(lake, 0.0, "static", HISTORY)
    for value, day in enumerate((DAYS[0], DAYS[2]), start=1):
        commit(lake, float(value), day.isoformat())
    allowed = {"prices", "price_history"}
    assert Reader(lake, DAYS[1], allowed=allowed).panel("prices")["value"].tolist() == [0.0, 1.0]
    assert Reader(lake, DAYS[2], allowed=allowed).panel("prices")["value"].tolist() == [0.0, 1.0, 2.0]
    assert Reader(lake, DAYS[2], allowed=allowed).panel("prices", 1)["value"].tolist() == [2.0]
    assert Reader(lake, DAYS[2], allowed=allowed).previous("prices")["value"].tolist() == [1.0]  # type: ignore[index]
    assert Reader(lake, DAYS[0], allowed=allowed).previous("prices") is None


def test_pinned_reader_sees_the_pinned_versions(tmp_path: Path) -> None:
    """A replay reads what was read then, not what is newest now."""
    lake = Lake(tmp_path)
    commit(lake, 1.0, "2018-01-02")
    first = lake.index.newest("prices", "2018-01-02")
    assert first is not None
    commit(lake, 2.0, "2018-01-02")
    reader = Reader(lake, DAYS[0], allowed=None, pins={("prices", "2018-01-02"): first.manifest_sha256})
    assert reader.read("prices")["value"].tolist() == [1.0]


def test_a_pinned_version_that_is_gone_is_an_error_not_an_absence(tmp_path: Path) -> None:
    """A replay must not go on with fewer partitions than were read; what was never read does not exist for it."""
    lake = Lake(tmp_path)
    commit(lake, 1.0, "2018-01-02")
    reader = Reader(lake, DAYS[0], allowed=None, pins={("prices", "2018-01-02"): "0" * 64})
    with pytest.raises(StoreError, match="expected version 000000000000 in the index"):
        reader.panel("prices", 1)
    assert Reader(lake, DAYS[0], allowed=None, pins={}).has("prices") is False


def test_a_frame_handed_out_cannot_spoil_the_next_reader(tmp_path: Path) -> None:
    """Readers get their own frame."""
    lake = Lake(tmp_path)
    commit(lake, 1.0, "2018-01-02")
    row = lake.index.newest("prices", "2018-01-02")
    assert row is not None
    taken = lake.load(row)
    taken.loc[0, "value"] = 99.0
    assert lake.load(row)["value"].tolist() == [1.0]


def test_home_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """A home that is a file is refused with one line."""
    (tmp_path / "home").write_text("x")
    with pytest.raises(HomeError, match="expected to write"):
        Lake(tmp_path / "home")


def _write_forever(folder: str, started: object) -> None:
    objects = LocalObjects(Path(folder))
    number = 0
    while True:
        objects.put(f"a/{number}", os.urandom(200_000))
        number += 1
        started.set()  # type: ignore[attr-defined]


def test_kill_during_writes_leaves_no_torn_object(tmp_path: Path) -> None:
    """kill -9 at any instant leaves whole objects or temporary files, never half an object under its name."""
    for _ in range(8):
        started = multiprocessing.get_context("fork").Event()
        process = multiprocessing.get_context("fork").Process(target=_write_forever, args=(str(tmp_path), started))
        process.start()
        started.wait(10)
        process.kill()
        process.join()
    sizes = {
        path.stat().st_size for path in tmp_path.rglob("*") if path.is_file() and not path.name.startswith(".tmp-")
    }
    assert sizes == {200_000}
