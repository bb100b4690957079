"""What views of language models say of one order's name, what they rest on, and how much of its target they moved: `explain`.

Not here: the rest of an order's explanation (`explain`), how it is resolved (`audit.llm_numbers`).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from marketbot_assets.audit.llm_numbers import View as Said
    from marketbot_assets.commands.decided import Case

View = dict[str, object]
LEVELS = ("instrument", "sector", "country")
SHOWN = 3


def views_of(case: "Case") -> View | None:
    """Whose views, what they say of the name, its sector and its country, the evidence in words, and what they moved.

    `influence`: with - without, fraction of NAV. `weight`: of the views in the forecast, null where it is not recorded. None when
    the decision rests on no views: the mandate named no model.
    """
    from marketbot_assets.audit.llm_numbers import pack_items, standing, views

    decided = case.decided
    context, pack = (decided.evidence.row(asset) for asset in ("llm_context", "context_pack"))
    target = decided.row("target_portfolio", "instrument", case.instrument)
    if context is None or target is None:
        return None
    rows = decided.records.of(context)
    if not _by_model(rows):
        return None
    whose, made = standing(rows), decided.lake.manifest(decided.rows["forecasts"])
    said = views(rows, pack_items(decided.records.of(pack)) if pack is not None else {})
    listing = decided.own.listing(case.instrument) or {}
    subjects = {str(listing.get(level, "")): level for level in reversed(LEVELS)}
    own = [view for view in said if view.kind == "SENTIMENT" and view.subject in subjects]
    own.sort(key=lambda view: LEVELS.index(subjects[view.subject]))
    return {
        "instrument": case.instrument,
        "ticker": listing.get("ticker", ""),
        "sentence": whose.sentence,
        "versions": list(whose.versions),
        "sources": list(whose.sources),
        "contaminated": whose.contaminated,
        "weight": made.get("llm_weight"),
        "weight_reason": made.get("llm_weight_reason", ""),
        "influence": target.get("llm_influence"),
        "weight_without": target.get("weight_without_llm"),
        "note": target.get("llm_note", ""),
        "said": [_told(view, subjects[view.subject]) for view in own],
    }


def _by_model(rows: Sequence[Mapping[str, object]]) -> bool:
    """Whether a model was asked: its views stand there, or the rules with the reason why they do."""
    return any(row["source"] != "fallback" or row.get("reason") for row in rows)


def _told(view: "Said", level: str) -> View:
    items = [{"item": x.item, "about": x.about, "text": x.text, "publisher": x.publisher} for x in view.evidence]
    return {
        "level": level,
        "subject": view.subject,
        "score": view.score,
        "confidence": view.confidence,
        "evidence": items,
    }


def views_lines(found: View | None) -> list[str]:
    """The same for people, each line without its label; one line when no model was asked."""
    if found is None:
        return ["no language model was asked"]
    lines = [str(found["sentence"])]
    if found["weight"] is not None:
        lines.append(f"weight {cast('float', found['weight']):.2f}: {found['weight_reason']}")
    lines.append(_moved(found))
    for view in cast("list[View]", found["said"]):
        lines.append(f"{view['level']} {view['subject']}: {view['score']:+.2f} at confidence {view['confidence']:.2f}")
        items = cast("list[Mapping[str, str]]", view["evidence"])
        lines += [f"  {_item(item)}" for item in items[:SHOWN]]
        lines += [f"  and {len(items) - SHOWN} more"] if len(items) > SHOWN else []
    if not found["said"]:
        lines.append("of this name, its sector and its country nothing is said")
    name, ticker = str(found["instrument"]), str(found["ticker"] or found["instrument"])
    told = [text.replace(name, ticker) for text in lines]
    return [
        "".join(c if c.isprintable() else " " for c in text) for text in told
    ]  # a terminal obeys control characters


def _moved(found: View) -> str:
    moved, without = (found[name] for name in ("influence", "weight_without"))
    note = f"; {found['note']}" if found["note"] else ""
    if not isinstance(moved, float) or not isinstance(without, float) or without != without:
        return f"moved nothing of this weight{note}"
    return f"moved this weight by {moved:+.2%} of NAV, it would be {without:.2%}{note}"


def _item(item: Mapping[str, str]) -> str:
    from marketbot_assets.audit.llm_numbers import Item

    return str(Item(item["item"], item["about"], item["text"], item["publisher"]))
