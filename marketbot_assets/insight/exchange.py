"""The tries of a session as they were received: bodies of the form llm_exchange/1 become LLM_ANSWERS rows. Pure."""

from collections.abc import Sequence

import pandas as pd

from marketbot_assets.insight.gate import Rejected, judge_answer
from marketbot_assets.insight.schema import LLM_ANSWERS
from marketbot_resources.errors import ProviderError
from marketbot_resources.llm_exchange import Exchange, answer_content, content_sha256, parse_exchange
from marketbot_resources.mandate import Mandate


def answers_frame(exchanges: Sequence[bytes], pack: pd.DataFrame, mandate: Mandate) -> pd.DataFrame:
    """LLM_ANSWERS rows of the exchanges in their order, each judged again by the gate.

    Raises ProviderError for a body in another form, for tries that are not numbered 1, 2, ..., and for one of a model that the
    mandate does not name with this knowledge cutoff.
    """
    tries = [parse_exchange(content) for content in exchanges]
    if [one.attempt for one in tries] != list(range(1, len(tries) + 1)):
        raise ProviderError("llm_answers: expected tries numbered 1, 2, ..., found another order or a gap")
    named = {
        (model.provider, model.model, model.address, model.region, model.knowledge_cutoff)
        for model in (mandate.llm.chain if mandate.llm is not None else ())
    }
    for one in tries:
        asked = one.request
        if (asked.provider, asked.model, asked.address, asked.region, one.knowledge_cutoff) not in named:
            raise ProviderError(f"llm_answers: try {one.attempt} asks a model that the mandate does not name")
    columns = [column.name for column in LLM_ANSWERS.columns]
    return pd.DataFrame([_row(one, pack) for one in tries], columns=columns)


def _row(one: Exchange, pack: pd.DataFrame) -> dict[str, object]:
    answer, (outcome, layer, reason) = one.answer, _outcome(one, pack)
    return {
        "attempt": one.attempt,
        "run": one.run,
        "repair": one.repair,
        "provider": one.request.provider,
        "model": one.request.model,
        "knowledge_cutoff": pd.Timestamp(one.knowledge_cutoff),
        "prompt": one.prompt,
        "request_sha256": one.request.sha256,
        "answer_sha256": "" if answer is None else content_sha256(answer_content(answer)),
        "answered_by": "" if answer is None else answer.model,
        "fingerprint": "" if answer is None else answer.fingerprint,
        "version": one.version_of_record,
        "outcome": outcome,
        "layer": layer,
        "reason": reason,
        "answer": "" if answer is None else answer.text,
        "tokens_in": 0 if answer is None else answer.tokens_in or 0,
        "tokens_out": 0 if answer is None else answer.tokens_out or 0,
        "cost_usd": one.cost_usd,
        "drifted": one.drifted,
    }


def _outcome(one: Exchange, pack: pd.DataFrame) -> tuple[str, str, str]:
    """(outcome, layer, reason) of a try."""
    if one.answer is None:
        assert one.failure is not None, "a try has an answer or a failure"
        return "FAILED", one.failure.kind.value, one.failure.reason
    verdict = judge_answer(one.answer.text, pack)
    return ("REFUSED", verdict.layer, verdict.reason) if isinstance(verdict, Rejected) else ("ACCEPTED", "", "")
