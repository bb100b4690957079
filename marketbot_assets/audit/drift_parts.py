"""The measures of each part of `drift`: forecasts, features, data, execution, language models. Pure.

Bounds that the mandate holds are the mandate's; the others stand here with their reason. Not here: states (`drift_measures`).
"""

import datetime as dt
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from marketbot_assets.audit.cost_numbers import PARTS, ended, groups, value_of
from marketbot_assets.audit.drift import HORIZON_SESSIONS, VOLATILITY_SESSIONS
from marketbot_assets.audit.drift_measures import ABOVE, BELOW, EITHER, NAN, NOTHING, FeatureMeasure, Measure
from marketbot_assets.audit.schema import (
    DATA_PART,
    DRIFTED,
    EXECUTION_PART,
    FEATURES_PART,
    FORECAST,
    FORECASTS_PART,
    LLM_PART,
    OK,
    VOLATILITY,
    WATCH,
)
from marketbot_assets.insight.evidence import OVERLAPS, newey_west_error, worth
from marketbot_assets.insight.name_views import RULES
from marketbot_assets.insight.view_weight import counted
from marketbot_assets.normalization.window import MarketWindow
from marketbot_assets.risk.feature_drift import BINS, KEYS, Compared, has_drifted
from marketbot_assets.risk.platform_controls import DRIFT_SESSIONS_MIN
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import BASIS_POINT

HORIZONS_MIN = 4  # overlapping horizons are one observation: a claim needs four that do not overlap
COVERAGE_WATCH, COVERAGE_MIN = 0.85, 0.75  # of an interval that should hold 0.90
QLIKE_WATCH, QLIKE_MAX = 0.25, 0.50  # a volatility 1.5 times too low alone gives 0.44, one exact to sampling 0.05
BOOK_WATCH, BOOK_MAX = 1.33, 1.50  # two and three standard errors of a ratio measured over 20 sessions
PSI_WATCH = 0.4  # of the limit: the usual 0.10 of 0.25
PRICED_SESSIONS = 5
PRICED_WATCH, PRICED_MIN = 0.98, 0.95
AGE_WATCH, AGE_MAX = 3, 5
MISSING_WATCH, MISSING_MAX = 0.02, 0.05
FILLED_WATCH, FILLED_MIN = 0.95, 0.80
SEND_WATCH_SECONDS, SEND_MAX_SECONDS = 600.0, 1800.0
ACK_WATCH_SECONDS, ACK_MAX_SECONDS = 5.0, 30.0
FAILED_WATCH, FAILED_MAX = 0.05, 0.20
REFITTED = f"{NOTHING}: the model is fitted again every 5 sessions, whatever its record"
LIMITED = "nothing on forecasts; RC-42 to RC-45 limit the book's risk, RC-71 and RC-72 count losses beyond it"
RC_89 = "RC-89 warns once more features than its share have drifted, and the alert FEATURE_DRIFT is told"
QUALITY = "rules of data_quality quarantine a name or halt; RC-87 refuses buys"
RC_73 = "RC-73 halves the participation of buys, on its own count of fills; live fills raise the costs charged"
RC_90 = "RC-90 halts on refusals of one batch"
GATE = "an order whose window is over is not sent"
WEIGHTLESS = "views of a run with more refusals than RC-89 allows move nothing"


def forecast_measures(
    judged: pd.DataFrame, volatilities: Sequence[float], horizon: int = HORIZON_SESSIONS
) -> list[Measure]:
    """Rank IC, bias, coverage of intervals and QLIKE over the judged sessions, and the book's volatility against its forecast.

    Errors of means over overlapping horizons: Newey-West, at least those of so many horizons that do not overlap.
    `volatilities`: what the last VOLATILITY_SESSIONS sessions before forecast of the book, per year.
    """
    rows = judged[judged["kind"] == FORECAST].sort_values("session")
    ic = _finite(rows["rank_ic"])
    missed = _finite(rows["outcome"] - rows["forecast"])
    coverage, qlike = _finite(rows["coverage"]), _finite(rows["qlike"])
    many = HORIZONS_MIN * horizon
    ic_error, bias_error = mean_error(ic, horizon), mean_error(missed, horizon)
    told = f"{len(ic)} judged sessions, {many} are needed to say more"
    short = told if len(ic) < many else ""
    return [
        Measure(FORECASTS_PART, "rank_ic", _mean(ic), BELOW, 0.0, -2.0 * ic_error, len(ic), ic_error, len(ic) >= many,
                short, REFITTED),
        Measure(FORECASTS_PART, "bias", _mean(missed), EITHER, 2.0 * bias_error, 3.0 * bias_error, len(missed), bias_error,
                len(missed) >= many, short, REFITTED),
        Measure(FORECASTS_PART, "interval_coverage", _mean(coverage), BELOW, COVERAGE_WATCH, COVERAGE_MIN, len(coverage),
                enough=len(coverage) >= horizon, message=_needed(len(coverage), horizon), answer=REFITTED),
        Measure(FORECASTS_PART, "volatility_qlike", _mean(qlike), ABOVE, QLIKE_WATCH, QLIKE_MAX, len(qlike),
                enough=len(qlike) >= horizon, message=_needed(len(qlike), horizon), answer=LIMITED),
        _book_volatility(judged, volatilities),
    ]  # fmt: skip


