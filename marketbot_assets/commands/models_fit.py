"""`models fit`: a forecast family fitted and tried on what a home knows, on record as a candidate. It changes no decision.

The trial is counted before anybody sees its result. Not here: the families (`insight.families`), the trial
(`research.forecast_trial`), the gates (`insight.fit_gate`, `research.promotion`).
"""

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from marketbot_assets.commands.home import existing_lake
from marketbot_assets.commands.models import SHORT, View, newest_session
from marketbot_resources.errors import UsageError

if TYPE_CHECKING:
    from marketbot_assets.insight.forecast_panel import Panel
    from marketbot_assets.insight.model_card import Fit, ModelSpec
    from marketbot_assets.insight.training import TrainingRule
    from marketbot_assets.normalization.window import Floats
    from marketbot_resources.mandate import Mandate
    from marketbot_resources.store.reader import Reader

SESSIONS = 2520


def fit_now(family: str, slot: str, window_rows: int | None, seed: int) -> View:
    """Registers the specification, counts its trial, keeps evidence and fit, and asks the fit gate.

    Raises UsageError when the home's past is too short to learn from, or a library is not installed.
    """
    from marketbot_assets.insight.fit_gate import FitJudgement
    from marketbot_assets.insight.forecast_fit import fit_model
    from marketbot_assets.insight.training import TrainingRule
    from marketbot_assets.lineage import code_of
    from marketbot_assets.model_registry import ModelRegistry
    from marketbot_assets.research.forecast_trial import cost_bps_of, evaluate_forecasts
    from marketbot_resources.store.reader import Reader

    lake, session = existing_lake(), newest_session()
    read = Reader(lake, session, allowed=None)
    mandate, registry = read.mandate(), ModelRegistry(lake, slot)
    rule = TrainingRule(window_rows=window_rows, seed=seed)
    spec, code = _spec(family, mandate, rule), code_of("insight")
    try:
        panel = _panel(read, mandate, rule)
        trial = evaluate_forecasts(spec, panel, cost_bps=cost_bps_of(mandate))
        fit = fit_model(spec, panel, half_width=trial.half_width, metrics=trial.metrics, code_version=code)
    except (ValueError, FloatingPointError) as error:
        raise UsageError(f"models fit {family}: {error}; nothing was tried: the home's past is too short") from error
    except ImportError as error:
        raise UsageError(
            f"models fit {family}: expected the extra `boosting`, found no {error.name}; install marketbot[boosting]"
        ) from error
    registry.register(spec, session)
    told = ""
    try:
        registry.submit(trial.evidence, code_version=code, session=session, at=read.cutoff)
    except ValueError as error:  # counted all the same
        told = f"none: {error}"
    known = dict(registry.state().standings[spec.sha256].fits).get(fit.sha256)
    judged = (
        registry.refit(fit, lambda one: _scores(spec, one, panel), session=session, at=read.cutoff)
        if known is None
        else FitJudgement(() if known else ("it was refused before",), ("it is on record already",))
    )
    return {
        "slot": slot,
        "spec": spec.sha256,
        "family": family,
        "state": registry.state().standings[spec.sha256].state.value,
        "fit": fit.sha256,
        "fitted_on": session.isoformat(),
        "observations": fit.card.observations,
        "coefficients": dict(fit.coefficients),
        "metrics": dict(trial.metrics),
        "accepted": judged.accepted,
        "reasons": [*judged.refusals, *judged.notes],
        "evidence": told or "kept",
    }


def _spec(family: str, mandate: "Mandate", rule: "TrainingRule") -> "ModelSpec":
    from marketbot_assets.insight.ensemble import ensemble_spec
    from marketbot_assets.insight.families import boosting_spec, momentum_spec, ridge_spec
    from marketbot_assets.insight.forecast_panel import EWMA_MOMENTUM
    from marketbot_assets.insight.price_panel import SCORES, feature_versions

    versions = feature_versions()
    prior = dict(sorted(mandate.portfolio.score_weights.items()))
    single = {
        "ewma_momentum": momentum_spec(versions[EWMA_MOMENTUM], rule),
        "ridge": ridge_spec({name: versions[name] for name in SCORES}, prior, rule),
        "boosting": boosting_spec(versions, rule),
    }
    return single[family] if family in single else ensemble_spec(tuple(single.values()), rule)


def _panel(read: "Reader", mandate: "Mandate", rule: "TrainingRule") -> "Panel":
    from marketbot_assets.features.shares import with_filed_shares
    from marketbot_assets.features.wide_features import number_of
    from marketbot_assets.insight.price_panel import price_panel
    from marketbot_assets.panels import market
    from marketbot_resources.calendars import cutoffs

    known, filed = market(read, SESSIONS), read.as_of("fundamentals")
    days: tuple[dt.date, ...] = known.window.sessions
    return price_panel(
        known.window,
        known.macro,
        filed,
        with_filed_shares(known.instruments, filed, read.as_of("corporate_actions"), read.session),
        (*cutoffs(mandate.calendar, mandate.schedule, days[:-1]), read.cutoff),
        base=mandate.base_currency,
        number=number_of(mandate.calendar, days[0]),
        horizon_rows=rule.horizon_rows,
    )


def _scores(spec: "ModelSpec", fit: "Fit", panel: "Panel") -> "Floats":
    from marketbot_assets.insight.forecast_fit import forecast_of
    from marketbot_assets.insight.training import versions_of

    return forecast_of(spec, fit, panel.of(spec.features).values[-1], versions_of(spec)).expected


def fit_lines(view: View) -> list[str]:
    """The same for people."""
    metrics = cast("Mapping[str, float | None]", view["metrics"])
    reasons = cast("list[str]", view["reasons"])
    spec = str(view["spec"])[:SHORT]
    lines = [f"{spec}  {view['family']}  {view['state']}  fit {str(view['fit'])[:SHORT]} of {view['fitted_on']}"]
    lines += [f"  {name:<34} {'not known' if value is None else f'{value:.4f}'}" for name, value in metrics.items()]
    lines.append(f"fit {'accepted' if view['accepted'] else 'refused'}" + "".join(f"; {reason}" for reason in reasons))
    lines.append(f"evidence: {view['evidence']}; next: marketbot models promote {spec} --check")
    return lines
