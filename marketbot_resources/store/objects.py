"""Write-once objects on a local disk: an object is named by the hash of its bytes and never changes.

Put is atomic and put-if-absent (temporary file, fsync, hard link); get verifies the hash. Blobs are bodies as received,
gzip-compressed on disk, named by the hash of the body itself. Not here: which object is current (`index`).
"""

import gzip
import hashlib
import io
import os
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from marketbot_resources.errors import HomeError, MissingObject, StoreError
from marketbot_resources.store.content import sha256

READ_ONLY = 0o444
BLOBS = "blobs/"
PIECE_BYTES = 1 << 20


class LocalObjects:
    """Objects under one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def name(self) -> str:
        """The folder."""
        return str(self.root)

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
        return whole(key, self.raw(key), expected_sha256)

    def raw(self, key: str) -> bytes:
        """The bytes under a key as they are, not verified. Raises MissingObject; StoreError when the disk refuses."""
        try:
            return (self.root / key).read_bytes()
        except OSError as error:
            kind = MissingObject if isinstance(error, FileNotFoundError) else StoreError
            raise kind(f"store: expected object {key}, found: {error.strerror}") from error

    def put_blob(self, body: bytes, *, name: str | None = None) -> str:
        """Stores a body as received once; returns its hash. `name`: the hash, where the caller knows it already."""
        name = name or sha256(body)
        if not (self.root / blob_key(name)).exists():
            self.put(blob_key(name), packed(body))
        return name

    def get_blob(self, name: str) -> bytes:
        """A body by its hash, verified."""
        return self._blob(name)[1]

    def check_blob(self, name: str) -> None:
        """Looks at a body as `get_blob` does, a piece at a time."""
        check_packed(name, self._packed(name))

    def get_packed_blob(self, name: str) -> bytes:
        """A body as it lies on the disk, compressed, verified unpacked: what goes on elsewhere without packing it again."""
        return self._blob(name)[0]

    def _blob(self, name: str) -> tuple[bytes, bytes]:
        data = self._packed(name)
        return data, unpacked(name, data)

    def _packed(self, name: str) -> bytes:
        path = self.root / blob_key(name)
        try:
            return path.read_bytes()
        except OSError as error:
            kind = MissingObject if isinstance(error, FileNotFoundError) else StoreError
            raise kind(f"store: expected blob {name[:12]}, found: {error}") from error

    def listing(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """(key, bytes) of every object whose key begins with `prefix`."""
        folder = self.root / prefix.rpartition("/")[0]
        for path in folder.rglob("*"):
            key = path.relative_to(self.root).as_posix()
            if key.startswith(prefix) and not path.name.startswith(".tmp-") and path.is_file():
                yield key, path.stat().st_size

    def ahead(self, wanted: Sequence[tuple[str, str]]) -> None:
        """Nothing: a disk is near."""

    def count(self) -> int:
        """Number of stored objects, blobs and manifests."""
        return sum(1 for path in self.root.rglob("*") if path.is_file() and not path.name.startswith(".tmp-"))

    def at_source(self) -> Self:
        """Itself: nothing lies between."""
        return self


def blob_key(name: str) -> str:
    """Where a blob lies."""
    return f"{BLOBS}{name[:2]}/{name}.gz"


def packed(body: bytes) -> bytes:
    """A body as it is kept; the same bytes each time, by one version of zlib."""
    return gzip.compress(body, compresslevel=3, mtime=0)


def check_packed(name: str, data: bytes) -> None:
    """Raises StoreError, as `unpacked` does; the body, which may be a whole history, is never in memory."""
    digest = hashlib.sha256()
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            while piece := file.read(PIECE_BYTES):
                digest.update(piece)
    except (OSError, EOFError, zlib.error) as error:
        raise StoreError(f"store: expected blob {name[:12]}, found: {error}") from error
    if digest.hexdigest() != name:
        raise StoreError(f"store: blob {name[:12]} was altered")


def unpacked(name: str, data: bytes) -> bytes:
    """The body that a blob holds. Raises StoreError when it is not the one that its name says."""
    try:
        body = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise StoreError(f"store: expected blob {name[:12]}, found: {error}") from error
    if sha256(body) != name:
        raise StoreError(f"store: blob {name[:12]} was altered")
    return body


def whole(key: str, data: bytes, expected_sha256: str) -> bytes:
    """The bytes of an object. Raises StoreError when they are not those that its name says."""
    found = sha256(data)
    if found != expected_sha256:
        raise StoreError(f"store: object {key} was altered: expected {expected_sha256[:12]}, found {found[:12]}")
    return data


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
