"""The panel that forecasts learn from: labels, scores, what is not known, digests, walk-forward rows."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_assets.insight.forecast_panel import Panel, ewma_momentum, labels_of, standardized
from marketbot_assets.insight.training import TrainingRule, rule_of, sample_of
from marketbot_assets.insight.walk_forward import out_of_fold, walk_forward

T, N, H = 60, 12, 5
DRAWN = np.random.default_rng(1).normal(0.0, 0.01, (T, N))


def panel(values: np.ndarray | None = None) -> Panel:
    days = tuple(dt.date(2018, 1, 1) + dt.timedelta(n) for n in range(T))
    given_values = np.random.default_rng(2).normal(size=(T, N, 2)) if values is None else values
    labels = labels_of(DRAWN, H)
    return Panel(days, tuple(f"i{n:02}" for n in range(N)), ("a", "b"), standardized(given_values), labels, DRAWN, H)


def test_a_label_is_the_return_of_the_next_rows_alone() -> None:
    """Row t reads rows t+1 to t+H: compounded, demeaned, scaled; nothing of t or of what comes later."""
    found = labels_of(DRAWN, H)
    grown = np.cumprod(np.vstack([np.ones(N), 1.0 + DRAWN]), axis=0)
    for row in (0, 17, T - H - 1):
        forward = grown[row + 1 + H] / grown[row + 1] - 1.0
        np.testing.assert_allclose(found[row], (forward - forward.mean()) / forward.std(), rtol=1e-9)
    assert np.isnan(found[T - H :]).all()
    other = DRAWN.copy()
    other[:18] = 0.5
    other[17 + H + 1 :] = -0.5
    np.testing.assert_array_equal(labels_of(other, H)[17], found[17])


def test_what_is_not_known_has_no_label_and_no_score() -> None:
    holes = DRAWN.copy()
    holes[30, 3] = np.nan
    found = labels_of(holes, H)
    assert np.isnan(found[30 - H : 30, 3]).all()
    assert np.isfinite(found[[30 - H - 1, 30], 3]).all()
    few = DRAWN.copy()
    few[10, : N - 9] = np.nan
    assert np.isnan(labels_of(few, H)[9]).all(), "nine names tell nothing"
    assert np.isnan(labels_of(np.zeros((T, N)), H)).all(), "equal returns tell nothing"
    raw = np.full((1, N, 2), np.nan)
    raw[0, :3, 0], raw[0, :2, 1] = [1.0, 2.0, 3.0], [1.0, 2.0]
    z = standardized(raw)
    np.testing.assert_allclose(z[0, :3, 0], [-np.sqrt(1.5), 0.0, np.sqrt(1.5)])
    assert np.isnan(z[0, 3:, 0]).all()
    assert np.isnan(z[0, :, 1]).all()


def test_scores_are_winsorised_and_equal_ones_are_zero() -> None:
    raw = np.zeros((1, 100, 1))
    assert (standardized(raw) == 0.0).all()
    raw[0, 0, 0] = 1e6
    assert standardized(raw)[0, 0, 0] == 3.0


def test_ewma_momentum_is_the_weighted_mean_over_its_deviation() -> None:
    """Against explicit sums; nothing before a half life of known returns, and none after a gap."""
    half = 4
    holes = DRAWN.copy()
    holes[20, 0] = np.nan
    found = ewma_momentum(holes, half)
    weights = 0.5 ** (np.arange(31)[::-1] / half)
    for name in (1, 5):
        part = DRAWN[:31, name]
        mean = np.average(part, weights=weights)
        expected = mean / np.sqrt(np.average((part - mean) ** 2, weights=weights))
        assert found[30, name] == pytest.approx(expected, rel=1e-9)
    assert np.isnan(found[: half - 1]).all()
    assert np.isfinite(found[half - 1, 1:]).all()
    assert np.isnan(found[20 : 20 + half, 0]).all()
    assert np.isfinite(found[20 + half, 0])


def test_the_digest_is_that_of_the_numbers() -> None:
    one = panel()
    assert one.sha256 == panel().sha256
    values = one.values.copy()
    values[3, 3, 1] = np.nextafter(values[3, 3, 1], 9.0)
    changes = (
        replace(one, values=values),
        replace(one, features=("a", "c")),
        replace(one, horizon_rows=H + 1),
        replace(one, returns=-one.returns),
        replace(one, labels=np.where(np.isnan(one.labels), 0.0, one.labels)),
        one.of(("b", "a")),
    )
    assert len({one.sha256, *(change.sha256 for change in changes)}) == 1 + len(changes)
    nans = [np.nan, -np.nan, np.frombuffer(b"\x01\0\0\0\0\0\xf8\x7f")[0]]
    assert len({replace(one, labels=np.full((T, N), nan)).sha256 for nan in nans}) == 1


def test_a_sample_counts_back_from_the_newest_row_and_skips_unknown_names() -> None:
    values = np.random.default_rng(2).normal(size=(T, N, 2))
    values[54, 0, 1] = np.nan
    found = sample_of(panel(values), np.arange(55), 2)
    assert len(found.sessions) == 28
    assert [len(y) for _, y in found.sessions[-2:]] == [N, N - 1]
    np.testing.assert_array_equal(found.sessions[-2][1], panel().labels[52])
    with pytest.raises(FloatingPointError, match="at least 20"):
        sample_of(panel(), np.arange(19), 1)


@settings(max_examples=60)
@given(
    st.integers(2, 200),
    st.integers(1, 199),
    st.integers(1, 50),
    st.integers(0, 20),
    st.integers(0, 20),
    st.integers(0, 50),
)
def test_no_fit_sees_a_label_that_touches_its_tests(
    rows: int, first: int, step: int, horizon: int, embargo: int, window: int
) -> None:
    """Purged and embargoed; every row from the first test on is tested once; a window bounds what is seen, the newest rows."""
    first = min(first, rows - 1)
    splits = walk_forward(rows, first, step, horizon, embargo, window or None)
    assert np.concatenate([split.test for split in splits]).tolist() == list(range(first, rows))
    for split in splits:
        allowed = [t for t in range(rows) if t + horizon + embargo < split.test[0]]
        assert split.train.tolist() == (allowed[-window:] if window else allowed)


@pytest.mark.parametrize(
    ("first", "step", "horizon", "embargo", "window"),
    [
        (0, 1, 1, 1, None),
        (9, 0, 1, 1, None),
        (10, 1, 1, 1, None),
        (5, 1, -1, 1, None),
        (5, 1, 1, -1, None),
        (5, 1, 1, 1, 0),
    ],
)
def test_impossible_splits_are_refused(first: int, step: int, horizon: int, embargo: int, window: int | None) -> None:
    with pytest.raises(ValueError, match="walk forward"):
        walk_forward(10, first, step, horizon, embargo, window)


def test_out_of_fold_is_what_each_fit_said_of_its_own_rows() -> None:
    splits = walk_forward(10, 2, 3, 1, 0)
    found = out_of_fold((10, 2), splits, lambda train, test: np.column_stack([test, np.full(len(test), len(train))]))
    expected = [[np.nan, np.nan]] * 2 + [[t, {0: 1, 1: 4, 2: 7}[(t - 2) // 3]] for t in range(2, 10)]
    np.testing.assert_array_equal(found, expected)
    assert np.isnan(
        out_of_fold((10, 2), walk_forward(10, 2, 3, 2, 0), lambda _, test: np.zeros((len(test), 2)))[:5]
    ).all()


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1.0},
        {"seed": True},
        {"horizon_rows": 0},
        {"embargo_rows": -1},
        {"window_rows": 0},
        {"more": 1},
        {"seed": None},
    ],
)
def test_a_training_rule_is_whole_and_complete(change: dict[str, object]) -> None:
    from marketbot_assets.insight.model_card import ModelSpec

    spec = ModelSpec("ridge", ("a",), {}, TrainingRule(window_rows=9, seed=4).body({"a": "v1"}))
    assert rule_of(spec) == TrainingRule(window_rows=9, seed=4)
    with pytest.raises(ValueError, match="expected"):
        rule_of(replace(spec, training={**spec.training, **change}))  # type: ignore[dict-item]
