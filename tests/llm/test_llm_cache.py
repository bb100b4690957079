"""A shared cache of answers saves calls; whatever becomes of its server, no call fails or waits for it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from model_requests import KEYS, all_keys, question
from provider_server import Asked, ProviderServer, Reply
from services import Redis

from marketbot_resources import settings
from marketbot_resources.llm_process import _written

# What somebody else may have put there: no JSON, another shape, wrong types, too deep to read.
POISON = ["nonsense", "[1, 2]", json.dumps({"timestamp": 1.0, "response": json.dumps({"text": 1})}), "(" * 5000,
          json.dumps({"timestamp": 1.0, "response": json.dumps({"text": 1, "model": "m", "fingerprint": "", "tokens_in": 1,
                                                                "tokens_out": 1, "body": "{}"})})]  # fmt: skip
MANY = Path(__file__).parent / "worker_many.py"


def _set(password: str, key: str, value: str) -> str:
    """Redis's protocol: the password, then a key with its value."""
    words = "".join(f"${len(word)}\r\n{word}\r\n" for word in ("SET", key, value))
    return f"AUTH {password}\r\n*3\r\n{words}"


def test_a_second_question_is_answered_by_the_cache(redis: Redis) -> None:
    """Hits cost no call and say so; failures are not kept; a silent and a dead server cost at most some seconds."""
    times: list[float] = []
    poisoned = [question("openai", text=f"poison {place}") for place in range(len(POISON))]
    for one, value in zip(poisoned, POISON, strict=True):
        assert redis.say(_set(redis.password, f"marketbot:llm:{one.sha256}", value)).endswith("+OK\r\n")

    def stopped(_: Asked) -> Reply:
        os.kill(redis.pid, signal.SIGSTOP)
        return Reply("while it is stopped")

    def asked_meanwhile(_: Asked) -> Reply:
        times.append(time.monotonic())
        return Reply("silent")

    def gone(_: Asked) -> Reply:
        times.append(time.monotonic())
        os.kill(redis.pid, signal.SIGCONT)
        redis.kill()
        return Reply("gone")

    with ProviderServer() as server:
        server.script(
            *("clean" for _ in POISON),
            "one",
            "two",
            "three",
            Reply("cut", finish="length"),
            "four",
            stopped,
            asked_meanwhile,
            gone,
            "dead",
        )
        names = ["openai", "anthropic", "bedrock", "openai", "openai"]
        asked = [question(name, text=f"{place}") for place, name in enumerate(names)]
        rows = [*poisoned, asked[0], asked[0], asked[1], asked[1], asked[2], asked[2], asked[3], asked[3], asked[3]]
        rows += [question("openai", text=text) for text in ("stop", "silent", "gone", "dead")]
        lines = b"\n".join(_written(one, server.url, True) for one in rows)
        environment = {
            **(settings.llm_environment("local", False) or {}),
            **all_keys(),
            "MARKETBOT_LLM_CACHE": redis.url,
        }
        try:
            done = subprocess.run(
                [sys.executable, str(MANY)],
                input=lines,
                capture_output=True,
                timeout=200,
                env={**environment, "PYTHONPATH": str(settings.CHECKOUT)},
            )
        finally:
            if not redis.answers():
                redis.start()
        told = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(told) == len(rows), done.stderr.decode()[-2000:]
        clean, told = told[: len(POISON)], told[len(POISON) :]
        assert [one["answer"]["text"] for one in clean] == ["clean"] * len(POISON)
        assert not [one for one in clean if "cached" in json.loads(one["answer"]["body"])]
        said = [one["answer"]["text"] if "answer" in one else one["failure"]["kind"] for one in told]
        assert said == ["one", "one", "two", "two", "three", "three", "truncated", "four", "four",
                        "while it is stopped", "silent", "gone", "dead"]  # fmt: skip
        hits = ["cached" in json.loads(one["answer"]["body"]) for one in told if "answer" in one]
        assert hits == [False, True, False, True, False, True, False, True, False, False, False, False]
        assert len(server.requests) == 9 + len(POISON)
        for first, second in ((0, 1), (2, 3), (4, 5)):
            ours, again = told[first]["answer"], told[second]["answer"]
            assert {**ours, "body": ""} == {**again, "body": ""}
            assert json.loads(again["body"]) == {**json.loads(ours["body"]), "cached": True}
    # from the answer of one to the question of the next: a failed put, a failed opening, a call
    assert times[1] - times[0] < 8
    output = done.stdout.decode() + done.stderr.decode()
    assert not [secret for secret in (*KEYS.values(), redis.password) if secret in output]
