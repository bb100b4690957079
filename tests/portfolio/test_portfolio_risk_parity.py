"""Risk parity against closed forms and an independent root search."""

import numpy as np
import pytest
from scipy.optimize import minimize

from marketbot_assets.portfolio.risk_parity import group_budgets, parity_weights


def test_a_diagonal_covariance_gives_inverse_volatility() -> None:
    """Equal budgets without correlation: weights proportional to 1 / volatility."""
    vol = np.array([0.10, 0.20, 0.40, 0.25])
    weights = parity_weights(np.zeros((1, 4)), vol**2, np.full(4, 0.25))
    np.testing.assert_allclose(weights, (1 / vol) / (1 / vol).sum(), rtol=1e-10)


def test_budgets_scale_a_diagonal_covariance() -> None:
    """Given budgets without correlation: weights proportional to sqrt(budget) / volatility."""
    vol, budgets = np.array([0.1, 0.3, 0.2]), np.array([0.5, 0.3, 0.2])
    weights = parity_weights(np.zeros((2, 3)), vol**2, budgets)
    expected = np.sqrt(budgets) / vol
    np.testing.assert_allclose(weights, expected / expected.sum(), rtol=1e-10)


def test_a_factor_covariance_matches_a_general_minimizer() -> None:
    """Spinu's function minimized by BFGS gives the same shape."""
    rng = np.random.default_rng(3)
    root, own = rng.normal(0, 0.1, (3, 8)), rng.uniform(0.01, 0.05, 8)
    budgets = rng.dirichlet(np.full(8, 5.0))
    covariance = root.T @ root + np.diag(own)

    def spinu(logs: np.ndarray) -> float:
        x = np.exp(logs)
        return float(0.5 * x @ covariance @ x - budgets @ logs)

    best = np.exp(minimize(spinu, np.zeros(8), method="BFGS", options={"gtol": 1e-9}).x)
    np.testing.assert_allclose(parity_weights(root, own, budgets), best / best.sum(), rtol=1e-5)
    weights = parity_weights(root, own, budgets)
    shares = weights * (covariance @ weights) / (weights @ covariance @ weights)
    np.testing.assert_allclose(shares, budgets, atol=1e-10)


@pytest.mark.parametrize(
    ("is_base", "expected"),
    [
        ([True, True, False], [0.325, 0.325, 0.35]),
        ([True, True], [0.5, 0.5]),
        ([False, False], [0.5, 0.5]),
    ],
)
def test_group_budgets(is_base: list[bool], expected: list[float]) -> None:
    """Base-currency names share 65 % of the risk when there are others."""
    np.testing.assert_allclose(group_budgets(np.array(is_base), 0.65), expected)
