"""The constrained factor model: regressions, covariance and specific risk put together. Pure.

Its parts stand in `factor_regression`, `factor_covariance` and `specific_risk`; the older estimator in `factor_model`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from marketbot_assets.features.factor_covariance import factor_covariance, kept_to, nearest_psd
from marketbot_assets.features.factor_regression import cross_sections, sector_constraint
from marketbot_assets.features.specific_risk import noise_of, specific_variance
from marketbot_assets.normalization.window import Floats
from marketbot_resources.model import SESSIONS_PER_YEAR


@dataclass(frozen=True, slots=True)
class Estimator:
    """Settings of the constrained model, in sessions; they are the model's version.

    `lags`: of Newey and West; `robust`: Huber regressions; `denoised`: names' own noise is taken out of the factors' covariance.
    """

    sessions: int = 504
    variance_halflife: float = 33.0
    correlation_halflife: float = 126.0
    specific_halflife: float = 66.0
    lags: int = 2
    robust: bool = False
    denoised: bool = True


def constrained_risk(
    returns: Floats, exposures: Floats, weights: Floats, names: Sequence[str], groups: Sequence[str], spec: Estimator
) -> tuple[Floats, Floats]:
    """((k, k) factor covariance, (n,) specific variance), per year.

    returns: (T, n), NaN unknown, the last `spec.sessions` count; exposures: (n, k) on factors `names`; weights: (n,), of the
    regressions and, squared, of the sectors in their constraint (square roots of market values give market values).
    """
    constraint = sector_constraint(tuple(names), exposures, weights**2)
    fit = cross_sections(returns[-spec.sessions :], exposures, weights, constraint, robust=spec.robust)
    covariance = factor_covariance(
        fit.factors,
        variance_halflife=spec.variance_halflife,
        correlation_halflife=spec.correlation_halflife,
        lags=spec.lags,
        constraint=constraint,
    )
    specific = specific_variance(fit.residuals, fit.leverage, groups, halflife=spec.specific_halflife)
    if spec.denoised and np.isfinite(specific).all():
        covariance = nearest_psd(kept_to(covariance - noise_of(fit.maps, specific), constraint))
    return covariance * SESSIONS_PER_YEAR, specific * SESSIONS_PER_YEAR