def mean_error(values: np.ndarray, horizon: int) -> float:
    """Standard error of the mean of (n,) values whose horizons overlap; NaN below two."""
    if len(values) < 2:
        return NAN
    apart = float(values.std(ddof=1)) * math.sqrt(min(1.0, horizon / len(values)))
    return max(newey_west_error(values, OVERLAPS * (horizon - 1)), apart)


def _book_volatility(judged: pd.DataFrame, forecasts: Sequence[float]) -> Measure:
    """Realized volatility over the root mean square of what was forecast before each of the same sessions."""
    rows = judged[judged["kind"] == VOLATILITY]
    row = rows.iloc[0] if len(rows) else None
    told = np.array([value for value in forecasts if math.isfinite(value) and value > 0.0])
    realized = NAN if row is None else float(row["outcome"])
    ratio = realized / math.sqrt(float(np.square(told).mean())) if len(told) else NAN
    why = "the book has no history" if row is None else str(row["message"])
    enough = len(told) >= VOLATILITY_SESSIONS
    short = "" if enough else f"{len(told)} of {VOLATILITY_SESSIONS} sessions forecast the volatility"
    return Measure(
        FORECASTS_PART,
        "book_volatility",
        ratio,
        ABOVE,
        BOOK_WATCH,
        BOOK_MAX,
        len(told),
        enough=enough,
        message=why or short,
        answer=LIMITED,
    )


def feature_measures(
    found: Sequence[Compared], compared_sessions: int, names: int, mandate: Mandate
) -> list[Measure | FeatureMeasure]:
    """Each feature against the sessions before, by the numbers and the rule of RC-89, and the share that has drifted.

    PSI of `names` names in five bins is (bins - 1) / names by chance alone: it is watched from twice that on, at the earliest
    from 0.4 of the limit.
    """
    rules, enough = mandate.limits.drift, compared_sessions >= DRIFT_SESSIONS_MIN
    why = "" if enough else f"compared with {compared_sessions} sessions, {DRIFT_SESSIONS_MIN} are needed"
    watch = min(rules.psi, max(PSI_WATCH * rules.psi, 2.0 * (BINS - 1) / max(names, 1)))
    rows: list[Measure | FeatureMeasure] = []
    moved = 0
    for one in found:
        beyond = has_drifted(one.drift, rules.psi, rules.ks_p)
        moved += beyond
        measure = Measure(
            FEATURES_PART,
            one.drift.feature,
            one.drift.psi,
            ABOVE,
            watch,
            rules.psi,
            names,
            enough=enough,
            message=why,
            answer=RC_89,
        )
        state = measure.state
        if enough:
            state = DRIFTED if beyond else WATCH if state == WATCH else OK
        rows.append(FeatureMeasure(measure, one.ks, one.drift.ks_p, state))
    share = moved / len(found) if found else NAN
    rows.append(
        Measure(FEATURES_PART, "share_drifted", share, ABOVE, 0.5 * rules.share, rules.share, len(found), enough=enough,
                message=why, answer=RC_89)
    )  # fmt: skip
    return rows


