"""The schema is installed by one who may, twice without harm, and never over a trap; the adapter refuses what is no ledger."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from ledger_shelves import PostgresShelf
from services import Postgres

from marketbot_resources.errors import LedgerError
from marketbot_resources.ledger.examine import examine
from marketbot_resources.ledger.postgres import PostgresLedger, main
from marketbot_resources.ledger.postgres_link import failure
from marketbot_resources.migrations.migrate import FOLDER, Installed, install

pytestmark = pytest.mark.postgres

ROOT = Path(__file__).parents[2]
USAGE = "usage: python -m marketbot_resources.ledger.postgres [--status] ADMIN_URL\n"


@pytest.fixture
def database(postgres: Postgres) -> str:
    """An empty database."""
    return postgres.database()


@pytest.fixture
def role(postgres: Postgres) -> Iterator[str]:
    """A role that may log in and nothing else."""
    name = postgres.login("an_administrator")
    yield name
    postgres.execute(f"drop owned by {name} cascade")
    postgres.execute(f"alter role {name} nocreaterole nosuperuser")


def ledger_in(postgres: Postgres, database: str) -> PostgresLedger:
    postgres.login("ledger_writer")
    return PostgresLedger(postgres.url("ledger_writer", database))


def shape(postgres: Postgres, database: str) -> list[tuple]:
    """Everything that the schema consists of, with owners and privileges."""
    return postgres.execute(
        """
        select 'table', relname, relkind::text, relowner::regrole::text, relacl::text
        from pg_class where relnamespace = 'ledger'::regnamespace
        union all select 'function', proname, prosrc, proowner::regrole::text, proacl::text
        from pg_proc where pronamespace = 'ledger'::regnamespace
        union all select 'check', conname, pg_get_constraintdef(oid), '', ''
        from pg_constraint where connamespace = 'ledger'::regnamespace
        union all select 'trigger', tgname, pg_get_triggerdef(oid), tgenabled::text, ''
        from pg_trigger where tgrelid::regclass::text like 'ledger.%'
        union all select 'schema', nspname, '', nspowner::regrole::text, nspacl::text
        from pg_namespace where nspname = 'ledger'
        union all select 'member', roleid::regrole::text, member::regrole::text, '', '' from pg_auth_members
        order by 1, 2, 3
        """,
        database,
    )


def test_twice_is_once(postgres: Postgres, database: str) -> None:
    """Entries stay, and nothing of the schema is different."""
    first = install(postgres.url("postgres", database))
    assert first.where == f"database {database} on 127.0.0.1:{postgres.ports[0]}"
    assert first.applied == ("0001 ledger", "0002 fenced_appends", "0003 halt_row", "0004 store_index")
    ledger = ledger_in(postgres, database)
    ledger.append_all([("k", str(n), {}) for n in range(3)])
    before = shape(postgres, database), ledger.head()
    assert install(postgres.url("postgres", database)) == Installed(first.where, ())
    assert (shape(postgres, database), ledger.head()) == before
    assert ledger.append("k", "3", {}).seq == 3
    assert postgres.execute("select version from ledger.version", database) == [(1,), (2,)]
    ledger.close()


def test_an_administrator_needs_no_superuser(postgres: Postgres, database: str, role: str) -> None:
    """To create roles, and a schema in this database, is enough; afterwards it has no power over the ledger."""
    postgres.execute(f"alter role {role} createrole")
    postgres.execute(f"grant create on database {database} to {role}")
    for _ in range(2):
        install(postgres.url(role, database))
    ledger = ledger_in(postgres, database)
    ledger.append_all([("k", str(n), {}) for n in range(3)])
    assert examine(ledger).faults == ()
    ledger.close()
    with psycopg.connect(postgres.url(role, database), autocommit=True) as connection:
        for statement in (
            "set role ledger_owner",
            "select * from ledger.entry",
            "alter table ledger.entry disable trigger all",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())


def test_the_roles_are_made_where_there_are_none() -> None:
    """In a cluster of its own, for several databases and twice for one at the same time, then from the command line."""
    with Postgres() as fresh:
        urls = [fresh.url("postgres", fresh.database()) for _ in range(3)]
        with ThreadPoolExecutor() as pool:
            assert len({done.where for done in pool.map(install, [*urls, urls[0]])}) == 3
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "marketbot_resources.ledger.postgres", fresh.admin],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        where = f"database postgres on 127.0.0.1:{fresh.ports[0]}"
        told = f"database: schema 4 in {where}, applied now: 0001 ledger, 0002 fenced_appends, 0003 halt_row, 0004 store_index; "
        told += "give ledger_writer and index_writer a way to log in\n"
        assert (done.returncode, done.stdout, done.stderr) == (0, told, "")
        roles = fresh.execute(
            "select rolname, rolcanlogin, rolsuper, rolpassword is null from pg_authid where rolname like 'ledger%'"
        )
        assert sorted(roles) == [
            ("ledger_owner", False, False, True),
            ("ledger_reader", True, False, True),
            ("ledger_writer", True, False, True),
        ]


@pytest.mark.parametrize(
    ("trap", "mend", "told"),
    [
        ("alter role ledger_writer superuser", "alter role ledger_writer nosuperuser", "roles without powers"),
        ("alter role ledger_reader createrole", "alter role ledger_reader nocreaterole", "roles without powers"),
        ("alter role ledger_owner login", "alter role ledger_owner nologin", "an owner that cannot log in"),
        ("grant ledger_owner to ledger_writer", "revoke ledger_owner from ledger_writer", "found a membership"),
        ("create schema ledger", "drop schema ledger cascade", "belongs to ledger_owner"),
        (
            "create schema ledger authorization ledger_owner; create function ledger.mine() returns int language sql as 'select 1'",
            "drop schema ledger cascade",
            "all of schema ledger to belong to ledger_owner",
        ),
        (
            "create schema ledger; create table ledger.entry (seq bigint)",
            "drop schema ledger cascade",
            "belongs to ledger_owner",
        ),
    ],
)
def test_a_trap_is_refused(
    trap: str, mend: str, told: str, postgres: Postgres, database: str, postgres_shelf: PostgresShelf
) -> None:
    """What was prepared by somebody else is said, and nothing is installed."""
    postgres_shelf.fresh()  # the roles exist
    postgres.execute(trap, database)
    try:
        with pytest.raises(LedgerError, match=told) as failure:
            install(postgres.url("postgres", database))
        assert "\n" not in str(failure.value)
        assert postgres.execute("select to_regclass('ledger.version')", database) == [(None,)]
    finally:
        postgres.execute(mend, database)
    install(postgres.url("postgres", database))


def test_who_may_not_install_is_told(
    postgres: Postgres, database: str, role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line on stderr, exit code 2, no password."""
    assert main([postgres.url(role, database)]) == 2
    out, told = capsys.readouterr()
    assert out == ""
    assert told.startswith(
        f"marketbot: ledger: expected to use database {database} on 127.0.0.1:{postgres.ports[0]}, found: "
    )
    assert told.count("\n") == 1
    assert postgres.password not in told


