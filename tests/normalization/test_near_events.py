"""Which events lie close to the next auction, on which side of it, by the own exchange's sessions."""

import datetime as dt

import pandas as pd
import pytest

from marketbot_assets.normalization.near_events import near_events
from marketbot_resources.closures import expanded

CUTOFF = dt.datetime(2018, 12, 11, 23, 15, tzinfo=dt.UTC)  # a Tuesday evening in New York, Wednesday morning in Tokyo
LISTINGS = pd.DataFrame({"instrument": ["MBA", "MBT"], "mic": ["XNYS", "XTKS"]})


def actions(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    """(instrument, kind, ex session, known at)."""
    frame = pd.DataFrame(rows, columns=["instrument", "kind", "ex_session", "known_at"])
    return frame.assign(
        ex_session=pd.to_datetime(frame["ex_session"]), known_at=pd.to_datetime(frame["known_at"], utc=True), ratio=2.0
    )


DAYS = [
    ("MBA", "2018-12-07", None),  # t - 2
    ("MBA", "2018-12-10", True),  # t - 1
    ("MBA", "2018-12-11", True),  # t
    ("MBA", "2018-12-12", False),  # t + 1
    ("MBA", "2018-12-13", None),  # t + 2
    ("MBT", "2018-12-11", True),  # Tokyo closed on the 11th before the cutoff, opens on the 12th after it
    ("MBT", "2018-12-12", False),
]


@pytest.mark.parametrize(("name", "day", "applied"), DAYS)
def test_an_event_is_near_for_three_sessions(name: str, day: str, applied: bool | None) -> None:
    """RC-24: [t - 1, t + 1] of the own exchange; applied once its ex session had begun by the cutoff."""
    found = near_events(actions((name, "SPLIT", day, "2018-12-01")), LISTINGS, CUTOFF)
    assert [event.applied for event in found] == ([] if applied is None else [applied])


def test_a_weekend_and_a_closure_are_no_sessions() -> None:
    """RC-24: on Friday the next session is Monday; a day on which the exchange is closed counts on the one after it."""
    friday = dt.datetime(2018, 12, 7, 23, 15, tzinfo=dt.UTC)
    (event,) = near_events(actions(("MBA", "SPLIT", "2018-12-08", "2018-12-01")), LISTINGS, friday)
    assert (event.ex_session, event.applied) == (dt.date(2018, 12, 10), False)
    closed = expanded({"XNYS": (dt.date(2018, 12, 12),)})
    (moved,) = near_events(actions(("MBA", "SPLIT", "2018-12-12", "2018-12-01")), LISTINGS, CUTOFF, closed)
    assert (moved.ex_session, moved.applied) == (dt.date(2018, 12, 13), False)


def test_only_what_is_known_and_matters() -> None:
    """RC-24: later news, dividends, spin-offs and unknown listings guard nothing; the last version of an event counts."""
    rows = actions(
        ("MBA", "SPLIT", "2018-12-12", "2018-12-12"),
        ("MBA", "CASH_DIVIDEND", "2018-12-12", "2018-12-01"),
        ("MBA", "SPIN_OFF", "2018-12-12", "2018-12-01"),
        ("MBX", "SPLIT", "2018-12-12", "2018-12-01"),
        ("MBT", "RENAME", "2018-12-12", "2018-12-01"),
        ("MBT", "RENAME", "2018-12-12", "2018-12-02"),
    )
    assert [(e.instrument, e.kind) for e in near_events(rows, LISTINGS, CUTOFF)] == [("MBT", "RENAME")]


def test_an_auction_that_is_too_close_is_missed() -> None:
    """RC-24: five minutes before the open the order is for the session after it, and so is the guard."""
    late = dt.datetime(2018, 12, 12, 14, 25, tzinfo=dt.UTC)
    (event,) = near_events(actions(("MBA", "SPLIT", "2018-12-13", "2018-12-01")), LISTINGS, late)
    assert (event.ex_session, event.applied) == (dt.date(2018, 12, 13), False)
