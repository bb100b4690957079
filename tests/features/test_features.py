"""Features equal closed forms, know nothing of the future, and are NaN when an input is unknown."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from marketbot_assets.features.build import build_features, filed_features
from marketbot_assets.features.price_features import compound, dimson_beta, price_features, volatility
from marketbot_assets.features.registry import FEATURES, LOOKBACK_SESSIONS, NAMES, REQUIRED
from marketbot_assets.normalization.window import MacroWindow, MarketWindow

N, T = 6, 400
DAYS = tuple(dt.date(2016, 1, 1) + dt.timedelta(days=n) for n in range(T))
IDS = tuple(f"I{n}" for n in range(N))


def world(seed: int = 1) -> tuple[MarketWindow, MacroWindow]:
    draw = np.random.default_rng(seed)
    index = 0.01 * draw.standard_normal(T)
    returns = index[:, None] * np.linspace(0.5, 1.5, N) + 0.01 * draw.standard_normal((T, N))
    close = 50 * np.cumprod(1 + returns, axis=0)
    returns[0] = np.nan
    spread = 1 + 0.01 * draw.random((T, N))
    window = MarketWindow(
        DAYS,
        IDS,
        close,
        close * spread,
        close / spread,
        close,
        np.full((T, N), 1e5),
        close,
        returns,
        returns,
        np.ones((T, N)),
        np.ones((T, N), dtype=bool),
    )
    levels = 1000 * np.cumprod(1 + index)
    flat = {
        name: np.full(T, value)
        for name, value in (("VIX", 15.0), ("US10Y", 3.0), ("US2Y", 2.0), ("AAA", 4.0), ("BAA", 5.0))
    }
    return window, MacroWindow(DAYS, {"SP500": levels, **flat})


INSTRUMENTS = pd.DataFrame(
    {
        "instrument": IDS,
        "sector": ["A", "A", "A", "B", "B", "B"],
        "kind": "EQUITY",
        "country": "US",
        "currency": "USD",
        "shares_outstanding": 1e6,
    }
)
FILED = pd.DataFrame(
    {
        "instrument": [IDS[0]] * 3,
        "field": ["EQUITY", "EQUITY", "NET_INCOME"],
        "period_end": pd.to_datetime(["2016-09-30", "2016-12-31", "2016-12-31"]),
        "value": [1e6, 2e6, 3e5],
        "currency": "USD",
        "known_at": pd.to_datetime(["2016-11-14", "2017-02-14", "2017-02-14"], utc=True),
    }
)


def built(window: MarketWindow, macro: MacroWindow) -> pd.DataFrame:
    return build_features(window, macro, FILED, INSTRUMENTS, window.sessions[-1])


def test_registry_is_wide_enough_and_has_no_double() -> None:
    """At least 25 features, each with a unit and a source, names unique, lookbacks within the window."""
    assert len(NAMES) == len(set(NAMES)) >= 25
    assert all(f.unit and f.source and 0 < f.lookback_sessions <= LOOKBACK_SESSIONS for f in FEATURES)


def test_returns_and_volatility_are_what_their_names_say() -> None:
    """Constant growth compounds and has no volatility; alternating returns have a known one."""
    grown = np.full((300, 1), 0.001)
    assert compound(grown, 21)[0] == pytest.approx(1.001**21 - 1, rel=1e-12)
    assert volatility(grown, 21)[0] == pytest.approx(0.0, abs=1e-12)
    zigzag = np.array([0.01, -0.01] * 63)[:, None]
    assert volatility(zigzag, 126)[0] == pytest.approx(0.01 * np.sqrt(126 / 125) * np.sqrt(252), rel=1e-12)


def test_beta_recovers_what_was_put_in() -> None:
    """Returns that are 0.6 of today's and 0.3 of yesterday's index have a beta of 0.9 and no residual."""
    draw = np.random.default_rng(0)
    market = np.concatenate([[0.0], 0.01 * draw.standard_normal(300)])
    index = 100 * np.cumprod(1 + market)
    own = 0.6 * market + 0.3 * np.concatenate([[0.0], market[:-1]])
    beta, residual = dimson_beta(own[:, None], index, 252)
    assert beta[0] == pytest.approx(0.9, abs=1e-9)
    assert residual[0] == pytest.approx(0.0, abs=1e-8)


def test_filed_figures_use_the_newest_period_known() -> None:
    """Book to price is the newest filed equity over market value; a name without filings has none."""
    values = filed_features(FILED, INSTRUMENTS, np.full(N, 10.0), np.ones(N))
    assert values["book_to_price"][0] == pytest.approx(2e6 / 1e7)
    assert values["earnings_yield"][0] == pytest.approx(3e5 / 1e7)
    assert np.isnan(values["book_to_price"][1:]).all()


def test_one_unknown_return_makes_the_windows_over_it_unknown() -> None:
    """A missing return is never filled: every feature over it is NaN and the name is incomplete; others are not touched."""
    window, macro = world()
    whole = built(window, macro)
    window.base_return[-30, 2] = np.nan
    holed = built(window, macro)
    assert whole["complete"].all()
    assert holed["complete"].tolist() == [True, True, False, True, True, True]
    assert np.isnan(holed.loc[2, ["momentum_12_1", "volatility_126d", "beta_252d"]].to_numpy(dtype=float)).all()
    assert np.isfinite(float(holed.loc[2, "return_5d"]))
    own = [name for name in NAMES if not name.startswith("sector")]
    pd.testing.assert_frame_equal(holed.drop(index=2)[own], whole.drop(index=2)[own])


def test_short_history_is_unknown_not_guessed() -> None:
    """Twenty sessions give no yearly feature and no required ones."""
    window, macro = world()
    frame = build_features(window.upto(19, 20), macro.upto(19, 20), FILED, INSTRUMENTS, DAYS[19])
    assert not frame["complete"].any()
    assert frame["return_252d"].isna().all()
    assert frame["index_trend_200d"].isna().all()


@pytest.mark.parametrize("cut", [325, 350, 399])
def test_the_future_and_the_distant_past_change_nothing(cut: int) -> None:
    """Features at t are the same bits from data that end at t and from data that were changed after t or long before."""
    window, macro = world()
    short = build_features(window.upto(cut, cut + 1), macro.upto(cut, cut + 1), FILED, INSTRUMENTS, DAYS[cut])
    sliced = build_features(
        window.upto(cut, LOOKBACK_SESSIONS), macro.upto(cut, LOOKBACK_SESSIONS), FILED, INSTRUMENTS, DAYS[cut]
    )
    pd.testing.assert_frame_equal(short, sliced, check_exact=True)


@pytest.mark.parametrize("name", REQUIRED)
def test_every_required_feature_reacts_to_its_input(name: str) -> None:
    """No required feature is a constant."""
    window, macro = world()
    values = price_features(window, macro.series["SP500"])[name]
    other, macro_other = world(seed=2)
    assert np.isfinite(values).all()
    assert not np.allclose(values, price_features(other, macro_other.series["SP500"])[name])
