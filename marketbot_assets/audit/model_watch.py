"""What registered models said each session and what became of it: shadows before they decide, the champion while it does. Pure.

A session's forecasts are stored before anybody knows the outcome. A session later each model's book of ranks has earned something,
and the same book made again from what is known by then says what a backtest shows for it; a horizon later the labels judge the
forecasts. Not here: fits (`insight.champion`), rules (`research.promotion`, `insight.model_drift`), entries (`model_watch_facts`).
"""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from marketbot_assets.audit.schema import MODEL_WATCH
from marketbot_assets.book.rows import rows_frame
from marketbot_assets.insight.champion import DIGITS, UNUSABLE, Chosen
from marketbot_assets.insight.ensemble import mean_error
from marketbot_assets.insight.fit_gate import rank_correlation
from marketbot_assets.insight.forecast_fit import forecast_of
from marketbot_assets.insight.forecast_panel import Panel
from marketbot_assets.insight.model_card import Fit, ModelSpec
from marketbot_assets.insight.model_drift import DriftNumbers
from marketbot_assets.insight.training import rule_of
from marketbot_assets.normalization.window import Floats
from marketbot_assets.research.promotion import Shadow
from marketbot_assets.research.signal_trial import book_of

DAY, FORECAST = "DAY", "FORECAST"
DAYS_KEPT, JUDGED_SESSIONS = 252, 63
NAN = math.nan


@dataclass(frozen=True, slots=True)
class Watched:
    """One model of a session. `state`: shadow or champion; `panel`: ends with the session, None when there is none; `fits`: by
    hash, what the sessions before were forecast with; `versions`: of the features in use.
    """

    spec: ModelSpec
    state: str
    chosen: Chosen
    panel: Panel | None
    fits: Mapping[str, Fit]
    versions: Mapping[str, str]


def watched_frame(
    before: pd.DataFrame | None, session: dt.date, watched: Sequence[Watched], cost_bps: float
) -> pd.DataFrame:
    """MODEL_WATCH after a session: the rows before of the models still watched, judged where that is due, and today's.

    `cost_bps`: of what a book trades.
    """
    rows: list[dict[str, object]] = []
    for one in sorted(watched, key=lambda item: item.spec.sha256):
        known = [] if before is None else before[before["spec_sha256"] == one.spec.sha256].to_dict("records")
        rows += _followed(one, known, session, cost_bps)
    return rows_frame(MODEL_WATCH, rows)


def _followed(
    one: Watched, known: list[dict[str, object]], session: dt.date, cost_bps: float
) -> list[dict[str, object]]:
    said: dict[dt.date, dict[str, float]] = {}
    days: dict[dt.date, dict[str, object]] = {}
    for row in known:
        day = _date(row["session"])
        if day >= session:
            continue
        if row["kind"] == DAY:
            days[day] = row
        else:
            said.setdefault(day, {})[str(row["instrument"])] = _number(row["expected"])
    if one.panel is not None:
        _judge(one, one.panel, days, said, cost_bps)
    if one.chosen.fit is not None:
        said[session] = dict(one.chosen.expected)
        days[session] = _row(one.spec.sha256, session, DAY) | {
            "state": one.state,
            "fit_sha256": one.chosen.fit.sha256,
            "names": len(one.chosen.expected),
        }
    kept = sorted(days)[-DAYS_KEPT:]
    waiting = [day for day in kept if day in said and math.isnan(_number(days[day]["squared_error"]))]
    recent = [*kept[-2:], *waiting[-2 * rule_of(one.spec).horizon_rows :]]
    forecasts = [
        _row(one.spec.sha256, day, FORECAST) | {"instrument": name, "expected": value}
        for day in sorted(set(recent) & set(said))
        for name, value in sorted(said[day].items())
    ]
    return [*(days[day] for day in kept), *forecasts]


def _judge(
    one: Watched,
    panel: Panel,
    days: Mapping[dt.date, dict[str, object]],
    said: Mapping[dt.date, Mapping[str, float]],
    cost_bps: float,
) -> None:
    """Fills in what the days earned and how far their forecasts were off, where that is known by now."""
    place = {day: row for row, day in enumerate(panel.sessions)}
    last, horizon = len(panel.sessions) - 1, rule_of(one.spec).horizon_rows
    told: dt.date | None = None
    for day in sorted(days):
        row, entry = place.get(day), days[day]
        if row is None or day not in said:
            told = day if day in said else told
            continue
        now = _vector(panel, said[day])
        if row < last and math.isnan(_number(entry["earned"])):
            prior = np.full(len(now), NAN) if told is None else _vector(panel, said[told])
            entry["earned"] = earned(prior, now, panel.returns[row], cost_bps)
            again = _remade(one, panel, days, told, place), _remade(one, panel, days, day, place)
            entry["remade"] = (
                NAN if again[1] is None else earned(_or_none(again[0], now), again[1], panel.returns[row], cost_bps)
            )
        if row + horizon <= last and math.isnan(_number(entry["squared_error"])):
            label = panel.labels[row]
            both = np.isfinite(label) & np.isfinite(now)
            entry["ic"] = rank_correlation(now, label)
            entry["squared_error"] = float(((label - now)[both] ** 2).mean()) if both.any() else NAN
        told = day


