"""Strict JSON: what passes is exactly what JSON allows, within sane sizes."""

import contextlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbot_resources.errors import ProviderError
from marketbot_resources.market.vendor_json import NUMBER_MAX, Json, decimal_number, read_json, shown, words

SANE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.floats(-1e15, 1e15)
    | st.text(max_size=20).filter(lambda text: text.isprintable()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(SANE)
def test_sane_json_survives_unchanged(value: object) -> None:
    """Strictness costs nothing that a vendor may say."""
    assert read_json("v", json.dumps({"value": value}).encode()).get("value").value == value


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_provider_error(content: bytes) -> None:
    """Whatever arrives, one error type leaves."""
    with contextlib.suppress(ProviderError):
        read_json("v", content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a":1,"a":1}', "the key 'a' twice"),
        (b'[{"b":{"c":1,"d":2,"c":3}}]', "the key 'c' twice"),
        (b"[NaN]", "the literal NaN"),
        (b"[-Infinity]", "the literal -Infinity"),
        (b"[1e999]", "the number 1e999"),
        (b"[1e16]", "the number 1e16"),
        (b"[" + b"9" * 5000 + b"]", "the number 999"),
        (b"[10000000000000000]", "the number 10000000000000000"),
        (b"[1,]", "expected JSON"),
        (b"[1] x", "expected JSON"),
        (b"\xef\xbb\xbf[1]", "expected JSON"),
        (b"<html>no</html>", "a page that says: no"),
        (b"\x1f\x8b\x08", "gzip"),
        (b'["\xff"]', "expected UTF-8"),
        (b"[" * 100_000, "deeper nesting"),
    ],
    ids=range(15),
)
def test_what_is_not_strict_json_is_refused(content: bytes, said: str) -> None:
    """Double keys, NaN, numbers beyond any price, pages and compressed bytes are no data."""
    with pytest.raises(ProviderError, match=said):
        read_json("v", content)


def test_values_are_checked_where_they_are_read() -> None:
    """Truth is no number, an empty text no name, a surrogate no text, a date has ten characters."""
    tree = {"t": True, "s": "\ud800", "e": "  ", "n": "1.5", "z": 0, "d": "2024-02-30", "x": 1.5, "nb": "A\u00a0 B"}
    body = Json(tree, "v", "body")
    for read in (
        lambda: body.get("t").number(),
        lambda: body.get("t").number(texts=True),
        lambda: body.get("n").number(),
        lambda: body.get("s").text(),
        lambda: body.get("e").name(),
        lambda: body.get("z").positive(),
        lambda: body.get("d").day(),
        lambda: body.get("x").seconds(),
        lambda: body.get("n").instant(),
        lambda: body.get("missing"),
        lambda: body.get("n").get("a"),
        lambda: body.get("n").rows(),
        lambda: body.rows(),
    ):
        with pytest.raises(ProviderError, match=r"^v: body"):
            read()
    assert body.get("n").number(texts=True) == 1.5
    assert body.get("nb").name() == "A B"
    assert math.isnan(Json(None, "v", "body").number_or_missing())


def test_numbers_in_texts_are_plain_decimals() -> None:
    """Float's own spellings (nan, inf, 1_000, blanks, other digits) are not numbers of a vendor."""
    for text in (
        "nan",
        "inf",
        "-Infinity",
        "1_000",
        " 1",
        "1 ",
        "0x10",
        "\u0661",
        "",
        "1,5",
        "1e999",
        "+1",
        ".5",
        "9" * 17,
    ):
        assert decimal_number(text) is None, text
    assert [decimal_number(text) for text in ("1", "-2.50", "1e3", "7.")] == [1.0, -2.5, 1000.0, 7.0]
    assert NUMBER_MAX == 1e15


@given(st.binary(max_size=6000))
def test_quoted_words_are_short_and_printable(content: bytes) -> None:
    """A message that quotes a vendor cannot break a log or a terminal."""
    said = words(content)
    assert said
    assert len(said) <= 123
    assert said.isascii()
    assert said.isprintable()
    assert len(shown(content.decode("latin1"))) <= 300
