"""Context by rules: what stands in for a language model until there is one, marked `fallback`. It influences no weight. Pure.

rules-2 reads headlines by published word lists and counts a story once; rules-1 knew the 13 words of the simulated headlines, of
which real ones hold few (`docs/headlines.md`).
"""

import datetime as dt
from collections.abc import Sequence

import numpy as np
import pandas as pd

from marketbot_assets.insight.schema import LLM_CONTEXT
from marketbot_assets.insight.sentiment_words import NEGATIVE, POSITIVE
from marketbot_assets.insight.stories import Story, stories_of, told_of

VERSION = "rules-2"
NEWS_DAYS = 7
Row = tuple[str, str, float, float, str]
_THEME_RANK = {"volatility": 1, "trend": 2, "curve": 3, "credit": 4}


def heuristic_context(
    features: pd.DataFrame, instruments: pd.DataFrame, news: pd.DataFrame, cutoff: dt.datetime, reason: str = ""
) -> pd.DataFrame:
    """LLM_CONTEXT rows from the macro regime, price breadth per sector and country, and the words of recent headlines.

    `reason`: why the rules stand in, empty when no model is asked.
    """
    frame = features.merge(instruments[["instrument", "sector", "country"]], on="instrument")
    rows = [*_themes(frame), _risk_on(frame)]
    for column in ("sector", "country"):
        rows += [_breadth(str(subject), group) for subject, group in frame.groupby(column)]
    rows += headline_views(news, cutoff)
    names = ["kind", "subject", "score", "confidence", "evidence"]
    shared = {"source": "fallback", "version": VERSION, "contaminated": False, "reason": reason}
    table = pd.DataFrame(rows, columns=names).assign(**shared)
    table["rank"] = table["kind"].eq("THEME").astype("int64") * table["subject"].map(_THEME_RANK).fillna(0).astype(
        "int64"
    )
    return table[[c.name for c in LLM_CONTEXT.columns]].sort_values(["kind", "subject"], ignore_index=True)


def _fact(frame: pd.DataFrame, name: str) -> float:
    values = frame[name].to_numpy(dtype=float)
    return float(values[0]) if len(values) else float("nan")


def _squash(value: float, scale: float) -> tuple[float, float]:
    """(direction, confidence) of a measured value; nothing known is no direction and no confidence."""
    if not np.isfinite(value):
        return 0.0, 0.0
    score = float(np.tanh(value / scale))
    return round(score, 6), round(min(1.0, abs(score) + 0.1), 6)


def _themes(frame: pd.DataFrame) -> list[Row]:
    facts = (
        ("volatility", 20.0 - _fact(frame, "vix_level"), 10.0, "macro:VIX"),
        ("trend", _fact(frame, "index_trend_200d"), 0.08, "macro:SP500"),
        ("curve", _fact(frame, "term_slope"), 1.5, "macro:US10Y macro:US2Y"),
        ("credit", 1.1 - _fact(frame, "credit_spread"), 0.5, "macro:AAA macro:BAA"),
    )
    return [("THEME", name, *_squash(value, scale), evidence) for name, value, scale, evidence in facts]


def _risk_on(frame: pd.DataFrame) -> Row:
    scores = [(score, confidence) for _, _, score, confidence, _ in _themes(frame)]
    weight = sum(confidence for _, confidence in scores)
    score = sum(s * c for s, c in scores) / weight if weight else 0.0
    return ("RISK_ON", "market", round(score, 6), round(min(1.0, weight / len(scores)), 6), "macro:VIX macro:SP500")


def _breadth(subject: str, group: pd.DataFrame) -> Row:
    values = group["return_63d"].to_numpy(dtype=float)
    known = values[np.isfinite(values)]
    share = 2.0 * float((known > 0).mean()) - 1.0 if len(known) else 0.0
    return ("SENTIMENT", subject, round(share, 6), round(min(1.0, len(known) / 10.0), 6), "features:return_63d")


def headline_views(news: pd.DataFrame, cutoff: dt.datetime) -> list[Row]:
    """A sentiment per instrument from the words of its stories of NEWS_DAYS days, by instrument; NEWS rows in any order."""
    stories = stories_of(told_of(news, cutoff - dt.timedelta(days=NEWS_DAYS), cutoff))
    names = sorted({name for story in stories for name in story.instruments})
    return [_headlines(name, [story for story in stories if name in story.instruments]) for name in names]


def _headlines(name: str, stories: Sequence[Story]) -> Row:
    balance = sum(tone(story.words) for story in stories)
    score, confidence = _squash(float(balance), 2.0)
    evidence = " ".join(sorted(key for story in stories for key in story.ids))
    return ("SENTIMENT", name, score, confidence if balance else 0.0, evidence)


def tone(words: Sequence[str]) -> int:
    """Different positive words less different negative ones."""
    return len(POSITIVE.intersection(words)) - len(NEGATIVE.intersection(words))
