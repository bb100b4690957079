"""A vendor on 127.0.0.1 that serves given bodies and misbehaves on request, and loaders of recorded traffic.

    from fetch.vendor_server import Answer, VendorServer

    with VendorServer({"/v1/bars?symbol=A": b"[]", "https://api.vendor.com/v1/meta": Answer(json)}) as server:
        server.misbehave("429", times=2)
        ...
    assert server.asked("/v1/bars") == 3

A route is a path with its query in any order, or a path alone, which serves it with any query. A route that is a full
address is served at `/<host>/<path>`, which is where `local` leads a request for it. What is not a route is a 404.
"""

import contextlib
import json
import re
import socket
import socketserver
import ssl
import struct
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

JSON = "application/json"
HTML = b"<!doctype html><html><head><title>Attention Required!</title></head><body>Please enable cookies.</body></html>"
MEGABYTE = 1 << 20
HANG_SECONDS = 20.0


@dataclass(frozen=True)
class Answer:
    """What a route answers. `headers` are added, a name may occur twice; the right Content-Length is sent unless among them."""

    content: bytes = b""
    status: int = 200
    content_type: str = JSON
    headers: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Asked:
    """One request as it arrived. `headers` in lower case."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Trouble:
    name: str
    times: int | None
    route: str | None
    argument: str


class VendorServer:
    """Serves routes until it is left. `url` has no slash at its end; `requests` is what was asked, in order of arrival.

    `open_max`: how many requests were being answered at the same time, at most.
    `drip_seconds`: pause between the bytes of a slow answer. `tls`: serve https with this context.
    """

    def __init__(
        self,
        routes: Mapping[str, bytes | Answer],
        *,
        drip_seconds: float = 0.02,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.requests: list[Asked] = []
        self.bytes_sent = 0
        self.open_max = self._open = 0
        self.drip_seconds = drip_seconds
        self.closing = threading.Event()
        self._routes: dict[str, Answer] = {}
        self._troubles: list[_Trouble] = []
        self._lock = threading.Lock()
        for route, answer in routes.items():
            self.serve(route, answer)
        self._server = _Server(("127.0.0.1", 0), self, tls)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"{'https' if self._server.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def serve(self, route: str, answer: bytes | Answer) -> None:
        """Adds or replaces a route."""
        self._routes[_normal(route)] = answer if isinstance(answer, Answer) else Answer(answer)

    def local(self, url: str) -> str:
        """Where this server serves a vendor's address."""
        return self.url + _normal(url)

    def misbehave(
        self, trouble: str, *, times: int | None = None, route: str | None = None, argument: str = ""
    ) -> None:
        """Answers the next `times` requests (None: all) to `route` (None: any) with a trouble; several wait in line.

        Troubles: a status as text ("429", "503"; argument: value of Retry-After), "drip", "hang", "reset", "reset-midway",
        "truncated", "html", "gzip-bomb", "deflate-bomb" (argument: megabytes of zeros, default 1024), "gzip-truncated", "endless"
        (a body without end), "wrong-type", "empty", "redirect" (argument: where to; default: to itself), "duplicate-headers",
        "long-headers", "bad-chunks", "chunks-truncated", "not-http", "encoding" (argument: a Content-Encoding that is not true).
        """
        assert re.fullmatch(r"\d{3}", trouble) or trouble in TROUBLES, trouble
        with self._lock:
            self._troubles.append(_Trouble(trouble, times, route and _normal(route), argument))

    def behave(self) -> None:
        """Forgets all troubles."""
        with self._lock:
            self._troubles.clear()

    def asked(self, path: str | None = None) -> int:
        """How many requests arrived, for one path (without query) or in all."""
        return sum(path is None or asked.path == path for asked in list(self.requests))

    def take(self, asked: Asked) -> tuple[Answer, _Trouble | None]:
        """What to answer, and how badly."""
        with self._lock:
            self.requests.append(asked)
            answer = self._routes.get(_route(asked)) or self._routes.get(asked.path)
            for trouble in self._troubles:
                if trouble.route in (None, asked.path, _route(asked)) and trouble.times != 0:
                    trouble.times = trouble.times and trouble.times - 1
                    return answer or Answer(b"[]"), trouble
        return answer or Answer(b'{"detail":"Not found."}', 404), None

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Counts an answer while it is being given."""
        with self._lock:
            self._open += 1
            self.open_max = max(self.open_max, self._open)
        try:
            yield
        finally:
            with self._lock:
                self._open -= 1

    def close(self) -> None:
        """Stops serving; hanging answers end."""
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> "VendorServer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _normal(route: str) -> str:
    """A path, with its query sorted; a full address becomes /<host>/<path>."""
    parts = urlsplit(route)
    path = f"/{parts.netloc}{parts.path}" if parts.netloc else parts.path
    query = urlencode(sorted(parse_qsl(parts.query, keep_blank_values=True)))
    return f"{path}?{query}" if query else path


def _route(asked: Asked) -> str:
    query = urlencode(sorted(asked.query.items()))
    return f"{asked.path}?{query}" if query else asked.path


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], vendor: VendorServer, tls: ssl.SSLContext | None) -> None:
        self.vendor, self.tls = vendor, tls
        super().__init__(address, _Door)

    def server_bind(self) -> None:
        """Binds without asking a name server who we are."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", int(self.server_address[1])

    def finish_request(self, request: object, client_address: object) -> None:
        """The handshake belongs to the connection's own thread: a client that never ends it blocks nobody."""
        if self.tls is not None:
            assert isinstance(request, socket.socket)
            request = self.tls.wrap_socket(request, server_side=True)
        try:
            self.RequestHandlerClass(request, client_address, self)  # type: ignore[arg-type]
        finally:
            if self.tls is not None:
                assert isinstance(request, socket.socket)
                request.close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: clients that hang up are the point."""


class _Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = HANG_SECONDS
    server: _Server

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.server.vendor.answering():
            self.answer(*self.server.vendor.take(Asked(parts.path, query, headers)))

    def answer(self, answer: Answer, trouble: _Trouble | None) -> None:
        """The answer, or what the trouble makes of it."""
        if trouble is None:
            self.say(answer)
        elif trouble.name.isdigit():
            more = [("Retry-After", trouble.argument)] if trouble.argument else []
            self.say(Answer(b'{"error":"come back later"}', int(trouble.name), headers=more))
        else:
            TROUBLES[trouble.name](self, answer, trouble.argument)

    def say(self, answer: Answer) -> None:
        """The whole answer."""
        self.head(answer)
        self.send(answer.content)

    def head(self, answer: Answer, **instead: str) -> None:
        """Status and headers; `instead` replaces headers, also by nothing."""
        self.send_response(answer.status)
        headers = {"content_type": answer.content_type, "content_length": str(len(answer.content)), **instead}
        named = {name.lower() for name, _ in answer.headers}
        for name, value in headers.items():
            header = name.replace("_", "-")
            if value and header not in named:
                self.send_header(header, value)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.end_headers()

    def send(self, data: bytes) -> None:
        """Bytes, at once."""
        self.wfile.write(data)
        self.wfile.flush()
        self.server.vendor.bytes_sent += len(data)

    def hang_up(self, *, reset: bool = False) -> None:
        """Ends the connection, politely or not."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            if (
                reset
            ):  # whoever closes with nothing to linger for resets; the reader holds the socket open until it is closed
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                self.rfile.close()
            else:
                self.connection.shutdown(socket.SHUT_WR)

    def pause(self, seconds: float) -> bool:
        """Waits; False when the server is being closed."""
        return not self.server.vendor.closing.wait(seconds)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the tests look at `requests`."""


def _drip(door: _Door, answer: Answer, argument: str) -> None:
    content = answer.content or b" " * 1000
    door.head(answer, content_length=str(len(content)))
    for place in range(len(content)):
        if not door.pause(door.server.vendor.drip_seconds):
            return
        door.send(content[place : place + 1])


def _hang(door: _Door, answer: Answer, argument: str) -> None:
    door.pause(HANG_SECONDS)
    door.hang_up()


def _reset(door: _Door, answer: Answer, argument: str) -> None:
    door.hang_up(reset=True)


def _reset_midway(door: _Door, answer: Answer, argument: str) -> None:
    door.head(answer, content_length=str(len(answer.content) + 100))
    door.send(answer.content)
    door.hang_up(reset=True)


def _truncated(door: _Door, answer: Answer, argument: str) -> None:
    door.head(answer, content_length=str(len(answer.content) + 100))
    door.send(answer.content)
    door.hang_up()


def _html(door: _Door, answer: Answer, argument: str) -> None:
    door.say(Answer(HTML, 200, "text/html; charset=utf-8"))


def _bomb(window: int) -> Callable[[_Door, Answer, str], None]:
    def explode(door: _Door, answer: Answer, argument: str) -> None:
        packer, zeros = zlib.compressobj(9, zlib.DEFLATED, window), bytes(MEGABYTE)
        name = "gzip" if window > 16 else "deflate"
        door.head(Answer(b"", 200, JSON, [("Content-Encoding", name), ("Connection", "close")]), content_length="")
        for _ in range(int(argument or 1024)):
            door.send(packer.compress(zeros))
        door.send(packer.flush())
        door.hang_up()

    return explode


def _gzip_truncated(door: _Door, answer: Answer, argument: str) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = packer.compress(answer.content) + packer.flush()
    door.say(Answer(packed[:-9], 200, answer.content_type, [("Content-Encoding", "gzip")]))


def _endless(door: _Door, answer: Answer, argument: str) -> None:
    door.head(Answer(b"", 200, JSON, [("Connection", "close")]), content_length="")
    for _ in range(1024):
        door.send(b"[0," * 21845 + b"\n")
    door.hang_up()


def _redirect(door: _Door, answer: Answer, argument: str) -> None:
    door.say(Answer(b"", 302, headers=[("Location", argument or door.path)]))


def _duplicate_headers(door: _Door, answer: Answer, argument: str) -> None:
    twice = [("X-Request-Id", "1"), ("X-Request-Id", "2"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    door.say(Answer(answer.content, answer.status, answer.content_type, [*answer.headers, *twice]))


def _long_headers(door: _Door, answer: Answer, argument: str) -> None:
    door.say(Answer(answer.content, answer.status, answer.content_type, [(f"X-{n}", "y" * 4000) for n in range(100)]))


def _bad_chunks(door: _Door, answer: Answer, argument: str) -> None:
    door.head(Answer(b"", 200, JSON, [("Transfer-Encoding", "chunked")]), content_length="")
    door.send(b"5\r\nhello\r\nzz\r\ngarbage\r\n")
    door.hang_up()


def _chunks_truncated(door: _Door, answer: Answer, argument: str) -> None:
    door.head(Answer(b"", 200, JSON, [("Transfer-Encoding", "chunked")]), content_length="")
    door.send(b"%x\r\n%s\r\n" % (len(answer.content), answer.content))
    door.hang_up()


def _not_http(door: _Door, answer: Answer, argument: str) -> None:
    door.send(b"SSH-2.0-OpenSSH_9.6\r\n" + bytes(range(256)))
    door.hang_up()


def _encoding(door: _Door, answer: Answer, argument: str) -> None:
    door.say(Answer(answer.content, 200, answer.content_type, [("Content-Encoding", argument or "br")]))


TROUBLES: dict[str, Callable[[_Door, Answer, str], None]] = {
    "drip": _drip,
    "hang": _hang,
    "reset": _reset,
    "reset-midway": _reset_midway,
    "truncated": _truncated,
    "html": _html,
    "gzip-bomb": _bomb(31),
    "deflate-bomb": _bomb(15),
    "gzip-truncated": _gzip_truncated,
    "endless": _endless,
    "wrong-type": lambda door, answer, _: door.say(Answer(answer.content, 200, "image/png")),
    "empty": lambda door, answer, _: door.say(Answer(b"", 200)),
    "redirect": _redirect,
    "duplicate-headers": _duplicate_headers,
    "long-headers": _long_headers,
    "bad-chunks": _bad_chunks,
    "chunks-truncated": _chunks_truncated,
    "not-http": _not_http,
    "encoding": _encoding,
}


class Recorded(NamedTuple):
    """One recorded exchange. `headers` in lower case as recorded; `body` is decoded, whatever Content-Encoding says."""

    method: str
    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def answer(self) -> Answer:
        """The same answer for a server that does not compress."""
        return Answer(self.body, self.status, self.headers.get("content-type", JSON))


def cassette(path: Path) -> list[Recorded]:
    """Exchanges of a VCR cassette (YAML): Tiingo, FRED, SEC EDGAR."""
    import yaml

    text = path.read_text(encoding="utf-8")
    found = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return [_exchange(one["request"], one["response"]) for one in found["interactions"]]


def _exchange(request: Mapping[str, str], response: Mapping[str, object]) -> Recorded:
    status, body, headers = response["status"], response["body"], response["headers"]
    assert isinstance(status, dict)
    assert isinstance(body, dict)
    assert isinstance(headers, dict)
    content = body["string"]
    plain = {name.lower(): ", ".join(values) for name, values in headers.items()}
    return Recorded(
        request["method"],
        request["uri"],
        status["code"],
        plain,
        content.encode() if isinstance(content, str) else content,
    )


def yahoo(path: Path) -> Recorded:
    """The exchange of one of Yahoo's files. JSON bodies were recorded parsed: they are written again, compact."""
    found = json.loads(path.read_text(encoding="utf-8"))
    request, response = found["request"], found["response"]
    headers = {
        name.lower(): value if isinstance(value, str) else ", ".join(value)
        for name, value in response["headers"].items()
    }
    if "bodyJson" in response:
        body = json.dumps(response["bodyJson"], separators=(",", ":"), ensure_ascii=False).encode()
    else:
        body = str(response.get("body", "")).encode()
    return Recorded(request.get("method", "GET"), request["url"], response["status"], headers, body)


def alpaca(path: Path) -> list[Recorded]:
    """Exchanges of Alpaca's client tests. An address may hold {fields}: they were templates."""
    found = json.loads(path.read_text(encoding="utf-8"))
    return [
        Recorded(
            one["method"],
            re.sub(r"^f?'(.*)'$", r"\1", one["url_template"]),
            one["status"] or 200,
            {"content-type": JSON},
            b"" if one["body"] is None else json.dumps(one["body"]).encode(),
        )
        for one in found
    ]


def routes_of(recorded: Sequence[Recorded]) -> Iterator[tuple[str, Answer]]:
    """Routes by full address, of the GETs: `VendorServer(dict(routes_of(cassette(path))))`."""
    return ((one.url, one.answer) for one in recorded if one.method == "GET")
