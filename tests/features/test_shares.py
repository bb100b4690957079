"""Shares that a listing's source does not tell come from filings, and splits since then count."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from marketbot_assets.features.shares import with_filed_shares

SESSION = dt.date(2020, 9, 15)


def instruments(**shares: float) -> pd.DataFrame:
    return pd.DataFrame({"instrument": list(shares), "shares_outstanding": list(shares.values())})


def filed(*rows: tuple[str, str, float, str, str]) -> pd.DataFrame:
    """(instrument, period end, value, known at, field)."""
    frame = pd.DataFrame(rows, columns=["instrument", "period_end", "value", "known_at", "field"])
    return frame.assign(
        period_end=pd.to_datetime(frame["period_end"]), known_at=pd.to_datetime(frame["known_at"], utc=True)
    )


def actions(*rows: tuple[str, str, float, str]) -> pd.DataFrame:
    """(instrument, ex session, ratio, known at) of splits."""
    frame = pd.DataFrame(rows, columns=["instrument", "ex_session", "ratio", "known_at"])
    return frame.assign(
        ex_session=pd.to_datetime(frame["ex_session"]),
        known_at=pd.to_datetime(frame["known_at"], utc=True),
        kind="SPLIT",
    )


APPLE = ("A", "2020-06-27", 4_283e6, "2020-07-31", "SHARES")
FOUR = ("A", "2020-08-31", 4.0, "2020-07-30")


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        ([], 4_283e6),
        ([FOUR], 17_132e6),  # Apple, 31 August 2020: four new shares for one
        ([FOUR, ("A", "2020-08-31", 5.0, "2020-08-20")], 21_415e6),  # a corrected ratio holds
        ([("A", "2020-06-27", 7.0, "2020-06-01")], 4_283e6),  # of the last day of the period: counted there
        ([("A", "2020-09-16", 2.0, "2020-09-01")], 4_283e6),  # tomorrow
        ([("B", "2020-08-31", 4.0, "2020-07-30")], 4_283e6),
        ([FOUR, ("A", "2020-09-10", 0.5, "2020-09-01")], 8_566e6),
    ],
)
def test_splits_after_the_period_count(splits: list, expected: float) -> None:
    """Each once, in its last known version."""
    made = with_filed_shares(instruments(A=np.nan, B=5.0), filed(APPLE), actions(*splits), SESSION)
    assert made["shares_outstanding"].tolist() == [expected, 5.0]


def test_what_the_listing_tells_holds_and_nothing_filed_stays_unknown() -> None:
    """Filings only fill what is missing, from the newest period's newest filing."""
    later = [("C", "2020-03-31", 1.0, "2020-05-01", "SHARES"), ("C", "2020-03-31", 2.0, "2020-06-01", "SHARES")]
    rows = filed(
        APPLE,
        *later,
        ("C", "2019-12-31", 9.0, "2020-07-01", "SHARES"),
        ("D", "2020-03-31", 7.0, "2020-05-01", "EQUITY"),
    )
    made = with_filed_shares(instruments(A=3.0, C=np.nan, D=np.nan), rows, actions(FOUR), SESSION)
    np.testing.assert_array_equal(made["shares_outstanding"], [3.0, 2.0, np.nan])
