"""Sums over windows put together of runs: the bits do not depend on how the work is divided, errors stay small."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from marketbot_assets.features import expression as e
from marketbot_assets.features.engine import Days, build
from marketbot_assets.features.in_threads import in_threads
from marketbot_assets.features.market_inputs import FeatureInputs
from marketbot_assets.features.operators.table import OPERATORS
from marketbot_assets.features.plan import plan_of
from marketbot_assets.features.wide_features import build_features

Floats = NDArray[np.float64]
T, N, NUMBER = 150, 6, 4990
ROOMY = sorted(name for name, operator in OPERATORS.items() if operator.kind == "window" and operator.room((20.0,)))
WINDOWS = [1, 2, 5, 20, 60]


def matrix(seed: int, gaps: bool = True) -> Floats:
    draw = np.random.default_rng(seed)
    x = 50 * np.exp(np.cumsum(0.02 * draw.standard_normal((T, N)), axis=0))
    if gaps:
        x[draw.random((T, N)) < 0.03] = np.nan
        x[:70, 2] = np.nan
        x[40:110, 3] = 17.1
        x[90, 4], x[91, 4] = 1e9, np.inf
    return x


def run(name: str, xs: list[Floats], first: int, number: int, room: Floats, window: int) -> Floats:
    operator, rows = OPERATORS[name], len(xs[0]) - first
    out = np.empty((operator.parts, rows, xs[0].shape[1]) if operator.parts else (rows, xs[0].shape[1]))
    operator.run(xs, first, number, room, out, (window, 1, 0.0))
    return out


def same(one: Floats, other: Floats) -> None:
    assert np.array_equal(one, other, equal_nan=True), np.argwhere((one != other) & ~(np.isnan(one) & np.isnan(other)))


def test_the_operators_with_a_room() -> None:
    assert ROOMY == ["beta", "corr", "mean", "moments", "residual_std", "sum", "trend"]


@pytest.mark.parametrize("gaps", [True, False])
@pytest.mark.parametrize("name", ROOMY)
def test_a_room_changes_no_bit(name: str, gaps: bool) -> None:
    """One call; pieces of 1 to 30 sessions with a room; every session alone, from its window's rows and nothing else."""
    xs = [matrix(3 + k, gaps) for k in range(OPERATORS[name].arguments)]
    for window in WINDOWS:
        whole = run(name, xs, 0, NUMBER, np.zeros((0, 0)), window)
        room, first = np.zeros((OPERATORS[name].room((window,)), N)), 0
        for step in (1, 30, 7, 2, 25, 1, 1, 30, 30, 23):
            back = min(first, window)
            piece = [np.ascontiguousarray(x[first - back : first + step]) for x in xs]
            got = run(name, piece, back, NUMBER + first - back, room, window)
            same(got, whole[..., first : first + step, :])
            first += step
        assert first == T
        for t in (0, 1, 19, 59, 60, 99, T - 1):
            back = min(t, window - 1)
            rows = [np.ascontiguousarray(x[t - back : t + 1]) for x in xs]
            same(run(name, rows, back, NUMBER + t - back, np.zeros((0, 0)), window), whole[..., t : t + 1, :])


@pytest.mark.parametrize("name", ROOMY)
def test_a_neighbour_with_unknown_values_changes_no_bit(name: str) -> None:
    """Counted or not: columns that are known as a whole have the same bits beside one that is not."""
    xs = [matrix(8 + k, gaps=False) for k in range(OPERATORS[name].arguments)]
    for unknown_at in (0, 64, 130):
        beside = [x.copy() for x in xs]
        beside[0][unknown_at, 5] = np.nan
        for window in WINDOWS:
            one = run(name, xs, 0, NUMBER, np.zeros((0, 0)), window)
            other = run(name, beside, 0, NUMBER, np.zeros((0, 0)), window)
            same(other[..., :5], one[..., :5])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=40),
    st.integers(1, 12),
    st.integers(0, 50),
    st.floats(-1e9, 1e9),
)
def test_errors_are_small_against_the_windows_own_spread(
    moves: list[float], window: int, number: int, level: float
) -> None:
    """Mean and deviation against exact fractions: to 1e-13 of the largest distance between two values of the window."""
    x = np.array(moves)[:, None] + level
    mean, deviation = run("moments", [x], 0, number, np.zeros((0, 0)), window)[:, :, 0]
    total = run("sum", [x], 0, number, np.zeros((0, 0)), window)[:, 0]
    for t in range(len(x)):
        values = [Fraction(v) for v in x[max(0, t - window + 1) : t + 1, 0].tolist() if math.isfinite(v)]
        if not values:
            assert np.isnan([mean[t], deviation[t], total[t]]).all()
            continue
        wide, exact = float(max(values) - min(values)), sum(values) / len(values)
        assert abs(float(Fraction(mean[t]) - exact)) <= 1e-13 * wide + 2e-16 * abs(float(exact))
        assert abs(float(Fraction(total[t]) - sum(values))) <= 1e-14 * sum(abs(float(v)) for v in values)
        if len(values) > 1:
            square = sum((v - exact) ** 2 for v in values) / (len(values) - 1)
            assert deviation[t] == pytest.approx(math.sqrt(square), rel=1e-12, abs=1e-300)
        assert wide > 0.0 or mean[t] == float(exact)


