"""Black-Litterman against the published table, the dense formula and the limits of belief."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problem import asking, small_problem

from marketbot_assets.portfolio.black_litterman import (
    believed_returns,
    black_litterman,
    equilibrium,
    posterior,
    posterior_of_names,
    reference_book,
)
from marketbot_assets.portfolio.optimizer import mean_variance
from marketbot_resources.mandate import Mandate

# He and Litterman (1999), tables 1, 2 and 4: Australia, Canada, France, Germany, Japan, United Kingdom, United States.
CORRELATION = [
    [1.000, 0.488, 0.478, 0.515, 0.439, 0.512, 0.491],
    [0.488, 1.000, 0.664, 0.655, 0.310, 0.608, 0.779],
    [0.478, 0.664, 1.000, 0.861, 0.355, 0.783, 0.668],
    [0.515, 0.655, 0.861, 1.000, 0.354, 0.777, 0.653],
    [0.439, 0.310, 0.355, 0.354, 1.000, 0.405, 0.306],
    [0.512, 0.608, 0.783, 0.777, 0.405, 1.000, 0.652],
    [0.491, 0.779, 0.668, 0.653, 0.306, 0.652, 1.000],
]
VOLATILITY = np.array([16.0, 20.3, 24.8, 27.1, 21.0, 20.0, 18.7]) / 100
MARKET = np.array([1.6, 2.2, 5.2, 5.5, 11.6, 12.4, 61.5]) / 100
EQUILIBRIUM = np.array([3.9, 6.9, 8.4, 9.0, 4.3, 6.8, 7.6]) / 100
GERMANY_BEATS_EUROPE = np.array([[0.0, 0.0, -0.295, 1.0, 0.0, -0.705, 0.0]])
PUBLISHED_MEAN = np.array([4.3, 7.6, 9.3, 11.0, 4.5, 7.0, 8.1]) / 100
PUBLISHED_WEIGHTS = np.array([1.5, 2.1, -4.0, 35.4, 11.0, -9.5, 58.6]) / 100
DELTA, TAU = 2.5, 0.05
COVARIANCE = np.outer(VOLATILITY, VOLATILITY) * np.array(CORRELATION)


def test_the_published_equilibrium() -> None:
    """Table 2: risk aversion 2.5 times the covariance with the market, to its last digit."""
    market_return = DELTA * float(MARKET @ COVARIANCE @ MARKET)
    prior = equilibrium(np.linalg.cholesky(COVARIANCE).T, np.zeros(7), MARKET, market_return)
    np.testing.assert_allclose(prior, EQUILIBRIUM, atol=6e-4)


def test_the_published_view() -> None:
    """Table 4: Germany beats the rest of Europe by 5 % a year; means and optimal weights to their last digit."""
    prior = DELTA * COVARIANCE @ MARKET
    scaled, view = TAU * COVARIANCE, np.array([0.05])
    omega = np.diag(GERMANY_BEATS_EUROPE @ scaled @ GERMANY_BEATS_EUROPE.T)
    mean = posterior(prior, scaled, GERMANY_BEATS_EUROPE, view, omega)
    np.testing.assert_allclose(mean, PUBLISHED_MEAN, atol=6e-4)
    precision = np.linalg.inv(scaled) + GERMANY_BEATS_EUROPE.T @ GERMANY_BEATS_EUROPE / omega[0]
    weights = np.linalg.solve(COVARIANCE + np.linalg.inv(precision), mean) / DELTA
    np.testing.assert_allclose(weights, PUBLISHED_WEIGHTS, atol=1.1e-3)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 12), k=st.integers(1, 5))
def test_the_factor_form_is_the_dense_formula(seed: int, n: int, k: int) -> None:
    """Woodbury changes the work, not the answer; and the precision form of the paper gives the same mean."""
    rng = np.random.default_rng(seed)
    root, own = rng.normal(0, 0.2, (k, n)), rng.uniform(0.01, 0.1, n)
    prior, views, omega = rng.normal(0, 0.05, n), rng.normal(0, 0.05, n), rng.uniform(1e-4, 1e-2, n)
    covariance = root.T @ root + np.diag(own)
    quick = posterior_of_names(root, own, prior, views, TAU, omega)
    np.testing.assert_allclose(quick, posterior(prior, TAU * covariance, np.eye(n), views, omega), atol=1e-10)
    precision = np.linalg.inv(TAU * covariance)
    by_precision = np.linalg.solve(precision + np.diag(1 / omega), precision @ prior + views / omega)
    np.testing.assert_allclose(quick, by_precision, atol=1e-10)


@pytest.mark.parametrize(("confidence", "expected"), [(0.25, 0.055), (0.5, 0.07), (0.75, 0.085)])
def test_one_name_moves_by_its_confidence(mandate: Mandate, confidence: float, expected: float) -> None:
    """Prior 4 % (the reference book is the name itself), forecast 10 %: m = 4 % + c * 6 %."""
    problem = small_problem(mandate, [0.10], [[0.04]], black_litterman={"confidence": confidence})
    assert believed_returns(problem) == pytest.approx([expected])


@pytest.mark.parametrize(("forecast", "expected"), [(0.50, 0.07), (-0.50, 0.01), (0.04, 0.04)])
def test_a_wild_forecast_counts_as_the_largest_view(mandate: Mandate, forecast: float, expected: float) -> None:
    """Tilts end at 6 % a year: half believed they move the prior by 3 %; no view keeps the prior."""
    problem = small_problem(mandate, [forecast], [[0.04]])
    assert believed_returns(problem) == pytest.approx([expected])


def test_the_reference_book(mandate: Mandate) -> None:
    """The benchmark where it is known, else inverse volatility; a book without risk is refused."""
    matrix = np.diag([0.01, 0.04])
    np.testing.assert_allclose(reference_book(small_problem(mandate, [0, 0], matrix).facts), [2 / 3, 1 / 3])
    known = small_problem(mandate, [0, 0], matrix, benchmark=[0.5, 0.5])
    np.testing.assert_allclose(reference_book(known.facts), [0.5, 0.5])
    with pytest.raises(ArithmeticError):
        equilibrium(np.zeros((1, 2)), np.zeros(2), np.array([0.5, 0.5]), 0.04)


def test_without_views_the_reference_book_is_optimal(mandate: Mandate) -> None:
    """Forecasts equal to the prior: mean variance holds a multiple of the benchmark, here excess / (gamma * variance)."""
    matrix, book = np.array([[0.04, 0.01], [0.01, 0.09]]), np.array([0.6, 0.4])
    prior = 0.04 * matrix @ book / (book @ matrix @ book)
    problem = small_problem(mandate, prior, matrix, benchmark=book)
    scale = 0.04 / (mandate.portfolio.risk_aversion * float(book @ matrix @ book))
    np.testing.assert_allclose(black_litterman(problem, mean_variance).weights, scale * book, atol=1e-6)


def test_the_solver_sees_the_posterior_alone(mandate: Mandate) -> None:
    """Everything else of the problem reaches the solver unchanged."""
    problem = small_problem(asking(mandate), [0.1, 0.0], np.diag([0.04, 0.04]))
    seen = []

    def solver(given):  # type: ignore[no-untyped-def]
        seen.append(given)
        return mean_variance(given)

    black_litterman(problem, solver)
    np.testing.assert_array_equal(seen[0].facts.expected_return, believed_returns(problem))
    assert seen[0].limits is problem.limits
    assert seen[0].facts.cost_buy is problem.facts.cost_buy
