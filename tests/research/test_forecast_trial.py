"""What forecasts are worth: a planted feature and noise through the whole trial; the future changes nothing that was said."""

import datetime as dt
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from marketbot_assets.insight.ensemble import ensemble_spec
from marketbot_assets.insight.families import boosting_spec, momentum_spec, ridge_spec
from marketbot_assets.insight.forecast_panel import EWMA_MOMENTUM, Panel, labels_of, standardized
from marketbot_assets.insight.model_boosting import HYPER
from marketbot_assets.insight.training import TrainingRule
from marketbot_assets.research.forecast_trial import ForecastTrial, evaluate_forecasts, interval_widths
from marketbot_assets.research.null_tests import sharpe_interval
from marketbot_assets.research.promotion import evidence_of, judge_record, searched

T, N, H = 520, 24, 3
STRENGTH = 0.004
RULE = TrainingRule(horizon_rows=H, embargo_rows=2, sample_every=3, first_rows=200, refit_rows=100, seed=3)
FEATURES = ("a", "b", EWMA_MOMENTUM)
VERSIONS = dict.fromkeys(FEATURES, "v1")
RIDGE = ridge_spec(VERSIONS, {}, RULE)
BOOST = boosting_spec(VERSIONS, RULE, {**HYPER, "iterations": 6, "leaf_rows_min": 50})
ENSEMBLE = ensemble_spec((momentum_spec("v1", RULE), RIDGE), RULE)


@lru_cache
def world(strength: float, seed: int = 5) -> Panel:
    """`strength` per session of the first feature; some names rise for ever, which no order of time can hide."""
    chance = np.random.default_rng(seed)
    raw = chance.normal(size=(T, N, 3))
    raw[1:, :, 0] = 0.7 * raw[:-1, :, 0] + 0.7 * raw[1:, :, 0]
    raw[:, :, 1] = np.arange(N)
    returns = chance.normal(0.0, 0.01, (T, N)) + 0.0005 * np.arange(N)
    returns[1:] += strength * raw[:-1, :, 0]
    days = tuple(dt.date(2018, 1, 1) + dt.timedelta(n) for n in range(T))
    names = tuple(f"i{n:02}" for n in range(N))
    following = np.vstack([returns[1:], np.full((1, N), np.nan)])
    return Panel(days, names, FEATURES, standardized(raw), labels_of(returns, H), following, H)


@lru_cache
def trial(family: str, strength: float) -> ForecastTrial:
    spec = {"ridge": RIDGE, "boosting": BOOST, "ensemble": ENSEMBLE}[family]
    return evaluate_forecasts(spec, world(strength), cost_bps=5.0)


@pytest.mark.parametrize("family", ["ridge", pytest.param("boosting", marks=pytest.mark.long), "ensemble"])
def test_a_planted_feature_is_found_and_passes_the_gate(family: str) -> None:
    """Also every test of the rule; labels in another order leave nothing, though some names rise for ever."""
    found = trial(family, STRENGTH)
    metrics, evidence = found.metrics, found.evidence
    assert metrics["information_coefficient"] > 3.0 * metrics["information_coefficient_error"] > 0.0
    assert 0.0 < metrics["r2"] < 0.5
    assert metrics["sharpe_per_year"] > metrics["sharpe_per_year_costs_doubled"] > 0.0
    assert metrics["interval_coverage"] == pytest.approx(0.8, abs=0.03)
    assert evidence.data_sha256 == world(STRENGTH).sha256, "families over one panel are trials over the same data"
    assert len(evidence.returns) == T - 1 - 200 == metrics["sessions"]
    assert abs(evidence.shuffled) < sharpe_interval(len(evidence.returns), 0.999)
    search = searched(1, 0.0, evidence.returns[:, None], includes=True, records=1)
    decision = judge_record(evidence, search)
    assert decision.promoted, decision.reasons
    np.testing.assert_array_equal(evidence_of(evidence.to_bytes()).returns, evidence.returns)


