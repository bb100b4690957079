"""What came of one call of a language model: which failure an error is, what a response says. Pure; knows no litellm.

An error is judged by the class that litellm gave it and the status that was on the wire, never by its words. Not here: the call
(`llm_worker`), the wire (`llm_transport`).
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from marketbot_resources.ledger.record import Json
from marketbot_resources.llm import FailureKind, LlmAnswer, LlmFailure

REASON_MAX = 200
_NAME = re.compile(r"[^A-Za-z0-9._:/-]")

# What a status says by itself. 402: credit is used up, which a person must mend, as a refused key; 413: too large a question.
_BY_STATUS: Mapping[int, FailureKind] = {
    400: FailureKind.BAD_REQUEST,
    401: FailureKind.AUTH,
    402: FailureKind.AUTH,
    403: FailureKind.AUTH,
    404: FailureKind.NOT_FOUND,
    408: FailureKind.TIMEOUT,
    413: FailureKind.CONTEXT_TOO_LONG,
    429: FailureKind.RATE_LIMIT,
    503: FailureKind.OVERLOADED,
    504: FailureKind.TIMEOUT,
    529: FailureKind.OVERLOADED,
}
# Classes that say more than their status. Only for a refused question: litellm finds them by words, which any server may say.
_REFINED: Mapping[str, FailureKind] = {
    "ContextWindowExceededError": FailureKind.CONTEXT_TOO_LONG,
    "ContentPolicyViolationError": FailureKind.CONTENT_FILTER,
}
_REFINED_CODES: Mapping[str, FailureKind] = {
    "context_length_exceeded": FailureKind.CONTEXT_TOO_LONG,
    "content_policy_violation": FailureKind.CONTENT_FILTER,
    "content_filter": FailureKind.CONTENT_FILTER,
}
_MAY_BE_REFINED = frozenset({400, 413, 422})
# What a class says when nothing was on the wire. The first name in the error's line of classes that stands here counts.
_BY_CLASS: Mapping[str, FailureKind] = {
    "AuthenticationError": FailureKind.AUTH,
    "PermissionDeniedError": FailureKind.AUTH,
    "NotFoundError": FailureKind.NOT_FOUND,
    "ContextWindowExceededError": FailureKind.CONTEXT_TOO_LONG,
    "ContentPolicyViolationError": FailureKind.CONTENT_FILTER,
    "PaymentRequiredError": FailureKind.AUTH,
    "BadRequestError": FailureKind.BAD_REQUEST,
    "UnprocessableEntityError": FailureKind.BAD_REQUEST,
    "InvalidRequestError": FailureKind.BAD_REQUEST,
    "ModelNotMappedError": FailureKind.BAD_REQUEST,
    "RateLimitError": FailureKind.RATE_LIMIT,
    "ServiceUnavailableError": FailureKind.OVERLOADED,
    "Timeout": FailureKind.TIMEOUT,
    "APITimeoutError": FailureKind.TIMEOUT,
    "BadGatewayError": FailureKind.SERVER_ERROR,
    "InternalServerError": FailureKind.SERVER_ERROR,
    "APIResponseValidationError": FailureKind.BAD_ANSWER,
    "APIConnectionError": FailureKind.CONNECTION,
    "MemoryError": FailureKind.WORKER_DIED,
    "ImportError": FailureKind.WORKER_DIED,
}


@dataclass(frozen=True, slots=True)
class Wire:
    """What was on the wire: whether a question was sent, the status, the body of a whole good answer, the code of an error that has
    one, or what was wrong.
    """

    sent: bool = False
    status: int | None = None
    body: str | None = None
    code: str = ""
    fault: FailureKind | None = None
    why: str = ""


def failure_of(classes: Sequence[str], said: str, wire: Wire) -> LlmFailure:
    """Why there is no answer. `classes`: names of an error's class and its bases, nearest first; `said`: its words."""
    words = wire.why or said.partition("Traceback (most recent")[0]  # places in files are no evidence
    told = f"status {wire.status}: {words}" if wire.status is not None and wire.fault is None else words
    name = classes[0] if classes and not wire.why else ""
    return LlmFailure(_kind(classes, wire), one_line(f"{name} {told}".strip()), may_cost(wire))


