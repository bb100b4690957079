"""What language models were asked, what they said, what it rests on and what it moved, as plain rows. Pure.

Asset pages, the report, `explain` and `status` tell the same from here. Rows are those of the tables of the insight stage. Not
here: how it is shown (`llm_pages`, `report_llm`), what views are worth (`insight.evidence`).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import pandas as pd

from marketbot_assets.audit.charts import bar_chart, line_chart, short
from marketbot_assets.audit.report_facts import Row, number
from marketbot_assets.insight.evidence import Worth, calibration, rule_of, worth
from marketbot_resources.mandate import Mandate

LINES_MAX = 4
Named = Callable[[object], str]
CASH = "CASH"
RULES, COMPARED = "fallback", "made by rules: shown to compare with, never weighed"
NOT_ASKED = "No language model is asked: the mandate names none. Views are made by rules and move nothing."
CONTAMINATED = (
    "CONTAMINATED: the model may have been trained on what happened after this session. These views count as no evidence and move "
    "nothing."
)
_ORDER = {"RISK_ON": 0, "THEME": 1, "SENTIMENT": 2}


@dataclass(frozen=True, slots=True)
class Tries:
    """How a session's tries ended, with their tokens and cost. `repaired`: accepted at the second try."""

    asked: int
    accepted: int
    refused: int
    failed: int
    repaired: int
    tokens: int
    cost_usd: Decimal


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a session's views come from. `sentence`: in words, the mark of contamination first."""

    sources: tuple[str, ...]
    versions: tuple[str, ...]
    contaminated: bool
    reason: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Item:
    """One piece of evidence. `about`: whose number it is. All but the id is empty when the session's pack has no such id."""

    item: str
    about: str
    text: str
    publisher: str

    def __str__(self) -> str:
        name = f"{self.item} {self.about}".rstrip()
        told = f"{name}: {self.text}" if self.text else name
        return f"{told} ({self.publisher})" if self.publisher else told


@dataclass(frozen=True, slots=True)
class View:
    """One row of LLM_CONTEXT with its evidence resolved. `strength` = score * confidence."""

    kind: str
    subject: str
    rank: int
    score: float
    confidence: float
    evidence: tuple[Item, ...]

    @property
    def strength(self) -> float:
        """What the view weighs before its level does."""
        return self.score * self.confidence


@dataclass(frozen=True, slots=True)
class Influence:
    """What views moved of one target weight, fractions of NAV: with - without."""

    instrument: str
    without: float
    weight: float
    moved: float


def tries(answers: Sequence[Row]) -> Tries:
    """Counts and sums of LLM_ANSWERS rows."""
    outcomes = [str(row["outcome"]) for row in answers]
    return Tries(
        asked=len(answers),
        accepted=outcomes.count("ACCEPTED"),
        refused=outcomes.count("REFUSED"),
        failed=outcomes.count("FAILED"),
        repaired=sum(bool(row["repair"]) and row["outcome"] == "ACCEPTED" for row in answers),
        tokens=sum(int(number(row["tokens_in"])) + int(number(row["tokens_out"])) for row in answers),
        cost_usd=sum((Decimal(str(row["cost_usd"])) for row in answers), Decimal(0)),
    )


def standing(context: Sequence[Row]) -> Standing:
    """Who made the views of LLM_CONTEXT rows, and why the rules stand in if they do."""
    sources = tuple(sorted({str(row["source"]) for row in context}))
    versions = tuple(sorted({str(row["version"]) for row in context}))
    contaminated = any(bool(row["contaminated"]) for row in context)
    reason = next((str(row["reason"]) for row in context if row["reason"]), "")
    return Standing(sources, versions, contaminated, reason, _sentence(sources, versions, contaminated, reason))


def _sentence(sources: Sequence[str], versions: Sequence[str], contaminated: bool, reason: str) -> str:
    if not sources:
        return "No views are stored."
    if sources == (RULES,):
        told = (
            f"No model gave accepted views ({reason}): those of the rules stand in and move nothing."
            if reason
            else NOT_ASKED
        )
    else:
        told = f"Views of {', '.join(versions)}{', accepted at the second try' if 'repaired' in sources else ''}."
        told += f" {reason}" if reason else ""
    return f"{CONTAMINATED} {told}" if contaminated else told


