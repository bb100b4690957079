"""Whatever a stranger writes, an asset page shows it as text: read by another Markdown reader, it is no link, image or HTML."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from marketbot_assets.lineage import preview
from marketbot_assets.markdown_text import cell, fenced, quoted

ACTIVE = {"link_open", "image", "html_inline", "html_block", "em_open", "strong_open", "s_open", "heading_open"}
BARE = re.compile(r"https?:/|ftp:/|www\.|\w@[\w-]+\.", re.IGNORECASE)  # what a reader of bare addresses makes a link of
EVIL = (
    "![x](http://evil.example/p.png)",
    "[read this](http://evil.example)",
    "[read][1]",
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "<http://evil.example>",
    "http://evil.example/a",
    "HTTPS://EVIL.EXAMPLE",
    "www.evil.example",
    "write to ceo@evil.example now",
    "`` ` ``` end` [x](http://evil.example)",
    "a | b | c",
    "line\n\n| new | row |\n\n# heading",
    "**bold** ~~struck~~ _emphasis_",
    "&lt;b&gt; &#60;b&#62;",
    "\\",
    "`\\",
    "safe\u202egnp.evil",
    "[x]: http://evil.example",
)
PIECES = [
    *EVIL,
    "|",
    "`",
    "``",
    "\\",
    "\n",
    "<",
    ">",
    "[",
    "](",
    ")",
    "!",
    "_",
    "*",
    "~~",
    "&",
    ":",
    "//",
    "a",
    " ",
    "@",
    ".b",
    "\u2028",
]


def tokens(text: str) -> list[Token]:
    """All tokens of a Markdown text, those inside of lines as well."""
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    found = reader.parse(text)
    return [*found, *(child for token in found for child in token.children or ())]


def table(told: str) -> str:
    return f"| who | what | end |\n|---|---|---|\n| a | {told} | z |\n| b | second | y |"


def check(told: str) -> None:
    found = tokens(table(told))
    assert {token.type for token in found} & ACTIVE == set()
    assert [token.content for token in found if token.type == "text" and BARE.search(token.content)] == []
    assert [token.type for token in found].count("tr_open") == 3
    assert [token.type for token in found].count("td_open") == 6


@pytest.mark.parametrize("text", EVIL, ids=range(len(EVIL)))
@pytest.mark.parametrize("show", [cell, quoted])
def test_text_of_strangers_stays_text(text: str, show: object) -> None:
    """In a cell of a table: nothing is read, and the table keeps its rows and columns."""
    assert callable(show)
    check(str(show(text)))


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_any_mixture_stays_text(text: str) -> None:
    """Pieces of Markdown in any order."""
    check(cell(text))
    check(quoted(text))


@given(st.text(max_size=60))
def test_any_text_stays_text(text: str) -> None:
    """Any characters at all."""
    check(cell(text))
    check(quoted(text))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("XNAS:AAPL 0.0612 > 0.0500", "XNAS:AAPL 0.0612 > 0.0500"),
        ("bars_have_no_gaps", "bars_have_no_gaps"),
        ("local:tiny-1b@fp_7#views-1", "local:tiny-1b@fp_7#views-1"),
        ("a|b\nc", "a/b c"),
        ("see [1]", "`see [1]`"),
        ("", ""),
    ],
)
def test_plain_words_stay_as_they_are(text: str, told: str) -> None:
    """Only what Markdown would read is shown as code."""
    assert cell(text) == told


def test_a_quoted_text_is_cut() -> None:
    """A long text ends in an ellipsis inside of its code span."""
    assert quoted("x" * 30, 10) == "`xxxxxxxxx…`"


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_nothing_ends_a_block(text: str) -> None:
    """Lines of a prompt stay one code block, whatever runs of backticks are in them."""
    found = tokens(fenced(text, "diff") + "\n\nafter")
    assert [token.type for token in found if token.type != "inline"] == [
        "fence",
        "paragraph_open",
        "paragraph_close",
        "text",
    ]


def test_the_preview_of_every_asset_shows_text_of_strangers_as_text() -> None:
    """Headlines stand in the first rows on the page of `raw_news`: they are no links there either."""
    import pandas as pd

    found = tokens(preview(pd.DataFrame({"headline": list(EVIL[:8]), "n": range(8)})))
    assert {token.type for token in found} & ACTIVE == set()
    assert [token.content for token in found if token.type == "text" and BARE.search(token.content)] == []
