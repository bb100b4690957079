"""A bounded folder of copies of objects, by the hash in their names. It is never evidence: whoever reads verifies.

A copy is written whole or not at all; a torn or changed one is dropped and fetched again by whoever finds it. The longest unread
go first when the folder grows past its bound. A folder that cannot be written is an empty cache, not an error.
"""

import os
import tempfile
import threading
from pathlib import Path

LOOK_EVERY, KEPT_SHARE = 256, 0.9


class FileCache:
    """Copies under one folder, at most `bytes_max` of them. Not `writable`: what is there is read, nothing is changed."""

    def __init__(self, folder: Path, bytes_max: int, *, writable: bool = True) -> None:
        self.folder, self.bytes_max, self.writable = folder, bytes_max, writable
        self._lock = threading.Lock()
        self._bytes, self._writes = 0, 0

    def read(self, name: str) -> bytes | None:
        """The copy, not verified; None without one."""
        path = self._path(name)
        try:
            data = path.read_bytes()
            if self.writable:
                os.utime(path)
        except OSError:
            return None
        return data

    def has(self, name: str) -> bool:
        """Whether there is a copy."""
        return self._path(name).exists()

    def write(self, name: str, data: bytes) -> None:
        """Keeps a copy if it can be kept."""
        if not self.writable or len(data) > self.bytes_max:
            return
        path = self._path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, data)
            self._bound(len(data))
        except OSError:
            return

    def drop(self, name: str) -> None:
        """Forgets a copy."""
        if self.writable:
            self._path(name).unlink(missing_ok=True)

    def size(self) -> tuple[int, int]:
        """(copies, bytes) there are."""
        sizes = [size for _, size, _ in self._files()]
        return len(sizes), sum(sizes)

    def _path(self, name: str) -> Path:
        return self.folder / name[:2] / name

    def _bound(self, added: int) -> None:
        """Other processes write, too: every so often the folder itself is asked how large it is."""
        with self._lock:
            if self._writes % LOOK_EVERY == 0:
                self._bytes = self.size()[1]
            else:
                self._bytes += added
            self._writes += 1
            if self._bytes <= self.bytes_max:
                return
            files = sorted(self._files())
            self._bytes = sum(size for _, size, _ in files)
            for _, size, path in files:
                if self._bytes <= KEPT_SHARE * self.bytes_max:
                    return
                path.unlink(missing_ok=True)
                self._bytes -= size

    def _files(self) -> list[tuple[int, int, Path]]:
        """(last read, bytes, path) of every file, those that a killed process left half written among them."""
        found = []
        for path in self.folder.rglob("*"):
            try:
                if path.is_file():
                    told = path.stat()
                    found.append((told.st_mtime_ns, told.st_size, path))
            except OSError:  # dropped meanwhile by another process
                continue
        return found


def _replace(path: Path, data: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
