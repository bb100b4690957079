"""One suite for the index in a file and in PostgreSQL: what is the newest, in which order, and that nothing is ever changed."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from services import Postgres

from marketbot_resources.errors import HomeError
from marketbot_resources.migrations.migrate import install
from marketbot_resources.store.index import BlobRow, Index, IndexRow
from marketbot_resources.store.index_opening import has_index, open_index
from marketbot_resources.store.index_postgres import PostgresIndex
from marketbot_resources.store.index_sqlite import SqliteIndex

Open = Callable[..., Index]
ROW = IndexRow("bars", "2018-12-12", "f1", "c1", "bars/f1", 3, 99, "s", "m1", "run", "code", "2018-12-12T00:00:00Z")
BODY = BlobRow(
    "b1", "tiingo", "https://x/?a=%s", 200, "text/csv", 7, "2018-12-12T00:00:00Z", "run", "bars", "2018-12-12"
)


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> str:
    """A database with our schemas, whose roles may log in."""
    name = postgres.database()
    install(postgres.url("postgres", name))
    for role in ("index_writer", "index_reader"):
        postgres.login(role)
    return name


def empty(postgres: Postgres, database: str) -> None:
    """A superuser takes the triggers off."""
    tables = ("lake_index", "blob_index", "head")
    off = [f"alter table store.{table} disable trigger user" for table in tables]
    on = [f"alter table store.{table} enable always trigger stays" for table in tables]
    rows = [
        "delete from store.lake_index; delete from store.blob_index; update store.head set versions = 0, bodies = 0"
    ]
    postgres.execute("; ".join([*off, *rows, *on, "alter table store.head enable always trigger grows"]), database)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """What opens one empty index, again with each call."""
    made: list[Index] = []
    if request.param == "postgres":
        server, name = request.getfixturevalue("postgres"), request.getfixturevalue("database")
        empty(server, name)

    def new(*, read_only: bool = False) -> Index:
        if request.param == "sqlite":
            made.append(SqliteIndex(tmp_path / "index.sqlite", read_only=read_only))
        else:
            made.append(PostgresIndex(server.url("index_writer", name), read_only=read_only))
        return made[-1]

    yield new
    for index in made:
        index.close()


def test_an_empty_index_knows_nothing(opened: Open) -> None:
    """No row, no error."""
    index = opened()
    assert (index.newest("bars", "2018-12-12"), index.all_newest(), index.size(), index.named()) == (None, [], 0, 0)
    assert (index.numbered(), index.numbered_blobs(), index.begins("f", 5)) == ([], [], ([], []))


def test_the_newest_version_is_the_last_that_was_added(opened: Open) -> None:
    """Per partition; also for another process, and for what is equal in all but its number."""
    index, other = opened(), opened()
    second = replace(ROW, file_sha256="f2", manifest_sha256="m2", uri="bars/f2")
    for row in (ROW, second, replace(ROW, part="2018-12-13"), ROW):
        index.add(row)
    assert other.newest("bars", "2018-12-12") == ROW
    assert other.by_file("bars", "2018-12-12", "f2") == second
    assert other.by_manifest("bars", "2018-12-12", "m2") == second
    assert other.by_file("bars", "2018-12-13", "f2") is None
    assert [number for number, _ in other.numbered()] == [1, 2, 3, 4]
    assert other.numbered(after=2) == [(3, replace(ROW, part="2018-12-13")), (4, ROW)]
    assert (other.size(), other.named()) == (4, 2 + 2)
    assert other.of_part("2018-12-13") == {"bars": replace(ROW, part="2018-12-13")}


def test_partitions_of_more_than_one_content_are_told_whole(opened: Open) -> None:
    """All their versions with their numbers, by partition, oldest first; the same content twice is no restatement."""
    index = opened()
    other, later = replace(ROW, content_sha256="c2"), replace(ROW, part="2018-12-11", content_sha256="c3")
    index.add_all([ROW, replace(ROW, part="2018-12-13"), replace(ROW, part="2018-12-11"), other, ROW, later])
    index.add_all([replace(ROW, part="2018-12-13", run_id="again"), replace(other, asset="fx")])
    assert index.restated("bars") == [(3, replace(ROW, part="2018-12-11")), (6, later), (1, ROW), (4, other), (5, ROW)]
    assert index.restated("fx") == index.restated("none") == []


def test_keys_are_compared_by_their_code_points(opened: Open) -> None:
    """Upper case before lower, a dash before a digit, letters beyond ASCII last: as Python sorts, whatever the locale."""
    parts = ["a", "B", "2018-12-13", "2018-12-12", "2018-12-1", "_", "é", "static", "Z-1", "Z1"]
    index = opened()
    index.add_all([replace(ROW, part=part) for part in parts])
    assert [row.part for row in index.all_newest()] == sorted(parts)
    assert [row.part for row in index.up_to("bars", "Z-1")] == [part for part in sorted(parts) if part <= "Z-1"]
    assert index.before("bars", "Z-1") == replace(ROW, part="B")
    assert index.before("bars", "2018-12-1") is None
    assert [row.part for row in index.up_to("bars", "B", inclusive=False)] == [p for p in sorted(parts) if p < "B"]


def test_hashes_are_found_by_their_beginning(opened: Open) -> None:
    """Newest first, at most so many; of file, content, manifest or body; a wildcard is a letter like any other."""
    index = opened()
    rows = [replace(ROW, file_sha256=f"ab{n}", manifest_sha256=f"e{n}", content_sha256=f"c{n}") for n in range(3)]
    index.add_all(rows)
    index.add_blobs([replace(BODY, blob_sha256=f"ab{n}") for n in range(2)])
    found, bodies = index.begins("ab", 2)
    assert (found, [body.blob_sha256 for body in bodies]) == (rows[:0:-1], ["ab1", "ab0"])
    assert index.begins("e1", 9)[0] == [rows[1]]
    assert index.begins("%", 9) == ([], [])


def test_bodies_keep_their_order_and_every_sign(opened: Open) -> None:
    """Question marks and percent signs of an address are data."""
    index = opened()
    rows = [replace(BODY, blob_sha256=name, url=f"https://x/?q={name}%20?", bytes=2**40) for name in ("b", "a", "b")]
    index.add_blobs(rows)
    assert index.blobs("bars", "2018-12-12") == rows
    assert index.numbered_blobs(after=1) == [(2, rows[1]), (3, rows[2])]
    index.add_all([])
    index.add_blobs([])
    assert (index.size(), len(index.numbered_blobs())) == (0, 3)


def test_a_batch_is_added_as_a_whole_or_not_at_all(opened: Open) -> None:
    """A row that the database refuses takes its batch with it, and the next one goes on."""
    index = opened()
    index.add(ROW)
    with pytest.raises(HomeError, match="index: expected"):
        index.add_all([replace(ROW, part="x"), replace(ROW, part=None)])  # type: ignore[arg-type]
    index.add(replace(ROW, part="y"))
    assert [(number, row.part) for number, row in index.numbered()] == [(1, "2018-12-12"), (2, "y")]


def test_who_reads_only_cannot_add(opened: Open) -> None:
    """Refused by the database itself."""
    opened().add(ROW)
    reader = opened(read_only=True)
    assert reader.newest("bars", "2018-12-12") == ROW
    for add in (lambda: reader.add(ROW), lambda: reader.add_blobs([BODY])):
        with pytest.raises(HomeError, match=r"read-?only"):
            add()


def test_many_add_at_once(opened: Open) -> None:
    """Numbers without gaps, each row once; who reads on from a number that it has seen misses none."""
    indexes = [opened() for _ in range(3)]

    def add(which: int) -> None:
        for n in range(15):
            indexes[which].add(replace(ROW, part=f"{which}-{n}"))

    writers = [threading.Thread(target=add, args=(which,)) for which in range(3)]
    for writer in writers:
        writer.start()
    reader, seen = opened(), list[tuple[int, IndexRow]]()
    while any(writer.is_alive() for writer in writers):
        seen += reader.numbered(after=seen[-1][0] if seen else 0)
    seen += reader.numbered(after=seen[-1][0] if seen else 0)
    assert [number for number, _ in seen] == list(range(1, 46))
    assert sorted(row.part for _, row in seen) == sorted(f"{w}-{n}" for w in range(3) for n in range(15))


def test_the_file_is_only_added_to(tmp_path: Path) -> None:
    """By triggers, for who has the file open beside us."""
    SqliteIndex(tmp_path / "i").add(ROW)
    connection = sqlite3.connect(tmp_path / "i")
    for statement in ("update lake_index set part = 'x'", "delete from lake_index"):
        with pytest.raises(sqlite3.IntegrityError, match="append only"):
            connection.execute(statement)
    connection.close()


WRITES = (
    "insert into store.lake_index select 9, asset, part, file_sha256, content_sha256, uri, rows, bytes, schema_sha256, "
    "manifest_sha256, run_id, code_version, written_at from store.lake_index",
    "update store.lake_index set part = 'x'",
    "delete from store.lake_index",
    "truncate store.blob_index",
    "update store.head set versions = 0",
    "drop table store.lake_index",
    "alter table store.lake_index disable trigger all",
    "create table store.mine (a int)",
    "set role index_owner",
    "insert into marketbot.schema_migrations values (99, 'x', repeat('0', 64))",
)


@pytest.mark.postgres
@pytest.mark.parametrize("role", ["index_writer", "index_reader"])
def test_no_role_at_run_time_changes_a_row(role: str, postgres: Postgres, database: str) -> None:
    """Neither directly nor by the owner's right; the reader cannot add, and neither of them sees the ledger."""
    empty(postgres, database)
    writer = PostgresIndex(postgres.url("index_writer", database))
    writer.add(ROW)
    writer.close()
    more = ("select * from ledger.entry", "select ledger.append('k', 'a', '{}')")
    adds = ("select store.add_bodies('{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')",)
    with psycopg.connect(postgres.url(role, database), autocommit=True) as connection:
        for statement in (*WRITES, *more, *(adds if role == "index_reader" else ())):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())
        assert connection.execute("select count(*) from store.lake_index").fetchone() == (1,)