def _or_none(values: Floats | None, like: Floats) -> Floats:
    return np.full(len(like), NAN) if values is None else values


def _remade(
    one: Watched,
    panel: Panel,
    days: Mapping[dt.date, Mapping[str, object]],
    day: dt.date | None,
    place: Mapping[dt.date, int],
) -> Floats | None:
    """(n,) what a day's fit says of that day by what is known now; None when that cannot be told."""
    if day is None or day not in place:
        return None
    fit = one.fits.get(str(days[day]["fit_sha256"]))
    if fit is None:
        return None
    try:
        values = panel.of(one.spec.features).values[place[day]]
        return np.round(forecast_of(one.spec, fit, values, one.versions).expected, DIGITS)
    except UNUSABLE:
        return None


def earned(prior: Floats, now: Floats, returns: Floats, cost_bps: float) -> float:
    """What the book of ranks of (n,) forecasts earned over (n,) returns, after the cost of leaving the book before.

    A name whose return is not known has no position.
    """
    known = np.isfinite(returns)
    scores = np.vstack([prior, np.where(known, now, NAN)])
    book = book_of(scores, np.vstack([np.zeros(len(now)), np.where(known, returns, 0.0)]))
    return float(book.after(np.ones(2), cost_bps)[1])


def shadow_of(frame: pd.DataFrame, spec_sha256: str) -> Shadow | None:
    """What a shadow earned, session by session, and what the backtest makes of the same sessions; None before the first.

    A session that cannot be made again is in neither: its number is missing, and with it that session.
    """
    rows = _days(frame, spec_sha256)
    both = np.isfinite(rows[["earned", "remade"]].to_numpy(dtype=float)).all(axis=1)
    kept = rows[both]
    if not len(kept):
        return None
    return Shadow(kept["earned"].to_numpy(dtype=np.float64), kept["remade"].to_numpy(dtype=np.float64))


def drift_numbers(frame: pd.DataFrame, one: Watched, feature_share: float) -> DriftNumbers:
    """The champion's drift from its newest judged sessions, against what the card of its fit promises.

    Before the first session's horizon has ended its residuals count as promised; a session that is due and could not be judged
    does not count, and when none could the ratio is not known.
    """
    horizon, fit = rule_of(one.spec).horizon_rows, one.chosen.fit
    if fit is None:
        return DriftNumbers(feature_share, NAN, NAN, NAN, 0, NAN)
    rows = _days(frame, one.spec.sha256)
    due = rows.iloc[: max(0, len(rows) - horizon)].tail(JUDGED_SESSIONS)
    errors = due["squared_error"].to_numpy(dtype=float)
    errors = errors[np.isfinite(errors)]
    promised = fit.card.metrics.get("residual_deviation")
    known = promised is not None and promised > 0.0
    ratio = math.sqrt(float(errors.mean())) / promised if len(errors) and known and promised else NAN
    ics = due["ic"].to_numpy(dtype=float)
    mean, error = mean_error(ics, 1, horizon)
    expected = fit.card.metrics.get("information_coefficient")
    return DriftNumbers(
        feature_share=feature_share,
        residual_ratio=ratio if len(due) else (1.0 if known else NAN),
        ic=mean,
        ic_error=error,
        ic_sessions=int(np.isfinite(ics).sum()),
        ic_promised=NAN if expected is None else expected,
    )


def feature_share_of(verdict: pd.DataFrame) -> float:
    """RC-89's share of features that drifted, of RISK_VERDICT rows; 0 where it passed for want of sessions; NaN without its row."""
    rows = verdict[verdict["key"] == "RC-89|"]
    if not len(rows):
        return NAN
    seen = _number(rows["observed"].iloc[0])
    return 0.0 if math.isnan(seen) and rows["status"].iloc[0] == "PASS" else seen


def _days(frame: pd.DataFrame, spec_sha256: str) -> pd.DataFrame:
    rows = frame[(frame["kind"] == DAY) & (frame["spec_sha256"] == spec_sha256)]
    return rows.sort_values("session", ignore_index=True)


def _vector(panel: Panel, said: Mapping[str, float]) -> Floats:
    return np.array([said.get(name, NAN) for name in panel.instruments], dtype=np.float64)


def _row(spec: str, session: dt.date, kind: str) -> dict[str, object]:
    return {
        "kind": kind,
        "spec_sha256": spec,
        "session": pd.Timestamp(session),
        "instrument": "",
        "state": "",
        "fit_sha256": "",
        "names": 0,
        "expected": NAN,
        "earned": NAN,
        "remade": NAN,
        "ic": NAN,
        "squared_error": NAN,
    }


def _date(value: object) -> dt.date:
    return pd.Timestamp(str(value)).date()


def _number(value: object) -> float:
    return float(value) if isinstance(value, float | int) else NAN
