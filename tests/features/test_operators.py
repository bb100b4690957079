"""Every operator equals its plain definition: pandas where it has one, a loop over windows in numpy where it has not.

The matrix holds gaps, infinities, constant stretches, a spike and a late listing; its rows straddle a session number at which
running sums begin anew. Allowed: 1e-9 relative (to the window's own scale where the answer may be zero).
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from marketbot_assets.features.operators.as_of import as_of
from marketbot_assets.features.operators.table import ACROSS, EACH, OPERATORS

Floats = NDArray[np.float64]
T, N, NUMBER = 330, 5, 180


def matrix(seed: int, start: float = 50.0) -> Floats:
    draw = np.random.default_rng(seed)
    x = start * np.exp(np.cumsum(0.02 * draw.standard_normal((T, N)), axis=0))
    x[draw.random((T, N)) < 0.05] = np.nan
    x[100:190, 1] = 47.0  # halted: one price for longer than any window
    x[150, 2] = 1e7  # a bad tick
    x[:90, 3] = np.nan  # listed later
    x[:, 4] = np.round(x[:, 4] / 4) * 4  # many ties
    x[60, 0], x[61, 0] = np.inf, -np.inf
    x[256 - NUMBER, 0] = 3e6  # a bad tick where sums begin anew
    return x


X, Y = matrix(1), matrix(2, 20.0)
KNOWN = np.where(np.isfinite(X), X, np.nan)
BOTH = np.isfinite(X) & np.isfinite(Y)


def run(name: str, arguments: Sequence[Floats], *parameters: float) -> Floats:
    operator = OPERATORS[name]
    out = np.empty((operator.parts, T, N) if operator.parts else (T, N))
    operator.run(list(arguments), 0, NUMBER, np.zeros((operator.carried, N)), out, parameters)
    return out


def slow(window: int, least: int, answer: Callable[[Floats], float], x: Floats = KNOWN) -> Floats:
    """A loop over windows; `answer` sees the known values, oldest first."""
    out = np.full((T, N), np.nan)
    for t in range(T):
        for j in range(N):
            values = x[max(0, t - window + 1) : t + 1, j]
            values = values[np.isfinite(values)]
            if len(values) >= max(least, 1):
                out[t, j] = answer(values)
    return out


def agree(got: Floats, wanted: Floats, scale: Floats | float = 0.0, tolerance: float = 1e-9) -> None:
    assert np.array_equal(np.isnan(got), np.isnan(wanted)), np.argwhere(np.isnan(got) != np.isnan(wanted))[:5]
    known = ~np.isnan(wanted)
    error = np.abs(got - wanted)[known] / np.maximum(np.abs(wanted), np.broadcast_to(scale, wanted.shape))[known].clip(
        1e-300
    )
    assert known.any()
    assert error.max() <= tolerance, error.max()


WINDOWS = [(5, 1), (20, 10), (60, 1), (60, 60)]


@pytest.mark.parametrize(("window", "least"), WINDOWS)
def test_sum_mean_count(window: int, least: int) -> None:
    agree(run("mean", [X], window, least), slow(window, least, lambda v: float(np.mean(v))))
    agree(run("sum", [X], window, least), slow(window, least, lambda v: float(np.sum(v))))
    counted = pd.DataFrame(KNOWN).rolling(window, min_periods=0).count().to_numpy()
    assert np.array_equal(run("count", [X], window), counted)


@pytest.mark.parametrize(("window", "least"), WINDOWS)
def test_moments(window: int, least: int) -> None:
    """The mean, and the deviation with ddof 1: unknown with one value, exactly zero in a window of equal values."""
    mean, deviation = run("moments", [X], window, least)
    agree(mean, slow(window, least, lambda v: float(np.mean(v))))
    wanted = slow(
        window, least, lambda v: float(np.std(v, ddof=1)) if len(set(v)) > 1 else 0.0 if len(v) > 1 else np.nan
    )
    agree(deviation, wanted)
    assert (deviation[100 + window : 190, 1] == 0.0).all()


def test_moments_are_those_of_pandas() -> None:
    """On plain returns pandas' own rolling functions say the same."""
    frame = pd.DataFrame(np.random.default_rng(3).standard_normal((T, N)) * 0.02)
    x = frame.to_numpy()
    agree(run("moments", [x], 60, 60)[1], frame.rolling(60).std().to_numpy())
    agree(run("shape", [x], 60, 60)[0], frame.rolling(60).skew().to_numpy(), 1.0)
    agree(run("shape", [x], 60, 60)[1], frame.rolling(60).kurt().to_numpy(), 1.0)


