"""Which listings are over or known to end, as of a cutoff: what may still be ordered in them. Pure.

Not here: what an end pays (`marketbot_resources.corporate_actions`), what it does to returns (`action_effects`).
"""

import datetime as dt
from dataclasses import dataclass

import pandas as pd

from marketbot_assets.normalization.action_book import ActionBook, book_of
from marketbot_assets.normalization.listings import Listings, listings_of
from marketbot_resources.calendars import next_open
from marketbot_resources.closures import NO_CLOSURES, Closed
from marketbot_resources.corporate_actions import ACQUIRED, DELISTING, ENDS, TRANSFER


@dataclass(frozen=True, slots=True)
class ListingEnds:
    """Instruments by what is known of their end.

    `ended`: no session of the listing is left after the cutoff: no order at all; held shares are valued by rule and wait.
    `ending`: an end is known and lies ahead: no buys. `leaving`: of these, delistings that nobody pays for: held shares are sold.
    """

    ended: frozenset[str] = frozenset()
    ending: frozenset[str] = frozenset()
    leaving: frozenset[str] = frozenset()


NO_ENDS = ListingEnds()


def listing_ends(
    actions: pd.DataFrame | ActionBook,
    instruments: pd.DataFrame | Listings,
    cutoff: dt.datetime,
    off: Closed = NO_CLOSURES,
) -> ListingEnds:
    """Ends known at the cutoff. `actions`: CORPORATE_ACTIONS rows; `instruments`: INSTRUMENTS of the session; `off`: closures."""
    rows, listed = [row for row in book_of(actions).of(ENDS) if row.known_at <= cutoff], listings_of(instruments)
    told = {row.instrument: row.ex_session for row in sorted(rows, key=lambda row: row.known_at)}
    out = {**{name: day + dt.timedelta(days=1) for name, day in listed.ends}, **told}
    mics = listed.mics if out else {}
    opens = {mic: next_open(mic, cutoff, off)[0] for mic in sorted({mics[name] for name in out if name in mics})}
    ended = frozenset(name for name, day in out.items() if name in mics and day <= opens[mics[name]])
    ending = frozenset(out) - ended
    paid = {row.instrument for row in rows if row.kind != DELISTING or row.other in (ACQUIRED, TRANSFER)}
    return ListingEnds(ended, ending, ending - paid)
