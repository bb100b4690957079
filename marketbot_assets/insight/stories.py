"""Which headlines are one story: served again, copied by another publisher, or told in nearly the same words. Pure.

Rules, in this order, over the headlines known in a window:
1. served again: the same identifier for the same instrument; the first known stays, and it is as old as when it was first known.
2. same text: equal words and figures, whatever case, punctuation and marks of an update ("UPDATE:") around them.
3. nearly the same text: about one instrument in common, the same figures in it, and one text is the other with a few words more
   (NEAR of all words are in both), none of which has a direction for the rules (`sentiment_words`). Texts that differ in a word
   on both sides are two stories: names, weekdays and opposites differ so.
A story keeps its first text, the instant at which it was first known, every instrument and every publisher. It counts once.

Not here: what a text may look like in a prompt (`quoting`), what its words say (`heuristic`).
"""

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import pandas as pd

from marketbot_assets.insight.sentiment_words import DIRECTED

NEAR = 0.75
COMPARED_MAX = 50
ID, EXACT, NEARLY = "served again", "same text", "nearly the same text"
_WORD = re.compile(r"[^\W_]+(?:[.,'][^\W_]+)*")
_UPDATED = re.compile(
    r"^(?:(?:update|correction|corrected|repeat|rpt|brief|breaking|exclusive)\b[\s\d]*[-:|]\s*)+", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Told:
    """One headline as stored: about one instrument."""

    known_at: dt.datetime
    headline_id: str
    instrument: str
    text: str
    publisher: str
    synthetic: bool


@dataclass(slots=True)
class Story:
    """What several headlines tell. `first`: the first known of them; `ids` in the order of becoming known."""

    first: Told
    words: tuple[str, ...]
    instruments: set[str] = field(default_factory=set)
    publishers: set[str] = field(default_factory=set)
    ids: list[str] = field(default_factory=list)
    synthetic: bool = False

    def add(self, told: Told) -> None:
        """Takes a headline in."""
        self.instruments.add(told.instrument)
        self.publishers |= {told.publisher} - {""}
        self.ids += [told.headline_id] if told.headline_id not in self.ids else []
        self.synthetic |= told.synthetic


def told_of(
    news: pd.DataFrame, since: dt.datetime, until: dt.datetime, among: Iterable[str] | None = None
) -> list[Told]:
    """Headlines that first became known in (since, until] about some instruments, or any; oldest first. NEWS rows in any order."""
    columns = ["known_at", "headline_id", "instrument", "headline", "publisher", "synthetic"]
    inside = news[(news["known_at"] > since) & (news["known_at"] <= until)]
    if inside.empty:
        return []
    earlier = news.loc[news["known_at"] <= since, ["headline_id", "instrument"]]
    earlier = earlier[earlier["headline_id"].isin(set(inside["headline_id"]))]
    served = set(zip(earlier["headline_id"], earlier["instrument"], strict=True))
    wanted = set(inside["instrument"] if among is None else among)
    rows = [
        Told(at.to_pydatetime(), str(key), str(name), str(text), str(publisher), bool(synthetic))
        for at, key, name, text, publisher, synthetic in zip(*(inside[c] for c in columns), strict=True)
        if name in wanted
    ]
    rows.sort(
        key=lambda told: (told.known_at, told.headline_id, told.instrument, told.text, told.publisher, told.synthetic)
    )
    kept: list[Told] = []
    for told in rows:
        pair = (told.headline_id, told.instrument)
        if pair not in served:
            served.add(pair)
            kept.append(told)
    return kept


def stories_of(headlines: Iterable[Told]) -> list[Story]:
    """Stories by the instant at which they were first known; `headlines` as `told_of` gives them."""
    return [story for story, _ in _joined(headlines)]


def rules_of(headlines: Iterable[Told]) -> list[str]:
    """For each headline that was joined to an earlier one, the rule that joined it."""
    return [rule for _, rules in _joined(headlines) for rule in rules]


def _joined(headlines: Iterable[Told]) -> list[tuple[Story, list[str]]]:
    made: list[tuple[Story, list[str]]] = []
    same: dict[tuple[str, ...], int] = {}
    near: defaultdict[tuple[str, tuple[str, ...]], list[int]] = defaultdict(list)
    for told in headlines:
        words = words_of(told.text)
        numbers = tuple(word for word in words if any(c.isdigit() for c in word))
        place, rule = same.get(words), EXACT
        bucket = near[told.instrument, numbers]
        if place is None:
            rule = NEARLY
            place = next((n for n in reversed(bucket[-COMPARED_MAX:]) if nearly_same(made[n][0].words, words)), None)
        if place is None:
            place = len(made)
            made.append((Story(told, words), []))
        else:
            made[place][1].append(rule)
        made[place][0].add(told)
        same.setdefault(words, place)
        if place not in bucket:
            bucket.append(place)
    return made


def words_of(text: str) -> tuple[str, ...]:
    """Words and figures of a headline, case folded, in their order, without marks of an update."""
    return tuple(_WORD.findall(_UPDATED.sub("", text.strip()).casefold().replace("\u2019", "'")))


def nearly_same(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether one text is the other with few words more and none with a direction. Their figures are compared elsewhere."""
    less, more = sorted((set(one), set(other)), key=len)
    return bool(less) and less <= more and len(less) >= NEAR * len(more) and not (more - less) & DIRECTED
