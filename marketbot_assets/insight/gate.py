"""What an answer of a language model may say: layers of checks, each refusing the whole answer. Pure. Named result types.

Not here: what the model may know (`context_pack`), how it is asked (`prompt`), who asks (`llm_calls`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from marketbot_assets.insight.gate_draft import Draft, drafted
from marketbot_assets.insight.gate_pack import Known, known_of
from marketbot_assets.insight.gate_rules import (
    out_of_quantity,
    out_of_range,
    repeated,
    too_few_publishers,
    unknown_names,
    without_evidence,
    wrong_numbers,
)
from marketbot_assets.insight.gate_schema import answer_schema
from marketbot_assets.insight.gate_text import Json, foreign_characters, parsed, too_large


@dataclass(frozen=True, slots=True)
class Theme:
    """One theme: rank 1 is the first; direction in [-1, 1]; confidence in [0, 1]; ids of items of the pack."""

    name: str
    rank: int
    direction: float
    confidence: float
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sentiment:
    """What is said of one sector, country or instrument: score in [-1, 1], confidence in [0, 1], ids of items of the pack."""

    subject: str
    score: float
    confidence: float
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Views:
    """An accepted answer. A subject without a sentiment is one on which the model abstained. `risk_on`: None when it abstained."""

    themes: tuple[Theme, ...]
    sentiments: tuple[Sentiment, ...]
    risk_on: Sentiment | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A refused answer: the layer that refused, why in one line, and what a repair try is told (no text of the answer)."""

    layer: str
    reason: str
    repair: str


RULES: Mapping[str, str] = {
    "size": "An answer has at most 65536 bytes.",
    "text": "An answer is plain ASCII: names and ids exactly as the pack writes them.",
    "json": "An answer is one JSON document and nothing else: no code fence, no text around it, no key twice, no NaN.",
    "shape": "An answer has exactly the keys and types of the schema; numbers are JSON numbers, ranks are integers.",
    "quantity": "At least one view, each with 1 to 8 items of evidence; at most 6 themes and 40 quotes.",
    "ranges": "Directions and scores lie in [-1, 1], confidences in [0, 1], ranks count from 1.",
    "names": "Themes are those of the closed list, subjects those of the pack. Leave out what is not there.",
    "uniqueness": "Every theme, subject and item occurs once; ranks are 1, 2, ... without a gap.",
    "evidence": "Evidence names ids of facts, macro releases or headlines; one at least is about the subject, its sector, country "
    "or the market.",
    "numbers": "A quoted value is the number that its item states; leave out a quote when in doubt.",
    "publishers": "A score beyond 0.5 needs a fact about the subject or headlines about it of two publishers; else stay within.",
    "gate": "An answer is one JSON document of the schema.",
}
Layer = Callable[[Draft, Known], list[str]]
LAYERS: tuple[tuple[str, Layer], ...] = (
    ("quantity", out_of_quantity),
    ("ranges", out_of_range),
    ("names", unknown_names),
    ("uniqueness", repeated),
    ("evidence", without_evidence),
    ("numbers", wrong_numbers),
    ("publishers", too_few_publishers),
)
FAULTS_SHOWN = 5


def judge_answer(text: str, pack: pd.DataFrame) -> Views | Rejected:
    """The views of an answer, or why it is refused. Never raises, whatever the text."""
    return judge_known(text, known_of(pack))


def judge_known(text: str, known: Known) -> Views | Rejected:
    """`judge_answer` over an index made before. The net is for our own faults: what the gate cannot judge is refused."""
    try:
        return _judged(text, known)
    except Exception as error:
        return _rejected("gate", [f"the gate could not judge it: {type(error).__name__}"])


def schema_of(pack: pd.DataFrame) -> Mapping[str, Json]:
    """The strict JSON schema of an answer, with the pack's subjects and items as enums."""
    return answer_schema(known_of(pack))


def _judged(text: str, known: Known) -> Views | Rejected:
    for name, faults in (("size", too_large), ("text", foreign_characters)):
        if wrong := faults(text):
            return _rejected(name, wrong)
    document, wrong = parsed(text)
    if wrong:
        return _rejected("json", wrong)
    draft, wrong = drafted(document)
    if wrong:
        return _rejected("shape", wrong)
    for name, layer in LAYERS:
        if wrong := layer(draft, known):
            return _rejected(name, wrong)
    return _views(draft)


def _rejected(layer: str, faults: list[str]) -> Rejected:
    more = len(faults) - FAULTS_SHOWN
    reason = "; ".join(faults[:FAULTS_SHOWN]) + (f"; and {more} more" if more > 0 else "")
    return Rejected(
        layer, reason, f"The answer was refused: {reason}. {RULES[layer]} Answer again with the whole JSON document."
    )


def _views(draft: Draft) -> Views:
    """Themes by rank, sentiments by subject; -0 becomes 0."""
    themes = [
        Theme(view.name, view.rank, float(view.score) + 0.0, float(view.confidence) + 0.0, view.evidence)
        for view in sorted(draft.views, key=lambda view: view.rank)
        if view.kind == "THEME"
    ]
    others = {
        kind: [
            Sentiment(view.name, float(view.score) + 0.0, float(view.confidence) + 0.0, view.evidence)
            for view in sorted(draft.views, key=lambda view: view.name)
            if view.kind == kind
        ]
        for kind in ("SENTIMENT", "RISK_ON")
    }
    return Views(tuple(themes), tuple(others["SENTIMENT"]), next(iter(others["RISK_ON"]), None))
