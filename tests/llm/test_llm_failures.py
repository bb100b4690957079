"""What an error means and what a response says, without litellm: tables, and every shape of nonsense."""

import importlib.metadata
import json
import sysconfig
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_resources import llm_worker
from marketbot_resources.llm import FailureKind, LlmAnswer, LlmFailure
from marketbot_resources.llm_failures import (
    REASON_MAX,
    Wire,
    failure_of,
    is_strict,
    kind_of_status,
    may_cost,
    one_line,
    read_answer,
)

# By hand from RFC 9110 and the providers' lists of errors; 529 is Anthropic's for a model that is overloaded.
STATUSES = {
    200: "bad_answer", 204: "bad_answer", 301: "bad_answer", 400: "bad_request", 401: "auth", 402: "auth", 403: "auth",
    404: "not_found", 405: "bad_request", 408: "timeout", 409: "bad_request", 413: "context_too_long", 418: "bad_request",
    422: "bad_request", 424: "bad_request", 429: "rate_limit", 451: "bad_request", 500: "server_error", 501: "server_error",
    502: "server_error", 503: "overloaded", 504: "timeout", 507: "server_error", 529: "overloaded", 599: "server_error",
    600: "bad_answer", 999: "bad_answer",
}  # fmt: skip


@pytest.mark.parametrize(("status", "kind"), STATUSES.items())
def test_kind_of_a_status(status: int, kind: str) -> None:
    """Each status has one kind."""
    assert kind_of_status(status).value == kind


CONTEXT = ("ContextWindowExceededError", "BadRequestError", "Exception")


@pytest.mark.parametrize(
    ("classes", "wire", "kind"),
    [
        (CONTEXT, Wire(True, 400), "context_too_long"),
        (CONTEXT, Wire(True, 401), "auth"),  # the words of a refused key do not make it another failure
        (CONTEXT, Wire(True, 429), "rate_limit"),
        (CONTEXT, Wire(True, 500), "server_error"),
        (("ContentPolicyViolationError", "BadRequestError"), Wire(True, 400), "content_filter"),
        (("BadRequestError",), Wire(True, 400, code="context_length_exceeded"), "context_too_long"),
        (("BadRequestError",), Wire(True, 400, code="content_filter"), "content_filter"),
        (("BadRequestError",), Wire(True, 401, code="content_filter"), "auth"),
        (("BadRequestError",), Wire(True, 400, code="what else"), "bad_request"),
        (("APIConnectionError", "APIError"), Wire(True, 200), "bad_answer"),
        (("APIConnectionError", "APIError"), Wire(True, 529), "overloaded"),
        (("APIConnectionError", "APIError"), Wire(), "connection"),
        (("Timeout", "APITimeoutError", "APIConnectionError"), Wire(), "timeout"),
        (("CallerCredentialAuthenticationError", "AuthenticationError"), Wire(), "auth"),
        (("UnsupportedParamsError", "BadRequestError"), Wire(), "bad_request"),
        (("ModuleNotFoundError", "ImportError", "Exception"), Wire(), "worker_died"),
        (("MemoryError", "Exception"), Wire(), "worker_died"),
        (("KeyError", "LookupError", "Exception"), Wire(), "unknown"),
        ((), Wire(), "unknown"),
        (("Timeout",), Wire(True, 401, fault=FailureKind.CONNECTION, why="it broke off"), "connection"),
    ],
)
def test_kind_of_an_error(classes: tuple[str, ...], wire: Wire, kind: str) -> None:
    """The wire before the class, the class only where the status leaves it open, never the words."""
    for said in ("", "rate limit exceeded, context length exceeded, content policy"):
        assert failure_of(classes, said, wire).kind.value == kind


@pytest.mark.parametrize(
    ("wire", "costs"),
    [
        (Wire(), False),
        (Wire(True), True),
        (Wire(True, 200), True),
        (Wire(True, 504), True),
        (Wire(True, 408), True),
        (Wire(True, 302), False),
        (Wire(True, 400), False),
        (Wire(True, 429), False),
        (Wire(True, 500), False),
        (Wire(fault=FailureKind.TIMEOUT), False),
        (Wire(True, fault=FailureKind.TIMEOUT), True),
    ],
)
def test_what_may_cost(wire: Wire, costs: bool) -> None:
    """Sent and not refused: the budget takes it for spent."""
    assert may_cost(wire) is costs


@settings(max_examples=50)
@given(st.text(), st.lists(st.text(max_size=30), max_size=3), st.one_of(st.none(), st.integers(100, 999)))
def test_a_reason_is_one_bounded_printable_line(said: str, classes: list[str], status: int | None) -> None:
    """No line break, control or bidi sign of a provider reaches a page or a log."""
    found = failure_of(classes, said, Wire(status is not None, status))
    assert len(found.reason) <= REASON_MAX
    assert found.reason.isprintable()
    assert one_line(found.reason) == found.reason


