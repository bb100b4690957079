"""From a panel to a fit's file with its card, and from the file to forecasts with intervals. Pure.

Not here: the families (`families`, `ensemble`), what a specification is worth (`research.forecast_trial`), which fit may be used
(`fit_gate`), where files lie (`model_registry`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from marketbot_assets.insight import families
from marketbot_assets.insight.ensemble import ENSEMBLE, predict_ensemble, train_ensemble
from marketbot_assets.insight.forecast_panel import Panel, Rows
from marketbot_assets.insight.intervals import LEVEL
from marketbot_assets.insight.model_card import Fit, Json, ModelCard, ModelSpec
from marketbot_assets.insight.training import Fitted, number, rule_of, versions_of
from marketbot_assets.normalization.window import Floats

PURPOSE = "ranks names by their next month's return; never sizes a position by itself"
LIMITS = (
    "few names, overlapping labels, one past; learnt from prices known at each session's cutoff, with listings, shares and "
    "sectors as known at the last one; the interval holds for errors that are like those of its calibration"
)


def train(spec: ModelSpec, panel: Panel, rows: Rows) -> Fitted:
    """A fit of any family. Raises ValueError for what is no specification, FloatingPointError when nothing can be learnt."""
    made = train_ensemble if spec.family == ENSEMBLE else families.train
    return made(spec, panel, rows)


def predict(spec: ModelSpec, fitted: Fitted, values: Floats) -> Floats:
    """(...) forecasts from (..., k) standardized features in the specification's order; NaN where one is not known."""
    made = predict_ensemble if spec.family == ENSEMBLE else families.predict
    return made(spec, fitted, values)


def rows_ended(panel: Panel, spec: ModelSpec) -> Rows:
    """Rows that a fit at the panel's last session sees: labels ended an embargo ago; the newest of them in a rolling window."""
    rule = rule_of(spec)
    end = max(0, len(panel.sessions) - rule.horizon_rows - rule.embargo_rows)
    first = 0 if rule.window_rows is None else max(0, end - rule.window_rows)
    return np.arange(first, end, dtype=np.int64)


def fit_model(
    spec: ModelSpec,
    panel: Panel,
    *,
    half_width: float,
    metrics: Mapping[str, float | None],
    code_version: str,
) -> Fit:
    """The fit at the panel's last session. `half_width`: of the interval around a forecast.

    Raises ValueError for a width that is no number, FloatingPointError when nothing can be learnt.
    """
    if not (math.isfinite(half_width) and half_width > 0.0):
        raise ValueError(f"fit: expected an interval of positive width, found {half_width}")
    own, rows = panel.of(spec.features), rows_ended(panel, spec)
    learnt = train(spec, own, rows)
    parameters: dict[str, Json] = {"learnt": dict(learnt.parameters), "interval": [LEVEL, half_width]}
    card = ModelCard(
        purpose=PURPOSE,
        data_sha256=panel.sha256,
        coverage=coverage_of(own, rows),
        observations=int((own.known[rows] & np.isfinite(own.labels[rows])).sum()),
        features=spec.features,
        seed=rule_of(spec).seed,
        code_version=code_version,
        metrics=metrics,
        limits=LIMITS,
    )
    return Fit(spec.sha256, panel.sessions[-1], learnt.coefficients, parameters, card)


def coverage_of(panel: Panel, rows: Rows) -> float:
    """Known share of the rows, from each name's first that knows every feature to its last: a name not listed yet lacks nothing."""
    known = panel.known[rows]
    begun, ends = (np.logical_or.accumulate(part, axis=0) for part in (known, known[::-1]))
    asked = begun & ends[::-1]
    return float(known[asked].mean()) if asked.any() else 0.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """(n,) expected labels with the interval that holds the outcome with probability `level`; NaN where nothing is forecast."""

    expected: Floats
    low: Floats
    high: Floats
    level: float


def forecast_of(spec: ModelSpec, fit: Fit, values: Floats, versions: Mapping[str, str]) -> Forecast:
    """Forecasts for (n, k) standardized features of one session.

    Raises ValueError for a fit of another specification, or of other versions of the features than those in use.
    """
    if fit.spec_sha256 != spec.sha256:
        raise ValueError(f"forecast: expected a fit of {spec.sha256[:12]}, found one of {fit.spec_sha256[:12]}")
    learnt, interval = (fit.parameters.get(name) for name in ("learnt", "interval"))
    if not isinstance(learnt, Mapping) or not isinstance(interval, list) or len(interval) != 2:
        raise ValueError("forecast: expected a fit of a forecast family, found another one")
    if versions_of(spec) != {name: versions.get(name) for name in spec.features}:
        raise ValueError("forecast: expected the versions of the features that it was fitted on, found others")
    level, width = (number({"interval": one}, "interval") for one in interval)
    expected = predict(spec, Fitted(fit.coefficients, learnt), values)
    return Forecast(expected, expected - width, expected + width, level)
