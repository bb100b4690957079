"""Text of strangers as one plain line: no markup, no entities, no hidden characters. Pure; nothing is executed or looked up.

Markup is cut with what stands inside of script and style, entities become their characters, NFKC folds look-alike forms, control,
format, surrogate and private-use characters become nothing, white space one blank. Folding and decoding may uncover markup that
was hidden in them, so all is repeated until nothing changes. Not here: whether a headline is true.
"""

import html
import re
import unicodedata

ROUNDS_MAX = 1000
_BLOCK = re.compile(r"<(script|style)\b[^<>]*>.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_BREAK = re.compile(r"</?(br|p|div|li|ul|ol|tr|td|th|h[1-6])\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"<[/!?]?[a-zA-Z][^<>]*>|<!--.*?-->", re.DOTALL)


def clean_text(text: str) -> str:
    """The text as a reader of the page would see it, on one line."""
    for _ in range(ROUNDS_MAX):
        cleaned = _once(text)
        if cleaned == text:
            break
        text = cleaned
    return text


def _once(text: str) -> str:
    normal = unicodedata.normalize("NFKC", text)
    spaced = "".join(" " if character.isspace() else character for character in normal)
    kept = "".join(character for character in spaced if not unicodedata.category(character).startswith("C"))
    visible = _TAG.sub("", _BREAK.sub(" ", _BLOCK.sub(" ", kept)))
    return " ".join(html.unescape(visible).split())
