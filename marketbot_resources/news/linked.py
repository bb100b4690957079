"""What vendors of news share: which listings they know by which symbol, and headlines as rows. Pure.

A headline is kept as received, cut to HEADLINE_MAX characters: markup, entities and hidden characters are normalization's business.
Duplicates stay: each vendor's identifier is one headline, and one row per listing that the vendor links to it.
"""

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from marketbot_resources.provider import Columns, Subject, Window

HEADLINE_MAX, PUBLISHER_MAX, ID_MAX = 1000, 200, 300
SYMBOLS_PER_REQUEST = 50
SEEN_LATE = dt.timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Headline:
    """One headline, linked to one listing."""

    headline_id: str
    source_id: str
    headline: str
    publisher: str
    published_at: dt.datetime
    known_at: dt.datetime


def batches(
    subjects: Sequence[Subject], symbol_of: Callable[[str, str], str | None]
) -> list[tuple[tuple[Subject, ...], dict[str, str]]]:
    """Subjects that have a symbol, by source id, SYMBOLS_PER_REQUEST at a time, each batch with its symbol -> source id."""
    known = [
        (subject, symbol_of(subject.mic, subject.ticker)) for subject in sorted(subjects, key=lambda s: s.source_id)
    ]
    covered = [(subject, symbol) for subject, symbol in known if symbol]
    parts = [covered[n : n + SYMBOLS_PER_REQUEST] for n in range(0, len(covered), SYMBOLS_PER_REQUEST)]
    return [(tuple(s for s, _ in part), {symbol: s.source_id for s, symbol in part}) for part in parts]


def symbols_asked(symbols: Mapping[str, str]) -> dict[str, str]:
    """Symbol -> source id as a string for `Request.asked`."""
    return {"symbols": json.dumps(dict(sorted(symbols.items())))}


def symbols_of(asked: Mapping[str, str]) -> dict[str, str]:
    """What `symbols_asked` wrote."""
    symbols: dict[str, str] = json.loads(asked["symbols"])
    return symbols


def known_at(seen_at: dt.datetime, window: Window) -> dt.datetime | None:
    """When an article that the vendor saw at an instant became known to us, None when this window does not serve it.

    An article seen shortly before the window may have come to the vendor's pages after we had read them: it is served as
    known at the window's end, though some of these were served before, under the same identifier.
    """
    if seen_at > window.until:
        return None
    if window.since is None or seen_at > window.since:
        return seen_at
    return window.until if seen_at > window.since - SEEN_LATE else None


def columns(headlines: Iterable[Headline]) -> Columns:
    """RAW_NEWS columns, ascending by instant, identifier and listing."""
    rows = sorted(headlines, key=lambda row: (row.known_at, row.headline_id, row.source_id))
    return {
        "headline_id": [row.headline_id for row in rows],
        "source_id": [row.source_id for row in rows],
        "headline": [row.headline for row in rows],
        "publisher": [row.publisher for row in rows],
        "published_at": [row.published_at for row in rows],
        "known_at": [row.known_at for row in rows],
        "synthetic": [False] * len(rows),
    }
