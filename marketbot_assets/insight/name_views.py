"""From the views of a session to one view per instrument: its own, its sector's and its country's in one number. Pure.

Themes and the risk-on score are shown, they say nothing of a name. Not here: what views have been worth (`evidence`), how much
of them a forecast takes (`view_weight`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from marketbot_assets.normalization.window import Floats

LEVELS: Mapping[str, float] = {"instrument": 1.0, "sector": 0.5, "country": 0.25}
RULES = "fallback"


@dataclass(frozen=True, slots=True)
class NameViews:
    """Views of n instruments, in the order of `instruments`. `view`: (n,) in [-1, 1]; `confidence`: (n,) in [0, 1].

    NaN: abstained.
    """

    instruments: tuple[str, ...]
    view: Floats
    confidence: Floats


def name_views(context: pd.DataFrame, instruments: pd.DataFrame) -> NameViews:
    """LLM_CONTEXT rows per row of INSTRUMENTS: the mean of score * confidence over levels that were spoken of, by LEVELS.

    NaN where nothing was said of the name, its sector or its country: abstained, which is not neutral. A score or confidence that
    is no number, or lies outside of its range, was not said.
    """
    said = _sentiments(context)
    names = tuple(str(name) for name in instruments["instrument"])
    view, confidence = np.full(len(names), np.nan), np.full(len(names), np.nan)
    columns = [(weight, instruments[level].astype(str).to_list()) for level, weight in LEVELS.items()]
    for place in range(len(names)):
        found = [(weight, said[of[place]]) for weight, of in columns if of[place] in said]
        whole = sum(weight for weight, _ in found)
        if found:
            view[place] = sum(weight * score * sure for weight, (score, sure) in found) / whole
            confidence[place] = sum(weight * sure for weight, (_, sure) in found) / whole
    return NameViews(names, np.clip(view, -1.0, 1.0), np.clip(confidence, 0.0, 1.0))


def _sentiments(context: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Subject -> (score, confidence)."""
    rows = context[context["kind"] == "SENTIMENT"]
    pairs = zip(rows["subject"], rows["score"].astype(float), rows["confidence"].astype(float), strict=True)
    return {str(subject): (score, sure) for subject, score, sure in pairs if abs(score) <= 1.0 and 0.0 <= sure <= 1.0}


@dataclass(frozen=True, slots=True)
class Origin:
    """Who made the views of a session. `source`: llm, repaired or fallback, the weakest of the rows; `version`: one, or several
    joined by " + ", which is a version of its own; `contaminated`: whether any row is.
    """

    source: str
    version: str
    contaminated: bool

    @property
    def by_rules(self) -> bool:
        """Whether rules made them, or nobody."""
        return self.source == RULES


def origin_of(context: pd.DataFrame) -> Origin:
    """The origin of LLM_CONTEXT rows; without any row, rules of no version. Without a mark: contaminated."""
    sources, versions = {str(x) for x in context["source"]}, sorted({str(x) for x in context["version"]})
    source = next((name for name in (RULES, "repaired", "llm") if name in sources), RULES)
    known = len(context) > 0 and "contaminated" in context
    return Origin(source, " + ".join(versions), not known or bool(context["contaminated"].any()))


def rank_correlation(first: Floats, second: Floats) -> float:
    """Spearman's rank correlation of two arrays (n,) without NaN, ties at their mean rank; NaN when one is constant."""
    ranks = [pd.Series(values).rank().to_numpy() for values in (first, second)]
    a, b = (rank - rank.mean() for rank in ranks)
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(np.clip(float(a @ b) / scale, -1.0, 1.0)) if scale > 0.0 else math.nan
