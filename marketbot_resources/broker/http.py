"""One blocking HTTP client for brokers: a POST or DELETE is sent at most once, whatever happens; nothing follows redirects.

An exchange ends with an Answer of any status, its body whole, or with NoAnswer: then the request may or may not have been
carried out. Only a GET is asked again, at most `gets_max` times within its deadline. Every exchange is shown to `seen`, which
keeps evidence. Not here: what an answer means (an adapter), where evidence lies (`wire_log`).
"""

import ipaddress
import json
import logging
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import cast

import httpcore
import httpx

from marketbot_resources.errors import BrokerError

REASON_MAX = 200
_SECOND_FACTORS = (0.5, 1.0)
_TROUBLED = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one exchange. Seconds: to connect, between two pieces of an answer, of all tries of one question together.

    `body_bytes_max`: a larger answer is no answer. `gets_max`: how often a GET is sent at most.
    """

    connect: float = 3.0
    read: float = 10.0
    total: float = 20.0
    body_bytes_max: int = 8_000_000
    gets_max: int = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer of any status. `headers`: names in lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Nothing that can be used came back: the broker may have done what was asked. `reason`: one printable line."""

    reason: str


@dataclass(frozen=True, slots=True)
class Seen:
    """One exchange as it went over the wire, without its headers: they hold keys. `answer`: status and body, or why none."""

    method: str
    target: str
    sent: bytes
    answer: Answer | NoAnswer


