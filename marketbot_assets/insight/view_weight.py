"""How much of a session's views a forecast takes: what they have earned, and everything that takes it away again. Pure.

Not here: what views have been worth (`evidence`), one view per name (`name_views`), the cap on what they move (`portfolio`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from marketbot_assets.insight.evidence import Worth, worth
from marketbot_assets.insight.name_views import name_views, origin_of
from marketbot_assets.normalization.window import Floats
from marketbot_resources.mandate import Mandate

ACCEPTED, REFUSED = "ACCEPTED", "REFUSED"
NO_MODEL = "the mandate names no language model"


@dataclass(frozen=True, slots=True)
class ViewWeight:
    """What the views of a session count. `weight` in [0, 1]; `reason`: why, in words; `worth`: None without a model's views.

    `answers`, `refused`: answers of models in this run, and those that the gate refused.
    """

    weight: float
    reason: str
    version: str = ""
    worth: Worth | None = None
    answers: int = 0
    refused: int = 0

    def facts(self) -> dict[str, str | int | float]:
        """What manifest and asset page say of it."""
        return {
            "llm_weight": self.weight,
            "llm_weight_reason": self.reason,
            "llm_version": self.version,
            "llm_answers": self.answers,
            "llm_refused": self.refused,
        }


@dataclass(frozen=True, slots=True)
class Leaning:
    """What views say and add, by name. `view`: instrument -> view in [-1, 1], no entry: abstained; `per_year`: what a view of 1
    adds to an expected return, fraction per year.
    """

    view: Mapping[str, float]
    per_year: float

    def views_of(self, instruments: Sequence[str]) -> Floats:
        """(n,) views; NaN for a name on which the model abstained."""
        return np.array([self.view.get(name, math.nan) for name in instruments], dtype=float)

    def tilt_of(self, instruments: Sequence[str]) -> Floats:
        """(n,) what they add per year; 0 where the model abstained."""
        views = self.views_of(instruments)
        clipped = np.where(np.isfinite(views), np.clip(views, -1.0, 1.0), 0.0)
        return np.asarray(self.per_year * clipped + 0.0)  # + 0.0: no negative zero in a table


NO_LEANING = Leaning({}, 0.0)


def counted(answers: pd.DataFrame) -> tuple[int, int]:
    """(answers of models, those that the gate refused) of LLM_ANSWERS rows; a try without an answer is none."""
    refused = int((answers["outcome"] == REFUSED).sum())
    return refused + int((answers["outcome"] == ACCEPTED).sum()), refused


def view_weight(context: pd.DataFrame, answers: pd.DataFrame, evidence: pd.DataFrame, mandate: Mandate) -> ViewWeight:
    """The weight of a session's views, zero unless everything speaks for it: LLM_CONTEXT, LLM_ANSWERS, LLM_EVIDENCE rows.

    Zero when: no model is named, rules made the views, the model may have known the outcome, it is not the one that earned the
    evidence, the gate refused more of this run's answers than RC-89 allows, or the evidence is not enough.
    """
    if mandate.llm is None:
        return ViewWeight(0.0, NO_MODEL)
    origin, (heard, refused) = origin_of(context), counted(answers)
    if origin.by_rules:
        return ViewWeight(0.0, "the views are those of rules", origin.version, None, heard, refused)
    shown = worth(evidence, origin.version, mandate.llm.evidence)
    share, limit = refused / heard if heard else math.nan, mandate.limits.drift.llm_refused
    accepted = answers[answers["outcome"] == ACCEPTED]
    against = (
        (origin.contaminated, "contaminated: the model may know what happened after this session"),
        (bool(accepted["drifted"].any()), "the model behind the name is not the one that earned the evidence"),
        (
            not (math.isfinite(share) and share <= limit),
            f"RC-89: the gate refused {refused} of {heard} answers, more than {limit:g} of them"
            if heard
            else "RC-89: views without an answer that they come from",
        ),
    )
    told = [reason for stands, reason in against if stands]
    weight = shown.weight if not told and math.isfinite(shown.weight) else 0.0
    return ViewWeight(
        min(max(weight, 0.0), 1.0), "; ".join(told) or shown.reason, origin.version, shown, heard, refused
    )


def leaning_of(weighed: ViewWeight, context: pd.DataFrame, instruments: pd.DataFrame, mandate: Mandate) -> Leaning:
    """What the views say of each name and add to its expected return. Views of rules are no model's: nothing is said."""
    if mandate.llm is None or weighed.worth is None:
        return NO_LEANING
    views = name_views(context, instruments)
    pairs = zip(views.instruments, views.view.tolist(), strict=True)
    said = {name: view for name, view in pairs if math.isfinite(view)}
    return Leaning(said, weighed.weight * mandate.llm.tilt_max_per_year)
