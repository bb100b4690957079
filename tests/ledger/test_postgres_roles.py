"""In PostgreSQL nobody who may log in changes an entry: the writer appends, the reader reads, the owner meets the triggers."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from ledger_shelves import TABLES, PostgresShelf

from marketbot_resources.errors import Equivocation, LedgerError
from marketbot_resources.ledger.examine import examine
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.postgres import PostgresLedger

pytestmark = pytest.mark.postgres

DENIED, NOT_TEXT, REFUSED, EQUIVOCATION, CHECKED = "42501", "22021", "MB002", "MB001", "23514"
STALE = "MB003"
Login = Callable[[str], psycopg.Connection]
A_COLUMN = {"version": "version", "entry": "seq", "node": "level", "checkpoint": "size", "head": "size"}
RECORD = 'convert_to(\'{"body":{"n":0},"key":"f0","kind":"fill"}\', \'UTF8\')'
ON_TABLES = [
    statement.format(table=f"ledger.{table}", column=column)
    for table, column in A_COLUMN.items()
    for statement in (
        "update {table} set {column} = {column}",
        "delete from {table}",
        "truncate {table}",
        "insert into {table} select * from {table}",
        "select * from {table} for update",
        "lock table {table} in exclusive mode",
        "alter table {table} disable trigger all",
        "alter table {table} add column more integer",
        "alter table {table} owner to current_user",
        "drop table {table}",
        "create trigger mine before insert on {table} execute function ledger.refuse()",
        "create index on {table} ({column})",
        "copy {table} from stdin",
    )
]
AROUND = [
    "set role ledger_owner",
    "set role postgres",
    "set session authorization ledger_owner",
    "set session_replication_role = replica",
    "create table ledger.mine (x integer)",
    "create function ledger.mine() returns integer language sql as 'select 1'",
    "create or replace function ledger.append(kind text, key text, record bytea)"
    " returns table (seq bigint, leaf bytea, added boolean) language sql as 'select 1, null, true'",
    "alter function ledger.append_all(text[], text[], bytea[]) reset all",
    "drop function ledger.append_all(text[], text[], bytea[])",
    "drop function ledger.refuse cascade",
    "drop trigger stays on ledger.entry",
    "alter table ledger.entry drop constraint leaf_is_of_record",
    "drop schema ledger cascade",
    "alter schema ledger rename to other",
    "alter schema ledger owner to current_user",
    "grant ledger_owner to current_user",
    "alter role ledger_writer createrole",
    "create role mine",
    "alter default privileges for role ledger_owner in schema ledger grant all on tables to current_user",
    "copy ledger.entry to program 'true'",
    "select pg_catalog.pg_read_file('PG_VERSION')",
]


@pytest.fixture
def ledger(postgres_shelf: PostgresShelf) -> Ledger:
    """A ledger with something in every table."""
    found = postgres_shelf.installed()()
    found.append_all([("fill", f"f{n}", {"n": n}) for n in range(4)])
    found.keep_checkpoint(4, "note")
    return found


@pytest.fixture
def login(postgres_shelf: PostgresShelf) -> Iterator[Login]:
    opened = []

    def connect(role: str) -> psycopg.Connection:
        server = postgres_shelf.server
        server.login(role)
        opened.append(psycopg.connect(server.url(role, postgres_shelf.database), autocommit=True))
        return opened[-1]

    yield connect
    for each in opened:
        each.close()


def refused(connection: psycopg.Connection, statement: str) -> str | None:
    """SQLSTATE with which a statement is refused; None when it is not."""
    try:
        with connection.transaction(force_rollback=True):
            if statement.startswith("copy") and "stdin" in statement:
                with connection.cursor().copy(statement.encode()):
                    pass
            else:
                connection.execute(statement.encode())
    except psycopg.Error as error:
        return error.sqlstate
    return None


@pytest.mark.parametrize("role", ["ledger_writer", "ledger_reader"])
def test_nobody_who_logs_in_changes_anything(role: str, ledger: Ledger, login: Login) -> None:
    """Every way to change, hide or go around is denied for want of privilege, not by some mistake in the statement."""
    connection, before = login(role), ledger.head()
    answers = {statement: refused(connection, statement) for statement in ON_TABLES + AROUND}
    assert {statement: answer for statement, answer in answers.items() if answer != DENIED} == {}
    connection.add_notice_handler(lambda notice: None)
    for table in TABLES:  # a grant of what one has not is a warning, no error
        connection.execute(f"grant all on ledger.{table} to current_user".encode())
        may = connection.execute(
            f"select has_table_privilege('ledger.{table}', 'insert, update, delete, truncate, trigger')"
        )
        assert may.fetchone() == (False,)
    assert (ledger.head(), examine(ledger).faults, ledger.checkpoints()) == (before, (), [(4, "note")])


def test_the_statements_would_work_for_one_who_may(ledger: Ledger, postgres_shelf: PostgresShelf) -> None:
    """The table of cases says something: a superuser without triggers is refused none of those on tables."""
    connection = psycopg.connect(postgres_shelf.admin, autocommit=True)
    for table in TABLES:
        connection.execute(f"alter table ledger.{table} disable trigger all".encode())
    wrong = {}
    for statement in ON_TABLES:
        answer = refused(connection, statement)
        # The same row again is refused by its key; a size that does not grow, by nothing while triggers are off.
        if answer is not None and not (answer == "23505" and statement.startswith("insert")):
            wrong[statement] = answer
    for table in TABLES:
        connection.execute(f"alter table ledger.{table} enable always trigger stays".encode())
    connection.execute(b"alter table ledger.head enable always trigger grows")
    connection.close()
    assert wrong == {}


def test_the_writer_appends_and_reads(ledger: Ledger, login: Login) -> None:
    """Through its functions alone."""
    writer = login("ledger_writer")
    data = b'{"body":{},"key":"a","kind":"k"}'
    assert writer.execute("select seq, added from ledger.append('k', 'a', %s)", (data,)).fetchone() == (4, True)
    again = "select seq, added from ledger.append_all(array['k'], array['a'], array[%s::bytea])"
    assert writer.execute(again.encode(), (data,)).fetchone() == (4, False)
    fenced = "select * from ledger.append_fenced('acc', 1, array['k'], array['a'], array[%s::bytea])"
    with pytest.raises(psycopg.Error) as failure:
        writer.execute(fenced.encode(), (data,))
    assert failure.value.sqlstate == STALE
    writer.execute("select ledger.keep_checkpoint(5, 'five')")
    assert ledger.checkpoints() == [(4, "note"), (5, "five")]
    for table in TABLES:
        assert writer.execute(f"select count(*) > 0 from ledger.{table}".encode()).fetchone() == (True,)


def test_the_reader_only_reads(ledger: Ledger, login: Login, postgres_shelf: PostgresShelf) -> None:
    """It may look at everything, verify it, and call nothing."""
    reader = login("ledger_reader")
    every = "select * from ledger.append_all(array['k'], array['a'], array['{}'::bytea])"
    fenced = "select * from ledger.append_fenced('acc', 1, array['k'], array['a'], array['{}'::bytea])"
    for call in (every, fenced, "select * from ledger.append('k', 'a', '{}')", "select ledger.keep_checkpoint(9, 'x')"):
        assert refused(reader, call) == DENIED
    mine = PostgresLedger(postgres_shelf.server.url("ledger_reader", postgres_shelf.database))
    assert mine.head() == ledger.head()
    assert examine(mine).faults == ()
    for use in (lambda: mine.append("k", "a", {}), lambda: mine.keep_checkpoint(9, "x")):
        with pytest.raises(
            LedgerError, match=r"^ledger: expected to use database test_\d+ on 127.*permission denied for function"
        ):
            use()
    mine.close()


def test_a_stranger_sees_nothing(ledger: Ledger, login: Login) -> None:
    """Another role of the cluster neither reads nor calls."""
    stranger = login("somebody_else")
    for statement in ("select * from ledger.entry", "select * from ledger.append('k', 'a', '{}')"):
        assert refused(stranger, statement) == DENIED


@pytest.mark.parametrize("replaying", [False, True])
def test_the_owner_meets_the_triggers(replaying: bool, ledger: Ledger, postgres_shelf: PostgresShelf) -> None:
    """Even one who may write is refused what is no append, also as a replica; the number of entries only counts up."""
    with psycopg.connect(postgres_shelf.admin, autocommit=True) as connection:
        if replaying:
            connection.execute("set session_replication_role = replica")
        connection.execute("set role ledger_owner")
        for table, column in A_COLUMN.items():
            for statement in (
                f"update ledger.{table} set {column} = {column}",
                f"delete from ledger.{table}",
                f"truncate ledger.{table}",
            ):
                assert refused(connection, statement) == REFUSED, statement
        for size in ("size - 1", "size + 1", "null"):
            assert refused(connection, f"update ledger.head set size = {size}") == REFUSED
        assert refused(connection, "update ledger.entry set seq = 9 where false") == REFUSED
    assert examine(ledger).faults == ()


@pytest.mark.parametrize(
    ("kind", "key", "record", "answer"),
    [
        ("fill", "f0", RECORD, None),
        ("fill", "f0", 'convert_to(\'{"body":{"n":1},"key":"f0","kind":"fill"}\', \'UTF8\')', EQUIVOCATION),
        ("fill", "f9", RECORD, CHECKED),
        ("other", "f0", RECORD, CHECKED),
        ("k", "a", '\'{"body":{},"key":"a","kind":"k","z":1}\'', CHECKED),
        ("k", "a", '\'{"body":{},"kind":"k","key":"a"}\'', CHECKED),
        ("k", "a", '\'{"body":[],"key":"a","kind":"k"}\'', CHECKED),
        ("k", "a", '\'{"body":{,"key":"a","kind":"k"}\'', "22P02"),
        ("k", "a", '\'{"body":{}}{,"key":"a","kind":"k"}\'', "22P02"),
        ("k", "a", "'\\xff'", NOT_TEXT),
        ("k", "a", "''", CHECKED),
        ("k", "a", "null", "23502"),
        ("fill", "f0", "null", EQUIVOCATION),
        (
            "k",
            "a",
            'convert_to(\'{"body":{"x":"\' || repeat(\'a\', 65536) || \'"},"key":"a","kind":"k"}\', \'UTF8\')',
            CHECKED,
        ),
    ],
)
def test_the_function_takes_true_records_alone(
    kind: str, key: str, record: str, answer: str | None, ledger: Ledger, login: Login
) -> None:
    """A writer that does not go through our code cannot store kind and key that are not in the record."""
    assert refused(login("ledger_writer"), f"select * from ledger.append('{kind}', '{key}', {record})") == answer
    assert ledger.size() == 4


def test_names_in_a_temporary_schema_do_not_divert_the_function(ledger: Ledger, login: Login) -> None:
    """What a writer may create for itself is not what the function uses."""
    writer = login("ledger_writer")
    writer.execute(
        b"create temporary table entry (seq bigint, kind text, key text, record bytea, leaf bytea);"
        b"create temporary table head (size bigint); insert into head values (77);"
        b"create type pg_temp.bytea as (x integer); create type pg_temp.bigint as (x integer);"
        b"create function pg_temp.sha256(pg_catalog.bytea) returns pg_catalog.bytea language sql as 'select $1';"
        b"set search_path = pg_temp, ledger, pg_catalog"
    )
    data = b'{"body":{},"key":"a","kind":"k"}'
    assert writer.execute("select seq from ledger.append('k', 'a', %s)", (data,)).fetchone() == (4,)
    assert examine(ledger).faults == ()


def test_a_transaction_of_an_older_sight_cannot_append(ledger: Ledger, login: Login) -> None:
    """With repeatable read the number could be old: the database refuses it instead of using one twice."""
    writer = login("ledger_writer")
    writer.execute("begin isolation level repeatable read")
    writer.execute("select count(*) from ledger.entry")
    ledger.append("k", "meanwhile", {})
    with pytest.raises(psycopg.errors.SerializationFailure):
        writer.execute("select * from ledger.append('k', 'a', %s)", (b'{"body":{},"key":"a","kind":"k"}',))
    writer.execute("rollback")
    assert examine(ledger).faults == ()


def test_the_error_for_an_equivocation_is_its_own(ledger: Ledger, login: Login) -> None:
    """Other programs can tell it from any other failure by its SQLSTATE."""
    writer = login("ledger_writer")
    assert refused(writer, "select ledger.keep_checkpoint(4, 'another')") == EQUIVOCATION
    with pytest.raises(Equivocation, match=r"^ledger: fill f0 exists with another body"):
        ledger.append("fill", "f0", {"n": 5})


def test_a_prefix_is_looked_up_in_the_index(ledger: Ledger, login: Login) -> None:
    """Kinds and keys are ordered by code points, whatever the database's language is."""
    reader = login("ledger_reader")
    reader.execute("set enable_seqscan = off; set enable_bitmapscan = off")
    plan = reader.execute(
        "explain (costs off) select seq from ledger.entry where kind = 'k' and key >= 'a' and key < 'b'"
    ).fetchall()
    assert any("Index Cond" in line and "key >= 'a'" in line and "key < 'b'" in line for (line,) in plan), plan
