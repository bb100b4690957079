"""Linear families: a momentum baseline that learns nothing, and the ridge of the return model on any features. Pure."""

from collections.abc import Mapping

import numpy as np

from marketbot_assets.insight.model_card import Json
from marketbot_assets.insight.return_model import TYPICAL_IC, ridge_to_prior
from marketbot_assets.insight.training import Fitted, Sample, number
from marketbot_assets.normalization.window import Floats


def fit_momentum(sample: Sample, hyper: Mapping[str, Json], seed: int) -> Fitted:
    """One coefficient for the one feature: what a typical information coefficient makes of it. Nothing is learnt."""
    if len(sample.features) != 1:
        raise ValueError(f"momentum: expected one feature, found {len(sample.features)}")
    return Fitted({sample.features[0]: TYPICAL_IC})


def fit_ridge(sample: Sample, hyper: Mapping[str, Json], seed: int) -> Fitted:
    """Coefficients on the features, shrunk to `prior` (feature -> weight of the combined score; 0 for those not named).

    Raises FloatingPointError when one is not finite.
    """
    given = hyper.get("prior")
    if not isinstance(given, Mapping) or not set(given) <= set(sample.features):
        raise ValueError("ridge: expected `prior`, an object of features and weights")
    prior = np.array([number(given, name) if name in given else 0.0 for name in sample.features])
    solved = TYPICAL_IC * ridge_to_prior(sample.sessions, prior)
    if not np.isfinite(solved).all():
        raise FloatingPointError(f"ridge: expected finite coefficients, found {solved.tolist()}")
    return Fitted(dict(zip(sample.features, (float(value) for value in solved), strict=True)))


def predict_linear(fitted: Fitted, x: Floats, features: tuple[str, ...]) -> Floats:
    """(m,) predictions for (m, k) finite rows. Raises ValueError when the coefficients are those of other features."""
    if set(fitted.coefficients) != set(features):
        raise ValueError("linear model: expected coefficients of its features, found others")
    return np.asarray(x @ np.array([fitted.coefficients[name] for name in features]))
