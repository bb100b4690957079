"""Exchange calendars: sessions, opens, closes, half days. The only place where an exchange's local time is interpreted. Pure.

exchange_calendars is imported on first use (it drags pandas in); definitions use the generated table of holidays instead.
A session is a `datetime.date`, an instant an aware UTC datetime. `closed` are closures that the library does not know
(`Calendar.closed`): an argument and no global, so that a replay decides with the closures of the mandate of its session.
"""

import bisect
import datetime as dt
from collections.abc import Sequence
from functools import lru_cache
from zoneinfo import ZoneInfo

from marketbot_resources.closures import NO_CLOSURES, Closed
from marketbot_resources.errors import MandateError, UsageError
from marketbot_resources.exchange_library import Table, exchange_breaks, exchange_table
from marketbot_resources.holiday_table import weekday_holidays
from marketbot_resources.holidays import LAST as LAST_DATE
from marketbot_resources.mandate import Calendar, Schedule

FIRST_YEAR, RECENT_YEAR = 1997, 2012
_SATURDAY = 5
_NONE: frozenset[dt.date] = frozenset()


def _table(mic: str, day: dt.date, closed: Closed) -> Table:
    """(sessions, opens, closes) of one exchange: of all supported years, or of the recent ones when `day` lies well in them.

    Building the long table costs a quarter of a second per exchange and process; a session's run asks for recent days only.
    """
    return _years(mic, RECENT_YEAR if day.year > RECENT_YEAR else FIRST_YEAR, closed.get(mic, _NONE))


@lru_cache(maxsize=128)
def _years(mic: str, first_year: int, closed: frozenset[dt.date]) -> Table:
    if closed:
        known = _years(mic, first_year, _NONE)
        kept = [row for row in zip(*known, strict=True) if row[0] not in closed]
        return tuple(row[0] for row in kept), tuple(row[1] for row in kept), tuple(row[2] for row in kept)
    return exchange_table(mic, dt.date(first_year, 1, 1), LAST_DATE)


def sessions(mic: str, first: dt.date, last: dt.date, closed: Closed = NO_CLOSURES) -> tuple[dt.date, ...]:
    """Sessions of an exchange in [first, last], ascending."""
    days = _table(mic, first, closed)[0]
    return days[bisect.bisect_left(days, first) : bisect.bisect_right(days, last)]


def is_session(mic: str, day: dt.date, closed: Closed = NO_CLOSURES) -> bool:
    """Whether the exchange trades on that date."""
    days = _table(mic, day, closed)[0]
    at = bisect.bisect_left(days, day)
    return at < len(days) and days[at] == day


def open_at(mic: str, session: dt.date, closed: Closed = NO_CLOSURES) -> dt.datetime:
    """Opening instant of a session."""
    return _table(mic, session, closed)[1][_place(mic, session, closed)]


def close_at(mic: str, session: dt.date, closed: Closed = NO_CLOSURES) -> dt.datetime:
    """Closing instant of a session, half days honoured."""
    return _table(mic, session, closed)[2][_place(mic, session, closed)]


def _place(mic: str, session: dt.date, closed: Closed = NO_CLOSURES) -> int:
    days = _table(mic, session, closed)[0]
    at = bisect.bisect_left(days, session)
    if at >= len(days) or days[at] != session:
        raise UsageError(f"expected a session of {mic}, found {session}, on which it is closed")
    return at


def next_open(mic: str, after: dt.datetime, closed: Closed = NO_CLOSURES) -> tuple[dt.date, dt.datetime]:
    """The first session of the exchange that opens strictly after the instant, with its open."""
    days, opens, _ = _table(mic, after.date(), closed)
    at = bisect.bisect_right(opens, after)
    if at >= len(days):
        raise UsageError(f"expected a date before {days[-1]}, the end of the calendar of {mic}, found {after}")
    return days[at], opens[at]


def last_closed(mic: str, at: dt.datetime, closed: Closed = NO_CLOSURES) -> dt.date:
    """The last session of the exchange that had closed at the instant."""
    days, _, closes = _table(mic, at.date(), closed)
    place = bisect.bisect_right(closes, at)
    if place == 0:
        raise UsageError(f"expected a date after {days[0]}, the start of the calendar of {mic}, found {at}")
    return days[place - 1]


