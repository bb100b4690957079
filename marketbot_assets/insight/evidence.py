"""What views have been worth: information coefficients of past sessions, and the weight that they give to views. Pure.

Views of session S are known at its cutoff, after its close; orders made of them trade in the next session. So what counts begins
at the close of the session after S and ends `horizon_sessions` sessions later: nothing that was in the price when the views were
made, no gap over night that nobody could trade. On session D the views of the session `horizon_sessions + 1` before are judged.

Views of rules are judged, too, for comparison; they never earn a weight. Not here: one view per name (`name_views`), what else
takes the weight away (`view_weight`).
"""

import datetime as dt
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from marketbot_assets.insight.name_views import RULES, name_views, origin_of, rank_correlation
from marketbot_assets.insight.schema import LLM_EVIDENCE
from marketbot_assets.normalization.window import Floats, MarketWindow
from marketbot_resources.mandate import Mandate
from marketbot_resources.mandate_llm import Evidence

NAMES_MIN = 8
SESSIONS_KEPT = 1000
CATCH_UP = 10
OVERLAPS = 2  # lags in overlaps (h - 1): over one alone, lasting views get 0.8 of their true error
THIRDS = ("low", "mid", "high")
_DTYPES = {"text": "str", "number": "float64", "integer": "int64", "flag": "bool", "date": "datetime64[ms]"}


@dataclass(frozen=True, slots=True)
class Worth:
    """The record of one version of views. `low`, `high`: confidence band of the shrunk mean; `weight` in [0, 1]; `reason`: why."""

    sessions: int
    mean_ic: float
    standard_error: float
    shrunk: float
    low: float
    high: float
    weight: float
    reason: str


@dataclass(frozen=True, slots=True)
class Said:
    """The views of one past session: LLM_CONTEXT and INSTRUMENTS rows as that session stored them."""

    session: dt.date
    context: pd.DataFrame
    instruments: pd.DataFrame


def rule_of(mandate: Mandate) -> Evidence:
    """What views must show; the default where the mandate names no model."""
    return mandate.llm.evidence if mandate.llm is not None else Evidence()


def due(before: pd.DataFrame | None, sessions: Sequence[dt.date], rule: Evidence) -> tuple[dt.date, ...]:
    """Sessions whose views can be judged at the last of `sessions` (decision sessions, ascending) and are not yet, oldest first.

    One on an ordinary day; up to CATCH_UP more after days without a run.
    """
    judged: Collection[dt.date] = frozenset() if before is None else frozenset(before["session"].dt.date)
    last = len(sessions) - rule.horizon_sessions - 1
    return tuple(day for day in sessions[max(0, last - 1 - CATCH_UP) : max(0, last)] if day not in judged)


def extended(
    before: pd.DataFrame | None, said: Sequence[Said], window: MarketWindow, horizon_sessions: int
) -> pd.DataFrame:
    """LLM_EVIDENCE rows: those before and the newly judged ones, ascending, at most SESSIONS_KEPT.

    A session that is judged already, or whose horizon has not ended in the window, adds nothing: twice is once.
    """
    known = frozenset() if before is None else frozenset(before["session"].dt.date)
    rows = []
    for one in said:
        if one.session in known or one.session not in window.sessions:
            continue
        start = window.sessions.index(one.session)
        if start + 1 + horizon_sessions < len(window.sessions):
            rows.append(_judged(one, window, start, start + 1 + horizon_sessions))
    if before is not None and not rows:
        return before
    new = pd.DataFrame(
        {
            column.name: pd.Series([row[column.name] for row in rows], dtype=_DTYPES[column.kind])
            for column in LLM_EVIDENCE.columns
        }
    )
    frames = [new] if before is None or before.empty else [before, new]
    return pd.concat(frames).sort_values("session", ignore_index=True).tail(SESSIONS_KEPT).reset_index(drop=True)


def _judged(said: Said, window: MarketWindow, start: int, end: int) -> dict[str, object]:
    """The row of one session. Outcome: total return in base currency from the close of row start + 1 to the close of row `end`."""
    listed = said.instruments[said.instruments["in_universe"].to_numpy(dtype=bool)]
    views, origin = name_views(said.context, listed), origin_of(said.context)
    places = {name: column for column, name in enumerate(window.instruments)}
    grown = np.prod(1.0 + window.base_return[start + 2 : end + 1], axis=0) - 1.0
    came = np.array([grown[places[name]] if name in places else np.nan for name in views.instruments], dtype=float)
    both = np.isfinite(views.view) & np.isfinite(came)
    names = int(both.sum())
    ic = rank_correlation(views.view[both], came[both]) if names >= NAMES_MIN else math.nan
    return {
        "session": pd.Timestamp(said.session),
        "judged_on": pd.Timestamp(window.sessions[-1]),
        "source": origin.source,
        "version": origin.version,
        "names": names,
        "ic": ic,
        "contaminated": origin.contaminated,
        **_hits(views.view[both], views.confidence[both], came[both]),
    }


