"""How good variance forecasts are: QLIKE, the test of Diebold and Mariano, intervals of realised volatility. Pure.

QLIKE ranks forecasts as if the true variance were seen, though only a noisy squared return is (Patton 2011). Not here: the
forecasts (`volatility`).
"""

import numpy as np

from marketbot_assets.normalization.window import Floats

COVERAGE = 0.90


def qlike(forecasts: Floats, realised: Floats) -> Floats:
    """(T,) losses ln v + x / v for variance forecasts v and unbiased proxies x, the lower the better; NaN for v not above 0."""
    good = np.isfinite(forecasts) & (forecasts > 0.0)
    safe = np.where(good, forecasts, 1.0)
    return np.asarray(np.where(good, np.log(safe) + realised / safe, np.nan))


def diebold_mariano(losses: Floats, against: Floats, lags: int) -> tuple[float, float]:
    """(mean difference, its t statistic) of two loss series (T,), Newey-West with `lags`; negative: the first is better.

    Diebold and Mariano (1995). NaN statistic when the difference does not vary.
    """
    difference = losses - against
    difference = difference[np.isfinite(difference)]
    mean = float(difference.mean())
    centred = difference - mean
    count = len(centred)
    total = float(centred @ centred)
    for lag in range(1, min(lags, count - 1) + 1):
        total += 2.0 * (1.0 - lag / (lags + 1.0)) * float(centred[lag:] @ centred[:-lag])
    return mean, mean / np.sqrt(total / count**2) if total > 0.0 else float("nan")


def interval(
    forecast: float, past_forecasts: Floats, past_realised: Floats, coverage: float = COVERAGE
) -> tuple[float, float]:
    """Variances between which `coverage` of realised ones are expected: the past ratios' quantiles times the forecast.

    past_forecasts, past_realised: (T,) mean variances of the same horizon, all over by now. NaN without 50 known pairs: their
    quantiles would say nothing.
    """
    known = np.isfinite(past_forecasts) & (past_forecasts > 0.0) & np.isfinite(past_realised)
    if known.sum() < 50 or not (np.isfinite(forecast) and forecast > 0.0):
        return float("nan"), float("nan")
    ratios = past_realised[known] / past_forecasts[known]
    tail = (1.0 - coverage) / 2.0
    low, high = np.quantile(ratios, [tail, 1.0 - tail])
    return float(forecast * low), float(forecast * high)
