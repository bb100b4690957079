"""Forecasts are judged by hand-computed ranks, and only when their horizon has ended."""

import datetime as dt
import math

import numpy as np
import pandas as pd
import pytest

from marketbot_assets.audit.drift import forecast_outcome
from marketbot_assets.audit.schema import DRIFT
from marketbot_assets.insight.name_views import rank_correlation
from marketbot_assets.normalization.window import MarketWindow

NAMES = ("A", "B", "C", "D")


def window(returns: list[list[float]]) -> MarketWindow:
    """One session per row of returns, from 2018-10-01."""
    base = np.array(returns, dtype=float)
    days = tuple(dt.date(2018, 10, 1) + dt.timedelta(days=n) for n in range(len(base)))
    blank = np.ones_like(base)
    fresh = np.ones(base.shape, dtype=bool)
    return MarketWindow(days, NAMES, blank, blank, blank, blank, blank, blank, base, base, blank, fresh)


def forecasts(*expected: float) -> pd.DataFrame:
    return pd.DataFrame({"instrument": list(NAMES), "expected_return": list(expected)})


def judged(*arguments: object, **more: object) -> pd.DataFrame:
    frame = forecast_outcome(*arguments, **more)  # type: ignore[arg-type]
    DRIFT.pandera_schema.validate(frame)
    return frame


def test_rank_correlation_by_hand() -> None:
    """Ranks 1 2 3 4 against 2 1 4 3: 1 - 6 * 4 / (4 * 15) = 0.6; with a tie 1.5 1.5 3 against 1 2 3: 1.5 / sqrt(1.5 * 2)."""
    assert rank_correlation(np.array([1.0, 2, 3, 4]), np.array([5.0, 4, 9, 7])) == pytest.approx(0.6)
    assert rank_correlation(np.array([7.0, 7, 8]), np.array([1.0, 2, 3])) == pytest.approx(1.5 / math.sqrt(3.0))
    assert math.isnan(rank_correlation(np.array([1.0, 1, 1]), np.array([1.0, 2, 3])))


def test_ended_horizon_is_judged_and_open_one_is_not() -> None:
    """Horizon of 2: the first session's outcome compounds the two sessions after it, not its own; the second has not ended."""
    returns = [[9.0, 9.0, 9.0, 9.0], [0.10, 0.0, 0.02, -0.01], [0.10, 0.01, 0.0, 0.03]]
    past = [(dt.date(2018, 10, 1), forecasts(0.08, 0.02, 0.04, 0.06)), (dt.date(2018, 10, 2), forecasts(1, 2, 3, 4))]
    frame = judged(past, window(returns), 2)
    assert list(frame["kind"]) == ["FORECAST"]
    row = frame.iloc[0]
    # outcomes 0.21, 0.01, 0.02, 0.0197: ranks 4 1 3 2 against forecast ranks 4 1 2 3: 1 - 6 * 2 / 60 = 0.8
    assert row["rank_ic"] == pytest.approx(0.8)
    assert row["outcome"] == pytest.approx((0.21 + 0.01 + 0.02 + (0.99 * 1.03 - 1.0)) / 4)
    assert row["forecast"] == pytest.approx(0.05 * 2 / 252)
    # mean outcome 0.0649, mean forecast 0.05 a year: A above both, B and C below both, D above and below
    assert row["hit_rate"] == pytest.approx(0.75)
    assert row["names"] == 4


def test_unknown_numbers_are_left_out() -> None:
    """A name without a forecast or without a return of every session does not count."""
    returns = [[0.0] * 4, [0.1, math.nan, 0.2, 0.3]]
    frame = judged([(dt.date(2018, 10, 1), forecasts(0.1, 0.1, math.nan, 0.2))], window(returns), 1)
    assert frame["names"][0] == 2
    assert "fewer than 3 names" in frame["message"][0]
    assert math.isnan(frame["rank_ic"][0])


@pytest.mark.parametrize("past", [[], [(dt.date(2018, 10, 1), forecasts(1, 2, 3, 4))]])
def test_nothing_can_be_judged_yet(past: list) -> None:
    """Until a horizon has ended there is one row, and it says so."""
    frame = judged(past, window([[0.0] * 4] * 21), 21)
    assert list(frame["kind"]) == ["UNJUDGED"]
    assert "nothing can be judged yet" in frame["message"][0]


def test_session_outside_the_window_is_not_judged() -> None:
    """What the window does not cover is not guessed."""
    frame = judged([(dt.date(2017, 1, 3), forecasts(1, 2, 3, 4))], window([[0.0] * 4] * 30), 2)
    assert list(frame["kind"]) == ["UNJUDGED"]


def test_volatility_of_the_book() -> None:
    """Returns of +1 % and -1 % in turn: sample deviation 0.01 * sqrt(20 / 19), per year times sqrt(252)."""
    nav, history = 100.0, [("s00", 100.0)]
    for n in range(20):
        nav *= 1.01 if n % 2 else 0.99
        history.append((f"s{n + 1:02d}", nav))
    frame = judged([], window([[0.0] * 4]), nav_history=history, volatility_ex_ante=0.1)
    row = frame[frame["kind"] == "VOLATILITY"].iloc[0]
    assert (row["session"], row["names"], row["forecast"]) == ("s20", 20, 0.1)
    assert row["outcome"] == pytest.approx(0.01 * math.sqrt(20 / 19) * math.sqrt(252))


def test_volatility_needs_its_sessions() -> None:
    """Fewer than 20 returns give no number."""
    frame = judged([], window([[0.0] * 4]), nav_history=[("a", 1.0), ("b", 1.1)], volatility_ex_ante=None)
    row = frame[frame["kind"] == "VOLATILITY"].iloc[0]
    assert math.isnan(row["outcome"])
    assert row["message"] == "1 of 20 sessions needed to measure the book"
