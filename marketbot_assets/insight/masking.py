"""A context pack without names and dates: what a model says when it cannot remember what came next. Pure.

A back-test before a model's knowledge cut-off may read its memory and not the data. Asked again on the masked pack, a model that
judges the data says much the same; one that remembers says less. An ablation for research: no decision reads it.

What goes: tickers and issuers' names (of the universe; those of strangers in a headline stay), days, months and years, and
macro releases, whose levels date a session to the day. Instants keep their distances and end at NEWEST. Subjects' ids are
hashes and stay.
"""

import re

import pandas as pd

NEWEST = pd.Timestamp("2001-01-01", tz="UTC")
NAMELESS, UNDATED = "the company", "(date)"
_LEGAL = re.compile(
    r"[,\s]+(?:Incorporated|Inc|Corporation|Corp|Company|Co|plc|PLC|Ltd|Limited|AG|SE|N\.V|S\.A|K\.K|Group|Holdings)\.?$"
)
_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?)"
)
_DATE = re.compile(
    rf"\b{_MONTH}\.? \d{{1,2}}(?:st|nd|rd|th)?(?:,? (?:19|20)\d\d)?\b|\b\d{{1,2}} {_MONTH}(?: (?:19|20)\d\d)?\b"
    rf"|\b{_MONTH}\.? (?:19|20)\d\d\b|\b(?:19|20)\d\d(?:[-/]\d{{1,2}}){{0,2}}\b|\b\d{{1,2}}[-/]\d{{1,2}}[-/]\d{{2,4}}\b"
    rf"|\b(?:FY|CY)\s?'?\d{{2,4}}\b"
)


def masked(pack: pd.DataFrame) -> pd.DataFrame:
    """CONTEXT_PACK rows without names, dates and macro releases; places, item ids, subjects and numbers are the pack's."""
    kept = pack[pack["kind"] != "MACRO"].copy()
    own = kept[(kept["kind"] == "SUBJECT") & (kept["level"] == "INSTRUMENT")]
    named = sorted({name for text in own["text"] for name in _names(text)}, key=lambda name: (-len(name), name))
    known = re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in named)) if named else None
    texts = []
    for kind, level, text in zip(kept["kind"], kept["level"], kept["text"], strict=True):
        if kind == "SUBJECT" and level == "INSTRUMENT":
            text = ", ".join(_parts(text)[-2:])
        elif kind == "HEADLINE":
            text = _DATE.sub(UNDATED, known.sub(NAMELESS, text) if known else text)
        texts.append(text)
    kept["text"] = pd.array(texts, dtype="str")
    kept["known_at"] = kept["known_at"] - kept["known_at"].max() + NEWEST
    return kept.reset_index(drop=True)


def _parts(text: str) -> list[str]:
    """Ticker, name in one or more parts, sector, country."""
    return text.split(", ")


def _names(text: str) -> set[str]:
    """How a headline may call an instrument; a ticker of one letter is a word, not a name."""
    parts = _parts(text)
    name = ", ".join(parts[1:-2])
    short = name
    while (cut := _LEGAL.sub("", short)) != short:
        short = cut
    return {found for found in (parts[0], name, short) if len(found) > 1}
