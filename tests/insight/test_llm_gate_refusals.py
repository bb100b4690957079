"""What a refusal says: the layer, the place, the rule; never a word of the answer. And what our own faults lead to."""

import json

import jsonschema
import pytest
from llm_gate_world import answer, pack_of, sentiment, text_of, theme

from marketbot_assets.insight.gate import RULES, Rejected, judge_answer, schema_of

PACK = pack_of()
GOOD = text_of()


def test_a_refusal_tells_the_rule_and_repeats_nothing() -> None:
    """No word of an answer gets into the next question: neither keys, names, ids nor text around it."""
    canary = "CANARY7"
    cases = [
        answer(**{canary: 1}),
        answer(themes=[theme(canary)]),
        answer(themes=[{**theme(), canary: canary}]),
        answer(sentiments=[sentiment(canary)]),
        answer(sentiments=[sentiment("AAPL", canary)]),
        answer(sentiments=[sentiment("AAPL", 0.1, 0.1, canary)]),
        answer(quotes=[{"item": canary, "value": 1}]),
        answer(risk_on=canary),
        canary,
    ]
    texts = [json.dumps(case) for case in cases] + [canary, GOOD + canary, f'{{"{canary}": 1, "{canary}": 2}}']
    for text in texts:
        judged = judge_answer(text, PACK)
        assert isinstance(judged, Rejected)
        assert canary not in judged.reason + judged.repair
        assert RULES[judged.layer] in judged.repair
        assert judged.reason in judged.repair
        assert "\n" not in judged.reason


def test_a_refusal_is_short_and_says_where() -> None:
    """Five faults are told, the rest counted; a path leads to each."""
    many = [sentiment(f"X{n}") for n in range(7)]
    judged = judge_answer(text_of(sentiments=many), PACK)
    assert isinstance(judged, Rejected)
    assert (
        judged.reason
        == "; ".join(f"sentiments[{n}] names nothing that may be named" for n in range(5)) + "; and 2 more"
    )
    five, six = (judge_answer(text_of(sentiments=many[:count]), PACK) for count in (5, 6))
    assert isinstance(five, Rejected)
    assert isinstance(six, Rejected)
    assert "more" not in five.reason
    assert six.reason == f"{five.reason}; and 1 more"
    wide = judge_answer("".join(chr(n) for n in range(0x4E00, 0x4E00 + 9000)), PACK)
    assert isinstance(wide, Rejected)
    assert len(wide.repair) < 1000


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (" " * 70_000, "the answer is larger than 65536 bytes"),
        ("{}\u202e", "a hidden or direction character U+202E"),
        ("\u00e9{}\x00", "a control character U+0000; a non-ASCII character U+00E9"),
        ("{} {}", "text after the JSON document, at character 3"),
        ('{"a": }', "no JSON document, at character 6"),
        ("[" * 50_000, "nested too deep"),
        ('{"a": NaN}', "NaN or Infinity is no JSON"),
        ('{"a": -Infinity}', "NaN or Infinity is no JSON"),
        ('{"a": 1, "a": 2}', "a key occurs twice in one object"),
        ("9" * 5000, "a number of too many digits"),
        ("[]", "the answer is no JSON object"),
        (
            "{}",
            "the answer lacks themes; the answer lacks sentiments; the answer lacks risk_on; the answer lacks quotes",
        ),
        (text_of(x=1), "the answer has a key that is not allowed"),
        (text_of(risk_on=3, themes=[0]), "themes[0] is no object; risk_on is no object"),
        (
            text_of(themes=[{**theme(), "rank": 1.5, "evidence": {}}]),
            "themes[0].rank is not an integer; themes[0].evidence is not a list of text",
        ),
        (text_of(quotes=[{"item": 1}]), "quotes[0] lacks value"),
        (text_of(themes=[{**theme(), "evidence": []}]), "themes[0].evidence is empty"),
        (text_of(sentiments=[sentiment()] * 9), "sentiments: 9 of at most 7"),
        (text_of(themes=[], sentiments=[], risk_on=None), "there is no view at all"),
        (text_of(themes=[theme(direction=2)]), "themes[0].direction is not in [-1, 1]"),
        (
            text_of(sentiments=[sentiment("US", -2, 2)]),
            "sentiments[0].score is not in [-1, 1]; sentiments[0].confidence is not in [0, 1]",
        ),
        (text_of(themes=[theme("credit", 2)]), "ranks of themes are not 1, 2, ... without a gap"),
        (
            text_of(quotes=[{"item": "X", "value": 1}]),
            "quotes[0].item is no fact, macro release or headline of the pack",
        ),
        (text_of(sentiments=[sentiment("DE", 0, 0, "H1")]), "sentiments[0].evidence holds nothing about its subject"),
        (text_of(quotes=[{"item": "F1", "value": 9}]), "quotes[0].value is not the number of its item"),
    ],
)
def test_reasons_are_words_for_people(text: str, reason: str) -> None:
    """Each fault with its place."""
    judged = judge_answer(text, PACK)
    assert isinstance(judged, Rejected)
    assert judged.reason == reason


def test_what_the_gate_cannot_judge_is_refused() -> None:
    """A fault of our own refuses; it neither accepts nor stops the session."""
    for text in (None, 3, b"{}"):
        judged = judge_answer(text, PACK)  # type: ignore[arg-type]
        assert isinstance(judged, Rejected)
        assert judged.layer == "gate"


def test_an_empty_pack_accepts_nothing() -> None:
    """Without items there is no evidence, without subjects nobody may be named; the schema stays a schema."""
    empty = pack_of(())
    judged = judge_answer(GOOD, empty)
    assert isinstance(judged, Rejected)
    jsonschema.Draft202012Validator.check_schema(dict(schema_of(empty)))
