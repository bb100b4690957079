"""The language-model port: what is asked, what comes back, and every way in which it can fail. Pure nouns and one method.

A port never raises for a model that fails: each request has an answer or a failure. Not here: the child process that calls
(`llm_worker`), the order of models, budget and record (`marketbot_assets.llm_calls`), what an answer may say (the gate).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

import rfc8785

from marketbot_resources.ledger.record import Json


class FailureKind(StrEnum):
    """Why there is no answer. Each leads to the next model of the chain and at last to the rules."""

    NO_KEY = "no_key"
    AUTH = "auth"
    RATE_LIMIT = "rate_limit"
    OVERLOADED = "overloaded"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    BAD_REQUEST = "bad_request"
    NOT_FOUND = "not_found"
    CONTEXT_TOO_LONG = "context_too_long"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"
    TRUNCATED = "truncated"
    BAD_ANSWER = "bad_answer"
    SERVER_ERROR = "server_error"
    WORKER_DIED = "worker_died"
    BUDGET = "budget"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class LlmRequest:
    """One question to one model: temperature 0, no tools, one answer as JSON of `schema`.

    `address`, `region`: where the model is, as the mandate says. `turns`: (role, text) of user and assistant in turn; a repair try
    holds the refused answer and why. `timeout_seconds` is no part of the question's identity.
    """

    provider: str
    model: str
    system: str
    turns: tuple[tuple[str, str], ...]
    schema: Mapping[str, Json]
    tokens_max: int
    address: str = ""
    region: str = ""
    seed: int = 0
    timeout_seconds: int = 60

    def canonical(self) -> bytes:
        """RFC 8785 bytes of what identifies the question; their hash is its key, the bytes are stored as evidence."""
        return bytes(
            rfc8785.dumps(
                {
                    "provider": self.provider,
                    "model": self.model,
                    "system": self.system,
                    "turns": [list(turn) for turn in self.turns],
                    "schema": dict(self.schema),
                    "tokens_max": self.tokens_max,
                    "address": self.address,
                    "region": self.region,
                    "seed": self.seed,
                    "temperature": 0,
                }
            )
        )

    @property
    def sha256(self) -> str:
        """Hash of the canonical bytes."""
        return hashlib.sha256(self.canonical()).hexdigest()


@dataclass(frozen=True, slots=True)
class LlmAnswer:
    """What a model said. `model`: as the provider names it in the answer; `fingerprint`: the provider's, else "".

    `body`: the provider's response as JSON text, without headers. Tokens as reported; None where the provider says nothing.
    """

    text: str
    model: str
    fingerprint: str
    tokens_in: int | None
    tokens_out: int | None
    body: str


@dataclass(frozen=True, slots=True)
class LlmFailure:
    """Why there is no answer, in one line without secrets. `may_cost`: whether the provider may charge for it."""

    kind: FailureKind
    reason: str
    may_cost: bool = False


class LlmPort(Protocol):
    """One call of one model in a process of its own, which has ended when this returns."""

    def ask(self, request: LlmRequest) -> LlmAnswer | LlmFailure:
        """The answer or why there is none; never raises for what a model or its provider does."""
        ...


def price(tokens_in: int, tokens_out: int, per_million_in: float, per_million_out: float) -> Decimal:
    """US dollars of one call, to 1e-6, rounded up. Prices are dollars per million tokens."""
    exact = tokens_in * Decimal(repr(per_million_in)) + tokens_out * Decimal(repr(per_million_out))
    return (exact / Decimal(1_000_000)).quantize(Decimal("0.000001"), rounding="ROUND_UP")
