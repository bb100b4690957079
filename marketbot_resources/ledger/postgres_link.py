"""A connection to PostgreSQL, for the ledger and for the store's index: one per process and part, opened at the first use and
again after a fork or a restart.

Every statement is a transaction of its own, so no lock of ours outlives the statement that needs it, whatever happens to
this process; the one lock that is held longer has a connection of its own and ends with it. Failures name database and host,
never the password. Not here: any table (`postgres`, `store.index_postgres`), the schemas (`migrations`).
"""

import hashlib
import os
import re
import select
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from marketbot_resources.errors import Equivocation, HomeError, LedgerError, MarketbotError, SetupError, StaleToken

if TYPE_CHECKING:
    import psycopg

SCHEMES = ("postgresql://", "postgres://")
SCHEMA_VERSION = 2  # of the ledger, as its table `version` says it
SCHEMA_NUMBER = 4  # of the newest migration
EQUIVOCATION, STALE, OUR_WORDS = "MB001", "MB003", "P0001"
CONNECT_SECONDS, LOCK_SECONDS, STATEMENT_SECONDS, SILENCE_SECONDS = 10, 20, 30, 30
INSTALL = "python -m marketbot_resources.ledger.postgres URL_OF_AN_ADMINISTRATOR"
_NO_SCHEMA = {"3F000", "42P01"}
_DURABLE = ("on", "remote_apply")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the database: what it is called, how its schema's number is asked, who may use it and what failure raises.

    `entries`: the table that a role at run time must not be able to change.
    """

    name: str
    version: str
    expected: int
    entries: str
    role: str
    error: type[MarketbotError]


LEDGER = Part(
    "ledger", "max(version) from ledger.version", SCHEMA_VERSION, "ledger.entry", "ledger_writer", LedgerError
)
INDEX = Part(
    "index",
    "max(number) from marketbot.schema_migrations",
    SCHEMA_NUMBER,
    "store.lake_index",
    "index_writer",
    HomeError,
)


def _hello(part: Part, read_only: bool) -> str:
    """Sets up the session and looks at it: `durable` stays as it is where the server asks for more than we do."""
    return f"""
select (select {part.version}), current_user, current_setting('server_encoding'),
  has_table_privilege('{part.entries}', 'insert, update, delete, truncate'),
  set_config('synchronous_commit',
    case current_setting('synchronous_commit') when 'remote_apply' then 'remote_apply' else 'on' end, false),
  set_config('default_transaction_isolation', 'read committed', false),
  set_config('default_transaction_read_only', '{"on" if read_only else "off"}', false),
  set_config('search_path', '{part.entries.partition(".")[0]}, pg_temp', false),
  set_config('statement_timeout', '{STATEMENT_SECONDS}s', false),
  set_config('lock_timeout', '{LOCK_SECONDS}s', false)
"""


Values = Sequence[object]


class Link:
    """The connection to one database. Thread-safe: one statement at a time."""

    def __init__(self, url: str, part: Part = LEDGER, *, read_only: bool = False) -> None:
        self._part, self._read_only = part, read_only
        self._options = parse_url(url, part)
        self.where = describe(self._options)
        self._held = _Held()
        self._finish = weakref.finalize(self, _Held.close, self._held)

    def rows(self, query: str, values: Values = ()) -> list[tuple]:
        """Runs one statement, durable when this returns, and gives its rows. Raises the part's error, Equivocation."""
        import psycopg

        with self._mine().lock:
            try:
                return self._opened().execute(query, values, binary=True).fetchall()
            except psycopg.Error as error:
                raise failure(error, self.where, self._options, self._part) from error

    @contextmanager
    def lock(self, name: str) -> Iterator[bool]:
        """Whether the advisory lock of a name was free; it is held until the end, or until this process is gone."""
        import psycopg

        number = int.from_bytes(hashlib.sha256(f"marketbot/{name}".encode()).digest()[:8], signed=True)
        try:
            connection = connect(self._options)
        except psycopg.Error as error:
            raise failure(error, self.where, self._options, self._part) from error
        try:
            try:
                row = connection.execute("select pg_try_advisory_lock(%s::bigint)", (number,)).fetchone()
            except psycopg.Error as error:
                raise failure(error, self.where, self._options, self._part) from error
            yield row == (True,)
        finally:
            connection.close()

    def close(self) -> None:
        """Closes the connection; the next use opens another."""
        held = self._mine()
        with held.lock:
            held.close()

    def _mine(self) -> "_Held":
        """What this process holds. After a fork that is nothing: the connection belongs to the parent, which still uses it."""
        if self._held.pid != os.getpid():
            inherited, self._held = self._held, _Held()
            self._held.inherited = inherited  # kept, because collecting it would look like a connection left open
            self._finish.detach()
            self._finish = weakref.finalize(self, _Held.close, self._held)
        return self._held

    def _opened(self) -> "psycopg.Connection":
        """The open connection; another one when the server has ended it meanwhile."""
        held = self._held
        if held.connection is not None and _quiet(held.connection):
            return held.connection
        held.close()
        held.connection = connect(self._options)
        try:
            self._greet(held.connection)
        except BaseException:
            held.close()
            raise
        return held.connection

    def _greet(self, connection: "psycopg.Connection") -> None:
        import psycopg

        part, where = self._part, self.where
        try:
            row = connection.execute(_hello(part, self._read_only).encode()).fetchone()
        except psycopg.Error as error:
            if error.sqlstate not in _NO_SCHEMA:
                raise
            article = "an" if part.name[0] in "aeiou" else "a"
            raise part.error(
                f"{part.name}: expected {article} {part.name} in {where}, found none; run {INSTALL}"
            ) from error
        assert row is not None
        version, role, encoding, mighty, durable = row[:5]
        if version != part.expected:
            late = "use the marketbot that made it" if version and version > part.expected else f"run {INSTALL}"
            raise part.error(
                f"{part.name}: expected schema version {part.expected} in {where}, found {version}; {late}"
            )
        if mighty:
            raise part.error(
                f"{part.name}: expected a role in {where} that cannot change entries, found {role}; use {part.role}"
            )
        if encoding != "UTF8" or durable not in _DURABLE:
            raise part.error(
                f"{part.name}: expected UTF8 and synchronous_commit on in {where}, found {encoding} and {durable}"
            )


