"""The brokers' HTTP client against real sockets: what is sent once stays sent once."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from marketbot_resources.broker.http import Answer, BrokerHttp, Limits, NoAnswer, Seen, local_base
from marketbot_resources.broker.wire_log import WireLog
from marketbot_resources.errors import BrokerError

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
QUICK = Limits(connect=0.5, read=0.3, total=1.0)


class Peer:
    """A socket server that answers the n-th request with the n-th script (the last one stays); it keeps what it read."""

    def __init__(self, *scripts: Callable[[socket.socket], None] | bytes) -> None:
        self.scripts, self.requests = list(scripts), []  # type: ignore[var-annotated]
        self.server = socket.create_server(("127.0.0.1", 0))
        self.base = f"http://127.0.0.1:{self.server.getsockname()[1]}"
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(2)
                try:
                    self._answer(connection)
                except OSError:
                    continue

    def _answer(self, connection: socket.socket) -> None:
        while data := _request(connection):
            self.requests.append(data)
            script = self.scripts[min(len(self.requests), len(self.scripts)) - 1]
            if callable(script):
                script(connection)
                return
            connection.sendall(script)


def _request(connection: socket.socket) -> bytes:
    """One whole request, empty at the end."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := connection.recv(65536)):
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length")), 0)
    while len(body) < length and (more := connection.recv(65536)):
        body += more
    return head + b"\r\n\r\n" + body


@contextmanager
def peer(*scripts: Callable[[socket.socket], None] | bytes) -> Iterator[Peer]:
    one = Peer(*scripts)
    one.thread.start()
    try:
        yield one
    finally:
        one.server.close()


def silent(_: socket.socket) -> None:
    time.sleep(0.6)


