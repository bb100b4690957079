"""What the sensors start on the clocks of New York, London and Tokyo: half days, holidays, summer time, lunch, missed windows."""

import datetime as dt
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest
from told_account import order

from marketbot_assets.automation import Request, Skip, TooLate, next_step
from marketbot_assets.automation_intraday import quotes_due
from marketbot_assets.automation_orders import Due, orders_due
from marketbot_resources.mandate import Mandate, parse_mandate

TEXT = (Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8")
HOME = {
    "XNYS": ("17:45", "America/New_York"),
    "XLON": ("18:00", "Europe/London"),
    "XTKS": ("16:30", "Asia/Tokyo"),
}
OPENED = dt.date(2018, 10, 1)
DUE, CLOSED, BEGUN = "due", "no exchange of the universe trades", "its run has begun"


@lru_cache
def mandate(mic: str) -> Mandate:
    """A mandate of one exchange alone, quoting every five minutes, deciding in the evening there."""
    decide_at, timezone = HOME[mic]
    made = parse_mandate(TEXT.replace("intraday: null", "intraday: {minutes: 5}"))
    schedule = made.schedule.model_copy(update={"decide_at": decide_at, "timezone": timezone})
    universe = made.universe.model_copy(update={"listings": {mic: "all"}})
    calendar = made.calendar.model_copy(update={"mic": mic})
    return made.model_copy(update={"schedule": schedule, "universe": universe, "calendar": calendar})


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text + "+00:00")


# Opens and closes as the exchanges publish them, in UTC by hand. Closing instants still count, the next minute does not.
@pytest.mark.parametrize(
    ("mic", "now", "said"),
    [
        # New York: 9:30 to 16:00, UTC-5 in winter; America puts its clocks forward three weeks before Europe
        ("XNYS", "2019-03-08T14:29", CLOSED), ("XNYS", "2019-03-08T14:30", DUE), ("XNYS", "2019-03-08T21:01", CLOSED),
        ("XNYS", "2019-03-11T13:29", CLOSED), ("XNYS", "2019-03-11T13:30", DUE), ("XNYS", "2019-03-11T20:01", CLOSED),
        # half days end at 13:00: the day after Thanksgiving, Christmas Eve
        ("XNYS", "2018-11-23T18:00", DUE), ("XNYS", "2018-11-23T18:01", CLOSED), ("XNYS", "2018-12-24T18:01", CLOSED),
        ("XNYS", "2018-11-22T15:00", CLOSED), ("XNYS", "2018-12-25T15:00", CLOSED), ("XNYS", "2018-12-05T15:00", CLOSED),
        ("XNYS", "2018-12-24T22:45", BEGUN),
        # London: 8:00 to 16:30, UTC until the last Sunday of March, half days end at 12:30
        ("XLON", "2019-03-11T07:59", CLOSED), ("XLON", "2019-03-11T08:00", DUE), ("XLON", "2019-03-29T16:30", DUE),
        ("XLON", "2019-04-01T07:00", DUE), ("XLON", "2019-04-01T15:31", CLOSED), ("XLON", "2019-04-01T06:59", CLOSED),
        ("XLON", "2018-12-24T12:30", DUE), ("XLON", "2018-12-24T12:31", CLOSED), ("XLON", "2018-12-26T10:00", CLOSED),
        ("XLON", "2019-04-19T10:00", CLOSED), ("XLON", "2019-04-22T10:00", CLOSED),
        # Tokyo: 9:00 to 15:00 with lunch from 11:30 to 12:30, UTC+9 all year
        ("XTKS", "2019-03-10T23:59", CLOSED), ("XTKS", "2019-03-11T00:00", DUE), ("XTKS", "2019-03-11T02:29", DUE),
        ("XTKS", "2019-03-11T02:30", CLOSED), ("XTKS", "2019-03-11T03:29", CLOSED), ("XTKS", "2019-03-11T03:30", DUE),
        ("XTKS", "2019-03-11T06:00", DUE), ("XTKS", "2019-03-11T06:01", CLOSED), ("XTKS", "2018-12-31T01:00", CLOSED),
        ("XTKS", "2019-05-01T01:00", CLOSED),
    ],
)  # fmt: skip
def test_quotes_are_asked_for_while_the_exchange_trades(mic: str, now: str, said: str) -> None:
    found = quotes_due(mandate=mandate(mic), now=utc(now), opened=OPENED, ended=(), running=False)
    assert said in found if isinstance(found, str) else said == DUE


