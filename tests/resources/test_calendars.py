"""Sessions, opens and closes are the exchanges' own; the generated holidays agree with exchange_calendars."""

import datetime as dt
import itertools
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from marketbot_resources import calendars, holidays
from marketbot_resources.easter import orthodox_easter_sunday
from marketbot_resources.errors import MandateError, UsageError
from marketbot_resources.exchange_library import exchange_table, known_mics
from marketbot_resources.holiday_table import decision_mics, refusal, weekday_holidays
from marketbot_resources.make_holidays import FIRST, LAST, TABLE_FIRST, encoded, module_text
from marketbot_resources.mandate import Calendar, parse_mandate

TEXT = (Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8")
MANDATE = parse_mandate(TEXT)
DAY = dt.date


def test_generated_holidays_are_in_step() -> None:
    """`holidays.py` is what exchange_calendars says."""
    assert module_text() == Path(holidays.__file__).read_text(encoding="utf-8")


def test_every_exchange_is_known_to_both_tables() -> None:
    """The quick list has exactly the exchanges of the library; those with Sundays are no decision calendars."""
    assert {mic for mic in known_mics() if refusal(mic) == ""} == set(known_mics())
    assert set(known_mics()) - set(decision_mics()) == {"XSAU", "XTAE"}
    assert len(decision_mics()) == 70


@pytest.mark.parametrize("mic", decision_mics())
def test_decision_sessions_equal_the_exchange_calendar(mic: str) -> None:
    """The light table and the calendar library give the same sessions from Monday to Friday, and none that nobody knows."""
    found = calendars.decision_sessions(mic, FIRST - dt.timedelta(days=400), LAST + dt.timedelta(days=400))
    assert found == tuple(day for day in calendars.sessions(mic, FIRST, LAST) if day.weekday() < 5)
    first, last, _ = weekday_holidays(mic)
    assert all(first <= day <= last for day in found)


@pytest.mark.parametrize("mic", known_mics())
def test_sessions_of_every_exchange_follow_one_another(mic: str) -> None:
    """Each opens before it closes, on its own local date, after the one before; at most 17 days apart but in a crisis."""
    days, opens, closes = exchange_table(mic, TABLE_FIRST, LAST)
    hours = list(zip(days, opens, closes, strict=True))
    assert all(opened < closed for _, opened, closed in hours)
    assert all(closed < following for (_, _, closed), (_, following, _) in itertools.pairwise(hours))
    assert all(dt.timedelta(hours=1) < closed - opened < dt.timedelta(hours=15) for _, opened, closed in hours)
    noons = (dt.datetime(day.year, day.month, day.day, 12, tzinfo=dt.UTC) for day in days)
    assert max(abs(opened - noon) for opened, noon in zip(opens, noons, strict=True)) < dt.timedelta(hours=16)
    gaps = sorted((b - a).days for a, b in itertools.pairwise(days))
    assert gaps[-2] <= 17
    assert gaps[-1] <= 40, "Athens in 2015 was closed longest"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("24/7", "never closes"), ("24/5", "never closes"), ("CMES", "futures"), ("IEPA", "futures"),
        ("us_futures", "futures"), ("NYSE", "known exchange"), ("NOPE", "known exchange"), ("xnys", "known exchange"),
    ],
)  # fmt: skip
def test_what_lists_no_shares_is_no_exchange(name: str, why: str) -> None:
    """Calendars that never close or belong to futures, and names that are no MIC, are refused with the reason."""
    with pytest.raises(UsageError, match=why):
        calendars.sessions(name, DAY(2018, 1, 1), DAY(2018, 2, 1))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("    XLON: all", "    CMES: all", "universe: .*found cmes, which opens its sessions on the evening before"),
        ("    XLON: all", "    NYSE: all", "universe: .*of an exchange whose calendar is known, found nyse"),
        ("go_live: 2018-10-01", "closures: {XXXX: []}, go_live: 2018-10-01", "calendar: .*found xxxx"),
    ],
)
def test_the_mandate_names_known_exchanges_only(old: str, new: str, said: str) -> None:
    """A listing on, or a closure of, an exchange without calendar is refused when the mandate is read."""
    assert old in TEXT
    with pytest.raises(MandateError, match=said):
        parse_mandate(TEXT.replace(old, new))


@pytest.mark.parametrize(
    ("mic", "last", "said"),
    [
        ("XTAE", "2022-12-28", "found 'XTAE', which has sessions on Sundays"),
        ("CMES", "2022-12-28", "found 'CMES', which is not among them"),
        ("XSES", "2027-06-30", "from 1998-01-01 to 2026-12-31, within which the sessions of XSES are known"),
        ("XNYS", "2028-01-03", "from 1998-01-01 to 2027-12-31"),
    ],
)
def test_a_decision_calendar_is_known_to_its_last_session(mic: str, last: str, said: str) -> None:
    """Nothing is decided on days of which nobody knows whether they are sessions."""
    bounds = Calendar(mic=mic, go_live=DAY(2018, 10, 1), last_session=DAY.fromisoformat(last))
    with pytest.raises(MandateError, match=said):
        calendars.weekdays_off(bounds)


