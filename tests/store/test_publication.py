"""`publish`: Delta tables beside the store that hold the newest versions, grow by what is new, and give back the stored bytes.

Read back by deltalake's own reader and by DuckDB over the table's list of files; the store itself is compared byte by byte.
"""

import datetime as dt
import json
import os
import threading
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner
from s3_world import seaweed
from services import S3

from marketbot_assets.cli import commands
from marketbot_resources.errors import HomeError, MarketbotError, UsageError
from marketbot_resources.store.content import sha256
from marketbot_resources.store.index import Origin
from marketbot_resources.store.lake import Lake, open_lake
from marketbot_resources.store.table import Column, Table

deltalake = pytest.importorskip("deltalake")

COLUMNS = (
    Column("name", "text", "n"),
    Column("value", "number", "v", nullable=True),
    Column("known_at", "instant", "k"),
    Column("day", "date", "d"),
    Column("fee", "decimal", "f"),
    Column("path", "numbers", "p"),
)
TABLE = Table("prices", "row", ("name",), COLUMNS)
WIDER = Table("prices", "row", ("name",), (*COLUMNS, Column("venue", "text", "v")))
CHANGED = Table("prices", "row", ("name",), (Column("name", "text", "n"), Column("value", "text", "v")))
KNOWN = dt.datetime(2018, 1, 2, 21, 30, 0, 123456, tzinfo=dt.UTC)
View = dict[str, object]


def frame(value: float | None, **more: object) -> pd.DataFrame:
    names = ["a", "ü"]
    rows = {"name": names, "value": [value, None], "known_at": [KNOWN] * 2, "day": [pd.Timestamp("2018-01-02")] * 2}
    return pd.DataFrame({**rows, "fee": ["1.25", "0.0000000001"], "path": [[0.1, 0.2], []], **more})


def commit(lake: Lake, value: float, part: str, table: Table = TABLE, at: str = "2018-01-03T00:00:00Z") -> str:
    rows = frame(value, venue="XNYS") if table is WIDER else frame(value)
    if table is CHANGED:
        rows = pd.DataFrame({"name": ["a"], "value": ["text"]})
    else:
        rows["fee"] = [Decimal(fee) for fee in rows["fee"]]
    return lake.commit(rows, table, part, reads=[], blobs=[], origin=Origin("run", "code", at, {})).file_sha256


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    """A home with two sessions of one asset, opened, cut off and ended."""
    from marketbot_resources.store import lake as module

    home = tmp_path / "home"
    monkeypatch.setenv("MARKETBOT_HOME", str(home))
    found = open_lake(home)
    found.ledger.append(
        "book_open", "book", {"session": "2018-01-02", "history_until_at": "2018-01-01T00:00:00Z", "opening": "cash"}
    )
    for number, day in enumerate(("2018-01-02", "2018-01-03")):
        found.ledger.append("session_cutoff", day, {"session": day, "cutoff_at": f"{day}T22:00:00Z"})
        commit(found, float(number), day, at=f"{day}T22:00:01Z" if number else "")  # a bootstrap asset has no instant
    found.ledger.append("session_end", "2018-01-02", {"state": "sent", "reason": ""})
    yield found
    module._LAKES.clear()


def publish(to: Path | str, *words: str, code: int = 0) -> View:
    done = CliRunner().invoke(commands, ["publish", "--to", str(to), *words, "--json"], standalone_mode=False)
    assert done.exception is None, repr(done.exception)
    assert done.return_value == code, done.output
    told: View = json.loads(done.output)
    return told


def counts(view: View) -> tuple[object, object]:
    return view["added"], view["replaced"]


def read(folder: Path | str, table: str = "prices", **options: object) -> list[dict[str, object]]:
    return list(
        pa.table(deltalake.DeltaTable(f"{folder}/{table}", **options).to_pyarrow_table()).sort_by("name").to_pylist()
    )


