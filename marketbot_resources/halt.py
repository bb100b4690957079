"""The halt flag (RC-80): a file in the home that anyone can write and no one has to parse, and other sources beside it.

The file is a JSON object with a `reason` and, from `HaltLevel`, a `level` (none: HALT), or anything else: what cannot be
understood halts. Any source that is on halts, the most severe level counts, unreadable means halted. Each session's snapshot
records it. Not here: the other sources (`halt_sources`).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from marketbot_resources.errors import HomeError
from marketbot_resources.model import HaltLevel
from marketbot_resources.redaction import redactor

FILE_NAME = "HALT"
OFF, ON, UNREADABLE = "off", "on", "unreadable"
SEVERITY = tuple(HaltLevel)
FILE_SOURCE = "file HALT"


@dataclass(frozen=True, slots=True)
class HaltFlag:
    """`status` is off, on or unreadable; `reason` says why, without secrets; `level` says how much is stopped while it is on."""

    status: str
    reason: str
    level: HaltLevel = HaltLevel.HALT

    @property
    def word(self) -> str:
        """One word for snapshot, gate and controls: off, unreadable, on (HALT), or the level."""
        return self.status if self.status != ON or self.level is HaltLevel.HALT else self.level.value


class HaltSource(Protocol):
    """One place where trading can be halted, beside the file."""

    @property
    def name(self) -> str:
        """What and where it is, for people."""
        ...

    def read(self) -> HaltFlag:
        """Its flag now. What it raises counts as unreadable."""
        ...


def understood(level: object, reason: object) -> HaltFlag:
    """The flag of a source that says `off` or a level; every other word is unreadable, since it was meant to say something."""
    text = redactor().text(str(reason or ""))
    if level == OFF:
        return HaltFlag(OFF, "")
    if not (isinstance(level, str) and level in list(HaltLevel)):
        return HaltFlag(UNREADABLE, f"says {str(level)[:40]!r}, expected off, {', '.join(HaltLevel)}")
    return HaltFlag(ON, text or "no reason given", HaltLevel(level))


def combined(flags: Sequence[tuple[str, HaltFlag]]) -> HaltFlag:
    """One flag of many, by name: off when all are off, else the most severe; unreadable is as severe as HALT.

    The reason tells every source that is not off; the file's own stands without its name.
    """
    standing = [(name, flag) for name, flag in flags if flag.status != OFF]
    if not standing:
        return HaltFlag(OFF, "")
    _, worst = max(standing, key=lambda item: _severity(item[1]))
    told = [flag.reason if name == FILE_SOURCE else f"{name}: {flag.reason}" for name, flag in standing]
    return HaltFlag(worst.status, "; ".join(told), worst.level)


def _severity(flag: HaltFlag) -> int:
    return SEVERITY.index(HaltLevel.HALT if flag.status != ON else flag.level)


class HaltSwitch:
    """The halt flag of one home: its file, which commands set and clear, and other sources, which they only read."""

    def __init__(self, home: Path, others: Sequence[HaltSource] = ()) -> None:
        self.home, self._path, self._others = home, home / FILE_NAME, tuple(others)

    def read(self) -> HaltFlag:
        """The flag of all sources as it is now; anything odd counts as unreadable."""
        return combined(self.each())

    def each(self) -> tuple[tuple[str, HaltFlag], ...]:
        """(name, flag) of every source, the file first."""
        return ((FILE_SOURCE, self._file()), *((source.name, _asked(source)) for source in self._others))

    def _file(self) -> HaltFlag:
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return HaltFlag(OFF, "")
        except (OSError, UnicodeDecodeError) as error:
            return HaltFlag(UNREADABLE, f"halt flag cannot be read: {type(error).__name__}")
        try:
            told = json.loads(text)
            reason, level = told["reason"], told.get("level", HaltLevel.HALT.value)
        except (ValueError, KeyError, TypeError, AttributeError):
            return HaltFlag(UNREADABLE, "halt flag is not a JSON object with a reason")
        if level not in list(HaltLevel):
            return HaltFlag(UNREADABLE, f"halt flag has a level that is none of {', '.join(HaltLevel)}")
        return HaltFlag(ON, redactor().text(str(reason)), HaltLevel(level))

    def set(self, reason: str, level: HaltLevel = HaltLevel.HALT) -> None:
        """Halts, by the file."""
        told = {"reason": redactor().text(reason), "level": level.value}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(json.dumps(told), encoding="utf-8")
        except OSError as error:
            raise HomeError(f"halt: expected to write {self._path}, found: {error.strerror}") from error

    def clear(self) -> None:
        """Removes the file; other sources stay as they are."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise HomeError(f"resume: expected to remove {self._path}, found: {error.strerror}") from error


def _asked(source: HaltSource) -> HaltFlag:
    try:
        return source.read()
    except Exception as error:
        return HaltFlag(UNREADABLE, f"cannot be read: {redactor().text(f'{type(error).__name__}: {error}')[:200]}")
