"""Factor covariance and specific risk against explicit sums, statsmodels, scikit-learn and planted truths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.covariance import ledoit_wolf as published_ledoit_wolf
from statsmodels.stats.sandwich_covariance import S_hac_simple

from marketbot_assets.features.factor_covariance import (
    decay,
    factor_covariance,
    nearest_psd,
    newey_west,
    shrinkage_to_identity,
)
from marketbot_assets.features.factor_regression import cross_sections
from marketbot_assets.features.factor_risk import Estimator, constrained_risk
from marketbot_assets.features.specific_risk import noise_of, shrunk, specific_variance

EVER = 1e12  # a half-life so long that all weights are equal


def test_newey_west_equals_statsmodels_with_equal_weights() -> None:
    """Bartlett weights over two lags, mean zero; per observation."""
    values = np.random.default_rng(1).standard_normal((200, 4))
    values[1:] += 0.5 * values[:-1]
    np.testing.assert_allclose(newey_west(values, EVER, 2), S_hac_simple(values, nlags=2) / 200, atol=1e-9)


def test_weights_halve_after_a_halflife() -> None:
    """By hand: half-life 1, three sessions: 1, 2, 4 sevenths."""
    np.testing.assert_allclose(decay(3, 1.0), [1 / 7, 2 / 7, 4 / 7])
    np.testing.assert_allclose(newey_west(np.array([[3.0], [1.0], [2.0]]), 1.0, 0), [[(9 + 2 + 16) / 7]])


@given(st.integers(0, 10_000), st.integers(0, 5), st.floats(2.0, 300.0))
def test_factor_covariance_is_psd_and_keeps_the_constraint(seed: int, lags: int, halflife: float) -> None:
    """For any factor returns with c'f = 0: no negative variance, and none along c."""
    draw = np.random.default_rng(seed)
    c = np.array([0.0, 0.0, *draw.uniform(0.1, 1.0, 3)])
    factors = draw.standard_normal((60, 5)) * draw.uniform(0.001, 0.05, 5)
    factors -= np.outer(factors @ c, c) / (c @ c)
    made = factor_covariance(
        factors, variance_halflife=halflife, correlation_halflife=2 * halflife, lags=lags, constraint=c
    )
    assert np.linalg.eigvalsh(made).min() > -1e-12 * np.trace(made)
    assert abs(c @ made @ c) < 1e-12 * np.trace(made)
    np.testing.assert_array_equal(made, made.T)


def test_shrinkage_equals_ledoit_and_wolf_for_standardized_data() -> None:
    """scikit-learn's intensity on the same standardized data; its target is the identity, for the mean variance is 1."""
    draw = np.random.default_rng(2)
    values = (draw.standard_normal((80, 10)) + draw.standard_normal((80, 1))) @ np.diag(np.linspace(0.01, 0.05, 10))
    scaled = values / np.sqrt((values**2).mean(axis=0))
    _, expected = published_ledoit_wolf(scaled, assume_centered=True)
    assert shrinkage_to_identity(values, np.full(80, 1 / 80)) == pytest.approx(expected, rel=1e-9)
    assert shrinkage_to_identity(values, decay(80, 5.0)) > expected  # fewer effective observations: more


@given(st.integers(0, 10_000))
def test_repair_gives_the_nearest_psd_matrix(seed: int) -> None:
    """Higham: the distance is the norm of the negative eigenvalues, and no random semidefinite matrix is nearer."""
    draw = np.random.default_rng(seed)
    raw = draw.standard_normal((5, 5))
    matrix = (raw + raw.T) / 2
    made = nearest_psd(matrix)
    negative = np.minimum(np.linalg.eigvalsh(matrix), 0.0)
    distance = np.linalg.norm(made - matrix)
    assert np.linalg.eigvalsh(made).min() > -1e-12
    assert distance == pytest.approx(np.linalg.norm(negative), abs=1e-10)
    step = draw.standard_normal((5, 5))
    other = made + 0.1 * step @ step.T
    assert np.linalg.norm(other - matrix) >= distance


