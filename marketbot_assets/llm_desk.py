"""One question to one model: served from the record, or reserved, asked, kept and recorded, in this order.

A question whose hash has an answer in the ledger is never asked twice: the answer is read from the store, by its hash, free. So a
run that was killed goes on with the answers that it has paid for, and a session that runs again says the same. What kills between
reservation and call costs the worst case; between the kept answer and its entry, too: such an answer is not known and asked for
again. Failures are never served again. All questions of one desk have one bound of time: what is over when a question comes is not
asked, and no call gets more than what is left. Time is the machine's own here, which no table ever sees. Not here: what is asked,
in which order (`llm_calls`, `llm_probe`).
"""

import datetime as dt
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from marketbot_assets.llm_budget import CALL, Budget, call_key, cost_of, worst_case
from marketbot_resources.errors import ProviderError, StoreError
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Entry, Json
from marketbot_resources.llm import FailureKind, LlmAnswer, LlmFailure, LlmPort, LlmRequest
from marketbot_resources.llm_exchange import ANSWER, REQUEST, answer_content, content_sha256, parse_answer
from marketbot_resources.mandate_llm import Llm, LlmModel
from marketbot_resources.provider import Body
from marketbot_resources.redaction import redactor

if TYPE_CHECKING:
    from marketbot_assets.insight.gate import Rejected, Views

Keep = Callable[[Body], str]
NOTHING = Decimal("0.000000")
REASON_MAX = 300
SECONDS_MIN = 0.5


