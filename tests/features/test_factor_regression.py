"""Constrained cross-sections against a textbook solver, statsmodels' robust regression, and planted factors."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from marketbot_assets.features.factor_regression import cross_sections, free_basis, sector_constraint

NAMES = ("market", "size", "sector A", "sector B", "sector C")


def sample(seed: int, n: int = 30, days: int = 6):  # type: ignore[no-untyped-def]
    draw = np.random.default_rng(seed)
    sectors = np.eye(3)[np.arange(n) % 3]
    exposures = np.column_stack([np.ones(n), draw.standard_normal(n), sectors])
    weights = draw.uniform(0.2, 5.0, n)
    returns = 0.01 * draw.standard_normal((days, n))
    return returns, exposures, weights


@given(st.integers(0, 10_000))
def test_solution_satisfies_the_kkt_conditions(seed: int) -> None:
    """Equality-constrained least squares by its whole KKT system, solved at once; c'f = 0."""
    returns, x, w = sample(seed)
    c = sector_constraint(NAMES, x, w**2)
    fit = cross_sections(returns, x, w, c)
    system = np.block([[x.T @ (x * w[:, None]), c[:, None]], [c[None], np.zeros((1, 1))]])
    expected = np.linalg.solve(system, np.vstack([(x * w[:, None]).T @ returns.T, np.zeros((1, len(returns)))]))[:5].T
    np.testing.assert_allclose(fit.factors, expected, atol=1e-12)
    np.testing.assert_allclose(fit.factors @ c, 0.0, atol=1e-15)
    np.testing.assert_allclose(fit.residuals, returns - expected @ x.T, atol=1e-12)
    np.testing.assert_allclose(fit.factors, returns @ fit.maps.T, atol=1e-12)


def test_the_constraint_is_the_sectors_share_of_the_market() -> None:
    """By hand: sizes 1, 1, 2 in A, A, B give 1/2 each; equal-weighted 2/3 and 1/3; other factors 0."""
    x = np.array([[1.0, 0.3, 1.0, 0.0], [1.0, -0.1, 1.0, 0.0], [1.0, 0.5, 0.0, 1.0]])
    names = ("market", "size", "sector A", "sector B")
    np.testing.assert_allclose(sector_constraint(names, x, np.array([1.0, 1.0, 2.0])), [0, 0, 0.5, 0.5])
    np.testing.assert_allclose(sector_constraint(names, x), [0, 0, 2 / 3, 1 / 3])


def test_any_basis_spans_what_the_constraint_allows() -> None:
    """c' basis = 0 and k - 1 independent columns; without a constraint all k."""
    c = np.array([0.0, 0.0, 0.5, 0.2, 0.3])
    basis = free_basis(c)
    np.testing.assert_allclose(c @ basis, 0.0, atol=1e-16)
    assert np.linalg.matrix_rank(basis) == 4
    np.testing.assert_array_equal(free_basis(np.zeros(3)), np.eye(3))


def test_planted_factors_are_found_exactly_without_noise() -> None:
    """Returns made of factors that obey the constraint come back; leverages sum to the number of free factors."""
    _, x, w = sample(3)
    c = sector_constraint(NAMES, x, w**2)
    planted = np.random.default_rng(4).standard_normal((8, 4)) @ free_basis(c).T
    fit = cross_sections(planted @ x.T, x, w, c)
    np.testing.assert_allclose(fit.factors, planted, atol=1e-12)
    assert fit.leverage.sum() == pytest.approx(4.0)


def test_an_unknown_return_counts_as_absent() -> None:
    """NaN in a session gives what the regression without that name gives; other sessions do not change."""
    returns, x, w = sample(5)
    c = sector_constraint(NAMES, x, w**2)
    holed = returns.copy()
    holed[2, 7] = np.nan
    kept = np.arange(30) != 7
    found, whole = cross_sections(holed, x, w, c), cross_sections(returns, x, w, c)
    alone = cross_sections(returns[2:3, kept], x[kept], w[kept], c)
    np.testing.assert_allclose(found.factors[2], alone.factors[0], atol=1e-13)
    np.testing.assert_allclose(found.factors[[0, 1, 3, 4, 5]], whole.factors[[0, 1, 3, 4, 5]], atol=1e-16)
    assert np.isnan(found.residuals[2, 7])


def test_robust_regression_agrees_with_statsmodels() -> None:
    """Huber's M-estimator on data scaled by the roots of the weights, scale by the median absolute residual around zero."""
    returns, x, w = sample(6, n=60, days=3)
    returns[0, 4], returns[1, 8], returns[2, 11] = 0.4, -0.3, 0.25
    c = sector_constraint(NAMES, x, w**2)
    fit = cross_sections(returns, x, w, c, robust=True)
    basis, root = free_basis(c), np.sqrt(w)
    for day, row in enumerate(returns):
        model = sm.RLM(row * root, (x @ basis) * root[:, None], M=sm.robust.norms.HuberT(1.345))
        np.testing.assert_allclose(fit.factors[day], basis @ model.fit(maxiter=200).params, atol=2e-5)
    plain = cross_sections(returns, x, w, c)
    clean = cross_sections(np.where(np.abs(returns) > 0.2, np.nan, returns), x, w, c)
    assert np.abs(fit.factors - clean.factors).max() < 0.5 * np.abs(plain.factors - clean.factors).max()


def test_robust_solution_minimizes_hubers_loss() -> None:
    """At a fixed scale no general minimizer finds a smaller loss."""
    returns, x, w = sample(8, n=40, days=1)
    returns[0, 3] = 0.3
    c = sector_constraint(NAMES, x, w**2)
    found, basis = cross_sections(returns, x, w, c, robust=True).factors[0], free_basis(c)
    scale = np.median(np.abs((returns[0] - x @ found) * np.sqrt(w))) / 0.6744897501960817

    def loss(free: np.ndarray) -> float:
        e = np.abs(returns[0] - x @ basis @ free) * np.sqrt(w) / scale
        return float(np.where(e <= 1.345, 0.5 * e**2, 1.345 * (e - 0.5 * 1.345)).sum())

    start = np.linalg.lstsq(basis, found, rcond=None)[0]
    best = minimize(loss, start, method="BFGS", options={"gtol": 1e-9})
    assert loss(start) == pytest.approx(best.fun, rel=1e-6)
