"""Sessions, opens and closes are the exchanges' own; the generated holidays agree with exchange_calendars."""

import datetime as dt
from pathlib import Path

import pytest

from marketbot_resources import calendars, holidays
from marketbot_resources.errors import UsageError
from marketbot_resources.make_holidays import FIRST, LAST, MICS, module_text
from marketbot_resources.mandate import parse_mandate

MANDATE = parse_mandate((Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8"))
DAY = dt.date


def test_generated_holidays_are_in_step() -> None:
    """`holidays.py` is what exchange_calendars says."""
    namespace: dict[str, object] = {}
    exec(module_text(), namespace)
    assert namespace["HOLIDAYS"] == holidays.HOLIDAYS


@pytest.mark.parametrize("mic", MICS)
def test_decision_sessions_equal_the_exchange_calendar(mic: str) -> None:
    """The light table and the calendar library give the same sessions."""
    last = min(LAST, DAY(2026, 6, 30))
    assert calendars.decision_sessions(mic, FIRST, last) == calendars.sessions(mic, FIRST, last)


@pytest.mark.parametrize(
    ("mic", "session", "close"),
    [
        ("XNYS", DAY(2018, 12, 24), "2018-12-24T18:00:00+00:00"),  # half day
        ("XNYS", DAY(2018, 12, 21), "2018-12-21T21:00:00+00:00"),
        ("XNYS", DAY(2018, 3, 9), "2018-03-09T21:00:00+00:00"),
        ("XNYS", DAY(2018, 3, 12), "2018-03-12T20:00:00+00:00"),  # after the switch to daylight saving
        ("XLON", DAY(2018, 12, 24), "2018-12-24T12:30:00+00:00"),
        ("XTKS", DAY(2018, 12, 25), "2018-12-25T06:00:00+00:00"),
        ("XHKG", DAY(2018, 12, 24), "2018-12-24T04:00:00+00:00"),
        ("BATS", DAY(2018, 12, 21), "2018-12-21T21:00:00+00:00"),
    ],
)
def test_closes_honour_half_days_and_daylight_saving(mic: str, session: dt.date, close: str) -> None:
    """Published closing times."""
    assert calendars.close_at(mic, session).isoformat() == close


def test_next_open_skips_other_exchanges_holidays() -> None:
    """After New York's half day, London opens on the 27th, Tokyo within hours, Hong Kong on the 27th."""
    cutoff = calendars.computed_cutoff(MANDATE.schedule, DAY(2018, 12, 24))
    assert cutoff.isoformat() == "2018-12-24T23:15:00+00:00"
    assert calendars.next_open("XLON", cutoff)[0] == DAY(2018, 12, 27)
    assert calendars.next_open("XTKS", cutoff)[0] == DAY(2018, 12, 25)
    assert calendars.next_open("XHKG", cutoff)[0] == DAY(2018, 12, 27)
    assert calendars.next_open("XNYS", cutoff)[0] == DAY(2018, 12, 26)


def test_national_day_of_mourning_is_no_session() -> None:
    """2018-12-05 was an unscheduled closure."""
    assert not calendars.is_session("XNYS", DAY(2018, 12, 5))
    assert calendars.previous_session(MANDATE.calendar, DAY(2018, 12, 6)) == DAY(2018, 12, 4)


@pytest.mark.parametrize(("mic", "day"), [("XNYS", DAY(2018, 12, 25)), ("NOPE", DAY(2018, 12, 24))])
def test_what_does_not_exist_is_refused(mic: str, day: dt.date) -> None:
    """A closed day or an unknown exchange is a usage error."""
    with pytest.raises(UsageError):
        calendars.close_at(mic, day)


def test_age_is_counted_in_own_sessions() -> None:
    """From the Friday to the Tuesday after a New York holiday, Tokyo aged two sessions and New York one."""
    friday, tuesday = DAY(2018, 1, 12), DAY(2018, 1, 16)
    assert calendars.sessions_between("XNYS", friday, tuesday) == 1
    assert calendars.sessions_between("XTKS", friday, tuesday) == 2
