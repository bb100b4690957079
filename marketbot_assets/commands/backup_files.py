"""What a backup is made of: files as they are, SQLite by its own means, rows of PostgreSQL into SQLite, and the list of hashes.

    FOLDER/backup.json   when, of what, how many entries, the root
    FOLDER/SHA256SUMS    as `sha256sum -c` reads it, over everything else
    FOLDER/mandate.yaml
    FOLDER/home/         a home that `marketbot verify` reads: whatever the installation's databases are, these are files

The signer's folder is never in it: an older head beside a newer anchor is what an attacker wants. Dagster's runs are not in it,
either: they prove nothing. Not here: whether the copy is good (`backup`).
"""

import hashlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from marketbot_resources.errors import HomeError, UsageError
from marketbot_resources.ledger.opening import FILE as LEDGER_FILE
from marketbot_resources.ledger.opening import MARK as LEDGER_MARK
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.store.index import BlobRow, Index, IndexRow
from marketbot_resources.store.index_opening import FILE as INDEX_FILE
from marketbot_resources.store.index_opening import MARK as INDEX_MARK
from marketbot_resources.store.index_sqlite import SqliteIndex

HOME, NOTE, SUMS, MANDATE = "home", "backup.json", "SHA256SUMS", "mandate.yaml"
NOT_OURS = ("signer", "dagster", "store-cache", LEDGER_MARK, INDEX_MARK)
_BATCH = 500
Row = TypeVar("Row", IndexRow, BlobRow)


def copy_ledger(ledger: Ledger, folder: Path) -> None:
    """The ledger's entries and checkpoints up to its size now, into a file that has the same tree."""
    size = ledger.size()
    copy = SqliteLedger(folder / LEDGER_FILE)
    copy.take_over(ledger.rows(0, size))
    for of, note in ledger.checkpoints():
        if of <= size:
            copy.keep_checkpoint(of, note)


def copy_index(index: Index, folder: Path) -> None:
    """The index's rows, into a file that gives them the same numbers."""
    SqliteIndex(folder / INDEX_FILE).close()
    copy = SqliteIndex(folder / INDEX_FILE)
    move_index(index, copy)
    copy.close()


def move_index(source: Index, target: Index) -> None:
    """Adds what the target does not have yet. Raises HomeError when the target is no beginning of the source."""
    _move("versions", target.where, source.numbered(), target.numbered(), target.add_all)
    _move("bodies", target.where, source.numbered_blobs(), target.numbered_blobs(), target.add_blobs)


def _move(
    what: str,
    where: str,
    source: list[tuple[int, Row]],
    known: list[tuple[int, Row]],
    add: Callable[[Sequence[Row]], None],
) -> None:
    if known != source[: len(known)]:
        raise HomeError(f"index: expected the beginning of the backup's {what} in {where}, found others")
    rows = [row for _, row in source[len(known) :]]
    for first in range(0, len(rows), _BATCH):
        add(rows[first : first + _BATCH])


def copy_sqlite(source: Path, target: Path) -> None:
    """One database by SQLite's own means: whole, also while somebody writes."""
    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as old,
        closing(sqlite3.connect(target)) as new,
    ):
        old.backup(new)


def others(home: Path, signer: Path) -> Iterator[Path]:
    """What else lies in a home, files before folders, sorted: all but the two databases above and what is not ours to copy."""
    skipped = {*NOT_OURS, LEDGER_FILE, INDEX_FILE}
    found = [path for path in home.iterdir() if path.name not in skipped and path.resolve() != signer]
    yield from sorted((path for path in found if _kept(path)), key=lambda path: (path.is_dir(), path.name))


def _kept(path: Path) -> bool:
    return not path.name.endswith((".lock", "-journal", "-wal", "-shm", ".log")) and not path.name.startswith(".")


def copy_other(path: Path, folder: Path) -> None:
    """One file or folder of a home."""
    if path.suffix == ".sqlite" and path.is_file():
        copy_sqlite(path, folder / path.name)
    elif path.is_dir():
        shutil.copytree(path, folder / path.name, symlinks=True)
    else:
        shutil.copy2(path, folder / path.name)


def write_sums(folder: Path) -> int:
    """Writes the list of hashes and returns how many files it names."""
    lines = [f"{_digest(path)}  {path.relative_to(folder).as_posix()}\n" for path in _files(folder)]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")
    return len(lines)


def check_sums(folder: Path) -> int:
    """How many files a backup has, each as the list says. Raises UsageError with the first that is missing, altered or new."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{folder}: expected a backup with {SUMS}, found none; it is not whole") from error
    known = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    found = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    for name in sorted(known.keys() | found.keys()):
        if name not in found:
            raise UsageError(f"{folder}: expected {name}, found none; take an older backup")
        if name not in known:
            raise UsageError(f"{folder}: expected no {name}, found one; a backup is never added to")
        if _digest(found[name]) != known[name]:
            raise UsageError(f"{folder}: expected {name} as it was written, found it altered; take an older backup")
    return len(found)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / SUMS)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
