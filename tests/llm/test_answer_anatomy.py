"""Refused answers taken apart by hand: what of each would be accepted alone, and which layers find faults."""

import json

import pytest
from answer_anatomy import Anatomy, anatomy
from small_world import small_pack

from marketbot_assets.insight.gate import Rejected, judge_answer
from marketbot_assets.insight.gate_pack import known_of

GROWTH = {"name": "growth", "rank": 1, "direction": 0.2, "confidence": 0.5, "evidence": ["M1"]}
MARKET = {"score": -0.2, "confidence": 0.5, "evidence": ["M1"]}
RUMOUR = {"subject": "A1", "score": 0.9, "confidence": 0.5, "evidence": ["H1"]}  # strong, one publisher, no fact
BEYOND = {"subject": "A1", "score": 2.0, "confidence": 0.5, "evidence": ["F1"]}
NOTHING: dict[str, object] = {"themes": [], "sentiments": [], "risk_on": None, "quotes": []}


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ({"themes": [GROWTH, {**GROWTH, "rank": 2}]}, Anatomy(2, 0, 2, 1, ("uniqueness",), True)),
        ({"sentiments": [RUMOUR], "risk_on": MARKET}, Anatomy(2, 0, 1, 1, ("publishers",), True)),
        ({"themes": [GROWTH], "quotes": [{"item": "F1", "value": 5}]}, Anatomy(1, 1, 1, 1, ("numbers",), True)),
        (
            {"sentiments": [BEYOND, {**BEYOND, "subject": "Energy", "evidence": ["M1"]}]},
            Anatomy(2, 0, 0, 0, ("ranges",), False),
        ),
        ({"themes": [GROWTH], "quotes": [{"item": "X9", "value": 5}]}, Anatomy(1, 1, 1, 1, ("evidence",), True)),
        (
            {"themes": [GROWTH, {**GROWTH, "rank": 2}], "quotes": [{"item": "F1", "value": 5}]},
            Anatomy(2, 1, 2, 1, ("uniqueness", "numbers"), False),
        ),
        ({}, Anatomy(0, 0, 0, 0, ("quantity",), False)),
    ],
    ids=["twice", "rumour", "number", "beyond", "no item", "two faults", "nothing"],
)
def test_a_refused_answer_is_taken_apart(answer: dict[str, object], found: Anatomy) -> None:
    """Each answer is refused whole; its parts are counted as they would be judged alone."""
    pack, text = small_pack(), json.dumps({**NOTHING, **answer})
    assert isinstance(judge_answer(text, pack), Rejected)
    assert anatomy(text, known_of(pack)) == found


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"themes": []}', json.dumps({**NOTHING, "more": 1}), "\u0430"])
def test_what_has_no_shape_has_no_parts(text: str) -> None:
    """Nothing is counted of an answer that is not of the schema."""
    assert anatomy(text, known_of(small_pack())) is None
