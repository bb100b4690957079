"""An independent judge of accepted answers: a JSON reader of its own (RFC 8259, exact decimals) and the rules written once more.

Shares no line with the gate and knows the pack by its rows and by a table of who belongs to whom. Slow, plain, and only for tests.
It says whether an answer keeps every rule, and whether the gate's views say what the text says.
"""

from decimal import Decimal
from typing import Any

NUMBER_MARKS = "+-0123456789.eE"
THEMES = "commodities credit currency curve earnings geopolitics growth inflation monetary_policy regulation trend volatility"


class NotJsonError(Exception):
    """The text is no JSON document by the letter."""


class Reader:
    """Recursive descent over RFC 8259; objects as lists of pairs, so that a repeated key is seen; numbers as Decimal or "int"."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def whole(self) -> Any:
        found = self.value()
        self.blank()
        if self.at != len(self.text):
            raise NotJsonError("text after the document")
        return found

    def blank(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in " \t\n\r":
            self.at += 1

    def take(self, mark: str) -> bool:
        self.blank()
        if self.text.startswith(mark, self.at):
            self.at += len(mark)
            return True
        return False

    def need(self, mark: str) -> None:
        if not self.take(mark):
            raise NotJsonError(f"expected {mark} at {self.at}")

    def value(self) -> Any:
        if self.take("{"):
            return self.pairs()
        if self.take("["):
            return self.elements()
        if self.take('"'):
            return self.string()
        for word, meaning in (("true", True), ("false", False), ("null", None)):
            if self.take(word):
                return meaning
        return self.number()

    def pairs(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.take("}"):
            return found
        while True:
            self.need('"')
            key = self.string()
            if key in found:
                raise NotJsonError("a key twice")
            self.need(":")
            found[key] = self.value()
            if self.take("}"):
                return found
            self.need(",")

    def elements(self) -> list[Any]:
        found: list[Any] = []
        if self.take("]"):
            return found
        while True:
            found.append(self.value())
            if self.take("]"):
                return found
            self.need(",")

    def string(self) -> str:
        made = ""
        while True:
            if self.at >= len(self.text):
                raise NotJsonError("an open string")
            mark = self.text[self.at]
            self.at += 1
            if mark == '"':
                return made
            if ord(mark) < 32:
                raise NotJsonError("a control character")
            made += self.escaped() if mark == "\\" else mark

    def escaped(self) -> str:
        mark = self.text[self.at : self.at + 1]
        self.at += 1
        if mark == "u":
            digits = self.text[self.at : self.at + 4]
            if len(digits) != 4 or any(d not in "0123456789abcdefABCDEF" for d in digits):
                raise NotJsonError("a bad escape")
            self.at += 4
            return chr(int(digits, 16))
        plain = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
        if mark not in plain or not mark:
            raise NotJsonError("a bad escape")
        return plain[mark]

    def number(self) -> Decimal | int:
        start = self.at
        while self.at < len(self.text) and self.text[self.at] in NUMBER_MARKS:
            self.at += 1
        token = self.text[start : self.at]
        digits = token[1:] if token.startswith("-") else token
        whole, _, _ = digits.replace("e", "E").partition("E")
        left = whole.split(".")[0]
        legal = left.isdigit() and (left == "0" or not left.startswith("0")) and not whole.endswith(".")
        if not legal or token[-1:] in "eE+-." or token.startswith("+"):
            raise NotJsonError("no value")
        return int(token) if digits.isdigit() else Decimal(token)


def faults(text: str, rows: Any, belongs: dict[str, set[str]]) -> list[str]:
    """Every rule that an answer breaks; empty when it keeps all."""
    if len(text.encode("utf-8", "replace")) > 2**16:
        return ["size"]
    if any(ord(mark) > 126 or (ord(mark) < 32 and mark not in "\t\n\r") for mark in text):
        return ["characters"]
    try:
        whole = Reader(text).whole()
    except (NotJsonError, RecursionError, ArithmeticError):
        return ["json"]
    if type(whole) is not dict or sorted(whole) != ["quotes", "risk_on", "sentiments", "themes"]:
        return ["root"]
    found = []
    items = {row[0]: row for row in rows if row[1] != "SUBJECT"}
    names = {row[2]: row[3] for row in rows if row[1] == "SUBJECT" and row[3] in ("INSTRUMENT", "SECTOR", "COUNTRY")}
    for part in ("themes", "sentiments", "quotes"):
        if type(whole[part]) is not list:
            return [part]
    for one in whole["themes"]:
        found += _view(one, {"name", "rank", "direction", "confidence", "evidence"}, "direction", items)
    for one in whole["sentiments"]:
        found += _view(one, {"subject", "score", "confidence", "evidence"}, "score", items)
    if whole["risk_on"] is not None:
        found += _view(whole["risk_on"], {"score", "confidence", "evidence"}, "score", items)
    if found:
        return found
    if not whole["themes"] and not whole["sentiments"] and whole["risk_on"] is None:
        found.append("nothing said")
    found += _themes(whole["themes"])
    subjects = [one["subject"] for one in whole["sentiments"]]
    if (
        any(type(name) is not str for name in subjects)
        or len(subjects) != len(set(subjects))
        or any(name not in names for name in subjects)
    ):
        return [*found, "subjects"]
    for one in whole["sentiments"]:
        found += _resting(one, items, names[one["subject"]], belongs)
    return found + _numbers(whole["quotes"], items)


def _is_number(value: Any) -> bool:
    return type(value) in (int, Decimal)


def _view(one: Any, keys: set[str], score: str, items: Any) -> list[str]:
    if type(one) is not dict or set(one) != keys:
        return ["keys of a view"]
    if not _is_number(one[score]) or not _is_number(one["confidence"]):
        return ["numbers of a view"]
    if one[score] < -1 or one[score] > 1 or one["confidence"] < 0 or one["confidence"] > 1:
        return ["range of a view"]
    ids = one["evidence"]
    if type(ids) is not list or not 1 <= len(ids) <= 8 or any(type(item) is not str for item in ids):
        return ["evidence of a view"]
    return ["items of a view"] if len(set(ids)) < len(ids) or any(item not in items for item in ids) else []


def _themes(themes: Any) -> list[str]:
    if any(type(one["name"]) is not str or one["name"] not in THEMES.split() for one in themes):
        return ["names of themes"]
    if any(type(one["rank"]) is not int for one in themes) or len(themes) > 6:
        return ["ranks of themes"]
    ranks, names = {one["rank"] for one in themes}, {one["name"] for one in themes}
    return [] if ranks == {n + 1 for n in range(len(themes))} and len(names) == len(themes) else ["order of themes"]


def _resting(one: Any, items: Any, level: str, belongs: dict[str, set[str]]) -> list[str]:
    subject = one["subject"]
    if level == "INSTRUMENT":
        about = {subject} | belongs[subject]
    else:
        about = {subject} | {name for name, groups in belongs.items() if subject in groups}
    linked = [items[i] for i in one["evidence"] if items[i][3] in ("MARKET", "SERIES") or items[i][2] in about]
    if not linked:
        return ["nothing about the subject"]
    if -Decimal("0.5") <= one["score"] <= Decimal("0.5"):
        return []
    if any(row[1] == "FACT" and row[2] == subject for row in linked):
        return []
    if level != "INSTRUMENT" and any(row[1] == "MACRO" for row in linked):
        return []
    told: set[str] = set()
    for row in linked:
        if row[1] == "HEADLINE" and row[3] != "MARKET":
            told |= {name.strip().lower() for name in row[6].split(";")} - {""}
    return [] if len(told) >= 2 else ["one publisher"]


def _numbers(quotes: Any, items: Any) -> list[str]:
    if len(quotes) > 40:
        return ["many quotes"]
    seen = set()
    for one in quotes:
        if type(one) is not dict or set(one) != {"item", "value"} or not _is_number(one["value"]):
            return ["shape of a quote"]
        if type(one["item"]) is not str or one["item"] not in items or one["item"] in seen:
            return ["item of a quote"]
        seen.add(one["item"])
        value = items[one["item"]][5]
        if value is None:
            return ["a quote of no number"]
        shown = {5.2: "5.20", 12.0: "12", -0.034: "0.034", 0.0: "0.00", 20.1: "20.1"}[value]
        half = Decimal(1).scaleb(-len(shown.partition(".")[2])) / 2
        exact = Decimal(str(value))
        room = max(abs(exact) / 200, half) * (1 + Decimal("1e-8"))
        if abs(Decimal(one["value"]) - exact) > room:
            return ["value of a quote"]
    return []


def differing(text: str, views: Any) -> list[str]:
    """Where the gate's views say other things than the text (which keeps every rule)."""
    whole = Reader(text).whole()
    said = {("theme", one["name"]): (one["direction"], one["confidence"], one["evidence"]) for one in whole["themes"]}
    said |= {("sentiment", s["subject"]): (s["score"], s["confidence"], s["evidence"]) for s in whole["sentiments"]}
    if whole["risk_on"] is not None:
        one = whole["risk_on"]
        said["risk_on", "market"] = (one["score"], one["confidence"], one["evidence"])
    ranks = {one["rank"]: one["name"] for one in whole["themes"]}
    read = {("theme", t.name): (t.direction, t.confidence, t.evidence) for t in views.themes}
    read |= {("sentiment", s.subject): (s.score, s.confidence, s.evidence) for s in views.sentiments}
    if views.risk_on is not None:
        read["risk_on", views.risk_on.subject] = (views.risk_on.score, views.risk_on.confidence, views.risk_on.evidence)
    wrong = [] if set(said) == set(read) else ["subjects"]
    wrong += [] if [ranks.get(t.rank) for t in views.themes] == [t.name for t in views.themes] else ["ranks"]
    for key in set(said) & set(read):
        texts, numbers = said[key], read[key]
        same = all(type(n) is float and n == float(t) for t, n in zip(texts[:2], numbers[:2], strict=True))
        wrong += [] if same and tuple(texts[2]) == numbers[2] else [f"{key}"]
    return wrong
