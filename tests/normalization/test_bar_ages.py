"""Ages and counts of bars at any cutoff are what a plain look at every row says."""

import datetime as dt

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_assets.normalization.freshness import BarAges
from marketbot_resources.calendars import last_closed, sessions, sessions_between

NAMES, MICS = ("A", "B", "C", "D"), ("XNYS", "XNYS", "XTKS", "XNYS")
DAYS = sessions("XNYS", dt.date(2019, 1, 2), dt.date(2019, 3, 1))
CLOSES = (10.0, 10.0, 10.0, float("nan"), 0.0)


def bars(seed: int) -> pd.DataFrame:
    """Rows of three names in any order, some late, some twice, some unusable; none of the name D."""
    draws = np.random.default_rng(seed)
    rows = [
        (name, day, dt.datetime.combine(day, dt.time(22), dt.UTC) + dt.timedelta(days=int(draws.integers(0, 4))))
        for name in NAMES[:3]
        for day in DAYS
        if draws.random() < 0.7
    ]
    rows = [rows[place] for place in draws.permutation(len(rows))]
    frame = pd.DataFrame(rows, columns=["instrument", "session", "known_at"])
    frame["session"] = pd.to_datetime(frame["session"])
    return frame.assign(close=draws.choice(CLOSES, len(frame)), quarantine=draws.random(len(frame)) < 0.1)


@given(seed=st.integers(0, 10_000), day=st.sampled_from(DAYS), hour=st.integers(0, 23))
@settings(max_examples=25, deadline=None)
def test_ages_are_those_of_a_look_at_every_row(seed: int, day: dt.date, hour: int) -> None:
    """Also before the first bar, and for a name without any: NaN, never fresh."""
    prices, cutoff = bars(seed), dt.datetime.combine(day, dt.time(hour), dt.UTC)
    age, count = BarAges(prices, NAMES, MICS).at(cutoff)
    good = prices[(prices["close"] > 0.0) & ~prices["quarantine"] & (prices["known_at"] <= cutoff)]
    for place, (name, mic) in enumerate(zip(NAMES, MICS, strict=True)):
        own = good[good["instrument"] == name]
        assert count[place] == len(own)
        if own.empty:
            assert np.isnan(age[place])
        else:
            newest = own["session"].max().date()
            assert age[place] == max(sessions_between(mic, newest, last_closed(mic, cutoff)), 0)
