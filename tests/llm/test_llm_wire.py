"""litellm's real calls against a real server: whatever comes back is an answer or a typed failure, after exactly one POST."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from cache_run import CacheRun, demand_of_cache
from model_requests import MODELS, all_keys, question
from provider_server import ERRORS, WIRE, Asked, ProviderServer, Reply, Script, failure, recorded
from services import Redis, lacking

from marketbot_resources import settings
from marketbot_resources.llm_process import _written

MANY = Path(__file__).parent / "worker_many.py"
DEEP = b'{"choices":' + b"[" * 200_000 + b"]" * 200_000 + b"}"

# What comes back -> (what it is, whether it may cost). By hand, from what each provider's documentation says of it.
ANSWERS: Mapping[str, tuple[Script, str, bool]] = {
    "well formed": (Reply("yes"), "answer", True),
    "wrong content type": (Reply("yes", content_type="text/plain"), "answer", True),
    "cut at its tokens": (Reply("yes", finish="length"), "truncated", True),
    "a tool": (Reply(finish="tool"), "bad_answer", True),
    "white space": (Reply("  \n"), "bad_answer", True),
    "half a character": (Reply("a \ud800"), "bad_answer", True),
}
BODIES: Mapping[str, tuple[Script, str, bool]] = {
    "hang": (Reply(fault="hang"), "timeout", True),
    "drip": (Reply("yes", fault="drip"), "timeout", True),
    "reset": (Reply(fault="reset"), "connection", True),
    "truncated": (Reply("yes", fault="truncate"), "connection", True),
    "html": (Reply(body=b"<html>hello</html>", content_type="text/html"), "bad_answer", True),
    "packed garbage": (Reply(body=b"\x1f\x8b\x08garbage", headers={"content-encoding": "gzip"}), "bad_answer", True),
    "bomb": (Reply(body=gzip.compress(b"0" * 20_000_000), headers={"content-encoding": "gzip"}), "bad_answer", True),
    "huge": (Reply("y" * 1_100_000), "bad_answer", True),
    "nothing": (Reply(body=b""), "bad_answer", True),
    "no content": (Reply(status=204, body=b""), "bad_answer", True),
    "bytes": (Reply(body=b"\xff\xfe{}"), "bad_answer", True),
    "list": (Reply(body=b"[]"), "bad_answer", True),
    "NaN": (Reply(body=b'{"choices": NaN}'), "bad_answer", True),
    "deep": (Reply(body=DEEP), "bad_answer", True),
    "empty object": (Reply(body=b"{}"), "bad_answer", True),
    "no choice": (Reply(body=b'{"choices": [], "content": [], "output": {}}'), "bad_answer", True),
    "an error with 200": (Reply(body=b'{"error": {"message": "sorry", "type": "server_error"}}'), "bad_answer", True),
    "teapot": (Reply(status=418, body=b"oops"), "bad_request", False),
    "status 599": (Reply(status=599, body=b"oops"), "server_error", False),
}
OF_ERRORS = {
    "auth": "auth", "permission": "auth", "payment": "auth", "rate_limit": "rate_limit", "quota": "rate_limit",
    "overloaded": "overloaded", "unavailable": "overloaded", "bad_gateway": "server_error", "server_error": "server_error",
    "gateway_timeout": "timeout", "bad_request": "bad_request", "unprocessable": "bad_request", "roles": "bad_request",
    "too_large": "context_too_long", "not_found": "not_found", "context_too_long": "context_too_long",
}  # fmt: skip
RECORDED, CLOSED = "recorded", "nobody at the address"
ROW = tuple[str, str, Script, str, bool]


SHORT = (
    "auth",
    "rate_limit",
    "overloaded",
    "server_error",
    "gateway_timeout",
    "not_found",
    "context_too_long",
    "well formed",
    "a tool",
)


def table(whole: bool) -> list[ROW]:
    """(provider, name, reply, kind, may cost): everything of OpenAI's, of the others what their own code reads; or everything."""
    rows: list[ROW] = []
    for provider in MODELS:
        all_of_it = whole or provider == "openai"
        rows += [(provider, name, *row) for name, row in ANSWERS.items() if all_of_it or name in SHORT]
        rows += [(provider, name, *row) for name, row in BODIES.items() if all_of_it]
        for name, kind in OF_ERRORS.items():
            if all_of_it or (name in SHORT and provider != "local"):
                rows.append((provider, name, failure(name), kind, kind == "timeout"))
    # who refuses, and how, differs from wire to wire
    filtered = failure("content_filter")
    for provider, kind in {
        "openai": "refusal",
        "local": "refusal",
        "anthropic": "refusal",
        "bedrock": "content_filter",
    }.items():
        rows.append((provider, "refusal", Reply("I cannot", finish="refusal"), kind, True))
    rows += [
        (one, "filtered", Reply("yes", finish="content_filter"), "content_filter", True)
        for one in ("openai", "bedrock")
    ]
    rows.append(("openai", "filtered question", filtered, "content_filter", False))
    rows.append(("local", CLOSED, Reply(), "connection", False))
    # OpenAI says nothing of tokens: an answer all the same
    rows.append(("openai", "no tokens", Reply("yes", tokens=None), "answer", True))
    return rows


