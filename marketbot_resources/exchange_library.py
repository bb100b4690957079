"""Sessions of one exchange out of exchange_calendars: what its calendars say, also where pandas no longer asks them.

pandas 3.1 reads two kinds of offsets no more that the library defines in Python: Orthodox Easter (Athens, Belgrade, Bucharest,
Nicosia) and weeks that change (Tel Aviv's Sundays, special Saturdays in Mumbai, Moscow, Seoul). Their rules are read here and
put before pandas as plain dates. Imports pandas: only on first use. Not here: questions about sessions (`calendars`).
"""

import datetime as dt
import importlib
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from marketbot_resources.easter import orthodox_easter_sunday
from marketbot_resources.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

Table = tuple[tuple[dt.date, ...], tuple[dt.datetime, ...], tuple[dt.datetime, ...]]

SAME_HOURS = {"ARCX": "XNYS", "BATS": "XNYS", "OOTC": "XNYS", "XASE": "XNYS", "XNAS": "XNYS", "XTSX": "XTSE"}
"""MICs that trade another exchange's sessions."""
NO_EXCHANGE = {
    "24/5": "never closes",
    "24/7": "never closes",
    "CMES": "opens its sessions on the evening before: futures",
    "IEPA": "opens its sessions on the evening before: futures",
    "us_futures": "opens its sessions on the evening before: futures",
}
"""Calendars of the library that no listing of shares can have, and why."""
_ORTHODOX_EASTER = ("ASEX", "XBEL", "XBSE", "XCYS")
_CHANGING_WEEKS = ("XBOM", "XKRX", "XMOS", "XTAE")


def known_mics() -> tuple[str, ...]:
    """Every MIC whose sessions the library knows, ascending."""
    import exchange_calendars

    own = set(exchange_calendars.get_calendar_names(include_aliases=False)) - set(NO_EXCHANGE)
    return tuple(sorted(own | set(SAME_HOURS)))


@lru_cache(maxsize=128)
def exchange_table(mic: str, first: dt.date, last: dt.date) -> Table:
    """(sessions, opens, closes) in [first, last], as far as the library vouches for them. Raises UsageError for no exchange."""
    import pandas as pd

    if mic in NO_EXCHANGE:
        raise UsageError(f"expected the MIC of an exchange that lists shares, found {mic!r}, which {NO_EXCHANGE[mic]}")
    if mic not in known_mics():
        raise UsageError(f"expected the MIC of a known exchange, found {mic!r}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pd.errors.Pandas4Warning)  # the library itself uses what pandas 4 will change
        schedule = _schedule(SAME_HOURS.get(mic, mic), pd.Timestamp(first), pd.Timestamp(last))
    opens = tuple(pd.DatetimeIndex(schedule["open"]).to_pydatetime())
    closes = tuple(pd.DatetimeIndex(schedule["close"]).to_pydatetime())
    days = tuple(stamp.date() for stamp in schedule.index)
    return days, tuple(at.astimezone(dt.UTC) for at in opens), tuple(at.astimezone(dt.UTC) for at in closes)


@lru_cache(maxsize=128)
def exchange_breaks(mic: str, first: dt.date, last: dt.date) -> tuple[tuple[dt.datetime, dt.datetime], ...]:
    """(begin, end) of every lunch break in [first, last], ascending; most exchanges have none."""
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pd.errors.Pandas4Warning)  # as in `exchange_table`
        schedule = _schedule(SAME_HOURS.get(mic, mic), pd.Timestamp(first), pd.Timestamp(last))
    breaks = schedule[["break_start", "break_end"]].dropna()
    pairs = zip(*(pd.DatetimeIndex(breaks[name]).to_pydatetime() for name in breaks), strict=True)
    return tuple((begin.astimezone(dt.UTC), end.astimezone(dt.UTC)) for begin, end in pairs)


def _schedule(mic: str, first: "pd.Timestamp", last: "pd.Timestamp") -> "pd.DataFrame":
    module = importlib.import_module(f"exchange_calendars.exchange_calendar_{mic.lower()}")
    kind = getattr(module, f"{mic}ExchangeCalendar")
    if mic in _ORTHODOX_EASTER:
        kind = _with_orthodox_easter(kind)
    lower, upper = kind.bound_min(), kind.bound_max()
    start, end = max(first, lower or first), min(last, upper or last)
    if mic in _CHANGING_WEEKS:
        kind = _with_changing_weeks(kind, start, end)
    frame: pd.DataFrame = kind(start=start, end=end).schedule
    return frame


def _with_orthodox_easter(kind: Any) -> Any:
    """The same calendar, its movable feasts as dates."""
    from exchange_calendars.exchange_calendar import HolidayCalendar

    class WithOrthodoxEaster(kind):  # type: ignore[misc]
        @property
        def regular_holidays(self) -> Any:
            return HolidayCalendar([rule for rule in super().regular_holidays.rules if _after_easter(rule) is None])

        @property
        def adhoc_holidays(self) -> list[Any]:
            movable = [day for rule in super().regular_holidays.rules for day in _orthodox_dates(rule)]
            return [*super().adhoc_holidays, *movable]

    return WithOrthodoxEaster


def _after_easter(rule: Any) -> int | None:
    """Days after Orthodox Easter of a holiday that moves with it; None for any other one."""
    from exchange_calendars.pandas_extensions.offsets import OrthodoxEaster

    offsets = rule.offset if isinstance(rule.offset, list) else []
    return int(offsets[1].n) if offsets and isinstance(offsets[0], OrthodoxEaster) else None


def _orthodox_dates(rule: Any) -> "Iterator[pd.Timestamp]":
    import pandas as pd

    days = _after_easter(rule)
    for year in range(1990, 2051) if days is not None else ():
        day = pd.Timestamp(orthodox_easter_sunday(year)) + pd.Timedelta(days=days)
        if (rule.start_date is None or day >= rule.start_date) and (rule.end_date is None or day <= rule.end_date):
            yield day


def _with_changing_weeks(kind: Any, start: "pd.Timestamp", end: "pd.Timestamp") -> Any:
    """The same calendar, every day without a session as a date."""
    import pandas as pd

    class WithChangingWeeks(kind):  # type: ignore[misc]
        @property
        def day(self) -> Any:
            regular = self.regular_holidays
            holidays = set(regular.holidays(start, end)) if regular is not None else set()
            holidays |= {pd.Timestamp(day).tz_localize(None).normalize() for day in self.adhoc_holidays}
            weeks: Sequence[tuple[Any, Any, str]] = self.special_weekmasks
            closed = [
                day
                for day in pd.date_range(start, end)
                if day in holidays or _mask(day, self.weekmask, weeks)[day.weekday()] == "0"
            ]
            return pd.offsets.CustomBusinessDay(weekmask="1111111", holidays=closed)

    return WithChangingWeeks


def _mask(day: "pd.Timestamp", usual: str, weeks: "Sequence[tuple[Any, Any, str]]") -> str:
    for since, until, mask in weeks:
        if (since is None or day >= since) and (until is None or day <= until):
            return mask
    return usual
