"""The synthetic world's statistics against its spec: closed forms, within what so many draws allow."""

import datetime as dt
import math

import numpy as np
import pandas as pd
import pytest
from synthetic_worlds import EVENTFUL

from marketbot_resources.synthetic.spec import EventSpec, RiskSpec, WorldSpec
from marketbot_resources.synthetic.world import Truth

YEARS, SESSIONS_PER_YEAR = 10, 252
RISK = RiskSpec()


@pytest.fixture(scope="module")
def truth() -> Truth:
    quiet = EventSpec(kinds=(), young=0.0)
    return Truth(WorldSpec(60, ("XNYS", "XTKS"), dt.date(2009, 1, 1), dt.date(2018, 12, 31), 5, events=quiet))


@pytest.fixture(scope="module")
def bars(truth: Truth) -> pd.DataFrame:
    frame = truth.bars().to_pandas()
    frame["source_id"] = frame["source_id"].astype(str)
    return frame[frame.groupby("source_id").cumcount() > 0]  # the first session has no return


def wide(bars: pd.DataFrame, column: str, odd: int) -> pd.DataFrame:
    """Sessions down, listings across, of New York (0) or Tokyo (1): instruments take turns."""
    kept = bars[bars["source_id"].str[-6:].astype(int) % 2 == odd]
    return kept.pivot(index="session", columns="source_id", values=column)


def test_specific_volatility_is_the_specified_one(bars: pd.DataFrame) -> None:
    """Stochastic volatility is scaled so that the variance stays the spec's: some seventy independent volatilities in ten years."""
    annual = math.sqrt(float((bars["log_specific"] ** 2).mean()) * SESSIONS_PER_YEAR)
    assert annual == pytest.approx(RISK.specific_vol, rel=0.15)


def test_market_volatility_is_the_specified_one(truth: Truth) -> None:
    """Diffusion and jumps add their variances: vol**2 + rate * jump**2, over ten years of the index."""
    macro = truth.macro().to_pandas()
    index = np.log(macro.loc[macro["series"] == "SP500", "value"].to_numpy())
    expected = math.sqrt(RISK.market_vol**2 + RISK.market_jumps_per_year * RISK.market_jump_vol**2)
    assert math.sqrt(float((np.diff(index) ** 2).sum()) / YEARS) == pytest.approx(expected, rel=0.25)


def test_stochastic_volatility_keeps_the_level() -> None:
    """Whatever the spread of log volatility, the mean variance is the spec's; without persistence ten years tell it apart."""
    wild = RiskSpec(log_vol_sd=0.6, vol_persistence=0.0, market_jumps_per_year=0.0, jumps_per_year=0.0, drift=0.0)
    range_ = (dt.date(2009, 1, 1), dt.date(2018, 12, 31))
    truth = Truth(WorldSpec(20, ("XNYS",), *range_, 5, risk=wild, events=EventSpec(kinds=(), young=0.0)))
    specific = truth.bars().to_pandas()["log_specific"]
    variance = float((specific**2).mean()) * SESSIONS_PER_YEAR
    assert variance == pytest.approx(wild.specific_vol**2, rel=0.12)  # exp(0.36) = 1.43 without the scale
    macro = truth.macro().to_pandas()
    index = np.log(macro.loc[macro["series"] == "SP500", "value"].to_numpy())
    assert float((np.diff(index) ** 2).sum()) / YEARS == pytest.approx(wild.market_vol**2, rel=0.2)


def test_tails_are_fatter_than_normal(bars: pd.DataFrame) -> None:
    """Student-t times log-normal volatility: kurtosis 3 * 3 * exp(4 sd**2) in theory, never near 3 in a sample."""
    specific = bars["log_specific"].to_numpy()
    kurtosis = float((specific**4).mean() / (specific**2).mean() ** 2)
    assert 5.0 < kurtosis < 60.0


def test_jumps_come_at_their_rate_and_size(bars: pd.DataFrame) -> None:
    """The share of sessions with a jump is 1 - exp(-rate / 252), within four standard errors; sizes have the spec's deviation."""
    jumped = bars.loc[bars["log_jump"] != 0.0, "log_jump"]
    share = 1 - math.exp(-RISK.jumps_per_year / SESSIONS_PER_YEAR)
    error = math.sqrt(share * (1 - share) / len(bars))
    assert len(jumped) / len(bars) == pytest.approx(share, abs=4 * error)
    assert float(jumped.std()) == pytest.approx(RISK.jump_vol, rel=4 / math.sqrt(2 * len(jumped)) + 0.01)


