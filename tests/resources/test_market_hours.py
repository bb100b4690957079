"""Calendars against a foreign database of market hours, 1998 to 2027; every difference is named here with its reason."""

import datetime as dt
import json
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from marketbot_resources import calendars

FILE = Path(__file__).parents[2] / "../shared/data/corporate_actions/market_hours_database.json"
pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not FILE.is_file(), reason="needs ../shared/data/corporate_actions beside the project"),
]
Dates = set[str]

ENTRIES = {
    "XNYS": "Equity-usa-[*]",
    "XNAS": "Index-cboe-[*]",
    "XETR": "Index-eurex-[*]",
    "XEUR": "Index-eurex-[*]",
    "XHKG": "Index-hkfe-[*]",
    "XKRX": "Index-krx-[*]",
    "XTKS": "Index-ose-[*]",
    "XBOM": "Equity-india-[*]",
}
LIBRARY_TRADES: dict[str, Dates] = {
    # elections of 2026, Constitution Day as a holiday again from 2026 on: decided after the library's release. Whoever trades
    # there names them in `calendar.closures`.
    "XKRX": {"2026-06-03", "2026-07-17", "2027-07-19"},
    "XEUR": {"2015-05-25"},  # Whit Monday: Frankfurt's shares rested, Eurex traded
    "XHKG": {"2027-06-18"},  # the substitute of New York's Juneteenth, in Hong Kong's list by mistake
    "XBOM": {"2011-10-26", "2013-11-15"},  # an evening session on Diwali; a holiday that moved to the day before
}
DATABASE_TRADES: dict[str, Dates] = {
    # the database lists Eurex, which trades on Frankfurt's Whit Mondays, days of unity and of reformation; 2003 is not complete
    "XETR": {
        *(
            "2003-05-01",
            "2003-12-24",
            "2003-12-25",
            "2003-12-26",
            "2003-12-31",
            "2007-05-28",
            "2014-10-03",
            "2016-05-16",
        ),
        *(
            "2016-10-03",
            "2017-06-05",
            "2017-10-03",
            "2017-10-31",
            "2018-05-21",
            "2018-10-03",
            "2019-06-10",
            "2019-10-03",
        ),
        *("2020-06-01", "2021-05-24"),
    },
    "XEUR": {"2003-05-01", "2003-12-24", "2003-12-25", "2003-12-26", "2003-12-31"},
    "XHKG": {"2017-08-23", "2020-10-13", "2021-10-13", "2023-07-17", "2024-09-06"},  # typhoons and black rain
    # Arbor Days until 2005 and the last days of 2000, which the database's list does not have
    "XKRX": {"2000-04-05", "2000-12-27", "2000-12-28", "2001-04-05", "2002-04-05", "2004-04-05", "2005-04-05"},
    "XTKS": {"2020-10-01", "2022-09-23"},  # the exchange's own outage; an equinox
}
COMPLETE_UNTIL = {"XHKG": 2026}  # the database's last year with all holidays; Mumbai's list is never complete


@pytest.fixture(scope="module")
def database() -> dict[str, dict[str, dict[str, str]]]:
    """Entry -> what the database says of it."""
    found: dict[str, dict[str, dict[str, str]]] = json.loads(FILE.read_text(encoding="utf-8"))["entries"]
    return found


def _day(text: str) -> dt.date:
    month, day, year = (int(part) for part in text.split("/"))
    return dt.date(year, month, day)


@pytest.mark.parametrize("mic", sorted(ENTRIES))
def test_holidays_are_those_of_the_database(mic: str, database: dict[str, dict[str, dict[str, str]]]) -> None:
    """No difference but the named ones, in neither direction; New York has none in thirty years."""
    closed = {_day(text) for text in database[ENTRIES[mic]]["holidays"]}
    first, last = min(closed).year, min(max(closed).year, COMPLETE_UNTIL.get(mic, 2027))
    limits = dt.date(max(first, 1998), 1, 1), min(dt.date(2027, 12, 31), dt.date(max(last, 2027), 12, 31))
    sessions = set(calendars.sessions(mic, *limits))
    assert {str(day) for day in sessions & closed} == LIBRARY_TRADES.get(mic, set())
    if mic != "XBOM":
        span = (limits[0] + dt.timedelta(days=n) for n in range((dt.date(last, 12, 31) - limits[0]).days + 1))
        rest = {str(day) for day in span if day.weekday() < 5 and day not in sessions and day not in closed}
        assert rest == DATABASE_TRADES.get(mic, set())


@pytest.mark.parametrize(("mic", "days"), [("XNYS", 62), ("XNAS", 62), ("XHKG", 22)])
def test_early_closes_are_those_of_the_database(
    mic: str, days: int, database: dict[str, dict[str, dict[str, str]]]
) -> None:
    """Each half day of the database ends when the database says, to the minute of local time."""
    entry = database[ENTRIES[mic]]
    zone = ZoneInfo(str(entry["exchangeTimeZone"]))
    every = {_day(text): time for text, time in entry["earlyCloses"].items()}
    told = {day: time for day, time in every.items() if day.weekday() < 5 and day <= calendars.LAST_DATE}
    assert len(told) == days
    found = {day: calendars.close_at(mic, day).astimezone(zone).strftime("%H:%M:%S") for day in told}
    assert found == told


def test_new_york_has_no_other_half_day(database: dict[str, dict[str, dict[str, str]]]) -> None:
    """Three half days of the nineties are not in the database; every other session since 1998 is a whole one."""
    told = {_day(text) for text in database[ENTRIES["XNYS"]]["earlyCloses"]}
    days = calendars.sessions("XNYS", dt.date(1998, 1, 1), dt.date(2027, 12, 31))
    short = {
        day for day in days if calendars.close_at("XNYS", day) - calendars.open_at("XNYS", day) < dt.timedelta(hours=6)
    }
    assert {str(day) for day in short - told} == {"1998-11-27", "1998-12-24", "1999-12-31"}
