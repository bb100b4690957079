"""Ensembles: weights from what was proven out of fold, zero when nothing was; intervals that hold what they promise."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, spearmanr

from marketbot_assets.insight.ensemble import (
    earned_weights,
    ensemble_spec,
    mean_error,
    members_of,
    predict_ensemble,
    session_ics,
    train_ensemble,
)
from marketbot_assets.insight.families import momentum_spec, predict, ridge_spec, train
from marketbot_assets.insight.forecast_panel import EWMA_MOMENTUM, Panel, labels_of, standardized
from marketbot_assets.insight.intervals import covered, half_width
from marketbot_assets.insight.training import Fitted, TrainingRule

T, N, H = 300, 20, 3
RULE = TrainingRule(horizon_rows=H, embargo_rows=2, sample_every=3, first_rows=100, refit_rows=50)
FEATURES = ("a", EWMA_MOMENTUM)
MEMBERS = (momentum_spec("v1", RULE), ridge_spec({"a": "v1"}, {}, RULE))
SPEC = ensemble_spec(MEMBERS, RULE)
NAMES = ["0 ewma_momentum", "1 ridge"]


def world(seed: int, strength: float) -> Panel:
    """`strength`: of the feature that the ridge reads; the momentum score is noise."""
    chance = np.random.default_rng(seed)
    raw = chance.normal(size=(T, N, 2))
    returns = chance.normal(0.0, 0.01, (T, N))
    returns[1:] += strength * raw[:-1, :, 0]
    days = tuple(dt.date(2018, 1, 1) + dt.timedelta(n) for n in range(T))
    names = tuple(f"i{n:02}" for n in range(N))
    following = np.vstack([returns[1:], np.full((1, N), np.nan)])
    return Panel(days, names, FEATURES, standardized(raw), labels_of(returns, H), following, H)


@pytest.mark.parametrize(
    ("worth", "expected"),
    [
        (((0.10, 0.02), (0.05, 0.02)), (0.0671 / 0.0842 * 0.671, 0.0171 / 0.0842 * 0.342)),
        (((0.10, 0.02), (-0.10, 0.02)), (0.671, 0.0)),
        (((0.03, 0.02), (0.0, 0.01)), (0.0, 0.0)),
        (((0.03, 0.02), (0.0329, 0.02)), (0.0, 0.0)),
        (((np.nan, 0.01), (0.10, np.nan)), (0.0, 0.0)),
        (((0.10, 0.0), (0.10, np.inf)), (0.0, 0.0)),
        (((0.10, 0.02), (np.nan, np.nan)), (0.671, 0.0)),
    ],
)
def test_weights_are_the_proven_part(worth: tuple[tuple[float, float], ...], expected: tuple[float, ...]) -> None:
    """By hand: proven = mean - 1.645 errors; each one's share of it, times what is left of its own mean."""
    np.testing.assert_allclose(earned_weights(worth), expected, rtol=1e-12)


NUMBERS = st.floats(-1.0, 1.0) | st.sampled_from([np.nan, np.inf, -np.inf])


@settings(max_examples=100)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=6), st.floats(0.0, 0.5))
def test_weights_are_bounded_and_more_doubt_is_less_weight(worth: list[tuple[float, float]], more: float) -> None:
    weights = earned_weights(tuple(worth))
    assert (weights >= 0.0).all()
    assert weights.sum() <= 1.0 + 1e-12
    alone = [earned_weights(((mean, error),))[0] for mean, error in worth if error > 0.0]
    less = [earned_weights(((mean, error + more),))[0] for mean, error in worth if error > 0.0]
    assert all(one <= other for one, other in zip(less, alone, strict=True))


def test_coefficients_and_their_error() -> None:
    """Spearman per session as scipy has it; Newey-West written out, at least that of horizons that do not overlap."""
    chance = np.random.default_rng(4)
    said, label = chance.normal(size=(2, 40, 9))
    label[3, :5] = np.nan
    said[5] = 1.0
    found = session_ics(said, label)
    assert np.isnan(found[[3, 5]]).all()
    assert found[7] == pytest.approx(spearmanr(said[7], label[7]).statistic)
    known = np.cumsum(chance.normal(size=30)) + 1.0
    mean, error = mean_error(np.concatenate([known, [np.nan]]), 5, 21)
    apart = known - known.mean()
    covariances = [float(apart[k:] @ apart[: 30 - k]) / 30 for k in range(6)]
    long_run = covariances[0] + 2.0 * sum((1.0 - k / 6.0) * covariances[k] for k in range(1, 6))
    floor = np.std(known, ddof=1) / np.sqrt(30 * 5 / 21)
    assert mean == pytest.approx(known.mean())
    assert error == pytest.approx(max(np.sqrt(long_run / 29), floor))
    white = chance.normal(size=400)
    assert mean_error(white, 1, 21)[1] == pytest.approx(np.std(white, ddof=1) / np.sqrt(400 / 21))
    assert np.isnan(mean_error(white[:19], 1, 21)).all()


