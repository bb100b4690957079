"""Calls one language model once: the only process that imports litellm. One JSON request on stdin, one JSON answer on stdout.

    python -m marketbot_resources.llm_worker

It is given one provider's key by its environment (`settings.llm_environment`) and nothing else, writes no file, and ends after one
answer. It holds itself to bounds of memory and time, so that it ends also when nobody is left to end it. Not here: who starts it
(`llm_process`), what an error means (`llm_failures`), what may go over the wire (`llm_transport`).
"""

import ipaddress
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from types import FrameType
from typing import TYPE_CHECKING, NoReturn, TypeVar, cast
from urllib.parse import urlsplit

from marketbot_resources import settings
from marketbot_resources.ledger.record import Json
from marketbot_resources.llm import FailureKind, LlmAnswer, LlmFailure
from marketbot_resources.llm_cache import open_cache
from marketbot_resources.llm_failures import Wire, failure_of, is_strict, one_line, read_answer
from marketbot_resources.redaction import redactor

if TYPE_CHECKING:
    from marketbot_resources.llm_transport import OnePost

T = TypeVar("T")
PINNED = "1.110.2"
MEMORY_BYTES_MAX = 768 << 20  # of addresses: twice what a call has needed, less than a small machine has
CPU_SECONDS_MAX = 120
START_SECONDS_MAX = 60
CACHE_SECONDS_MAX = 2.0
ORIGINS = {"openai": "https://api.openai.com", "anthropic": "https://api.anthropic.com"}


@dataclass(frozen=True, slots=True)
class Call:
    """One request as the parent writes it. `address`: scheme, host and port of who is asked; `question`: hash of the request."""

    provider: str
    model: str
    system: str
    turns: list[tuple[str, str]]
    schema: dict[str, Json]
    tokens_max: int
    address: str
    region: str
    seed: int
    timeout_seconds: int
    question: str
    redirect: str
    cache: bool

    @property
    def base(self) -> str:
        """Who is asked: a local server's own address, in tests another one, else the provider's."""
        if self.provider == "local":
            return self.address
        if self.provider == "bedrock":
            return self.redirect or f"https://bedrock-runtime.{self.region}.amazonaws.com"
        return self.redirect or ORIGINS[self.provider]


class Expired(BaseException):
    """The time of the call is over. No Exception, so that no library takes it for one of its own."""


def answer(call: Call) -> LlmAnswer | LlmFailure:
    """What came of the call. Never raises for what a provider does."""
    wrong = _wrong_litellm()
    if wrong:
        return LlmFailure(FailureKind.WORKER_DIED, wrong)
    import litellm  # noqa: F401 - takes seconds, which no bound of a cache may cut

    cache = _quickly(lambda: open_cache(settings.variable("MARKETBOT_LLM_CACHE") or "")) if call.cache else None
    known = None if cache is None else _quickly(lambda: cache.get(call.question))
    if known is not None:
        return known
    transport = _transport(call)
    found = _asked(call, transport, with_schema=call.provider != "bedrock")
    if (
        transport.tools_refused
    ):  # litellm asks some models for JSON by way of a tool; they read the schema in the prompt
        found = _asked(call, _transport(call), with_schema=False)
    if cache is not None and isinstance(found, LlmAnswer):
        _quickly(lambda: cache.put(call.question, found))
    return found


def _quickly(action: Callable[[], T]) -> T | None:
    """What a cache says, if it says it at once: no call fails or waits for one."""
    try:
        _allow_seconds(CACHE_SECONDS_MAX)
        return action()
    except (Exception, Expired) as error:
        sys.stderr.write(f"the cache: {type(error).__name__}\n")
        return None
    finally:
        _allow_seconds(START_SECONDS_MAX)


def _transport(call: Call) -> "OnePost":
    from marketbot_resources.llm_transport import OnePost

    return OnePost(call.base, lambda: _allow_seconds(call.timeout_seconds), lambda: _allow_seconds(START_SECONDS_MAX))


def _asked(call: Call, transport: "OnePost", with_schema: bool) -> LlmAnswer | LlmFailure:
    from marketbot_resources.llm_transport import NotSent

    try:
        response = _complete(call, transport, with_schema)
    except Expired:
        wire, why = transport.wire, f"no whole answer within {call.timeout_seconds} s"
        return failure_of((), "", Wire(wire.sent, fault=FailureKind.TIMEOUT, why=why))
    except NotSent as refused:
        return failure_of((), str(refused), transport.wire)
    except Exception as error:
        classes = [kind.__name__ for kind in type(error).__mro__]
        return failure_of(classes, redactor().text(str(error)), transport.wire)
    finally:
        _allow_seconds(START_SECONDS_MAX)  # to write it down
    return read_answer(response, transport.wire.body or "", call.model)


