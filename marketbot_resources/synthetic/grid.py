"""Sessions of one exchange within a world, a few beyond its end, and where each stands among the days of the factors. Pure.

A factor day has three parts, as the sun goes: a session ends after the first (Asia), second (Europe) or third (America).
"""

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from marketbot_resources import calendars
from marketbot_resources.errors import UsageError

MARGIN = 70  # sessions beyond the end that announcements may point to
_MARGIN_DAYS, _MICROS, _HALF_DAY_SECONDS = 130, 1_000_000, 5 * 3600
_ASIA_UNTIL, _EUROPE_UNTIL = 11, 19  # hour of the close, UTC
PARTS = 3


@dataclass(frozen=True, slots=True)
class Grid:
    """Sessions of an exchange. `count` of them lie in the world, the rest after it. Instants in microseconds, UTC."""

    mic: str
    count: int
    sessions: tuple[dt.date, ...]
    days: NDArray[np.int32]  # of all sessions, since 1970
    opens: NDArray[np.int64]
    closes: NDArray[np.int64]
    half: NDArray[np.bool_]  # of the sessions in the world: at most five hours long
    ends: NDArray[np.int64]  # of the sessions in the world: parts of factor days that lie behind them

    def session(self, place: int) -> dt.date | None:
        """The session at a place, None beyond what is known."""
        return self.sessions[place] if place < len(self.sessions) else None


def factor_days(first: dt.date, last: dt.date) -> NDArray[np.int32]:
    """Weekdays from `first` to `last` as days since 1970."""
    days = np.arange(_day(first), _day(last) + 1, dtype=np.int32)
    return days[(days + 3) % 7 < 5]  # 1970-01-01 was a Thursday


def _day(date: dt.date) -> int:
    return (date - dt.date(1970, 1, 1)).days


@lru_cache(maxsize=128)
def grid_of(mic: str, first: dt.date, last: dt.date) -> Grid:
    """The grid of one exchange. Raises UsageError when the range holds no session of it."""
    known = calendars.sessions(mic, first, last + dt.timedelta(days=_MARGIN_DAYS))
    count = sum(day <= last for day in known)
    if count == 0:
        raise UsageError(f"synthetic world: expected a session of {mic} between {first} and {last}, found none")
    known = known[: count + MARGIN]
    opens = np.array([int(calendars.open_at(mic, day).timestamp()) for day in known], dtype=np.int64)
    closes = np.array([int(calendars.close_at(mic, day).timestamp()) for day in known], dtype=np.int64)
    hour = int(closes[0] % 86_400) // 3600
    part = 1 if hour < _ASIA_UNTIL else 2 if hour < _EUROPE_UNTIL else PARTS
    days = np.array([_day(day) for day in known], dtype=np.int32)
    weekdays = factor_days(first, last)
    places = np.searchsorted(weekdays, days[:count], side="right") - 1
    ends = np.maximum(PARTS * places + np.where(np.isin(days[:count], weekdays), part, PARTS), 0).astype(np.int64)
    half = (closes - opens)[:count] <= _HALF_DAY_SECONDS
    return Grid(mic, count, known, days, opens * _MICROS, closes * _MICROS, half, ends)
