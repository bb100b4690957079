"""Which listings belong to a class that the restricted list (RC-03) may name. Pure.

A class is told by the words of the listing's name and by its exchange: no vendor that is asked serves it as a fact. A name that
hides what it is passes; the list of names is there for it.
"""

import re

_WORDS = {
    "leveraged": r"\b(?:leveraged|ultra(?:pro|short)?|[2345]x|(?:1\.25|1\.5|1\.75)x|daily (?:bull|bear)|lev(?:erage)? ?[2345])\b",
    "inverse": r"\b(?:inverse|short|ultrashort|bear|-[123]x)\b",
    "etn": r"\b(?:etns?|exchange[- ]traded notes?|ipath)\b",
    "spac": r"\b(?:spac|blank check|acquisition (?:corp(?:oration)?|co(?:mpany)?|inc|ltd|holdings)|acquisition [ivx]+)\b",
}
_PATTERNS = {name: re.compile(words, re.IGNORECASE) for name, words in _WORDS.items()}
_FUNDS_ONLY = frozenset({"leveraged", "inverse"})
_HARMLESS = re.compile(r"\b(?:ultra[- ]?)?(?:ultra|short)[- ]?(?:term|duration|maturity|dated|income)\b", re.IGNORECASE)
OTC_EXCHANGES = frozenset({"OTCM", "OTCB", "OTCQ", "PINX", "PINL", "PINI", "PSGM", "EXPM", "CAVE"})


def classes_of(name: str, mic: str, *, is_fund: bool) -> frozenset[str]:
    """The classes of one listing by its name and exchange; leveraged and inverse only for funds."""
    told = _HARMLESS.sub("", name)
    found = {
        label for label, pattern in _PATTERNS.items() if pattern.search(told) and (is_fund or label not in _FUNDS_ONLY)
    }
    return frozenset(found | ({"otc"} if mic in OTC_EXCHANGES else set()))
