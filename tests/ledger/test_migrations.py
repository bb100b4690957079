"""Numbered migrations: each once, noted with its hash; a changed file, a later database and a torn one are refused in one line."""

import shutil
from pathlib import Path

import psycopg
import pytest
from services import Postgres

from marketbot_resources.errors import HomeError, LedgerError
from marketbot_resources.ledger.postgres import PostgresLedger, main
from marketbot_resources.ledger.postgres_link import SCHEMA_NUMBER
from marketbot_resources.migrations.migrate import FOLDER, install, migrations, status
from marketbot_resources.store.index_postgres import PostgresIndex

pytestmark = pytest.mark.postgres
ENTRY = 'select * from ledger.append(\'k\', \'a\', convert_to(\'{"body":{},"key":"a","kind":"k"}\', \'UTF8\'))'
LATER = "create table store.later (a int); alter table store.later owner to index_owner"
# Released files are never edited: these hashes were taken when each number was released.
RELEASED = {
    1: "ed484848a48c67092da38e33ebc2af41742233ac72e2f789429b4492f87e3d7d",
    2: "4a32716917743d98385ae9c78a697eab5126ce900e65f3e4b1864f825e5483f5",
    3: "5c08fdfe1c754bb6372bb5e843135ea31c60579a48c65aa8818a34726a264e02",
    4: "bc88860eacb6f8f7f7ef6d593259b294261ccbdf532019411d18973481bd9def",
}


@pytest.fixture
def database(postgres: Postgres) -> str:
    """An empty database."""
    return postgres.database()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Our migrations, to be changed."""
    return Path(shutil.copytree(FOLDER, tmp_path / "migrations", ignore=shutil.ignore_patterns("*.py", "__pycache__")))


def noted(postgres: Postgres, database: str) -> list[tuple]:
    return postgres.execute("select number, name, sha256 from marketbot.schema_migrations order by number", database)


def test_released_files_are_as_they_were_released() -> None:
    """An edit would leave existing databases without it."""
    assert {each.number: each.sha256 for each in migrations()} == RELEASED
    assert len(RELEASED) == SCHEMA_NUMBER


def test_what_was_applied_is_noted(postgres: Postgres, database: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Number, name and hash, never changed; --status tells it, before and after."""
    url = postgres.url("postgres", database)
    assert main(["--status", url]) == 1
    assert capsys.readouterr().out.splitlines()[0].endswith("0 of 4 migrations applied")
    install(url)
    assert noted(postgres, database) == [(each.number, each.name, each.sha256) for each in migrations()]
    assert main(["--status", url]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].endswith("4 of 4 migrations applied")
    assert [line.split()[-1] for line in told[1:]] == ["applied"] * 4
    for statement in ("update marketbot.schema_migrations set name = 'x'", "delete from marketbot.schema_migrations"):
        with pytest.raises(psycopg.errors.DatabaseError, match="append only"):
            postgres.execute(statement, database)
    postgres.login("index_reader")
    assert status(postgres.url("index_reader", database))[1]  # who can log in can look


@pytest.mark.parametrize("version", [1, 2])
def test_a_database_of_an_earlier_release_is_taken_over(version: int, postgres: Postgres, database: str) -> None:
    """From before there were numbers, made by its release's SQL: its entries, checkpoints and halt row stay, the rest is added."""
    for each in migrations()[: 1 if version == 1 else 3]:
        with psycopg.connect(postgres.url("postgres", database)) as connection:  # one transaction, as it was then
            connection.execute(each.sql)
    postgres.execute(ENTRY, database)
    postgres.execute("select ledger.keep_checkpoint(1, 'signed')", database)
    if version == 2:
        postgres.execute("update ledger.halt set level = 'halt', reason = 'kept'", database)
    before = postgres.execute("select * from ledger.entry", database)
    lines, fine = status(postgres.url("postgres", database))
    assert (fine, f"version {version} from before" in lines[1]) == (False, True)
    done = install(postgres.url("postgres", database))
    assert done.applied[-1] == "0004 store_index"
    assert len(done.applied) == 4 - version
    assert postgres.execute("select * from ledger.entry", database) == before
    postgres.login("ledger_writer")
    ledger = PostgresLedger(postgres.url("ledger_writer", database))
    assert (ledger.size(), ledger.checkpoints()) == (1, [(1, "signed")])
    assert ledger.append("k", "b", {}).seq == 1
    ledger.close()
    halt = ("halt", "kept") if version == 2 else ("off", "")
    assert postgres.execute("select level, reason from ledger.halt", database) == [halt]
    assert len(noted(postgres, database)) == 4
    assert install(postgres.url("postgres", database)).applied == ()


def test_there_is_no_way_back(postgres: Postgres, database: str, folder: Path) -> None:
    """A later marketbot has been here: this one neither installs over it nor uses its index; what is there stays."""
    (folder / "0005_later.sql").write_text(LATER)
    url = postgres.url("postgres", database)
    assert install(url, folder).applied[-1] == "0005 later"
    for old in (lambda: install(url), lambda: status(url)):
        with pytest.raises(
            LedgerError, match=r"expected at most schema 4 in .*, found 5 \(later\); use the marketbot that"
        ):
            old()
    postgres.login("index_writer")
    with pytest.raises(
        HomeError, match=r"index: expected schema version 4 in .*, found 5; use the marketbot that made it"
    ):
        PostgresIndex(postgres.url("index_writer", database)).size()
    assert len(noted(postgres, database)) == 5


def test_a_file_that_was_applied_never_changes(postgres: Postgres, database: str, folder: Path) -> None:
    """One line names it; nothing is applied."""
    url = postgres.url("postgres", database)
    install(url)
    path = folder / "0003_halt_row.sql"
    path.write_text(path.read_text() + "-- a remark\n")
    (folder / "0005_later.sql").write_text(LATER)
    with pytest.raises(
        LedgerError, match=r"expected migration 0003 halt_row .* a file that was applied never changes"
    ) as told:
        install(url, folder)
    assert "\n" not in str(told.value)
    assert len(noted(postgres, database)) == 4


def test_a_schema_that_is_gone_is_not_made_anew(postgres: Postgres, database: str) -> None:
    """An empty ledger in its place would forget what was sent."""
    install(postgres.url("postgres", database))
    postgres.execute("drop schema ledger cascade", database)
    with pytest.raises(LedgerError, match="expected schema ledger, which was installed here, found none; restore"):
        install(postgres.url("postgres", database))


def test_a_migration_that_fails_leaves_nothing(postgres: Postgres, database: str, folder: Path) -> None:
    """Neither its own statements nor those of the numbers before it, nor a note; mended, it is applied."""
    bad = folder / "0005_later.sql"
    bad.write_text("create table store.later (a int); select 1/0")
    url = postgres.url("postgres", database)
    with pytest.raises(LedgerError, match="division by zero"):
        install(url, folder)
    assert (
        postgres.execute("select nspname from pg_namespace where nspname in ('ledger', 'store', 'marketbot')", database)
        == []
    )
    migrations.cache_clear()  # the folder is another one now
    bad.write_text(LATER)
    assert len(install(url, folder).applied) == 5
