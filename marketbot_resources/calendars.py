"""Exchange calendars: sessions, opens, closes, half days. The only place where a local time is interpreted. Pure.

exchange_calendars is imported on first use (it drags pandas in); definitions use `holidays` instead.
A session is a `datetime.date`, an instant an aware UTC datetime.
"""

import bisect
import datetime as dt
import warnings
from collections.abc import Sequence
from functools import lru_cache
from zoneinfo import ZoneInfo

from marketbot_resources.errors import UsageError
from marketbot_resources.holidays import HOLIDAYS
from marketbot_resources.mandate import Calendar, Schedule

FIRST_YEAR, RECENT_YEAR = 1997, 2012
LAST_DATE = dt.date(2027, 12, 31)
_SATURDAY = 5


Table = tuple[tuple[dt.date, ...], tuple[dt.datetime, ...], tuple[dt.datetime, ...]]


def _table(mic: str, day: dt.date) -> Table:
    """(sessions, opens, closes) of one exchange: of all supported years, or of the recent ones when `day` lies well in them.

    Building the long table costs a quarter of a second per exchange and process; a session's run asks for recent days only.
    """
    return _years(mic, RECENT_YEAR if day.year > RECENT_YEAR else FIRST_YEAR)


@lru_cache(maxsize=64)
def _years(mic: str, first_year: int) -> Table:
    import exchange_calendars
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pd.errors.Pandas4Warning)  # the library itself uses what pandas 4 will change
        try:
            calendar = exchange_calendars.get_calendar(mic, start=f"{first_year}-01-01")
        except exchange_calendars.errors.InvalidCalendarName as error:
            raise UsageError(f"expected the MIC of a known exchange, found {mic!r}") from error
    schedule = calendar.schedule
    opens = tuple(pd.DatetimeIndex(schedule["open"]).to_pydatetime())
    closes = tuple(pd.DatetimeIndex(schedule["close"]).to_pydatetime())
    days = tuple(stamp.date() for stamp in schedule.index)
    return days, tuple(_utc(at) for at in opens), tuple(_utc(at) for at in closes)


def _utc(at: dt.datetime) -> dt.datetime:
    return at.astimezone(dt.UTC)


def sessions(mic: str, first: dt.date, last: dt.date) -> tuple[dt.date, ...]:
    """Sessions of an exchange in [first, last], ascending."""
    days = _table(mic, first)[0]
    return days[bisect.bisect_left(days, first) : bisect.bisect_right(days, last)]


def is_session(mic: str, day: dt.date) -> bool:
    """Whether the exchange trades on that date."""
    days = _table(mic, day)[0]
    at = bisect.bisect_left(days, day)
    return at < len(days) and days[at] == day


def open_at(mic: str, session: dt.date) -> dt.datetime:
    """Opening instant of a session."""
    return _table(mic, session)[1][_place(mic, session)]


def close_at(mic: str, session: dt.date) -> dt.datetime:
    """Closing instant of a session, half days honoured."""
    return _table(mic, session)[2][_place(mic, session)]


def _place(mic: str, session: dt.date) -> int:
    days = _table(mic, session)[0]
    at = bisect.bisect_left(days, session)
    if at >= len(days) or days[at] != session:
        raise UsageError(f"expected a session of {mic}, found {session}, on which it is closed")
    return at


def next_open(mic: str, after: dt.datetime) -> tuple[dt.date, dt.datetime]:
    """The first session of the exchange that opens strictly after the instant, with its open."""
    days, opens, _ = _table(mic, after.date())
    at = bisect.bisect_right(opens, after)
    if at >= len(days):
        raise UsageError(f"expected a date before {days[-1]}, the end of the calendar of {mic}, found {after}")
    return days[at], opens[at]


def last_closed(mic: str, at: dt.datetime) -> dt.date:
    """The last session of the exchange that had closed at the instant."""
    days, _, closes = _table(mic, at.date())
    place = bisect.bisect_right(closes, at)
    if place == 0:
        raise UsageError(f"expected a date after {days[0]}, the start of the calendar of {mic}, found {at}")
    return days[place - 1]


def sessions_between(mic: str, first: dt.date, last: dt.date) -> int:
    """Number of sessions in (first, last]: the age of a value of `first` seen on `last`."""
    days = _table(mic, first)[0]
    return bisect.bisect_right(days, last) - bisect.bisect_right(days, first)


def decision_sessions(mic: str, first: dt.date, last: dt.date) -> tuple[dt.date, ...]:
    """Sessions of the decision calendar from the generated holiday table, without loading a calendar library."""
    if mic not in HOLIDAYS:
        raise UsageError(f"expected a decision calendar among {', '.join(sorted(HOLIDAYS))}, found {mic!r}")
    closed = HOLIDAYS[mic]
    days = (first + dt.timedelta(days=n) for n in range((last - first).days + 1))
    return tuple(day for day in days if day.weekday() < _SATURDAY and day not in closed)


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
    return decision_sessions(calendar.mic, session - dt.timedelta(days=15), session - dt.timedelta(days=1))[-1]


def cutoffs(calendar: Calendar, schedule: Schedule, days: Sequence[dt.date]) -> tuple[dt.datetime, ...]:
    """Computed cutoffs of several sessions."""
    return tuple(computed_cutoff(schedule, day) for day in days)
