"""The halt flag (RC-80): a file in the home that anyone can write and no one has to parse. Unreadable means halted.

It is a JSON object with a `reason`, or anything else: what cannot be understood halts. Each session's snapshot records it.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from marketbot_resources.errors import HomeError
from marketbot_resources.redaction import redactor

FILE_NAME = "HALT"


@dataclass(frozen=True, slots=True)
class HaltFlag:
    """`status` is off, on or unreadable; `reason` says why, without secrets."""

    status: str
    reason: str


class HaltSwitch:
    """The halt flag of one home."""

    def __init__(self, home: Path) -> None:
        self._path = home / FILE_NAME

    def read(self) -> HaltFlag:
        """The flag as it is now; anything odd counts as unreadable."""
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return HaltFlag("off", "")
        except (OSError, UnicodeDecodeError) as error:
            return HaltFlag("unreadable", f"halt flag cannot be read: {type(error).__name__}")
        try:
            reason = json.loads(text)["reason"]
        except (ValueError, KeyError, TypeError):
            return HaltFlag("unreadable", "halt flag is not a JSON object with a reason")
        return HaltFlag("on", redactor().text(str(reason)))

    def set(self, reason: str) -> None:
        """Halts."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(json.dumps({"reason": redactor().text(reason)}), encoding="utf-8")
        except OSError as error:
            raise HomeError(f"halt: expected to write {self._path}, found: {error.strerror}") from error

    def clear(self) -> None:
        """Removes the flag."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise HomeError(f"resume: expected to remove {self._path}, found: {error.strerror}") from error
