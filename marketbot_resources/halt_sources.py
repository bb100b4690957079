"""Where trading can be halted besides the file in the home: a row in the ledger's database, and a parameter of AWS.

A source is asked before every order, so it has two seconds (ten the first time); no answer is unreadable, which halts. The row
is for whoever runs the database, the parameter for whoever runs the account at AWS: both work when no one can log in to the
machine. The platform only reads them. Not here: the file and what the flags add up to (`halt`).
"""

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Any

from marketbot_resources import settings
from marketbot_resources.errors import HomeError
from marketbot_resources.halt import OFF, UNREADABLE, HaltFlag, HaltSource, HaltSwitch, understood
from marketbot_resources.ledger.opening import FILE, MARK
from marketbot_resources.redaction import redactor

ANSWER_SECONDS = 2.0
FIRST_SECONDS = 10.0  # the first question loads the client's code and looks for credentials
# A halt by parameter takes hold at most so late. File and row are read each time; an order in flight is lost to both anyway.
FRESH_SECONDS = 10.0
PARAMETER_MARK = "halt.parameter"
ROW = "select level, reason from halt"
_SQLITE = """
create table if not exists halt(
  only_row integer primary key check (only_row = 1), level text not null, reason text not null default '');
insert or ignore into halt values (1, 'off', '');
"""


def open_halt(home: Path, *, keep: bool = False) -> HaltSwitch:
    """The halt flag of a home with every source that it has. Opens nothing before it is read.

    A parameter once used belongs to the home from then on (`keep` notes it): a lost setting must not take a source away.
    """
    others: list[HaltSource] = [Bounded(_row(home), first=FIRST_SECONDS)]
    name, mark = settings.halt_parameter(), home / PARAMETER_MARK
    if name is not None:
        others.append(Bounded(SsmParameter(name), first=FIRST_SECONDS))
        if keep:
            _keep(mark, name)
    elif mark.exists():
        why = (
            f"expected MARKETBOT_HALT_PARAMETER, since this home is halted by a parameter, too; set it or remove {mark}"
        )
        others.append(Missing("parameter", why))
    return HaltSwitch(home, others)


def _row(home: Path) -> HaltSource:
    url = settings.ledger_url()
    if url is not None:
        return PostgresRow(url)
    if (home / MARK).exists():
        return Missing(
            "database row", "expected MARKETBOT_LEDGER, since this home's ledger is in a database, found none"
        )
    return SqliteRow(home / FILE)


def _keep(mark: Path, name: str) -> None:
    try:
        if not mark.exists() or mark.read_text(encoding="utf-8").strip() != name:
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.write_text(f"{name}\n", encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise HomeError(f"home: expected to write {mark}, found: {type(error).__name__}") from error


class Missing:
    """A source that should be there and is not."""

    def __init__(self, name: str, why: str) -> None:
        self.name, self._why = name, why

    def read(self) -> HaltFlag:
        return HaltFlag(UNREADABLE, self._why)


class Bounded:
    """A source that has so many seconds, and `first` for the first question (None: as many).

    It is asked in a thread of its own, since nothing else ends every kind of waiting.
    """

    def __init__(self, source: HaltSource, seconds: float = ANSWER_SECONDS, *, first: float | None = None) -> None:
        self._source, self._seconds = source, seconds
        self._next = seconds if first is None else first
        self._thread: threading.Thread | None = None

    @property
    def name(self) -> str:
        return self._source.name

    def read(self) -> HaltFlag:
        """Its flag; unreadable when it raises or is late. While an earlier question still waits, no other one is put."""
        seconds, self._next = self._next, self._seconds
        late = HaltFlag(UNREADABLE, f"gave no answer within {seconds:g} seconds")
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(seconds)
            if self._thread.is_alive():
                return late
        found: list[HaltFlag] = []
        self._thread = threading.Thread(target=self._ask, args=(found,), name="halt source", daemon=True)
        self._thread.start()
        self._thread.join(seconds)
        return found[0] if found else late

    def _ask(self, found: list[HaltFlag]) -> None:
        try:
            flag = self._source.read()
        except Exception as error:
            why = redactor().text(f"{type(error).__name__}: {error}")[:200]
            flag = HaltFlag(UNREADABLE, f"cannot be read: {why}")
        found.append(flag)


class SqliteRow:
    """The row `halt` in the ledger's file, beside the log. A ledger of before gets it, off; a home without ledger has none."""

    name = "database row"

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> HaltFlag:
        if not self._path.exists():
            return HaltFlag(OFF, "")
        address = f"{self._path.absolute().as_uri()}?mode=rw"  # never makes the file
        with closing(sqlite3.connect(address, uri=True, timeout=ANSWER_SECONDS, isolation_level=None)) as connection:
            if not connection.execute("select 1 from sqlite_master where name = 'halt'").fetchall():
                connection.executescript(f"begin immediate; {_SQLITE} commit;")
            return _of_rows(connection.execute(ROW).fetchall())


class PostgresRow:
    """The row `ledger.halt` of the ledger's database, which the role marketbot_halt may set. The schema stands in `migrations`."""

    name = "database row"

    def __init__(self, url: str) -> None:
        self._url = url

    @cached_property
    def _link(self) -> Any:
        from marketbot_resources.ledger.postgres_link import Link

        return Link(self._url)

    def read(self) -> HaltFlag:
        """Raises LedgerError, also for a database of before; the schema's installation is safe to run again."""
        return _of_rows(self._link.rows(ROW.replace("halt", "ledger.halt")))


def _of_rows(rows: list[tuple]) -> HaltFlag:
    if len(rows) != 1:
        return HaltFlag(UNREADABLE, f"expected one row, found {len(rows)}")
    return understood(*rows[0])


class SsmParameter:
    """A parameter of AWS Systems Manager: `off`, a level, or a level, a colon and why. Missing counts as unreadable.

    What it said is believed for FRESH_SECONDS, what could not be read is asked again. Region, endpoint and credentials are
    those that boto3 finds. `ticks`: seconds of a clock that never jumps.
    """

    def __init__(self, parameter: str, ticks: Callable[[], float] = time.monotonic) -> None:
        self.name, self._parameter, self._ticks = f"parameter {parameter}", parameter, ticks
        self._known: tuple[float, HaltFlag] | None = None

    def read(self) -> HaltFlag:
        if self._known is not None and 0 <= self._ticks() - self._known[0] < FRESH_SECONDS:
            return self._known[1]
        asked = self._ticks()
        level, _, reason = self._value().partition(":")
        flag = understood(level.strip(), reason.strip())
        self._known = None if flag.status == UNREADABLE else (asked, flag)
        return flag

    def _value(self) -> str:
        value = self._client.get_parameter(Name=self._parameter, WithDecryption=False)["Parameter"]["Value"]
        if not isinstance(value, str):
            raise TypeError(f"expected a text, found {type(value).__name__}")
        return value

    @cached_property
    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        limits = Config(connect_timeout=ANSWER_SECONDS, read_timeout=ANSWER_SECONDS, retries={"total_max_attempts": 1})
        return boto3.session.Session().client("ssm", config=limits)