def test_holidays_are_written_as_distances() -> None:
    """From the Monday of the first week: New Year 1998 is three weekdays on, Martin Luther King's day twelve further."""
    assert encoded(DAY(1998, 1, 1), [DAY(1998, 1, 1), DAY(1998, 1, 19)]) == "3C"
    assert encoded(DAY(1998, 1, 1), [DAY(1998, 3, 31)]) == "-4"


def test_orthodox_easter_is_the_eastern_one() -> None:
    """Another implementation gives the same Sundays."""
    from dateutil.easter import EASTER_ORTHODOX, easter

    years = range(1901, 2100)
    assert [orthodox_easter_sunday(year) for year in years] == [easter(year, EASTER_ORTHODOX) for year in years]


@pytest.mark.parametrize("mic", ["ASEX", "XBEL", "XBSE", "XCYS"])
@pytest.mark.parametrize("closed", [DAY(2024, 5, 3), DAY(2024, 5, 6), DAY(2021, 4, 30), DAY(2016, 5, 2)])
def test_orthodox_feasts_are_no_sessions(mic: str, closed: dt.date) -> None:
    """Good Friday and Easter Monday of the Eastern church (Easter: 2024-05-05, 2021-05-02, 2016-05-01)."""
    assert not calendars.is_session(mic, closed)
    assert calendars.is_session(mic, DAY(2024, 4, 10))


@pytest.mark.parametrize(
    ("mic", "session", "open_"),
    [
        ("XTAE", DAY(2025, 12, 28), True), ("XTAE", DAY(2025, 12, 26), False),  # Sunday to Thursday until 2026-01-04
        ("XTAE", DAY(2026, 1, 11), False), ("XTAE", DAY(2026, 1, 9), True),  # Monday to Friday since
        ("XBOM", DAY(2024, 1, 20), True), ("XBOM", DAY(2025, 2, 1), True), ("XBOM", DAY(2025, 2, 8), False),
        ("XMOS", DAY(2024, 12, 28), True), ("XMOS", DAY(2024, 12, 21), False),
    ],
)  # fmt: skip
def test_weeks_that_change(mic: str, session: dt.date, open_: bool) -> None:
    """Tel Aviv moved its week in 2026; Mumbai and Moscow traded on single Saturdays."""
    assert calendars.is_session(mic, session) is open_


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
        ("XNYS", DAY(2026, 3, 6), "2026-03-06T21:00:00+00:00"),
        ("XNYS", DAY(2026, 3, 9), "2026-03-09T20:00:00+00:00"),
        ("XNYS", DAY(2026, 10, 30), "2026-10-30T20:00:00+00:00"),
        ("XNYS", DAY(2026, 11, 2), "2026-11-02T21:00:00+00:00"),
        ("XLON", DAY(2026, 3, 27), "2026-03-27T16:30:00+00:00"),
        ("XLON", DAY(2026, 3, 30), "2026-03-30T15:30:00+00:00"),
        ("XETR", DAY(2026, 10, 23), "2026-10-23T15:30:00+00:00"),
        ("XETR", DAY(2026, 10, 26), "2026-10-26T16:30:00+00:00"),
        ("XASX", DAY(2026, 4, 2), "2026-04-02T05:00:00+00:00"),
        ("XASX", DAY(2026, 4, 7), "2026-04-07T06:00:00+00:00"),
        ("XTKS", DAY(2024, 11, 1), "2024-11-01T06:00:00+00:00"),
        ("XTKS", DAY(2024, 11, 5), "2024-11-05T06:30:00+00:00"),  # thirty minutes longer since
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


@pytest.mark.parametrize(
    "day",
    [
        *(DAY(2001, 9, day) for day in (11, 12, 13, 14)), DAY(2004, 6, 11), DAY(2007, 1, 2), DAY(2012, 10, 29),
        DAY(2012, 10, 30), DAY(2018, 12, 5), DAY(2025, 1, 9), DAY(2022, 6, 20),
    ],
)  # fmt: skip
def test_unscheduled_closures_are_no_sessions(day: dt.date) -> None:
    """Terror, mourning, hurricane, and the first Juneteenth: New York did not trade."""
    assert not calendars.is_session("XNYS", day)
    assert not calendars.decision_sessions("XNYS", day, day)


def test_local_hours_do_not_move_with_the_clocks() -> None:
    """In every week of 2006 to 2027 with a switch of daylight saving, New York opens at 9:30 local time and London at 8."""
    for mic, zone, hour in (("XNYS", "America/New_York", (9, 30)), ("XLON", "Europe/London", (8, 0))):
        for day in calendars.sessions(mic, DAY(2006, 1, 1), LAST):
            local = calendars.open_at(mic, day).astimezone(ZoneInfo(zone))
            assert (local.date(), local.hour, local.minute) == (day, *hour)


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