def data_measures(
    window: MarketWindow, in_universe: np.ndarray, now: pd.DataFrame, past: Sequence[pd.DataFrame]
) -> list[Measure]:
    """Names of the universe with a recent bar, the age of the oldest, and how many features are missing, now and before.

    `in_universe`: (n,) in the order of the window; `now`, `past`: FEATURES frames.
    """
    fresh = window.fresh[:, np.asarray(in_universe, dtype=bool)]
    names = fresh.shape[1]
    ages = np.where(fresh.any(axis=0), np.argmax(fresh[::-1], axis=0), len(fresh)) if names else np.empty(0)
    priced = float((ages < PRICED_SESSIONS).mean()) if names else NAN
    missing, usual = _missing(now), [_missing(frame) for frame in past]
    base = float(np.mean(usual)) if usual else NAN
    text = (
        f"{base:.4f} on average of the {len(usual)} sessions before" if usual else "no session before to compare with"
    )
    return [
        Measure(DATA_PART, "priced_share", priced, BELOW, PRICED_WATCH, PRICED_MIN, names, answer=QUALITY,
                message=f"with a bar in the last {PRICED_SESSIONS} sessions"),
        Measure(DATA_PART, "oldest_price_sessions", float(ages.max()) if names else NAN, ABOVE, AGE_WATCH, AGE_MAX, names,
                answer=QUALITY, message="sessions since the last bar of the name that waits longest"),
        Measure(DATA_PART, "features_missing", missing, ABOVE, base + MISSING_WATCH, base + MISSING_MAX, len(now),
                message=text, answer=QUALITY),
    ]  # fmt: skip


def _missing(frame: pd.DataFrame) -> float:
    values = frame[[name for name in frame.columns if name not in KEYS]].to_numpy(dtype=float)
    return float(1.0 - np.isfinite(values).mean()) if values.size else NAN


def execution_measures(
    frames: Sequence[pd.DataFrame], environment: str, waits: Mapping[str, Sequence[float]], mandate: Mandate
) -> list[Measure]:
    """Orders that ended, of one environment: shortfall and its parts, cost against the model, fill ratio, refusals, latency.

    `frames`: SHORTFALL, oldest first. `waits`: seconds "cutoff_to_sent" and "sent_to_ack" of this session's orders.
    """
    told = [frame for frame in frames if len(frame)]
    rows = [row for row in (ended([pd.concat(told)]) if told else []) if str(row["environment"]) == environment]
    limits, count = mandate.limits, len(rows)
    (group,) = groups(rows, lambda row: ()) or (None,)
    error = NAN if group is None else group.error
    least, errors = limits.cost_drift.least_bps, limits.cost_drift.standard_errors
    bound = max(least, errors * error) if math.isfinite(error) else NAN
    refused = sum(str(row["state"]) == "REJECTED" for row in rows) / count if count else NAN
    none = "" if count else "no order has ended"
    return [
        Measure(EXECUTION_PART, "cost_over_model_bps", NAN if group is None else group.difference, ABOVE, 0.5 * bound, bound,
                0 if group is None else group.compared, error, message=none, answer=RC_73),
        Measure(EXECUTION_PART, "fill_ratio", _fill_ratio(rows), BELOW, FILLED_WATCH, FILLED_MIN, count, message=none,
                answer="what was not filled is planned anew by the next decision"),
        Measure(EXECUTION_PART, "refused_share", refused, ABOVE, 0.5 * limits.refusals.share, limits.refusals.share, count,
                message=none, answer=RC_90),
        *_shortfall_parts(rows),
        _wait("cutoff_to_sent_seconds", waits.get("cutoff_to_sent", ()), SEND_WATCH_SECONDS, SEND_MAX_SECONDS),
        _wait("sent_to_ack_seconds", waits.get("sent_to_ack", ()), ACK_WATCH_SECONDS, ACK_MAX_SECONDS),
    ]  # fmt: skip


def _fill_ratio(rows: Sequence[dict]) -> float:  # type: ignore[type-arg]
    """Filled over ordered value, at the decision's prices and rates."""
    values = [
        (value_of(row, "filled") * unit, float(row["quantity"]) * unit)
        for row in rows
        if math.isfinite(unit := value_of(row, "decision_price") * value_of(row, "rate"))
    ]
    known = [(filled if math.isfinite(filled) else 0.0, ordered) for filled, ordered in values]
    whole = math.fsum(ordered for _, ordered in known)
    return math.fsum(filled for filled, _ in known) / whole if whole > 0.0 else NAN


def _shortfall_parts(rows: Sequence[dict]) -> list[Measure]:  # type: ignore[type-arg]
    """Shortfall and its parts as basis points of the value ordered, over orders of which all is known; shown, not judged."""
    names = [name for name, _ in PARTS]
    needed = (*names, "total", "decision_price", "rate")
    known = [row for row in rows if all(math.isfinite(value_of(row, name)) for name in needed)]
    value = math.fsum(float(row["quantity"]) * value_of(row, "decision_price") * value_of(row, "rate") for row in known)

    def share(name: str) -> float:
        whole = math.fsum(value_of(row, name) * value_of(row, "rate") for row in known)
        return whole / value / BASIS_POINT if value > 0.0 else NAN

    told = [("total", "shortfall_bps"), *((name, f"shortfall_{name}_bps") for name in names)]
    return [Measure(EXECUTION_PART, name, share(column), count=len(known)) for column, name in told]