class Case:
    """One row with what came of it."""

    def __init__(self, row: ROW, told: Mapping, asked: Sequence[Asked]) -> None:
        self.provider, self.name, self.reply, self.kind, self.cost = row
        self.told, self.asked = told, asked


def carried_out(
    rows: Sequence[ROW], models: Mapping[str, str] | None = None, cached: CacheRun | None = None
) -> tuple[list[Case], list[Asked]]:
    """Every row asked in turn by one worker; and what reached the other host to which answers send.

    `cached`: what the same worker is asked afterwards, since litellm takes seconds to import.
    """
    with ProviderServer() as server, ProviderServer() as other:
        server.script(*(_there(row[2], other.url) for row in rows if row[1] != CLOSED))
        asked = [
            question(
                row[0],
                "http://127.0.0.1:1" if row[1] == CLOSED else server.url,
                f"question {place}",
                model=(models or {}).get(row[1], ""),
                seconds=1 if row[1] in ("hang", "drip") else 10,
            )
            for place, row in enumerate(rows)
        ]
        lines = [_written(one, server.url, False) for one in asked] + (cached.lines() if cached else [])
        environment = {
            name: value for one in MODELS for name, value in (settings.llm_environment(one, False) or {}).items()
        }
        done = subprocess.run(
            [sys.executable, str(MANY)],
            input=b"\n".join(lines),
            capture_output=True,
            timeout=400,
            env={**environment, **all_keys(), "PYTHONPATH": str(settings.CHECKOUT)}
            | (cached.environment if cached else {}),
        )
        told = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(told) == len(lines), done.stderr.decode()[-2000:]
        if cached:
            cached.told, cached.errors = told[len(rows) :], done.stderr.decode()
            del told[len(rows) :]
        by_place = [[one for one in server.requests if one.turns[-1][1] == f"question {at}"] for at in range(len(rows))]
        return [Case(*each) for each in zip(rows, told, by_place, strict=True)], other.requests


def _there(reply: Script, url: str) -> Script:
    if isinstance(reply, Reply) and reply.headers.get("location") == "there":
        return Reply(status=reply.status, body=b"", headers={"location": f"{url}/v1/messages"})
    return reply


REDIRECTS: list[ROW] = [
    (provider, f"redirect {status}", Reply(status=status, headers={"location": "there"}), "bad_answer", False)
    for provider, status in zip((*MODELS, "openai", "anthropic"), (307, 307, 308, 302, 301, 303), strict=True)
]


def demand(cases: Sequence[Case]) -> None:
    """Each row's kind and cost, one POST each, with nothing in it that a model could act with."""
    wrong = []
    for case in cases:
        found = "answer" if "answer" in case.told else case.told["failure"]["kind"]
        cost = True if found == "answer" else case.told["failure"]["may_cost"]
        if (found, cost, len(case.asked)) != (case.kind, case.cost, case.name != CLOSED):
            wrong.append((case.provider, case.name, found, cost, len(case.asked), case.told))
        for one in case.asked:
            assert one.method == "POST"
            assert not {"tools", "tool_choice", "functions", "toolConfig"} & set(one.body)
            assert not one.body.get("stream")
            said = one.body["inferenceConfig"] if case.provider == "bedrock" else one.body
            assert said["temperature"] == 0
            assert said["maxTokens" if case.provider == "bedrock" else "max_tokens"] == 50
            assert one.system == "You rate."
    assert wrong == []


Carried = tuple[list[Case], list[Asked], CacheRun | None]


@pytest.fixture(scope="module")
def everything(request: pytest.FixtureRequest) -> Iterator[Carried]:
    """The short table, the recordings and the cache, where they are, carried out once."""
    told = recorded() if WIRE.exists() else []
    rows = [*table(whole=False), *REDIRECTS, *((one.provider, one.name, one.reply, RECORDED, True) for one in told)]
    models = {one.name: one.model for one in told}
    if lacking("redis"):
        yield (*carried_out(rows, models), None)
        return
    with CacheRun(request.getfixturevalue("redis")) as cached:
        yield (*carried_out(rows, models, cached), cached)


@pytest.fixture(scope="module")
def cases(everything: Carried) -> tuple[list[Case], list[Asked]]:
    """The short table."""
    return [case for case in everything[0] if case.kind != RECORDED], everything[1]


