"""Alerts and their attempts that the ledger does not take, because it or its disk refuses: a file beside the home keeps them.

The notifier reads them with the ledger's own and moves them into it once it takes entries again. Where the file cannot be written
either, they are handed to the notifier as they are and said on stderr. Not here: sending (`delivery`), what is told (`alerting`).
"""

import fcntl
import json
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol, cast

from marketbot_resources.alerts import KIND, Alert, alert_of, one_line
from marketbot_resources.errors import Equivocation, LedgerError, MarketbotError
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Entry, Json
from marketbot_resources.redaction import redactor

REFUSED = (MarketbotError, OSError, sqlite3.Error)  # what a ledger, a store or a disk that cannot be used raises
FILE_BYTES_MAX, HANDED_MAX = 1 << 20, 20
NO_HEAD = (0, "cannot be read")
_BEYOND = 1 << 60  # numbers of entries that the ledger does not have: after all of its own
Line = tuple[str, str, dict[str, Json]]


class Records(Protocol):
    """What delivery needs of a ledger."""

    def entries(self, kind: str, prefix: str = "") -> list[Entry]: ...

    def get(self, kind: str, key: str) -> Entry | None: ...

    def append(self, kind: str, key: str, body: Mapping[str, Json]) -> object: ...

    def head(self) -> tuple[int, str]: ...


class Unrecorded:
    """Entries of one home that its ledger did not take. `given`: what the caller knows beside the file."""

    def __init__(self, home: Path, given: Sequence[Line] = ()) -> None:
        self.path = home.parent / f"{home.name}.alerts.jsonl"
        self._given = {(kind, key): (kind, key, body) for kind, key, body in given}

    def lines(self) -> list[Line]:
        """(kind, key, body) of each, oldest first, once; what cannot be read is left out."""
        found: dict[tuple[str, str], Line] = {}
        for one in self._read():
            with suppress(ValueError, TypeError):
                kind, key, body = json.loads(one)
                found.setdefault((str(kind), str(key)), (str(kind), str(key), dict(body)))
        return list({**found, **{at: line for at, line in self._given.items() if at not in found}}.values())

    def _read(self) -> list[str]:
        try:
            with self.path.open("rb") as file:
                return file.read(FILE_BYTES_MAX).decode("utf-8", "replace").splitlines()
        except OSError:
            return []

    def add(self, kind: str, key: str, body: Mapping[str, Json]) -> None:
        """Keeps one in the file, else for as long as this process lives; then stderr has it, too."""
        line = redactor().text(json.dumps([kind, key, dict(body)], sort_keys=True))
        self._given[kind, key] = (kind, key, dict(body))
        try:
            with self.path.open("ab") as file:
                file.write(f"{line}\n".encode())
        except OSError as error:
            print(f"marketbot: alert not recorded ({error.strerror}): {one_line(line, 1_000)}", file=sys.stderr)

    def add_alerts(self, alerts: Iterable[Alert]) -> list[Alert]:
        """Keeps alerts and returns those that were not among them."""
        known = {key for kind, key, _ in self.lines() if kind == KIND}
        new = {alert.key: alert for alert in alerts if alert.key not in known}
        for alert in new.values():
            self.add(KIND, alert.key, alert.body())
        return list(new.values())

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether the holder is alone, by a lock on a file beside the home. Raises OSError where there can be none."""
        with self.path.with_suffix(".lock").open("ab") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def move_into(self, ledger: Ledger) -> None:
        """Appends everything to the ledger and forgets it. Raises what the ledger raises; then everything stays."""
        lines = self.lines()
        for kind, key, body in lines:
            with suppress(Equivocation):  # the ledger knows it in other words
                ledger.append(kind, key, body)
        self._given.clear()
        if lines:
            self.path.unlink(missing_ok=True)


class WithUnrecorded:
    """A ledger together with what it did not take. `ledger`: None where there is none or it cannot be opened."""

    def __init__(self, ledger: Ledger | None, beside: Unrecorded) -> None:
        self._ledger, self._beside = ledger, beside

    def entries(self, kind: str, prefix: str = "") -> list[Entry]:
        """The ledger's entries, as far as it can be read, then the others that fit."""
        known: list[Entry] = []
        if self._ledger is not None:
            with suppress(*REFUSED):
                known = self._ledger.entries(kind, prefix)
        keys = {entry.key for entry in known}
        more = [
            Entry(_BEYOND + n, kind, key, body, "")
            for n, (its, key, body) in enumerate(self._beside.lines())
            if its == kind and key.startswith(prefix) and key not in keys and _sound(kind, key, body)
        ]
        return known + more

    def get(self, kind: str, key: str) -> Entry | None:
        """One of them, as `entries` gives it; None when there is none."""
        return next((entry for entry in self.entries(kind, key) if entry.key == key), None)

    def append(self, kind: str, key: str, body: Mapping[str, Json]) -> object:
        """Into the ledger, else beside it."""
        if self._ledger is not None:
            with suppress(*REFUSED):
                return self._ledger.append(kind, key, body)
        self._beside.add(kind, key, body)
        return None

    def head(self) -> tuple[int, str]:
        """The ledger's head, or that there is none to tell."""
        if self._ledger is not None:
            with suppress(*REFUSED):
                return self._ledger.head()
        return NO_HEAD


def _sound(kind: str, key: str, body: dict[str, Json]) -> bool:
    """Whether a line is what delivery expects; the file is nobody's evidence."""
    if kind != KIND:
        return isinstance(body.get("at"), str) and isinstance(body.get("alerts"), list) and "channel" in body
    try:
        return alert_of(Entry(0, kind, key, body, "")).key == key
    except LedgerError:
        return False


def handed(told: object) -> list[Line]:
    """Lines as one process hands them to another, checked; at most HANDED_MAX."""
    rows = told if isinstance(told, list) else []
    return [
        (str(row[0]), str(row[1]), cast("dict[str, Json]", row[2]))
        for row in rows[:HANDED_MAX]
        if isinstance(row, list) and len(row) == 3 and isinstance(row[2], dict)
    ]