@pytest.mark.parametrize(("window", "least"), [(20, 1), (60, 30)])
def test_shape(window: int, least: int) -> None:
    """Third and fourth cumulants of a window, unbiased (Fisher)."""

    def cumulants(v: Floats) -> tuple[float, float, float, int]:
        d = v - v.mean()
        return float((d**2).mean()), float((d**3).mean()), float((d**4).mean()), len(v)

    def skewness(v: Floats) -> float:
        m2, m3, _, n = cumulants(v)
        return np.sqrt(n * (n - 1)) / (n - 2) * m3 / m2**1.5 if n >= 3 and len(set(v)) > 1 else np.nan

    def kurtosis(v: Floats) -> float:
        m2, _, m4, n = cumulants(v)
        if n < 4 or len(set(v)) == 1:
            return np.nan
        return (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * (m4 / m2**2 - 3) + 6)

    got = run("shape", [X], window, least)
    agree(got[0], slow(window, least, skewness), 1.0)
    agree(got[1], slow(window, least, kurtosis), 1.0)


@pytest.mark.parametrize("halflife", [3.0, 21.0])
def test_ewma(halflife: float) -> None:
    """Weights by age in sessions, over the known values of a window; pandas agrees where the window is the whole past."""
    window, wanted = 60, np.full((T, N), np.nan)
    for t in range(T):
        ages = np.arange(min(window, t + 1))[::-1]
        rows = KNOWN[t - len(ages) + 1 : t + 1]
        weights = 0.5 ** (ages / halflife)[:, None] * np.isfinite(rows)
        enough = np.isfinite(rows).sum(axis=0) >= 2
        wanted[t, enough] = (np.nan_to_num(rows) * weights).sum(axis=0)[enough] / weights.sum(axis=0)[enough]
    agree(run("ewma", [X], window, 2, halflife), wanted)
    whole = pd.DataFrame(KNOWN).iloc[:60].ewm(halflife=halflife, min_periods=2).mean().to_numpy()
    some = np.isfinite(KNOWN[:60])
    agree(np.where(some, run("ewma", [X], window, 2, halflife)[:60], np.nan), np.where(some, whole, np.nan))


@pytest.mark.parametrize(("window", "least"), [(20, 1), (60, 30)])
def test_pairs(window: int, least: int) -> None:
    """Correlation, slope and residual deviation by least squares on the sessions where both are known."""
    wanted = {name: np.full((T, N), np.nan) for name in ("corr", "beta", "residual_std")}
    for t in range(T):
        for j in range(N):
            rows = slice(max(0, t - window + 1), t + 1)
            x, y = X[rows, j][BOTH[rows, j]], Y[rows, j][BOTH[rows, j]]
            if len(x) < max(least, 2):
                continue
            x, y = x - x.mean(), y - y.mean()
            flat_x, flat_y = len(set(x)) == 1, len(set(y)) == 1
            if not flat_y:
                slope = 0.0 if flat_x else (x @ y) / (y @ y)
                wanted["beta"][t, j] = slope
                if len(x) > 2:
                    left = x - slope * y
                    wanted["residual_std"][t, j] = 0.0 if flat_x else np.sqrt(left @ left / (len(x) - 2))
                if not flat_x:
                    wanted["corr"][t, j] = (x @ y) / np.sqrt((x @ x) * (y @ y))
    scale = slow(window, 1, lambda v: float(np.std(v)))
    agree(run("corr", [X, Y], window, least, 0.0), wanted["corr"], 1.0)
    agree(run("beta", [X, Y], window, least), wanted["beta"], 1.0)
    agree(run("residual_std", [X, Y], window, least), wanted["residual_std"], np.nan_to_num(scale) + 1e-9, 1e-7)


def test_correlation_needs_spread() -> None:
    """Below the spread that is asked for there is no correlation; pandas agrees on the rest (bad ticks spoil its sums)."""
    both = BOTH & (X < 1e5) & (Y < 1e5)
    x, y = np.where(both, X, np.nan) / 50.0, np.where(both, Y, np.nan)
    got = run("corr", [x, y], 20, 20, 0.02)
    left, right = pd.DataFrame(x), pd.DataFrame(y)
    wide = ((left.rolling(20).std() > 0.02) & (right.rolling(20).std() > 0.02)).to_numpy()
    wanted = np.where(wide, left.rolling(20).corr(right).to_numpy(), np.nan)
    some = np.isfinite(wanted)
    assert 0 < some.sum() < wide.size
    assert np.nanmax(np.abs(np.where(some, got - wanted, 0.0))) < 1e-9
    assert np.isnan(got[~wide]).all()


