"""Sends the requests of a batch: in parallel, paced, retried, bounded in size and time. GET only; it never judges a body's content.

Secrets are added when a request is sent and are in nothing that comes back. Not here: the bounds (`policy`), waits (`pace`),
unpacking (`decoding`), addresses (`address`), breakers and counts (`states`).
"""

import asyncio
import functools
import logging
import random
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import httpx

from marketbot_resources import settings
from marketbot_resources.errors import MarketbotError, ProviderError
from marketbot_resources.fetch.address import AddressGuard, Resolve, host_of, machine_resolve
from marketbot_resources.fetch.exchange import Exchange, Trouble
from marketbot_resources.fetch.pace import TokenBucket, backoff_seconds, retry_after_seconds
from marketbot_resources.fetch.policy import Failure, Policy, one_line
from marketbot_resources.fetch.query import full_address
from marketbot_resources.fetch.states import Gate, ProviderStates
from marketbot_resources.provider import Request, Response
from marketbot_resources.redaction import Redactor

OK, UNAUTHORIZED, TOO_MANY = 200, 401, 429
RETRIED = frozenset({TOO_MANY, 500, 502, 503, 504})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SAID_MAX, _SAID_BYTES_MAX = 160, 8192
_NOT_KEPT = frozenset({"set-cookie", "set-cookie2"})


@dataclass(frozen=True, slots=True)
class Time:
    """Where time comes from: the present instant (UTC), a monotonic time in seconds, and a wait in seconds."""

    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]


def machine_time() -> Time:
    """The machine's own time."""
    import time

    from marketbot_resources.clock import machine_now

    return Time(machine_now, time.monotonic, asyncio.sleep)


