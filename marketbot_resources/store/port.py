"""What the store asks of a place for objects; `objects` (a folder) and `s3_objects` (a bucket) answer alike.

An object is put once, never changed, and verified whenever it is read. The same suite of tests passes on every adapter.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol, Self


class Objects(Protocol):
    """A place for write-once objects. A key is `folder/.../hash.suffix`; a blob is a body as received, kept gzipped."""

    @property
    def name(self) -> str:
        """Where the objects lie, for people."""
        ...

    def put(self, key: str, data: bytes) -> None:
        """Stores bytes under a key once; when it returns they are durable. Raises HomeError when the place refuses."""
        ...

    def get(self, key: str, expected_sha256: str) -> bytes:
        """The bytes of an object. Raises MissingObject, or StoreError when they are altered."""
        ...

    def raw(self, key: str) -> bytes:
        """The bytes under a key as they are, not verified. Raises MissingObject."""
        ...

    def put_blob(self, body: bytes, *, name: str | None = None) -> str:
        """Stores a body as received once; returns its hash. `name`: the hash, where the caller knows it already."""
        ...

    def get_blob(self, name: str) -> bytes:
        """A body by its hash, verified. Raises MissingObject or StoreError."""
        ...

    def check_blob(self, name: str) -> None:
        """Looks at a body as `get_blob` does, a piece at a time. Raises MissingObject or StoreError."""
        ...

    def get_packed_blob(self, name: str) -> bytes:
        """A body as it is kept, compressed, verified unpacked: what goes on elsewhere without packing it again."""
        ...

    def listing(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """(key, bytes) of every object whose key begins with `prefix`, in no order."""
        ...

    def ahead(self, wanted: Sequence[tuple[str, str]]) -> None:
        """Fetches together what will be asked one by one: (key, hash) of objects, of a blob the body's hash.

        What is missing or altered is left to `get`. Raises HomeError when the place does not answer.
        """
        ...

    def count(self) -> int:
        """Number of stored objects, blobs and manifests."""
        ...

    def at_source(self) -> Self:
        """The same place, read past every cache."""
        ...