def tree(folder: Path) -> dict[str, tuple[str, int]]:
    """Every file below a folder: hash and mode."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (sha256(path.read_bytes()), path.stat().st_mode) for path in files}


def test_a_table_holds_the_stored_rows_and_a_second_publication_nothing_new(lake: Lake, tmp_path: Path) -> None:
    """Every value of every type comes back with its partition and its object; the files are the objects; the store is untouched."""
    store, to = lake.home / "store", tmp_path / "delta"
    before = tree(store)
    assert counts(publish(to)) == (3, 0)
    rows = read(to)
    hashes = {row.part: row.file_sha256 for row in lake.index.all_newest()}
    plain = {"known_at": KNOWN, "day": dt.date(2018, 1, 2)}
    zone = rows[0]["known_at"].tzinfo  # type: ignore[attr-defined]
    expected = [
        {
            "name": name,
            "value": value,
            **plain,
            "fee": Decimal(fee),
            "path": path,
            "partition_key": day,
            "object_sha256": hashes[day],
        }
        for name, fee, path in (("a", "1.25", [0.1, 0.2]), ("ü", "0.0000000001", []))
        for day, value in (("2018-01-02", 0.0), ("2018-01-03", 1.0))
    ]
    expected = [{**row, "value": None if row["name"] == "ü" else row["value"]} for row in expected]
    key = lambda row: (row["name"], row["partition_key"])  # noqa: E731
    assert sorted(rows, key=key) == sorted(expected, key=key)  # type: ignore[type-var]
    assert zone is not None
    copies = tree(to / "prices")
    assert {name: copies[f"{day}/{name}.parquet"][0] for day, name in hashes.items()} == {
        name: name for name in hashes.values()
    }
    assert counts(publish(to)) == (0, 0)
    assert len(deltalake.DeltaTable(to / "prices").history()) == 1
    assert tree(store) == before


def test_duckdb_reads_the_files_of_the_table(lake: Lake, tmp_path: Path) -> None:
    """An engine without Delta reads the list of files; the point-in-time question of docs/scale.md gives what a session knew."""
    to = tmp_path / "delta"
    publish(to)
    sql = """
        select p.name, p.value from read_parquet(?) as p, read_parquet(?) as s
        where s.session = date '2018-01-02' and p.known_at <= s.cutoff_at
        qualify row_number() over (partition by p.name order by p.known_at desc) = 1 order by p.name"""
    files = [deltalake.DeltaTable(to / name).file_uris() for name in ("prices", "sessions")]
    with duckdb.connect() as engine:
        found = engine.execute(sql, files).fetchall()
    assert [name for name, _ in found] == ["a", "ü"]


def test_a_new_session_is_one_file_and_a_restatement_replaces_one(lake: Lake, tmp_path: Path) -> None:
    """Incremental; the version before stays in the table's history and on the disk."""
    to = tmp_path / "delta"
    publish(to, "--assets", "prices")
    commit(lake, 7.0, "2018-01-04")
    assert counts(publish(to, "--assets", "prices")) == (1, 0)
    commit(lake, 9.0, "2018-01-03", at="2018-01-09T00:00:00Z")
    view = publish(to, "--assets", "prices")
    assert counts(view) == (1, 1)
    assert view["tables"] == [{"table": "prices", "version": 2, "added": 1, "replaced": 1, "new_columns": []}]
    values = {row["partition_key"]: row["value"] for row in read(to) if row["name"] == "a"}
    assert values == {"2018-01-02": 0.0, "2018-01-03": 9.0, "2018-01-04": 7.0}
    earlier = {row["partition_key"]: row["value"] for row in read(to, version=1) if row["name"] == "a"}
    assert earlier == {"2018-01-02": 0.0, "2018-01-03": 1.0, "2018-01-04": 7.0}


def test_sessions_say_what_was_known_when(lake: Lake, tmp_path: Path) -> None:
    """Cutoff and end of each session, and they are replaced as a whole when one more ends."""
    to = tmp_path / "delta"
    publish(to, "--assets", "sessions")
    lake.ledger.append("session_end", "2018-01-03", {"state": "halted", "reason": "x"})
    assert counts(publish(to, "--assets", "sessions")) == (1, 1)
    rows = pa.table(deltalake.DeltaTable(to / "sessions").to_pyarrow_table()).to_pylist()
    told = [(str(row["session"]), row["cutoff_at"].isoformat(), row["state"], row["reason"]) for row in rows]
    assert told == [
        ("2018-01-02", "2018-01-02T22:00:00+00:00", "sent", ""),
        ("2018-01-03", "2018-01-03T22:00:00+00:00", "halted", "x"),
    ]


def test_a_new_column_is_null_in_what_was_stored_before(lake: Lake, tmp_path: Path) -> None:
    """The table's columns grow; a column of another type is refused in one line, and nothing of it is visible."""
    to = tmp_path / "delta"
    publish(to, "--assets", "prices")
    commit(lake, 7.0, "2018-01-04", WIDER)
    view = publish(to, "--assets", "prices")
    assert isinstance(view["tables"], list)
    assert view["tables"][0]["new_columns"] == ["venue"]
    assert {(row["partition_key"], row["venue"]) for row in read(to)} == {
        ("2018-01-02", None), ("2018-01-03", None), ("2018-01-04", "XNYS"),
    }  # fmt: skip
    commit(lake, 0.0, "2018-01-05", CHANGED)
    refused = publish(to, "--assets", "prices", code=1)
    assert "expected column value as" in str(refused["faults"])
    assert len(read(to)) == 6


def test_links_share_the_bytes_and_leave_the_objects_as_they_are(lake: Lake, tmp_path: Path) -> None:
    """`--link`: the same file on the disk, read-only as before; removing the published folder takes nothing from the store."""
    before, to = tree(lake.home / "store"), tmp_path / "delta"
    publish(to, "--link")
    row = lake.index.all_newest()[0]
    assert os.path.samefile(lake.home / "store" / row.uri, to / "prices" / row.part / f"{row.file_sha256}.parquet")
    assert tree(lake.home / "store") == before
    assert len(read(to)) == 4


