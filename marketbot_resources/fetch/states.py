"""What is remembered of providers between runs: breakers and daily counts. Operational state in one SQLite file, no evidence.

The file may be deleted: breakers are closed and the day's counts start anew. Not here: when a request counts (`fetcher`).
"""

import datetime as dt
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from marketbot_resources.errors import ProviderError
from marketbot_resources.store.database import Database

FILE = "providers.sqlite"
_TABLES = """
create table if not exists breakers (provider text primary key, failures integer not null, opened_at text);
create table if not exists quotas (
  provider text, day text, requests integer not null, bytes integer not null, remaining integer, primary key (provider, day)
);
"""


class Gate(Enum):
    """Whether a provider may be asked: CLOSED breaker: yes; OPEN: no; HALF_OPEN: one request, to see whether it is back."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True)
class Quota:
    """What a provider was asked on one UTC day. `remaining`: what it last said is left, None when it does not say."""

    requests: int = 0
    bytes: int = 0
    remaining: int | None = None


class ProviderStates:
    """Breakers and quotas of all providers of a home; several processes may use it. Raises ProviderError, HomeError."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        name = "provider states (no evidence, the file may be deleted)"
        self._database = Database(home / FILE, name, ProviderError)
        with self._database.connection() as connection:
            connection.execute("pragma journal_mode=wal")
            connection.executescript(_TABLES)

    def gate(self, provider: str, now: dt.datetime, rest: dt.timedelta) -> Gate:
        """The state of a provider's breaker."""
        opened_at = self.opened_at(provider)
        if opened_at is None:
            return Gate.CLOSED
        # a clock that was set back does not keep a breaker open for longer than it rests
        return Gate.OPEN if dt.timedelta(0) <= now - opened_at < rest else Gate.HALF_OPEN

    def opened_at(self, provider: str) -> dt.datetime | None:
        """When the breaker opened; None when it is closed."""
        row = self._row("select opened_at from breakers where provider = ?", provider)
        return dt.datetime.fromisoformat(row[0]) if row and row[0] else None

    def succeeded(self, provider: str) -> None:
        """A usable answer: the breaker is closed and its count starts anew."""
        if self._row("select 1 from breakers where provider = ?", provider):
            with self._writing() as connection:
                connection.execute("delete from breakers where provider = ?", (provider,))

    def failed(self, provider: str, now: dt.datetime, failures_max: int) -> None:
        """A failed request: the breaker opens, or opens again, with failure number `failures_max` in a row."""
        with self._writing() as connection:
            connection.execute(
                "insert into breakers values (:provider, 1, null) on conflict do update set failures = failures + 1",
                {"provider": provider},
            )
            connection.execute(
                "update breakers set opened_at = ? where provider = ? and failures >= ?",
                (now.isoformat(), provider, failures_max),
            )

    def reserve(self, provider: str, day: dt.date, per_day: int | None) -> bool:
        """Counts a request that is about to be sent; False, and nothing is counted, when the day's limit is used up."""
        with self._writing() as connection:
            connection.execute("insert or ignore into quotas values (?, ?, 0, 0, null)", (provider, day.isoformat()))
            done = connection.execute(
                "update quotas set requests = requests + 1 where provider = ? and day = ? and (? is null or requests < ?)",
                (provider, day.isoformat(), per_day, per_day),
            )
            return done.rowcount == 1

    def received(self, provider: str, day: dt.date, size: int, remaining: int | None) -> None:
        """Counts the bytes of an answer as they came over the wire, and what the provider says is left."""
        with self._writing() as connection:
            connection.execute(
                "update quotas set bytes = bytes + ?, remaining = coalesce(?, remaining) where provider = ? and day = ?",
                (size, remaining, provider, day.isoformat()),
            )

    def quota(self, provider: str, day: dt.date) -> Quota:
        """What the provider was asked on a day."""
        row = self._row(
            "select requests, bytes, remaining from quotas where provider = ? and day = ?", provider, day.isoformat()
        )
        return Quota(*row) if row else Quota()

    def providers(self) -> list[str]:
        """Every provider that was ever asked, sorted."""
        with self._database.connection() as connection:
            found = connection.execute("select provider from quotas union select provider from breakers").fetchall()
        return sorted(str(row[0]) for row in found)

    def _row(self, query: str, *values: str) -> tuple | None:
        with self._database.connection() as connection:
            row: tuple | None = connection.execute(query, values).fetchone()
            return row

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that a crash of this process cannot undo; one of the machine may, which costs a count."""
        with self._database.connection() as connection:
            connection.execute("pragma synchronous=normal")
            connection.execute("begin immediate")
            yield connection
            connection.execute("commit")


@dataclass(frozen=True, slots=True)
class VendorState:
    """One line of `marketbot doctor`. `lacking`: environment variables without a value; `rests_until` of an open breaker."""

    provider: str
    lacking: tuple[str, ...]
    breaker: str
    rests_until: dt.datetime | None
    requests_today: int
    bytes_today: int
    requests_per_day: int | None
    remaining: int | None

    def line(self) -> str:
        """What a person reads."""
        key = f"key missing: set {', '.join(self.lacking)}" if self.lacking else "key set or not needed"
        rest = f" until {self.rests_until:%Y-%m-%d %H:%M} UTC" if self.rests_until else ""
        limit = "" if self.requests_per_day is None else f" of {self.requests_per_day}"
        left = "" if self.remaining is None else f", {self.remaining} left as it says"
        asked = f"{self.requests_today}{limit} requests and {self.bytes_today} bytes today"
        return f"{self.provider}: {key}; breaker {self.breaker}{rest}; {asked}{left}"


def vendor_states(
    home: Path,
    now: dt.datetime,
    *,
    keys: Mapping[str, Sequence[str]],
    per_day: Mapping[str, int | None],
    rest: dt.timedelta,
    variable: Callable[[str], str | None],
) -> list[VendorState]:
    """The states of the providers in `keys` (the environment variables that each needs), sorted by name.

    `per_day`: configured daily limits, `rest`: how long a breaker stays open. A home that asked nobody yet is not changed.
    """
    states = ProviderStates(home) if (home / FILE).exists() else None
    rows = []
    for provider in sorted(keys):
        opened_at = states.opened_at(provider) if states else None
        gate = states.gate(provider, now, rest) if states else Gate.CLOSED
        quota = states.quota(provider, now.date()) if states else Quota()
        rows.append(
            VendorState(
                provider,
                tuple(name for name in keys[provider] if not variable(name)),
                gate.value,
                opened_at + rest if opened_at and gate is Gate.OPEN else None,
                quota.requests,
                quota.bytes,
                per_day.get(provider),
                quota.remaining,
            )
        )
    return rows
