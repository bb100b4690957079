"""Incidents of language models: entries `llm_incident` SESSION/CODE/n, from which alerts are sent. The same is said once a session.

Codes: LLM_PROVIDER no model answered; LLM_REFUSED models answered and the gate refused them all; LLM_BUDGET the day's budget did
not pay for a question; LLM_MODEL_CHANGED another model answers under the name of one that earned evidence; LLM_WORKER the process
that calls a model died.
"""

import datetime as dt
from collections.abc import Sequence

from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Entry
from marketbot_resources.llm import FailureKind
from marketbot_resources.llm_exchange import Exchange

KIND = "llm_incident"
PROVIDER, REFUSED, BUDGET = "LLM_PROVIDER", "LLM_REFUSED", "LLM_BUDGET"
MODEL_CHANGED, WORKER = "LLM_MODEL_CHANGED", "LLM_WORKER"
CODES = (PROVIDER, REFUSED, BUDGET, MODEL_CHANGED, WORKER)
REASON_MAX = 1000


def record(ledger: Ledger, session: dt.date, code: str, reason: str) -> Entry | None:
    """Records an incident; None when the session has said so before."""
    prefix, text = f"{session.isoformat()}/{code}/", reason[:REASON_MAX]
    said = ledger.entries(KIND, prefix)
    if any(entry.body["reason"] == text for entry in said):
        return None
    key = f"{prefix}{len(said) + 1}"
    ledger.append(KIND, key, {"session": session.isoformat(), "code": code, "reason": text})
    return ledger.get(KIND, key)


def incidents_of(tries: Sequence[Exchange], accepted: bool) -> list[tuple[str, str]]:
    """(code, reason) of what went wrong in one pass. `accepted`: whether one of its tries was."""
    found = [(code, _said(tries, kind)) for code, kind in _KINDS if _failed(tries, kind)]
    if accepted:
        return found
    answered = [one for one in tries if one.answer is not None]
    if answered:
        names = ", ".join(dict.fromkeys(_name(one) for one in answered))
        return [*found, (REFUSED, f"the gate refused every answer of {names}; the rules stand in")]
    if all(one.failure is not None and one.failure.kind is FailureKind.BUDGET for one in tries):
        return found
    why = "; ".join(f"{_name(one)}: {one.failure.kind.value}" for one in tries if one.failure is not None)
    return [*found, (PROVIDER, f"no model answered ({why}); the rules stand in")]


_KINDS = ((BUDGET, FailureKind.BUDGET), (WORKER, FailureKind.WORKER_DIED))


def _failed(tries: Sequence[Exchange], kind: FailureKind) -> list[Exchange]:
    return [one for one in tries if one.failure is not None and one.failure.kind is kind]


def _said(tries: Sequence[Exchange], kind: FailureKind) -> str:
    return "; ".join(f"{_name(one)}: {one.failure.reason}" for one in _failed(tries, kind) if one.failure is not None)


def _name(one: Exchange) -> str:
    return f"{one.request.provider} {one.request.model}"
