"""A folder that only its owner reads: a private key, what was last said with it, and a lock. Files are replaced whole and durably.

The signer and the witness keep their state in one. Not here: what the files mean (`signer`, `witness`).
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from marketbot_resources.errors import MarketbotError

FOLDER_MODE, FILE_MODE = 0o700, 0o600
LOCK = "lock"


class PrivateFolder:
    """One folder. `who` begins every message, `failure` is what every method raises when the disk refuses or a mode is wide."""

    def __init__(self, path: Path, who: str, failure: type[MarketbotError]) -> None:
        self.path = path
        self._who, self._failure = who, failure

    def create(self) -> None:
        """Makes the folder when there is none; one that exists must be closed to others already."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if not self.path.exists():
                self.path.mkdir(mode=FOLDER_MODE, exist_ok=True)
                self._sync(self.path.parent)
        except OSError as error:
            raise self._refusal("create", self.path, error) from error
        self.check()

    def check(self) -> None:
        """Raises when the folder is missing or open to others."""
        self._closed(self.path, FOLDER_MODE)

    def read(self, name: str, *, secret: bool = False) -> str | None:
        """A file's text; None when there is none. A secret file must be closed to others."""
        path = self.path / name
        try:
            if secret and path.exists():
                self._closed(path, FILE_MODE)
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise self._refusal("read", path, error) from error

    def write(self, name: str, text: str) -> None:
        """Replaces a file. When this returns the text is on the disk; a crash leaves the old or the new text, never a part.

        The caller holds the lock: the new file has one fixed name until it is renamed.
        """
        path, new = self.path / name, self.path / f".new-{name}"
        try:
            handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
            with os.fdopen(handle, "wb") as file:
                os.fchmod(handle, FILE_MODE)
                file.write(text.encode())
                file.flush()
                os.fsync(handle)
            os.replace(new, path)
            self._sync(self.path)
        except OSError as error:
            raise self._refusal("write", path, error) from error

    @contextmanager
    def locked(self, *, wait: bool = True) -> Iterator[None]:
        """Holds the folder for this process; the system lets go of it when the process ends. Without `wait`, raises when taken."""
        self.check()
        try:
            handle = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        except OSError as error:
            raise self._refusal("lock", self.path, error) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            raise self._failure(
                f"{self._who}: expected {self.path} to be free, found it in use by a process"
            ) from error
        try:
            yield
        finally:
            os.close(handle)

    def _closed(self, path: Path, mode: int) -> None:
        try:
            found = stat.S_IMODE(os.stat(path).st_mode)
        except OSError as error:
            raise self._refusal("read", path, error) from error
        if found & ~mode:
            raise self._failure(
                f"{self._who}: expected {path} with mode {mode:04o}, found {found:04o}; chmod {mode:o} it, and make a "
                "new key if someone else could have read it"
            )

    def _refusal(self, what: str, path: Path, error: Exception) -> MarketbotError:
        reason = error.strerror if isinstance(error, OSError) else "no UTF-8 text"
        return self._failure(f"{self._who}: expected to {what} {path}, found: {reason}")

    @staticmethod
    def _sync(folder: Path) -> None:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
