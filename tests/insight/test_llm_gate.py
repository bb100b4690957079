"""Every layer of the gate by a table of cases with the boundary and the first value beyond it; and what a refusal may say."""

import json
from typing import Any

import pytest
from llm_gate_world import answer, pack_of, sentiment, text_of, theme

from marketbot_assets.insight.gate import Rejected, Views, judge_answer, judge_known
from marketbot_assets.insight.gate_pack import known_of

PACK = pack_of()
KNOWN = known_of(PACK)
GOOD = text_of()


def layer_of(text: str) -> str:
    """Who refused, "" when accepted."""
    judged = judge_known(text, KNOWN)
    return judged.layer if isinstance(judged, Rejected) else ""


def of(**parts: Any) -> str:
    return layer_of(text_of(**parts))


def replaced(old: str, new: str) -> str:
    assert old in GOOD, "the case changes something"
    return layer_of(GOOD.replace(old, new, 1))


MATRIX = {
    "NaN score": ('"direction": -0.2', '"direction": NaN', "json"),
    "1e999 score": ('"direction": -0.2', '"direction": 1e999', "ranges"),
    "string score": ('"direction": -0.2', '"direction": "-0.2"', "shape"),
    "bool score": ('"direction": -0.2', '"direction": true', "shape"),
    "hallucinated ticker": ('"subject": "AAPL"', '"subject": "AAPLX"', "names"),
    "lower-case ticker": ('"subject": "AAPL"', '"subject": "aapl"', "names"),
    "homoglyph ticker": ('"subject": "AAPL"', '"subject": "\u0410APL"', "text"),
    "homoglyph as escape": ('"subject": "AAPL"', '"subject": "\\u0410APL"', "names"),
    "zero-width ticker": ('"subject": "AAPL"', '"subject": "AAPL\u200b"', "text"),
    "zero-width as escape": ('"subject": "AAPL"', '"subject": "AAPL\\u200b"', "names"),
    "duplicate key": ('"score": 0.3', '"score": 0.3, "score": 0.9', "json"),
    "duplicate key by escape": ('"score": 0.3', '"score": 0.3, "\\u0073core": 0.9', "json"),
    "extra key": ('"score": 0.3', '"action": "BUY", "score": 0.3', "shape"),
    "score 3": ('"score": 0.3', '"score": 3', "ranges"),
    "fence": (GOOD, f"```json\n{GOOD}\n```", "json"),
    "trailing prose": (GOOD, f"{GOOD} Hope this helps!", "json"),
    "two documents": (GOOD, f"{GOOD}\n{GOOD}", "json"),
    "truncated": (GOOD, GOOD[:-5], "json"),
    "deep nest": (GOOD, "[" * 30_000 + "]" * 30_000, "json"),
    "deep nest of objects": (GOOD, '{"a":' * 10_000, "json"),
    "null views": ('"sentiments": [', '"sentiments": null, "x": [', "shape"),
    "one megabyte": ('"AAPL"', f'"{"x" * 10**6}"', "size"),
    "500 digits": ('"score": 0.3', f'"score": {"1" * 500}', "ranges"),
    "5000 digits": ('"score": 0.3', f'"score": {"1" * 5000}', "json"),
}


@pytest.mark.parametrize("case", MATRIX)
def test_the_matrix_of_broken_answers(case: str) -> None:
    """What lax readers take (13 of the first 18) is refused, each by the layer that owns it."""
    old, new, layer = MATRIX[case]
    assert replaced(old, new) == layer


def test_an_acceptable_answer_is_read_as_it_stands() -> None:
    """Every field by hand; themes come by rank, sentiments by subject, whatever their order in the answer."""
    mixed = answer(themes=answer()["themes"][::-1], sentiments=answer()["sentiments"][::-1])
    for text in (GOOD, json.dumps(mixed), json.dumps(answer(), indent=3), f"\r\n\t {GOOD} \n"):
        views = judge_answer(text, PACK)
        assert isinstance(views, Views)
        assert [(t.name, t.rank, t.direction, t.confidence, t.evidence) for t in views.themes] == [
            ("volatility", 1, -0.2, 0.5, ("M1",)),
            ("growth", 2, 0.1, 0.4, ("F3", "H7")),
        ]
        assert [(s.subject, s.score, s.confidence, s.evidence) for s in views.sentiments] == [
            ("AAPL", 0.3, 0.6, ("H1", "F1")),
            ("Energy", -0.25, 0.5, ("H3",)),
        ]
        assert views.risk_on is not None
        assert (views.risk_on.subject, views.risk_on.score, views.risk_on.evidence) == ("market", -0.1, ("M1", "F3"))


