"""Which session of a week rebalances: the mandate's weekday, moved when the exchange is closed, caught up when missed. Pure.

The rule is "modified following" (ISDA 2006 Definitions, 4.12) with the ISO week in the place of the month: the first session on
or after the weekday, and when the week has none left, its last session before. So every week with a session has one such day,
known from the calendar alone, and none has two. zipline's `week_start` and `week_end` count sessions of a week to the same end.
"""

import datetime as dt

from marketbot_resources.calendars import decision_sessions
from marketbot_resources.mandate import Calendar, Mandate

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday")


def rebalance_session(calendar: Calendar, weekday: str, day: dt.date) -> dt.date | None:
    """The session of the ISO week of `day` that the cadence names; None when the exchange is closed all week."""
    monday = day - dt.timedelta(days=day.weekday())
    week = decision_sessions(calendar, monday, monday + dt.timedelta(days=len(WEEKDAYS) - 1))
    wanted = monday + dt.timedelta(days=WEEKDAYS.index(weekday))
    return next((session for session in week if session >= wanted), week[-1] if week else None)


def is_rebalance(mandate: Mandate, session: dt.date, decided: dt.date | None = None) -> bool:
    """Whether the cadence rebalances on this session.

    `decided`: the newest session before it that the book decided (not skipped), None when there is none. When the week's own
    session was skipped, the next one of the same week that is decided takes its place, on its own data; a week never has two,
    and a missed week is not made up for. A session that was rejected or halted was decided: it had its turn.
    """
    if mandate.cadence == "daily":
        return True
    assert mandate.rebalance_weekday is not None, "a weekly mandate names its weekday"
    due = rebalance_session(mandate.calendar, mandate.rebalance_weekday, session)
    if due is None or session < due:
        return False
    return session == due or (decided is not None and decided < due)
