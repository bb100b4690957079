"""Stress scenarios: published windows, proxies, factor versions and shocks against hand-made worlds and independent estimators."""

import datetime as dt
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from marketbot_assets.features.past import Past, Universe, past_of, plain_universe
from marketbot_assets.features.scenarios import PATH_POINTS, scenario_returns
from marketbot_assets.features.stress_factors import StressFactors, estimate_stress_factors, momentum_of, ridge_betas
from marketbot_assets.features.stress_windows import BUDGET, HISTORY, WINDOWS
from marketbot_assets.normalization.window import Floats

BY_NAME = {window.name: window for window in WINDOWS}
N = 12


def weekdays(first: dt.date, last: dt.date) -> tuple[dt.date, ...]:
    return tuple(stamp.date() for stamp in pd.bdate_range(first, last))


def universe(sectors: tuple[str, ...], **changes: object) -> Universe:
    count = len(sectors)
    facts = {"sector": sectors, "equity": np.ones(count, dtype=bool), "home": np.ones(count, dtype=bool),
             "log_market_value": np.full(count, np.nan), "book_to_price": np.full(count, np.nan)}  # fmt: skip
    return Universe(**{**facts, **changes})  # type: ignore[arg-type]


def drawn(first: dt.date, last: dt.date, seed: int = 1) -> tuple[Past, Floats]:
    """A past of twelve names that follow the index with betas 0.5 .. 1.6 and noise; (past, betas)."""
    days, rng = weekdays(first, last), np.random.default_rng(seed)
    market = 0.01 * rng.standard_normal(len(days))
    beta = np.linspace(0.5, 1.6, N)
    returns = market[:, None] * beta + 0.005 * rng.standard_normal((len(days), N))
    market[0] = 0.0
    return past_of(days, returns, 100.0 * np.cumprod(1.0 + market)), beta


# Mkt-RF, SMB, HML in percent, compounded over the months named there, as the stress library prints them.
PUBLISHED = {
    "H1929": ("192909", "193206", (-84.7, 0.1, -15.8)),
    "H1937": ("193703", "193803", (-49.5, -23.2, -17.7)),
    "H1973": ("197301", "197409", (-53.0, -18.7, 53.1)),
    "H1987": ("198710", "198711", (-29.2, -5.9, 7.5)),
    "H1998": ("199808", "199808", (-16.1, -5.3, 3.4)),
    "H2000": ("200004", "200209", (-50.1, 12.9, 90.1)),
    "H2008": ("200711", "200902", (-51.5, 3.3, -17.6)),
}


def test_published_factor_returns_of_the_windows() -> None:
    """The library's numbers, and the same from the packaged monthly data; before 1990 the market is Mkt-RF."""
    from arch.data import frenchdata

    data = frenchdata.load()
    months = [str(stamp.value) for stamp in data.index]
    for name, (first, last, percents) in PUBLISHED.items():
        inside = np.array([first <= month[-6:] <= last for month in months])
        compounded = np.prod(1.0 + data.to_numpy()[inside, :3] / 100.0, axis=0) - 1.0
        np.testing.assert_allclose(100.0 * compounded, percents, atol=0.06, err_msg=name)
        window = BY_NAME[name]
        assert [100.0 * window.published[k] for k in ("size", "value")] == pytest.approx(percents[1:]), name
        if window.end.year < 1990:
            assert 100.0 * window.index_return == pytest.approx(percents[0]), name


def test_index_returns_of_the_windows_since_1990() -> None:
    """From the packaged index as it comes, which reaches back to 1990."""
    from skfolio.datasets import load_sp500_index

    index = load_sp500_index()["SP500"]
    for window in WINDOWS:
        if window.end.year >= 1990:
            level = [float(index[: str(day)].iloc[-1]) for day in (window.start, window.end)]
            assert level[1] / level[0] - 1.0 == pytest.approx(window.index_return, abs=0.0006), window.name
    last = index["2020-02-20":"2020-03-23"]  # type: ignore[misc]
    runs = {last.index[k].date(): float(last.iloc[k] / last.iloc[k - 3]) for k in range(3, len(last))}
    assert min(runs, key=lambda day: runs[day]) == BY_NAME["Y9 broker down"].end


