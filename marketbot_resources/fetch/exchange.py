"""One GET and its whole answer, or why there is none. Not here: whether to send, to try again, or what an answer is worth."""

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import httpcore
import httpx

from marketbot_resources.fetch.address import AddressGuard, PinnedBackend
from marketbot_resources.fetch.decoding import BodyDecoder
from marketbot_resources.fetch.policy import Policy, Terms
from marketbot_resources.provider import Response

Headers = Sequence[tuple[bytes, bytes]]
_REMAINING = ("x-ratelimit-remaining", "x-rate-limit-remaining", "ratelimit-remaining")
_CAUSES_MAX = 20


class Trouble(NamedTuple):
    """An attempt that failed. `wait`: seconds that the provider asks for; `counts`: its breaker takes note.

    `response`: the answer, when one arrived whole.
    """

    reason: str
    retry: bool
    counts: bool
    wait: float | None = None
    response: Response | None = None


class Exchange:
    """Exchanges with the hosts of one provider over one pool of connections; to be used in its `async with`.

    `received(bytes on the wire, requests that are left as the provider says)` is called once per answer, whole or not.
    """

    def __init__(
        self,
        policy: Policy,
        terms: Terms,
        guard: AddressGuard,
        tls: ssl.SSLContext,
        received: Callable[[int, int | None], None],
    ) -> None:
        self._terms, self._guard, self._count = terms, guard, received
        self._timeouts = {
            "connect": policy.connect_seconds,
            "read": policy.read_seconds,
            "write": policy.write_seconds,
            "pool": None,
        }
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls, max_connections=policy.concurrency, network_backend=PinnedBackend(guard)
        )

    async def __aenter__(self) -> "Exchange":
        await self._pool.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._pool.aclose()

    async def get(self, url: httpx.URL, headers: Headers) -> Response | Trouble:
        """The answer of any status, its body whole. Raises ProviderError for an address or a body of no use."""
        try:
            async with asyncio.timeout(self._terms.seconds_max):
                await self._guard.pin(url)
                return await self._read(url, headers)
        except TimeoutError:
            return Trouble(f"no whole answer within {self._terms.seconds_max:g} s", retry=True, counts=True)
        except httpcore.TimeoutException as error:
            return Trouble(f"no answer in time ({type(error).__name__})", retry=True, counts=True)
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            trusted = not any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error))
            said = str(error) or type(error).__name__
            return Trouble(f"the connection failed: {said}", retry=trusted, counts=True)

    async def _read(self, url: httpx.URL, headers: Headers) -> Response:
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        size, remaining = 0, None
        try:
            async with self._pool.stream(
                "GET", target, headers=headers, extensions={"timeout": self._timeouts}
            ) as answer:
                found = _plain(answer.headers)
                remaining = _remaining(found)
                decoder = BodyDecoder(found.get("content-encoding", ""), self._terms.body_bytes_max)
                async for chunk in answer.aiter_stream():
                    size += len(chunk)
                    decoder.feed(chunk)
                return Response(answer.status, found, decoder.finish())
        finally:
            if size or remaining is not None:
                self._count(size, remaining)


def _causes(error: BaseException) -> list[BaseException]:
    """The error and what it came from."""
    found = [error]
    while len(found) < _CAUSES_MAX and (cause := found[-1].__cause__ or found[-1].__context__) is not None:
        found.append(cause)
    return found


def _plain(headers: Headers) -> dict[str, str]:
    """Headers in lower case; a name that occurs more than once has its values joined."""
    found: dict[str, str] = {}
    for raw, value in headers:
        name, said = raw.decode("latin-1").lower(), value.decode("latin-1")
        found[name] = f"{found[name]}, {said}" if name in found else said
    return found


def _remaining(headers: Mapping[str, str]) -> int | None:
    said = next((headers[name].strip() for name in _REMAINING if name in headers), "")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 16 else None