def session_at(mic: str, at: dt.datetime, closed: Closed = NO_CLOSURES) -> dt.date | None:
    """The session that trades at the instant, open and close included; None while the exchange is closed."""
    days, opens, closes = _table(mic, at.date(), closed)
    place = bisect.bisect_right(opens, at) - 1
    return days[place] if place >= 0 and at <= closes[place] else None


def trades_at(mic: str, at: dt.datetime, closed: Closed = NO_CLOSURES) -> bool:
    """Whether the exchange trades at the instant: within a session and outside of its lunch break."""
    session = session_at(mic, at, closed)
    if session is None:
        return False
    breaks = exchange_breaks(mic, dt.date(session.year, 1, 1), dt.date(session.year, 12, 31))
    return not any(begin <= at < end for begin, end in breaks)


def sessions_between(mic: str, first: dt.date, last: dt.date, closed: Closed = NO_CLOSURES) -> int:
    """Number of sessions in (first, last]: the age of a value of `first` seen on `last`."""
    days = _table(mic, first, closed)[0]
    return bisect.bisect_right(days, last) - bisect.bisect_right(days, first)


def weekdays_off(calendar: Calendar) -> frozenset[dt.date]:
    """Weekdays on which the decision calendar has no session: holidays and the mandate's closures.

    Raises MandateError for an exchange that cannot be a decision calendar, or bounds beyond what is known of it.
    """
    try:
        first, last, holidays = weekday_holidays(calendar.mic)
    except UsageError as error:
        raise MandateError(f"mandate: calendar.mic: {error}") from error
    if calendar.go_live < first or calendar.last_session > last:
        raise MandateError(
            f"mandate: calendar: expected go_live and last_session from {first} to {last}, within which the sessions of "
            f"{calendar.mic} are known, found {calendar.go_live} and {calendar.last_session}"
        )
    return holidays | calendar.closed.get(calendar.mic, _NONE)


def decision_sessions(calendar: Calendar | str, first: dt.date, last: dt.date) -> tuple[dt.date, ...]:
    """Sessions of the decision calendar in [first, last], as far as they are known, without loading a calendar library.

    `calendar`: of a mandate, with its closures; or the MIC alone.
    """
    mic = calendar if isinstance(calendar, str) else calendar.mic
    begin, end, closed = weekday_holidays(mic)
    extra = _NONE if isinstance(calendar, str) else calendar.closed.get(mic, _NONE)
    start = max(first, begin)
    days = (start + dt.timedelta(days=n) for n in range((min(last, end) - start).days + 1))
    return tuple(day for day in days if day.weekday() < _SATURDAY and day not in closed and day not in extra)


def decide_at(schedule: Schedule, session: dt.date) -> dt.datetime:
    """The instant at which the run of a session starts."""
    hour, minute = (int(part) for part in schedule.decide_at.split(":"))
    local = dt.datetime(session.year, session.month, session.day, hour, minute, tzinfo=ZoneInfo(schedule.timezone))
    return local.astimezone(dt.UTC)


def computed_cutoff(schedule: Schedule, session: dt.date) -> dt.datetime:
    """The cutoff that the replay clock stops at: the latest instant at which ingestion may end."""
    return decide_at(schedule, session) + dt.timedelta(minutes=schedule.landing_minutes_max)


def wall_clock_at(day: dt.date, at: dt.time, timezone: str) -> dt.datetime:
    """The instant at which clocks of a time zone show that date and time; the earlier one when they show it twice."""
    return dt.datetime.combine(day, at, tzinfo=ZoneInfo(timezone)).astimezone(dt.UTC)


def local_date(at: dt.datetime, timezone: str) -> dt.date:
    """The date that calendars of a time zone show at an instant."""
    return at.astimezone(ZoneInfo(timezone)).date()


def previous_session(calendar: Calendar, session: dt.date) -> dt.date:
    """The session of the decision calendar before this one, also before go-live."""
    return decision_sessions(calendar, session - dt.timedelta(days=15), session - dt.timedelta(days=1))[-1]


def cutoffs(calendar: Calendar, schedule: Schedule, days: Sequence[dt.date]) -> tuple[dt.datetime, ...]:
    """Computed cutoffs of several sessions."""
    return tuple(computed_cutoff(schedule, day) for day in days)