def refusal(words: Sequence[str]) -> str:
    """The one line of a command that could not start."""
    done = CliRunner().invoke(commands, ["publish", *words], standalone_mode=False)
    assert isinstance(done.exception, MarketbotError), repr(done.exception)
    return str(done.exception)


def test_the_store_is_no_place_to_publish_to(lake: Lake, tmp_path: Path) -> None:
    """Nor a folder above or below it, nor an unknown asset, nor an address that is none."""
    store, before = lake.home / "store", tree(lake.home)
    for place in (store, store / "prices", lake.home, tmp_path):
        assert f"expected a place beside the store {store}/" in refusal(["--to", str(place)])
    assert "expected assets that this home has stored, found nothing" in refusal(
        ["--to", str(tmp_path / "d"), "--assets", "nothing"]
    )
    assert "expected s3://bucket/prefix" in refusal(["--to", "s3://B?x"])
    assert "--link: expected a folder" in refusal(["--to", "s3://bucket/x", "--link"])
    assert tree(lake.home) == before


def test_a_table_of_another_home_or_with_files_of_others_is_left_alone(lake: Lake, tmp_path: Path) -> None:
    """Another book, a home older than the table, a compacted table, a partition that this home lacks: a fault, no change."""
    from marketbot_resources.publication import Piece, open_target

    to = tmp_path / "delta"
    publish(to, "--assets", "prices")
    place = open_target(str(to), lake.objects)
    rows = lake.index.all_newest()
    pieces = [Piece(row.part, row.file_sha256, row.rows, row.written_at) for row in rows]
    entry = lake.ledger.get("book_open", "book")
    assert entry is not None

    def again(pieces: Sequence[Piece], home: str = entry.hash, number: int = 99) -> None:
        place.publish("prices", pieces, lambda piece: b"", home=home, number=number)

    again(pieces)
    for refused, why in (
        (lambda: again(pieces, home="other"), "expected a table of this home"),
        (lambda: again(pieces, number=1), "expected nothing newer than this home"),
        (lambda: again(pieces[1:]), "partition 2018-01-02 is not this home's"),
    ):
        with pytest.raises(MarketbotError, match=why):
            refused()
    deltalake.write_deltalake(to / "prices", deltalake.DeltaTable(to / "prices").to_pyarrow_table(), mode="overwrite")
    with pytest.raises(MarketbotError, match="was put there by something else"):
        again(pieces)


def test_an_altered_object_is_a_fault_and_the_other_tables_are_published(lake: Lake, tmp_path: Path) -> None:
    """What the store gives is verified; nothing of the altered table becomes visible."""
    row = lake.index.all_newest()[0]
    path = lake.home / "store" / row.uri
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    view = publish(tmp_path / "delta", code=1)
    assert "was altered" in str(view["faults"])
    assert [one["table"] for one in view["tables"]] == ["sessions"]  # type: ignore[attr-defined]
    assert not (tmp_path / "delta" / "prices" / "_delta_log").exists()


@pytest.mark.long
def test_two_publications_at_once_add_every_file_once(lake: Lake, tmp_path: Path) -> None:
    """Whoever is second is told to ask again, or finds everything there; no row is twice."""
    to = tmp_path / "delta"
    publish(to, "--assets", "prices")
    for number in range(4, 14):
        commit(lake, float(number), f"2018-01-{number:02}")
    from marketbot_assets.commands.publish import publish as bring

    failures: list[BaseException] = []

    def one() -> None:
        try:
            bring(str(to), ["prices"])
        except HomeError as error:
            failures.append(error)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failures) < 4
    publish(to, "--assets", "prices")
    assert len(read(to)) == 2 * 12


@pytest.mark.s3
@pytest.mark.long
def test_a_bucket_holds_the_same_tables(lake: Lake, s3: S3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """s3://: files by conditional puts, the log by the library's own; a second publication adds nothing, a restatement one file."""
    from marketbot_resources.publication import bucket_options

    door = seaweed(s3)
    door.use(monkeypatch)
    to = f"s3://{door.bucket()}/lake"
    assert counts(publish(to)) == (3, 0)
    assert counts(publish(to)) == (0, 0)
    commit(lake, 9.0, "2018-01-03", at="2018-01-09T00:00:00Z")
    assert counts(publish(to)) == (1, 1)
    rows = read(to, storage_options=bucket_options())
    assert {row["partition_key"]: row["value"] for row in rows if row["name"] == "a"} == {
        "2018-01-02": 0.0,
        "2018-01-03": 9.0,
    }


def test_without_the_library_it_is_one_line(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named."""
    import importlib.util

    from marketbot_resources.publication import open_target

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "deltalake" else found(name))
    with pytest.raises(UsageError, match=r"install the extra delta: marketbot\[delta\]"):
        open_target(str(tmp_path / "d"), lake.objects)