def test_an_older_ledger_is_brought_up_to_date(postgres: Postgres, database: str) -> None:
    """Version 1, as it was installed then: refused with what to run, then its entries stay and the new shape is the fresh one."""
    with psycopg.connect(postgres.url("postgres", database), autocommit=True) as connection:
        connection.execute((FOLDER / "0001_ledger.sql").read_bytes())
    postgres.login("ledger_writer")
    old = 'select * from ledger.append(\'k\', \'a\', convert_to(\'{"body":{},"key":"a","kind":"k"}\', \'UTF8\'))'
    postgres.execute(old, database)
    ledger = ledger_in(postgres, database)
    with pytest.raises(LedgerError, match=r"expected schema version 2 in database .*, found 1; run python -m"):
        ledger.size()
    install(postgres.url("postgres", database))
    assert ledger.append("k", "b", {}).seq == 1
    assert [entry.key for entry in ledger.entries("k")] == ["a", "b"]
    assert examine(ledger).faults == ()
    ledger.close()
    fresh = postgres.database()
    install(postgres.url("postgres", fresh))
    assert shape(postgres, database) == shape(postgres, fresh)


@pytest.mark.parametrize("arguments", [[], ["one", "two"]])
def test_the_command_takes_one_address(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Anything else is told how."""
    assert main(arguments) == 2
    assert capsys.readouterr().err == USAGE


def test_a_wrong_password_is_not_shown(postgres: Postgres, database: str) -> None:
    """Neither by the installation nor by the ledger."""
    postgres.login("ledger_writer")
    wrong = postgres.url("ledger_writer", database).replace(postgres.password, "quite-wrong")
    for use in (lambda: install(wrong), PostgresLedger(wrong).head):
        with pytest.raises(LedgerError, match="password authentication failed for user") as failure:
            use()
        assert "quite-wrong" not in str(failure.value)
        assert "\n" not in str(failure.value)


def test_whatever_the_server_says_no_password_is_repeated() -> None:
    """A message that holds it is shown without it, and in one line."""
    told = failure(
        psycopg.OperationalError("\n cannot use hunter2\nreally not"), "database x on y", {"password": "hunter2"}
    )
    assert str(told) == "ledger: expected to use database x on y, found: cannot use ***"


def test_the_password_may_stand_in_a_file(
    postgres: Postgres, postgres_shelf: PostgresShelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PGPASSFILE works as libpq reads it."""
    postgres_shelf.fresh()().append("k", "a", {})
    secret = tmp_path / "pgpass"
    secret.write_text(f"127.0.0.1:{postgres.ports[0]}:*:ledger_writer:{postgres.password}\n")
    secret.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(secret))
    ledger = PostgresLedger(postgres_shelf.address()[1].replace(f":{postgres.password}", ""))
    assert ledger.size() == 1
    ledger.close()


