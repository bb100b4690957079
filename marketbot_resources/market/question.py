"""What a price vendor's parser must know of its request, written into `Body.asked`, and the rule of `known_at`. Pure.

A bar or event has a rule instant: when its source can have shown it at the earliest (each vendor states its rule). With a
window (since, until] it is served as known at

- the rule instant, when that lies after `since`, or when `since` is None (the first load of history);
- `until`, when the rule instant lies at or before `since`: re-pulled, restated or late rows became known to us only now;
- not at all, when that instant lies after `until`.

Incremental requests start OVERLAP_SESSIONS before `since`, so that late and restated bars are seen.
"""

import datetime as dt
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

from marketbot_resources import calendars
from marketbot_resources.errors import ProviderError, UsageError
from marketbot_resources.market.venues import VENUES
from marketbot_resources.model import utc_text
from marketbot_resources.provider import Subject, Window

OVERLAP_SESSIONS = 5
DRIFT_DAYS, DRIFT_EVERY = 365, 61
HISTORY_FIRST = dt.date(calendars.FIRST_YEAR, 1, 1)
_LOOKBACK_DAYS = 21


@dataclass(frozen=True, slots=True)
class Listing:
    """One listing as asked: our id, its exchange and ticker, the vendor's symbol, the quotation currency (empty: unknown)."""

    source_id: str
    mic: str
    ticker: str
    symbol: str
    currency: str
    more: tuple[tuple[str, str], ...] = ()

    def told(self, name: str) -> str:
        """What we were told about the listing beforehand; empty when nothing."""
        return dict(self.more).get(name, "")

    def close_at(self, session: dt.date) -> dt.datetime:
        """The close; for a date on which the calendar knows no session, the end of that local day."""
        try:
            return calendars.close_at(self.mic, session)
        except UsageError:
            return local_instant(self.mic, session + dt.timedelta(days=1), 0)

    def open_at(self, session: dt.date) -> dt.datetime:
        """The open; for a date on which the calendar knows no session, the end of that local day."""
        try:
            return calendars.open_at(self.mic, session)
        except UsageError:
            return local_instant(self.mic, session + dt.timedelta(days=1), 0)

    def session_from(self, day: dt.date) -> dt.date:
        """The date itself when it is a session, else the next session; the date itself where no calendar is known."""
        try:
            found = calendars.sessions(self.mic, day, day + dt.timedelta(days=_LOOKBACK_DAYS))
        except UsageError:
            return day
        return found[0] if found else day


@dataclass(frozen=True, slots=True)
class Question:
    """The listings and the window of one request. `since` None: everything up to `until`."""

    provider: str
    listings: tuple[Listing, ...]
    since: dt.datetime | None
    until: dt.datetime

    def asked(self) -> dict[str, str]:
        """The form kept beside the body; `read` is its inverse."""
        rows = [[one.source_id, one.mic, one.ticker, one.symbol, one.currency, dict(one.more)] for one in self.listings]
        return {
            "listings": json.dumps(rows, separators=(",", ":"), sort_keys=True),
            "since": "" if self.since is None else utc_text(self.since),
            "until": utc_text(self.until),
        }

    @classmethod
    def read(cls, provider: str, asked: Mapping[str, str]) -> "Question":
        """What was asked. Raises ProviderError when it was not written by `asked`."""
        try:
            rows = json.loads(asked["listings"])
            listings = tuple(_listing(*row) for row in rows)
            since = dt.datetime.fromisoformat(asked["since"]) if asked["since"] else None
            return cls(provider, listings, since, dt.datetime.fromisoformat(asked["until"]))
        except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
            raise ProviderError(
                f"{provider}: expected what was asked (listings, since, until), found {error}"
            ) from error

    def known_at(self, rule_at: dt.datetime) -> dt.datetime | None:
        """When a row became known to us by the rule above, None when it is not served."""
        at = self.until if self.since is not None and rule_at <= self.since else rule_at
        return at if at <= self.until else None

    @property
    def only(self) -> Listing:
        """The listing of a request that serves one."""
        if len(self.listings) != 1:
            raise ProviderError(f"{self.provider}: expected one listing asked, found {len(self.listings)}")
        return self.listings[0]


def _listing(source_id: str, mic: str, ticker: str, symbol: str, currency: str, more: Mapping[str, str]) -> Listing:
    return Listing(source_id, mic, ticker, symbol, currency, tuple(sorted(more.items())))


def listing_of(subject: Subject, symbol: str) -> Listing:
    """A subject under a vendor's symbol."""
    more = tuple(sorted(subject.more.items()))
    return Listing(subject.source_id, subject.mic, subject.ticker, symbol, subject.currency, more)


def first_date(window: Window, mics: Sequence[str], source_id: str = "") -> dt.date:
    """The first date to ask for: OVERLAP_SESSIONS sessions of each exchange before `since`; HISTORY_FIRST without `since`.

    The one listing `source_id` is asked for DRIFT_DAYS back on one day in DRIFT_EVERY, a day of its own: whether a vendor
    still says of old days what it said then shows in `restatements`.
    """
    if window.since is None:
        return HISTORY_FIRST
    last = window.since.date()
    if source_id and zlib.crc32(source_id.encode()) % DRIFT_EVERY == window.until.toordinal() % DRIFT_EVERY:
        return max(HISTORY_FIRST, last - dt.timedelta(days=DRIFT_DAYS))
    return max(HISTORY_FIRST, min((_overlap(mic, last) for mic in sorted(set(mics))), default=last))


def _overlap(mic: str, last: dt.date) -> dt.date:
    try:
        found = calendars.sessions(mic, last - dt.timedelta(days=_LOOKBACK_DAYS), last)
    except UsageError:
        found = ()
    return found[-OVERLAP_SESSIONS] if len(found) >= OVERLAP_SESSIONS else last - dt.timedelta(days=_LOOKBACK_DAYS)


def local_instant(mic: str, day: dt.date, hour: int) -> dt.datetime:
    """A full local hour at an exchange, in UTC."""
    local = dt.datetime(day.year, day.month, day.day, hour, tzinfo=ZoneInfo(VENUES[mic].timezone))
    return local.astimezone(dt.UTC)


def lot_and_tick(subject: Subject) -> tuple[Decimal, Decimal] | None:
    """Smallest quantity and price step: as told, else the exchange's; None where the exchange's lots differ per share."""
    venue = VENUES.get(subject.mic)
    lot = _decimal(subject.more.get("quantity_step")) or (venue.lot if venue else None)
    tick = _decimal(subject.more.get("tick_size")) or (venue.tick if venue else None)
    return None if lot is None or tick is None else (lot, tick)


def _decimal(text: str | None) -> Decimal | None:
    try:
        value = Decimal(text) if text else None
    except InvalidOperation:
        return None
    return value if value is not None and value.is_finite() and value > 0 else None
