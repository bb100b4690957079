"""Calls a language model through a child process that holds its key and nothing else, and has ended when the answer is there."""

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import cast

from marketbot_resources import settings
from marketbot_resources.errors import MarketbotError
from marketbot_resources.ledger.record import Json
from marketbot_resources.llm import FailureKind, LlmAnswer, LlmFailure, LlmRequest
from marketbot_resources.llm_failures import one_line
from marketbot_resources.redaction import redactor

START_SECONDS_MAX = 60.0
OUTPUT_BYTES_MAX = 16 << 20
STDERR_BYTES_KEPT = 4096
COMMAND = (sys.executable, "-m", "marketbot_resources.llm_worker")


class LlmProcess:
    """`LlmPort` over `python -m marketbot_resources.llm_worker`. `folder`: the home; `cache`: whether litellm's cache may answer.

    `command` and `start_seconds` serve tests: what is started, and how long it may take beyond the call itself.
    """

    def __init__(
        self,
        folder: Path,
        cache: bool = False,
        *,
        command: tuple[str, ...] = COMMAND,
        start_seconds: float = START_SECONDS_MAX,
    ) -> None:
        self._folder, self._cache = folder, cache
        self._command, self._start_seconds = command, start_seconds

    def ask(self, request: LlmRequest) -> LlmAnswer | LlmFailure:
        """The answer or why there is none. When it returns, no process of the call is left."""
        try:
            environment = settings.llm_environment(request.provider, self._cache)
            redirect = settings.llm_redirect()
        except MarketbotError as error:
            return LlmFailure(FailureKind.BAD_REQUEST, one_line(str(error)))
        if environment is None:
            return LlmFailure(
                FailureKind.NO_KEY, f"no key for {request.provider}: set {settings.llm_key_names(request.provider)}"
            )
        line = _written(request, redirect, self._cache)
        try:
            out, err, ended = self._run(line, environment, request.timeout_seconds + self._start_seconds)
        except OSError as error:
            return LlmFailure(FailureKind.WORKER_DIED, one_line(f"the worker did not start: {error.strerror}"))
        return _read(out, err, ended)

    def _run(self, line: bytes, environment: dict[str, str], seconds: float) -> tuple[bytes, bytes, str]:
        """What the worker wrote, the end of what it said besides, and how it ended: "" by itself."""
        with tempfile.TemporaryFile() as given:
            given.write(line)
            given.seek(0)
            process = subprocess.Popen(
                self._command,
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=settings.CHECKOUT,
                env=environment,
                start_new_session=True,
            )
        try:
            return _heard(process, time.monotonic() + seconds)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # before it is waited for: its number is still its own
            process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()


def _heard(process: "subprocess.Popen[bytes]", until: float) -> tuple[bytes, bytes, str]:
    """All output until the worker has ended, or as much as is taken."""
    out, err = bytearray(), bytearray()
    assert process.stdout is not None
    assert process.stderr is not None
    with selectors.DefaultSelector() as ready:
        ready.register(process.stdout, selectors.EVENT_READ, out)
        ready.register(process.stderr, selectors.EVENT_READ, err)
        while ready.get_map():
            left = until - time.monotonic()
            if left <= 0:
                return bytes(out), bytes(err), "it did not end in time"
            gone = _has_ended(process)
            found = ready.select(0 if gone else min(left, 0.5))
            if gone and not found:
                break  # a grandchild may still hold the pipes
            for key, _ in found:
                chunk = os.read(key.fd, 65_536)
                if not chunk:
                    ready.unregister(key.fileobj)
                key.data.extend(chunk)
            if len(out) > OUTPUT_BYTES_MAX:
                return b"", bytes(err), "it said too much"
            del err[:-STDERR_BYTES_KEPT]
    while not _has_ended(process):
        if time.monotonic() > until:
            return bytes(out), bytes(err), "it did not end in time"
        time.sleep(0.005)
    status = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    by_itself = status is not None and status.si_code == os.CLD_EXITED and status.si_status == 0
    return bytes(out), bytes(err), "" if by_itself else f"it ended with {status.si_status if status else 'nothing'}"


def _has_ended(process: "subprocess.Popen[bytes]") -> bool:
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _written(request: LlmRequest, redirect: str | None, cache: bool) -> bytes:
    told = {
        "provider": request.provider,
        "model": request.model,
        "system": request.system,
        "turns": [list(turn) for turn in request.turns],
        "schema": dict(request.schema),
        "tokens_max": request.tokens_max,
        "address": request.address,
        "region": request.region,
        "seed": request.seed,
        "timeout_seconds": request.timeout_seconds,
        "question": request.sha256,
        "redirect": redirect or "",
        "cache": cache,
    }
    return json.dumps(told).encode()


def _read(out: bytes, err: bytes, ended: str) -> LlmAnswer | LlmFailure:
    """The worker's answer, which is taken for no more than a claim: every type is looked at."""
    known = redactor()
    if ended:
        last = err.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        kind = FailureKind.TIMEOUT if "in time" in ended else FailureKind.WORKER_DIED
        return LlmFailure(kind, one_line(known.text(f"the worker: {ended}; {last[0]}")), may_cost=True)
    try:
        told = cast("dict[str, dict[str, Json]]", json.loads(out))
        return _answer(told["answer"]) if "answer" in told else _failure(told["failure"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"the worker: expected an answer, found {type(error).__name__}"
        return LlmFailure(FailureKind.WORKER_DIED, reason, may_cost=True)


def _answer(told: dict[str, Json]) -> LlmAnswer:
    known = redactor()
    text, model, fingerprint, body = (_text(told[name]) for name in ("text", "model", "fingerprint", "body"))
    if known.holds_secret(text.encode()) or known.holds_secret(body.encode()):
        text, body = known.text(text), known.text(body)
    return LlmAnswer(text, model, fingerprint, _count(told["tokens_in"]), _count(told["tokens_out"]), body)


def _failure(told: dict[str, Json]) -> LlmFailure:
    reason, cost = one_line(redactor().text(_text(told["reason"]))), told["may_cost"]
    if not isinstance(cost, bool):
        raise TypeError(cost)
    return LlmFailure(FailureKind(_text(told["kind"])), reason, cost)


def _text(value: Json) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _count(value: Json) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise TypeError(value)
    return value
