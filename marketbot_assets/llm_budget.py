"""What language models may cost on a day, as entries of the ledger: nothing is asked that the day could not pay for.

A reservation is the entry `llm_reserved` DAY/n with what the question may cost at most, n = 1, 2, ... without a gap; the call it
was for is `llm_call` REQUEST/DAY/n with what it did cost. A reservation without its call counts in full: a killed process has spent
what it may have spent. Two processes that reserve at once want the same n: the ledger takes one, the other looks again. So no sum
of reservations ever passes the budget, with any number of processes and without a lock. Not here: what is asked (`llm_desk`).
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from marketbot_resources.errors import Equivocation, LedgerError
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Json
from marketbot_resources.llm import LlmAnswer, LlmRequest, price
from marketbot_resources.mandate_llm import LlmModel

RESERVED, CALL = "llm_reserved", "llm_call"
TURN_TOKENS = 16
TRIES_MAX = 100
_LETTERS_PER_TOKEN = 2


@dataclass(frozen=True, slots=True)
class Spent:
    """US dollars of a day: of calls that ended, and of reservations without a call."""

    calls: Decimal
    open: Decimal

    @property
    def total(self) -> Decimal:
        """What the day has used up."""
        return self.calls + self.open


@dataclass(frozen=True, slots=True)
class Budget:
    """The budget of one day. `usd` as the mandate says."""

    ledger: Ledger
    day: dt.date
    usd: Decimal

    def spent(self) -> Spent:
        """What the day has used up so far."""
        return self._sum()[0]

    def reserve(self, worst: Decimal, facts: Mapping[str, Json]) -> str | None:
        """The reservation's key, or None when the day cannot pay for the worst case. `facts` name the request.

        Raises LedgerError when other processes took every number that it tried.
        """
        for _ in range(TRIES_MAX):
            spent, count = self._sum()
            if not worst.is_finite() or spent.total + worst > self.usd:
                return None
            key = f"{self.day.isoformat()}/{count + 1}"
            try:
                if self.ledger.append(RESERVED, key, {**facts, "worst_usd": f"{worst:f}"}).added:
                    return key
            except Equivocation:
                continue
        raise LedgerError(
            f"budget of {self.day}: {TRIES_MAX} reservations were overtaken; is another run asking models?"
        )

    def _sum(self) -> tuple[Spent, int]:
        calls = waiting = Decimal(0)
        reserved = self.ledger.entries(RESERVED, f"{self.day.isoformat()}/")
        for entry in reserved:
            ended = self.ledger.get(CALL, call_key(str(entry.body["request_sha256"]), entry.key))
            calls += Decimal(0) if ended is None else Decimal(str(ended.body["cost_usd"]))
            waiting += Decimal(str(entry.body["worst_usd"])) if ended is None else Decimal(0)
        return Spent(calls, waiting), len(reserved)


def call_key(request_sha256: str, reservation: str) -> str:
    """The key of the call that a reservation is for: all calls of a request stand under one prefix."""
    return f"{request_sha256}/{reservation}"


def tokens_at_most(request: LlmRequest) -> int:
    """A high count of the question's tokens: the schema counts, too, since providers put it into the prompt.

    Tokenizers cut text into pieces of bytes: English letters come at about four a token, here two; digits, signs and every byte
    outside of ASCII count one each, as the finest ones cut them. It is an estimate for what is written by people: a provider that
    reports more is charged by its report, which the next reservation of the day sees.
    """
    data = request.canonical()
    letters = sum(1 for byte in data if byte < 128 and (chr(byte).isalpha() or byte == 32))
    return -(-letters // _LETTERS_PER_TOKEN) + len(data) - letters + TURN_TOKENS * (1 + len(request.turns))


def worst_case(request: LlmRequest, model: LlmModel) -> Decimal:
    """US dollars of a question at most, with the longest answer that it allows."""
    tokens = (tokens_at_most(request), request.tokens_max)
    return price(*tokens, model.usd_per_million_input, model.usd_per_million_output)


def cost_of(answer: LlmAnswer, request: LlmRequest, model: LlmModel) -> Decimal:
    """US dollars of an answer; tokens that the provider does not report, or reports as none, cost the worst case."""
    tokens_in = answer.tokens_in or tokens_at_most(request)
    tokens_out = answer.tokens_out or (request.tokens_max if answer.text else 0)
    return price(tokens_in, tokens_out, model.usd_per_million_input, model.usd_per_million_output)
