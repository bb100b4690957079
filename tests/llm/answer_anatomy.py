"""What is wrong with a refused answer beyond the first layer that refused it: would a gate that drops single views keep the rest?

It measures the gate and is no part of it: the gate refuses an answer whole.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from marketbot_assets.insight.gate import LAYERS, Views, judge_known
from marketbot_assets.insight.gate_draft import drafted
from marketbot_assets.insight.gate_pack import Known
from marketbot_assets.insight.gate_text import foreign_characters, parsed, too_large

Document = dict[str, list[dict[str, object]]]
LISTS = ("themes", "sentiments", "risk_on", "quotes")


@dataclass(frozen=True, slots=True)
class Anatomy:
    """A refused answer of right shape. `layers`: all that find a fault in it, not the first alone; `standing`: views that are
    accepted alone; `distinct`: how many different things those name; `one_away`: accepted without one view or one quote.
    """

    views: int
    quotes: int
    standing: int
    distinct: int
    layers: tuple[str, ...]
    one_away: bool


def anatomy(text: str, known: Known) -> Anatomy | None:
    """None for an answer that has no right shape: there is no part to look at."""
    if too_large(text) or foreign_characters(text):
        return None
    found, wrong = parsed(text)
    draft, shapeless = drafted(found)
    if wrong or shapeless or not isinstance(found, dict):
        return None
    parts = {name: found[name] for name in ("themes", "sentiments", "quotes")}
    document: Document = {**parts, "risk_on": [found["risk_on"]] if found["risk_on"] is not None else []}  # type: ignore[dict-item]
    alone = [_key(name, part) for name, part in _views(document) if _accepted({name: [part]}, known)]
    return Anatomy(
        views=len(draft.views),
        quotes=len(draft.quotes),
        standing=len(alone),
        distinct=len(set(alone)),
        layers=tuple(name for name, _ in LAYERS if _faulty(name, document, known)),
        one_away=any(_accepted(less, known) for less in _one_less(document)),
    )


def _views(document: Document) -> Iterator[tuple[str, dict[str, object]]]:
    yield from ((name, part) for name in LISTS if name != "quotes" for part in document[name])


def _key(name: str, part: dict[str, object]) -> tuple[str, str]:
    return name, str(part.get("name") or part.get("subject") or "market")


def _accepted(document: Document, known: Known) -> bool:
    """Ranks are counted anew, since a view that is left out leaves a gap."""
    themes = [{**theme, "rank": place} for place, theme in enumerate(document.get("themes", ()), 1)]
    risk_on = document.get("risk_on") or [None]
    whole = {
        "themes": themes,
        "sentiments": document.get("sentiments", []),
        "risk_on": risk_on[0],
        "quotes": document.get("quotes", []),
    }
    return isinstance(judge_known(json.dumps(whole), known), Views)


def _one_less(document: Document) -> Iterator[Document]:
    for name in LISTS:
        for place in range(len(document[name])):
            yield {**document, name: document[name][:place] + document[name][place + 1 :]}


def _faulty(layer: str, document: Document, known: Known) -> bool:
    """Whether a layer finds a fault when it is asked first; one that cannot be asked before those above it finds none."""
    whole = {**document, "risk_on": document["risk_on"][0] if document["risk_on"] else None}
    draft, _ = drafted(whole)  # type: ignore[arg-type]
    try:
        return bool(dict(LAYERS)[layer](draft, known))
    except KeyError:
        return False
