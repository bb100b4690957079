"""Ten thousand mutated answers: no crash, and everything accepted keeps every rule by a judge that shares no code with the gate."""

import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from answer_checker import differing, faults
from llm_gate_world import BELONGS, ROWS, answer, pack_of, sentiment, text_of, theme

from marketbot_assets.insight.gate import RULES, Rejected, judge_known
from marketbot_assets.insight.gate_pack import known_of

KNOWN = known_of(pack_of())
ITEMS = [row[0] for row in ROWS]
SUBJECTS = [row[2] for row in ROWS if row[1] == "SUBJECT"] + [
    "TSLA",
    "aapl",
    "\u0410APL",
    "AAPL\u200b",
    "volatility",
    "",
]
NAMES = ["credit", "curve", "growth", "trend", "volatility", "earnings", "hype", "Growth"]
NUMBERS = [
    0,
    1,
    -1,
    0.5,
    -0.5,
    0.51,
    -0.51,
    1.01,
    3,
    1e-9,
    1e308,
    10**400,
    True,
    None,
    "0.3",
    5.2,
    20.1,
    -0.034,
    2,
    [0.3],
]
NOISE = [
    '"',
    "{",
    "}",
    "\\",
    "\u202e",
    "\x00",
    "NaN",
    "-",
    "1e400",
    "null",
    ",",
    "[",
    "]",
    "\ud800",
    "0",
    "\U000e0041",
    "\ufeff",
    " ",
]
HOMOGLYPHS = str.maketrans({"A": "\u0410", "P": "\u0420", "S": "\u0405", "e": "\u0435", "1": "\uff11"})
Draw = random.Random


def base(draw: Draw) -> dict[str, Any]:
    """An answer that keeps the rules, or nearly: a mutation then tells one broken rule from the rest."""
    names = draw.sample(NAMES[:6], draw.randint(0, 4))
    themes = [
        theme(n, r, round(draw.uniform(-1, 1), 3), round(draw.random(), 3), "M1", "F3") for r, n in enumerate(names, 1)
    ]
    broad = {"AAPL": ["F1", "H1"], "XOM": ["F4", "H3"], "SAP": ["M1"], "Technology": ["H2"], "US": ["H6", "H3"]}
    subjects = draw.sample(sorted(broad), draw.randint(0, 4))
    views = [sentiment(s, round(draw.uniform(-0.7, 0.7), 2), round(draw.random(), 2), *broad[s]) for s in subjects]
    risk_on = draw.choice([None, {"score": 0.2, "confidence": 0.5, "evidence": ["M1"]}])
    quotes = draw.sample(
        [{"item": "F1", "value": 5.2}, {"item": "M1", "value": 20.1}, {"item": "F3", "value": -0.034}], 2
    )
    return answer(themes=themes, sentiments=views, risk_on=risk_on, quotes=quotes)


def objects(document: dict[str, Any]) -> list[dict[str, Any]]:
    listed = [
        one for part in ("themes", "sentiments", "quotes") for one in document.get(part) or [] if isinstance(one, dict)
    ]
    return listed + [document["risk_on"]] * isinstance(document.get("risk_on"), dict)


def swap_ids(document: dict[str, Any], draw: Draw) -> None:
    one = draw.choice(objects(document))
    ids = draw.choices(
        [*ITEMS, "H99", "h1"] if draw.random() < 0.3 else ITEMS[8:], k=draw.randint(0, 9) if draw.random() < 0.2 else 2
    )
    one["item" if "item" in one else "evidence"] = ids[0] if "item" in one and ids else ids


def change_number(document: dict[str, Any], draw: Draw) -> None:
    one = draw.choice(objects(document))
    key = draw.choice([key for key in one if key in ("rank", "direction", "score", "confidence", "value")] or ["score"])
    small = isinstance(one.get(key), float) and draw.random() < 0.6
    one[key] = round(one[key] * draw.choice([0.9, 0.996, 1.004, 1.006, -1, 2]), 6) if small else draw.choice(NUMBERS)


