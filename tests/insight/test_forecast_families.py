"""Forecast families: the ridge of the return model, boosted trees read without scikit-learn, files that were altered."""

import datetime as dt
import json
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_assets.insight.families import boosting_spec, momentum_spec, predict, ridge_spec, train
from marketbot_assets.insight.forecast_fit import coverage_of, fit_model, forecast_of, rows_ended
from marketbot_assets.insight.forecast_panel import EWMA_MOMENTUM, Panel, labels_of, standardized
from marketbot_assets.insight.model_boosting import HYPER, exported, grown
from marketbot_assets.insight.model_card import ModelSpec, canonical_bytes, fit_of
from marketbot_assets.insight.training import Fitted, TrainingRule
from marketbot_assets.insight.trees import forest, tree_of, trees_of

T, N, H = 260, 20, 3
RULE = TrainingRule(horizon_rows=H, embargo_rows=2, sample_every=1, first_rows=100, refit_rows=50, seed=7)
FEATURES = ("a", "b", EWMA_MOMENTUM)
FAST = {**HYPER, "iterations": 12, "leaf_rows_min": 30}
VERSIONS = dict.fromkeys(FEATURES, "v1")


def planted(seed: int = 3, strength: float = 0.01) -> Panel:
    """The first feature moves the next return; a name in twenty lacks one."""
    chance = np.random.default_rng(seed)
    raw = chance.normal(size=(T, N, 3))
    returns = chance.normal(0.0, 0.01, (T, N))
    returns[1:] += strength * raw[:-1, :, 0]
    raw[chance.random(raw.shape) < 0.02] = np.nan
    days = tuple(dt.date(2018, 1, 1) + dt.timedelta(n) for n in range(T))
    names = tuple(f"i{n:02}" for n in range(N))
    following = np.vstack([returns[1:], np.full((1, N), np.nan)])
    return Panel(days, names, FEATURES, standardized(raw), labels_of(returns, H), following, H)


PANEL = planted()
ROWS = np.arange(200)
RIDGE, BOOST = ridge_spec(VERSIONS, {"a": 0.3}, RULE), boosting_spec(VERSIONS, RULE, FAST)


def test_trees_read_from_json_predict_what_scikit_learn_does() -> None:
    """To 1e-12, through JSON text, on rows that were and were not trained on, at thresholds and one float beside them."""
    chance = np.random.default_rng(5)
    x = np.round(chance.normal(size=(3000, 4)), 2)
    y = np.sin(3.0 * x[:, 0]) * (x[:, 1] > 0.2) + 0.1 * chance.normal(size=3000)
    for hyper in (FAST, {**FAST, "leaves": 31, "leaf_rows_min": 5, "l2": 0.0, "learning_rate": 0.3}):
        made = grown(x, y, hyper, 1)
        base, trees = exported(made)
        read = trees_of(json.loads(canonical_bytes([tree.body() for tree in trees])), 4)
        cuts = np.unique(np.concatenate([tree.threshold[tree.feature == 0] for tree in trees]))
        near = np.zeros((3 * len(cuts), 4))
        near[:, 0] = np.concatenate([cuts, np.nextafter(cuts, 9.0), np.nextafter(cuts, -9.0)])
        for rows in (x, chance.normal(size=(1000, 4)) * 10.0, near):
            np.testing.assert_allclose(forest(base, read, rows), made.predict(rows), rtol=0.0, atol=1e-12)
        assert np.ptp(forest(base, read, x)) > 0.1


def test_boosting_is_the_same_twice_and_learns_what_was_planted() -> None:
    first, again = (train(BOOST, PANEL, ROWS) for _ in range(2))
    assert canonical_bytes(dict(first.parameters)) == canonical_bytes(dict(again.parameters))
    told = predict(BOOST, first, PANEL.values[210:250])
    good = np.isfinite(told) & np.isfinite(PANEL.labels[210:250])
    assert np.corrcoef(told[good], PANEL.labels[210:250][good])[0, 1] > 0.2
    np.testing.assert_array_equal(np.isnan(told), np.isnan(PANEL.values[210:250]).any(axis=2))


