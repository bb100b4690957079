"""The halt row in PostgreSQL: who may set it, what it does, and that a database of before is brought up to date."""

from pathlib import Path

import psycopg
import pytest
from services import Postgres

from marketbot_resources.halt import HaltFlag
from marketbot_resources.halt_sources import open_halt
from marketbot_resources.ledger.postgres import PostgresLedger
from marketbot_resources.migrations.migrate import install
from marketbot_resources.model import HaltLevel

pytestmark = pytest.mark.postgres

SET = "update ledger.halt set level = 'halt', reason = 'why'"  # the line of docs/reference.md


@pytest.fixture
def database(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with the schema, named by MARKETBOT_LEDGER."""
    name = postgres.database()
    install(postgres.url("postgres", name))
    for role in ("ledger_writer", "ledger_reader", "marketbot_halt"):
        postgres.login(role)
    monkeypatch.setenv("MARKETBOT_LEDGER", postgres.url("ledger_writer", name))
    return name


def as_role(postgres: Postgres, role: str, database: str, sql: str) -> list[tuple]:
    with psycopg.connect(postgres.url(role, database), autocommit=True) as connection:
        cursor = connection.execute(sql)
        return cursor.fetchall() if cursor.description else []


def test_who_runs_the_database_halts_by_one_line(postgres: Postgres, database: str, tmp_path: Path) -> None:
    """RC-80: seen by the next question on the same connection; who and when are noted by the database itself."""
    switch = open_halt(tmp_path)
    assert switch.read() == HaltFlag("off", "")
    as_role(postgres, "marketbot_halt", database, SET)
    assert switch.read() == HaltFlag("on", "database row: why")
    assert postgres.execute("select set_by, set_at > now() - interval '1 hour' from ledger.halt", database) == [
        ("marketbot_halt", True)
    ]
    for level in HaltLevel:
        as_role(postgres, "marketbot_halt", database, f"update ledger.halt set level = '{level.value}'")
        assert switch.read() == HaltFlag("on", "database row: why", level)
    as_role(postgres, "marketbot_halt", database, "update ledger.halt set level = 'Off'")
    assert switch.read().status == "unreadable"
    as_role(postgres, "marketbot_halt", database, "update ledger.halt set level = 'off'")
    assert switch.read() == HaltFlag("off", "")
    text = (Path(__file__).parents[2] / "docs" / "reference.md").read_text(encoding="utf-8")
    assert f"{SET};" in text


@pytest.mark.parametrize(
    ("role", "sql"),
    [
        *(("ledger_writer", sql) for sql in (SET, "delete from ledger.halt", "insert into ledger.halt default values")),
        ("ledger_writer", "truncate ledger.halt"),
        ("ledger_reader", SET),
        ("marketbot_halt", "delete from ledger.halt"),
        ("marketbot_halt", "insert into ledger.halt (only_row) values (false)"),
        ("marketbot_halt", "update ledger.halt set set_by = 'someone'"),
        ("marketbot_halt", "select * from ledger.entry"),
        ("marketbot_halt", "select ledger.append('k', 'k', '{}')"),
        ("marketbot_halt", "drop table ledger.halt"),
        ("marketbot_halt", "alter table ledger.halt disable trigger all"),
    ],
)
def test_nobody_does_more_than_he_may(postgres: Postgres, database: str, role: str, sql: str) -> None:
    """S2: the platform's roles only read the row; the one that sets it does nothing else."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_role(postgres, role, database, sql)
    assert postgres.execute("select level from ledger.halt", database) == [("off",)]


# What a release from before the halt row and before numbered migrations left.
BEFORE = "drop table ledger.halt; drop function ledger.note_halt; drop schema marketbot, store cascade"


def test_what_cannot_be_read_halts_until_it_is_mended(postgres: Postgres, database: str, tmp_path: Path) -> None:
    """RC-80: a row that is gone, a database of before this row (installed again it has one, off, and keeps its log)."""
    ledger = PostgresLedger(postgres.url("ledger_writer", database))
    ledger.append("k", "1", {})
    head, switch = ledger.head(), open_halt(tmp_path)
    for statement in ("delete from ledger.halt", BEFORE):
        assert switch.read() == HaltFlag("off", "")
        postgres.execute(statement, database)
        assert switch.read().status == "unreadable"
        install(postgres.url("postgres", database))
    assert switch.read() == HaltFlag("off", "")
    assert ledger.head() == head
    ledger.close()


def test_a_new_installation_does_not_switch_it_off(postgres: Postgres, database: str, tmp_path: Path) -> None:
    """RC-80: an upgrade during a halt."""
    as_role(postgres, "marketbot_halt", database, SET)
    install(postgres.url("postgres", database))
    assert open_halt(tmp_path).read() == HaltFlag("on", "database row: why")


def test_a_server_that_is_down_halts(postgres: Postgres, database: str, tmp_path: Path) -> None:
    """RC-80: and when it is back, the row is read again by itself."""
    switch = open_halt(tmp_path)
    assert switch.read() == HaltFlag("off", "")
    postgres.stop()
    try:
        assert switch.read().status == "unreadable"
    finally:
        postgres.start()
    for _ in range(20):
        if switch.read().status == "off":
            break
    assert switch.read() == HaltFlag("off", "")
