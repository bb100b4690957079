"""The interface in this process: one home, a clock that tests set, requests without a network."""

import asyncio
import datetime as dt
import hashlib
import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marketbot_assets.serving.app import make_app
from marketbot_assets.serving.doors import Doors, Rules
from marketbot_resources.tokens import Scope, Tokens

HOST = "marketbot.test"
BEGAN = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)
FREE = 1e6  # requests per second: whoever tests something else


@dataclass
class Reply:
    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()

    def header(self, name: str) -> str:
        return dict(self.headers).get(name, "")


class Served:
    """A home's interface with an operator's, a reader's, an expired and a revoked token."""

    def __init__(self, home: Path, rules: Rules | None = None) -> None:
        self.home, self.at, self.loop = home, BEGAN, asyncio.new_event_loop()
        tokens = Tokens(home)
        known = {one.name for one in tokens.every()}
        names = {
            "operator": (Scope.OPERATOR, 9),
            "reader": (Scope.READ, 9),
            "old": (Scope.READ, 1),
            "ended": (Scope.READ, 9),
        }
        assert not known & set(names)
        self.token = {
            name: tokens.create(name, scope, days, BEGAN - dt.timedelta(days=2))[1]
            for name, (scope, days) in names.items()
        }
        tokens.revoke("ended", BEGAN)
        self.app: Doors = make_app(home, lambda: self.at, rules or Rules(frozenset({HOST}), per_second=FREE))

    def close(self) -> None:
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    def get(self, path: str, who: str = "reader", **more: Any) -> Reply:
        return self.ask("GET", path, who, **more)

    def ask(self, method: str, path: str, who: str | None = None, **more: Any) -> Reply:
        return self.loop.run_until_complete(self.asked(method, path, who, **more))

    async def asked(
        self,
        method: str,
        path: str,
        who: str | None = None,
        *,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes | list[bytes] = b"",
        host: str | None = HOST,
        address: str = "127.0.0.1",
    ) -> Reply:
        """One request; `who`: the name of a token, or a whole Authorization header."""
        given = [("host", host)] if host is not None else []
        given += [("authorization", f"Bearer {self.token[who]}" if who in self.token else who)] if who else []
        given += headers
        raw, _, query = path.partition("?")
        from urllib.parse import unquote

        scope: MutableMapping[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(raw),
            "raw_path": raw.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in given],
            "client": (address, 50_000),
            "server": (HOST, 80),
            "root_path": "",
        }
        return await converse(self.app, scope, body)


async def converse(
    app: Callable[..., Awaitable[None]], scope: MutableMapping[str, Any], body: bytes | list[bytes]
) -> Reply:
    parts, reply = list(body) if isinstance(body, list) else [body], Reply()

    async def receive() -> MutableMapping[str, Any]:
        if not parts:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            reply.status = message["status"]
            reply.headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"]]
        else:
            reply.body += message.get("body", b"")

    await app(scope, receive, send)
    return reply


def fingerprint(home: Path) -> dict[str, str]:
    """Every file of a home, by what it holds."""
    return {
        path.relative_to(home).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(home.rglob("*"))
        if path.is_file()
    }


def operations(app: Doors) -> list[tuple[str, str, dict[str, Any]]]:
    """(method, path, description) of every operation of the OpenAPI document."""
    paths: dict[str, Any] = app.document()["paths"]  # type: ignore[assignment]
    return [(method.upper(), path, told) for path, one in paths.items() for method, told in one.items()]