def test_every_fault_is_a_typed_failure_after_one_post(cases: tuple[list[Case], list[Asked]]) -> None:
    """F25, F29: never an exception, never a second try, kinds by class, code and status; temperature 0 and no tools."""
    assert {name for name, _ in OF_ERRORS.items()} | {"content_filter"} == set(ERRORS)
    demand(cases[0])


def test_no_redirect_is_followed(cases: tuple[list[Case], list[Asked]]) -> None:
    """S1: another host gets neither the key nor the question."""
    assert cases[1] == []


def test_an_answer_says_who_answered_at_which_cost(cases: tuple[list[Case], list[Asked]]) -> None:
    """Model, fingerprint and tokens as the provider reports them; the body as it came."""
    found = {(one.provider, one.name): one.told["answer"] for one in cases[0] if "answer" in one.told}
    for provider, model in MODELS.items():
        answer = found[provider, "well formed"]
        assert (answer["text"], answer["model"], answer["tokens_in"], answer["tokens_out"]) == (
            "yes",
            model.replace("@", "_"),
            100,
            20,
        )
        assert answer["fingerprint"] == ("fp_test" if provider in ("openai", "local") else "")
        assert "yes" in json.dumps(json.loads(answer["body"]))
    assert (found["openai", "no tokens"]["tokens_in"], found["openai", "no tokens"]["tokens_out"]) == (None, None)


def test_keys_go_to_their_provider_and_nowhere_else(cases: tuple[list[Case], list[Asked]]) -> None:
    """S2: each request holds its own key alone; no answer or failure holds one."""
    keys = all_keys()
    for case in (one for one in cases[0] if one.asked):
        assert not [key for name, key in keys.items() if name != "PATH" and key in json.dumps(case.told)]
        headers = json.dumps(dict(case.asked[0].headers))
        assert {"openai": keys["OPENAI_API_KEY"], "anthropic": keys["ANTHROPIC_API_KEY"], "bedrock": keys["AWS_SESSION_TOKEN"],
                "local": keys["MARKETBOT_LLM_LOCAL_KEY"]}[case.provider] in headers  # fmt: skip
        assert keys["AWS_SECRET_ACCESS_KEY"] not in headers


@pytest.mark.long
def test_every_fault_of_every_provider() -> None:
    """The whole table: 200 exchanges."""
    found, elsewhere = carried_out([*table(whole=True), *REDIRECTS])
    demand(found)
    assert elsewhere == []


# Recorded exchanges that end in text, by hand; the others ask for a tool, of which none was offered.
TEXTS = {
    "anthropic_native_output_decimal_strict-0": ('{"amount":12.34}', "claude-sonnet-4-5-20250929", "", 222, 10),
    "bedrock_model-0": ("Hello! How can I assist you today?", "us.amazon.nova-micro-v1:0", "", 7, 30),
    "valid_response-0": ("The capital of France is Paris.", "gpt-4o-2024-08-06", "fp_a288987b44", 14, 7),
}


@pytest.mark.shared_data
@pytest.mark.skipif(not WIRE.exists(), reason="needs ../shared/data/wire/llm beside the project")
def test_recorded_exchanges(everything: Carried) -> None:
    """Every recorded answer and error of OpenAI, Anthropic and Bedrock is an answer or a typed failure."""
    told, cases = recorded(), [case for case in everything[0] if case.kind == RECORDED]
    found = {case.name: case.told for case in cases}
    assert len(found) == 18
    assert all(len(case.asked) == 1 for case in cases)
    for name, (text, model, fingerprint, tokens_in, tokens_out) in TEXTS.items():
        answer = found[name]["answer"]
        assert answer["text"].startswith(text)
        assert (answer["model"], answer["fingerprint"]) == (model, fingerprint)
        assert (answer["tokens_in"], answer["tokens_out"]) == (tokens_in, tokens_out)
    assert (found["bedrock_error-0"]["failure"]["kind"], found["bedrock_error-0"]["failure"]["may_cost"]) == (
        "bad_request",
        False,
    )
    assert found["text_response-0"]["failure"]["kind"] == "bad_answer"
    for one in told:
        body = json.loads(one.reply.body or b"") if one.name != "text_response-0" else {}
        wants_tool = "toolUse" in json.dumps(body) or "tool_use" in json.dumps(body) or "tool_calls" in json.dumps(body)
        if one.name not in ("bedrock_error-0", "text_response-0"):
            assert ("failure" in found[one.name]) == wants_tool, one.name
            assert not wants_tool or found[one.name]["failure"]["kind"] == "bad_answer"


def test_a_second_question_is_answered_by_the_cache(redis: Redis, everything: Carried) -> None:
    """Hits cost no call and say so; failures are not kept; a silent and a dead server cost at most some seconds."""
    assert everything[2] is not None
    demand_of_cache(everything[2])
