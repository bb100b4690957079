"""What may still be ordered in a listing that is over, or known to end."""

import datetime as dt
import math

import pandas as pd
import pytest

from marketbot_assets.normalization.listing_ends import listing_ends

CUTOFF = dt.datetime(2018, 12, 11, 22, 45, tzinfo=dt.UTC)  # the next session of New York is the 12th
NEXT, AFTER = dt.date(2018, 12, 12), dt.date(2018, 12, 13)


def listed(last: dt.date | None = None) -> pd.DataFrame:
    frame = pd.DataFrame(
        {"instrument": ["A", "B"], "mic": "XNYS", "delisted_on": [pd.Timestamp(last) if last else pd.NaT, pd.NaT]}
    )
    return frame.astype({"delisted_on": "datetime64[ms]"})


def told(
    kind: str, ex: dt.date, other: str = "", amount: float = math.nan, known: dt.datetime = CUTOFF
) -> pd.DataFrame:
    row = {
        "instrument": "A",
        "kind": kind,
        "amount": amount,
        "ratio": 0.0,
        "other": other,
        "known_at": pd.Timestamp(known),
    }
    return pd.DataFrame([row]).assign(ex_session=pd.Series([pd.Timestamp(ex)]).astype("datetime64[ms]"))


@pytest.mark.parametrize(
    ("actions", "last", "expected"),
    [
        (told("DELISTING", NEXT, "UNKNOWN"), None, "ended"),
        (told("DELISTING", NEXT, "TRANSFER"), None, "ended"),
        (told("DELISTING", AFTER, "BANKRUPTCY"), None, "leaving"),
        (told("DELISTING", AFTER, "ACQUIRED"), None, "ending"),
        (told("MERGER", AFTER, "B", 10.0), None, "ending"),
        (told("MERGER", AFTER, "B", 10.0, CUTOFF + dt.timedelta(seconds=1)), None, ""),
        (told("SPLIT", NEXT), None, ""),
        (told("RENAME", NEXT, "NEW"), None, ""),
        (told("SPLIT", NEXT), dt.date(2018, 12, 11), "ended"),
        (told("SPLIT", NEXT), NEXT, "leaving"),
    ],
)
def test_what_is_known_of_an_end(actions: pd.DataFrame, last: dt.date | None, expected: str) -> None:
    """Over: no session left in which an order could fill. Known: no buys. Nobody pays: held shares are sold while they can be."""
    found = listing_ends(actions, listed(last), CUTOFF)
    assert found.ended == (frozenset("A") if expected == "ended" else frozenset())
    assert found.ending == (frozenset("A") if expected in ("ending", "leaving") else frozenset())
    assert found.leaving == (frozenset("A") if expected == "leaving" else frozenset())


def test_a_session_that_is_left_counts_by_the_own_exchange() -> None:
    """An ex date on the weekend: Friday is still a session, Monday's open is too late."""
    friday = dt.datetime(2018, 12, 14, 22, 45, tzinfo=dt.UTC)
    action = told("DELISTING", dt.date(2018, 12, 15), "UNKNOWN")
    assert listing_ends(action, listed(), CUTOFF + dt.timedelta(days=1)).leaving == {"A"}
    assert listing_ends(action, listed(), friday).ended == {"A"}
