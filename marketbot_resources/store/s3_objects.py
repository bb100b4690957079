"""Write-once objects in an S3 bucket, with verified copies on the local disk. Same promises as a folder (`objects`).

A put is conditional (`If-None-Match: *`) and carries the SHA-256 that S3 checks before it keeps the object, so it may be repeated
after an unknown outcome. 412 means that something is there: it is compared with what was to be put. Every read is verified, from
the bucket or from the cache. Not here: time limits, repeating and errors (`s3_client`), the bound of the cache (`cache`).
"""

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import PurePosixPath
from typing import Any, TypeVar

from marketbot_resources.errors import StoreError
from marketbot_resources.store.cache import FileCache
from marketbot_resources.store.content import sha256
from marketbot_resources.store.objects import BLOBS, blob_key, check_packed, packed, unpacked, whole
from marketbot_resources.store.s3_client import Patience, S3Client, code_of

T = TypeVar("T")
THREADS, PAGE = 8, 1_000
PATIENCE = Patience()


class S3Objects:
    """Objects under one prefix of one bucket. `cache` None: nothing is kept but what `ahead` fetched, and that for one read."""

    def __init__(
        self,
        bucket: str,
        prefix: str,
        cache: FileCache | None,
        *,
        patience: Patience = PATIENCE,
        client: S3Client | None = None,
        page: int = PAGE,
    ) -> None:
        self._bucket, self._prefix, self.cache, self._page = bucket, prefix, cache, page
        self.client = client or S3Client(self.name, THREADS, patience)
        self._durable: set[str] = set()
        self._ahead: dict[str, bytes] = {}

    @property
    def name(self) -> str:
        """s3://bucket/prefix."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def put(self, key: str, data: bytes) -> None:
        """Stores bytes under a key once; when it returns they are durable. Raises HomeError; StoreError when others are there."""
        self._put(key, data, sha256(data), lambda held: held == data)

    def get(self, key: str, expected_sha256: str) -> bytes:
        """The bytes of an object. Raises MissingObject, StoreError when they are altered, HomeError without an answer."""
        return self._get(key, expected_sha256, lambda data: whole(key, data, expected_sha256))

    def raw(self, key: str) -> bytes:
        """The bytes under a key as they are; a copy counts when it is what the key's name says. Raises MissingObject."""
        digest = PurePosixPath(key).stem
        held = None if self.cache is None or key.startswith(BLOBS) else self.cache.read(digest)
        return held if held is not None and sha256(held) == digest else self._fetch(key, lambda data: data)

    def put_blob(self, body: bytes, *, name: str | None = None) -> str:
        """Stores a body as received once; returns its hash."""
        name = name or sha256(body)
        key = blob_key(name)
        if key not in self._durable:
            self._put(key, packed(body), _copy_of(key, name), lambda held: unpacked(name, held) == body)
        return name

    def get_blob(self, name: str) -> bytes:
        """A body by its hash, verified."""
        return self._blob(name)[1]

    def check_blob(self, name: str) -> None:
        """Looks at a body as `get_blob` does, a piece at a time."""
        self._get(blob_key(name), name, lambda data: check_packed(name, data))

    def get_packed_blob(self, name: str) -> bytes:
        """A body as it is kept, compressed, verified unpacked."""
        return self._blob(name)[0]

    def listing(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """(key, bytes) of every object whose key begins with `prefix`; one request per thousand."""
        where: dict[str, Any] = {"Bucket": self._bucket, "Prefix": self._prefix + prefix, "MaxKeys": self._page}

        def question(s3: Any) -> Any:
            return s3.list_objects_v2(**where)

        while True:
            page = self.client.ask(f"list {prefix or 'objects'}", question)
            for one in page.get("Contents", ()):
                yield one["Key"].removeprefix(self._prefix), int(one["Size"])
            if not page.get("IsTruncated"):
                return
            where["ContinuationToken"] = page["NextContinuationToken"]

    def ahead(self, wanted: Sequence[tuple[str, str]]) -> None:
        """Fetches objects together, a few threads at a time. Raises HomeError when S3 does not answer."""
        self._ahead.clear()
        lacking = {key: digest for key, digest in wanted if not self._near(key, digest)}
        if len(lacking) < 2:
            return
        with ThreadPoolExecutor(min(THREADS, len(lacking))) as pool:
            asked = [pool.submit(self._bring, key, digest) for key, digest in lacking.items()]
            try:
                for one in as_completed(asked):
                    one.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def count(self) -> int:
        """Number of stored objects, by listing them."""
        return sum(1 for _ in self.listing())

    def at_source(self) -> "S3Objects":
        """The same bucket past the cache."""
        return S3Objects(self._bucket, self._prefix, None, client=self.client, page=self._page)

    def holds(self, key: str, data: bytes) -> bool:
        """Whether exactly these bytes lie under a key, by the SHA-256 that S3 keeps. Raises MissingObject."""
        return self._told_sha256(key) == _checksum(data)

    def _blob(self, name: str) -> tuple[bytes, bytes]:
        return self._get(blob_key(name), name, lambda data: (data, unpacked(name, data)))

    def _get(self, key: str, digest: str, opened: Callable[[bytes], T]) -> T:
        """What `opened` makes of the bytes, or raises StoreError for others: from a copy, else from the bucket."""
        copy = _copy_of(key, digest)
        held = self._ahead.pop(copy, None) if self.cache is None else self.cache.read(copy)
        if held is not None:
            try:
                return opened(held)
            except StoreError:
                if self.cache is not None:
                    self.cache.drop(copy)
        return self._fetch(key, opened, copy)

    def _fetch(self, key: str, opened: Callable[[bytes], T], copy: str | None = None) -> T:
        def question(s3: Any) -> tuple[bytes, T]:
            with s3.get_object(Bucket=self._bucket, Key=self._prefix + key)["Body"] as body:
                data: bytes = body.read()
            return data, opened(data)

        data, made = self.client.ask(f"get {key}", question)
        if self.cache is not None and copy is not None:
            self.cache.write(copy, data)
        return made

    def _put(self, key: str, data: bytes, copy: str, same: Callable[[bytes], bool]) -> None:
        from botocore.exceptions import ClientError

        if key in self._durable:
            return

        def question(s3: Any) -> bool:
            try:
                s3.put_object(
                    Bucket=self._bucket,
                    Key=self._prefix + key,
                    Body=data,
                    ContentType="application/octet-stream",
                    IfNoneMatch="*",
                    ChecksumSHA256=_checksum(data),
                )
            except ClientError as error:
                if code_of(error) not in ("PreconditionFailed", "412"):
                    raise
                return False
            return True

        if not self.client.ask(f"put {key}", question) and not self._is_there(key, data, same):
            raise StoreError(
                f"store: object {key} in {self.name} is not what its name says; keep it, and find out who put it"
            )
        self._durable.add(key)
        if self.cache is not None:
            self.cache.write(copy, data)

    def _is_there(self, key: str, data: bytes, same: Callable[[bytes], bool]) -> bool:
        """Whether what lies under a key is what was to be put: by S3's own hash, in doubt by the bytes."""
        if self.holds(key, data):
            return True
        try:
            return same(self._fetch(key, lambda held: held))
        except StoreError:
            return False

    def _told_sha256(self, key: str) -> str | None:
        where = {"Bucket": self._bucket, "Key": self._prefix + key, "ChecksumMode": "ENABLED"}
        told: str | None = self.client.ask(f"look at {key}", lambda s3: s3.head_object(**where)).get("ChecksumSHA256")
        return told

    def _near(self, key: str, digest: str) -> bool:
        return self.cache is not None and (not self.cache.writable or self.cache.has(_copy_of(key, digest)))

    def _bring(self, key: str, digest: str) -> None:
        copy = _copy_of(key, digest)
        try:
            if key.startswith(BLOBS):
                data = self._fetch(key, lambda held: (unpacked(digest, held), held)[1], copy)
            else:
                data = self._fetch(key, lambda held: whole(key, held, digest), copy)
        except StoreError:  # whoever reads it says so
            return
        if self.cache is None:
            self._ahead[copy] = data


def _copy_of(key: str, digest: str) -> str:
    """The name of a copy: the hash, and what was done to the bytes that it covers."""
    return f"{digest}.gz" if key.startswith(BLOBS) else digest


def _checksum(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()
