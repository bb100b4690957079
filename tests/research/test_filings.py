"""Filings read once, as they become known, tell what a look at all known rows tells."""

import datetime as dt

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_assets.normalization.build_window import cutoff_micros
from marketbot_assets.research.filings import Filings

DAY = dt.datetime(2019, 1, 1, tzinfo=dt.UTC)
FIELDS = ("EQUITY", "SHARES")


def rows_of(drawn: list[tuple[int, int, int, int]]) -> pd.DataFrame:
    """Rows (instrument, field, period, day known), each with a value of its own."""
    return pd.DataFrame(
        {
            "instrument": pd.array([f"I{name}" for name, *_ in drawn], dtype="str"),
            "field": pd.array([FIELDS[field] for _, field, *_ in drawn], dtype="str"),
            "period_end": pd.Series([dt.date(2018, 1 + period, 1) for *_, period, _ in drawn], dtype="datetime64[ms]"),
            "known_at": pd.Series([DAY + dt.timedelta(days=at) for *_, at in drawn], dtype="datetime64[us, UTC]"),
            "value": [float(n) for n in range(len(drawn))],
        }
    )


def slow(frame: pd.DataFrame, cutoff: dt.datetime) -> dict[tuple[str, str], float]:
    """The last row of the newest (period, known) of each instrument and field among the rows known at the cutoff."""
    found: dict[tuple[str, str], tuple[object, object, float]] = {}
    for row in frame.itertuples():
        key = (row.instrument, row.field)
        if row.known_at <= cutoff and (key not in found or (row.period_end, row.known_at) >= found[key][:2]):
            found[key] = (row.period_end, row.known_at, row.value)
    return {key: value for key, (_, _, value) in found.items()}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(0, 3), st.integers(0, 20)), max_size=30),
    st.lists(st.integers(-1, 21), min_size=1, max_size=6),
)
def test_the_newest_are_those_of_all_known_rows(drawn: list[tuple[int, int, int, int]], asked: list[int]) -> None:
    """Later instants add to what was seen, earlier ones begin anew; rows known at once count in the order of the table."""
    frame = rows_of(drawn)
    filings = Filings(frame)
    for day in asked:
        cutoff = DAY + dt.timedelta(days=day)
        limit = int(cutoff_micros([cutoff])[0])
        newest = filings.newest(limit)
        told = dict(zip(zip(newest["instrument"], newest["field"], strict=True), newest["value"], strict=True))
        assert told == slow(frame, cutoff)
        assert filings.count(limit) == int((frame["known_at"] <= cutoff).sum())