def test_nothing_of_scikit_learn_is_needed_to_predict() -> None:
    program = (
        "import sys; sys.modules['sklearn'] = None\n"
        "from marketbot_assets.insight.trees import forest, tree_of; import numpy as np\n"
        "body = {'feature': [0, -1, -1], 'threshold': [0.5, 0.0, 0.0], 'left': [1, 0, 0], 'right': [2, 0, 0],\n"
        "        'value': [0.0, -1.0, 2.0]}\n"
        "print(forest(10.0, [tree_of(body, 1)] * 2, np.array([[0.5], [0.6]])).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[8.0, 14.0]"


GOOD = {
    "feature": [0, -1, -1],
    "threshold": [0.5, 0.0, 0.0],
    "left": [1, 0, 0],
    "right": [2, 0, 0],
    "value": [0.0, -1.0, 2.0],
}


@pytest.mark.parametrize(
    "change",
    [
        {"left": [0, 0, 0]},
        {"left": [2, 0, 0]},
        {"right": [3, 0, 0]},
        {"right": [-1, 0, 0]},
        {"feature": [1, -1, -1]},
        {"feature": [-2, -1, -1]},
        {"feature": [0, 0, -1]},
        {"feature": [-1, -1, -1]},
        {"feature": [0.0, -1, -1]},
        {"feature": [True, -1, -1]},
        {"threshold": [float("nan"), 0.0, 0.0]},
        {"threshold": [0.5, 0.0]},
        {"value": [0.0, float("inf"), 2.0]},
        {"value": [0.0, None, 2.0]},
        {"value": "no"},
        {"more": []},
    ],
)
def test_what_is_no_tree_is_refused(change: dict[str, object]) -> None:
    """A child before its parent would loop for ever; a child of two parents, or of none, is no tree."""
    assert tree_of(GOOD, 1).predict(np.array([[0.5], [0.6]])).tolist() == [-1.0, 2.0]
    with pytest.raises(ValueError, match="tree"):
        tree_of({**GOOD, **change}, 1)  # type: ignore[dict-item]


def test_what_is_no_forest_is_refused() -> None:
    for body in (None, {}, [GOOD] * 5001, [GOOD, 1]):
        with pytest.raises(ValueError, match="tree"):
            trees_of(body, 1)  # type: ignore[arg-type]


def test_ridge_is_the_prior_and_what_the_sessions_add() -> None:
    """Against the normal equations written out: (mean gram of each session + 320) w = moment / 0.05 + 320 prior."""
    found = train(RIDGE, PANEL, ROWS)
    gram, moment = np.zeros((3, 3)), np.zeros(3)
    for row in ROWS:
        x, y = PANEL.values[row], PANEL.labels[row]
        good = [n for n in range(N) if np.isfinite(x[n]).all() and np.isfinite(y[n])]
        gram += sum(np.outer(x[n], x[n]) for n in good) / len(good)
        moment += sum(x[n] * y[n] for n in good) / len(good)
    weights = np.linalg.inv(gram + 320.0 * np.eye(3)) @ (moment / 0.05 + 320.0 * np.array([0.3, 0.0, 0.0]))
    np.testing.assert_allclose([found.coefficients[name] for name in FEATURES], 0.05 * weights, rtol=1e-9)
    values = np.array([[1.0, 2.0, -1.0], [1.0, np.nan, 0.0]])
    told = predict(RIDGE, found, values)
    assert told[0] == pytest.approx(0.05 * float(weights @ values[0]))
    assert np.isnan(told[1])


def test_the_baseline_learns_nothing() -> None:
    spec = momentum_spec("v1", RULE)
    found = [
        train(spec, panel, rows).coefficients for panel, rows in ((PANEL, ROWS), (planted(9, -0.02), np.arange(90)))
    ]
    assert found[0] == found[1] == {EWMA_MOMENTUM: 0.05}


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (replace(RIDGE, family="magic"), "family"),
        (replace(RIDGE, hyper={}), "prior"),
        (replace(RIDGE, hyper={"prior": {"z": 1.0}}), "prior"),
        (replace(RIDGE, hyper={"prior": {"a": float("nan")}}), "finite"),
        (replace(RIDGE, features=("z",)), "feature"),
        (replace(momentum_spec("v1", RULE), features=("a", "b")), "one feature"),
        (replace(BOOST, hyper={**FAST, "leaves": 1}), "leaves"),
        (replace(BOOST, hyper={**FAST, "iterations": 2.5}), "iterations"),
        (replace(RIDGE, training={**RIDGE.training, "horizon_rows": H + 1}), "horizon"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.family,
)
def test_what_is_no_specification_is_refused(spec: ModelSpec, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        train(spec, PANEL, ROWS)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32))
def test_the_future_changes_no_fit(seed: int) -> None:
    """What lies after the last row of the training and its labels may be anything."""
    chance, cut = np.random.default_rng(seed), 150
    values, labels = PANEL.values.copy(), PANEL.labels.copy()
    values[cut:], labels[cut:] = chance.normal(size=values[cut:].shape), chance.normal(size=labels[cut:].shape)
    other = replace(PANEL, values=values, labels=labels)
    assert train(RIDGE, PANEL, np.arange(cut)).coefficients == train(RIDGE, other, np.arange(cut)).coefficients


