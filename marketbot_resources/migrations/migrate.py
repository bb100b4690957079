"""Numbered SQL files, each applied once, in one transaction under a lock, and noted with its hash in `schema_migrations`.

A file that was applied never changes and no number is left out; a database that knows a number we do not know was made by a later
marketbot, which alone may use it: there is no way back. Databases of before the numbers are taken over by their ledger's version.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from marketbot_resources.errors import LedgerError
from marketbot_resources.ledger.postgres_link import (
    INSTALL,
    SCHEMA_VERSION,
    connect,
    describe,
    failure,
    parse_url,
)

if TYPE_CHECKING:
    import psycopg

FOLDER = Path(__file__).parent
_LOCK = 7214920263811
_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file."""

    number: int
    name: str
    sha256: str
    sql: bytes


@dataclass(frozen=True, slots=True)
class Installed:
    """Where the schemas are, and the names of what was applied just now."""

    where: str
    applied: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Noted:
    """What a database says was applied."""

    number: int
    name: str
    sha256: str


@lru_cache(maxsize=4)
def migrations(folder: Path = FOLDER) -> tuple[Migration, ...]:
    """The files of a folder in their order. Numbers have no gap; that is ours to see to."""
    found = []
    for path in sorted(folder.glob("[0-9]*.sql")):
        named = _FILE.fullmatch(path.name)
        assert named is not None, path.name
        sql = path.read_bytes()
        found.append(Migration(int(named[1]), named[2], hashlib.sha256(sql).hexdigest(), sql))
    assert [each.number for each in found] == list(range(1, len(found) + 1))
    return tuple(found)


def install(admin_url: str, folder: Path = FOLDER) -> Installed:
    """Makes roles, schemas and functions in an administrator's database, or brings them up to date.

    Raises LedgerError, with nothing changed, when it may not or finds something else there.
    """
    import psycopg

    known = migrations(folder)
    options = parse_url(admin_url)
    where = describe(options)
    try:
        with connect(options) as connection:
            if connection.info.parameter_status("server_encoding") != "UTF8":
                raise LedgerError(f"ledger: expected {where} in UTF8, found another encoding; make the database anew")
            with connection.transaction():
                connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
                ready = len(_agreed(_noted(connection), known, where))
                taken_over = max(ready, _version(connection, where, borrow=True))
                connection.execute((FOLDER / "journal.sql").read_bytes())
                for each in known[ready:]:
                    connection.execute(
                        "insert into marketbot.schema_migrations (number, name, sha256) values (%s, %s, %s)",
                        (each.number, each.name, each.sha256),
                    )
                connection.execute("reset role")
                for each in known[taken_over:]:
                    connection.execute(each.sql)
                connection.execute((FOLDER / "checks.sql").read_bytes())
    except psycopg.Error as error:
        raise failure(error, where, options) from error
    return Installed(where, tuple(f"{each.number:04d} {each.name}" for each in known[taken_over:]))


def status(url: str, folder: Path = FOLDER) -> tuple[list[str], bool]:
    """One line per migration, for people, and whether all were applied as they are. Raises LedgerError as `install` does."""
    import psycopg

    known = migrations(folder)
    options = parse_url(url)
    where = describe(options)
    try:
        with connect(options) as connection:
            noted = _agreed(_noted(connection), known, where)
            old = _version(connection, where, borrow=False) if not noted else 0
    except psycopg.Error as error:
        raise failure(error, where, options) from error
    lines = [f"{where}: {len(noted)} of {len(known)} migrations applied"]
    if old:
        lines.append(f"a ledger of version {old} from before there were numbers; {INSTALL} takes it over")
    for each in known:
        told = "applied" if each.number <= len(noted) else "to do"
        lines.append(f"{each.number:04d} {each.name:20s} {each.sha256[:12]} {told}")
    return lines, len(noted) == len(known)


def _noted(connection: "psycopg.Connection") -> list[Noted]:
    if connection.execute("select to_regclass('marketbot.schema_migrations') is null").fetchone() == (True,):
        return []
    rows = connection.execute("select number, name, sha256 from marketbot.schema_migrations order by number")
    return [Noted(*row) for row in rows.fetchall()]


def _agreed(noted: Sequence[Noted], known: Sequence[Migration], where: str) -> Sequence[Noted]:
    """What was applied, if it is a beginning of what we have."""
    if noted and noted[-1].number > len(known):
        raise LedgerError(
            f"ledger: expected at most schema {len(known)} in {where}, found {noted[-1].number} "
            f"({noted[-1].name}); use the marketbot that made it, there is no way back"
        )
    for number, (was, now) in enumerate(zip(noted, known, strict=False), start=1):
        if (was.number, was.name, was.sha256) != (number, now.name, now.sha256):
            raise LedgerError(
                f"ledger: expected migration {number:04d} {now.name} {now.sha256[:12]} in {where}, found "
                f"{was.number:04d} {was.name} {was.sha256[:12]}; "
                "a file that was applied never changes: use the marketbot that made it"
            )
    return noted


def _version(connection: "psycopg.Connection", where: str, *, borrow: bool) -> int:
    """The ledger's version as its own table says it: 0 without a ledger. The first two migrations made 1 and 2.

    `borrow`: who may create roles need not be able to read what is there, and takes the owner's right for it, as the files do.
    """
    there = connection.execute(
        "select has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select') from pg_catalog.pg_class c "
        "join pg_catalog.pg_namespace n on n.oid = c.relnamespace where n.nspname = 'ledger' and c.relname = 'version'"
    ).fetchone()
    if there is None or (there == (False,) and not borrow):
        return 0
    if there == (False,):
        connection.execute("grant ledger_owner to current_user")
        connection.execute("set local role ledger_owner")
    row = connection.execute("select max(version) from ledger.version").fetchone()
    connection.execute("reset role")
    version = 0 if row is None or row[0] is None else int(row[0])
    if version > SCHEMA_VERSION:
        raise LedgerError(
            f"ledger: expected a ledger of schema version {SCHEMA_VERSION}, found a later one, {version}, in {where}; "
            "use the marketbot that made it"
        )
    return version
