"""The benchmark: market-value weights of the session before, hand-computed."""

import datetime as dt
import math

import numpy as np
import pandas as pd
import pytest

from marketbot_assets.audit.benchmark import benchmark_return, benchmark_sectors
from marketbot_assets.normalization.window import MarketWindow

DAYS = (dt.date(2018, 12, 11), dt.date(2018, 12, 12))


def window(close: list[float], fx: list[float], move: list[float]) -> MarketWindow:
    n = len(close)
    flat = np.ones((2, n))
    return MarketWindow(
        sessions=DAYS,
        instruments=tuple("ABC"[:n]),
        open=flat,
        high=flat,
        low=flat,
        close=np.array([close, close]),
        volume=flat,
        price_level=flat,
        total_return=flat,
        base_return=np.array([[0.0] * n, move]),
        fx=np.array([fx, fx]),
        fresh=flat.astype(bool),
    )


def listings(shares: list[float], inside: list[bool]) -> pd.DataFrame:
    sectors = ["Energy", "Banks", "Energy"][: len(shares)]
    return pd.DataFrame({"shares_outstanding": shares, "in_universe": inside, "sector": sectors})


@pytest.mark.parametrize(
    ("inside", "move", "expected"),
    [
        # values 10*1*100 = 1000, 20*2*50 = 2000, 5*1*200 = 1000
        ([True, True, True], [0.04, 0.01, -0.02], (40 + 20 - 20) / 4000),
        ([True, False, True], [0.04, 9.9, -0.02], (40 - 20) / 2000),
        ([True, True, True], [0.04, math.nan, -0.02], (40 - 20) / 2000),
    ],
)
def test_weights_are_the_market_values_before(inside: list[bool], move: list[float], expected: float) -> None:
    """A name outside the universe, or without a return, has no weight."""
    found = benchmark_return(window([10, 20, 5], [1, 2, 1], move), listings([100, 50, 200], inside))
    assert found == pytest.approx(expected, abs=1e-15)


def test_nothing_known_is_no_return() -> None:
    """Without a market value there is no benchmark, not a return of zero."""
    assert math.isnan(benchmark_return(window([10], [1], [0.1]), listings([math.nan], [True])))


def test_by_sector_by_hand() -> None:
    """Energy is 1000 and 1000 of 4000, earning 40 and -20; Banks the other half at 1 %. What has no return has no weight."""
    shares, inside = [100.0, 50.0, 200.0], [True, True, True]
    found = benchmark_sectors(window([10, 20, 5], [1, 2, 1], [0.04, 0.01, -0.02]), listings(shares, inside))
    assert found == {"Banks": (0.5, pytest.approx(0.01)), "Energy": (0.5, pytest.approx(0.01))}
    found = benchmark_sectors(window([10, 20, 5], [1, 2, 1], [0.04, math.nan, -0.02]), listings(shares, inside))
    assert found == {"Energy": (1.0, pytest.approx(0.01))}
    assert benchmark_sectors(window([10], [1], [math.nan]), listings([1.0], [True])) == {}
