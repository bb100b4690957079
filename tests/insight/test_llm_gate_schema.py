"""The schema is one that every strict mode takes; of any document at all, what keeps the rules passes and nothing stops the gate."""

import json
from typing import Any

import jsonschema
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_gate_world import ROWS, answer, pack_of, sentiment, theme

from marketbot_assets.insight.gate import RULES, Rejected, Views, judge_answer, judge_known, schema_of
from marketbot_assets.insight.gate_pack import known_of

PACK = pack_of()
KNOWN = known_of(PACK)


def objects_in(schema: Any) -> list[dict[str, Any]]:
    inner = [*schema.values()] if isinstance(schema, dict) else schema if isinstance(schema, list) else []
    return [schema] * isinstance(schema, dict) + [found for part in inner for found in objects_in(part)]


def enums_of(pack: pd.DataFrame) -> list[list[str]]:
    return [found["enum"] for found in objects_in(dict(schema_of(pack))) if isinstance(found.get("enum"), list)]


def test_the_schema_is_one_that_every_strict_mode_takes() -> None:
    """Closed objects, every key required, only keywords that OpenAI's strict mode and Anthropic both know, enums within limits."""
    schema = dict(schema_of(PACK))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(answer(), schema)
    found = objects_in(schema)
    for one in found:
        if one.get("type") == "object":
            assert one["additionalProperties"] is False
            assert one["required"] == list(one["properties"])
    known = {
        "type",
        "properties",
        "required",
        "additionalProperties",
        "enum",
        "items",
        "anyOf",
        "description",
        "$defs",
        "$ref",
    }
    keywords = {key for one in found if "type" in one or "$ref" in one or "anyOf" in one for key in one}
    assert keywords - known <= {"themes", "sentiments", "risk_on", "quotes"}
    assert sorted(map(len, enums_of(PACK))) == [7, 12, 13]  # subjects, themes, items: each once


def test_the_schema_of_a_wide_pack_leaves_ids_to_the_gate() -> None:
    """Up to 1,000 enum values in all: 12 themes, 7 subjects and 981 items; with one more item ids are plain text."""
    subjects = tuple(row for row in ROWS if row[1] == "SUBJECT")
    for items, enums in ((981, [7, 12, 981]), (982, [7, 12])):
        rows = tuple((f"F{n}", "FACT", "AAPL", "INSTRUMENT", f"{n}", float(n), "") for n in range(items))
        wide = pack_of(subjects + rows)
        assert sorted(map(len, enums_of(wide))) == enums
        jsonschema.validate(
            answer(themes=[theme("growth", 1, 0, 0, "F7")], quotes=[]), {**schema_of(wide), "$defs": {"item": {}}}
        )


scores = st.floats(-1, 1, allow_nan=False)
shares = st.floats(0, 1, allow_nan=False)
BROAD = {"AAPL": ["F1", "H2"], "XOM": ["F4"], "Technology": ["F2"], "US": ["M1", "H6"], "DE": ["M1"]}


@st.composite
def acceptable(draw: st.DrawFn) -> dict[str, Any]:
    """Answers that keep every rule by construction."""
    names = draw(st.lists(st.sampled_from("credit curve growth trend".split()), unique=True))
    themes = [theme(name, n, draw(scores), draw(shares), "M1") for n, name in enumerate(names, 1)]
    subjects = draw(st.lists(st.sampled_from(sorted(BROAD)), unique=True, min_size=1))
    sentiments = [sentiment(name, draw(scores), draw(shares), *BROAD[name]) for name in subjects]
    risk_on = draw(
        st.none() | st.fixed_dictionaries({"score": scores, "confidence": shares, "evidence": st.just(["F3"])})
    )
    return {"themes": draw(st.permutations(themes)), "sentiments": sentiments, "risk_on": risk_on, "quotes": []}


@given(acceptable())
@settings(max_examples=60, deadline=None)
def test_every_answer_within_the_rules_is_accepted_whatever_its_order(whole: dict[str, Any]) -> None:
    """The gate refuses nothing without a reason, the schema admits what the gate accepts, and order means nothing."""
    first = judge_known(json.dumps(whole), KNOWN)
    assert isinstance(first, Views)
    jsonschema.validate(whole, dict(schema_of(PACK)))
    turned = {**whole, "themes": whole["themes"][::-1], "sentiments": whole["sentiments"][::-1]}
    assert judge_known(json.dumps(turned, indent=1), KNOWN) == first
    assert {s.subject: s.score for s in first.sentiments} == {
        s["subject"]: s["score"] + 0.0 for s in whole["sentiments"]
    }


words = st.sampled_from(["themes", "sentiments", "risk_on", "quotes", "name", "AAPL", "M1", "rank"]) | st.text(
    max_size=5
)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | words
documents = st.recursive(leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=5))


@given(documents | st.fixed_dictionaries(dict.fromkeys(("themes", "sentiments", "risk_on", "quotes"), documents)))
@settings(max_examples=150, deadline=None)
def test_no_document_stops_the_gate(document: Any) -> None:
    """Any JSON at all: an answer or a refusal by a layer that owns it."""
    judged = judge_known(json.dumps(document), KNOWN)
    assert isinstance(judged, Views) or judged.layer in set(RULES) - {"gate"}


@given(st.text(st.characters(), max_size=60))
@settings(max_examples=100, deadline=None)
def test_no_text_stops_the_gate(text: str) -> None:
    """Any text at all, lone surrogates too."""
    judged = judge_answer(text, PACK)
    assert isinstance(judged, Rejected)
    assert judged.layer in {"text", "json", "shape"}