class BrokerHttp:
    """Exchanges with one broker. `base`: scheme, host and port; `headers` go with every request and may hold keys.

    `wait` lets seconds pass between two GETs, and between any two requests as many as `pace` says: a broker that is asked too
    often refuses, and what became of an order is then unknown. Plain http is for loopback addresses only. Raises BrokerError for
    another base.
    """

    def __init__(
        self,
        base: str,
        *,
        headers: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        seen: Callable[[Seen], None] | None = None,
        wait: Callable[[float], None] = time.sleep,
        pace: float = 0.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        url = httpx.URL(base)
        if url.scheme != "https" and not (url.scheme == "http" and is_loopback(url.host)):
            raise BrokerError(
                f"broker address: expected https, or http on this machine, found {url.scheme}://{url.host}"
            )
        self._url, self._limits = url, limits or Limits()
        self._headers = {"host": url.netloc.decode("ascii"), "user-agent": "marketbot", "accept": "application/json",
                         "accept-encoding": "identity"} | {k.lower(): v for k, v in (headers or {}).items()}  # fmt: skip
        self._seen, self._wait = seen or _unseen, wait
        self._pace, self._next = pace, 0.0
        self._tls = tls or (httpx.create_ssl_context() if url.scheme == "https" else None)
        self._watch = _Watch()
        # one connection per request: a kept one may be closed by the other side just then, and who knows what became of a POST
        self._pool = httpcore.ConnectionPool(
            ssl_context=self._tls, max_keepalive_connections=0, network_backend=self._watch
        )
        for name in ("httpx", "httpcore"):  # their lines hold addresses and headers with secrets
            logging.getLogger(name).setLevel(logging.CRITICAL)

    @property
    def host(self) -> str:
        """The host that is asked."""
        return self._url.host

    def get(self, target: str, query: Mapping[str, str] | None = None) -> Answer | NoAnswer:
        """The last answer to a question, asked again while there is none or the broker is in trouble, within the deadline."""
        until = time.monotonic() + self._limits.total
        answer = self._exchange("GET", target, query, None, until)
        for factor in _SECOND_FACTORS[: self._limits.gets_max - 1]:
            pause = _pause(answer, factor)
            if pause is None or time.monotonic() + pause >= until:
                break
            self._wait(pause)
            answer = self._exchange("GET", target, query, None, until)
        return answer

    def post(self, target: str, body: object, query: Mapping[str, str] | None = None) -> Answer | NoAnswer:
        """Sends a JSON body once."""
        return self._exchange("POST", target, query, body, time.monotonic() + self._limits.total)

    def delete(self, target: str, query: Mapping[str, str] | None = None) -> Answer | NoAnswer:
        """Asks once for an end."""
        return self._exchange("DELETE", target, query, None, time.monotonic() + self._limits.total)

    def close(self) -> None:
        """Closes what connections are open; the client may be used again."""
        self._pool.close()

    def _exchange(
        self, method: str, target: str, query: Mapping[str, str] | None, body: object, until: float
    ) -> Answer | NoAnswer:
        if self._pace:
            self._wait(max(0.0, self._next - time.monotonic()))
            self._next = time.monotonic() + self._pace
        url = self._url.copy_with(path=target, params=dict(query) if query else None)
        sent = b"" if body is None else json.dumps(body, separators=(",", ":"), allow_nan=False).encode()
        answer = self._carried(method, url, sent, until)
        self._seen(Seen(method, url.raw_path.decode("ascii"), sent, answer))
        return answer

    def _carried(self, method: str, url: httpx.URL, sent: bytes, until: float) -> Answer | NoAnswer:
        headers = self._headers | ({"content-type": "application/json"} if sent else {})
        if sent or method == "POST":
            headers["content-length"] = str(len(sent))
        address = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        self._watch.until = until
        seconds = self._limits
        timeouts = {"connect": seconds.connect, "read": seconds.read, "write": seconds.read, "pool": seconds.connect}
        try:
            with self._pool.stream(
                method,
                address,
                headers=[(name, value) for name, value in headers.items()],
                content=sent or None,
                extensions={"timeout": timeouts},
            ) as answer:
                return self._whole(answer, until)
        except httpcore.TimeoutException as error:
            return NoAnswer(f"no answer in time ({type(error).__name__})")
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            return NoAnswer(one_line(f"the connection failed ({type(error).__name__}): {error}"))

    def _whole(self, answer: httpcore.Response, until: float) -> Answer | NoAnswer:
        """The body while it stays within its bounds of bytes and time."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}
        if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            return NoAnswer("expected a plain body, found a packed one")
        found = bytearray()
        for chunk in cast("Iterable[bytes]", answer.iter_stream()):
            found += chunk
            if len(found) > self._limits.body_bytes_max:
                return NoAnswer(f"expected at most {self._limits.body_bytes_max} bytes, found more")
            if time.monotonic() > until:
                return NoAnswer(f"no whole answer within {self._limits.total:g} s")
        return Answer(answer.status, bytes(found), headers)


class _Watch(httpcore.NetworkBackend):
    """Connections on which nothing waits beyond `until`, in monotonic seconds: an answer that drips ends, too."""

    def __init__(self) -> None:
        self._backend, self.until = httpcore.SyncBackend(), 0.0

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._backend.connect_tcp(host, port, self.left(timeout), local_address, socket_options)
        return _Stream(stream, self)

    def left(self, timeout: float | None) -> float:
        """Seconds that may still be waited, never none: zero would mean not to wait at all."""
        left = max(0.001, self.until - time.monotonic())
        return left if timeout is None else min(timeout, left)


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, watch: _Watch) -> None:
        self._stream, self._watch = stream, watch

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._watch.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._watch.left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, self._watch.left(timeout)), self._watch)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


def one_line(text: str) -> str:
    """A text of outside as it may stand in a reason: one line of printable characters, bounded."""
    return "".join(sign if sign.isprintable() else "?" for sign in " ".join(text.split()))[:REASON_MAX]


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its number; a name is not, whatever it resolves to."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def local_base(variable: str, given: str | None) -> str | None:
    """The address that an environment variable names instead of the broker's own: for tests, http://127.0.0.1:PORT only.

    None when the variable says nothing. Raises BrokerError for any other address.
    """
    if given is None:
        return None
    url = httpx.URL(given)
    if url.scheme != "http" or url.host != "127.0.0.1" or url.port is None or url.path not in ("", "/") or url.userinfo:
        raise BrokerError(f"{variable}: expected http://127.0.0.1:PORT, found another address; unset it")
    return f"http://127.0.0.1:{url.port}"


def _pause(answer: Answer | NoAnswer, seconds: float) -> float | None:
    """Seconds until a GET is worth another try; None when it is not."""
    if isinstance(answer, NoAnswer):
        return seconds
    if answer.status not in _TROUBLED:
        return None
    asked = answer.headers.get("retry-after", "").strip()
    return max(seconds, float(asked)) if asked.isascii() and asked.isdigit() and len(asked) < 6 else seconds


def _unseen(_: Seen) -> None:
    return None