@pytest.mark.parametrize(("window", "least"), [(5, 2), (30, 1), (60, 40)])
def test_trend(window: int, least: int) -> None:
    """Slope, R2 and newest residual of numpy's least squares on session numbers."""
    slopes, squares, residuals = (np.full((T, N), np.nan) for _ in range(3))
    scale = np.full((T, N), 1e-12)
    for t in range(T):
        for j in range(N):
            values = KNOWN[max(0, t - window + 1) : t + 1, j]
            known = np.isfinite(values)
            if known.sum() < max(least, 2):
                continue
            time, y = np.arange(len(values))[known].astype(float), values[known]
            a, b = time - time.mean(), y - y.mean()
            slopes[t, j] = slope = (a @ b) / (a @ a)
            scale[t, j] = max(np.abs(b).max(), 1e-9)
            if len(set(y)) > 1:
                squares[t, j] = (a @ b) ** 2 / ((a @ a) * (b @ b))
            if known[-1]:
                residuals[t, j] = y[-1] - (y.mean() + slope * (time[-1] - time.mean()))
    got = run("trend", [X], window, least, 0.0)
    agree(got[0], slopes, scale)
    agree(got[1], squares, 1.0)
    agree(got[2], residuals, scale)


@pytest.mark.parametrize(("window", "least"), WINDOWS)
def test_order(window: int, least: int) -> None:
    """Extremes and their first places, the newest value's rank, and quantiles."""
    frame = pd.DataFrame(KNOWN).rolling(window, min_periods=least)
    assert np.array_equal(run("max", [X], window, least), frame.max().to_numpy(), equal_nan=True)
    assert np.array_equal(run("min", [X], window, least), frame.min().to_numpy(), equal_nan=True)
    agree(run("rank", [X], window, least), np.where(np.isfinite(KNOWN), frame.rank(pct=True).to_numpy(), np.nan))
    low, high = run("quantiles", [X], window, least, 0.2, 0.8)
    agree(low, slow(window, least, lambda v: float(np.quantile(v, 0.2))))
    agree(high, slow(window, least, lambda v: float(np.quantile(v, 0.8))))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_places(sign: float) -> None:
    """The first extreme, counted in sessions from the oldest known value of the window."""
    wanted = np.full((T, N), np.nan)
    for t in range(T):
        for j in range(N):
            values = sign * KNOWN[max(0, t - 19) : t + 1, j]
            if np.isfinite(values).any():
                wanted[t, j] = np.nanargmax(values) - np.flatnonzero(np.isfinite(values))[0] + 1
    assert np.array_equal(run("argmax" if sign > 0 else "argmin", [X], 20, 1), wanted, equal_nan=True)


def test_lag_and_comparisons() -> None:
    shifted = pd.DataFrame(X).shift(7).to_numpy()
    assert np.array_equal(run("lag", [X], 7), shifted, equal_nan=True)
    out = np.empty((1, 4))
    here, there = np.array([[2.0, 1.0, np.nan, 3.0]]), np.array([[1.0, 1.0, 1.0, np.nan]])
    assert OPERATORS["greater"].run(here, there, out=out)[0, [0, 1, 3]].tolist() == [1.0, 0.0, 0.0]
    assert np.isnan(out[0, 2])
    assert OPERATORS["only_where"].run(here, there - 1.0, out=out)[0].tolist()[:2] != [2.0, 1.0]
    assert np.isnan(out[0]).all()


def test_basis() -> None:
    """Moves where the return is not the price move: a split of two for one, a dividend of 4 %; pauses after an unknown return."""
    returns, close = np.zeros((T, N)), np.full((T, N), 100.0)
    returns[:, 0], close[:5, 0] = np.nan, np.nan
    returns[6:9, 0], close[6:, 0] = [0.1, 0.0, 0.04], 110.0
    close[7:, 0], close[8:, 0] = 55.0, 55.0
    returns[12:, 0] = 0.0
    returns[10, 1], close[10:, 1] = 0.1, 100.0 * 1.1
    out = run("basis", [returns, close], 2)
    assert np.isnan(out[:5, 0]).all()
    assert out[5:9, 0] == pytest.approx([1.0, 1.0, 2.0, 2.0 * 1.04])
    assert np.isnan(out[9, 0])  # an unknown return, and then as many sessions as asked for before it begins again
    assert out[10:14, 0] == pytest.approx([np.nan, 1.0, 1.0, 1.0], nan_ok=True)
    assert (out[:, 1] == 1.0).all()  # a price move is no event, rounding is none either


