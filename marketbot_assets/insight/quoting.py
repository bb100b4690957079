"""Words of strangers as data for a prompt: one line that cannot end its quotation, hide characters or spell a control token. Pure.

Headlines, publishers and issuers' names are written by others. They were made plain at normalization (`plain_text`); a prompt needs
more, because a model reads what a person does not see and a chat template gives marks a meaning.

- Structure does the work, not a list of forbidden words: each text is one JSON string on one line of a block whose borders carry
  the block's own hash (`prompt`). An author can neither know the hash beforehand nor write a line end, a quote or a backslash.
  Words such as "system:" or "ignore previous" stay: they are data, and a filter of words would only invite other words.
- Marks from which chat templates, code fences and JSON are built (quotes, brackets, backtick, bar, backslash, number sign) become
  plain ones: no text spells `<|im_start|>`, `[INST]` or a fence.
- Characters that are drawn as nothing go: control, format (zero-width, bidi, tags U+E0000 to U+E007F), variation selectors,
  fillers.
- A word that mixes alphabets which look alike, or that stands in another such alphabet than its text (but for plain Latin), becomes
  `(?)`: it may look like a name that it is not. So does a word of more than WORD_MAX characters: that is a payload, not a word.
- Addresses go: nothing follows them, and they carry nothing that a view needs.

Not here: which headlines are one story (`stories`), what an answer may say (`gate`).
"""

import re
import unicodedata
from collections import Counter

from marketbot_assets.normalization.plain_text import clean_text

WORD_MAX = 40
UNREADABLE = "(?)"
_ADDRESS = re.compile(r"\S*:/\S*|\b(?:javascript|data|mailto|vbscript):\S+|\bwww\.\S+", re.IGNORECASE)
_PATH = re.compile(r"\b[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}/\S*", re.IGNORECASE)
_BLANK = {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x2800, 0x3164, 0xFFA0}
_BLANK |= set(range(0xFE00, 0xFE10)) | set(range(0xE0100, 0xE01F0))
_MARKS = dict.fromkeys(_BLANK, "")
_MARKS |= dict.fromkeys(map(ord, "{[<\u2039\u00ab\u27e8\u300a"), "(") | dict.fromkeys(
    map(ord, "}]>\u203a\u00bb\u27e9\u300b"), ")"
)
_MARKS |= dict.fromkeys(map(ord, '"`\u201c\u201d\u201e\u2018\u2019\u201a\u00b4'), "'") | dict.fromkeys(
    map(ord, "|\\"), "/"
)
_MARKS |= {ord("#"): "No. ", 0x2028: " ", 0x2029: " "}
_LOOKALIKE = frozenset(
    {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU", "GEORGIAN", "DESERET", "WARANG"}
)
_ROUNDS_MAX = 10


def as_data(text: str, length_max: int) -> str:
    """The text on one line of at most `length_max` characters, cut at a word; the same again when applied again."""
    for _ in range(_ROUNDS_MAX):
        made = _once(text)
        if made == text:
            break
        text = made
    else:
        return UNREADABLE
    return _cut(text, length_max)


def _once(text: str) -> str:
    if text.isascii() and text.isprintable() and not _suspect(text):
        return " ".join(text.split())
    marked = clean_text(clean_text(text).translate(_MARKS))
    bare = _PATH.sub(" ", _ADDRESS.sub(" ", marked))
    alphabets = Counter(_alphabet(character) for character in bare if character.isalpha())
    main = max((name for name in alphabets if name in _LOOKALIKE), key=lambda name: (alphabets[name], name), default="")
    return " ".join(UNREADABLE if _unreadable(word, main) else word for word in bare.split())


_SUSPECT = re.compile(r'[{}\[\]<>"`|\\#&]|:/|:\S|www\.|\w/|\S{' + str(WORD_MAX + 1) + r"}", re.IGNORECASE)


def _suspect(text: str) -> bool:
    """Whether a printable ASCII text may need more than its white space folded."""
    return _SUSPECT.search(text) is not None


def _alphabet(character: str) -> str:
    """Script of a letter by its Unicode name; letters of phonetic and other rare Latin blocks count as a script of their own."""
    if character.isascii():
        return "LATIN"
    name = unicodedata.name(character, "UNKNOWN").split(" ", 1)[0]
    common = ord(character) < 0x0250 or 0x1E00 <= ord(character) < 0x1F00
    return "RARE" if name == "LATIN" and not common else name


def _unreadable(word: str, main: str) -> bool:
    """Whether a word is too long, or of another alphabet than its text's; plain Latin words are what they look like anywhere."""
    if len(word) > WORD_MAX or word.isascii():
        return len(word) > WORD_MAX
    alike = {_alphabet(character) for character in word if character.isalpha()} & (_LOOKALIKE | {"RARE"})
    return bool(alike - {main}) and alike != {"LATIN"}


def _cut(text: str, length_max: int) -> str:
    if len(text) <= length_max:
        return text
    whole = text[: length_max - 4].rsplit(" ", 1)
    return f"{whole[0].rstrip()} ..." if len(whole) == 2 else f"{text[: length_max - 3]}..."