def fit(spec: ModelSpec = BOOST):  # type: ignore[no-untyped-def]
    return fit_model(spec, PANEL, half_width=1.25, metrics={"r2": None, "x": 0.5}, code_version="c")


def test_a_fit_is_a_file_with_a_card_and_says_the_same_again() -> None:
    made = fit()
    card = made.card
    assert (card.data_sha256, card.seed, card.features) == (PANEL.sha256, 7, FEATURES)
    assert 0.9 < card.coverage < 1.0
    rows = rows_ended(PANEL, BOOST)
    assert rows.tolist() == list(range(T - H - 2))
    assert (
        rows_ended(PANEL, replace(BOOST, training={**BOOST.training, "window_rows": 9})).tolist() == rows.tolist()[-9:]
    )
    known = np.isfinite(PANEL.values[rows]).all(axis=2) & np.isfinite(PANEL.labels[rows])
    assert card.observations == known.sum()
    again = fit_of(made.to_bytes(), made.sha256)
    one, other = (forecast_of(BOOST, each, PANEL.values[-1], VERSIONS) for each in (made, again))
    np.testing.assert_array_equal(one.expected, other.expected)
    np.testing.assert_allclose(one.high - one.low, np.where(np.isfinite(one.expected), 2.5, np.nan))
    assert one.level == 0.8
    np.testing.assert_array_equal(np.isnan(one.expected), np.isnan(PANEL.values[-1]).any(axis=1))


def test_coverage_counts_gaps_and_not_what_was_not_listed() -> None:
    """A name listed from row 5 on with one gap, and one that ended at row 7: 15 + 9 + 8 known of 15 + 10 + 8 asked."""
    values = np.full((15, 4, 3), np.nan)
    values[:, 0], values[5:, 1], values[9, 1, 2], values[:8, 2] = 0.0, 0.0, np.nan, 0.0
    nothing = np.full((15, 4), np.nan)
    made = replace(
        PANEL,
        sessions=PANEL.sessions[:15],
        instruments=PANEL.instruments[:4],
        values=values,
        labels=nothing,
        returns=nothing,
    )
    assert coverage_of(made, np.arange(15)) == pytest.approx(32 / 33)
    assert coverage_of(made, np.arange(0)) == 0.0


def test_a_file_changed_by_one_byte_is_refused() -> None:
    made = fit()
    data = made.to_bytes()
    for place in np.random.default_rng(0).integers(0, len(data), 60).tolist():
        changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        with pytest.raises(ValueError, match="altered"):
            fit_of(changed, made.sha256)


def test_a_fit_says_nothing_of_other_features_or_specifications() -> None:
    made = fit(RIDGE)
    now = PANEL.values[-1]
    assert np.isfinite(forecast_of(RIDGE, made, now, {**VERSIONS, "more": "v1"}).expected).any()
    for spec, one, versions in (
        (BOOST, made, VERSIONS),
        (RIDGE, made, {**VERSIONS, "a": "v2"}),
        (RIDGE, made, {"a": "v1", "b": "v1"}),
        (RIDGE, replace(made, parameters={}), VERSIONS),
        (replace(RIDGE, training={**RIDGE.training, "versions": {}}), made, VERSIONS),
        (RIDGE, replace(made, parameters={**made.parameters, "interval": [0.8, None]}), VERSIONS),
        (RIDGE, replace(made, coefficients={"a": 1.0}), VERSIONS),
    ):
        with pytest.raises(ValueError, match="expected"):
            forecast_of(spec, one, now, versions)
    for width in (np.nan, 0.0, -1.0, np.inf):
        with pytest.raises(ValueError, match="expected"):
            fit_model(RIDGE, PANEL, half_width=width, metrics={}, code_version="c")


def test_more_rows_and_another_seed_make_another_file() -> None:
    """The name of a file tells fits apart; the specification's hash tells seeds apart."""
    seeds = [boosting_spec(VERSIONS, replace(RULE, seed=seed), FAST) for seed in (1, 2)]
    names = [BOOST.sha256, *(spec.sha256 for spec in seeds), RIDGE.sha256]
    assert len(set(names)) == len(names)
    assert all(one != other for one, other in pairwise([fit().sha256, fit(RIDGE).sha256, fit(seeds[0]).sha256]))
    assert predict(RIDGE, Fitted(dict.fromkeys(FEATURES, 0.0)), PANEL.values[:1]).shape == (1, N)