def rename(document: dict[str, Any], draw: Draw) -> None:
    one = draw.choice(objects(document))
    key = "name" if "name" in one else "subject"
    one[key] = draw.choice(NAMES if key == "name" else SUBJECTS)


def homoglyph(document: dict[str, Any], draw: Draw) -> None:
    one = draw.choice(objects(document))
    for key in ("subject", "name"):
        if key in one:
            one[key] = one[key].translate(HOMOGLYPHS)


def reorder(document: dict[str, Any], draw: Draw) -> None:
    for part in ("themes", "sentiments", "quotes"):
        draw.shuffle(document[part])


def repeat(document: dict[str, Any], draw: Draw) -> None:
    part = document[draw.choice(["themes", "sentiments", "quotes"])]
    if part:
        part.append(dict(draw.choice(part)))


def leave_out(document: dict[str, Any], draw: Draw) -> None:
    holder = draw.choice([document, *objects(document)])
    if draw.random() < 0.5 and document["sentiments"]:
        document["sentiments"].pop()
    else:
        holder.pop(draw.choice(sorted(holder)))


def add_key(document: dict[str, Any], draw: Draw) -> None:
    draw.choice([document, *objects(document)])[draw.choice(["action", "note", "score", "weight"])] = draw.choice(
        ["BUY", 0.1]
    )


def nest(document: dict[str, Any], draw: Draw) -> None:
    holder = draw.choice([document, *objects(document)])
    key = draw.choice(sorted(holder))
    holder[key] = draw.choice([[holder[key]], {"value": holder[key]}, None, str(holder[key]), {}])


def double_key(text: str, draw: Draw) -> str:
    key = draw.choice(['"score": ', '"confidence": ', '"subject": ', '"themes": '])
    return text.replace(key, f"{key}0.9, {key}", 1)


def wrap(text: str, draw: Draw) -> str:
    left, right = draw.choice(
        [("```json\n", "\n```"), ("Here: ", ""), ("", "\nHope this helps!"), ("\n", "  "), ("[", "]"), ("", text)]
    )
    return left + text + right


def noise(text: str, draw: Draw) -> str:
    for _ in range(draw.randint(1, 4)):
        place, kind = draw.randrange(len(text) + 1), draw.randrange(5)
        if kind == 0:
            text = text[:place] + text[place + 1 :]
        elif kind == 1:
            text = text[:place] + draw.choice(NOISE) + text[place:]
        elif kind == 2:
            text = (
                text[:place]
                + chr(draw.choice([draw.randrange(32, 127), draw.randrange(0x80, 0x2FFF)]))
                + text[place + 1 :]
            )
        elif kind == 3:
            text = text[:place]
        else:
            text = text[:place] + draw.choice("0123456789") + text[place + 1 :]
    return text


def deep(text: str, draw: Draw) -> str:
    return text.replace("[", "[" * draw.choice([2, 200, 5000, 70_000]), 1)


SHAPED: list[Callable[[dict[str, Any], Draw], None]] = [
    swap_ids,
    swap_ids,
    change_number,
    change_number,
    rename,
    homoglyph,
    reorder,
    repeat,
    leave_out,
    add_key,
    nest,
]
WRITTEN = [noise, noise, noise, double_key, wrap, deep]


def mutated(draw: Draw) -> str:
    """An answer changed once to three times in its structure, in its text, or in both."""
    document = base(draw)
    if draw.random() < 0.75:
        for _ in range(draw.randint(1, 3)):
            try:
                draw.choice(SHAPED)(document, draw)
            except (KeyError, IndexError, AttributeError, TypeError, ValueError, OverflowError):
                continue  # a change before it took away what this one changes
    text = json.dumps(document, ensure_ascii=draw.random() < 0.5)
    return draw.choice(WRITTEN)(text, draw) if draw.random() < 0.4 else text


