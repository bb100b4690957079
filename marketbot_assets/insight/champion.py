"""The champion of the model registry beside the mandate's return model: its fit, its refit, what it says of a session. Pure.

The mandate's own model is the baseline: it is fitted every day as without a registry, and decides wherever the champion cannot. A
champion's forecasts stand in a second row of RETURN_MODEL with its specification, its fit by hash, its weight and why. Not here:
how forecasts take it in (`lead`), what the registry held at a cutoff and where files lie
(`champion_facts`), states (`model_states`), trust (`model_drift`).
"""

import datetime as dt
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from marketbot_assets.insight.fit_gate import FitJudgement, judge_fit, stands_in
from marketbot_assets.insight.forecast_fit import fit_model, forecast_of
from marketbot_assets.insight.forecast_panel import Panel
from marketbot_assets.insight.lead import ROW
from marketbot_assets.insight.model_card import Fit, Json, ModelSpec, canonical_bytes
from marketbot_assets.insight.price_panel import SCORES
from marketbot_assets.insight.return_model import REFIT_SESSIONS
from marketbot_assets.normalization.window import Floats

NAMES_SHARE_MIN = 0.9  # of the names that the baseline can score: a champion that knows fewer does not decide
DIGITS = 9
UNUSABLE = (ValueError, ArithmeticError, LookupError, TypeError, ImportError, np.linalg.LinAlgError)


@dataclass(frozen=True, slots=True)
class Registered:
    """A specification that the registry uses. `fits`: its newest accepted ones, oldest first, at least one; `weight`: its trust,
    0 to 1; `why`, in words; `fault`: why earlier fits cannot be read, so that no new one can be compared with them.
    """

    spec: ModelSpec
    fits: tuple[Fit, ...]
    weight: float
    why: str
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Refit:
    """A fit made in a session, and what the gate said of it."""

    fit: Fit
    judgement: FitJudgement


@dataclass(frozen=True, slots=True)
class Chosen:
    """What became of a specification in a session. `fit`: the one used, None where there is none; `weight`: of its forecasts, 0
    where the baseline decides; `expected`: instrument -> expected label; `refit`: what was fitted anew, whether used or not.
    """

    spec: str
    fit: Fit | None
    weight: float
    why: str
    expected: Mapping[str, float]
    refit: Refit | None = None


def choose(
    registered: Registered,
    session: dt.date,
    age: int,
    training: Callable[[], Panel],
    live: Callable[[], Panel],
    versions: Mapping[str, str],
    code_version: str,
) -> Chosen:
    """The fit in force at a session and its forecasts. `age`: sessions since the newest accepted fit.

    `training`: panel to fit on, asked for when a fit is due; `live`: panel that ends with the session and holds SCORES and the
    specification's features; `versions`: of the features in use. Whatever goes wrong leaves the decision to the baseline.
    """
    spec, newest, refit, told = registered.spec, registered.fits[-1], None, registered.why
    try:
        panel = live()
        if panel.sessions[-1] != session:
            raise ValueError(f"panel: expected {session} at its end, found {panel.sessions[-1]}")
        if not 0 <= age:
            raise ValueError(f"fit: expected one of {session} or before, found one of {newest.fitted_on}")
        if age >= REFIT_SESSIONS:
            refit, failed = _refit(registered, training, panel, versions, code_version)
            told += f"; {failed}" if failed else ""
        used = refit.fit if refit is not None and refit.judgement.accepted else newest
        if used is newest and not stands_in(newest, spec.sha256, age):
            return Chosen(
                spec.sha256, None, 0.0, f"no accepted fit for {age} sessions: the baseline decides", {}, refit
            )
        expected = said(spec, used, panel, versions)
    except UNUSABLE as error:
        return Chosen(spec.sha256, None, 0.0, f"{_line(error)}: the baseline decides", {}, refit)
    return Chosen(spec.sha256, used, registered.weight, told, expected, refit)


def _refit(
    registered: Registered, training: Callable[[], Panel], panel: Panel, versions: Mapping[str, str], code: str
) -> tuple[Refit | None, str]:
    """(the new fit with its judgement, why it is not used). None when nothing could be fitted."""
    spec, fits = registered.spec, registered.fits
    try:
        fit = refitted(spec, fits[-1], training(), code)
        scores = [_row(spec, one, panel, versions) for one in (fit, fits[-1])]
    except UNUSABLE as error:
        return None, f"its refit failed: {_line(error)}"
    judgement = judge_fit(fit, fits, *scores)
    if registered.fault:
        judgement = replace(judgement, refusals=(*judgement.refusals, registered.fault))
    return Refit(fit, judgement), f"its refit was refused: {judgement.refusals[0]}" if judgement.refusals else ""


def refitted(spec: ModelSpec, before: Fit, panel: Panel, code_version: str) -> Fit:
    """A fit on a panel that keeps metrics and interval of the one before: they are what the specification's trial showed.

    Raises what `fit_model` raises.
    """
    interval = before.parameters.get("interval")
    if not isinstance(interval, list) or len(interval) != 2 or not isinstance(interval[1], float):
        raise ValueError("refit: expected a fit with an interval before it, found none")
    made = fit_model(spec, panel, half_width=interval[1], metrics=before.card.metrics, code_version=code_version)
    return replace(made, coefficients={name: round(value, DIGITS) for name, value in made.coefficients.items()})


def said(spec: ModelSpec, fit: Fit, panel: Panel, versions: Mapping[str, str]) -> dict[str, float]:
    """Instrument -> expected label at the panel's last session.

    Raises ValueError when it knows too few of the names that the baseline can score.
    """
    found = _row(spec, fit, panel, versions)
    able = np.isfinite(panel.of(SCORES).values[-1]).all(axis=1)
    share = float(np.isfinite(found[able]).mean()) if able.any() else math.nan
    if not share >= NAMES_SHARE_MIN:
        raise ValueError(f"forecast: expected {NAMES_SHARE_MIN:.0%} of the names, found {share:.0%}")
    pairs = zip(panel.instruments, found.tolist(), strict=True)
    return {name: round(value, DIGITS) for name, value in pairs if math.isfinite(value)}


def _row(spec: ModelSpec, fit: Fit, panel: Panel, versions: Mapping[str, str]) -> Floats:
    return forecast_of(spec, fit, panel.of(spec.features).values[-1], versions).expected


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def chosen_row(chosen: Chosen, baseline_fitted_on: dt.date) -> pd.DataFrame:
    """The champion's row of RETURN_MODEL. Without a fit it bears the baseline's date."""
    fitted_on = baseline_fitted_on if chosen.fit is None else chosen.fit.fitted_on
    body: dict[str, Json] = {
        "fit_sha256": "" if chosen.fit is None else chosen.fit.sha256,
        "weight": float(chosen.weight),
        "why": chosen.why,
        "expected": dict(chosen.expected),
    }
    card = {} if chosen.fit is None else chosen.fit.card.body()
    return pd.DataFrame(
        {
            "name": [ROW],
            "fitted_on": [pd.Timestamp(fitted_on)],
            "spec_sha256": [chosen.spec],
            "model_json": [canonical_bytes(body).decode()],
            "card_json": [json.dumps(card, sort_keys=True)],
        }
    )
