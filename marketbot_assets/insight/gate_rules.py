"""Later layers of the gate: what a draft may say. Each gives what is wrong, in words that hold no text of the answer. Pure."""

import re
from collections.abc import Sequence

from marketbot_assets.insight.gate_draft import Draft, View
from marketbot_assets.insight.gate_pack import EVERYWHERE, Item, Known

THEMES = (
    "commodities",
    "credit",
    "currency",
    "curve",
    "earnings",
    "geopolitics",
    "growth",
    "inflation",
    "monetary_policy",
    "regulation",
    "trend",
    "volatility",
)
THEMES_MAX, EVIDENCE_MAX, QUOTES_MAX = 6, 8, 40
STRONG_SCORE, PUBLISHERS_MIN = 0.5, 2
QUOTE_TOLERANCE = 0.005
VALUE_MAX = 1e15
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def out_of_quantity(draft: Draft, known: Known) -> list[str]:
    """At least one view; at most THEMES_MAX themes, a sentiment per subject, EVIDENCE_MAX items per view, QUOTES_MAX quotes."""
    kinds = [view.kind for view in draft.views]
    counts = [
        ("themes", kinds.count("THEME"), THEMES_MAX),
        ("sentiments", kinds.count("SENTIMENT"), len(known.levels)),
        ("quotes", len(draft.quotes), QUOTES_MAX),
    ]
    counts += [(f"{view.path}.evidence", len(view.evidence), EVIDENCE_MAX) for view in draft.views]
    faults = [f"{name}: {count} of at most {most}" for name, count, most in counts if count > most]
    faults += [f"{view.path}.evidence is empty" for view in draft.views if not view.evidence]
    return faults if draft.views else [*faults, "there is no view at all"]


def out_of_range(draft: Draft, known: Known) -> list[str]:
    """Directions and scores in [-1, 1], confidences in [0, 1], ranks from 1, quoted values finite. Written so that NaN fails."""
    faults = []
    for view in draft.views:
        least_rank = 1 if view.kind == "THEME" else 0
        bounds = (
            ("direction" if view.kind == "THEME" else "score", view.score, -1, 1),
            ("confidence", view.confidence, 0, 1),
            ("rank", view.rank, least_rank, THEMES_MAX),
        )
        faults += [
            f"{view.path}.{name} is not in [{least}, {most}]"
            for name, value, least, most in bounds
            if not least <= value <= most
        ]
    return faults + [f"{q.path}.value is not finite" for q in draft.quotes if not -VALUE_MAX <= q.value <= VALUE_MAX]


def unknown_names(draft: Draft, known: Known) -> list[str]:
    """Themes of the closed list, subjects of the pack, letter by letter."""
    allowed: dict[str, Sequence[str]] = {"THEME": THEMES, "SENTIMENT": tuple(known.levels)}
    return [
        f"{view.path} names nothing that may be named"
        for view in draft.views
        if view.kind in allowed and view.name not in allowed[view.kind]
    ]


def repeated(draft: Draft, known: Known) -> list[str]:
    """A theme, a subject, an item of a view and a quoted item occur once; ranks are 1, 2, ... without a gap."""
    seen: set[tuple[str, str]] = set()
    faults = []
    for path, key in [
        *((view.path, (view.kind, view.name)) for view in draft.views),
        *((quote.path, ("QUOTE", quote.item)) for quote in draft.quotes),
    ]:
        if key in seen:
            faults.append(f"{path} names what was named before")
        seen.add(key)
    faults += [f"{v.path}.evidence names an item twice" for v in draft.views if len(set(v.evidence)) != len(v.evidence)]
    ranks = sorted(view.rank for view in draft.views if view.kind == "THEME")
    return (
        faults
        if ranks == list(range(1, len(ranks) + 1))
        else [*faults, "ranks of themes are not 1, 2, ... without a gap"]
    )


def without_evidence(draft: Draft, known: Known) -> list[str]:
    """Every item exists and is a fact, a macro release or a headline; a sentiment names at least one that speaks of its subject."""
    faults = [
        f"{view.path}.evidence[{place}] is no fact, macro release or headline of the pack"
        for view in draft.views
        for place, item in enumerate(view.evidence)
        if item not in known.items
    ]
    faults += [
        f"{q.path}.item is no fact, macro release or headline of the pack"
        for q in draft.quotes
        if q.item not in known.items
    ]
    if faults:
        return faults
    return [
        f"{view.path}.evidence holds nothing about its subject"
        for view in draft.views
        if view.kind == "SENTIMENT" and not speaking(view, known)
    ]


def wrong_numbers(draft: Draft, known: Known) -> list[str]:
    """A quoted value is the item's, within 0.5 % or half a unit of the last digit that its text shows."""
    return [
        f"{quote.path}.value is not the number of its item"
        for quote in draft.quotes
        if not _quotes(known.items[quote.item], quote.value)
    ]


def too_few_publishers(draft: Draft, known: Known) -> list[str]:
    """A score beyond +-0.5 rests on what we measured ourselves or on two publishers, never on one publisher's headlines.

    Measured: a fact about the very subject; for a sector or country a macro release as well. A macro release says nothing of one
    instrument, and headlines count only where they speak of the subject, not of the market. One publisher cannot push a name.
    """
    return [
        f"{view.path} has a score beyond {STRONG_SCORE} that rests on fewer than {PUBLISHERS_MIN} publishers and on no fact"
        for view in draft.views
        if view.kind == "SENTIMENT" and abs(view.score) > STRONG_SCORE and not _broad(view, known)
    ]


def speaking(view: View, known: Known) -> list[Item]:
    """The items of a sentiment that speak of its subject."""
    items = (known.items[item] for item in view.evidence)
    return [item for item in items if known.speaks_of(item, view.name)]


def _broad(view: View, known: Known) -> bool:
    items = speaking(view, known)
    group = known.levels[view.name] != "INSTRUMENT"
    measured = any(
        (item.kind == "FACT" and item.subject == view.name) or (item.kind == "MACRO" and group) for item in items
    )
    headlines = [item.publishers for item in items if item.kind == "HEADLINE" and item.level not in EVERYWHERE]
    return measured or len(frozenset[str]().union(*headlines)) >= PUBLISHERS_MIN


def _quotes(item: Item, value: float) -> bool:
    if item.value is None:
        return False
    shown = [number for number in _NUMBER.findall(item.text) if float(number) == abs(item.value)]
    digits = [len(number.partition(".")[2]) for number in shown]
    half_unit = 0.5 * 10.0 ** -max(digits) if digits else 0.0
    tolerance = max(QUOTE_TOLERANCE * abs(item.value), half_unit)
    return abs(value - item.value) <= tolerance * (1.0 + 1e-9)  # the bound itself is allowed, whatever its binary form
