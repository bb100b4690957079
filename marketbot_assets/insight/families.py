"""Forecast families: from a specification and training rows to a fit, from a fit to forecasts. Pure.

A forecast is the label's expectation, in cross-sectional deviations of the forward return; a name that lacks a feature has none.
Not here: what a family learns (`model_linear`, `model_boosting`), mixing them (`ensemble`), evaluation (`research`).
"""

from collections.abc import Mapping

import numpy as np

from marketbot_assets.insight.forecast_panel import EWMA_MOMENTUM, Panel, Rows
from marketbot_assets.insight.model_boosting import HYPER, fit_boosting, predict_boosting
from marketbot_assets.insight.model_card import Json, ModelSpec
from marketbot_assets.insight.model_linear import fit_momentum, fit_ridge, predict_linear
from marketbot_assets.insight.training import Fitted, TrainingRule, rule_of, sample_of
from marketbot_assets.normalization.window import Floats

MOMENTUM, RIDGE, BOOSTING = "ewma_momentum", "ridge", "boosting"
FITS = {MOMENTUM: fit_momentum, RIDGE: fit_ridge, BOOSTING: fit_boosting}


def momentum_spec(version: str, rule: TrainingRule) -> ModelSpec:
    """The baseline. `version`: of its feature."""
    return ModelSpec(MOMENTUM, (EWMA_MOMENTUM,), {}, rule.body({EWMA_MOMENTUM: version}))


def ridge_spec(versions: Mapping[str, str], prior: Mapping[str, float], rule: TrainingRule) -> ModelSpec:
    """Ridge to weights of some of its features. `versions`: feature -> version, in the order of the columns."""
    return ModelSpec(RIDGE, tuple(versions), {"prior": dict(prior)}, rule.body(versions))


def boosting_spec(versions: Mapping[str, str], rule: TrainingRule, hyper: Mapping[str, Json] = HYPER) -> ModelSpec:
    """Gradient boosting. `versions`: feature -> version, in the order of the columns."""
    return ModelSpec(BOOSTING, tuple(versions), dict(hyper), rule.body(versions))


def train(spec: ModelSpec, panel: Panel, rows: Rows) -> Fitted:
    """A fit on rows of a panel whose labels may be known. Raises ValueError for an unknown family or a panel of another horizon,
    FloatingPointError when nothing can be learnt.
    """
    if spec.family not in FITS:
        raise ValueError(f"family: expected one of {', '.join(sorted(FITS))}, found {spec.family}")
    rule = rule_of(spec)
    if rule.horizon_rows != panel.horizon_rows:
        raise ValueError(f"panel: expected a horizon of {rule.horizon_rows} rows, found {panel.horizon_rows}")
    return FITS[spec.family](sample_of(panel.of(spec.features), rows, rule.sample_every), spec.hyper, rule.seed)


def predict(spec: ModelSpec, fitted: Fitted, values: Floats) -> Floats:
    """(...) forecasts from (..., k) standardized features in the specification's order; NaN where one of them is not known."""
    if values.shape[-1] != len(spec.features):
        raise ValueError(f"features: expected {len(spec.features)}, found {values.shape[-1]}")
    known = np.isfinite(values).all(axis=-1)
    out = np.full(known.shape, np.nan)
    if spec.family == BOOSTING:
        out[known] = predict_boosting(fitted, values[known])
    elif spec.family in FITS:
        out[known] = predict_linear(fitted, values[known], spec.features)
    else:
        raise ValueError(f"family: expected one of {', '.join(sorted(FITS))}, found {spec.family}")
    return out
