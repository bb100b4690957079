"""Write-once objects on a local disk: an object is named by the hash of its bytes and never changes.

Put is atomic and put-if-absent (temporary file, fsync, hard link); get verifies the hash. Blobs are bodies as received,
gzip-compressed on disk, named by the hash of the body itself. Not here: which object is current (`index`).
"""

import gzip
import os
import tempfile
import zlib
from pathlib import Path

from marketbot_resources.errors import HomeError, StoreError
from marketbot_resources.store.content import sha256

READ_ONLY = 0o444


class LocalObjects:
    """Objects under one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, key: str, data: bytes) -> None:
        """Stores bytes under a key once; an existing key is left alone. Raises HomeError when the disk refuses."""
        path = self.root / key
        if path.exists():
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _link_once(path, data)
        except OSError as error:
            raise HomeError(
                f"store: expected to write {path}, found: {error.strerror}; free or unlock the folder"
            ) from error

    def get(self, key: str, expected_sha256: str) -> bytes:
        """The bytes of an object. Raises StoreError when they are missing or altered."""
        path = self.root / key
        try:
            data = path.read_bytes()
        except OSError as error:
            raise StoreError(f"store: expected object {key}, found: {error.strerror}") from error
        found = sha256(data)
        if found != expected_sha256:
            raise StoreError(f"store: object {key} was altered: expected {expected_sha256[:12]}, found {found[:12]}")
        return data

    def put_blob(self, body: bytes, *, name: str | None = None) -> str:
        """Stores a body as received once; returns its hash. `name`: the hash, where the caller knows it already."""
        name = name or sha256(body)
        if not (self.root / blob_key(name)).exists():
            self.put(blob_key(name), gzip.compress(body, compresslevel=3, mtime=0))
        return name

    def get_blob(self, name: str) -> bytes:
        """A body by its hash, verified."""
        return self._blob(name)[1]

    def get_packed_blob(self, name: str) -> bytes:
        """A body as it lies on the disk, compressed, verified unpacked: what goes on elsewhere without packing it again."""
        return self._blob(name)[0]

    def _blob(self, name: str) -> tuple[bytes, bytes]:
        path = self.root / blob_key(name)
        try:
            packed = path.read_bytes()
            body = gzip.decompress(packed)
        except (OSError, EOFError, zlib.error) as error:
            raise StoreError(f"store: expected blob {name[:12]}, found: {error}") from error
        if sha256(body) != name:
            raise StoreError(f"store: blob {name[:12]} was altered")
        return packed, body

    def count(self) -> int:
        """Number of stored objects, blobs and manifests."""
        return sum(1 for path in self.root.rglob("*") if path.is_file() and not path.name.startswith(".tmp-"))


def blob_key(name: str) -> str:
    """Where a blob lies."""
    return f"blobs/{name[:2]}/{name}.gz"


def _link_once(path: Path, data: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, READ_ONLY)
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass
    finally:
        os.unlink(temporary)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