@pytest.mark.postgres
@pytest.mark.parametrize(
    "statement",
    [*WRITES[1:4], "update store.head set versions = versions + 1", "delete from store.head", "truncate store.head"],
)
def test_not_even_the_owner_changes_a_row(statement: str, postgres: Postgres, database: str) -> None:
    """Triggers refuse what privileges allow."""
    empty(postgres, database)
    PostgresIndex(postgres.url("index_writer", database)).add(ROW)
    with pytest.raises(psycopg.errors.DatabaseError, match="append only"):
        postgres.execute(statement, database)


@pytest.mark.postgres
def test_a_mighty_role_and_a_database_without_index_are_refused(postgres: Postgres, database: str) -> None:
    """In one line that says what to do."""
    with pytest.raises(HomeError, match="cannot change entries, found postgres; use index_writer"):
        PostgresIndex(postgres.url("postgres", database)).size()
    with pytest.raises(HomeError, match=r"expected an index in database .*, found none; run python -m"):
        PostgresIndex(postgres.url("index_writer", postgres.database())).size()
    with pytest.raises(HomeError, match=r"index: expected to use database .* found: .*Connection refused"):
        PostgresIndex("postgresql://index_writer@127.0.0.1:1/x").size()


@pytest.mark.postgres
def test_a_home_keeps_the_index_that_it_began_with(
    postgres: Postgres, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lost or a new setting is refused, since another index would know nothing of what was stored."""
    file, server = tmp_path / "file", tmp_path / "server"
    for home in (file, server):
        home.mkdir()
        assert not has_index(home)
    assert isinstance(open_index(file), SqliteIndex)
    monkeypatch.setenv("MARKETBOT_INDEX", postgres.url("index_writer", database))
    assert isinstance(open_index(server), PostgresIndex)
    assert postgres.password not in (server / "index.postgres").read_text(encoding="utf-8")
    with pytest.raises(HomeError, match="expected no MARKETBOT_INDEX"):
        open_index(file)
    monkeypatch.delenv("MARKETBOT_INDEX")
    with pytest.raises(HomeError, match="expected MARKETBOT_INDEX, because this home's index is in database"):
        open_index(server)
    assert (has_index(file), has_index(server)) == (True, True)
