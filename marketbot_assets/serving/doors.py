"""What every request passes before a route sees it, and every answer on its way out: pure ASGI, fail closed.

In: host name, length of the address, rate per caller, how many at once, size of the body, time. Out: nothing secret, the
headers that browsers obey. Not here: tokens (`access`), what routes answer (`routes`, `page_routes`).
"""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from marketbot_assets.serving.desk import Desk
from marketbot_assets.serving.rates import Buckets
from marketbot_resources.errors import MarketbotError
from marketbot_resources.store.lake import Lake

Scope = MutableMapping[str, object]
Message = MutableMapping[str, object]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
HALT_PATH = "/v1/halt"
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'"
)
SECURE: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", POLICY.encode()),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]


@dataclass(frozen=True, slots=True)
class Rules:
    """The bounds of the interface. `hosts`: names that a request may ask for, without port, lower case."""

    hosts: frozenset[str]
    per_second: float = 20.0
    at_once: int = 16
    halts_at_once: int = 4
    body_bytes: int = 16 * 1024
    query_bytes: int = 2 * 1024
    path_bytes: int = 512
    body_seconds: float = 5.0
    seconds: float = 30.0


class Doors:
    """The application behind its doors. `counts`: answers by status; `seconds`: of all answers; `document`: the OpenAPI."""

    def __init__(self, app: App, desk: Desk, rules: Rules, ticks: Callable[[], float]) -> None:
        self._app, self._desk, self._rules, self._ticks = app, desk, rules, ticks
        # an address may ask twice as often as one token: a proxy or an office stands for several callers
        self._addresses = Buckets(2 * rules.per_second, 4 * rules.per_second)
        self._inside = {False: 0, True: 0}
        self._left: set[asyncio.Task[None]] = set()
        self.document: Callable[[], dict[str, object]] = dict
        self.counts: Counter[int] = Counter()
        self.seconds = 0.0

    def warm(self, make: Callable[[Lake], object]) -> None:
        """Makes one view that nobody asked for: its libraries are loaded then. What cannot be read now is told to whoever asks."""
        with suppress(MarketbotError):
            self._desk.view("warm", make)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; anything but HTTP is refused."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
        else:
            began = self._ticks()
            answer = await self._answer(scope, receive)
            self.counts[answer.status] += 1
            self.seconds += max(0.0, self._ticks() - began)
            await answer.send(send)

    async def _answer(self, scope: Scope, receive: Receive) -> "_Answer":
        halting = scope["path"] == HALT_PATH and scope["method"] == "POST"
        refused = self._refused(scope, halting)
        if refused:
            return refused
        try:
            body = await asyncio.wait_for(self._body(scope, receive), self._rules.body_seconds)
        except TimeoutError:
            return _problem(408, "the request did not arrive in time")
        if body is None:
            return _problem(413, f"expected at most {self._rules.body_bytes} bytes")
        if self._inside[halting] >= (self._rules.halts_at_once if halting else self._rules.at_once):
            return _problem(429, "too many requests at once", [(b"retry-after", b"1")])
        answer = _Answer()
        self._inside[halting] += 1
        task = asyncio.create_task(self._run(scope, body, answer, halting))
        self._left.add(task)
        task.add_done_callback(self._left.discard)
        done, _ = await asyncio.wait({task}, timeout=self._rules.seconds)
        if not done:  # it ends by itself and holds its place until then
            return _problem(503, "the answer took too long", [(b"retry-after", b"5")])
        return self._clean(answer)

    async def _run(self, scope: Scope, body: bytes, answer: "_Answer", halting: bool) -> None:
        whole = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> Message:
            return cast("Message", next(whole, {"type": "http.disconnect"}))

        try:
            await self._app(scope, receive, answer.take)
        except Exception:  # the text of an unforeseen error stays here
            answer.replace(500, "an unforeseen error; the log has it")
            raise
        finally:
            self._inside[halting] -= 1

    def _refused(self, scope: Scope, halting: bool) -> "_Answer | None":
        """Why a request is not let in; None when it is. A stop is not held up by how often others ask from its address."""
        headers = cast("Sequence[tuple[bytes, bytes]]", scope["headers"])
        hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
        if len(hosts) != 1 or _host(hosts[0]) not in self._rules.hosts:
            return _problem(421, "expected a host name of this server; more names: marketbot serve --name")
        path, query = (cast("bytes", scope[name]) for name in ("raw_path", "query_string"))
        if len(path) > self._rules.path_bytes or len(query) > self._rules.query_bytes:
            return _problem(414, "the address is too long")
        client = cast("tuple[str, int] | None", scope.get("client"))
        wait = 0.0 if halting else self._addresses.take(client[0] if client else "", self._ticks())
        if wait:
            return _problem(429, "too many requests", [(b"retry-after", str(int(wait) + 1).encode())])
        return None

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        """The whole body; None when it is too large, however it was announced."""
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return b""
            part = cast("bytes", message.get("body", b""))
            size += len(part)
            if size > self._rules.body_bytes:
                return None
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)

    def _clean(self, answer: "_Answer") -> "_Answer":
        cleaner = self._desk.guard()
        answer.body = cleaner.body(answer.body)
        answer.headers = [(name, cleaner.body(value)) for name, value in answer.headers]
        return answer


class _Answer:
    """An answer held back until it is whole: answers are small, and what was not sent can still be cleaned."""

    def __init__(self, status: int = 500, headers: Headers | None = None, body: bytes = b"") -> None:
        self.status, self.headers, self.body = status, headers or [], body

    async def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = cast("int", message["status"])
            self.headers = list(cast("Headers", message.get("headers", [])))
        elif message["type"] == "http.response.body":
            self.body += cast("bytes", message.get("body", b""))

    def replace(self, status: int, detail: str) -> None:
        told = _problem(status, detail)
        self.status, self.headers, self.body = told.status, told.headers, told.body

    async def send(self, send: Send) -> None:
        own = {name for name, _ in SECURE} | {b"content-length"}
        kept = [(name, value) for name, value in self.headers if name.lower() not in own]
        length = (b"content-length", str(len(self.body)).encode())
        await send({"type": "http.response.start", "status": self.status, "headers": [*kept, *SECURE, length]})
        await send({"type": "http.response.body", "body": self.body})


def _problem(status: int, detail: str, headers: Headers | None = None) -> _Answer:
    body = json.dumps({"detail": detail}).encode()
    return _Answer(status, [(b"content-type", b"application/json"), *(headers or [])], body)


def _host(text: str) -> str:
    """The name of a Host header without its port, lower case; brackets of an IPv6 address stay."""
    name = text.strip().lower()
    if name.startswith("["):
        return name.partition("]")[0] + "]"
    return name.rpartition(":")[0] if ":" in name else name
