"""The shape of an answer: exact keys and strict types, from a JSON document to a draft. Pure.

Strict types are checked here by hand: a bool is no number, "0.3" is none, 1.0 is no rank, no key is missing, none is extra. A
schema library would convert (by default) or echo the answer's text in its messages; a repair try must hold none of that.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from marketbot_assets.insight.gate_text import Json

ROOT = ("themes", "sentiments", "risk_on", "quotes")
KEYS: Mapping[str, tuple[str, ...]] = {
    "THEME": ("name", "rank", "direction", "confidence", "evidence"),
    "SENTIMENT": ("subject", "score", "confidence", "evidence"),
    "RISK_ON": ("score", "confidence", "evidence"),
    "QUOTE": ("item", "value"),
}
MARKET = "market"
TYPES: Mapping[str, str] = {
    "name": "text",
    "subject": "text",
    "item": "text",
    "rank": "an integer",
    "direction": "a number",
    "score": "a number",
    "confidence": "a number",
    "value": "a number",
    "evidence": "a list of text",
}


@dataclass(frozen=True, slots=True)
class View:
    """One view of right shape, else unchecked. `path`: where it stands; `score`: a theme's is its direction; `rank`: 0 = none."""

    path: str
    kind: str
    name: str
    rank: int
    score: float
    confidence: float
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Quote:
    """One quoted number: the item it is from and its value. `path`: where it stands."""

    path: str
    item: str
    value: float


@dataclass(frozen=True, slots=True)
class Draft:
    """An answer of right shape. Numbers may still be infinite or of 500 digits."""

    views: tuple[View, ...]
    quotes: tuple[Quote, ...]


def drafted(document: Json) -> tuple[Draft, list[str]]:
    """(draft, what is wrong with the shape); the draft is empty when anything is."""
    empty = Draft((), ())
    if not isinstance(document, dict):
        return empty, ["the answer is no JSON object"]
    faults = _keys("the answer", document, ROOT)
    if faults:
        return empty, faults
    listed = [("themes", "THEME"), ("sentiments", "SENTIMENT"), ("quotes", "QUOTE")]
    objects: list[tuple[str, str, Json]] = []
    for name, kind in listed:
        found = document[name]
        if not isinstance(found, list):
            faults.append(f"{name} is no list")
            continue
        objects += [(f"{name}[{place}]", kind, element) for place, element in enumerate(found)]
    if document["risk_on"] is not None:
        objects.append(("risk_on", "RISK_ON", document["risk_on"]))
    for path, kind, element in objects:
        faults += _wrong(path, kind, element)
    if faults:
        return empty, faults
    views = tuple(_view(path, kind, element) for path, kind, element in objects if kind != "QUOTE")
    return Draft(views, tuple(_quote(path, element) for path, kind, element in objects if kind == "QUOTE")), []


def _keys(path: str, found: Mapping[str, Json], expected: tuple[str, ...]) -> list[str]:
    """Keys are named only when the rule knows them: an answer's own words are never repeated."""
    faults = [f"{path} lacks {name}" for name in expected if name not in found]
    return faults + ([f"{path} has a key that is not allowed"] if set(found) - set(expected) else [])


def _wrong(path: str, kind: str, element: Json) -> list[str]:
    if not isinstance(element, dict):
        return [f"{path} is no object"]
    faults = _keys(path, element, KEYS[kind])
    return faults or [
        f"{path}.{name} is not {TYPES[name]}" for name in KEYS[kind] if not _is(TYPES[name], element[name])
    ]


def _is(expected: str, value: Json) -> bool:
    if expected == "text":
        return isinstance(value, str)
    if expected == "a list of text":
        return isinstance(value, list) and all(isinstance(element, str) for element in value)
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (expected == "a number" and isinstance(value, float))


def _view(path: str, kind: str, element: Json) -> View:
    assert isinstance(element, dict), "the shape was checked"
    name = {"THEME": element.get("name"), "SENTIMENT": element.get("subject"), "RISK_ON": MARKET}[kind]
    score = element["direction" if kind == "THEME" else "score"]
    rank, confidence, evidence = element.get("rank", 0), element["confidence"], element["evidence"]
    assert isinstance(name, str), "the shape was checked"
    assert isinstance(rank, int), "the shape was checked"
    assert isinstance(score, int | float), "the shape was checked"
    assert isinstance(confidence, int | float), "the shape was checked"
    assert isinstance(evidence, list), "the shape was checked"
    return View(path, kind, name, rank, score, confidence, tuple(str(element) for element in evidence))


def _quote(path: str, element: Json) -> Quote:
    assert isinstance(element, dict), "the shape was checked"
    value = element["value"]
    assert isinstance(value, int | float), "the shape was checked"
    return Quote(path, str(element["item"]), value)
