"""Risk parity against closed forms and an independent root search."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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


def slow_parity(covariance: np.ndarray, budgets: np.ndarray) -> np.ndarray:
    """Griveau-Billion, Richard and Roncalli's coordinate descent on the dense covariance, in plain Python."""
    x = np.sqrt(budgets / np.diag(covariance))
    for _ in range(20_000):
        for i in range(len(x)):
            a, rest = covariance[i, i], covariance[i] @ x - covariance[i, i] * x[i]
            x[i] = (-rest + np.sqrt(rest * rest + 4.0 * a * budgets[i])) / (2.0 * a)
        if np.abs(x * (covariance @ x) - budgets).max() < 1e-13:
            return x / x.sum()
    raise AssertionError("the slow twin did not settle")


def error_of(weights: np.ndarray, covariance: np.ndarray, budgets: np.ndarray) -> float:
    contributions = weights * (covariance @ weights)
    return float(np.abs(contributions / contributions.sum() - budgets).max())


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 40),
    k=st.integers(0, 7),
    scale=st.sampled_from([1e-6, 1e-2, 1.0, 1e4]),
)
def test_any_factor_covariance_matches_its_budgets(seed: int, n: int, k: int, scale: float) -> None:
    """Contributions match given budgets to 1e-8 whatever the unit of the covariance; all weights are positive, sum 1."""
    rng = np.random.default_rng(seed)
    root, own = rng.normal(0, 1, (k, n)) * scale, rng.uniform(0.05, 2.0, n) * scale**2
    budgets = rng.dirichlet(np.full(n, 2.0))
    weights = parity_weights(root, own, budgets)
    assert error_of(weights, root.T @ root + np.diag(own), budgets) <= 1e-8
    assert (weights > 0.0).all()
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_a_slow_twin_finds_the_same_weights(seed: int) -> None:
    """Coordinate descent on the dense covariance ends at the same weights."""
    rng = np.random.default_rng(seed)
    root, own, budgets = rng.normal(0, 0.1, (4, 25)), rng.uniform(0.001, 0.02, 25), rng.dirichlet(np.full(25, 3.0))
    slow = slow_parity(root.T @ root + np.diag(own), budgets)
    np.testing.assert_allclose(parity_weights(root, own, budgets), slow, rtol=1e-8)


def test_correlated_names_need_newton_and_get_it() -> None:
    """Correlations of 0.999 make sweeps crawl; the answer is exact all the same."""
    n = 300
    rng = np.random.default_rng(5)
    root, own = rng.uniform(0.1, 0.4, (1, n)), np.full(n, 4e-5)
    budgets = np.full(n, 1.0 / n)
    assert error_of(parity_weights(root, own, budgets), root.T @ root + np.diag(own), budgets) <= 1e-10


def test_two_names_of_any_correlation_share_by_volatility() -> None:
    """Two names with equal budgets: weights proportional to 1 / volatility, without specific risk, too."""
    root = np.array([[0.2, 0.4], [0.1, -0.3]])
    weights = parity_weights(root, np.zeros(2), np.array([0.5, 0.5]))
    np.testing.assert_allclose(weights[0] / weights[1], np.sqrt((0.16 + 0.09) / (0.04 + 0.01)), rtol=1e-9)


def test_duplicates_share_equally_without_specific_risk() -> None:
    """Three equal names and nothing but one factor: only equal weights are symmetric, and the minimum is unique."""
    weights = parity_weights(np.full((1, 3), 0.2), np.zeros(3), np.full(3, 1 / 3))
    np.testing.assert_allclose(weights, 1 / 3, rtol=1e-9)


def test_one_name_takes_everything_and_a_name_without_budget_nothing() -> None:
    """n = 1; a budget of zero is a weight of zero, and the others are what they are without that name."""
    assert parity_weights(np.full((1, 1), 0.3), np.array([0.01]), np.array([1.0])) == pytest.approx([1.0])
    root, own = np.array([[0.1, 0.2, 0.3]]), np.array([0.01, 0.02, 0.03])
    weights = parity_weights(root, own, np.array([0.6, 0.0, 0.4]))
    alone = parity_weights(root[:, [0, 2]], own[[0, 2]], np.array([0.6, 0.4]))
    np.testing.assert_allclose(weights, [alone[0], 0.0, alone[1]], rtol=1e-12)


def test_tiny_budgets_are_met() -> None:
    """Budgets of 1e-12 beside one large one."""
    root, own = np.array([[0.2, 0.1, 0.3, 0.25]]), np.array([0.01, 0.02, 0.01, 0.03])
    budgets = np.array([1.0 - 3e-12, 1e-12, 1e-12, 1e-12])
    weights = parity_weights(root, own, budgets)
    contributions = weights * ((root.T @ root + np.diag(own)) @ weights)
    np.testing.assert_allclose(contributions / contributions.sum(), budgets, rtol=1e-6)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("root", "own", "budgets"),
    [
        ([[0.1, NAN]], [0.1, 0.1], [0.5, 0.5]),
        ([[0.1, 0.1]], [INF, 0.1], [0.5, 0.5]),
        ([[0.1, 0.1]], [-0.1, 0.1], [0.5, 0.5]),
        ([[0.1, 0.1]], [0.1, 0.1], [NAN, 0.5]),
        ([[0.1, 0.1]], [0.1, 0.1], [1.5, -0.5]),
        ([[0.1, 0.1]], [0.1, 0.1], [0.0, 0.0]),
        ([[0.0, 0.1]], [0.0, 0.1], [0.5, 0.5]),
        ([[0.2, -0.2]], [0.0, 0.0], [0.5, 0.5]),
        ([[0.2, -0.4, 0.1]], [0.0, 0.0, 0.0], [0.3, 0.4, 0.3]),
    ],
)
def test_what_has_no_answer_ends_in_an_error(root: list, own: list, budgets: list) -> None:
    """Unknown numbers, no variance, perfect hedges: ArithmeticError, never a loop, never weights."""
    with pytest.raises(ArithmeticError):
        parity_weights(np.array(root), np.array(own), np.array(budgets))


def test_a_kernel_without_a_folder_for_its_code_is_compiled_all_the_same() -> None:
    """Read-only installations: numba finds no place for its cache and refuses; the kernel runs without one."""
    from marketbot_assets.portfolio.parity_kernel import _compiled

    namespace: dict[str, object] = {}
    exec("def twice(x):\n    return 2.0 * x", namespace)
    assert _compiled(namespace["twice"])(1.5) == 3.0  # type: ignore[arg-type]