def test_equal_values_have_exactly_no_spread() -> None:
    """Whatever the window and the value, also where sessions are missing in between."""
    x = np.full((T, 3), 0.1)
    x[::7, 1] = np.nan
    x[:80, 2] = 0.3
    for window in WINDOWS[1:]:
        mean, deviation = run("moments", [x], 0, NUMBER, np.zeros((0, 0)), window)
        assert (mean[window:, :2] == 0.1).all()
        assert (deviation[window:, 0] == 0.0).all()
        assert set(deviation[window + 80 :, 2]) == {0.0}
        assert np.isnan(run("corr", [x, matrix(1, gaps=False)[:, :3]], 0, NUMBER, np.zeros((0, 0)), window)[:, 0]).all()
        assert np.isnan(run("trend", [x], 0, NUMBER, np.zeros((0, 0)), window)[1, :, 0]).all()


def trees() -> list[e.Node]:
    x, y = e.given("x"), e.given("y")
    return [
        e.moment_mean(x, 20, 1) / x,
        e.deviation(y, 60, 1),
        e.corr(x, y, 30, 1),
        e.slope(x, 60, 1) / 7,
        e.rank(x, 20, 1) - e.quantiles(y, 30, 0.8, 0.2, 1)[0],
        e.highest(x, 60, 1) * e.lag(y, 41),
        e.mean(x > e.lag(x, 1), 20, 1),
        e.lag(e.lag(x, 3), 5),
        x,
    ]


def test_neither_blocks_nor_precision_nor_place_of_the_answers_change_bits() -> None:
    """Runs of 32 sessions of 2,100 instruments against runs of a thousand of a few; answers of 32 bits between other columns."""
    plan, draw = plan_of(trees(), frozenset()), np.random.default_rng(5)
    inputs = {name: 20 + np.cumsum(draw.standard_normal((T, 2100)), axis=0) for name in ("x", "y")}
    inputs["x"][30:95, 1] = inputs["y"][100, 0] = np.nan
    wide = build(plan, inputs, NUMBER)
    for columns in (slice(0, 1), slice(1, 4), slice(2036, 2100)):
        block = {name: values[:, columns] for name, values in inputs.items()}
        room = np.full((len(plan.own), T, 70), 9.0, dtype=np.float32)
        part = room[:, :, 3 : 3 + columns.stop - columns.start]
        state = build(plan, block, NUMBER, part).state  # type: ignore[arg-type]
        same(build(plan, block, NUMBER).values, wide.values[:, :, columns])
        same(part, wide.values[:, :, columns].astype(np.float32))  # type: ignore[arg-type]
        assert (room[:, :, :3] == 9.0).all()
        assert (room[:, :, 3 + columns.stop - columns.start :] == 9.0).all()
        days, more = Days(plan, state), {name: values[-1, columns] * 1.01 for name, values in inputs.items()}
        longer = {name: np.vstack([block[name], more[name]]) for name in block}
        same(days.next(more), build(plan, longer, NUMBER).values[:, -1])


def test_a_mean_alone_has_the_bits_of_the_mean_with_a_deviation() -> None:
    """`moments` of which only the mean is asked for is not worked out as a whole; where both are asked for, it is, once."""
    x = e.given("x")
    alone, both = (
        plan_of(some, frozenset()) for some in ([e.moment_mean(x, 20, 1)], [*trees()[:1], e.deviation(x, 20, 1)])
    )
    assert [step.operator.name for step in alone.steps] == ["mean"]
    assert sorted(step.operator.name for step in both.steps) == ["divide", "moments"]
    given_x = {"x": matrix(4)}
    one = build(alone, given_x, NUMBER).values[0]
    whole = build(plan_of([e.moment_mean(x, 20, 1), e.deviation(x, 20, 1)], frozenset()), given_x, NUMBER).values[0]
    same(one, whole)


def test_threads_change_no_bit() -> None:
    """Three blocks at a time, in any order of their ends."""
    plan = plan_of(trees(), frozenset())
    inputs = FeatureInputs(
        tuple(f"I{n}" for n in range(N)), {"x": matrix(1), "y": matrix(2)}, np.zeros(N, dtype=np.int64)
    )
    one, state = build_features(plan, inputs, NUMBER, size=1)
    other, beside = build_features(plan, inputs, NUMBER, size=1, over=in_threads(3))
    same(other, one)
    assert all(np.array_equal(state.history[k], beside.history[k], equal_nan=True) for k in state.history)