def _complete(call: Call, transport: "OnePost", with_schema: bool) -> dict[str, Json]:
    """What litellm makes of the call, in OpenAI's shape. Raises litellm's errors."""
    import httpx
    import litellm

    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.drop_params = True  # a model that takes no temperature or seed is asked without
    client = httpx.Client(transport=transport, follow_redirects=False, timeout=call.timeout_seconds)
    shape = {"name": "views", "strict": is_strict(call.schema), "schema": call.schema}
    more = {"response_format": {"type": "json_schema", "json_schema": shape}} if with_schema else {}
    response = litellm.completion(
        messages=[
            {"role": "system", "content": call.system},
            *({"role": r, "content": text} for r, text in call.turns),
        ],
        temperature=0,
        seed=call.seed,
        max_tokens=call.tokens_max,
        stream=False,
        timeout=float(call.timeout_seconds),
        num_retries=0,
        max_retries=0,
        **more,
        **_provider(call, client),
    )
    return cast("dict[str, Json]", response.model_dump(mode="json"))


def _provider(call: Call, client: object) -> dict[str, object]:
    """Arguments of litellm that say who is asked, how and with which key."""
    from litellm.llms.custom_httpx.http_handler import HTTPHandler

    if call.provider == "bedrock":
        names = ("access_key_id", "secret_access_key", "session_token")
        keys = {f"aws_{name}": settings.variable(f"AWS_{name.upper()}") for name in names}
        return {
            "model": f"bedrock/converse/{call.model}",
            "aws_region_name": call.region,
            "aws_bedrock_runtime_endpoint": call.base,
            "client": HTTPHandler(client=client),  # type: ignore[arg-type]
            **{name: key for name, key in keys.items() if key},
        }
    if call.provider == "anthropic":
        handler = HTTPHandler(client=client)  # type: ignore[arg-type]
        key = settings.variable("ANTHROPIC_API_KEY")
        return {"model": f"anthropic/{call.model}", "api_base": call.base, "api_key": key, "client": handler}
    import openai

    local = call.provider == "local"
    base = call.base if local else f"{call.base}/v1"
    key = (_local_key(base) if local else settings.variable("OPENAI_API_KEY")) or "none"
    sdk = openai.OpenAI(api_key=key, base_url=base, http_client=client, max_retries=0)  # type: ignore[arg-type]
    return {"model": f"openai/{call.model}", "api_base": base, "api_key": key, "client": sdk}


def _local_key(address: str) -> str | None:
    """The key of a local server; over plain http it does not leave this machine."""
    told = urlsplit(address)
    try:
        here = told.hostname == "localhost" or ipaddress.ip_address(told.hostname or "").is_loopback
    except ValueError:
        here = False
    return settings.variable("MARKETBOT_LLM_LOCAL_KEY") if told.scheme == "https" or here else None


def _wrong_litellm() -> str:
    """Why litellm is not imported; "" when the pinned version is here."""
    try:
        found = version("litellm")
    except PackageNotFoundError:
        return f"expected litellm {PINNED}, found none; install the extra llm"
    return "" if found == PINNED else f"expected litellm {PINNED}, found {found}"


def _hold_to_bounds() -> None:
    """Bounds of memory and CPU, no core dump (it would hold the key), and an end with the parent where the system can do that."""
    for what, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES_MAX),
        (resource.RLIMIT_CPU, CPU_SECONDS_MAX),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with suppress(ValueError, OSError):  # not every system knows every bound
            resource.setrlimit(what, (bound, bound))
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    signal.signal(signal.SIGALRM, _expire)
    _allow_seconds(START_SECONDS_MAX)


def _allow_seconds(seconds: float) -> None:
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _expire(_: int, __: FrameType | None) -> NoReturn:
    raise Expired


def _stay_with(hosts: frozenset[str]) -> None:
    """From here on no other host's address is looked up: litellm and what it brings would load lists of their own."""

    def watch(event: str, details: tuple[object, ...]) -> None:
        if event == "socket.getaddrinfo" and details[0] not in hosts:
            raise PermissionError("a host that nobody named is not asked")

    sys.addaudithook(watch)


def _hosts(call: Call) -> frozenset[str]:
    named = [call.base, (settings.variable("MARKETBOT_LLM_CACHE") or "") if call.cache else ""]
    return frozenset(host for host in (urlsplit(address).hostname for address in named) if host)


def written(found: LlmAnswer | LlmFailure) -> bytes:
    """One line of JSON; known secrets are masked, wherever a provider may have put them."""
    known = redactor()
    told = asdict(found)
    if isinstance(found, LlmFailure):
        told |= {"reason": one_line(known.text(found.reason)), "kind": found.kind.value}
    elif known.holds_secret(found.body.encode()) or known.holds_secret(found.text.encode()):
        told |= {"text": known.text(found.text), "body": known.text(found.body)}
    return json.dumps({"answer" if isinstance(found, LlmAnswer) else "failure": told}).encode() + b"\n"


def main() -> NoReturn:
    """Answers one request and ends at once, with whatever threads are still about."""
    _hold_to_bounds()
    out = os.dup(1)
    os.dup2(2, 1)  # a library that prints does not reach the answer
    try:
        told = cast("Mapping[str, object]", json.loads(sys.stdin.buffer.read()))
        call = Call(**told)  # type: ignore[arg-type]
        _stay_with(_hosts(call))
        found = answer(call)
    except Expired:
        found = LlmFailure(FailureKind.TIMEOUT, f"the worker was not ready within {START_SECONDS_MAX} s")
    except MemoryError:
        found = LlmFailure(FailureKind.WORKER_DIED, "out of memory", may_cost=True)
    line = written(found)
    while line:
        line = line[os.write(out, line) :]
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