class _Held:
    """What one process holds: a lock and a connection."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.RLock()
        self.connection: psycopg.Connection | None = None
        self.inherited: _Held | None = None

    def close(self) -> None:
        if self.connection is not None and self.pid == os.getpid():
            self.connection.close()
            self.connection = None


def parse_url(url: str, part: Part = LEDGER) -> Mapping[str, str]:
    """The options that libpq reads from an address.

    Raises SetupError, which never shows any of it, because a password may stand in the wrong place.
    """
    if not url.startswith(SCHEMES):
        raise SetupError(
            f"{part.name}: expected an address like postgresql://{part.role}@host/database, found other text"
        )
    try:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as error:
        raise SetupError(
            f"{part.name}: expected psycopg for PostgreSQL, found none; install marketbot[postgres]"
        ) from error
    try:
        given = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    except psycopg.ProgrammingError:
        given = {"host": "@"}
    places = [given.get(name, "") for name in ("host", "hostaddr", "dbname")]
    if any("@" in place for place in places) or not re.fullmatch(r"[\d,]*", given.get("port", "")):
        raise SetupError(
            f"{part.name}: expected an address that libpq reads, found another; write / @ : % in it as %2F %40 %3A %25"
        )
    return given


def describe(options: Mapping[str, str]) -> str:
    """Database and host in words, libpq's defaults included."""
    from psycopg.pq import Conninfo

    defaults = {option.keyword.decode(): option.val.decode() for option in Conninfo.get_defaults() if option.val}
    known = {**defaults, **options}
    host = known.get("host") or known.get("hostaddr") or "this machine"
    return f"database {known.get('dbname') or known.get('user', '')} on {host}:{known.get('port', '')}"


def connect(options: Mapping[str, str]) -> "psycopg.Connection":
    """A new connection, each statement a transaction of its own. Raises psycopg.Error."""
    import psycopg

    bounds = {
        "connect_timeout": str(CONNECT_SECONDS),
        "tcp_user_timeout": str(SILENCE_SECONDS * 1000),
        "keepalives_idle": str(SILENCE_SECONDS),
        "application_name": "marketbot",
    }
    return psycopg.connect(**{**bounds, **options, "client_encoding": "utf8"}, autocommit=True)  # type: ignore[arg-type]


def failure(error: "psycopg.Error", where: str, options: Mapping[str, str], part: Part = LEDGER) -> MarketbotError:
    """What a database's error means to a part, in one line."""
    text = error.diag.message_primary or str(error)
    line = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    if error.sqlstate == EQUIVOCATION:
        return Equivocation(f"{part.name}: {line}")
    if error.sqlstate == STALE:
        return StaleToken(f"{part.name}: {line}")
    if error.sqlstate == OUR_WORDS:
        return part.error(f"{part.name}: {where}: {line}")
    if options.get("password"):
        line = line.replace(options["password"], "***")
    return part.error(f"{part.name}: expected to use {where}, found: {line}")


def _quiet(connection: "psycopg.Connection") -> bool:
    """Whether nothing has come from the server since the last answer: what comes unasked is its farewell."""
    if connection.closed:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return not poll.poll(0)