def test_metrics_are_those_of_the_forecasts() -> None:
    """R2 and residuals by hand from what was said; nothing is said before the first test."""
    found, panel = trial("ridge", STRENGTH), world(STRENGTH)
    assert np.isnan(found.expected[:200]).all()
    pairs = [
        (found.expected[t, n], panel.labels[t, n])
        for t in range(200, T)
        for n in range(N)
        if np.isfinite(panel.labels[t, n])
    ]
    said, label = (np.array(part) for part in zip(*pairs, strict=True))
    assert found.metrics["r2"] == pytest.approx(1.0 - np.sum((label - said) ** 2) / np.sum(label**2))
    assert found.metrics["residual_deviation"] == pytest.approx(np.std(label - said))
    errors = np.sort(np.abs(label - said)[-252 * N :])
    assert found.half_width == errors[int(np.ceil((len(errors) + 1) * 0.8)) - 1]


def test_the_future_changes_nothing_that_was_said() -> None:
    """Features, labels and returns from row 310 on are others: forecasts before the first fit that sees them stay to the bit."""
    panel, chance, cut = world(STRENGTH), np.random.default_rng(1), 310
    values, labels = panel.values.copy(), panel.labels.copy()
    values[cut:], labels[cut:] = chance.normal(size=values[cut:].shape), chance.normal(size=labels[cut:].shape)
    labels[-H - 1 :] = np.nan
    other = evaluate_forecasts(RIDGE, replace(panel, values=values, labels=labels), cost_bps=5.0)
    known = trial("ridge", STRENGTH)
    np.testing.assert_array_equal(other.expected[:cut], known.expected[:cut])
    assert (other.expected[400:] != known.expected[400:]).any()
    assert evaluate_forecasts(RIDGE, panel, cost_bps=5.0).evidence.to_bytes() == known.evidence.to_bytes()


def test_an_interval_reads_errors_whose_labels_had_ended() -> None:
    """At the test block from row 400 on: outcomes of rows from 400 - horizon - embargo on may be anything."""
    panel, expected = world(STRENGTH), trial("ridge", STRENGTH).expected
    end = 400 - H - RULE.embargo_rows
    labels = panel.labels.copy()
    labels[end:] = 9.0
    known, other = (interval_widths(replace(panel, labels=one), expected, RULE) for one in (panel.labels, labels))
    np.testing.assert_array_equal(other[:500], known[:500])
    assert np.isfinite(known[400:]).all()
    labels[end - 40 :] = 9.0
    assert (interval_widths(replace(panel, labels=labels), expected, RULE)[400:500] != known[400:500]).all()


def test_noise_is_not_promoted() -> None:
    """Three worlds without anything to find (no name rises either). An ensemble that takes no position leaves a record, too."""
    for spec, seed in ((RIDGE, 11), (RIDGE, 12), (ENSEMBLE, 13)):
        plain = world(0.0, seed)
        noise = np.random.default_rng(seed).normal(0.0, 0.01, (T, N))
        panel = replace(plain, labels=labels_of(noise, H), returns=np.vstack([noise[1:], np.full((1, N), np.nan)]))
        evidence = evaluate_forecasts(spec, panel, cost_bps=5.0).evidence
        assert evidence_of(evidence.to_bytes()).paths.tolist() == evidence.paths.tolist()
        assert not judge_record(
            evidence, searched(1, 0.0, evidence.returns[:, None], includes=True, records=1)
        ).promoted


def test_costs_are_taken_as_often_as_they_are_told() -> None:
    free = evaluate_forecasts(RIDGE, world(STRENGTH), cost_bps=0.0).evidence
    dear = trial("ridge", STRENGTH).evidence
    np.testing.assert_array_equal(free.returns, free.costly)
    np.testing.assert_allclose(free.returns - dear.costly, 2.0 * (free.returns - dear.returns), rtol=1e-6, atol=1e-15)
    assert (free.returns > dear.returns).all()


def test_a_panel_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="walk forward"):
        evaluate_forecasts(replace(RIDGE, training={**RIDGE.training, "first_rows": T}), world(STRENGTH), cost_bps=5.0)
    with pytest.raises(FloatingPointError, match="sessions"):
        evaluate_forecasts(replace(RIDGE, training={**RIDGE.training, "first_rows": 30}), world(STRENGTH), cost_bps=5.0)
