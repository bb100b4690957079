"""Mixing forecasts by what each has proven out of fold, shrunk to zero: nothing proven, no forecast. Pure.

A member's worth is its mean information coefficient per session (Spearman) on rows that its fit had not seen. What is left of it
after 1.645 standard errors is proven; members share the forecast by it, and each keeps the proven part of its own. Not here: single
families (`families`).
"""

import math
from collections.abc import Mapping

import numpy as np

from marketbot_assets.insight.evidence import newey_west_error
from marketbot_assets.insight.families import predict, train
from marketbot_assets.insight.fit_gate import rank_correlation
from marketbot_assets.insight.forecast_panel import Panel, Rows
from marketbot_assets.insight.model_card import Json, ModelSpec, spec_of
from marketbot_assets.insight.training import Fitted, TrainingRule, number, rule_of, versions_of
from marketbot_assets.insight.walk_forward import out_of_fold, walk_forward
from marketbot_assets.normalization.window import Floats

ENSEMBLE = "ensemble"
ERRORS = 1.645  # one-sided 95 %
SESSIONS_MIN = 20
FIRST_SHARE, FOLDS = 1 / 3, 4


def ensemble_spec(members: tuple[ModelSpec, ...], rule: TrainingRule) -> ModelSpec:
    """An ensemble of at least two specifications of single families, all with this rule."""
    versions = {name: version for member in members for name, version in versions_of(member).items()}
    ordered = dict(sorted(versions.items()))
    spec = ModelSpec(ENSEMBLE, tuple(ordered), {"members": [member.body() for member in members]}, rule.body(ordered))
    members_of(spec)
    return spec


def members_of(spec: ModelSpec) -> tuple[ModelSpec, ...]:
    """Its members. Raises ValueError for fewer than two, for one among them twice, an ensemble, or another training rule."""
    told = spec.hyper.get("members")
    if not isinstance(told, list) or not all(isinstance(one, Mapping) for one in told):
        raise ValueError("ensemble: expected a list of specifications")
    members = tuple(spec_of(one) for one in told if isinstance(one, Mapping))
    if len({member.sha256 for member in members}) != len(members) or len(members) < 2:
        raise ValueError(f"ensemble: expected at least two different members, found {len(members)}")
    if any(member.family == ENSEMBLE or rule_of(member) != rule_of(spec) for member in members):
        raise ValueError("ensemble: expected members of single families with its own training rule")
    own = versions_of(spec)
    if {pair for member in members for pair in versions_of(member).items()} != set(own.items()):
        raise ValueError("ensemble: expected its members' features in one version each")
    return members


def session_ics(predicted: Floats, labels: Floats) -> Floats:
    """(T,) Spearman's correlation of (T, n) forecasts and labels per session; NaN with fewer than five names or equal forecasts."""
    return np.array([rank_correlation(*pair) for pair in zip(predicted, labels, strict=True)], dtype=np.float64)


def mean_error(ics: Floats, rows_between: int, horizon_rows: int) -> tuple[float, float]:
    """(mean, standard error) of known coefficients in order, `rows_between` apart, whose labels overlap for `horizon_rows` rows.

    The error is Newey-West's, at least that of so many horizons that do not overlap; NaN with fewer than twenty.
    """
    known = ics[np.isfinite(ics)]
    if len(known) < SESSIONS_MIN:
        return math.nan, math.nan
    apart = float(known.std(ddof=1)) / math.sqrt(max(1.0, len(known) * min(1.0, rows_between / horizon_rows)))
    return float(known.mean()), max(newey_west_error(known, math.ceil(horizon_rows / rows_between)), apart)


def earned_weights(worth: tuple[tuple[float, float], ...]) -> Floats:
    """(members,) weights from each one's mean coefficient and its error: none negative, at most 1 together, 0 if not known."""
    proven = np.zeros(len(worth))
    for place, (mean, error) in enumerate(worth):
        if math.isfinite(mean) and math.isfinite(error) and error > 0.0:
            proven[place] = max(0.0, mean - ERRORS * error)
    total = float(proven.sum())
    if not total > 0.0:
        return np.zeros(len(worth))
    kept = np.array([share / mean if share > 0.0 else 0.0 for share, (mean, _) in zip(proven, worth, strict=True)])
    return np.asarray(proven / total * kept)


def train_ensemble(spec: ModelSpec, panel: Panel, rows: Rows) -> Fitted:
    """Every member fitted on all rows; weights from walk-forward within them. Raises what members raise."""
    members, rule = members_of(spec), rule_of(spec)
    weights = earned_weights(tuple(_worth(member, rule, panel, rows) for member in members))
    fits = [train(member, panel, rows) for member in members]
    kept: list[Json] = [{"coefficients": dict(fit.coefficients), "parameters": dict(fit.parameters)} for fit in fits]
    named = {f"{place} {member.family}": float(weights[place]) for place, member in enumerate(members)}
    return Fitted(named, {"members": kept})


def _worth(member: ModelSpec, rule: TrainingRule, panel: Panel, rows: Rows) -> tuple[float, float]:
    first = max(1, round(len(rows) * FIRST_SHARE))
    step = max(1, math.ceil((len(rows) - first) / FOLDS))
    splits = walk_forward(len(rows), first, step, rule.horizon_rows, rule.embargo_rows, rule.window_rows)
    own = panel.of(member.features)

    def predicted(train_rows: Rows, test_rows: Rows) -> Floats:
        try:
            fitted = train(member, panel, rows[train_rows])
        except FloatingPointError:  # too little data for this fold: it proves nothing
            return np.full((len(test_rows), len(panel.instruments)), np.nan)
        return predict(member, fitted, own.values[rows[test_rows]])

    said = out_of_fold((len(rows), len(panel.instruments)), splits, predicted)[:: rule.sample_every]
    judged = session_ics(said, panel.labels[rows[:: rule.sample_every]])
    return mean_error(judged, rule.sample_every, rule.horizon_rows)


def predict_ensemble(spec: ModelSpec, fitted: Fitted, values: Floats) -> Floats:
    """(...) forecasts from (..., k) standardized features; NaN where one is not known, 0 where no member has proven anything.

    Raises ValueError for a fit of other members.
    """
    members, kept = members_of(spec), fitted.parameters.get("members")
    names = [f"{place} {member.family}" for place, member in enumerate(members)]
    if not isinstance(kept, list) or len(kept) != len(members) or set(fitted.coefficients) != set(names):
        raise ValueError("ensemble: expected a fit of each member, found others")
    known = np.isfinite(values).all(axis=-1)
    total = np.where(known, 0.0, np.nan)
    for name, member, one in zip(names, members, kept, strict=True):
        weight = number(fitted.coefficients, name)
        if not 0.0 <= weight <= 1.0:
            raise ValueError(f"ensemble: expected weights between 0 and 1, found {weight}")
        places = [spec.features.index(feature) for feature in member.features]
        total = total + weight * predict(member, _fitted(one), values[..., places])
    return np.asarray(total)


def _fitted(body: Json) -> Fitted:
    if not isinstance(body, Mapping) or set(body) != {"coefficients", "parameters"}:
        raise ValueError("ensemble: expected coefficients and parameters of a member, found another object")
    coefficients, parameters = body["coefficients"], body["parameters"]
    if not isinstance(coefficients, Mapping) or not isinstance(parameters, Mapping):
        raise ValueError("ensemble: expected coefficients and parameters of a member, found another object")
    return Fitted({name: number(coefficients, name) for name in coefficients}, parameters)