def test_every_window_of_the_library_is_there_once() -> None:
    """The spec's sixteen windows and the broker's three sessions; ends come after starts."""
    names = (
        "H1929 H1937 H1973 H1987 H1990 H1998 H2000 H2008 H2008L H2010 H2011 H2015 H2018F H2018Q4 H2020 H2022".split()
    )
    assert [window.name for window in WINDOWS] == [*names, "Y9 broker down"]
    assert all(window.start < window.end for window in WINDOWS)
    assert [window.name for window in WINDOWS if window.kind == HISTORY] == ["H1929"]
    for window in WINDOWS:
        if window.kind == "crash":
            assert window.years < 0.3, window.name


def test_a_window_counts_from_the_day_after_its_end() -> None:
    """No window is known on its last day; windows before our own data are known always."""
    past, beta = drawn(dt.date(2009, 1, 1), dt.date(2011, 8, 9))
    on, after = (set(scenario_returns(past, beta, day).names) for day in (dt.date(2011, 8, 8), dt.date(2011, 8, 9)))
    assert after - on == {"H2011"}
    assert {"H1929", "H1987", "H2008"} <= on


def test_peers_stand_in_with_their_ratio_of_betas_and_never_gain() -> None:
    """Three peers: their median times the ratio of betas within 1/2 .. 2; two peers: beta times the index; gains are 0."""
    past, beta = drawn(dt.date(2009, 1, 1), dt.date(2012, 1, 3))
    inside = np.array([BY_NAME["H2011"].start < day <= BY_NAME["H2011"].end for day in past.sessions])
    returns = past.base_returns.copy()
    returns[inside] = 0.0
    row = np.flatnonzero(inside)[0]
    returns[row, [0, 1, 2]] = [-0.10, -0.20, -0.40]
    returns[row, [4, 5, 6]] = 0.3
    returns[:, [3, 7, 8, 11]] = np.nan
    index = past.index.copy()
    index[row:] = 0.8 * index[row - 1]
    sectors = ("A", "A", "A", "A", "B", "B", "B", "B", "C", "C", "C", "A")
    beta = np.array([1.0, 1.0, 1.0, 1.5, 1.0, 1.0, 1.0, 1.0, 1.2, 1.0, 1.0, 9.0])
    made = scenario_returns(past_of(past.sessions, returns, index), beta, dt.date(2012, 1, 3), universe(sectors))
    k = made.names.index("H2011")
    assert made.returns[k, 3] == pytest.approx(1.5 * -0.20)
    assert made.returns[k, 11] == pytest.approx(2.0 * -0.20)
    assert made.returns[k, 7] == 0.0
    assert made.returns[k, 8] == pytest.approx(1.2 * -0.20)
    assert np.flatnonzero(made.proxied[k]).tolist() == [3, 7, 8, 11]