class Fetcher:
    """Asks providers within a policy. One fetcher per run: it remembers answers, and paces hosts, for its own life.

    `secret`: the value of an environment variable, None when it has none. `rng`: for the jitter of retries. `tls`: trust of
    certificates; the default trusts the public authorities. Thread-safe is only what `states` does.
    """

    def __init__(
        self,
        policy: Policy,
        states: ProviderStates,
        *,
        secret: Callable[[str], str | None],
        rng: random.Random,
        time: Time | None = None,
        resolve: Resolve = machine_resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.policy, self.states, self.time = policy, states, time or machine_time()
        self.secret, self.rng, self.resolve = secret, rng, resolve
        self.tls = tls or _public_trust()
        self.buckets: dict[tuple[str, str], TokenBucket] = {}
        self._memo: dict[tuple, Response] = {}
        self._memo_bytes = 0
        for name in ("httpx", "httpcore"):  # their lines hold addresses and headers with secrets
            logging.getLogger(name).setLevel(logging.CRITICAL)

    def deadline(self) -> float:
        """The end of a batch that starts now, in monotonic seconds."""
        return self.time.monotonic() + self.policy.batch_seconds

    def lacking(self, requests: Sequence[Request]) -> list[str]:
        """Environment variables that the requests name and that have no value, sorted."""
        return sorted(name for name in _variables(requests) if not self.secret(name))

    def refusal(self, provider: str) -> str | None:
        """Why a provider is not asked at all at present: its breaker is open. None when it may be asked."""
        now, rest = self.time.now(), self.policy.breaker_rest
        opened_at = self.states.opened_at(provider)
        if opened_at is None or self.states.gate(provider, now, rest) is not Gate.OPEN:
            return None
        until = f"{opened_at + rest:%Y-%m-%d %H:%M:%S} UTC"
        return f"not asked: {self.policy.breaker_failures} or more of its requests failed in a row; asked again from {until}"

    def fetch_all(
        self, requests: Sequence[Request], provider: str, deadline: float | None = None
    ) -> list[Response | Failure]:
        """One answer per request, in their order, at the deadline at the latest (default: `batch_seconds` from now).

        A Response has status 200 and a whole body. Equal requests are sent once. Raises HomeError; a provider raises nothing.
        Runs an event loop of its own: not to be called inside of another one.
        """
        if not requests:
            return []
        until = self.deadline() if deadline is None else deadline
        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(_Batch(self, provider, self.redactor(requests), until).all(requests))
        finally:
            # not asyncio.run: it waits for a name server that does not answer, however late that is
            loop.run_until_complete(_leave(loop))
            loop.close()

    def redactor(self, requests: Sequence[Request]) -> Redactor:
        """What keeps the secrets of the environment, and those of these requests, out of texts."""
        used = (self.secret(name) for name in _variables(requests))
        return Redactor([*settings.secrets(), *(value for value in used if value)])

    def remembered(self, key: tuple) -> Response | None:
        """The answer of an equal request of this run."""
        return self._memo.get(key)

    def remember(self, key: tuple, response: Response) -> None:
        """Keeps an answer while there is room."""
        if self._memo_bytes + len(response.content) <= self.policy.memo_bytes_max:
            self._memo[key] = response
            self._memo_bytes += len(response.content)


@functools.lru_cache(maxsize=1)
def _public_trust() -> ssl.SSLContext:
    """The public authorities, read once."""
    return httpx.create_ssl_context()


async def _leave(loop: asyncio.AbstractEventLoop) -> None:
    """Ends what is still waiting, for a name server or after an interruption."""
    left = asyncio.all_tasks(loop) - {asyncio.current_task(loop)}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    await loop.shutdown_asyncgens()


def _variables(requests: Sequence[Request]) -> set[str]:
    return {name for one in requests for named in (one.secret_params, one.secret_headers) for name in named.values()}


def _key(request: Request) -> tuple:
    """What makes two requests equal: everything that is sent. What is only asked of the parser is not."""
    parts = (request.params, request.headers, request.secret_params, request.secret_headers)
    return (request.url, *(tuple(part.items()) for part in parts))


class _Batch:
    """One call of `fetch_all`, inside of its event loop."""

    def __init__(self, fetcher: Fetcher, provider: str, redactor: Redactor, deadline: float) -> None:
        self._fetcher, self._provider, self._redactor, self._deadline = fetcher, provider, redactor, deadline
        self._policy, self._states, self._time = fetcher.policy, fetcher.states, fetcher.time
        self._terms = self._policy.terms_of(provider)
        self._guard = AddressGuard(fetcher.resolve, self._policy.local_hosts, settings.relay())
        self._slots = asyncio.Semaphore(self._policy.concurrency)
        self._host_slots: dict[str, asyncio.Semaphore] = {}
        self._probe = asyncio.Lock()

    async def all(self, requests: Sequence[Request]) -> list[Response | Failure]:
        """One answer per request."""
        policy, tls = self._policy, self._fetcher.tls
        async with Exchange(policy, self._terms, self._guard, tls, self._count) as self._exchange:
            tasks: dict[tuple, asyncio.Task[Response | Failure]] = {}
            for request in requests:
                key = _key(request)
                if key not in tasks:
                    tasks[key] = asyncio.ensure_future(self._bounded(key, request))
            await asyncio.gather(*tasks.values(), return_exceptions=True)
            return [tasks[_key(request)].result() for request in requests]

    async def _bounded(self, key: tuple, request: Request) -> Response | Failure:
        """The answer by the deadline, or why there is none. What a provider does never raises: this is the edge."""
        if (known := self._fetcher.remembered(key)) is not None:
            return known
        if not (left := self._deadline - self._time.monotonic()) > 0:
            return self._failure(request, "not asked: the deadline of the batch has passed")
        try:
            async with asyncio.timeout(left):
                answer = await self._tried(request)
        except TimeoutError:
            answer = self._failure(request, "no answer by the deadline of the batch")
        except ProviderError as error:
            answer = self._failure(request, str(error))
        except MarketbotError:
            raise
        except Exception as error:
            answer = self._failure(request, f"{type(error).__name__}: {error}")
        if isinstance(answer, Response):
            self._fetcher.remember(key, answer)
        return answer

    async def _tried(self, request: Request) -> Response | Failure:
        """Attempts until one is good, none is left, or the breaker opens."""
        trouble = Trouble("no attempt was allowed", retry=False, counts=False)
        for attempt in range(self._policy.attempts_max):
            if attempt:
                wait = self._wait(trouble, attempt - 1)
                if not wait < self._deadline - self._time.monotonic():
                    return self._failed(request, trouble, f"{attempt} attempts, no time for another")
                await self._time.sleep(wait)
            answer = await self._gated(request)
            if isinstance(answer, Response | Failure):
                return answer
            trouble = answer
            if not trouble.retry:
                return self._failed(request, trouble, "not retried")
        return self._failed(request, trouble, f"{self._policy.attempts_max} attempts")

    def _wait(self, trouble: Trouble, failed: int) -> float:
        jitter = backoff_seconds(failed, self._policy.backoff_base, self._policy.backoff_max, self._fetcher.rng)
        return jitter if trouble.wait is None else trouble.wait + min(jitter, self._policy.backoff_base)

    async def _gated(self, request: Request) -> Response | Failure | Trouble:
        """One attempt if the breaker lets it through; while it is half open, one at a time, and its failure opens it again."""
        if self._gate() is Gate.HALF_OPEN:
            async with self._probe:
                if self._gate() is Gate.HALF_OPEN:
                    answer = await self._attempt(request)
                    if isinstance(answer, Trouble) and answer.counts:
                        return self._failed(request, answer, "the breaker's one attempt")
                    return answer
        return await self._attempt(request)

    def _demand_closed_breaker(self) -> None:
        """Asked again after each wait: others may have failed meanwhile."""
        if (refusal := self._fetcher.refusal(self._provider)) is not None:
            raise ProviderError(refusal)

    def _gate(self) -> Gate:
        return self._states.gate(self._provider, self._time.now(), self._policy.breaker_rest)

    async def _attempt(self, request: Request) -> Response | Trouble:
        """One attempt, redirects included."""
        url = self._guard.parsed(full_address(request.url, request.params, self._secrets(request.secret_params)))
        headers = self._headers(request)
        for _ in range(self._policy.redirects_max + 1):
            answer = await self._paced(url, headers)
            if isinstance(answer, Trouble):
                return answer
            if answer.status not in REDIRECTS:
                return self._judged(answer)
            url = self._redirected(url, answer)
        raise ProviderError(f"expected at most {self._policy.redirects_max} redirects, found more")

    def _redirected(self, url: httpx.URL, answer: Response) -> httpx.URL:
        try:
            target = url.join(answer.headers.get("location", ""))
        except httpx.InvalidURL as error:
            raise ProviderError("expected a redirect to an address, found none that can be read") from error
        if (target.scheme, target.host, target.port) != (url.scheme, url.host, url.port):
            raise ProviderError(f"expected redirects within {url.host}, found one to {target.scheme}://{target.host}")
        return self._guard.parsed(str(target))

    async def _paced(self, url: httpx.URL, headers: list[tuple[bytes, bytes]]) -> Response | Trouble:
        """One exchange when the host's pace, the day's limit and the connections allow it."""
        host, terms = host_of(url), self._terms
        bucket = self._fetcher.buckets.setdefault((self._provider, host), TokenBucket(terms.per_second, terms.burst))
        slots = self._host_slots.setdefault(host, asyncio.Semaphore(terms.connections))
        async with slots:
            self._demand_closed_breaker()
            if (wait := bucket.take(self._time.monotonic())) > 0:
                if not wait < self._deadline - self._time.monotonic():
                    raise ProviderError("no time left at the pace that this host is asked")
                await self._time.sleep(wait)
            async with self._slots:
                self._demand_closed_breaker()
                if not self._states.reserve(self._provider, self._time.now().date(), terms.per_day):
                    raise ProviderError(f"its configured {terms.per_day} requests of this UTC day are used up")
                answer = await self._exchange.get(url, headers)
        if isinstance(answer, Response) and answer.status in RETRIED:
            pause = retry_after_seconds(answer.headers, self._time.now()) or 0.0
            if pause <= self._policy.retry_after_max:
                bucket.hold(self._time.monotonic() + pause)
        return answer

    def _judged(self, answer: Response) -> Response | Trouble:
        """The answer when it may be handed on: whole, status 200, and without our own secrets."""
        if self._redactor.holds_secret(answer.content):
            reason = "the answer repeats one of our own secrets and was not kept; change it and ask the provider why"
            return Trouble(reason, retry=False, counts=False)
        kept = {name: self._redactor.text(said) for name, said in answer.headers.items() if name not in _NOT_KEPT}
        response = Response(answer.status, kept, answer.content)
        if answer.status == OK:
            self._states.succeeded(self._provider)
            return response
        said = self._said(answer.content)
        reason = f"status {answer.status}{f', it says: {said}' if said else ''}"
        if answer.status not in RETRIED:
            if answer.status != UNAUTHORIZED:
                self._states.succeeded(self._provider)  # it works, and does not have what was asked
            return Trouble(reason, retry=False, counts=answer.status == UNAUTHORIZED, response=response)
        wait = retry_after_seconds(answer.headers, self._time.now())
        if wait is not None and not wait <= self._policy.retry_after_max:
            reason += f"; it asks to wait {wait:.0f} s, more than {self._policy.retry_after_max:.0f} s"
            return Trouble(reason, retry=False, counts=True, response=response)
        return Trouble(reason, retry=True, counts=True, wait=wait, response=response)

    def _said(self, content: bytes) -> str:
        """The beginning of an answer in words; masked before it is cut, half a secret is not recognised."""
        text = self._redactor.text(content[:_SAID_BYTES_MAX].decode("utf-8", "replace"))
        return " ".join(text.split())[:_SAID_MAX]

    def _count(self, size: int, remaining: int | None) -> None:
        self._states.received(self._provider, self._time.now().date(), size, remaining)

    def _headers(self, request: Request) -> list[tuple[bytes, bytes]]:
        given = {"user-agent": self._policy.user_agent, "accept": "*/*", **_lower(request.headers)}
        given |= {"accept-encoding": "gzip, deflate", **_lower(self._secrets(request.secret_headers))}
        return [(name.encode("ascii"), value.encode("utf-8")) for name, value in given.items()]

    def _secrets(self, named: Mapping[str, str]) -> dict[str, str]:
        values = {place: self._fetcher.secret(name) for place, name in named.items()}
        lacking = sorted(named[place] for place, value in values.items() if not value)
        if lacking:
            raise ProviderError(f"expected a key in the environment, found none: set {', '.join(lacking)}")
        return {place: value for place, value in values.items() if value}

    def _failed(self, request: Request, trouble: Trouble, tried: str) -> Failure:
        """A request that is given up; the breaker takes note."""
        if trouble.counts:
            self._states.failed(self._provider, self._time.now(), self._policy.breaker_failures)
        return self._failure(request, f"{trouble.reason} ({tried})", trouble.response)

    def _failure(self, request: Request, reason: str, response: Response | None = None) -> Failure:
        url = self._redactor.text(full_address(request.url, request.params))
        return Failure(self._provider, url, one_line(self._redactor.text(f"{reason} [{url}]")), response)


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