def _wait(name: str, seconds: Sequence[float], watch: float, most: float) -> Measure:
    """The longest wait of a session's orders, seconds; not judged where no order was sent."""
    known = [value for value in seconds if math.isfinite(value)]
    text = f"median {float(np.median(known)):.3g} s" if known else "no order was sent"
    return Measure(
        EXECUTION_PART, name, max(known, default=NAN), ABOVE, watch, most, len(known), message=text, answer=GATE
    )


def llm_measures(
    answers: Sequence[tuple[dt.date, pd.DataFrame]], evidence: pd.DataFrame | None, mandate: Mandate
) -> list[Measure]:
    """Answers of language models of the last sessions, this one last: acceptance, failures, cost, changes, coefficient.

    None where the mandate names no model and none answered.
    """
    if mandate.llm is None and not any(len(frame) for _, frame in answers):
        return []
    tries = pd.concat([frame for _, frame in answers], ignore_index=True) if answers else pd.DataFrame()
    heard, refused = counted(tries) if len(tries) else (0, 0)
    failed = int((tries["outcome"] == "FAILED").sum()) if len(tries) else 0
    limit, asked = mandate.limits.drift.llm_refused, len(tries)
    cost = math.fsum(float(value) for value in tries["cost_usd"]) / len(answers) if asked else NAN
    layers = tries.loc[tries["outcome"] == "REFUSED", "layer"].value_counts() if asked else pd.Series(dtype=int)
    reasons = ", ".join(f"{name} {layers[name]}" for name in sorted(layers.index))
    daily = NAN if mandate.llm is None else float(mandate.llm.usd_per_day)
    none = "" if asked else "no language model was asked"
    return [
        Measure(LLM_PART, "refused_share", refused / heard if heard else NAN, ABOVE, 0.5 * limit, limit, heard,
                message=reasons or none, answer=WEIGHTLESS),
        Measure(LLM_PART, "failed_share", failed / asked if asked else NAN, ABOVE, FAILED_WATCH, FAILED_MAX, asked, message=none,
                answer="the next model of the chain is asked, then rules stand in"),
        Measure(LLM_PART, "cost_usd_per_session", cost, ABOVE, 0.5 * daily, daily, len(answers), message=none,
                answer="nothing is asked that the day's budget could not pay for"),
        Measure(LLM_PART, "changed_answers", float(tries["drifted"].sum()) if asked else NAN, ABOVE, 0.0, 0.0, asked,
                message=_versions(tries), answer="views of a model that changed behind its name move nothing"),
        _coefficient(evidence, mandate),
    ]  # fmt: skip


def _versions(tries: pd.DataFrame) -> str:
    if not len(tries):
        return "no language model was asked"
    names = sorted({str(name) for name in tries["version"] if name})
    return f"{len(names)} versions answered" if len(names) != 1 else f"one version answered: {names[0]}"


def _coefficient(evidence: pd.DataFrame | None, mandate: Mandate) -> Measure:
    """The information coefficient of the newest model version's views, with the band that decides on its weight."""
    rows = evidence[evidence["source"] != RULES] if evidence is not None else None
    if mandate.llm is None or rows is None or rows.empty:
        return Measure(
            LLM_PART, "information_coefficient", NAN, BELOW, 0.0, 0.0, message="no view of a model was judged yet"
        )
    version = str(rows.sort_values("session")["version"].iloc[-1])
    shown, rule = worth(rows, version, mandate.llm.evidence), mandate.llm.evidence
    return Measure(
        LLM_PART, "information_coefficient", shown.mean_ic, BELOW, 0.0, -2.0 * shown.standard_error, shown.sessions,
        shown.standard_error, shown.sessions >= rule.sessions_min, shown.reason, "views that have not earned it have no weight",
    )  # fmt: skip


def _finite(values: pd.Series) -> np.ndarray:  # type: ignore[type-arg]
    found = values.to_numpy(dtype=float)
    return found[np.isfinite(found)]


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else NAN


def _needed(count: int, wanted: int) -> str:
    return "" if count >= wanted else f"{count} judged sessions, {wanted} are needed"