def test_the_factor_version_compounds_betas_times_the_index() -> None:
    """Names that are exactly beta times the index: both versions and the path agree with the product, session by session."""
    past, _ = drawn(dt.date(2009, 1, 1), dt.date(2012, 1, 3))
    market = np.diff(past.index, prepend=past.index[0]) / np.concatenate([past.index[:1], past.index[:-1]])
    exact = past_of(past.sessions, np.outer(market, np.ones(N)), past.index)
    made = scenario_returns(exact, np.ones(N), dt.date(2012, 1, 3))
    k = made.names.index("H2011")
    inside = np.array([BY_NAME["H2011"].start < day <= BY_NAME["H2011"].end for day in past.sessions])
    value = 1.0
    walked = [value := value * (1.0 + m) for m in market[inside]]
    assert made.factor_returns[k] == pytest.approx(np.full(N, walked[-1] - 1.0), abs=1e-12)
    assert made.returns[k] == pytest.approx(np.full(N, walked[-1] - 1.0), abs=1e-12)
    assert len(walked) == 11
    # Eleven sessions on twelve points: the first one comes twice.
    expected = [walked[max(0, -(-p * 11 // PATH_POINTS) - 1)] - 1.0 for p in range(1, PATH_POINTS + 1)]
    assert made.paths[k, :, 0] == pytest.approx(expected, abs=1e-12)
    assert made.years[k] == pytest.approx(17 / 365.25)


def test_windows_before_our_data_use_published_factors() -> None:
    """Betas times logarithms of the published returns; the sectors follow by the conditional mean, the floor is -95 %."""
    past, _ = drawn(dt.date(2015, 1, 1), dt.date(2018, 1, 2))
    size = np.arange(N, dtype=float)
    known = universe(("A",) * N, log_market_value=size)
    factors = estimate_stress_factors(past, known, np.ones(N), np.empty(0, dtype=np.intp))
    assert factors.names == ("market", "size", "momentum", "low_volatility", "sector A")
    made = scenario_returns(past, np.ones(N), past.sessions[-1], known)
    given = np.log1p([-0.495, -0.232])
    s11, s21 = factors.covariance[:2, :2], factors.covariance[2:, :2]
    filled = np.concatenate([given, s21 @ np.linalg.inv(s11) @ given])
    expected = np.maximum(np.exp(factors.betas @ filled) - 1.0, -0.95)
    np.testing.assert_allclose(made.factor_returns[made.names.index("H1937")], expected, rtol=1e-4)
    assert made.returns[made.names.index("H1937")] == pytest.approx(np.full(N, -0.495))
    assert made.proxied[made.names.index("H1937")].all()


def test_one_wrong_bar_gives_no_gain_that_hides_losses() -> None:
    """A ticker used again: one return of 5,959 two years ago, betas of hundreds, a "gain" of 1e100 NAV in every crash."""
    past, beta = drawn(dt.date(2015, 1, 1), dt.date(2018, 1, 2))
    returns = past.base_returns.copy()
    returns[-300, 3] = 5_959.0
    returns[-300, :3] = -0.05
    wrong = past_of(past.sessions, returns, past.index)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = scenario_returns(wrong, beta, past.sessions[-1], universe(("A",) * N))
    assert (
        np.abs(estimate_stress_factors(wrong, universe(("A",) * N), beta, np.empty(0, dtype=np.intp)).betas).max() > 50
    )
    assert np.isfinite(made.factor_returns).all()
    assert made.factor_returns.min() >= -0.95
    assert made.factor_returns.max() <= 2.0


def test_missing_factors_are_filled_by_the_conditional_mean() -> None:
    """f2 = S21 S11^-1 f1 against the regression of the missing on the known factors in a long sample of that covariance."""
    rng = np.random.default_rng(5)
    root = rng.standard_normal((4, 4))
    sample = rng.standard_normal((4000, 4)) @ root
    covariance = sample.T @ sample / len(sample)
    factors = StressFactors(("market", "a", "b", "c"), np.empty(0, dtype=np.intp), sample, np.ones((1, 4)), covariance)
    values = np.array([[-0.3, 0.0, 0.1, 0.0]])
    filled = factors.filled(values, np.array([True, False, True, False]))
    slope, *_ = np.linalg.lstsq(sample[:, [0, 2]], sample[:, [1, 3]], rcond=None)
    np.testing.assert_allclose(filled[0, [1, 3]], np.array([-0.3, 0.1]) @ slope, rtol=1e-4)
    assert filled[0, [0, 2]].tolist() == [-0.3, 0.1]
    assert np.isnan(factors.filled(values, np.zeros(4, dtype=bool))).all()


def test_betas_equal_scikit_learns_ridge_around_the_centre() -> None:
    """Ridge of (sums - centre) on scaled factors with a penalty of T each; a name without enough history keeps its centre."""
    rng = np.random.default_rng(6)
    daily = rng.standard_normal((300, 3)) * [0.01, 0.004, 0.002]
    returns = daily @ np.array([[1.2, 0.9], [0.5, 0.0], [-0.4, 1.0]]) + 0.003 * rng.standard_normal((300, 2))
    returns = np.column_stack([returns, np.full(300, np.nan)])
    returns[-30:, 2] = 0.01
    returns[:50, 1] = np.nan
    sums = daily[:-2] + daily[1:-1] + daily[2:]
    centres = np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    made = ridge_betas(returns, sums, centres, np.ones(3))
    scale = sums.std(axis=0)
    for n, rows in ((0, slice(0, None)), (1, slice(50, None))):
        y = (returns[:-2, n] + returns[1:-1, n] + returns[2:, n])[rows]
        x = sums[rows]
        fitted = Ridge(alpha=1.0 * len(x)).fit(x / scale, y - x @ centres[n])
        np.testing.assert_allclose(made[n], centres[n] + fitted.coef_ / scale, rtol=1e-8)
    assert made[2].tolist() == [1.0, 1.0, 0.0]


def test_later_returns_never_change_the_months_sort() -> None:
    """Momentum and low volatility legs of a month depend on sessions before that month alone."""
    past, _ = drawn(dt.date(2015, 1, 1), dt.date(2018, 1, 2))
    start = past.after(dt.date(2017, 9, 30))
    rows = np.arange(start, start + 20)
    shaken = past.base_returns.copy()
    shaken[start + 20 :] = 0.0
    shaken[start + 19, :] = 0.0
    other = past_of(past.sessions, shaken, past.index)
    known = plain_universe(N)
    one, two = (estimate_stress_factors(p, known, np.ones(N), rows) for p in (past, other))
    column = one.names.index("momentum")
    first, second = (f.returns[np.searchsorted(f.rows, rows[:19])] for f in (one, two))
    np.testing.assert_array_equal(first[:, column], second[:, two.names.index("momentum")])
    score = np.prod(1.0 + past.base_returns[start - 252 : start - 21], axis=0) - 1.0
    np.testing.assert_allclose(momentum_of(past.base_returns, start), score)
    order = np.argsort(score)
    expected = past.base_returns[start][order[-4:]].mean() - past.base_returns[start][order[:4]].mean()
    assert first[0, column] == pytest.approx(expected)


def test_rates_and_currency_are_factors_where_they_are_known() -> None:
    """A name that falls 5 % per point of yield loses near 10 % in Y2; one that follows the dollar has its beta near one."""
    past, _ = drawn(dt.date(2015, 1, 1), dt.date(2018, 1, 2))
    rng = np.random.default_rng(8)
    steps = 0.05 * rng.standard_normal(len(past.sessions))
    dollar = 0.006 * rng.standard_normal(len(past.sessions))
    returns = past.base_returns.copy()
    returns[:, 0] -= 0.05 * steps
    returns[:, 1] += dollar
    euro = np.cumprod(1.0 - dollar)
    both = Past(past.sessions, returns, past.index, 3.0 + np.cumsum(steps), np.column_stack([euro, 2.0 * euro]))
    made = scenario_returns(both, np.ones(N), both.sessions[-1])
    loss = made.returns[made.names.index("Y2 rates +200 bp")]
    assert loss[0] == pytest.approx(-0.10, abs=0.02)
    assert abs(loss[2:]).max() < 0.03
    factors = estimate_stress_factors(both, plain_universe(N), np.ones(N), np.empty(0, dtype=np.intp))
    exposure = factors.betas[:, factors.names.index("currency")]
    assert exposure[1] == pytest.approx(1.0, abs=0.15)
    assert abs(exposure[2:]).max() < 0.15
    assert "Y2 rates +200 bp" not in scenario_returns(past, np.ones(N), past.sessions[-1]).names


def test_the_momentum_crash_takes_the_top_fifth_and_the_unknown() -> None:
    """Twelve names, known momentum of ten: the top two of them and the two unknown lose 25 %, nobody else loses."""
    past, _ = drawn(dt.date(2015, 1, 1), dt.date(2018, 1, 2))
    returns = np.zeros_like(past.base_returns)
    returns[-100] = np.arange(N) / 100.0
    returns[-200, [0, 1]] = np.nan
    made = scenario_returns(past_of(past.sessions, returns, past.index), np.ones(N), past.sessions[-1])
    loss = made.returns[made.names.index("Y4 momentum crash")]
    assert np.flatnonzero(loss == -0.25).tolist() == [0, 1, 10, 11]
    assert np.flatnonzero(loss).tolist() == [0, 1, 10, 11]


def test_nothing_known_fails_closed() -> None:
    """Without an index there is no budget scenario, and a factor version falls back on beta and published returns."""
    days = weekdays(dt.date(2015, 1, 1), dt.date(2018, 1, 2))
    blind = past_of(days, np.full((len(days), 2), np.nan), np.full(len(days), np.nan))
    made = scenario_returns(blind, np.array([1.0, 0.5]), days[-1])
    assert BUDGET not in made.kinds
    assert np.isfinite(made.returns).all()
    crash = made.names.index("H1987")
    np.testing.assert_allclose(made.factor_returns[crash], np.exp(np.array([1.0, 0.5]) * np.log(1 - 0.292)) - 1.0)
    garbled = scenario_returns(blind, np.array([np.nan, 0.5]), days[-1])
    assert np.isnan(garbled.returns[crash, 0])
    assert np.isnan(garbled.factor_returns[crash, 0])
