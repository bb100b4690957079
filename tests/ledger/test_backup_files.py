"""Rows of PostgreSQL go into files and back with the same tree; a list of hashes finds what is missing, altered or new."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from ledger_shelves import Shelf
from services import Postgres

from marketbot_assets.commands.backup_files import (
    check_sums,
    copy_index,
    copy_ledger,
    copy_sqlite,
    move_index,
    others,
    write_sums,
)
from marketbot_resources.errors import HomeError, LedgerError, UsageError
from marketbot_resources.ledger.examine import examine
from marketbot_resources.ledger.record import Row
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.migrations.migrate import install
from marketbot_resources.store.index import BlobRow, IndexRow
from marketbot_resources.store.index_postgres import PostgresIndex
from marketbot_resources.store.index_sqlite import SqliteIndex

ROW = IndexRow("bars", "2018-12-12", "f1", "c1", "bars/f1", 3, 99, "s", "m1", "run", "code", "2018-12-12T00:00:00Z")
BODY = BlobRow("b1", "tiingo", "https://x", 200, "text/csv", 7, "2018-12-12T00:00:00Z", "run", "bars", "2018-12-12")


def test_a_ledger_goes_into_a_file_and_back(shelf: Shelf, tmp_path: Path) -> None:
    """Same entries, tree and checkpoints; what is appended meanwhile is not in it; going back may be repeated."""
    ledger = shelf.fresh()()
    ledger.append_all([("k", f"{n}", {"text": "\u00e9\u0001 \U0001f600", "n": n}) for n in range(11)])
    ledger.keep_checkpoint(4, "of four")
    ledger.keep_checkpoint(11, "of eleven")
    copy_ledger(ledger, tmp_path)
    head = ledger.head()
    ledger.append("k", "later", {})
    copy = SqliteLedger(tmp_path / "ledger.sqlite")
    assert (copy.head(), copy.checkpoints()) == (head, [(4, "of four"), (11, "of eleven")])
    assert examine(copy).faults == ()
    back = shelf.fresh()()
    assert back.take_over(copy.rows(0, 5)) == 5
    assert back.take_over(copy.rows()) == 11
    assert back.head() == head
    assert list(back.rows()) == list(copy.rows())
    other = shelf.fresh()()
    other.append("k", "another", {})
    with pytest.raises(LedgerError, match="expected entry 0 of the backup, found it as 1"):
        other.take_over(copy.rows())


def test_a_row_whose_hash_is_another_one_is_refused(shelf: Shelf) -> None:
    """The database hashes what it is given: a leaf in the backup that was changed is seen."""
    source = shelf.fresh()()
    source.append("k", "a", {})
    (row,) = source.rows()
    with pytest.raises(LedgerError, match="expected entry 0 of the backup"):
        shelf.fresh()().take_over([Row(row.seq, row.kind, row.key, row.record, b"\0" * 32)])


@pytest.mark.postgres
def test_an_index_goes_into_a_file_and_back(postgres: Postgres, tmp_path: Path) -> None:
    """Same numbers; an index that began otherwise is refused."""
    indexes = []
    for _ in range(2):
        database = postgres.database()
        install(postgres.url("postgres", database))
        postgres.login("index_writer")
        indexes.append(PostgresIndex(postgres.url("index_writer", database)))
    source, target = indexes
    source.add_all([replace(ROW, part=f"{n}") for n in range(7)])
    source.add_blobs([replace(BODY, blob_sha256=f"{n}") for n in range(3)])
    copy_index(source, tmp_path)
    copy = SqliteIndex(tmp_path / "index.sqlite", read_only=True)
    assert (copy.numbered(), copy.numbered_blobs()) == (source.numbered(), source.numbered_blobs())
    target.add_all([row for _, row in copy.numbered()][:2])
    move_index(copy, target)
    move_index(copy, target)
    assert (target.numbered(), target.numbered_blobs()) == (source.numbered(), source.numbered_blobs())
    target.add(replace(ROW, part="later"))
    with pytest.raises(HomeError, match="expected the beginning of the backup's versions in database"):
        move_index(copy, target)
    for index in indexes:
        index.close()


def test_a_database_that_is_written_is_copied_whole(tmp_path: Path) -> None:
    """A transaction that is open is not in the copy, and the copy is no part of one."""
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    ledger.append_all([("k", f"{n}", {}) for n in range(100)])
    with ledger._database.transaction() as connection:
        connection.execute("insert into checkpoint values (1, 'not yet')")
        copy_sqlite(tmp_path / "ledger.sqlite", tmp_path / "copy.sqlite")
    copy = SqliteLedger(tmp_path / "copy.sqlite")
    assert (copy.head(), copy.checkpoints()) == (ledger.head(), [])


def test_what_is_not_copied(tmp_path: Path) -> None:
    """Signer (wherever it lies), Dagster, caches, locks and marks; the two databases are copied by their own means."""
    for name in ("signer", "keys", "dagster", "store-cache", "store"):
        (tmp_path / name).mkdir()
    for name in (
        "ledger.sqlite",
        "index.sqlite",
        "ledger.postgres",
        "broker.sqlite",
        "HALT",
        "x.lock",
        "x.sqlite-wal",
        ".writable",
    ):
        (tmp_path / name).write_text("")
    (tmp_path / "daemon.log").write_text("")
    assert [path.name for path in others(tmp_path, tmp_path / "keys")] == ["HALT", "broker.sqlite", "store"]


@pytest.fixture
def summed(tmp_path: Path) -> Path:
    """A folder with its list of hashes."""
    folder = tmp_path / "backup"
    (folder / "home" / "store").mkdir(parents=True)
    (folder / "mandate.yaml").write_text("a: 1\n")
    (folder / "home" / "store" / "x y").write_bytes(b"\0" * 9)
    assert write_sums(folder) == 2
    return folder


def test_the_list_of_hashes_is_read_by_others(summed: Path) -> None:
    """By coreutils, without us."""
    program = shutil.which("sha256sum")
    assert program is not None
    done = subprocess.run([program, "--strict", "-c", "SHA256SUMS"], cwd=summed, capture_output=True, text=True)
    assert (done.returncode, done.stdout.count(": OK")) == (0, 2)
    assert check_sums(summed) == 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda folder: (folder / "mandate.yaml").unlink(), "expected mandate.yaml, found none"),
        (lambda folder: (folder / "home" / "store" / "x y").write_bytes(b"\0" * 8), "found it altered"),
        (lambda folder: (folder / "home" / "extra").write_text(""), "expected no home/extra, found one"),
        (lambda folder: (folder / "SHA256SUMS").unlink(), "expected a backup with SHA256SUMS"),
    ],
    ids=["missing", "altered", "new", "no list"],
)
def test_a_backup_that_is_not_what_was_written_is_refused(change: object, told: str, summed: Path) -> None:
    """With the first file that differs."""
    change(summed)  # type: ignore[operator]
    with pytest.raises(UsageError, match=told):
        check_sums(summed)
