"""Bias statistics find a forecast that is right, one that is half, and the optimizer's curse; the page's check says so."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbot_assets.features.factor_bias import (
    Risk,
    band,
    bias,
    factor_portfolios,
    optimized_portfolios,
    random_portfolios,
    recent_bias,
    standardized_returns,
    table_of,
)
from marketbot_assets.statements import STATEMENTS


def risk(seed: int = 1, n: int = 20, k: int = 4) -> Risk:
    draw = np.random.default_rng(seed)
    exposures = np.column_stack([np.ones(n), draw.standard_normal((n, k - 1))])
    root = 0.01 * draw.standard_normal((k, k))
    return Risk(exposures, root @ root.T, draw.uniform(1e-4, 4e-4, n))


def drawn(truth: Risk, sessions: int) -> np.ndarray:
    draw = np.random.default_rng(9)
    root = np.linalg.cholesky(truth.factor_covariance)
    factors = draw.standard_normal((sessions, len(root))) @ root.T
    own = draw.standard_normal((sessions, len(truth.exposures))) * np.sqrt(truth.specific_variance)
    return factors @ truth.exposures.T + own


def test_the_true_forecast_is_in_the_band_and_a_half_one_is_not() -> None:
    """Normal returns: about nineteen of twenty statistics within 1 +- sqrt(2 / T); half the deviation forecast gives 2."""
    truth = risk()
    half = Risk(truth.exposures, truth.factor_covariance / 4.0, truth.specific_variance / 4.0)
    low, high = band(240)
    weights = np.vstack([factor_portfolios(truth), random_portfolios(20), optimized_portfolios(truth)])
    z = np.array([standardized_returns(truth, weights, row) for row in drawn(truth, 240)])
    assert np.mean((bias(z) > low) & (bias(z) < high)) > 0.8
    doubled = np.array([standardized_returns(half, weights, row) for row in drawn(truth, 240)])
    np.testing.assert_allclose(bias(doubled), 2.0 * bias(z), rtol=1e-12)


def test_band_by_hand() -> None:
    """Fifty periods: 0.8 to 1.2."""
    assert band(50) == pytest.approx((0.8, 1.2))


@given(st.integers(0, 5_000))
def test_solved_is_the_inverse_of_the_whole_covariance(seed: int) -> None:
    """Woodbury against numpy's own solver on the full matrix; variances, too."""
    truth = risk(seed, n=8, k=3)
    whole = truth.exposures @ truth.factor_covariance @ truth.exposures.T + np.diag(truth.specific_variance)
    rows = np.random.default_rng(seed).standard_normal((3, 8))
    np.testing.assert_allclose(truth.solved(rows), np.linalg.solve(whole, rows.T).T, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(truth.variances(rows), [w @ whole @ w for w in rows], rtol=1e-10)


def test_optimized_portfolios_seek_what_is_forecast_too_low() -> None:
    """Two names without a factor, equal in truth; one forecast at a quarter of its variance gets four fifths: statistic 1.65."""
    wrong = Risk(np.zeros((2, 1)), np.zeros((1, 1)), np.array([0.25, 1.0]))
    weights = optimized_portfolios(wrong)[0]
    np.testing.assert_allclose(weights, [0.8, 0.2])
    moves = np.random.default_rng(3).standard_normal((20_000, 2))
    z = np.array([standardized_returns(wrong, weights[None], row) for row in moves])
    assert bias(z)[0] == pytest.approx(np.sqrt(0.68 / 0.2), rel=0.02)


def test_windows_are_disjoint_and_the_oldest_rest_is_left_out() -> None:
    """Five rows, windows of two: the first row does not count."""
    told = table_of("random", np.array([[100.0], [1.0], [1.0], [2.0], [2.0]]), 2)
    assert (told.windows, told.mean, told.deviation) == (2, 1.5, 0.5)
    assert told.inside == 1.0  # 0 to 2


def page_rows(estimate_scale: float) -> pd.DataFrame:
    truth = risk()
    returns = drawn(truth, 400)
    found = recent_bias(
        returns,
        truth.exposures,
        lambda past: (estimate_scale * truth.factor_covariance, estimate_scale * truth.specific_variance),
    )
    rows = [("bias", n, one.family, [one.mean, *band(one.sessions), one.inside, 50.0]) for n, one in enumerate(found)]
    return pd.DataFrame(rows, columns=["block", "place", "key", "values"])


def test_the_check_warns_of_a_model_that_forecasts_half() -> None:
    """The truth passes; half its deviation is named for each family; unknown numbers are named, too; twice the band is the edge."""
    (statement,) = STATEMENTS["factor_model"]
    assert statement.problems(page_rows(1.0)) == []
    told = statement.problems(page_rows(0.25))
    assert [line.split()[0] for line in told] == ["factor", "random", "optimized"]
    unknown = pd.DataFrame(
        {"block": ["bias"], "place": [0], "key": ["random"], "values": [[np.nan, 0.8, 1.2, 0.0, 50.0]]}
    )
    assert len(statement.problems(unknown)) == 1
    for mean, told_of in ((1.41, 1), (1.39, 0), (0.61, 0), (0.59, 1)):
        unknown["values"] = [[mean, 0.8, 1.2, 0.0, 50.0]]
        assert len(statement.problems(unknown)) == told_of, mean


def test_forecasts_read_nothing_of_the_sessions_that_they_are_judged_by() -> None:
    """Each estimate gets the returns before its session, every ten sessions; a short past gives no table."""
    returns = drawn(risk(), 380)
    seen: list[int] = []

    def estimate(past: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen.append(len(past))
        np.testing.assert_array_equal(past, returns[: len(past)])
        return risk().factor_covariance, risk().specific_variance

    assert len(recent_bias(returns, risk().exposures, estimate)) == 3
    assert seen == list(range(130, 380, 10))
    assert recent_bias(returns[:375], risk().exposures, estimate) == ()
