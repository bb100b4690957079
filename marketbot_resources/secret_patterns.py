"""What a secret looks like in text, and what never is one. Pure. Not here: known secrets and who asks (`redaction`).

`hide` masks what a pattern recognises: it would rather mask a harmless word than leave a secret. Hashes, ids, numbers and
dates of the ledger are no match of any pattern, unless they stand as the value of a name that says secret.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

MASK = "[redacted]"
_PASSES_MAX = 4
# Repetitions are bounded where the same stretch of a text could be searched again from each of its places.
_FLAGS = re.VERBOSE | re.IGNORECASE | re.DOTALL

# A name that says that its value is a secret. It may end any longer name: aws_secret_access_key, refreshToken.
_NAME = r"""(?:
    (?:api|access|secret|private|signing|encryption|auth|master|shared|subscription|consumer|storage)[-_. ]?key
  | apca-api-[a-z-]+ | secrets? | token | passw(?:or)?d | passphrase | (?<![a-z0-9])pwd | credentials?
)(?:[-_]?(?:id|value))?"""
_HEADER = r"(?:(?:proxy-)?authorization|(?:set-)?cookie)"
_ACCOUNT = r"account[-_ ]?(?:number|num\b|no\b\.?|nr\b\.?|\#)"
# What stands between a name and its value: api_key=, "api_key": , api_key%3A, (b'api-key', b'
_SIGN = r"""(?:(?:\\*["'])?\]?[ \t]*(?:=>|[:=]|%3[ad])[ \t]*|\\*["'],[ \t]*(?=b?["']))"""
_QUOTED = r"""b?"(?:[^"\\]|\\.)*(?:"|\Z) | b?'(?:[^'\\\n]|\\.)*(?:'|(?=\n)|\Z)
    | (?P<escape>\\+)(?P<mark>["']).*?(?:(?<!\\)(?P=escape)(?P=mark)|\Z)"""
_BARE = r"""(?:[^\s&"'<>]|&(?![\w.%\[\]-]+=)|["'](?=\w))+"""
_OPENING = re.compile(r"b?\\*[\"']")

# What is ours: hashes, order and instrument ids, run ids, a Merkle root or a note's signature; numbers and dates.
_DATE = r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?)?"
_ID = r"(?-i:(?=\d*[a-f])[0-9a-f]{12,64}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|mb1-[a-z2-7]{26}|MB[A-Z0-9]{10})"
_OURS_INSIDE = re.compile(
    rf"""(?<![a-z0-9])(?:(?<=^—[ ])\S+[ ][a-z0-9+/]+=* | (?<![+/])[a-z0-9+/]{{43}}= | {_ID}
    | (?P<number>{_DATE}|[+-]?\d+(?:[.,]\d+)*(?:e[+-]?\d+)?))(?![a-z0-9])""",
    _FLAGS | re.MULTILINE,
)
_WHOLE_ID = rf"(?<![a-z0-9])(?:(?<![+/])[a-z0-9+/]{{43}}=|{_ID})(?![a-z0-9])"
_OURS_PART = re.compile(rf"[a-z_:.-]*(?:{_DATE}|{_ID}|\d{{1,4}})?", _FLAGS)


def is_secret_name(name: str) -> bool:
    """Whether a key of a JSON object says that its text is a secret."""
    return _SECRET_NAME.search(name) is not None


_SECRET_NAME = re.compile(rf"(?:{_NAME}|{_HEADER}|{_ACCOUNT})\Z", _FLAGS)


def is_ours(text: str, start: int, end: int) -> bool:
    """Whether a stretch of a text lies inside one of our own hashes or ids, or is a number or date or lies inside one."""
    for found in _OURS_INSIDE.finditer(text):
        if found.start() <= start and end <= found.end():
            return found.lastgroup == "number" or (start, end) != found.span()
    return False


def hide(text: str) -> str:
    """The text with everything masked that a pattern recognises, also what shows only once its neighbour is masked."""
    for _ in range(_PASSES_MAX):
        masked = _hide_once(text)
        if masked == text:
            break
        text = masked
    return text


def _hide_once(text: str) -> str:
    lower = text.lower()
    if _ANY_HINT.search(lower) is None:
        return text
    for pattern in _PATTERNS:
        if any(hint in lower for hint in pattern.hints):
            text = pattern.regex.sub(pattern.replace, text)
    return text


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One kind of secret; without one of its `hints`, in lower case, a text is not searched."""

    hints: tuple[str, ...]
    regex: re.Pattern[str]
    replace: Callable[[re.Match[str]], str]


def _whole(found: re.Match[str]) -> str:
    return MASK


def _second(found: re.Match[str]) -> str:
    """Keeps the first group and the quotes of the second one, and one of our ids, in which no name is looked for."""
    head, value = found.group(1), found.group(2)
    if head is None:
        return found.group()
    opening = _OPENING.match(value)
    if opening is None:
        return head + MASK
    mark = opening.group().lstrip("b")
    closed = len(value) > opening.end() and value.endswith(mark)
    return f"{head}{opening.group()}{MASK}{mark if closed else ''}"


def _second_unless_plain(found: re.Match[str]) -> str:
    """The same for a name that only says key: words, dates and our ids, also several of them, may be one."""
    parts = re.split("[/|]", found.group(2).rstrip(".,;:)"))
    return found.group() if all(_OURS_PART.fullmatch(part) for part in parts) else _second(found)


def _pattern(hints: str, regex: str, replace: Callable[[re.Match[str]], str], flags: int = _FLAGS) -> _Pattern:
    return _Pattern(tuple(hints.split()), re.compile(regex, flags), replace)


_NAME_HINTS = "key secret token passw pwd passphrase credential apca-api"
_PATTERNS = (
    _pattern("private", r"-----BEGIN[ ][A-Z0-9 ]*PRIVATE[ ]KEY-----.*?(?:-----END[ ][A-Z0-9 ]*-----|\Z)", _whole),
    _pattern("private", r"""PRIVATE(?:\+|%2B)KEY(?:\+|%2B)[^\s"'<>\\]+""", _whole),
    # user:password@ and token@ in any URL; a password may hold a slash, but a port is none
    _pattern(
        "://",
        r"""(://)((?:[^\s/?\#:@"'<>]{0,200}:(?!\d+(?:[/?\#\s]|\Z))[^\s"'<>]{0,1000}|[^\s/?\#"'<>]{1,1000})(?=@))""",
        _second,
    ),
    _pattern(
        "hook",
        r"""(https?://(?:[^\s/"'<>]{0,100}hook[^\s/"'<>]{0,100}|[^\s"'<>]{1,300}?/(?:web)?hooks?)/)([^\s"'<>]+)""",
        _second,
    ),
    _pattern(
        "authorization cookie",
        rf"""{_WHOLE_ID} | ({_HEADER}{_SIGN})({_QUOTED}|(?:[\w-]+[ \t]+)?[^\s"'<>]+(?:(?<=[,;])[ \t]*[\w-]+=[^\s"'<>]+)*)""",
        _second,
    ),
    _pattern(
        _NAME_HINTS,
        rf"""{_WHOLE_ID} | ({_NAME}{_SIGN})({_QUOTED}|(?:(?:bearer|basic|digest|token|apikey|negotiate)[ \t]+)?{_BARE})""",
        _second,
    ),
    _pattern(
        "secret token sig passw pwd credential",
        r"""([?&](?:[^\s=&?\#"'<>]*(?:secret|token|sig(?:nature)?(?![a-z])|passw|pwd|credential)[^\s=&?\#"'<>]*)=)([^\s&\#"'<>]+)""",
        _second,
    ),
    _pattern(
        "key",
        rf"""([?&](?:[^\s=&?\#"'<>]*key(?:id)?s?(?![a-z])[^\s=&?\#"'<>]*)=)(?!{_DATE}(?:[&\#\s]|\Z))([^\s&\#"'<>]+)""",
        _second,
    ),
    _pattern(
        "key",
        rf"""((?<![a-z0-9])key{_SIGN}\\*["']?)((?=[\w+/=.:|-]{{0,100}}\d)(?=[\w+/=.:|-]{{0,100}}[a-z])[\w+/=.:|-]{{16,}})""",
        _second_unless_plain,
    ),
    _pattern(
        "account",
        rf"""({_ACCOUNT}(?:{_SIGN}|[ \t]*)\\*["']?)(?!\d{{4}}-\d\d-\d\d)((?=[a-z0-9]*\d)[a-z0-9]{{4,}}(?:[ -]\d{{2,4}}(?![\d.-]))*
        | \d{{2,4}}(?:[ -]\d{{2,4}}(?![\d.-]))+)""",
        _second,
    ),
    # a credential behind its scheme; plain words (bearer securities, basic materials) are none
    _pattern(
        "bearer basic",
        r"""(\b(?i:bearer|basic)[ \t]+)(?!\d{4}-\d\d-\d\d|mb1-[a-z2-7]{26}\b|MB[A-Z0-9]{10}\b)
        ((?=\S*[A-Za-z])(?=[\w.~+/-]*(?:\d|=|[a-z][A-Z]))[\w.~+/-]{12,}=* | [\w.~+/-]{20,}=*)""",
        _second,
        re.VERBOSE,
    ),
    _pattern("akia asia", r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])", _whole, 0),
    _pattern("eyj", r"(?<![A-Za-z0-9])eyJ[\w-]{4,}\.[\w-]{4,}\.[\w-]*", _whole, 0),
    _pattern("sk- xox", r"(?<![A-Za-z0-9])(?:sk-[\w-]{16,}|xox[a-z]-[\w-]{8,})", _whole, 0),
)
_ANY_HINT = re.compile("|".join(sorted({re.escape(hint) for pattern in _PATTERNS for hint in pattern.hints})))