def campaign(seed: int, count: int) -> tuple[Counter[str], list[str]]:
    """(outcomes by layer, accepted answers that break a rule or are read as something else)."""
    draw, outcomes, broken = random.Random(seed), Counter[str](), []
    for _ in range(count):
        text = mutated(draw)
        judged = judge_known(text, KNOWN)
        if isinstance(judged, Rejected):
            outcomes[judged.layer] += 1
            if not faults(text, ROWS, BELONGS):
                broken.append(f"refused by {judged.layer} without a fault: {text}")
        else:
            outcomes["accepted"] += 1
            wrong = faults(text, ROWS, BELONGS) or differing(text, judged)
            broken += [f"{wrong}: {text}"] if wrong else []
    return outcomes, broken


def test_ten_thousand_mutated_answers() -> None:
    """Gate and checker agree on every one, both ways; every layer had work to do, and acceptable ones were among them."""
    outcomes, broken = campaign(20181001, 10_000)
    assert broken[:3] == []
    assert outcomes.total() == 10_000
    assert outcomes["gate"] == 0
    assert outcomes["accepted"] >= 1000
    assert all(outcomes[layer] >= 10 for layer in set(RULES) - {"gate"}), outcomes


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
def test_a_hundred_thousand_more(seed: int) -> None:
    """Other seeds."""
    assert campaign(seed, 10_000)[1][:3] == []


BAD = {
    "size": text_of() + " " * 70_000,
    "a homoglyph": text_of().replace("AAPL", "\u0410APL", 1),
    "a key twice": text_of().replace('"score": 0.3', '"score": 0.3, "score": 0.3'),
    "not a number": text_of().replace("0.3", "NaN"),
    "a leading zero": text_of().replace("0.3", "00.3"),
    "text behind": text_of() + "x",
    "an open end": text_of()[:-1],
    "a key too many": text_of(note=1),
    "a bool": text_of(sentiments=[sentiment("AAPL", True)]),
    "a text": text_of(sentiments=[sentiment("AAPL", "0.1")]),
    "beyond": text_of(sentiments=[sentiment("AAPL", 1.1)]),
    "confidence": text_of(risk_on={"score": 0, "confidence": -0.1, "evidence": ["M1"]}),
    "a stranger": text_of(sentiments=[sentiment("TSLA")]),
    "a subject twice": text_of(sentiments=[sentiment(), sentiment()]),
    "a gap": text_of(themes=[theme(rank=2)]),
    "a fraction as rank": text_of(themes=[theme(rank=1.0)]),
    "an unknown theme": text_of(themes=[theme("hype")]),
    "no evidence": text_of(themes=[{**theme(), "evidence": []}]),
    "an unknown item": text_of(themes=[theme("credit", 1, 0, 0, "F9")]),
    "a subject as evidence": text_of(themes=[theme("credit", 1, 0, 0, "S1")]),
    "an item twice": text_of(themes=[theme("credit", 1, 0, 0, "M1", "M1")]),
    "about another": text_of(sentiments=[sentiment("AAPL", 0.1, 0.1, "H3")]),
    "one publisher": text_of(sentiments=[sentiment("AAPL", 0.9, 0.1, "H1", "H4")]),
    "a wrong number": text_of(quotes=[{"item": "F1", "value": 5.3}]),
    "a quote of nothing": text_of(quotes=[{"item": "H1", "value": 1}]),
    "nothing": text_of(themes=[], sentiments=[], risk_on=None),
    "other": json.dumps([answer()]),
}


@pytest.mark.parametrize("case", BAD)
def test_the_checker_refuses(case: str) -> None:
    """It can fail: every rule broken once."""
    assert faults(BAD[case], ROWS, BELONGS)


def test_the_checker_accepts_and_compares() -> None:
    """It can pass, and it sees views that are not those of the text."""
    views = judge_known(text_of(), KNOWN)
    assert faults(text_of(), ROWS, BELONGS) == []
    assert differing(text_of(), views) == []
    for parts in ({"themes": []}, {"sentiments": [sentiment("AAPL", 0.31, 0.6, "H1", "F1")]}, {"risk_on": None}):
        assert differing(text_of(**parts), views)
    turned = [theme(rank=2), theme("growth", 1, 0.1, 0.4, "F3", "H7")]
    assert differing(text_of(themes=turned), views) == ["ranks"]