def test_covariances_follow_the_exposures(truth: Truth, bars: pd.DataFrame) -> None:
    """Mean covariance of pairs = sum of products of exposures times factor variances, from the truth's exposures alone."""
    returns = wide(bars, "total_return", 0)
    realised = np.log1p(returns.to_numpy())
    realised = realised.T @ realised / YEARS
    loads = truth.exposures().to_pandas().set_index("source_id").loc[returns.columns]
    same = loads["sector"].to_numpy()[:, None] == loads["sector"].to_numpy()
    market = RISK.market_vol**2 + RISK.market_jumps_per_year * RISK.market_jump_vol**2
    expected = np.outer(loads["beta"], loads["beta"]) * market
    expected += np.outer(loads["sector_exposure"], loads["sector_exposure"]) * RISK.sector_vol**2 * same
    expected += np.outer(loads["country_exposure"], loads["country_exposure"]) * RISK.country_vol**2
    for style in ("size", "value", "momentum"):
        expected += np.outer(loads[style], loads[style]) * RISK.style_vol**2
    pairs = ~np.eye(len(loads), dtype=bool)
    assert realised[pairs].mean() == pytest.approx(expected[pairs].mean(), rel=0.3)
    kin = pairs & same
    assert realised[kin].mean() > realised[pairs & ~same].mean()
    assert np.corrcoef(realised[pairs], expected[pairs])[0, 1] > 0.8


def test_tokyo_follows_new_york(bars: pd.DataFrame) -> None:
    """Tokyo's session holds Europe's and America's news of the day before: 0.75 of the common variance against 0.25 of its day."""
    new_york, tokyo = (wide(bars, "log_common", odd).mean(axis=1) for odd in (0, 1))
    both = pd.concat([new_york, new_york.shift(1), tokyo], axis=1, join="inner").dropna().to_numpy()
    same_day, day_before = np.corrcoef(both.T)[2, :2]
    assert 0.0 < same_day < day_before
    assert day_before > 0.5


def test_volatility_clusters_and_falls_make_it_rise(truth: Truth, bars: pd.DataFrame) -> None:
    """Large moves follow large moves; the market's falls raise its volatility: the shocks are correlated by the spec's -0.6."""
    size = wide(bars, "log_specific", 0).abs().to_numpy()
    lagged = [np.corrcoef(size[1:, n], size[:-1, n])[0, 1] for n in range(size.shape[1])]
    assert np.mean(lagged) > 0.05
    macro = truth.macro().to_pandas().pivot_table(index="period", columns="series", values="value")
    moves = np.log(macro[["SP500", "VIX"]].dropna()).diff().dropna().to_numpy()
    assert np.corrcoef(moves[:-1, 0], moves[1:, 1])[0, 1] < -0.3


def test_volume_rises_with_moves(bars: pd.DataFrame) -> None:
    """A session with a large move for its volatility trades more than the listing's others."""
    level = np.log(bars["volume"]) - np.log(bars["volume"]).groupby(bars["source_id"]).transform("mean")
    size = np.log1p(bars["total_return"]).abs() / bars["specific_vol"]
    assert np.corrcoef(level, size)[0, 1] > 0.1


def test_events_come_at_their_rates() -> None:
    """Splits and delistings are Poisson in time: counts over listed years, within four deviations of what crowding out leaves."""
    spec = WorldSpec(400, ("XNYS",), dt.date(2009, 1, 1), dt.date(2018, 12, 31), 5, events=EVENTFUL)
    listings = Truth(spec).listings().to_pandas()
    born = pd.to_datetime(listings["first_session"].dropna())
    listed = listings.loc[born.index]
    ended = pd.to_datetime(listed["last_session"]).notna()
    # nobody ends in the first 80 sessions of its life
    last = pd.to_datetime(listed["last_session"]).fillna(pd.Timestamp("2018-12-31"))
    years = ((last - born).dt.days / 365.25 - 80 / SESSIONS_PER_YEAR).clip(lower=0).sum()
    expected = EVENTFUL.delistings * years
    assert abs(ended.sum() - expected) < 4 * math.sqrt(expected)
