"""The JSON schema that a model is asked to fill: what every provider's strict mode accepts. Pure.

The common subset: every object closed, every key required, null by `anyOf`, no bounds on numbers, lengths or lists (Anthropic
refuses them): bounds stand in descriptions and are the gate's to enforce. Item ids are one shared definition; OpenAI takes at most
1,000 enum values in one schema, beyond that ids are plain text and the gate alone knows them.
"""

from collections.abc import Sequence

from marketbot_assets.insight.gate_draft import KEYS, ROOT
from marketbot_assets.insight.gate_pack import Known
from marketbot_assets.insight.gate_rules import EVIDENCE_MAX, QUOTES_MAX, THEMES, THEMES_MAX
from marketbot_assets.insight.gate_text import Json

ENUM_VALUES_MAX = 1000
ENUM_LETTERS_MAX = 15_000
DESCRIPTIONS = {
    "rank": "1 is the most important, then 2, 3, ... without a gap",
    "direction": "-1 (bad for shares) to 1 (good for shares)",
    "score": "-1 (bad) to 1 (good)",
    "confidence": "0 to 1",
    "evidence": f"1 to {EVIDENCE_MAX} ids of items that this rests on",
    "value": "the number as the item states it",
}


def answer_schema(known: Known) -> dict[str, Json]:
    """The schema of an answer over one pack's subjects and items. A subject on which the model abstains is left out."""
    names: dict[str, Json] = {
        "name": _enum(THEMES),
        "subject": _enum(tuple(known.levels)),
        "item": {"$ref": "#/$defs/item"},
    }
    numbers = {name: _number(name) for name in ("rank", "direction", "score", "confidence", "value")}
    evidence: Json = {"type": "array", "description": DESCRIPTIONS["evidence"], "items": {"$ref": "#/$defs/item"}}
    properties: dict[str, Json] = {**names, **numbers, "evidence": evidence}
    objects = {kind: _closed({name: properties[name] for name in keys}) for kind, keys in KEYS.items()}
    root: dict[str, Json] = {
        "themes": _list(objects["THEME"], f"at most {THEMES_MAX}, each once"),
        "sentiments": _list(objects["SENTIMENT"], "each subject at most once; leave out a subject to abstain"),
        "risk_on": {"anyOf": [objects["RISK_ON"], {"type": "null"}]},
        "quotes": _list(objects["QUOTE"], f"at most {QUOTES_MAX}: numbers of items that the views rest on"),
    }
    return {**_closed({name: root[name] for name in ROOT}), "$defs": {"item": _items(known)}}


def _items(known: Known) -> Json:
    values = [*THEMES, *known.levels, *known.items]
    small = len(values) <= ENUM_VALUES_MAX and sum(map(len, values)) <= ENUM_LETTERS_MAX
    return _enum(tuple(known.items)) if small and known.items else {"type": "string"}


def _enum(values: Sequence[str]) -> Json:
    """An empty enum is no schema: without a value any text has the right shape, and the gate refuses it."""
    return {"type": "string", "enum": list(values)} if values else {"type": "string"}


def _number(name: str) -> Json:
    return {"type": "integer" if name == "rank" else "number", "description": DESCRIPTIONS[name]}


def _list(element: Json, description: str) -> Json:
    return {"type": "array", "description": description, "items": element}


def _closed(properties: dict[str, Json]) -> dict[str, Json]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
