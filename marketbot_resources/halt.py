"""The halt flag (RC-80): a file in the home that anyone can write and no one has to parse. Unreadable means halted.

It is a JSON object with a `reason` and, from `HaltLevel`, a `level` (none: HALT), or anything else: what cannot be understood
halts. Each session's snapshot records it.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from marketbot_resources.errors import HomeError
from marketbot_resources.model import HaltLevel
from marketbot_resources.redaction import redactor

FILE_NAME = "HALT"
OFF, ON, UNREADABLE = "off", "on", "unreadable"


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


class HaltSwitch:
    """The halt flag of one home."""

    def __init__(self, home: Path) -> None:
        self._path = home / FILE_NAME

    def read(self) -> HaltFlag:
        """The flag as it is now; anything odd counts as unreadable."""
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
        """Halts."""
        told = {"reason": redactor().text(reason), "level": level.value}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(json.dumps(told), encoding="utf-8")
        except OSError as error:
            raise HomeError(f"halt: expected to write {self._path}, found: {error.strerror}") from error

    def clear(self) -> None:
        """Removes the flag."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise HomeError(f"resume: expected to remove {self._path}, found: {error.strerror}") from error
