"""Questions to a worker whose mandate has a cache, in an order that fills, reads, poisons, stops and kills it; what must come back.

The statement is in test_llm_wire.py, whose worker asks them: litellm takes seconds to import.
"""

import json
import os
import signal
import time
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from model_requests import KEYS, question
from provider_server import Asked, ProviderServer, Reply
from services import Redis

from marketbot_resources.llm import LlmRequest
from marketbot_resources.llm_process import _written

# What somebody else may have put there: no JSON, another shape, wrong types, too deep to read.
POISON = ["nonsense", "[1, 2]", json.dumps({"timestamp": 1.0, "response": json.dumps({"text": 1})}), "(" * 5000,
          json.dumps({"timestamp": 1.0, "response": json.dumps({"text": 1, "model": "m", "fingerprint": "", "tokens_in": 1,
                                                                "tokens_out": 1, "body": "{}"})})]  # fmt: skip


class CacheRun:
    """The questions and their server. `told`, `errors`: what the worker wrote; `times`: when the last calls came."""

    def __init__(self, redis: Redis) -> None:
        self.redis, self.server = redis, ProviderServer()
        self.times: list[float] = []
        self.told: list[dict[str, Any]] = []
        self.errors = ""
        poisoned = [question("openai", text=f"poison {place}") for place in range(len(POISON))]
        for one, value in zip(poisoned, POISON, strict=True):
            assert redis.say(_set(redis.password, f"marketbot:llm:{one.sha256}", value)).endswith("+OK\r\n")
        names = ["openai", "anthropic", "bedrock", "openai", "openai"]
        asked = [question(name, text=f"{place}") for place, name in enumerate(names)]
        self.rows: list[LlmRequest] = [*poisoned, asked[0], asked[0], asked[1], asked[1], asked[2], asked[2]]
        self.rows += [
            asked[3],
            asked[3],
            asked[3],
            replace(asked[3], seed=8),
        ]  # the second pass of a pack that reads the same
        self.rows += [question("openai", text=text) for text in ("stop", "silent", "gone", "dead")]

    def __enter__(self) -> Self:
        self.server.__enter__()
        self.server.script(*("clean" for _ in POISON), "one", "two", "three", Reply("cut", finish="length"), "four",
                           "another pass", self._stopped, self._meanwhile, self._gone, "dead")  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.__exit__()
        if not self.redis.answers():
            self.redis.start()

    @property
    def environment(self) -> dict[str, str]:
        """What the worker needs for the cache."""
        return {"MARKETBOT_LLM_CACHE": self.redis.url}

    def lines(self) -> list[bytes]:
        """The questions as the worker reads them."""
        return [_written(one, self.server.url, True) for one in self.rows]

    def _stopped(self, _: Asked) -> Reply:
        os.kill(self.redis.pid, signal.SIGSTOP)
        return Reply("while it is stopped")

    def _meanwhile(self, _: Asked) -> Reply:
        self.times.append(time.monotonic())
        return Reply("silent")

    def _gone(self, _: Asked) -> Reply:
        self.times.append(time.monotonic())
        os.kill(self.redis.pid, signal.SIGCONT)
        self.redis.kill()
        return Reply("gone")


def demand_of_cache(run: CacheRun) -> None:
    """What must have come back, hit for hit."""
    clean, told = run.told[: len(POISON)], run.told[len(POISON) :]
    assert [one["answer"]["text"] for one in clean] == ["clean"] * len(POISON)
    assert not [one for one in clean if "cached" in json.loads(one["answer"]["body"])]
    said = [one["answer"]["text"] if "answer" in one else one["failure"]["kind"] for one in told]
    assert said == ["one", "one", "two", "two", "three", "three", "truncated", "four", "four", "another pass",
                    "while it is stopped", "silent", "gone", "dead"]  # fmt: skip
    hits = ["cached" in json.loads(one["answer"]["body"]) for one in told if "answer" in one]
    assert hits == [False, True, False, True, False, True, False, True, False, False, False, False, False]
    assert len(run.server.requests) == 10 + len(POISON)
    for first, second in ((0, 1), (2, 3), (4, 5)):
        ours, again = told[first]["answer"], told[second]["answer"]
        assert {**ours, "body": ""} == {**again, "body": ""}
        assert json.loads(again["body"]) == {**json.loads(ours["body"]), "cached": True}
    # from the answer of one to the question of the next: a failed put, a failed opening, a call
    assert run.times[1] - run.times[0] < 8
    output = json.dumps(run.told) + run.errors
    assert not [secret for secret in (*KEYS.values(), run.redis.password) if secret in output]


def _set(password: str, key: str, value: str) -> str:
    """Redis's protocol: the password, then a key with its value."""
    words = "".join(f"${len(word)}\r\n{word}\r\n" for word in ("SET", key, value))
    return f"AUTH {password}\r\n*3\r\n{words}"
