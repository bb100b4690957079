"""S3 stores for tests of the product's adapter: SeaweedFS and moto, each behind the same few names, and a proxy that misbehaves."""

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import pytest
from services import S3

from marketbot_resources.store.cache import FileCache
from marketbot_resources.store.s3_client import Patience, S3Client
from marketbot_resources.store.s3_objects import THREADS, S3Objects

MIB = 1024 * 1024
QUICK = Patience(connect=10.0, read=20.0, attempts=3, pause=0.01, pause_max=0.02, total=60.0)
HASTY = replace(QUICK, read=0.3)

_NUMBERS, _CLIENTS = itertools.count(), dict[tuple[str, Patience], S3Client]()


@dataclass
class Door:
    """Where an S3 store answers and with which keys; `client` is boto3's own, for what the product must not do."""

    endpoint: str
    access_key: str
    secret: str
    client: Any

    def bucket(self, *, lock: bool = False) -> str:
        """The name of a new bucket."""
        name = f"objects-{next(_NUMBERS)}"
        self.client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock)
        return name

    def asked(self, patience: Patience = QUICK) -> S3Client:
        """The product's client, made once: to make one costs more than a test."""
        key = (self.endpoint, patience)
        if key not in _CLIENTS:
            _CLIENTS[key] = S3Client("s3://test", THREADS, patience)
        return _CLIENTS[key]

    def environment(self, endpoint: str | None = None) -> dict[str, str]:
        """The variables by which boto3 finds it."""
        return {
            "AWS_ENDPOINT_URL": endpoint or self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
        }

    def use(self, patch: pytest.MonkeyPatch, endpoint: str | None = None) -> None:
        """Sets them."""
        for name, value in self.environment(endpoint).items():
            patch.setenv(name, value)


def seaweed(s3: S3) -> Door:
    return Door(s3.endpoint, s3.access_key, s3.secret, s3.client())


@contextmanager
def moto() -> Iterator[Door]:
    """moto's server in a thread of this process."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    client = boto3.session.Session().client(
        "s3", endpoint_url=endpoint, aws_access_key_id="moto", aws_secret_access_key="moto", region_name="us-east-1"
    )
    try:
        yield Door(endpoint, "moto", "moto", client)
    finally:
        client.close()
        server.stop()


def objects(
    bucket: str,
    cache: Path | None = None,
    *,
    client: S3Client | None = None,
    patience: Patience = QUICK,
    page: int = 1_000,
    bytes_max: int = 64 * MIB,
) -> S3Objects:
    """The product's adapter on a bucket, under the prefix `home`; with a cache where a folder is named."""
    kept = None if cache is None else FileCache(cache, bytes_max)
    return S3Objects(bucket, "home/", kept, client=client, patience=patience, page=page)


@dataclass(frozen=True)
class Request:
    """A request as the proxy saw it. `number`: from 1 over the proxy's life."""

    number: int
    method: str
    path: str


Trouble = Callable[[Request], str]
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
INTERNAL = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"
DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
SAID = {"503": (503, SLOW_DOWN), "500": (500, INTERNAL), "403": (403, DENIED)}


class FaultProxy:
    """An HTTP proxy in front of an S3 store. `trouble` says what happens to a request; "" lets it pass.

    "503", "500", "403": answered so, and not passed on. "hang": no answer. "cut": the connection is cut before anything is passed.
    "lost": passed on, and the connection is cut instead of the answer. "wrong": the last byte of the body is another.
    "torn": half of the body. "slow": the answer comes in pieces.
    """

    def __init__(self, endpoint: str, trouble: Trouble = lambda _: "") -> None:
        parts = urlsplit(endpoint)
        self._to = (str(parts.hostname), int(parts.port or 80))
        self.trouble, self.requests = trouble, list[Request]()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)

    @property
    def endpoint(self) -> str:
        """Where to ask."""
        return f"http://127.0.0.1:{self._port}"

    def methods(self) -> dict[str, int]:
        """How many requests there were, by method."""
        found = [one.method for one in self.requests]
        return {name: found.count(name) for name in sorted(set(found))}

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._run())
        self._loop.close()

    async def _run(self) -> None:
        self._over = asyncio.Event()
        self._tasks = set[asyncio.Task[None]]()
        server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        self._port = int(server.sockets[0].getsockname()[1])
        self._ready.set()
        await self._over.wait()
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass  # cancelled: the proxy ends
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; whether the connection goes on."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return False
        if b"100-continue" in head.lower():
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(_length(head))
        method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        request = Request(len(self.requests) + 1, method, path)
        self.requests.append(request)
        what = self.trouble(request)
        if what in SAID:
            status, told = SAID[what]
            writer.write(_answer(status, told))
            await writer.drain()
            return True
        if what == "hang":
            await self._over.wait()
        if what in ("hang", "cut"):
            return False
        answer, content = await self._passed(head, body, method)
        if what == "lost":
            return False
        writer.write(answer)
        for piece in _pieces(content, what):
            writer.write(piece)
            await writer.drain()
            if what == "slow":
                await asyncio.sleep(0.02)
        return what != "torn"

    async def _passed(self, head: bytes, body: bytes, method: str) -> tuple[bytes, bytes]:
        """The store's answer to a request, on a connection of its own."""
        reader, writer = await asyncio.open_connection(*self._to)
        lines = [
            line for line in head.split(b"\r\n") if line and not line.lower().startswith((b"expect:", b"connection:"))
        ]
        writer.write(b"\r\n".join([*lines, b"Connection: close", b"", body]))
        await writer.drain()
        answer = await reader.readuntil(b"\r\n\r\n")
        content = b"" if method == "HEAD" else await reader.read(-1)
        writer.close()
        if b"transfer-encoding: chunked" in answer.lower():
            return answer, content
        return answer.replace(b"Connection: close\r\n", b""), content


def _length(head: bytes) -> int:
    lines = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return int(lines[0].partition(b":")[2]) if lines else 0


def _answer(status: int, content: bytes) -> bytes:
    return (
        f"HTTP/1.1 {status} Said\r\nContent-Type: application/xml\r\nContent-Length: {len(content)}\r\n\r\n".encode()
        + content
    )


def _pieces(content: bytes, what: str) -> list[bytes]:
    if what == "wrong" and content:
        return [content[:-1] + bytes([content[-1] ^ 1])]
    if what == "torn":
        return [content[: len(content) // 2]]
    if what == "slow":
        step = max(1, len(content) // 10)
        return [content[n : n + step] for n in range(0, len(content), step)]
    return [content]