def test_an_ensemble_follows_the_member_that_proved_itself() -> None:
    """And says nothing where nobody did: planted worlds and worlds of noise."""
    panel = world(1, 0.01)
    fitted = train_ensemble(SPEC, panel, np.arange(280))
    assert fitted.coefficients["1 ridge"] > 0.5
    assert fitted.coefficients["0 ewma_momentum"] < 0.1
    now = panel.values[-1].copy()
    now[3, 1] = np.nan
    told = predict_ensemble(SPEC, fitted, now)
    apart = [
        predict(one, train(one, panel, np.arange(280)), now[:, [place]])
        for place, one in ((1, MEMBERS[0]), (0, MEMBERS[1]))
    ]
    expected = sum(fitted.coefficients[name] * one for name, one in zip(NAMES, apart, strict=True))
    np.testing.assert_allclose(told, np.where(np.isnan(now).any(axis=1), np.nan, expected), rtol=1e-12)
    silent = [
        sum(train_ensemble(SPEC, world(seed, 0.0), np.arange(280)).coefficients.values()) for seed in range(10, 22)
    ]
    assert silent.count(0.0) >= 9, "two members, 5 % each: 12 worlds show more than three with a probability of 2 %"
    worlds_zero = predict_ensemble(SPEC, replace(fitted, coefficients=dict.fromkeys(NAMES, 0.0)), now)
    assert np.nanmax(np.abs(worlds_zero)) == 0.0


def test_the_future_changes_no_weight() -> None:
    panel, cut = world(1, 0.01), 200
    values, labels = panel.values.copy(), panel.labels.copy()
    values[cut:], labels[cut:] = -values[cut:], np.nan
    other = replace(panel, values=values, labels=labels)
    assert train_ensemble(SPEC, panel, np.arange(cut)) == train_ensemble(SPEC, other, np.arange(cut))


def test_what_is_no_ensemble_is_refused() -> None:
    other = momentum_spec("v1", replace(RULE, seed=1))
    for members in (
        (MEMBERS[0],),
        (MEMBERS[0], MEMBERS[0]),
        (MEMBERS[0], other),
        (SPEC, MEMBERS[0]),
        (MEMBERS[0], momentum_spec("v2", RULE)),
    ):
        with pytest.raises(ValueError, match="ensemble"):
            ensemble_spec(members, RULE)
    for hyper in ({}, {"members": 1}, {"members": [1, 2]}):
        with pytest.raises(ValueError, match="ensemble"):
            members_of(replace(SPEC, hyper=hyper))
    good = train_ensemble(SPEC, world(1, 0.01), np.arange(280))
    one = {"coefficients": {"a": 1.0}, "parameters": {}}
    for bad in (
        replace(good, coefficients={"0 ewma_momentum": 1.0}),
        replace(good, coefficients=dict.fromkeys(NAMES, 1.5)),
        replace(good, coefficients=dict.fromkeys(NAMES, np.nan)),
        replace(good, parameters={}),
        replace(good, parameters={"members": [one]}),
        replace(good, parameters={"members": [one, {"coefficients": {}}]}),
        replace(good, parameters={"members": [one, {"coefficients": 1, "parameters": {}}]}),
        replace(good, parameters={"members": [one, one]}),
        Fitted(),
    ):
        with pytest.raises(ValueError, match="expected"):
            predict_ensemble(SPEC, bad, np.zeros((4, 2)))


@pytest.mark.parametrize(
    ("count", "level", "place"), [(100, 0.8, 81), (199, 0.9, 180), (104, 0.8, 84), (999, 0.95, 950)]
)
def test_the_half_width_is_an_order_statistic(count: int, level: float, place: int) -> None:
    """The ceil((n + 1) level)-th smallest absolute error, whatever the order, the sign and what is not known."""
    errors = np.random.default_rng(3).permutation(np.arange(1.0, count + 1.0))
    errors[::2] *= -1.0
    assert half_width(np.concatenate([errors, [np.nan]])[None], level) == place


def test_too_few_errors_make_no_interval() -> None:
    errors = np.arange(1.0, 101.0)
    assert np.isnan(half_width(errors[:99]))
    assert np.isnan(half_width(errors, 0.995)), "the 101st of a hundred"
    assert half_width(np.append(errors[1:], np.inf)) == 82.0, "an infinite error is the largest"
    assert np.isnan(half_width(np.where(errors > 80.0, np.inf, errors)))
    for level in (0.0, 1.0, -0.1, np.nan):
        with pytest.raises(ValueError, match="level"):
            half_width(errors, level)


def test_intervals_hold_what_they_promise_on_simulated_data() -> None:
    """Given the errors of calibration, coverage is Beta(k, n + 1 - k) distributed, whatever the tails: 400 calibrations of 199."""
    chance = np.random.default_rng(8)
    n, k, found = 199, 160, []
    for _ in range(400):
        width = half_width(chance.standard_t(3, n))
        inside, judged = covered(np.zeros(500), np.full(500, width), chance.standard_t(3, 500))
        found.append(inside / judged)
    expected = beta(k, n + 1 - k)
    spread = np.sqrt(expected.var() + expected.mean() * (1 - expected.mean()) / 500)
    assert np.mean(found) == pytest.approx(expected.mean(), abs=4.0 * spread / 20.0)
    assert np.std(found) == pytest.approx(spread, rel=0.15)


def test_only_what_is_known_is_judged() -> None:
    said, width, outcome = (
        np.zeros(6),
        np.array([1.0, 1.0, np.nan, 1.0, 1.0, np.inf]),
        np.array([1.0, 1.01, 0.0, np.nan, -1.0, 9.0]),
    )
    assert covered(said, width, outcome) == (2, 3)
    assert covered(np.full(6, np.nan), width, outcome) == (0, 0)
