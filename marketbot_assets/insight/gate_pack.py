"""What the gate knows of a context pack: which items may be evidence, who may be named, and what belongs to whom. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

EVIDENCE = ("FACT", "MACRO", "HEADLINE")
NAMED = ("INSTRUMENT", "SECTOR", "COUNTRY")
EVERYWHERE = ("MARKET", "SERIES")
PUBLISHER_SEPARATOR = ";"


@dataclass(frozen=True, slots=True)
class Item:
    """One item that may be evidence. `value`: the number that its text states, None without one; `publishers`: in small letters."""

    kind: str
    subject: str
    level: str
    text: str
    value: float | None
    publishers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Known:
    """`items`: by id, in the pack's order. `levels`: of every subject that may be named. `related`: whose evidence speaks of it."""

    items: Mapping[str, Item]
    levels: Mapping[str, str]
    related: Mapping[str, frozenset[str]]

    def speaks_of(self, item: Item, subject: str) -> bool:
        """Whether an item is about a subject: itself, an instrument's sector or country, a group's member, or the market."""
        return item.level in EVERYWHERE or item.subject in self.related[subject]


def known_of(pack: pd.DataFrame) -> Known:
    """The index of CONTEXT_PACK rows."""
    names = ("item", "kind", "subject", "level", "text", "publisher")
    columns = [list(map(str, pack[name].tolist())) for name in names]
    values = [value if math.isfinite(value) else None for value in pack["value"].astype(float).tolist()]
    rows = list(zip(*columns, values, strict=True))
    items = {
        item: Item(kind, subject, level, text, value, _publishers(publisher))
        for item, kind, subject, level, text, publisher, value in rows
        if kind in EVIDENCE
    }
    subjects = [(subject, level, text) for _, kind, subject, level, text, _, _ in rows if kind == "SUBJECT"]
    levels = {subject: level for subject, level, _ in subjects if level in NAMED}
    related = {subject: {subject} for subject in levels}
    groups = [[name for name, kind in levels.items() if kind == level] for level in ("COUNTRY", "SECTOR")]
    for subject, level, text in subjects:
        for group in _groups_of(text, groups) if level == "INSTRUMENT" else ():
            related[subject].add(group)
            related[group].add(subject)
    return Known(items, levels, {subject: frozenset(those) for subject, those in related.items()})


def _groups_of(text: str, groups: Sequence[Sequence[str]]) -> list[str]:
    """Country and sector of an instrument: its SUBJECT item's text ends with them, "AAPL, Apple Inc., TECHNOLOGY, US".

    Read from the end, so that an issuer that calls itself after a sector or a country belongs to neither by its name.
    """
    found = []
    for names in groups:
        ending = [name for name in names if f", {text}".endswith(f", {name}")]
        if ending:
            found.append(max(ending, key=len))
            text = text[: -len(found[-1])].removesuffix(", ")
    return found


def _publishers(text: str) -> frozenset[str]:
    """A headline that several publishers carried names them with semicolons between."""
    names = (" ".join(name.split()).casefold() for name in text.split(PUBLISHER_SEPARATOR))
    return frozenset(name for name in names if name)
