"""First layers of the gate: from the text of an answer to a JSON document. Size, characters, JSON. Pure.

An answer holds names and ids of the pack and numbers, no prose: everything beyond printable ASCII is refused, and with it every
homoglyph, hidden, direction and tag character, byte-order mark and lone surrogate.
"""

import json
import unicodedata
from collections.abc import Mapping, Sequence

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
BYTES_MAX = 65_536
BREAKS = frozenset("\t\n\r")
LAST_ASCII = "\x7e"
CLASSES = {"Cf": "hidden or direction", "Cc": "control", "Cs": "lone surrogate", "Co": "private", "Cn": "unassigned"}


def too_large(text: str) -> list[str]:
    """What is wrong with the size: at most 64 KiB as UTF-8."""
    if len(text) > BYTES_MAX or len(text.encode("utf-8", "surrogatepass")) > BYTES_MAX:
        return [f"the answer is larger than {BYTES_MAX} bytes"]
    return []


def foreign_characters(text: str) -> list[str]:
    """Every character that is neither printable ASCII nor a JSON blank, once, by its code point and class."""
    foreign = sorted({c for c in text if not (" " <= c <= LAST_ASCII or c in BREAKS)})
    return [f"a {CLASSES.get(unicodedata.category(c), 'non-ASCII')} character U+{ord(c):04X}" for c in foreign]


def parsed(text: str) -> tuple[Json, list[str]]:
    """(document, what is wrong with the JSON): one document, no key twice, no NaN or Infinity, no endless nesting or digits."""
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant), []
    except json.JSONDecodeError as error:
        extra = error.msg == "Extra data"
        fault = "text after the JSON document" if extra else "no JSON document"
        return None, [f"{fault}, at character {error.pos}"]
    except RecursionError:
        return None, ["nested too deep"]
    except ValueError as error:
        return None, [str(error) if isinstance(error, _RefusedError) else "a number of too many digits"]


class _RefusedError(ValueError):
    """Valid for Python's reader, refused here; the message holds no text of the answer."""


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise _RefusedError("a key occurs twice in one object")
    return document


def _refuse_constant(_name: str) -> Json:
    raise _RefusedError("NaN or Infinity is no JSON")
