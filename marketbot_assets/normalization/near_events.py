"""Corporate actions that change what an order means, close to the next auction: which listings are guarded (RC-24). Pure.

A split, a rename, a merger or a delisting between two own sessions changes the shares, the name or the price that an order speaks
of. Not here: what they do to prices (`action_effects`) and to the book (`marketbot_resources.corporate_actions`), listings that
end (`listing_ends`).
"""

import datetime as dt
from dataclasses import dataclass

import pandas as pd

from marketbot_assets.normalization.action_book import ActionBook, book_of, newest_versions
from marketbot_assets.normalization.listings import Listings, listings_of
from marketbot_resources.calendars import is_session, last_closed, next_open, sessions
from marketbot_resources.closures import NO_CLOSURES, Closed
from marketbot_resources.corporate_actions import CLOSED_DAYS_MAX, DELISTING, MERGER, RENAME, SPLIT

GUARDED_KINDS = frozenset({SPLIT, RENAME, MERGER, DELISTING})
LEAD = dt.timedelta(minutes=10)  # an auction closer than this is missed: the order is for the one after it


@dataclass(frozen=True, slots=True)
class NearEvent:
    """One event of one instrument in [t - 1, t + 1], t the last own session that had closed at the cutoff.

    `applied`: its ex session had begun by the cutoff, so that prices and shares already stand on its other side. `ratio`: new
    shares per old share.
    """

    instrument: str
    kind: str
    ex_session: dt.date
    ratio: float
    applied: bool


def near_events(
    actions: pd.DataFrame | ActionBook,
    instruments: pd.DataFrame | Listings,
    cutoff: dt.datetime,
    off: Closed = NO_CLOSURES,
) -> tuple[NearEvent, ...]:
    """Events known at the cutoff, sorted. `actions`: CORPORATE_ACTIONS rows; `instruments`: INSTRUMENTS; `off`: closures.

    Of several versions the last that was known counts; an ex date on which the exchange is closed counts on its next session.
    """
    day, span = cutoff.date(), dt.timedelta(days=CLOSED_DAYS_MAX)
    rows = newest_versions(book_of(actions).near(day - span, day + span, GUARDED_KINDS), cutoff)
    mics = listings_of(instruments).mics if rows else {}
    found = []
    for row in rows:
        mic = mics.get(row.instrument)
        if mic is None:
            continue
        first, last = _bounds(mic, cutoff, off)
        ex_session = _counted(mic, row.ex_session, last, off)
        if first <= ex_session <= last:
            applied = ex_session < last
            found.append(NearEvent(str(row.instrument), str(row.kind), ex_session, row.ratio, applied))
    return tuple(sorted(found, key=lambda event: (event.instrument, event.ex_session, event.kind)))


def _bounds(mic: str, cutoff: dt.datetime, off: Closed) -> tuple[dt.date, dt.date]:
    """(t - 1, t + 1) of an exchange."""
    closed = last_closed(mic, cutoff, off)
    before = sessions(mic, closed - dt.timedelta(days=CLOSED_DAYS_MAX), closed - dt.timedelta(days=1), off)
    return (before[-1] if before else closed), next_open(mic, cutoff + LEAD, off)[0]


def _counted(mic: str, day: dt.date, last: dt.date, off: Closed) -> dt.date:
    if day > last or is_session(mic, day, off):
        return day
    later = sessions(mic, day, last, off)
    return later[0] if later else day