def across(
    name: str, *arguments: Floats, groups: Sequence[int] = (0, 1, 0, 1, 1), parameters: tuple[float, ...] = ()
) -> Floats:
    out = np.empty((T, N))
    OPERATORS[name].run(list(arguments), np.array(groups), out, parameters)
    return out


def test_across() -> None:
    """Rank, score, cut, group and neutral part of each session, unknown values out of it."""
    x, y = X.copy(), Y.copy()
    x[5] = [1.0, 3.0, 3.0, np.nan, 9.0]
    x[6] = 4.0
    frame = pd.DataFrame(np.where(np.isfinite(x), x, np.nan))
    agree(across("cross_rank", x), frame.rank(axis=1, pct=True).to_numpy())
    assert across("cross_rank", x)[5].tolist()[:3] == [0.25, 0.625, 0.625]
    mean, spread = frame.mean(axis=1), frame.std(axis=1, ddof=0)
    wanted = frame.sub(mean, axis=0).div(spread, axis=0).to_numpy().copy()
    wanted[6] = 0.0
    agree(across("cross_score", x), wanted, 1.0)
    low, high = frame.quantile(0.2, axis=1), frame.quantile(0.8, axis=1)
    agree(across("cross_winsorize", x, parameters=(0.2,)), frame.clip(low, high, axis=0).to_numpy())
    agree(across("cross_mean", x), np.repeat(mean.to_numpy()[:, None], N, axis=1))
    agree(across("cross_deviation", x), np.repeat(frame.std(axis=1).to_numpy()[:, None], N, axis=1), 1.0)
    grouped = across("group_mean", x)
    assert grouped[5].tolist() == [2.0, 6.0, 2.0, 6.0, 6.0]
    left = across("cross_neutralize", x, y)
    for t in (3, 200, 300):
        both = np.isfinite(x[t]) & np.isfinite(y[t])
        design = np.column_stack([np.ones(both.sum()), y[t][both]])
        coefficients, *_ = np.linalg.lstsq(design, x[t][both], rcond=None)
        assert left[t][both] == pytest.approx(x[t][both] - design @ coefficients, abs=1e-6)
        assert np.isnan(left[t][~both]).all()


def test_the_newest_filing_of_the_newest_period_counts() -> None:
    """A restatement of an old period changes nothing but the year before; nothing is known before it is filed."""
    day = np.arange(0, 2000, 100)
    facts = [
        (150, 0, 100, 1.0),
        (250, 0, 190, 2.0),
        (610, 0, 465, 5.0),
        (700, 0, 100, 1.5),
        (350, 1, 90, 7.0),
        (820, 0, 465, 5.5),
    ]
    known, column, period, value = (np.array(part) for part in zip(*facts, strict=True))
    newest = as_of(day, known, column, period, value.astype(float), 3)
    before = as_of(day, known, column, period, value.astype(float), 3, back_days=365)
    assert newest[:10, 0] == pytest.approx([np.nan, np.nan, 1.0, 2.0, 2.0, 2.0, 2.0, 5.0, 5.0, 5.5], nan_ok=True)
    assert before[:9, 0] == pytest.approx([np.nan] * 7 + [1.5, 1.5], nan_ok=True)
    assert np.isnan(newest[:, 2]).all()
    assert newest[3:5, 1] == pytest.approx([np.nan, 7.0], nan_ok=True)
    assert np.isnan(before[:, 1]).all()
    shuffled = np.random.default_rng(0).permutation(len(facts))
    again = as_of(day, known[shuffled], column[shuffled], period[shuffled], value[shuffled].astype(float), 3)
    assert np.array_equal(newest, again, equal_nan=True)


def test_every_operator_is_tested_here() -> None:
    """An operator that is added needs its definition in this file."""
    text = Path(__file__).read_text(encoding="utf-8")
    windows = [name for name, operator in OPERATORS.items() if operator.kind not in (EACH,)]
    assert [name for name in windows if f'"{name}"' not in text] == []
    assert {operator.kind for operator in OPERATORS.values()} == {EACH, ACROSS, "window"}
