"""Strict reading of JSON bodies: what is not exactly as expected becomes a ProviderError that names provider, field and row. Pure.

Refused at once: bodies that are empty, too large, compressed, HTML, or not UTF-8; keys that occur twice; NaN and Infinity;
numbers beyond what any price or count can be; texts with control characters. What a vendor says instead of data is quoted,
cleaned and short. Not here: what the fields mean.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from marketbot_resources.errors import ProviderError

SIZE_MAX = 20_000_000
NUMBER_MAX = 1e15
TEXT_MAX = 500
SECONDS_MAX = 5_000_000_000
_DIGITS_MAX = 30
_WORDS_MAX = 120
_TAGS = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_UNCLEAN = re.compile(r"[^\x20-\x7e]+")
NAN = math.nan


def words(content: bytes) -> str:
    """What a body says, for an error message: without markup, printable ASCII, at most some 120 characters."""
    text = _TAGS.sub(" ", content[:4000].decode("utf-8", "replace"))
    text = " ".join(_UNCLEAN.sub(" ", text).split())
    return (text[:_WORDS_MAX] + "...") if len(text) > _WORDS_MAX else text or "nothing readable"


def shown(value: object) -> str:
    """A value for an error message: ASCII, at most some 60 characters."""
    limit = 60
    text = ascii(
        value[:limit]
        if isinstance(value, str)
        else value
        if not isinstance(value, dict | list)
        else type(value).__name__
    )
    return text if len(text) <= limit else text[:limit] + "..."


def text_of(provider: str, content: bytes) -> str:
    """A text body. Raises ProviderError for what is no text of a sane size, or a web page."""
    if len(content) > SIZE_MAX:
        raise ProviderError(f"{provider}: expected at most {SIZE_MAX} bytes, found {len(content)}")
    if content[:2] == b"\x1f\x8b":
        raise ProviderError(f"{provider}: expected a body after decompression, found gzip")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ProviderError(f"{provider}: expected UTF-8, found other bytes at {error.start}") from error
    if text.lstrip()[:1] == "<":
        raise ProviderError(f"{provider}: expected data, found a page that says: {words(content)}")
    return text


def read_json(provider: str, content: bytes, *, number_max: float = NUMBER_MAX) -> Json:
    """The body as a tree whose values are checked when they are read; no number beyond `number_max`. Raises ProviderError."""
    text = text_of(provider, content)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=partial(_float, number_max),
            parse_int=partial(_int, number_max),
        )
    except RecursionError as error:
        raise ProviderError(f"{provider}: expected JSON of a sane depth, found deeper nesting") from error
    except json.JSONDecodeError as error:
        raise ProviderError(f"{provider}: expected JSON, found at {error.pos}: {words(content)}") from error
    except ValueError as error:
        raise ProviderError(f"{provider}: expected strict JSON, found {error}") from error
    return Json(value, provider, "body")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {shown(twice)} twice")
    return found


def _no_constant(literal: str) -> float:
    raise ValueError(f"the literal {literal}")


def _float(number_max: float, literal: str) -> float:
    value = float(literal)
    if not abs(value) <= number_max:
        raise ValueError(f"the number {literal[:40]}")
    return value


def _int(number_max: float, literal: str) -> int:
    if len(literal) > _DIGITS_MAX or not abs(int(literal)) <= number_max:
        raise ValueError(f"the number {literal[:40]}")
    return int(literal)


@dataclass(frozen=True, slots=True)
class Json:
    """One value of a body and where it stands. Every method raises ProviderError for a value of another form."""

    value: object
    provider: str
    place: str

    def wrong(self, expected: str) -> ProviderError:
        """The error for this value; the caller raises it."""
        return ProviderError(f"{self.provider}: {self.place}: expected {expected}, found {shown(self.value)}")

    def fields(self) -> Mapping[str, object]:
        """The object itself."""
        if not isinstance(self.value, dict):
            raise self.wrong("an object")
        return self.value

    def get(self, name: str) -> Json:
        """A field that must be there; it may be null."""
        found = self.fields()
        if name not in found:
            raise ProviderError(
                f"{self.provider}: {self.place}: expected the field {name}, found {shown(', '.join(sorted(found)[:8]))}"
            )
        return Json(found[name], self.provider, f"{self.place}.{name}")

    def maybe(self, name: str) -> Json | None:
        """A field, None when it is missing or null."""
        return None if self.fields().get(name) is None else self.get(name)

    def rows(self) -> list[Json]:
        """The items of an array."""
        if not isinstance(self.value, list):
            raise self.wrong("an array")
        return [Json(item, self.provider, f"{self.place}[{n}]") for n, item in enumerate(self.value)]

    def members(self) -> Iterator[tuple[str, Json]]:
        """Fields of an object whose names are data, in the order of their names."""
        for name in sorted(self.fields()):
            yield name, Json(self.fields()[name], self.provider, f"{self.place}.{shown(name)}")

    def has(self, name: str) -> bool:
        """Whether this is an object with that field."""
        return isinstance(self.value, dict) and name in self.value

    def demand(self, expected: str | int) -> None:
        """The value must be exactly this one."""
        if type(self.value) is not type(expected) or self.value != expected:
            raise self.wrong(repr(expected))

    def text(self, at_most: int = TEXT_MAX) -> str:
        """A text without control characters."""
        if not isinstance(self.value, str) or len(self.value) > at_most or not self.value.isprintable():
            raise self.wrong(f"a printable text of at most {at_most} characters")
        return self.value

    def prose(self, at_most: int) -> str:
        """A text as received, whatever its characters; only what cannot be stored as UTF-8 is refused."""
        if not isinstance(self.value, str) or len(self.value) > at_most:
            raise self.wrong(f"a text of at most {at_most} characters")
        try:
            self.value.encode()
        except UnicodeEncodeError as error:
            raise self.wrong("Unicode without lone surrogates") from error
        return self.value

    def whole(self) -> int:
        """A whole number, written without a point."""
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            raise self.wrong("a whole number")
        return self.value

    def name(self) -> str:
        """A name for people: runs of blanks of any kind become one blank; the rest as `text`, and not empty."""
        value = " ".join(self.value.split()) if isinstance(self.value, str) else self.value
        if not value:
            raise self.wrong("a name")
        return Json(value, self.provider, self.place).text()

    def number(self, *, texts: bool = False) -> float:
        """A finite number; with `texts` also a decimal number in quotes."""
        value = self.value
        if texts and isinstance(value, str):
            value = decimal_number(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong("a number")
        return float(value)

    def positive(self, *, texts: bool = False) -> float:
        """A number above zero."""
        value = self.number(texts=texts)
        if not value > 0:
            raise self.wrong("a number above zero")
        return value

    def number_or_missing(self, *, texts: bool = False) -> float:
        """A finite number; NaN for null: a missing value stays missing."""
        return NAN if self.value is None else self.number(texts=texts)

    def numbers(self, length: int) -> list[float]:
        """An array of `length` numbers, NaN for null."""
        if not isinstance(self.value, list) or len(self.value) != length:
            found = len(self.value) if isinstance(self.value, list) else shown(self.value)
            raise ProviderError(f"{self.provider}: {self.place}: expected an array of {length}, found {found}")
        for n, item in enumerate(self.value):
            if item is not None and (isinstance(item, bool) or not isinstance(item, int | float)):
                raise Json(item, self.provider, f"{self.place}[{n}]").wrong("a number or null")
        return [NAN if item is None else float(item) for item in self.value]

    def seconds(self) -> int:
        """An instant as whole seconds since 1970."""
        value = self.number()
        if not (value.is_integer() and abs(value) <= SECONDS_MAX):
            raise self.wrong("whole seconds since 1970")
        return int(value)

    def day(self) -> dt.date:
        """A date written YYYY-MM-DD."""
        text = self.text()
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            raise self.wrong("a date YYYY-MM-DD")
        try:
            return dt.date.fromisoformat(text)
        except ValueError as error:
            raise self.wrong("a date YYYY-MM-DD") from error

    def instant(self) -> dt.datetime:
        """An aware instant in ISO 8601, in UTC."""
        try:
            at = dt.datetime.fromisoformat(self.text())
            if at.tzinfo is None:
                raise self.wrong("an instant with its offset")
            return at.astimezone(dt.UTC)
        except (ValueError, OverflowError) as error:
            raise self.wrong("an ISO 8601 instant") from error


def decimal_number(text: str) -> float | None:
    """A plain decimal number of sane size in ASCII, None for anything else."""
    if not re.fullmatch(r"-?[0-9]{1,16}(?:\.[0-9]{0,20})?(?:[eE][+-]?[0-9]{1,2})?", text):
        return None
    value = float(text)
    return value if abs(value) <= NUMBER_MAX else None