def pack_items(pack: Sequence[Row]) -> dict[str, Item]:
    """Id -> the item of the pack that it names: by the item's own id, by those of the stored rows behind it, by macro series."""
    own = {str(row["item"]): _item(row) for row in pack}
    found: dict[str, Item] = {}
    for row in pack:
        item = own[str(row["item"])]
        if row["kind"] == "MACRO":
            found.setdefault(f"macro:{row['subject']}", item)
        for source in str(row["source_ids"]).split():
            if row["kind"] == "HEADLINE":
                found.setdefault(source, item)
    return {**found, **own}


def _item(row: Row) -> Item:
    about = str(row["subject"]) if row["kind"] in ("FACT", "MACRO") else ""  # a headline names whom it is about
    return Item(str(row["item"]), about, str(row["text"]), str(row["publisher"]))


def views(context: Sequence[Row], items: Mapping[str, Item]) -> list[View]:
    """The views with their evidence: risk-on first, themes by rank, sentiments from the strongest to the weakest."""
    made = [
        View(
            str(row["kind"]),
            str(row["subject"]),
            int(number(row["rank"])),
            number(row["score"]),
            number(row["confidence"]),
            tuple(items.get(name, Item(name, "", "", "")) for name in str(row["evidence"]).split()),
        )
        for row in context
    ]
    return sorted(made, key=lambda v: (_ORDER.get(v.kind, 9), v.rank, -_size(v.strength), v.subject))


def _size(value: float) -> float:
    return abs(value) if math.isfinite(value) else 0.0


def influences(target: Sequence[Row]) -> list[Influence]:
    """What views moved per name of TARGET_PORTFOLIO, the largest first; only names that they moved."""
    made = [
        Influence(
            str(row["instrument"]),
            number(row.get("weight_without_llm")),
            number(row["weight_target"]),
            number(row.get("llm_influence")),
        )
        for row in target
        if row["instrument"] != CASH
    ]
    return sorted((x for x in made if _size(x.moved) > 0.0), key=lambda x: (-abs(x.moved), x.instrument))


def book_influence(target: Sequence[Row]) -> float:
    """Sum of what views moved, either way, fraction of NAV."""
    return math.fsum(abs(row.moved) for row in influences(target))


def influence_note(target: Sequence[Row]) -> str:
    """Why views were clamped or left out; empty when nothing of that happened."""
    return next((str(row["llm_note"]) for row in target if row.get("llm_note")), "")


def influence_chart(moved: Sequence[Influence], named: Named, name_cap: float, book_cap: float) -> str:
    """Bars of what views moved per name, basis points of NAV, as SVG."""
    bars = [(named(row.instrument), 1e4 * row.moved) for row in moved]
    title = f"Moved by views, bp of NAV; at most {1e4 * name_cap:g} a name, {1e4 * book_cap:g} in the book"
    return bar_chart(title, bars, unit="bp")


def worths(frame: pd.DataFrame | None, mandate: Mandate) -> list[tuple[str, Worth, str]]:
    """(version, what its views have been worth, which share was right by confidence) for each version of LLM_EVIDENCE.

    Models first, then the rules, which are shown to compare with and have no weight.
    """
    if frame is None:
        return []
    by_rules, rule = frame[frame["source"] == RULES], rule_of(mandate)
    models = sorted(set(frame["version"]) - set(by_rules["version"]))
    found = [(str(version), worth(frame, version, rule), _right(frame, version)) for version in models]
    compared = by_rules.assign(source="llm")
    for version in sorted(set(by_rules["version"])):
        shown = replace(worth(compared, version, rule), weight=0.0, reason=COMPARED)
        found.append((str(version), shown, _right(compared, version)))
    return found


def _right(frame: pd.DataFrame, version: str) -> str:
    """Share of views on the right side for low, mid and high confidence, each with the number of views."""
    thirds = calibration(frame, version).items()
    return ", ".join(f"{name} {share:.0%} of {count}" for name, (count, share) in thirds if count) or "none yet"


def coefficients(evidence: Sequence[Row]) -> str:
    """Information coefficient per judged session as SVG, one line per version, contaminated sessions left out."""
    days = sorted({_day(row["session"]) for row in evidence})
    known = [row for row in evidence if not row["contaminated"]]
    versions = sorted({str(row["version"]) for row in known})[-LINES_MAX:]
    found = {(str(row["version"]), _day(row["session"])): number(row["ic"]) for row in known}
    series = [(short(name, 24), [found.get((name, day), math.nan) for day in days]) for name in versions]
    return line_chart("IC per session", days, series, marks=[("no skill", 0.0)] if series else [])


def _day(value: object) -> str:
    return str(value)[:10]
