"""Volatility forecasts against `arch`, plain loops and closed forms; their score against hand-made cases."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st

from marketbot_assets.insight.volatility import (
    Garch,
    Har,
    backcast,
    combined,
    ewma_variances,
    fit_garch,
    fit_har,
    from_json,
    garch_forecast,
    garch_variances,
    har_forecast,
    har_rows,
    range_variances,
    to_json,
)
from marketbot_assets.insight.volatility_score import diebold_mariano, interval, qlike


def simulated(omega: float, alpha: float, beta: float, count: int, seed: int = 1) -> np.ndarray:
    draws, variance, out = np.random.default_rng(seed).standard_normal(count), omega / (1 - alpha - beta), []
    for z in draws:
        out.append(z * np.sqrt(variance))
        variance = omega + alpha * out[-1] ** 2 + beta * variance
    return np.array(out)


@pytest.mark.parametrize("years", [(2004, 2008), (2010, 2014), (1999, 2018)])
def test_garch_agrees_with_arch_on_the_real_index(years: tuple[int, int]) -> None:
    """The same likelihood maximum as the published library, to its own tolerance; never a lower one."""
    from arch import arch_model
    from arch.data import sp500

    close = sp500.load()["Close"][str(years[0]) : str(years[1])].to_numpy()
    returns = close[1:] / close[:-1] - 1.0
    ours = fit_garch(returns)
    published = arch_model(100.0 * returns, mean="Zero", vol="GARCH", rescale=False).fit(disp="off")
    omega, alpha, beta = published.params
    assert ours.log_likelihood >= published.loglikelihood + len(returns) * np.log(100.0) - 0.05
    assert [ours.omega * 1e4, ours.alpha, ours.beta] == pytest.approx([omega, alpha, beta], rel=0.05)
    ahead = published.forecast(horizon=21).variance.to_numpy()[-1].mean() / 1e4
    assert garch_forecast(ours, returns, 21) == pytest.approx(ahead, rel=0.02)


def test_garch_finds_planted_parameters() -> None:
    """Ten thousand simulated sessions: persistence within 0.03, long-run variance within 15 %."""
    found = fit_garch(simulated(2e-6, 0.08, 0.90, 10_000))
    assert found.alpha + found.beta == pytest.approx(0.98, abs=0.03)
    assert found.alpha == pytest.approx(0.08, abs=0.02)
    assert found.omega / (1 - found.alpha - found.beta) == pytest.approx(1e-4, rel=0.15)


@given(st.integers(0, 5_000), st.floats(0.0, 0.3), st.floats(0.0, 0.69))
def test_recursions_equal_plain_loops(seed: int, alpha: float, beta: float) -> None:
    """GARCH and EWMA variances, one session after the other; no entry sees its own return."""
    returns = 0.01 * np.random.default_rng(seed).standard_normal(40)
    start = backcast(returns)
    garch, ewma = [1e-6 + (alpha + beta) * start], [start]
    for r in returns:
        garch.append(1e-6 + alpha * r**2 + beta * garch[-1])
        ewma.append(0.94 * ewma[-1] + 0.06 * r**2)
    np.testing.assert_allclose(garch_variances(returns, 1e-6, alpha, beta), garch, rtol=1e-12)
    np.testing.assert_allclose(ewma_variances(returns), ewma, rtol=1e-12)
    later = np.concatenate([returns[:-1], [99.0]])
    if len(returns) > 75:
        np.testing.assert_array_equal(ewma_variances(later)[:-1], ewma_variances(returns)[:-1])


def test_garch_forecast_is_the_mean_of_its_own_steps() -> None:
    """E s2[t+h] = w + (a + b) E s2[t+h-1], averaged."""
    fit, returns = Garch(2e-6, 0.1, 0.85, 0.0), simulated(2e-6, 0.1, 0.85, 300)
    steps = [garch_variances(returns, 2e-6, 0.1, 0.85)[-1]]
    for _ in range(20):
        steps.append(2e-6 + 0.95 * steps[-1])
    assert garch_forecast(fit, returns, 21) == pytest.approx(np.mean(steps), rel=1e-10)


def test_range_variance_by_hand() -> None:
    """Close 100, then open 102, high 104, low 101, close 103: gap squared and the range formula; NaN before and at a hole."""
    made = range_variances(
        *(np.array(v) for v in ([99.0, 102, 1], [101.0, 104, 1], [98.0, 101, np.nan], [100.0, 103, 1]))
    )
    inside = 0.5 * np.log(104 / 101) ** 2 - (2 * np.log(2) - 1) * np.log(103 / 102) ** 2
    assert made[1] == pytest.approx(np.log(1.02) ** 2 + inside)
    assert np.isnan(made[[0, 2]]).all()


def test_har_rows_by_hand() -> None:
    """Variances 1 to 30: the last row holds 30, the mean of 26..30, the mean of 9..30; 21 rows are too young."""
    rows = har_rows(np.arange(1.0, 31.0))
    np.testing.assert_allclose(rows[-1], [1.0, np.log(30.0), np.log(28.0), np.log(19.5)])
    assert np.isnan(rows[:21]).any(axis=1).all()
    assert np.isfinite(rows[21]).all()


def test_har_finds_planted_coefficients_and_the_level_of_returns() -> None:
    """Ranges made by the model without noise come back; ranges at half the returns' variance are scaled by 2."""
    draw, logs = np.random.default_rng(4), list(np.log(1e-4) + 0.3 * np.random.default_rng(5).standard_normal(22))
    for _ in range(3_000):
        past = np.exp(logs[-22:])
        mean = -0.5 + 0.3 * logs[-1] + 0.4 * np.log(past[-5:].mean()) + 0.25 * np.log(past.mean())
        logs.append(mean + 0.2 * draw.standard_normal())
    variances = np.exp(np.array(logs))
    returns = np.sqrt(2.0 * variances) * draw.standard_normal(len(variances))
    fit = fit_har(variances, returns, 1)
    assert list(fit.coefficients[1:]) == pytest.approx([0.3, 0.4, 0.25], abs=0.1)
    assert har_forecast(fit, variances) == pytest.approx(2.0 * np.exp(mean), rel=0.4)
    assert fit.scale == pytest.approx(2.0 * np.exp(0.02), rel=0.1)