GOOD = {"choices": [{"finish_reason": "stop", "message": {"content": "yes", "role": "assistant"}}]}
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=8,
)


@given(st.sampled_from(["choices", "finish_reason", "message", "content", "refusal", "tool_calls"]), values, values)
def test_any_response_is_an_answer_or_a_failure(name: str, value: object, usage: object) -> None:
    """Whatever stands where: never an exception, and an answer only with text that can be written and counts that are counts."""
    choice: dict = {**GOOD["choices"][0]}
    if name in ("content", "refusal", "tool_calls"):
        choice["message"] = {**choice["message"], name: value}
    else:
        choice[name] = value
    response = {"choices": value if name == "choices" else [choice]}
    found = read_answer(response, json.dumps({"usage": usage, "model": value, "system_fingerprint": usage}), "asked")  # type: ignore[arg-type]
    if isinstance(found, LlmFailure):
        assert found.may_cost
        return
    assert found.text.strip()
    assert found.text.encode()
    assert found.model
    assert all(count is None or (type(count) is int and count >= 0) for count in (found.tokens_in, found.tokens_out))
    assert not set("@# \n") & set(found.model + found.fingerprint)


@pytest.mark.parametrize("body", ["", "[]", "null", "3", "{", "[" * 100_000])
def test_a_body_that_is_no_object(body: str) -> None:
    """Without a body that says who answered there is no answer."""
    found = read_answer(GOOD, body, "asked")  # type: ignore[arg-type]
    assert isinstance(found, LlmFailure)
    assert found.kind is FailureKind.BAD_ANSWER


def test_tokens_of_anthropic_count_what_its_cache_served() -> None:
    """All input is paid for, each part at its price; the sum is the upper bound."""
    usage = {"input_tokens": 3, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 7, "output_tokens": 2}
    found = read_answer(GOOD, json.dumps({"usage": usage}), "asked")  # type: ignore[arg-type]
    assert isinstance(found, LlmAnswer)
    assert (found.tokens_in, found.tokens_out, found.model) == (15, 2, "asked")


OPEN = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
CLOSED = {**OPEN, "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (CLOSED, True),
        (OPEN, False),
        ({**CLOSED, "required": []}, False),
        ({**CLOSED, "additionalProperties": {"type": "string"}}, False),
        ({**CLOSED, "properties": {"a": OPEN}}, False),
        ({**CLOSED, "properties": {"a": {"type": "array", "items": CLOSED}}}, True),
        ({**CLOSED, "properties": {"a": {"anyOf": [CLOSED, OPEN]}}}, False),
    ],
)
def test_what_openai_can_enforce(schema: dict, strict: bool) -> None:
    """A schema is sent as strict only where OpenAI takes it so: every object closed, every property demanded."""
    assert is_strict(schema) is strict


ROOT = Path(__file__).parents[2]
# Files that Python runs at every start. Two releases of litellm stole credentials by one of their own (2026-03).
START_FILES = {"__editable__.marketbot-0.1.0.pth", "coloredlogs.pth", "distutils-precedence.pth", "_virtualenv.pth",
               "a1_coverage.pth"}  # fmt: skip


def test_nothing_unexpected_runs_at_the_start_of_python() -> None:
    """S6: the installed packages bring no start file that nobody has looked at."""
    folders = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    found = {path.name for folder in folders for path in Path(folder).glob("*.pth")}
    assert found <= START_FILES


def test_litellm_is_the_pinned_release() -> None:
    """S6: one exact release in the project, the lock, the worker and the environment, none of the two that stole."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["optional-dependencies"]["llm"] == [f"litellm=={llm_worker.PINNED}"]
    locked = [
        line
        for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
        if line.startswith("litellm==")
    ]
    assert [line.split()[0] for line in locked] == [f"litellm=={llm_worker.PINNED}"]
    assert importlib.metadata.version("litellm") == llm_worker.PINNED
    assert llm_worker.PINNED not in ("1.82.7", "1.82.8")


def test_another_release_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """S6: the worker refuses a release that nobody chose, before it is imported."""
    monkeypatch.setattr(llm_worker, "version", lambda name: "1.82.8")
    call = llm_worker.Call("openai", "m", "", [], {}, 1, "", "", 0, 1, "", "", False)
    found = llm_worker.answer(call)
    assert isinstance(found, LlmFailure)
    assert (found.kind, found.reason) == (
        FailureKind.WORKER_DIED,
        f"expected litellm {llm_worker.PINNED}, found 1.82.8",
    )