def test_what_is_left_out_is_abstained() -> None:
    """One view is enough, of any kind; none at all is no answer. Integers are numbers, -0 is 0."""
    nothing: dict[str, Any] = {"themes": [], "sentiments": [], "risk_on": None, "quotes": []}
    assert of(**nothing) == "quantity"
    for kept in ("themes", "sentiments", "risk_on"):
        assert of(**{**nothing, kept: answer()[kept]}) == ""
    whole = judge_answer(text_of(sentiments=[sentiment("AAPL", -0.0, 1, "F1")], risk_on=None), PACK)
    assert isinstance(whole, Views)
    assert whole.risk_on is None
    assert str(whole.sentiments[0].score) == "0.0"
    assert type(whole.sentiments[0].confidence) is float
    zero = judge_answer(text_of(themes=[theme("credit", 1, -0.0, -0.0)], sentiments=[sentiment("US", 1, -0.0)]), PACK)
    assert isinstance(zero, Views)
    assert (
        str([zero.themes[0].direction, zero.themes[0].confidence, zero.sentiments[0].confidence]) == "[0.0, 0.0, 0.0]"
    )


def test_size_and_characters_at_their_bounds() -> None:
    """64 KiB pass and one byte more does not; of all characters only printable ASCII and JSON's blanks pass."""
    assert layer_of(GOOD + " " * (65_536 - len(GOOD))) == ""
    assert layer_of(GOOD + " " * (65_537 - len(GOOD))) == "size"
    assert layer_of(GOOD + "\u20ac" * ((65_536 - len(GOOD)) // 3 + 1)) == "size"
    assert layer_of(GOOD + "\u20ac" * ((65_536 - len(GOOD)) // 3)) == "text"
    for mark in "\t\n\r ":
        assert layer_of(GOOD + mark) == ""
    for mark in map(chr, range(33, 127)):
        assert layer_of(GOOD + mark) == "json"
    foreign = "\x00\x0b\x0c\x1f\x7f\x80\x85\xa0\xad\u0301\u0410\u200b\u200d\u202e\u2028\u2066"
    foreign += "\u3000\ufe0f\ufeff\uff21\ud800\ue000\U000e0041"
    for mark in foreign:
        assert layer_of(GOOD + mark) == "text", hex(ord(mark))
        assert layer_of(GOOD.replace("AAPL", f"AAPL{mark}", 1)) == "text", hex(ord(mark))


@pytest.mark.parametrize(
    ("parts", "layer"),
    [
        ({"themes": {}}, "shape"),
        ({"themes": None}, "shape"),
        ({"sentiments": "AAPL"}, "shape"),
        ({"quotes": 3}, "shape"),
        ({"risk_on": []}, "shape"),
        ({"risk_on": False}, "shape"),
        ({"risk_on": {"score": 0.1, "confidence": 0.5}}, "shape"),
        ({"risk_on": {**answer()["risk_on"], "rank": 1}}, "shape"),
        ({"themes": [theme(rank=True)]}, "shape"),
        ({"themes": [theme(rank=1.0)]}, "shape"),
        ({"themes": [theme(rank="1")]}, "shape"),
        ({"themes": [{**theme(), "name": 7}]}, "shape"),
        ({"themes": [["volatility"]]}, "shape"),
        ({"themes": [{**theme(), "evidence": "M1"}]}, "shape"),
        ({"themes": [{**theme(), "evidence": ["M1", 2]}]}, "shape"),
        ({"themes": [{**theme(), "evidence": [["M1"]]}]}, "shape"),
        ({"sentiments": [{**sentiment(), "score": None}]}, "shape"),
        ({"sentiments": [{**sentiment(), "confidence": "high"}]}, "shape"),
        ({"sentiments": [{**sentiment(), "weight": 0.1}]}, "shape"),
        ({"sentiments": [{"subject": "AAPL", "score": 0.1, "evidence": ["M1"]}]}, "shape"),
        ({"quotes": [{"item": "F1", "value": True}]}, "shape"),
        ({"quotes": [{"item": 1, "value": 5.2}]}, "shape"),
        ({"quotes": [{"item": "F1"}]}, "shape"),
        ({"note": "buy"}, "shape"),
        ({"themes": [theme(n, r) for r, n in enumerate("credit curve growth trend currency earnings".split(), 1)]}, ""),
        (
            {
                "themes": [
                    theme(n, r)
                    for r, n in enumerate("credit curve growth trend currency earnings inflation".split(), 1)
                ]
            },
            "quantity",
        ),
        ({"themes": [theme("credit", 1, 0, 0, "M1", "F1", "F2", "F3", "F4", "H1", "H2", "H3")]}, ""),
        ({"themes": [theme("credit", 1, 0, 0, "M1", "F1", "F2", "F3", "F4", "H1", "H2", "H3", "H4")]}, "quantity"),
        ({"themes": [{**theme(), "evidence": []}]}, "quantity"),
        ({"quotes": [{"item": f"F{n}", "value": 0} for n in range(41)]}, "quantity"),
        ({"quotes": [{"item": f"F{n}", "value": 0} for n in range(40)]}, "evidence"),
        ({"sentiments": [sentiment("AAPL")] * 7}, "uniqueness"),
        ({"sentiments": [sentiment("AAPL")] * 8}, "quantity"),
        ({"themes": [theme(direction=-1), theme("growth", 2, 1)]}, ""),
        ({"themes": [theme(direction=-1.0000001)]}, "ranges"),
        ({"themes": [theme(direction=1.0000001)]}, "ranges"),
        ({"themes": [theme(confidence=0)]}, ""),
        ({"themes": [theme(confidence=1)]}, ""),
        ({"themes": [theme(confidence=-1e-9)]}, "ranges"),
        ({"themes": [theme(confidence=1.0000001)]}, "ranges"),
        ({"themes": [theme(rank=0)]}, "ranges"),
        ({"themes": [theme(rank=-1)]}, "ranges"),
        ({"themes": [theme(rank=7)]}, "ranges"),
        ({"themes": [theme(rank=10**400)]}, "ranges"),
        ({"sentiments": [sentiment(score=-1.5)]}, "ranges"),
        ({"risk_on": {"score": 2, "confidence": 0.5, "evidence": ["M1"]}}, "ranges"),
        ({"risk_on": {"score": -1, "confidence": 1, "evidence": ["M1"]}}, ""),
        ({"quotes": [{"item": "F1", "value": 10**400}]}, "ranges"),
        ({"quotes": [{"item": "F1", "value": -(10**400)}]}, "ranges"),
        ({"themes": [theme("Volatility")]}, "names"),
        ({"themes": [theme("meme stocks")]}, "names"),
        ({"themes": [theme("")]}, "names"),
        ({"sentiments": [sentiment("TSLA")]}, "names"),
        ({"sentiments": [sentiment("S1")]}, "names"),
        ({"sentiments": [sentiment("market")]}, "names"),
        ({"sentiments": [sentiment("AAPL ")]}, "names"),
        ({"sentiments": [sentiment("volatility")]}, "names"),
        ({"themes": [theme("credit"), theme("credit", 2)]}, "uniqueness"),
        ({"themes": [theme("credit"), theme("curve", 1)]}, "uniqueness"),
        ({"themes": [theme("credit"), theme("curve", 3)]}, "uniqueness"),
        ({"themes": [theme("credit", 2)]}, "uniqueness"),
        ({"themes": [theme("credit", 2), theme("curve", 1)]}, ""),
        ({"sentiments": [sentiment("US"), sentiment("DE"), sentiment("US")]}, "uniqueness"),
        ({"sentiments": [sentiment("US", 0, 0, "M1", "M1")]}, "uniqueness"),
        ({"quotes": [{"item": "F1", "value": 5.2}, {"item": "F1", "value": 5.2}]}, "uniqueness"),
    ],
)
def test_shape_quantity_ranges_names_and_uniqueness(parts: dict[str, Any], layer: str) -> None:
    """Each case changes one thing of an acceptable answer."""
    assert of(**parts) == layer


@pytest.mark.parametrize(
    ("subject", "ids", "layer"),
    [
        ("AAPL", ["F1"], ""),
        ("AAPL", ["H1"], ""),
        ("AAPL", ["F2"], ""),  # its sector
        ("AAPL", ["H6"], ""),  # its country
        ("AAPL", ["F3"], ""),  # the market
        ("AAPL", ["M1"], ""),  # a series
        ("AAPL", ["H3"], "evidence"),  # another name of its country
        ("AAPL", ["H5"], "evidence"),  # another name of its sector
        ("AAPL", ["H3", "H5", "H1"], ""),  # one that speaks of it is enough
        ("SAP", ["H6"], "evidence"),  # another country
        ("XOM", ["F2"], "evidence"),  # another sector
        ("Technology", ["H5"], ""),  # a member
        ("Technology", ["H3"], "evidence"),
        ("Technology", ["H6"], "evidence"),  # a member's country
        ("US", ["H3"], ""),
        ("US", ["H5"], "evidence"),
        ("DE", ["H5"], ""),
        ("Energy", ["F4"], ""),
        ("AAPL", ["H99"], "evidence"),
        ("AAPL", ["h1"], "evidence"),
        ("AAPL", ["H1", "H99"], "evidence"),
        ("AAPL", ["S1"], "evidence"),  # a subject is no evidence
        ("AAPL", [""], "evidence"),
        ("AAPL", ["AAPL"], "evidence"),
        ("AAPL", ["https://evil.example/H1"], "evidence"),
    ],
)
def test_evidence_exists_and_speaks_of_its_subject(subject: str, ids: list[str], layer: str) -> None:
    """An id of the pack that says something, one of them about the subject, its sector, its country or the market."""
    assert of(sentiments=[sentiment(subject, 0.1, 0.5, *ids)]) == layer


@pytest.mark.parametrize("ids", [["F9"], ["S1"]])
def test_themes_risk_on_and_quotes_name_items_too(ids: list[str]) -> None:
    """The same rule wherever an id stands."""
    assert of(themes=[theme("credit", 1, 0, 0, *ids)]) == "evidence"
    assert of(risk_on={"score": 0, "confidence": 0, "evidence": ids}) == "evidence"
    assert of(quotes=[{"item": ids[0], "value": 0}]) == "evidence"


@pytest.mark.parametrize(
    ("item", "value", "layer"),
    [
        ("F1", 5.2, ""),
        ("F1", 5.226, ""),  # 0.5 % of 5.2 is 0.026
        ("F1", 5.174, ""),
        ("F1", 5.2261, "numbers"),
        ("F1", 5.1739, "numbers"),
        ("F1", -5.2, "numbers"),
        ("F1", 0.052, "numbers"),
        ("F1", 520, "numbers"),
        ("F2", 12, ""),
        ("F2", 12.5, ""),  # half a unit of "12"
        ("F2", 11.5, ""),
        ("F2", 12.51, "numbers"),
        ("F3", -0.034, ""),
        ("F3", -0.0345, ""),  # half a unit of "0.034"
        ("F3", -0.0335, ""),
        ("F3", -0.03451, "numbers"),
        ("F3", 0.034, "numbers"),
        ("F4", 0, ""),
        ("F4", 0.005, ""),
        ("F4", -0.0051, "numbers"),
        ("M1", 20.2, ""),  # 0.5 % of 20.1 is 0.1005
        ("M1", 20.21, "numbers"),
        ("M1", 19.4, "numbers"),  # a number of its text, but not its number
        ("H3", 100, "numbers"),  # an item without a number
        ("H1", 0, "numbers"),
    ],
)
def test_quoted_numbers_are_those_of_the_pack(item: str, value: float, layer: str) -> None:
    """Within 0.5 % or half a unit of the last digit shown; hand-computed at both bounds."""
    assert of(quotes=[{"item": item, "value": value}]) == layer


@pytest.mark.parametrize(
    ("subject", "ids", "strong"),
    [
        ("AAPL", ["H1"], "publishers"),
        ("AAPL", ["H1", "H4"], "publishers"),  # the same publisher twice
        ("AAPL", ["H2"], ""),  # one story of two publishers
        ("AAPL", ["H1", "H2"], ""),
        ("AAPL", ["H1", "H6"], ""),  # its country, another publisher
        ("AAPL", ["H1", "H7"], "publishers"),  # one about the market says nothing of it
        ("US", ["H6", "H7"], "publishers"),
        ("AAPL", ["H1", "H3"], "publishers"),  # one that does not speak of it
        ("AAPL", ["H7", "H5"], "publishers"),
        ("AAPL", ["H1", "F1"], ""),  # measured by us
        ("AAPL", ["F1"], ""),
        ("AAPL", ["H1", "F2"], "publishers"),  # a fact about its sector is none about it
        ("AAPL", ["H1", "F3"], "publishers"),
        ("AAPL", ["H1", "M1"], "publishers"),  # a series is none about it
        ("SAP", ["H5"], "publishers"),  # one publisher in two writings
        ("XOM", ["H8", "H3"], "publishers"),  # nobody is no publisher
        ("Technology", ["H1"], "publishers"),
        ("Technology", ["H1", "H5"], "publishers"),
        ("Technology", ["H2"], ""),
        ("Technology", ["M1"], ""),
        ("Technology", ["F1"], "publishers"),  # a fact about one member
        ("Technology", ["F2"], ""),
        ("US", ["H6"], "publishers"),
        ("US", ["H6", "H3"], ""),
        ("US", ["M1"], ""),
    ],
)
def test_a_strong_score_needs_two_publishers_or_a_fact(subject: str, ids: list[str], strong: str) -> None:
    """Beyond +-0.5, never at it; confidence does not matter."""
    for score, layer in ((0.5, ""), (-0.5, ""), (0.500001, strong), (-0.500001, strong), (1, strong)):
        for confidence in (0, 1):
            assert of(sentiments=[sentiment(subject, score, confidence, *ids)]) == layer


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("I1, Acme, Energy, US", {"Energy", "US"}),
        ("I1, Energy, US", {"Energy", "US"}),
        ("Energy, US", {"Energy", "US"}),
        ("I1, Acme, US", {"US"}),
        ("I1, Acme, Energy", {"Energy"}),
        ("I1, Energy Transfer, Technology, DE", {"Technology", "DE"}),
        ("I1, Toys R US, Technology, DE", {"Technology", "DE"}),
        ("I1, US, Energy, DE", {"Energy", "DE"}),
        ("I1, Acme, Green Energy, US", {"US"}),
        ("I1, Acme, Clean, Green Energy, US", {"Clean, Green Energy", "US"}),
        ("I1, Acme, Green Energy, Clean, Green Energy, US", {"Clean, Green Energy", "US"}),
        ("I1, Acme, Tech, Energy, US", {"Tech, Energy", "US"}),
        ("I1, Acme, US, Energy", {"Energy"}),
        ("I1, Acme, Energy, AUS", set()),
        ("I1", set()),
        ("", set()),
    ],
)
def test_an_instrument_belongs_to_the_end_of_its_text(text: str, groups: set[str]) -> None:
    """Sector, then country; a name that looks like one is none."""
    listed = [("S1", "Energy", "SECTOR"), ("S2", "Technology", "SECTOR"), ("S3", "Clean, Green Energy", "SECTOR")]
    listed += [("S4", "US", "COUNTRY"), ("S5", "DE", "COUNTRY"), ("S7", "Tech, Energy", "SECTOR")]
    rows = tuple((item, "SUBJECT", name, level, f"{level} of 1 names", None, "") for item, name, level in listed)
    known = known_of(pack_of((*rows, ("S6", "SUBJECT", "I1", "INSTRUMENT", text, None, ""))))
    assert known.related["I1"] == {"I1", *groups}
    assert {name for name, those in known.related.items() if "I1" in those} == {"I1", *groups}
