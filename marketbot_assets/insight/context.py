"""From the tries of a session to its views: the newest accepted answer of each pass, else the rules. Pure.

With one pass an accepted answer is the views. With two, both must be accepted and of one version, else the rules stand in: what a
missing pass would have said is unknown. Their views are joined so that disagreement shrinks: scores are averaged, confidences are
averaged and multiplied by 1 - |a - b| / 2 (equal scores keep it, opposite extremes leave none), and what only one pass named is
left out: abstained. Not here: what an answer may say (`gate`), what views are worth (`evidence`).
"""

import datetime as dt
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from marketbot_assets.insight.gate import Rejected, Views, judge_answer
from marketbot_assets.insight.schema import LLM_CONTEXT
from marketbot_resources.mandate import Mandate
from marketbot_resources.mandate_llm import Llm

DECIMALS = 6
BEFORE_CUTOFF = "the session lies before the knowledge cut-off"
Row = Mapping[Hashable, object]


@dataclass(frozen=True, slots=True)
class _Said:
    """What one pass, or both joined, says of one subject. `rank`: 0 for what is no theme."""

    rank: int
    score: float
    confidence: float
    evidence: tuple[str, ...]


_Key = tuple[str, str]


def context_of(
    pack: pd.DataFrame,
    answers: pd.DataFrame,
    by_rules: Callable[[str], pd.DataFrame],
    session: dt.date,
    mandate: Mandate,
) -> pd.DataFrame:
    """LLM_CONTEXT rows. `by_rules`: the rules' rows with the reason why they stand in.

    The gate judges the stored answers again: what it no longer accepts is not used. Without a section llm the reason is empty.
    """
    if mandate.llm is None:
        return by_rules("")
    if answers.empty and not mandate.llm.asked_on(session):
        return by_rules(why_nobody(mandate.llm))
    passes = range(1, mandate.llm.passes + 1)
    used = [_accepted(answers, run) for run in passes]
    rows = [row for row in used if row is not None]
    if len(rows) < len(used):
        return by_rules(
            why_none([run for run, row in zip(passes, used, strict=True) if row is None], answers, len(used))
        )
    versions = sorted({version_of(row) for row in rows})
    if len(versions) > 1:
        return by_rules("the two passes were answered by different models")
    said = []
    for row in rows:
        judged = judge_answer(str(row["answer"]), pack)
        if isinstance(judged, Rejected):
            return by_rules(f"{row['provider']} {row['model']}: the stored answer is refused by {judged.layer}")
        said.append(_by_subject(judged))
    joined = said[0] if len(said) == 1 else _joined(said[0], said[1], [str(item) for item in pack["item"]])
    if not joined:
        return by_rules("the two passes agree on no view")
    return _frame(
        joined,
        source="repaired" if any(bool(row["repair"]) for row in rows) else "llm",
        version=versions[0],
        contaminated=any(is_contaminated(session, row["knowledge_cutoff"]) for row in rows),
    )


def is_contaminated(session: dt.date, knowledge_cutoff: object) -> bool:
    """Whether a model may have been trained on what happened after a session; an unknown cutoff counts as one."""
    if not isinstance(knowledge_cutoff, dt.date) or pd.isna(knowledge_cutoff):
        return True
    return session <= dt.date(knowledge_cutoff.year, knowledge_cutoff.month, knowledge_cutoff.day)


def version_of(row: Row) -> str:
    """Version of the views of an LLM_ANSWERS row: the recorded one, else provider:model@fingerprint#prompt, as it answered."""
    recorded = str(row.get("version", ""))
    return recorded or f"{row['provider']}:{row['answered_by']}@{row['fingerprint']}#{row['prompt']}"


def why_nobody(llm: Llm) -> str:
    """Why no model is asked about a session: each of the chain may know what came after it."""
    names = ", ".join(f"{model.provider} {model.model} ({model.knowledge_cutoff})" for model in llm.chain)
    return f"{BEFORE_CUTOFF} of {names}"


def why_none(missing: Sequence[int], answers: pd.DataFrame, passes: int) -> str:
    """Why passes have no accepted answer, in words: "openai gpt: timeout; local m: refused by evidence, then refused by shape"."""
    if answers.empty:
        return "no model was asked"
    parts = []
    for run in missing:
        tries = answers[answers["run"] == run].sort_values("attempt")
        told: dict[str, list[str]] = {}
        for row in tries.to_dict("records"):
            told.setdefault(f"{row['provider']} {row['model']}", []).append(_in_words(row))
        text = "; ".join(f"{name}: {', then '.join(words)}" for name, words in told.items()) or "no model was asked"
        parts.append(text if passes == 1 else f"pass {run}: {text}")
    return "; ".join(parts)


def _in_words(row: Row) -> str:
    layer = str(row["layer"]).replace("_", " ")
    return f"refused by {layer}" if row["outcome"] == "REFUSED" else layer or "unknown"


def _accepted(answers: pd.DataFrame, run: int) -> Row | None:
    """The newest accepted try of a pass."""
    rows = answers[(answers["run"] == run) & (answers["outcome"] == "ACCEPTED")].sort_values("attempt")
    return rows.to_dict("records")[-1] if len(rows) else None


def _by_subject(views: Views) -> dict[_Key, _Said]:
    said = {("THEME", t.name): _Said(t.rank, t.direction, t.confidence, t.evidence) for t in views.themes}
    said |= {("SENTIMENT", s.subject): _Said(0, s.score, s.confidence, s.evidence) for s in views.sentiments}
    risk_on = views.risk_on
    if risk_on is not None:
        said["RISK_ON", risk_on.subject] = _Said(0, risk_on.score, risk_on.confidence, risk_on.evidence)
    return said


def _joined(one: Mapping[_Key, _Said], other: Mapping[_Key, _Said], order: Sequence[str]) -> dict[_Key, _Said]:
    """What both passes name; symmetric in the passes. Themes are ranked anew by the sum of their ranks, equal ones by name."""
    place = {item: number for number, item in enumerate(order)}
    both: dict[_Key, _Said] = {}
    for key in sorted(set(one) & set(other)):
        a, b = one[key], other[key]
        agreement = 1.0 - abs(a.score - b.score) / 2.0
        evidence = tuple(sorted({*a.evidence, *b.evidence}, key=lambda item: place[item]))
        confidence = (a.confidence + b.confidence) / 2.0 * agreement
        both[key] = _Said(a.rank + b.rank, (a.score + b.score) / 2.0, confidence, evidence)
    themes = sorted((said.rank, key) for key, said in both.items() if key[0] == "THEME")
    for rank, (_, key) in enumerate(themes, start=1):
        said = both[key]
        both[key] = _Said(rank, said.score, said.confidence, said.evidence)
    return both


def _frame(said: Mapping[_Key, _Said], *, source: str, version: str, contaminated: bool) -> pd.DataFrame:
    rows = [
        {
            "kind": kind,
            "subject": subject,
            "rank": view.rank,
            "score": round(view.score, DECIMALS) + 0.0,
            "confidence": round(view.confidence, DECIMALS),
            "evidence": " ".join(view.evidence),
            "source": source,
            "version": version,
            "contaminated": contaminated,
            "reason": "",
        }
        for (kind, subject), view in sorted(said.items())
    ]
    return pd.DataFrame(rows, columns=[column.name for column in LLM_CONTEXT.columns])
