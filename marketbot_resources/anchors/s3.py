"""An S3 bucket with Object Lock as an anchor: the first version of a note cannot be changed or deleted before its time.

`<prefix>checkpoint/<size in 12 digits>.txt`, one prefix per log. An object is put only where none is; what is read is always
the oldest version of a key, so that neither a later version nor a delete marker hides it. Endpoint, region and credentials are
those that boto3 finds (AWS_ENDPOINT_URL, AWS_DEFAULT_REGION, ...); boto3 is imported at the first use.
"""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from marketbot_resources.anchors.port import NOTE_BYTES_MAX, Proof, kept_note
from marketbot_resources.errors import AnchorError
from marketbot_resources.ledger.note import VerifyKey, open_checkpoint

CONNECT_SECONDS, READ_SECONDS, ATTEMPTS, PAGE = 5, 20, 3, 1_000
_PRESENT = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")


@dataclass(frozen=True, slots=True)
class Retention:
    """How long a note is locked, and how hard: GOVERNANCE yields to a special right, COMPLIANCE to no one."""

    mode: str
    days: int


class S3Anchor:
    """Notes under one prefix of one bucket. Without `retention` the bucket's own default holds. `page`: keys per listing."""

    def __init__(
        self,
        bucket: str,
        prefix: str,
        retention: Retention | None,
        now: Callable[[], dt.datetime],
        *,
        page: int = PAGE,
    ) -> None:
        self._bucket, self._prefix, self._retention = bucket, prefix, retention
        self._now, self._page = now, page

    @property
    def name(self) -> str:
        lock = f"?mode={self._retention.mode}&days={self._retention.days}" if self._retention else ""
        return f"s3://{self._bucket}/{self._prefix}{lock}"

    def publish(self, note: str, key: VerifyKey, prove: Proof) -> str:
        head = open_checkpoint(note, key)
        name = f"{self._prefix}checkpoint/{head.size:012d}.txt"
        with self._failing(f"put {name}"):
            self._put_once(name, note)
            oldest = dict(self._oldest(name)).get(name)
            kept = None if oldest is None else self._read(name, oldest)
        if kept is None:
            raise AnchorError(f"{self.name}: expected {name} after it was put, found none")
        return kept_note(kept, note, key, self.name)

    def notes(self, key: VerifyKey) -> list[str]:
        with self._failing("list notes"):
            found = sorted(self._oldest(f"{self._prefix}checkpoint/"))
            return [self._read(name, version) for name, version in found if name.endswith(".txt")]

    @cached_property
    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        limits = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
        )
        return boto3.session.Session().client("s3", config=limits)

    def _put_once(self, name: str, note: str) -> None:
        from botocore.exceptions import ClientError

        lock: dict[str, object] = {}
        if self._retention:
            until = self._now() + dt.timedelta(days=self._retention.days)
            lock = {"ObjectLockMode": self._retention.mode, "ObjectLockRetainUntilDate": until}
        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=name,
                Body=note.encode(),
                ContentType="text/plain; charset=utf-8",
                IfNoneMatch="*",
                ChecksumAlgorithm="SHA256",
                **lock,
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _PRESENT:
                raise

    def _oldest(self, prefix: str) -> Iterator[tuple[str, str]]:
        """(key, version) of the oldest version of every key. S3 lists a key's versions newest first."""
        listing = self._client.get_paginator("list_object_versions")
        oldest: dict[str, tuple[dt.datetime, str]] = {}
        for page in listing.paginate(Bucket=self._bucket, Prefix=prefix, PaginationConfig={"PageSize": self._page}):
            for version in page.get("Versions", ()):
                at, known = version["LastModified"], oldest.get(version["Key"])
                if known is None or at <= known[0]:
                    oldest[version["Key"]] = at, version["VersionId"]
        return ((name, version) for name, (_, version) in oldest.items())

    def _read(self, name: str, version: str) -> str:
        answer = self._client.get_object(Bucket=self._bucket, Key=name, VersionId=version)
        with answer["Body"] as body:
            data: bytes = body.read(NOTE_BYTES_MAX)
        return data.decode(errors="replace")

    @contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError) as error:
            raise AnchorError(f"{self.name}: expected to {what}, found: {error}") from error