def test_forecasts_refuse_what_they_cannot_know() -> None:
    """Too few, unknown or unmoving returns raise; a hole in the last month makes HAR unknown; nothing combines to NaN."""
    with pytest.raises(FloatingPointError):
        fit_garch(np.zeros(300))
    with pytest.raises(FloatingPointError):
        fit_garch(np.full(300, np.nan))
    with pytest.raises(FloatingPointError):
        fit_garch(0.01 * np.ones(249))
    with pytest.raises(FloatingPointError):
        fit_har(np.full(400, np.nan), np.zeros(400), 1)
    holed = np.full(30, 1e-4)
    holed[-3] = np.nan
    assert np.isnan(har_forecast(Har((0.0, 0.3, 0.3, 0.3), 1.0, 1), holed))
    assert np.isnan(combined({"a": np.nan, "b": 0.0}))
    assert combined({"a": 1e-4, "b": 4e-4, "c": np.nan}) == pytest.approx(2e-4)


@pytest.mark.parametrize("fit", [Garch(1e-6, 0.05, 0.9, 123.4), Har((0.1, 0.2, 0.3, 0.4), 1.1, 21)])
def test_fits_are_plain_json_and_come_back_whole(fit: Garch | Har) -> None:
    """Bit for bit; another family or version is refused."""
    assert from_json(to_json(fit)) == fit
    with pytest.raises(ValueError, match="expected a fit"):
        from_json(to_json(fit).replace('"version": 1', '"version": 2'))


def test_a_fit_that_explodes_is_no_fit() -> None:
    """Persistence at or above one, NaN, or a negative part never make a Garch."""
    for numbers in ((1e-6, 0.2, 0.8, 0.0), (np.nan, 0.1, 0.8, 0.0), (1e-6, -0.1, 0.8, 0.0), (0.0, 0.1, 0.8, 0.0)):
        with pytest.raises(AssertionError):
            Garch(*numbers)


def test_qlike_is_least_at_the_truth_whatever_the_proxy() -> None:
    """Expected loss over noisy squares is least at the true variance; a forecast of 0 has no loss."""
    squares = 2.0 * np.random.default_rng(6).standard_normal(200_000) ** 2
    losses = {v: qlike(np.full(len(squares), v), squares).mean() for v in (1.0, 1.8, 2.0, 2.2, 4.0)}
    assert min(losses, key=lambda v: losses[v]) == 2.0
    assert losses[4.0] - losses[2.0] == pytest.approx(np.log(2.0) - 0.5, abs=0.01)
    assert np.isnan(qlike(np.array([0.0, -1.0, np.nan]), np.ones(3))).all()


def test_diebold_mariano_is_a_t_statistic_without_lags() -> None:
    """Against the textbook's mean over standard error, ddof 0; equal forecasts have none."""
    draw = np.random.default_rng(7).standard_normal((2, 500))
    mean, t = diebold_mariano(draw[0], draw[1] + 0.2, 0)
    apart = draw[0] - draw[1] - 0.2
    assert mean == pytest.approx(apart.mean())
    assert t == pytest.approx(apart.mean() / (apart.std() / np.sqrt(500)))
    assert np.isnan(diebold_mariano(draw[0], draw[0], 5)[1])


def test_diebold_mariano_with_lags_equals_statsmodels() -> None:
    """The t statistic of a constant with Newey-West errors, for losses that follow each other."""
    draw = np.random.default_rng(8).standard_normal(400)
    losses = np.convolve(draw, np.ones(4))[:400] + 0.3
    published = sm.OLS(losses, np.ones(400)).fit(cov_type="HAC", cov_kwds={"maxlags": 6})
    assert diebold_mariano(losses, np.zeros(400), 6)[1] == pytest.approx(published.tvalues[0], rel=1e-9)


def test_interval_holds_the_past_ratios() -> None:
    """Ratios 0.01 to 1.00 in steps: nine tenths between their quantiles; too short a past says nothing."""
    ratios = np.arange(1, 101) / 100.0
    low, high = interval(2.0, np.ones(100), ratios)
    assert (low, high) == pytest.approx((2 * np.quantile(ratios, 0.05), 2 * np.quantile(ratios, 0.95)))
    assert np.isnan(interval(2.0, np.ones(40), ratios[:40])).all()
    assert np.isnan(interval(np.nan, np.ones(100), ratios)).all()