def reset(connection: socket.socket) -> None:
    import struct

    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def dripping(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    for _ in range(20):
        connection.sendall(b" ")
        time.sleep(0.1)


def dripping_head(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(20):
        connection.sendall(f"x-{number}: 1\r\n".encode())
        time.sleep(0.1)


def said(status: int, extra: str = "", body: bytes = b"{}") -> bytes:
    return f"HTTP/1.1 {status} X\r\n{extra}content-length: {len(body)}\r\n\r\n".encode() + body


TROUBLES: dict[str, Callable[[socket.socket], None] | bytes] = {
    "silent": silent,
    "reset": reset,
    "dripping": dripping,
    "dripping head": dripping_head,
    "cut": said(200, body=b"{}")[:-1] + b"",
    "no http": b"hello\r\n\r\n",
    "packed": said(200, "content-encoding: gzip\r\n"),
    "too large": b"HTTP/1.1 200 OK\r\ncontent-length: 2000000\r\n\r\n" + b" " * 2_000_000,
}


@pytest.mark.parametrize("name", TROUBLES)
@pytest.mark.parametrize("method", ["post", "delete"])
def test_what_changes_something_is_sent_once(name: str, method: str) -> None:
    """P5: no POST and no DELETE is ever sent again, whatever comes back."""
    limits = Limits(connect=0.5, read=0.3, total=1.0, body_bytes_max=1_000_000)
    with peer(TROUBLES[name]) as one:
        http = BrokerHttp(one.base, limits=limits)
        answer = http.post("/v2/orders", {"a": 1}) if method == "post" else http.delete("/v2/orders/1")
        assert isinstance(answer, NoAnswer)
        assert len(one.requests) == 1
        http.close()


@pytest.mark.parametrize("status", [301, 307, 400, 403, 408, 422, 429, 500, 502, 503, 504])
def test_every_status_is_an_answer_and_no_redirect_is_followed(status: int) -> None:
    """A POST's answer is handed over as it is."""
    with peer(said(status, "location: http://127.0.0.1:1/\r\n", b'{"code":1}')) as one:
        http = BrokerHttp(one.base, limits=QUICK)
        answer = http.post("/v2/orders", {})
        assert isinstance(answer, Answer)
        assert (answer.status, answer.body) == (status, b'{"code":1}')
        assert len(one.requests) == 1
        http.close()


def test_a_get_is_asked_again_and_waits_as_long_as_it_is_told() -> None:
    """429 with Retry-After: the wait is the broker's; the third answer is the last."""
    waits: list[float] = []
    with peer(said(429, "retry-after: 3\r\n"), said(503), OK) as one:
        http = BrokerHttp(one.base, limits=Limits(0.5, 0.5, 5.0), wait=waits.append)
        answer = http.get("/v2/orders:by_client_order_id", {"client_order_id": "mb1-a b"})
        assert isinstance(answer, Answer)
        assert (answer.status, waits, len(one.requests)) == (200, [3.0, 1.0], 3)
        assert one.requests[0].startswith(b"GET /v2/orders:by_client_order_id?client_order_id=mb1-a")
        http.close()


def test_requests_keep_their_pace() -> None:
    """Five requests at 0.1 s apart take 0.4 s at least: orders are not refused for being too many."""
    with peer(OK) as one:
        http = BrokerHttp(one.base, limits=QUICK, pace=0.1)
        start = time.monotonic()
        for _ in range(5):
            http.post("/v2/orders", {})
        assert time.monotonic() - start >= 0.4
        http.close()


def test_a_get_gives_up_within_its_deadline() -> None:
    """A Retry-After beyond the deadline is not waited for; silence is asked at most three times."""
    waits: list[float] = []
    with peer(said(429, "retry-after: 60\r\n")) as one:
        http = BrokerHttp(one.base, limits=QUICK, wait=waits.append)
        answer = http.get("/v2/clock")
        assert isinstance(answer, Answer)
        assert (answer.status, waits, len(one.requests)) == (429, [], 1)
        http.close()
    with peer(silent) as one:
        http = BrokerHttp(one.base, limits=Limits(0.5, 0.1, 5.0), wait=lambda _: None)
        assert isinstance(http.get("/v2/clock"), NoAnswer)
        http.close()
    assert len(one.requests) <= 3


def test_posts_use_a_connection_of_their_own() -> None:
    """A connection that the broker is about to close must not carry an order."""
    with peer(OK) as one:
        http = BrokerHttp(one.base, limits=QUICK)
        for _ in range(3):
            assert isinstance(http.post("/v2/orders", {}), Answer)
        assert len(one.requests) == 3
        http.close()


@pytest.mark.parametrize(
    "base", ["http://api.alpaca.markets", "http://localhost:1", "ftp://127.0.0.1", "http://10.0.0.1"]
)
def test_plain_http_stays_on_this_machine(base: str) -> None:
    """Keys never leave the machine unencrypted."""
    with pytest.raises(BrokerError, match="broker address"):
        BrokerHttp(base)


@pytest.mark.parametrize(
    "given",
    ["https://127.0.0.1:1", "http://127.0.0.1", "http://localhost:80", "http://127.0.0.1:1/x", "http://a@127.0.0.1:1"],
)
def test_another_address_is_of_this_machine_only(given: str) -> None:
    """A variable cannot send orders and keys elsewhere."""
    with pytest.raises(BrokerError, match="expected http://127"):
        local_base("MARKETBOT_BROKER_URL", given)


def test_the_wire_is_kept_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Evidence: every exchange with what was sent, status and body; a known secret is masked."""
    monkeypatch.setenv("APCA_API_SECRET_KEY", "canary-Ab3kZ9qLm2xT7v")
    log = WireLog(tmp_path, "alpaca")
    seen: list[Seen] = []

    def both(one: Seen) -> None:
        seen.append(one)
        log.keep(one)

    with peer(said(403, body=b'{"message":"key canary-Ab3kZ9qLm2xT7v is wrong"}'), reset) as one:
        http = BrokerHttp(one.base, limits=QUICK, seen=both)
        http.post("/v2/orders", {"qty": "1"})
        http.delete("/v2/orders/7")
        http.close()
    rows = WireLog(tmp_path, "alpaca").rows()
    assert [(row[0], row[1], row[2], row[3]) for row in rows] == [
        ("POST", "/v2/orders", '{"qty":"1"}', 403),
        ("DELETE", "/v2/orders/7", "", None),
    ]
    assert "canary" not in str(rows)
    assert len(seen) == 2