def test_own_noise_is_given_back_and_taken_out() -> None:
    """Planted factors and noise on few names: specific and factor variances come out right, which plain residuals miss."""
    draw = np.random.default_rng(3)
    n, days = 24, 4000
    x = np.column_stack([np.ones(n), draw.standard_normal(n), np.eye(6)[np.arange(n) % 6]])
    names = ("market", "size", *(f"sector {s}" for s in "ABCDEF"))
    factors = draw.standard_normal((days, 8)) * np.array([0.01, 0.003, *[0.006] * 6])
    factors[:, 2:] -= factors[:, 2:].mean(axis=1, keepdims=True)
    own = draw.uniform(0.015, 0.025, n)
    returns = factors @ x.T + own * draw.standard_normal((days, n))
    spec = Estimator(days, EVER, EVER, EVER, lags=0)
    covariance, specific = constrained_risk(returns, x, np.ones(n), names, ["one"] * n, spec)
    assert specific.mean() / 252 == pytest.approx((own**2).mean(), rel=0.03)
    assert np.diag(covariance)[2:].mean() / 252 == pytest.approx(0.006**2 * 5 / 6, rel=0.15)
    noisy, _ = constrained_risk(
        returns, x, np.ones(n), names, ["one"] * n, Estimator(days, EVER, EVER, EVER, lags=0, denoised=False)
    )
    assert np.diag(noisy)[2:].min() / 252 > 3 * 0.006**2 * 5 / 6  # four names a sector: 0.02^2 / 4 more is noise
    plain = np.nanmean(cross_sections(returns, x, np.ones(n), np.array([0, 0, *[1 / 6] * 6])).residuals ** 2)
    assert plain < 0.8 * (own**2).mean()  # a third of what names do alone is taken for factors


def test_a_name_alone_in_its_sector_gets_its_groups_variance() -> None:
    """Its residual is zero by construction: leverage 1 says so, and no floor stands in."""
    residuals = 0.01 * np.random.default_rng(5).standard_normal((300, 12))
    residuals[:, 4] = 0.0
    leverage = np.full(12, 0.1)
    leverage[4] = 1.0
    found = specific_variance(residuals, leverage, ["a"] * 12, halflife=EVER)
    assert found[4] == pytest.approx(np.exp(np.mean(np.log(np.delete(found, 4)))), rel=0.02)
    assert np.isnan(specific_variance(np.full((20, 3), np.nan), np.zeros(3), ["a"] * 3, halflife=5.0)).all()


def test_shrinkage_of_variances_is_the_normal_posterior_mean() -> None:
    """By hand: values 0 and 2 around 1, variance 1, error 0.5: spread 0.5, half the way to the middle; no spread: all the way."""
    values = np.array([0.0, 2.0] * 4)
    np.testing.assert_allclose(shrunk(values, np.full(8, 0.5), np.ones(8, bool), ["a"] * 8), [0.5, 1.5] * 4)
    np.testing.assert_allclose(shrunk(values, np.full(8, 1.5), np.ones(8, bool), ["a"] * 8), 1.0)


def test_small_groups_lean_on_everybody() -> None:
    """Fewer than eight usable names: the mean of all usable ones."""
    values = np.array([5.0] + [1.0] * 9)
    found = shrunk(values, np.full(10, 100.0), np.ones(10, bool), ["few"] + ["many"] * 9)
    assert found[0] == pytest.approx(1.4)
    assert found[1] == pytest.approx(1.0)


def test_noise_of_portfolios_by_hand() -> None:
    """Two names, one factor their mean: variances 4 and 16 leave (4 + 16) / 4."""
    np.testing.assert_allclose(noise_of(np.array([[0.5, 0.5]]), np.array([4.0, 16.0])), [[5.0]])


def test_variances_of_residuals_are_shrunk_by_hand() -> None:
    """Residuals of one size each, log variances a unit around the middle, 20 sessions: error 5 / 20, so three quarters are kept."""
    sizes = np.sqrt(np.exp(-8.0 + np.array([-1.0, 1.0] * 4)))
    residuals = sizes * np.where(np.arange(20) % 2 == 0, 1.0, -1.0)[:, None]
    found = specific_variance(residuals, np.zeros(8), ["a"] * 8, halflife=EVER)
    np.testing.assert_allclose(np.log(found), -8.0 + np.array([-0.75, 0.75] * 4), rtol=1e-9)


def test_only_the_newest_sessions_count() -> None:
    """What lies before the window changes no number."""
    returns = 0.01 * np.random.default_rng(8).standard_normal((90, 12))
    x, names = (
        np.column_stack([np.ones(12), np.eye(3)[np.arange(12) % 3]]),
        ("market", "sector A", "sector B", "sector C"),
    )
    spec = Estimator(sessions=60)
    found = constrained_risk(returns, x, np.ones(12), names, ["a"] * 12, spec)
    other = constrained_risk(np.vstack([9.0 * returns[:30], returns[30:]]), x, np.ones(12), names, ["a"] * 12, spec)
    for ours, theirs in zip(found, other, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not np.allclose(found[1], constrained_risk(9.0 * returns, x, np.ones(12), names, ["a"] * 12, spec)[1])
