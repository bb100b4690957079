"""One try of one model as evidence: the body `llm_exchange/1` and the answer as it is kept, as canonical JSON, and back. Pure.

Not here: who asks (`marketbot_assets.llm_calls`), what an answer may say (`marketbot_assets.insight.gate`).
"""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal, InvalidOperation
from typing import cast

import rfc8785

from marketbot_resources.errors import ProviderError
from marketbot_resources.ledger.record import Json
from marketbot_resources.llm import FailureKind, LlmAnswer, LlmFailure, LlmRequest

EXCHANGE, REQUEST, ANSWER = "llm_exchange/1", "llm_request/1", "llm_answer/1"
TOKENS_MAX = 1_000_000_000
_ERRORS = (ValueError, TypeError, KeyError, RecursionError, InvalidOperation, rfc8785.CanonicalizationError)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One try: the question, its answer or why there is none, US dollars. Either `answer` or `failure` is None.

    `drifted`: the model behind the name is another one than before. `version_of_record`: the version whose evidence counts for
    this answer, `provider:model@fingerprint#prompt`; empty without an answer.
    """

    attempt: int
    run: int
    repair: bool
    prompt: str
    knowledge_cutoff: dt.date
    request: LlmRequest
    answer: LlmAnswer | None
    failure: LlmFailure | None
    cost_usd: Decimal
    drifted: bool = False
    version_of_record: str = ""

    def content(self) -> bytes:
        """The body, RFC 8785. Raises ProviderError for what is no plain JSON, like half of a surrogate pair."""
        failure = self.failure and {**asdict(self.failure), "kind": self.failure.kind.value}
        return _canonical(
            {
                "attempt": self.attempt,
                "run": self.run,
                "repair": self.repair,
                "prompt": self.prompt,
                "knowledge_cutoff": self.knowledge_cutoff.isoformat(),
                "drifted": self.drifted,
                "version_of_record": self.version_of_record,
                "request": json.loads(self.request.canonical()),
                "answer": None if self.answer is None else asdict(self.answer),
                "failure": failure,
                "cost_usd": f"{self.cost_usd:f}",
            }
        )


def answer_content(answer: LlmAnswer) -> bytes:
    """An answer as it is kept, RFC 8785; its hash is the answer's name. Raises ProviderError for what is no plain JSON."""
    _counted(asdict(answer))
    return _canonical(asdict(answer))


def content_sha256(content: bytes) -> str:
    """The name of a body."""
    return hashlib.sha256(content).hexdigest()


def parse_answer(content: bytes) -> LlmAnswer:
    """An answer as it was kept. Raises ProviderError for other bytes than `answer_content` makes."""
    try:
        return _answer(_plain(content))
    except _ERRORS as error:
        raise ProviderError(f"{ANSWER}: expected an answer as it was kept, found: {_said(error)}") from error


def parse_exchange(content: bytes) -> Exchange:
    """A try as it was kept. Raises ProviderError for other bytes than `Exchange.content` makes."""
    try:
        exchange = _exchange(_plain(content))
        if exchange.content() != content:
            raise ValueError("other keys, or not the canonical form")
    except _ERRORS as error:
        raise ProviderError(f"{EXCHANGE}: expected a try as it was kept, found: {_said(error)}") from error
    return exchange


def _exchange(found: Mapping[str, Json]) -> Exchange:
    answer, failure = found["answer"], found["failure"]
    if (answer is None) == (failure is None):
        raise ValueError("not exactly one of answer and failure")
    cost = Decimal(_text(found["cost_usd"]))
    if not cost.is_finite() or cost < 0:
        raise ValueError("a cost below zero")
    return Exchange(
        attempt=_count(found["attempt"]),
        run=_count(found["run"]),
        repair=_flag(found["repair"]),
        prompt=_text(found["prompt"]),
        knowledge_cutoff=dt.date.fromisoformat(_text(found["knowledge_cutoff"])),
        request=_request(_mapping(found["request"])),
        answer=None if answer is None else _answer(_mapping(answer)),
        failure=None if failure is None else _failure(_mapping(failure)),
        cost_usd=cost,
        drifted=_flag(found["drifted"]),
        version_of_record=_text(found["version_of_record"]),
    )


def _request(found: Mapping[str, Json]) -> LlmRequest:
    turns = cast("list[list[Json]]", found["turns"])
    return LlmRequest(
        provider=_text(found["provider"]),
        model=_text(found["model"]),
        system=_text(found["system"]),
        turns=tuple((_text(role), _text(said)) for role, said in turns),
        schema=_mapping(found["schema"]),
        tokens_max=_count(found["tokens_max"]),
        address=_text(found["address"]),
        region=_text(found["region"]),
        seed=int(cast("int", found["seed"])),
    )


def _answer(found: Mapping[str, Json]) -> LlmAnswer:
    names = ("text", "model", "fingerprint", "body")
    if set(found) != {*names, "tokens_in", "tokens_out"}:
        raise ValueError("other keys of an answer")
    _counted(found)
    tokens = (cast("int | None", found["tokens_in"]), cast("int | None", found["tokens_out"]))
    text, model, fingerprint, body = (_text(found[name]) for name in names)
    return LlmAnswer(text, model, fingerprint, tokens[0], tokens[1], body)


def _counted(found: Mapping[str, object]) -> None:
    for name in ("tokens_in", "tokens_out"):
        tokens = found[name]
        known = tokens is None or (isinstance(tokens, int) and not isinstance(tokens, bool))
        if not known or not 0 <= cast("int", tokens or 0) <= TOKENS_MAX:
            raise ProviderError(f"{ANSWER}: expected {name} as a count or nothing, found {str(tokens)[:40]}")


def _failure(found: Mapping[str, Json]) -> LlmFailure:
    return LlmFailure(FailureKind(_text(found["kind"])), _text(found["reason"]), _flag(found["may_cost"]))


def _canonical(value: Mapping[str, object]) -> bytes:
    try:
        return bytes(rfc8785.dumps(cast("dict[str, str]", value)))
    except _ERRORS as error:
        raise ProviderError(f"{EXCHANGE}: expected plain JSON, found: {_said(error)}") from error


def _plain(content: bytes) -> Mapping[str, Json]:
    return _mapping(json.loads(content))


def _mapping(value: object) -> Mapping[str, Json]:
    if not isinstance(value, dict):
        raise TypeError("no object")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("no flag")
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise TypeError("no count from 1")
    return value


def _said(error: BaseException) -> str:
    """One short line: never the bytes themselves."""
    return f"{type(error).__name__}: {str(error).splitlines()[0][:120] if str(error) else ''}"
