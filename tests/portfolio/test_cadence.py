"""Weekly cadence: which session of a week rebalances, around holidays and after skipped sessions; never two in a week."""

import datetime as dt
from collections import Counter
from functools import lru_cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_assets.portfolio.cadence import WEEKDAYS, is_rebalance, rebalance_session
from marketbot_resources.calendars import decision_sessions
from marketbot_resources.mandate import Calendar, Mandate, parse_mandate

TEXT = (Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8")
FIRST, LAST = dt.date(2014, 1, 6), dt.date(2026, 12, 25)  # a Monday and a Friday


@lru_cache
def weekly(weekday: str, mic: str = "XNYS") -> Mandate:
    found = parse_mandate(TEXT.replace("cadence: daily ", f"rebalance_weekday: {weekday}\ncadence: weekly "))
    return found.model_copy(update={"calendar": found.calendar.model_copy(update={"mic": mic})})


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


# Holidays as published by the exchanges, read off a calendar on paper.
@pytest.mark.parametrize(
    ("mic", "weekday", "week_of", "session"),
    [
        ("XNYS", "monday", "2019-05-23", "2019-05-20"),  # an ordinary week, seen from its Thursday
        ("XNYS", "monday", "2019-05-27", "2019-05-28"),  # Memorial Day
        (
            "XNYS",
            "friday",
            "2019-04-15",
            "2019-04-18",
        ),  # Good Friday: no session is left in the week, the one before it
        ("XNYS", "thursday", "2018-11-22", "2018-11-23"),  # Thanksgiving; Friday is a half day
        ("XNYS", "tuesday", "2018-12-24", "2018-12-26"),  # Christmas on a Tuesday
        ("XNYS", "tuesday", "2019-12-24", "2019-12-24"),  # Christmas Eve, a half day, is a session
        ("XNYS", "wednesday", "2019-12-25", "2019-12-26"),
        ("XNYS", "friday", "2020-12-21", "2020-12-24"),  # Christmas on a Friday
        ("XNYS", "friday", "2020-12-28", "2020-12-31"),  # New Year on a Friday: the week is of both years
        ("XNYS", "wednesday", "2018-12-05", "2018-12-06"),  # the day of mourning for President Bush
        ("XNYS", "monday", "2022-12-26", "2022-12-27"),  # Christmas observed
        ("XLON", "friday", "2019-04-15", "2019-04-18"),  # Good Friday
        ("XLON", "monday", "2019-04-22", "2019-04-23"),  # Easter Monday
        ("XLON", "wednesday", "2019-12-25", "2019-12-27"),  # Christmas and Boxing Day: two days in a row
        ("XLON", "thursday", "2024-12-26", "2024-12-27"),
        ("XLON", "thursday", "2020-12-21", "2020-12-24"),  # ordinary; Christmas is the Friday
        ("XTKS", "monday", "2018-12-31", "2019-01-04"),  # Tokyo opens on Friday, after four days without trading
        ("XTKS", "wednesday", "2019-01-02", "2019-01-04"),
        ("XTKS", "monday", "2019-05-06", "2019-05-07"),
        ("XTKS", "monday", "2019-05-01", None),  # Golden Week 2019: closed from Monday to Friday
    ],
)
def test_the_weekday_moves_to_the_next_session_of_its_week(
    mic: str, weekday: str, week_of: str, session: str | None
) -> None:
    """Modified following within the ISO week: forward, and back only when the week has nothing left."""
    calendar = weekly(weekday, mic).calendar
    assert rebalance_session(calendar, weekday, day(week_of)) == (day(session) if session else None)


def test_a_closure_of_the_mandate_counts_as_a_holiday() -> None:
    """Two days in a row, the second one known to the mandate alone."""
    calendar = weekly("monday").calendar
    more = calendar.model_copy(update={"closures": {"XNYS": (day("2019-05-28"),)}})
    assert rebalance_session(more, "monday", day("2019-05-27")) == day("2019-05-29")


@pytest.mark.parametrize(
    ("weekday", "session", "decided", "expected"),
    [
        ("monday", "2019-05-20", "2019-05-17", True),
        ("monday", "2019-05-21", "2019-05-20", False),  # Monday had its turn
        ("monday", "2019-05-21", "2019-05-17", True),  # Monday was skipped: Tuesday catches up
        ("monday", "2019-05-22", "2019-05-21", False),  # ... and Wednesday does not again
        ("monday", "2019-05-24", "2019-05-17", True),  # four days down: Friday
        ("monday", "2019-05-28", "2019-05-24", True),  # Memorial Day: Tuesday is the week's own
        ("monday", "2019-05-29", "2019-05-24", True),  # ... and was skipped
        ("wednesday", "2019-05-21", "2019-05-17", False),  # before its day nothing is missed
        ("wednesday", "2019-05-23", "2019-05-21", True),
        ("friday", "2019-04-18", "2019-04-17", True),  # Good Friday
        ("friday", "2019-04-22", "2019-04-17", False),  # a missed week is not made up for in the next one
        ("monday", "2019-05-23", None, False),  # the book opens in the middle of the week: nothing of it was missed
        ("monday", "2019-05-20", None, True),
        ("monday", "2019-05-21", "2019-04-01", True),  # weeks down: this week's alone
    ],
)
def test_a_skipped_session_is_caught_up_within_its_week(
    weekday: str, session: str, decided: str | None, expected: bool
) -> None:
    known = day(decided) if decided else None
    assert is_rebalance(weekly(weekday), day(session), known) is expected


def test_a_daily_mandate_rebalances_always() -> None:
    assert is_rebalance(parse_mandate(TEXT), day("2019-05-21"), day("2019-05-20"))


@pytest.mark.parametrize("mic", ["XNYS", "XLON", "XTKS", "XHKG"])
@pytest.mark.parametrize("weekday", WEEKDAYS)
def test_every_week_with_a_session_has_exactly_one(mic: str, weekday: str) -> None:
    """Thirteen years of weeks, nothing skipped; counted by the ISO week of the calendar on the wall."""
    mandate, sessions = weekly(weekday, mic), decision_sessions(mic, FIRST, LAST)
    before = [None, *sessions[:-1]]
    pairs = zip(sessions, before, strict=True)
    found = Counter(one.isocalendar()[:2] for one, last in pairs if is_rebalance(mandate, one, last))
    assert found == Counter({one.isocalendar()[:2] for one in sessions})


@given(st.sampled_from(WEEKDAYS), st.sets(st.integers(0, 59)), st.integers(0, 2900))
@settings(max_examples=40, deadline=None)
def test_never_two_in_a_week_whatever_is_skipped(weekday: str, skipped: set[int], start: int) -> None:
    """Of any sixty sessions with any of them skipped: at most one a week, one whenever a session from its day on was decided."""
    mandate = weekly(weekday)
    window = decision_sessions("XNYS", FIRST, LAST)[start : start + 60]
    decided: dt.date | None = window[0] - dt.timedelta(days=1)
    found: Counter[tuple[int, int]] = Counter()
    could = set()
    for place, session in enumerate(window):
        if place in skipped:
            continue
        week = session.isocalendar()[:2]
        found[week] += is_rebalance(mandate, session, decided)
        due = rebalance_session(mandate.calendar, weekday, session)
        if due is not None and session >= due and due >= window[0]:
            could.add(week)
        decided = session
    assert max(found.values(), default=0) <= 1
    assert {week for week in could if found[week] == 1} == could


def test_the_calendar_alone_decides_the_day() -> None:
    """The bounds of the mandate's own partitions change nothing: a backtest and a live home agree."""
    one = weekly("wednesday").calendar
    other = Calendar(mic="XNYS", go_live=day("2019-05-22"), last_session=day("2019-05-22"))
    assert rebalance_session(one, "wednesday", day("2019-05-20")) == rebalance_session(
        other, "wednesday", day("2019-05-20")
    )
