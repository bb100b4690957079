"""What an answer of a language model may say: layers of checks, each refusing the whole answer. Pure. Named result types.

Not here: what the model may know (`context_pack`), how it is asked (`prompt`), who asks (`llm_calls`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd


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


def judge_answer(text: str, pack: pd.DataFrame) -> Views | Rejected:
    """The views of an answer, or why it is refused. Never raises, whatever the text."""
    return Rejected("not built", "no answer is read yet", "")


def schema_of(pack: pd.DataFrame) -> Mapping[str, object]:
    """The strict JSON schema of an answer, with the pack's subjects and items as enums."""
    return {}
