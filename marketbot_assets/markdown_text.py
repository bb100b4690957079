"""Text of strangers inside the Markdown of asset pages: no link, image, HTML or broken table comes of it. Pure.

A headline, a model's reason or a provider's message may hold Markdown. Escapes are not enough: a reader that makes links of bare
addresses looks at the text after its escapes were resolved. Inside a code span nothing is read, so such text is shown as one.
Not here: HTML (`audit.report_parts`), which text may be stored at all (`normalization.plain_text`).
"""

import re

CHARS_SHOWN = 240
_READ = re.compile(
    r"[\[\]`*~\\]|<[A-Za-z/!?]|&[#A-Za-z]|:/|www\.|\w@[\w-]+\.|\bmailto:|\bxmpp:|(?<!\w)_|_(?!\w)|^\s*(#|>|[-+] |\d+[.)] )",
    re.IGNORECASE,
)


def quoted(text: object, chars: int = CHARS_SHOWN) -> str:
    """The text as one code span on one line, cut at `chars`: nothing in it is read as Markdown. Empty for an empty text."""
    told = _one_line(text).replace("`", "'")
    told = told if len(told) <= chars else told[: chars - 1] + "…"
    return f"`{told}`" if told else ""


def fenced(text: str, language: str = "") -> str:
    """Lines as a code block that nothing in them can end."""
    told = "\n".join("".join(c if c.isprintable() else " " for c in line) for line in text.split("\n"))
    fence = "`" * (max((len(run) for run in re.findall(r"`+", told)), default=0) + 3)
    return f"{fence}{language}\n{told}\n{fence}"


def cell(text: object) -> str:
    """A text for a table's cell: as it is, or as a code span when Markdown would read something in it."""
    told = _one_line(text)
    return quoted(told, len(told)) if _READ.search(told) else told


def _one_line(text: object) -> str:
    """Without pipes, breaks and characters that cannot be printed (control, direction, zero width): those would break a table."""
    return "".join(c if c.isprintable() else " " for c in str(text).replace("|", "/")).strip()