def _kind(classes: Sequence[str], wire: Wire) -> FailureKind:
    if wire.fault is not None:
        return wire.fault
    if wire.status is None:
        return next((_BY_CLASS[name] for name in classes if name in _BY_CLASS), FailureKind.UNKNOWN)
    if wire.status in _MAY_BE_REFINED:
        named = next((_REFINED[name] for name in classes if name in _REFINED), None)
        refined = _REFINED_CODES.get(wire.code, named)
        if refined is not None:
            return refined
    return kind_of_status(wire.status)


def kind_of_status(status: int) -> FailureKind:
    """What a status says by itself; a good one with which nothing can be done, or one that sends elsewhere, is a bad answer."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if 400 <= status < 500:
        return FailureKind.BAD_REQUEST
    return FailureKind.SERVER_ERROR if 500 <= status < 600 else FailureKind.BAD_ANSWER


def may_cost(wire: Wire) -> bool:
    """Whether the provider may have done the work: the question was sent, and no status said that it was refused."""
    return wire.sent and (wire.status is None or 200 <= wire.status < 300 or wire.status in (408, 504))


def read_answer(response: Mapping[str, Json], body: str, model: str) -> LlmAnswer | LlmFailure:
    """The answer in a response. `response`: as litellm gives it, in OpenAI's shape; `body`: JSON of the provider, which says who
    answered at which cost; `model`: who was asked, where the provider does not say who answered.
    """
    try:
        choice = cast("list[dict[str, Json]]", response["choices"])[0]
        message, finish = cast("dict[str, Json]", choice["message"]), choice.get("finish_reason")
        told = cast("dict[str, Json]", json.loads(body))
        text, refusal, calls = message.get("content"), message.get("refusal"), message.get("tool_calls")
        stopped = told.get("stop_reason")  # Anthropic's own word, which litellm gives as a filter's
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError) as error:
        return _bad(FailureKind.BAD_ANSWER, f"expected an answer with one choice, found {type(error).__name__}")
    if refusal or stopped == "refusal":
        return _bad(FailureKind.REFUSAL, f"the model refused: {refusal or text or 'without a word'}")
    if finish == "content_filter":
        return _bad(FailureKind.CONTENT_FILTER, "the provider's filter stopped the answer")
    if finish == "length":
        return _bad(FailureKind.TRUNCATED, "the answer ended at its largest number of tokens")
    if calls or message.get("function_call"):
        return _bad(FailureKind.BAD_ANSWER, "the model asked for a tool, of which it has none")
    if not isinstance(text, str) or not text.strip():
        return _bad(FailureKind.BAD_ANSWER, "expected text, found none")
    if not text.isprintable() and any("\ud800" <= sign <= "\udfff" for sign in text):
        return _bad(FailureKind.BAD_ANSWER, "expected text, found half of a character")
    named = told.get("model")
    return LlmAnswer(
        text=text,
        model=_name(named if isinstance(named, str) and named else model),
        fingerprint=_name(told.get("system_fingerprint")),
        tokens_in=_tokens(told, ("prompt_tokens",), ("inputTokens",), _ANTHROPIC),
        tokens_out=_tokens(told, ("completion_tokens",), ("outputTokens",), ("output_tokens",)),
        body=body,
    )


_ANTHROPIC = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


def _bad(kind: FailureKind, reason: str) -> LlmFailure:
    return LlmFailure(kind, one_line(reason), may_cost=True)


def _name(value: Json) -> str:
    return _NAME.sub("_", value)[:120] if isinstance(value, str) else ""


def _tokens(told: Mapping[str, Json], *shapes: tuple[str, ...]) -> int | None:
    """The sum of a provider's counts; None when the first of none of the shapes is a count."""
    usage = told.get("usage")
    if not isinstance(usage, dict):
        return None
    for first, *more in shapes:
        counts = [usage.get(first), *(usage.get(name) or 0 for name in more)]
        if all(isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in counts):
            return sum(cast("list[int]", counts))
    return None


def is_strict(schema: Json) -> bool:
    """Whether a JSON schema is one that OpenAI enforces: each object is closed and demands all its properties."""
    if isinstance(schema, list):
        return all(map(is_strict, schema))
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        properties, required = schema.get("properties") or {}, schema.get("required") or []
        named = isinstance(properties, dict) and isinstance(required, list)
        if schema.get("additionalProperties") is not False or not named or set(properties) != set(map(str, required)):
            return False
    return all(map(is_strict, schema.values()))


def one_line(text: str) -> str:
    """Words of outside as they may stand in a reason: one bounded line of printable characters."""
    return "".join(sign if sign.isprintable() else "?" for sign in " ".join(text[: 4 * REASON_MAX].split()))[
        :REASON_MAX
    ]
