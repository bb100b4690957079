"""Sessions of the decision calendar as Dagster partitions, and the mapping to the session before.

Reads the mandate's `calendar` and `schedule` keys and nothing else; holidays come from the generated table.
"""

import datetime as dt
import warnings

import dagster as dg

from marketbot_resources import settings
from marketbot_resources.calendars import weekdays_off
from marketbot_resources.errors import MandateError
from marketbot_resources.mandate import Calendar, Schedule, parse_calendar

_WEEKENDS = ("0 0 * * 6", "0 0 * * 0")


def read_calendar() -> tuple[Calendar, Schedule]:
    """The mandate's calendar and schedule. Raises MandateError."""
    path = settings.mandate_path()
    try:
        return parse_calendar(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MandateError(f"mandate: expected a readable file at {path}, found: {error.strerror}") from error


def session_partitions(calendar: Calendar, schedule: Schedule) -> dg.DailyPartitionsDefinition:
    """One partition per session from go-live to the last session; weekends, holidays and closures are excluded."""
    every = weekdays_off(calendar)
    span = (day for day in sorted(every) if calendar.go_live <= day <= calendar.last_session)
    closed = [dt.datetime(day.year, day.month, day.day) for day in span]  # noqa: DTZ001  (Dagster wants naive dates)
    return dg.DailyPartitionsDefinition(
        start_date=calendar.go_live.isoformat(),
        end_date=(calendar.last_session + dt.timedelta(days=1)).isoformat(),
        timezone=schedule.timezone,
        exclusions=[*closed, *_WEEKENDS],
    )


CALENDAR, SCHEDULE = read_calendar()
sessions = session_partitions(CALENDAR, SCHEDULE)
warnings.filterwarnings(
    "ignore", category=dg.BetaWarning
)  # allow_nonexistent_upstream_partitions is pinned by our tests
warnings.filterwarnings("ignore", category=dg.PreviewWarning)  # partitions of a check: pinned by our tests, too
previous_session = dg.TimeWindowPartitionMapping(
    start_offset=-1, end_offset=-1, allow_nonexistent_upstream_partitions=True
)