def test_a_database_without_a_ledger_is_said(postgres: Postgres, database: str, postgres_shelf: PostgresShelf) -> None:
    """With what to run."""
    postgres_shelf.fresh()
    ledger = ledger_in(postgres, database)
    with pytest.raises(
        LedgerError, match=f"expected a ledger in database {database} .*, found none; run python -m"
    ) as failure:
        ledger.append("k", "a", {})
    assert "\n" not in str(failure.value)


def test_another_schema_version_is_refused(postgres: Postgres, database: str) -> None:
    """A later one by us and by the installation: it was made by a later marketbot."""
    install(postgres.url("postgres", database))
    postgres.execute("insert into ledger.version values (3)", database)
    with pytest.raises(LedgerError, match=r"expected schema version 2 in database .*, found 3"):
        ledger_in(postgres, database).size()
    with pytest.raises(LedgerError, match="expected a ledger of schema version 2, found a later one, 3, in"):
        install(postgres.url("postgres", database))


def test_no_mighty_role_at_run_time(postgres: Postgres, postgres_shelf: PostgresShelf) -> None:
    """A superuser is refused, even for reading: the address belongs to ledger_writer."""
    postgres_shelf.fresh()
    with pytest.raises(
        LedgerError,
        match=r"expected a role in database .* that cannot change entries, found postgres; use ledger_writer",
    ):
        PostgresLedger(postgres_shelf.admin).head()


def test_a_database_in_another_encoding_is_refused(postgres: Postgres) -> None:
    """Bytes of an entry must mean the same text on both sides."""
    postgres.execute("create database latin encoding 'LATIN1' template template0")
    with pytest.raises(LedgerError, match=r"expected database latin on .* in UTF8, found another encoding"):
        install(postgres.url("postgres", "latin"))


def test_what_is_acknowledged_is_on_the_disk(postgres: Postgres, postgres_shelf: PostgresShelf) -> None:
    """A role or database that is set to answer before the disk does is overruled."""
    postgres_shelf.fresh()
    writer, database = "ledger_writer", postgres_shelf.database
    postgres.execute(f"alter role {writer} set synchronous_commit = off; alter role {writer} set statement_timeout = 0")
    try:
        ledger = PostgresLedger(postgres_shelf.address()[1])
        names = (
            "synchronous_commit",
            "statement_timeout",
            "lock_timeout",
            "default_transaction_isolation",
            "application_name",
        )
        found = [ledger._link.rows("select current_setting(%s)", (name,))[0][0] for name in names]
        assert found == ["on", "30s", "20s", "read committed", "marketbot"]
        ledger.close()
        postgres.execute(f"alter role {writer} set synchronous_commit = remote_apply")
        assert ledger._link.rows("select current_setting('synchronous_commit')") == [("remote_apply",)]
        ledger.close()
    finally:
        postgres.execute(f"alter role {writer} reset all")
        assert database
