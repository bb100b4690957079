"""Which models are asked for a session's views, in which order, within which budget; every try is evidence.

A pass walks the mandate's chain until an answer is accepted: a refused answer has one repair try, then the model abstains, and a
failure goes on to the next model at once. A second pass asks the accepted model alone, since views of two models are not joined.
After a pass without an accepted answer no further one is paid for: the rules stand in. A model that may know what came after the
session is not asked (`Llm.asked_on`): its views could never count. When the time of the whole walk (`llm.seconds_max`) is over, a
try is a failure that nobody was asked for, and what remains of the chain is the same.

Not here: how a model is called (`llm_process`), budget and record of one call (`llm_desk`, `llm_budget`), what a change of model is
(`llm_versions`), what an answer may say (`insight.gate`), what becomes of views (`insight.context`).
"""

import datetime as dt
import gc
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from marketbot_assets import llm_incidents, llm_probe
from marketbot_assets.llm_desk import Asked, Keep, LlmDesk, Question, desk_of, request_of
from marketbot_assets.llm_versions import Standing, name_of, standing, version_of
from marketbot_resources.ledger.record import Json
from marketbot_resources.llm import LlmPort, LlmRequest
from marketbot_resources.llm_exchange import EXCHANGE, Exchange
from marketbot_resources.mandate_llm import Llm, LlmModel
from marketbot_resources.provider import Body, Delivery, Refusal
from marketbot_resources.store.reader import Reader
from marketbot_resources.store.scratch import rest

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_resources.store.lake import Lake

ECHO_MAX = 8000
NO_TEXT = "(no text)"
CUT = "(the rest was cut off)"


def ask_models(read: Reader, lake: "Lake", port: LlmPort, keep: Keep, *, fresh: bool = False) -> Delivery:
    """One body per try, in order; none when the mandate names no model. `keep` stores a body at once and names it by its hash.

    `fresh`: the models are asked even where their answers are on record. What was asked and answered is kept beside the tries.
    """
    llm = read.mandate().llm
    if llm is None:
        return Delivery(())
    chain = llm.asked_on(read.session)
    early = tuple(
        Refusal(one.provider, one.model, _too_early(read.session, one)) for one in llm.chain if one not in chain
    )
    if not chain:
        return Delivery((), refusals=early)
    pack = read.read("context_pack")
    if not (pack["kind"] == "SUBJECT").any():
        return Delivery((), refusals=(*early, Refusal("pack", "*", "the context pack names nothing to ask about")))
    lake.forget()
    gc.collect()
    rest()  # a model's child is the largest process beside the run
    desk = desk_of(lake.ledger, lake.objects.get_blob, keep, port, session=read.session, cutoff=read.cutoff, llm=llm)
    walk = Walk(desk, llm, pack, fresh, chain, refusals=[*early])
    for run in range(1, llm.passes + 1):
        if not walk.passes(run):
            break
    return walk.delivery()


@dataclass(slots=True)
class Walk:
    """The tries of one session, in order. `chain`: who is asked in the next pass."""

    desk: LlmDesk
    llm: Llm
    pack: "pd.DataFrame"
    fresh: bool
    chain: tuple[LlmModel, ...]
    tries: list[Exchange] = field(default_factory=list)
    kept: list[Body] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    def passes(self, run: int) -> bool:
        """Asks for one pass; whether an answer was accepted. Writes down what went wrong."""
        begun = len(self.tries)
        found = next((model for model in self.chain if self._ask(model, run)), None)
        accepted = found is not None
        self.chain = self.chain if found is None else (found,)
        for code, reason in llm_incidents.incidents_of(self.tries[begun:], accepted):
            llm_incidents.record(self.desk.ledger, self.desk.session, code, reason)
        return accepted

    def _ask(self, model: LlmModel, run: int) -> bool:
        """Whether a model's answer was accepted, after one repair try at most."""
        from marketbot_assets.insight.gate import Views, judge_answer, schema_of
        from marketbot_assets.insight.prompt import prompt_of

        prompt = prompt_of(self.pack, run, sessions=self.llm.evidence.horizon_sessions)
        tokens_max = self.llm.answer_tokens_max
        request = request_of(model, prompt.system, prompt.question, schema_of(self.pack), tokens_max)
        request = replace(request, seed=run - 1)  # a pack of one line reads the same in reverse, and is asked again
        for repair in (False, True):
            facts: dict[str, Json] = {"purpose": "views", "run": run, "repair": repair, "prompt": prompt.version}
            asked = self.desk.ask(Question(model, request, partial(judge_answer, pack=self.pack), facts, self.fresh))
            self._note(asked, run, prompt.version, repair=repair)
            if asked.answer is None or isinstance(asked.verdict, Views):
                return asked.answer is not None
            assert asked.verdict is not None, "an answer is judged"
            request = repaired(request, asked.answer.text, asked.verdict.repair)
        return False

    def _note(self, asked: Asked, run: int, prompt: str, *, repair: bool) -> None:
        model = asked.question.model
        stands = self._standing(asked)
        self.tries.append(
            Exchange(
                attempt=len(self.tries) + 1,
                run=run,
                repair=repair,
                prompt=prompt,
                knowledge_cutoff=model.knowledge_cutoff,
                request=asked.question.request,
                answer=asked.answer,
                failure=asked.failure,
                cost_usd=asked.cost,
                drifted=stands is not None and stands.drifted,
                version_of_record="" if stands is None else f"{stands.record}#{prompt}",
            )
        )
        self.kept += asked.bodies
        layer = getattr(asked.verdict, "layer", None)
        if asked.failure is not None:
            why = f"{asked.failure.kind.value}: {asked.failure.reason}"
            self.refusals.append(Refusal(model.provider, model.model, why))
        elif layer is not None:
            self.refusals.append(Refusal(model.provider, model.model, f"refused by the gate's layer {layer}"))

    def _standing(self, asked: Asked) -> Standing | None:
        """What the answer's version means; a change is told, and a probe made, when the answer was accepted."""
        from marketbot_assets.insight.gate import Views

        if asked.answer is None or asked.call is None:
            return None
        model, name = asked.question.model, name_of(asked.question.model)
        version = version_of(model, asked.answer)
        accepted = isinstance(asked.verdict, Views)
        probe = partial(llm_probe.likeness, self.desk, model, self.llm.answer_tokens_max, version) if accepted else None
        stands = standing(self.desk.ledger, name, version, asked.call, probe)
        if accepted and stands.drifted:
            reason = f"{name}: {stands.why}; its views move nothing in this session"
            llm_incidents.record(self.desk.ledger, self.desk.session, llm_incidents.MODEL_CHANGED, reason)
        return stands

    def delivery(self) -> Delivery:
        """The tries as bodies; questions and answers beside them; why each try brought nothing."""
        bodies = [
            Body(one.request.provider, f"llm:{one.request.model}", "application/json", 200, one.content(), EXCHANGE)
            for one in self.tries
        ]
        once = {body.content: body for body in self.kept}
        return Delivery(tuple(bodies), refusals=tuple(self.refusals), kept=tuple(once.values()))


def _too_early(session: dt.date, model: LlmModel) -> str:
    return f"not asked: session {session} is not after its knowledge cut-off {model.knowledge_cutoff}"


def repaired(request: LlmRequest, answer: str, repair: str) -> LlmRequest:
    """The one repair try: the same question, the refused answer as far as it is short, and what was wrong with it."""
    echo = answer if len(answer) <= ECHO_MAX else answer[:ECHO_MAX] + CUT
    return replace(request, turns=(*request.turns, ("assistant", echo if echo.strip() else NO_TEXT), ("user", repair)))