@pytest.mark.parametrize("mic", sorted(HOME))
def test_a_missed_interval_is_not_made_up_for(mic: str) -> None:
    """After hours of downtime one run is asked for, that of now."""
    asked = set()
    for minute in range(5):
        at = utc("2019-03-12T00:30") if mic == "XTKS" else utc("2019-03-12T14:30")
        found = quotes_due(
            mandate=mandate(mic), now=at + dt.timedelta(minutes=minute), opened=OPENED, ended=(), running=False
        )
        assert not isinstance(found, str), found
        asked.add(found)
    assert len(asked) == 1


# The deadline is 30 minutes after decide_at, by the clock on the wall of the exchange's own zone.
@pytest.mark.parametrize(
    ("mic", "now", "expected"),
    [
        ("XLON", "2019-03-29T17:59", Skip), ("XLON", "2019-03-29T18:00", Request), ("XLON", "2019-03-29T18:31", TooLate),
        ("XLON", "2019-04-01T16:59", Skip), ("XLON", "2019-04-01T17:00", Request), ("XLON", "2019-04-01T17:31", TooLate),
        ("XLON", "2019-10-25T17:00", Request), ("XLON", "2019-10-28T17:00", Skip), ("XLON", "2019-10-28T18:00", Request),
        ("XLON", "2018-12-24T18:00", Request), ("XLON", "2018-12-26T18:00", Skip), ("XLON", "2019-04-19T17:00", Skip),
        ("XTKS", "2019-03-11T07:29", Skip), ("XTKS", "2019-03-11T07:30", Request), ("XTKS", "2019-03-11T08:01", TooLate),
        ("XTKS", "2019-11-01T07:30", Request), ("XTKS", "2018-12-31T07:30", Skip), ("XTKS", "2019-01-04T07:30", Request),
    ],
)  # fmt: skip
def test_the_evening_of_london_and_tokyo(mic: str, now: str, expected: type) -> None:
    mine = mandate(mic)
    found = next_step(
        live=True, now=utc(now), calendar=mine.calendar, schedule=mine.schedule, opened=OPENED, ended=(), running=(),
        landed=True,
    )  # fmt: skip
    assert isinstance(found, expected), found


# Windows in which orders of a session's evening are taken, from the evening until shortly before the open, in UTC by hand.
WINDOWS = {
    "XNYS over the switch to summer time": ("2019-03-09T00:00", "2019-03-11T13:28"),
    "XNYS over Christmas": ("2018-12-25T00:00", "2018-12-26T14:28"),
    "XLON over the switch to summer time": ("2019-03-29T19:00", "2019-04-01T06:50"),
    "XTKS over the turn of the year": ("2018-12-28T08:00", "2019-01-03T23:50"),
}


@pytest.mark.parametrize("window", WINDOWS)
def test_a_later_window_is_served_once_and_given_up_once(window: str) -> None:
    """However long it is and whatever was missed of it: one run while it is open, one that ends it unsent when it is over."""
    opens, ends = (utc(text) for text in WINDOWS[window])
    session = (opens - dt.timedelta(hours=8)).date()
    waiting = {session: [replace(order("later"), session=session, send_from=opens, send_until=ends)]}
    minute, middle = dt.timedelta(minutes=1), opens + (ends - opens) / 2
    asked = [
        orders_due(now=at, waiting=waiting, is_open=False, running=False)
        for at in (opens - minute, opens, middle, ends, ends + minute, ends + dt.timedelta(days=3))
    ]
    keys = [one.key if isinstance(one, Due) else None for one in asked]
    served, over = f"later-{session}-{opens.isoformat()}", f"later-{session}-over"
    assert keys == [None, served, served, served, over, over]
