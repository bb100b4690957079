"""Headlines of strangers become plain lines: nothing hidden, nothing executable, nothing that a second reading would uncover."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbot_assets.normalization.plain_text import clean_text


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("AT&amp;T wins &#39;big&#39; contract", "AT&T wins 'big' contract"),
        ("<b>Ap</b>ple<br/>gains", "Apple gains"),
        ("x <script>alert('buy')</script> y", "x y"),
        ("x <STYLE type='a'>.buy{}</style > y", "x y"),
        ("&lt;script&gt;alert(1)&lt;/script&gt; news", "news"),
        ("\uff1cscript\uff1ealert(1)\uff1c/script\uff1e news", "news"),
        ("<scr\u200bipt>alert(1)</script> news", "news"),
        ("&amp;amp;lt;i&amp;amp;gt;x", "x"),
        ("a<!-- hidden -->b", "ab"),
        ("P/E < 10 and > 5", "P/E < 10 and > 5"),
        ("\u202egnp.exe", "gnp.exe"),
        ("buy\U000e0041\U000e0042 now\u2066", "buy now"),
        ("p\u00e4ck\tup", "p\u00e4ck up"),
        ("&#0; &#x202e; &#xD800;", "\ufffd \ufffd"),
    ],
)
def test_markup_entities_and_hidden_characters_go(text: str, plain: str) -> None:
    """S7 and S8: a reader, human or model, sees what a page would show, and only that."""
    assert clean_text(text) == plain


ATTACKS = st.lists(
    st.sampled_from(
        ["<", ">", "&", "lt;", "gt;", "amp;", "#60;", "script", "/", "b", " ", "\u200b", "\uff1c", "\uff1e", "\u202e"]
    ),
    max_size=40,
).map("".join)


@given(st.one_of(st.text(max_size=200), ATTACKS))
def test_a_second_cleaning_changes_nothing(text: str) -> None:
    """What comes out holds no tag, no hidden character, no decodable entity that hides one, and is one line."""
    plain = clean_text(text)
    assert clean_text(plain) == plain
    assert not re.search(r"<[/!?]?[a-zA-Z][^<>]*>", plain)
    assert not any(unicodedata.category(character).startswith("C") for character in plain)
    assert plain == " ".join(plain.split())