def _hits(view: Floats, confidence: Floats, came: Floats) -> dict[str, int]:
    """Per third of confidence: views that took a side, and those on the side on which the name came out against the mean."""
    sides = np.sign(view) * np.sign(came - came.mean()) if len(came) else np.empty(0)
    third = np.minimum((confidence * 3.0).astype(int), 2)
    found: dict[str, int] = {}
    for place, name in enumerate(THIRDS):
        here = (third == place) & (view != 0.0)
        found |= {f"views_{name}": int(here.sum()), f"hits_{name}": int((here & (sides > 0)).sum())}
    return found


def calibration(frame: pd.DataFrame, version: str) -> dict[str, tuple[int, float]]:
    """Third of confidence -> (views of a version that took a side, share on the right side; NaN without any). Contaminated ones
    are left out. Low is below 1/3, high from 2/3 on. Confidence means something where the share rises.
    """
    rows = _rows(frame, version)
    views = {name: int(rows[f"views_{name}"].sum()) for name in THIRDS}
    hits = {name: int(rows[f"hits_{name}"].sum()) for name in THIRDS}
    return {name: (views[name], hits[name] / views[name] if views[name] else math.nan) for name in THIRDS}


def _rows(frame: pd.DataFrame, version: str) -> pd.DataFrame:
    """The rows of one version that may be claimed: a model's, and not of what it may have known."""
    kept = (frame["version"] == version) & (frame["source"] != RULES) & ~frame["contaminated"].astype(bool)
    return frame[kept.to_numpy(dtype=bool)].sort_values("session")


def newey_west_error(values: Floats, lag: int) -> float:
    """Standard error of the mean of (n,) values in order, by Newey and West (1987): autocovariances (divided by n) up to `lag` with
    Bartlett's weights, times n / (n - 1); never below that of independent values. NaN below two values.
    """
    n = len(values)
    if n < 2:
        return math.nan
    apart = values - values.mean()
    own = float(apart @ apart) / n
    rest = sum(
        2.0 * (1.0 - step / (lag + 1.0)) * float(apart[step:] @ apart[:-step]) / n
        for step in range(1, min(lag, n - 1) + 1)
    )
    return math.sqrt(max(own + rest, own) / (n - 1))


def worth(frame: pd.DataFrame, version: str, rule: Evidence) -> Worth:
    """What a version of views has shown, from LLM_EVIDENCE rows of exactly that version whose outcome the model could not know.

    The mean coefficient is pulled to zero as by `shrink` sessions at zero; the weight is what is left after `standard_errors` of
    the mean's error, as a share of `ic_full`, from `sessions_min` sessions on. Anything that is no number gives no weight.
    The record is looked at every day, so the band is wide: at 2.5 errors, of 400 models that guess with lasting views, 0.7 % had
    a weight on some day of a year and 3.3 % in four years; at 1.64 errors 5 % and 15.5 %.
    """
    ics = _rows(frame, version)["ic"].to_numpy(dtype=float)
    ics = ics[np.isfinite(ics)]
    n = len(ics)
    if n < 2:
        return Worth(n, float(ics.mean()) if n else math.nan, *(math.nan,) * 4, 0.0, _too_few(n, rule))
    mean, error = float(ics.mean()), newey_west_error(ics, OVERLAPS * (rule.horizon_sessions - 1))
    shrunk = mean * n / (n + rule.shrink)
    low, high = shrunk - rule.standard_errors * error, shrunk + rule.standard_errors * error
    earned = min(max(low / rule.ic_full, 0.0), 1.0) if math.isfinite(low) else 0.0
    if n < rule.sessions_min:
        return Worth(n, mean, error, shrunk, low, high, 0.0, _too_few(n, rule))
    band = f"information coefficient {mean:.4f} over {n} sessions, shrunk {shrunk:.4f}, band {low:.4f} to {high:.4f}"
    told = "not above zero by enough" if earned == 0.0 else f"earns {earned:.4f} of the tilt"
    return Worth(n, mean, error, shrunk, low, high, earned, f"{band}: {told}")


def _too_few(n: int, rule: Evidence) -> str:
    return f"{n} judged sessions of this version that it could not know, {rule.sessions_min} are needed"
