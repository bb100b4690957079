"""Expected return and risk per instrument: an equilibrium prior, tilted by models in force and by views that earned it. Pure."""

import numpy as np
import pandas as pd

from marketbot_assets.features.model import FactorModel
from marketbot_assets.insight.lead import Lead
from marketbot_assets.insight.return_model import ReturnModel, standardize
from marketbot_assets.insight.view_weight import NO_LEANING, Leaning
from marketbot_assets.normalization.window import Floats
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import SESSIONS_PER_YEAR


def forecast(
    model: ReturnModel,
    features: pd.DataFrame,
    factor_model: FactorModel,
    mandate: Mandate,
    leaning: Leaning = NO_LEANING,
    lead: Lead | None = None,
) -> pd.DataFrame:
    """FORECASTS rows in the factor model's order. A name that lacks a required feature has no expected return; no view adds one.

    `leaning`: what a language model's views add; without it the expected returns are the return model's, bit for bit.
    `lead`: the registry's champion, which takes the return model's place as far as its weight says; None changes no bit, either.
    """
    assert tuple(features["instrument"].tolist()) == factor_model.instruments, "features must be in the model's order"
    complete = features["complete"].to_numpy(dtype=bool)
    wolf = factor_model.ledoit_wolf_root()
    volatility = annual_volatility(factor_model.ewma_root(), wolf)
    prior = equilibrium(wolf, volatility, complete, mandate.portfolio.prior_excess_return_per_year)
    raw = np.array([features[name].to_numpy(dtype=float) for name in model.scores]).T
    z = standardize(np.where(complete[:, None], raw, np.nan))
    score, residual_sd = combined(z @ np.array(model.coefficients)), model.residual_sd
    if lead is not None:
        score = lead.mixed(score, factor_model.instruments, complete)
        residual_sd = lead.residual(residual_sd)
    tilt = mandate.portfolio.forecast_tilt_per_sd_per_year * score
    expected = np.where(complete, prior + tilt, np.nan)
    by_views = np.where(np.isfinite(expected), leaning.tilt_of(factor_model.instruments), 0.0)
    expected = np.where(by_views != 0.0, expected + by_views, expected)
    uncertainty = mandate.portfolio.forecast_tilt_per_sd_per_year * residual_sd + 0.1 * volatility
    return pd.DataFrame(
        {
            "instrument": list(factor_model.instruments),
            "prior": prior,
            "score": score,
            "tilt": tilt,
            "llm_view": leaning.views_of(factor_model.instruments),
            "llm_tilt": by_views,
            "expected_return": expected,
            "uncertainty": np.where(np.isfinite(expected), uncertainty, np.nan),
            "volatility": volatility,
        }
    )


def annual_volatility(*roots: Floats) -> Floats:
    """Per year, the largest of the estimates of these roots (m, n) of a covariance per session, (n,)."""
    daily = np.max([np.sqrt((root**2).sum(axis=0)) for root in roots], axis=0)
    return np.asarray(daily * np.sqrt(SESSIONS_PER_YEAR))


def equilibrium(root: Floats, volatility: Floats, complete: np.ndarray, book_return: float) -> Floats:
    """Returns per year proportional to each name's covariance with the inverse-volatility book, which earns `book_return`.

    `root` (m, n): root'root is the covariance per session.
    """
    usable = complete & np.isfinite(volatility) & (volatility > 0)
    if not usable.any():
        return np.full(len(volatility), np.nan)
    weights = np.where(usable, 1.0 / np.where(volatility > 0, volatility, 1.0), 0.0)
    weights /= weights.sum()
    covariance = root.T @ (root @ weights)
    return np.asarray(np.where(usable, covariance * book_return / float(weights @ covariance), np.nan))


def combined(values: Floats) -> Floats:
    """z-scores of the combined score over known names, winsorised at 3."""
    return standardize(values[:, None])[:, 0]