@dataclass(frozen=True, slots=True)
class Question:
    """A request and what it is for. `fresh`: ask the model even where an answer is on record. `facts` go into the ledger."""

    model: LlmModel
    request: LlmRequest
    judge: "Callable[[str], Views | Rejected]"
    facts: dict[str, Json]
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of a question. `call`: its entry `llm_call`, None when the budget refused it; `bodies`: what was kept of it."""

    question: Question
    answer: LlmAnswer | None
    failure: LlmFailure | None
    verdict: "Views | Rejected | None"
    cost: Decimal
    call: Entry | None
    bodies: tuple[Body, ...]


@dataclass(frozen=True, slots=True)
class LlmDesk:
    """The ports that asking needs. `blob` reads a body by its hash or raises StoreError; `keep` keeps one.

    `until`: when its time is over, by the machine's steady clock in seconds; `seconds_max`: how long it had, for the reason.
    """

    ledger: Ledger
    blob: Callable[[str], bytes]
    keep: Keep
    port: LlmPort
    session: dt.date
    day: dt.date
    usd_per_day: Decimal
    seconds_max: float
    until: float

    @property
    def budget(self) -> Budget:
        """The budget of the day."""
        return Budget(self.ledger, self.day, self.usd_per_day)

    def ask(self, question: Question) -> Asked:
        """The answer or why there is none; never raises for what a model or its provider does."""
        known = None if question.fresh else self._on_record(question)
        if known is not None:
            return known
        request, model = question.request, question.model
        left = self.until - time.monotonic()
        if not left >= SECONDS_MIN:  # also what is no number
            why = f"not asked: the {self.seconds_max:g} s of llm.seconds_max are over"
            return Asked(question, None, LlmFailure(FailureKind.TIMEOUT, why), None, NOTHING, None, ())
        request = replace(request, timeout_seconds=max(1, int(min(request.timeout_seconds, left))))
        worst = worst_case(request, model)
        facts: dict[str, Json] = {
            **question.facts,
            "session": self.session.isoformat(),
            "request_sha256": request.sha256,
            "provider": model.provider,
            "model": model.model,
            "address": model.address,
        }
        body = _body(model, request.canonical(), REQUEST)
        self.keep(body)
        reserved = self.budget.reserve(worst, facts)
        if reserved is None:
            spent = self.budget.spent()
            why = (
                f"usd_per_day {self.usd_per_day}: {spent.total} are spent or reserved, this question could cost {worst}"
            )
            return Asked(question, None, LlmFailure(FailureKind.BUDGET, why), None, NOTHING, None, (body,))
        answer, failure = self._called(request)
        kept: tuple[Body, ...] = (body,)
        if answer is not None:
            answer, failure, kept = self._kept(question, answer, kept)
        cost = NOTHING if failure is None or not failure.may_cost else worst
        cost = cost if answer is None else cost_of(answer, request, model)
        verdict = None if answer is None else question.judge(answer.text)
        told = self._facts(answer, failure, verdict)
        key = call_key(request.sha256, reserved)
        self.ledger.append(CALL, key, {**facts, **told, "cost_usd": f"{cost:f}"})
        return Asked(question, answer, failure, verdict, cost, self.ledger.get(CALL, key), kept)

    def _on_record(self, question: Question) -> Asked | None:
        """The newest answer on record whose body is whole."""
        for entry in reversed(self.ledger.entries(CALL, f"{question.request.sha256}/")):
            name = str(entry.body["answer_sha256"])
            if not name:
                continue
            try:
                content = self.blob(name)
                answer = parse_answer(content)
            except (StoreError, ProviderError):
                continue
            own = entry.body["session"] == self.session.isoformat()
            cost = Decimal(str(entry.body["cost_usd"])) if own else NOTHING
            bodies = (
                _body(question.model, question.request.canonical(), REQUEST),
                _body(question.model, content, ANSWER),
            )
            return Asked(question, answer, None, question.judge(answer.text), cost, entry, bodies)
        return None

    def _called(self, request: LlmRequest) -> tuple[LlmAnswer | None, LlmFailure | None]:
        try:
            found = self.port.ask(request)
        except Exception as error:
            return None, LlmFailure(FailureKind.UNKNOWN, f"the port raised {type(error).__name__}", may_cost=True)
        if isinstance(found, LlmAnswer):
            return found, None
        reason = " ".join(redactor().text(found.reason).split())[:REASON_MAX]
        return None, LlmFailure(found.kind, _plain(reason), found.may_cost)

    def _kept(
        self, question: Question, answer: LlmAnswer, kept: tuple[Body, ...]
    ) -> tuple[LlmAnswer | None, LlmFailure | None, tuple[Body, ...]]:
        """The answer once it is durable; what cannot or may not be kept is no answer."""
        try:
            body = _body(question.model, answer_content(answer), ANSWER)
            name = self.keep(body)
        except ProviderError as error:
            why = f"it may not be kept: {_plain(redactor().text(str(error)))}"
            return None, LlmFailure(FailureKind.BAD_ANSWER, why[:REASON_MAX], may_cost=True), kept
        assert name == content_sha256(body.content), "the store names bodies by their hash"
        return answer, None, (*kept, body)

    def _facts(
        self, answer: LlmAnswer | None, failure: LlmFailure | None, verdict: "Views | Rejected | None"
    ) -> dict[str, Json]:
        refused = getattr(verdict, "layer", None)
        outcome = "FAILED" if answer is None else "ACCEPTED" if refused is None else "REFUSED"
        return {
            "outcome": outcome,
            "layer": failure.kind.value if failure else refused or "",
            "reason": failure.reason if failure else "",
            "answer_sha256": content_sha256(answer_content(answer)) if answer else "",
            "tokens_in": answer.tokens_in if answer else None,
            "tokens_out": answer.tokens_out if answer else None,
        }


def _body(model: LlmModel, content: bytes, parser: str) -> Body:
    return Body(model.provider, f"llm:{model.provider}/{model.model}", "application/json", 200, content, parser)


def _plain(text: str) -> str:
    """Without halves of surrogate pairs, which no ledger takes."""
    return text.encode("utf-8", "replace").decode("utf-8")


def desk_of(
    ledger: Ledger,
    blob: Callable[[str], bytes],
    keep: Keep,
    port: LlmPort,
    *,
    session: dt.date,
    cutoff: dt.datetime,
    llm: Llm,
    bounded: bool = True,
) -> LlmDesk:
    """A desk for a session: its budget is that of the UTC day of its cutoff, its time begins now; endless without `bounded`."""
    day, seconds = cutoff.astimezone(dt.UTC).date(), float(llm.seconds_max) if bounded else math.inf
    until = time.monotonic() + seconds
    return LlmDesk(ledger, blob, keep, port, session, day, Decimal(repr(llm.usd_per_day)), seconds, until)


def request_of(
    model: LlmModel, system: str, question: str, schema: Mapping[str, Json], answer_tokens_max: int
) -> LlmRequest:
    """The first question to a model of the mandate's chain."""
    return LlmRequest(
        provider=model.provider,
        model=model.model,
        system=system,
        turns=(("user", question),),
        schema=schema,
        tokens_max=answer_tokens_max,
        address=model.address,
        region=model.region,
        timeout_seconds=model.timeout_seconds,
    )
