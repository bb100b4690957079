"""Forecast against outcome: how past expected returns ranked what came, and forecast against realized volatility. Pure.

A session's forecasts are judged once their horizon has ended, never earlier, and once: the row is carried on for a year. Until
then the frame says so. Not here: what is measured on these rows and on everything else (`drift_measures`), what is done about a
model that drifts (`insight`), the table's columns (`schema`).
"""

import datetime as dt
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from marketbot_assets.audit.schema import DRIFT, FORECAST, FORECASTS_PART, UNJUDGED, VOLATILITY
from marketbot_assets.book.rows import rows_frame
from marketbot_assets.insight.name_views import rank_correlation
from marketbot_assets.normalization.window import Floats, MarketWindow
from marketbot_resources.model import SESSIONS_PER_YEAR

HORIZON_SESSIONS = 21
VOLATILITY_SESSIONS = 20
NAMES_MIN = 3
KEPT = 252
NORMAL_90 = 1.6448536269514722  # 90 % of a normal distribution lie within so many deviations
NUMBERS = ("rank_ic", "hit_rate", "forecast", "outcome", "coverage", "qlike", "observed", "error")
Row = dict[str, object]


def due(
    before: pd.DataFrame | None, sessions: Sequence[dt.date], horizon_sessions: int = HORIZON_SESSIONS
) -> tuple[dt.date, ...]:
    """Sessions whose horizon has ended by the last of `sessions` and that are newer than those judged before, oldest first."""
    judged = carried(before)
    newest = max((str(row["session"]) for row in judged), default="")
    return tuple(day for day in sessions[: max(0, len(sessions) - horizon_sessions)] if day.isoformat() > newest)


def carried(before: pd.DataFrame | None) -> list[Row]:
    """FORECAST rows of an earlier DRIFT frame, the newest KEPT; none of a frame that does not hold all of today's columns."""
    if before is None or "qlike" not in before.columns:
        return []
    rows = before[before["kind"] == FORECAST].sort_values("session").tail(KEPT).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def forecast_rows(
    past_forecasts: Sequence[tuple[dt.date, pd.DataFrame]], window: MarketWindow, horizon_sessions: int
) -> list[Row]:
    """One FORECAST row per past session whose horizon ended in the window."""
    places = {session: place for place, session in enumerate(window.sessions)}
    order = np.array(window.instruments, dtype=str)
    rows = []
    for session, forecasts in past_forecasts:
        start = places.get(session, len(places))
        if start + horizon_sessions < len(window.sessions):
            ahead = window.base_return[start + 1 : start + horizon_sessions + 1]
            rows.append(_forecast_row(session, forecasts, ahead, order))
    return rows


def forecast_outcome(
    past_forecasts: Sequence[tuple[dt.date, pd.DataFrame]],
    window: MarketWindow,
    horizon_sessions: int = HORIZON_SESSIONS,
    *,
    nav_history: Sequence[tuple[str, float]] = (),
    volatility_ex_ante: float | None = None,
    before: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """DRIFT rows: one per past session whose horizon ended, or one row that says why there is none.

    `past_forecasts`: (session, FORECASTS frame); an expected return per year is scaled to the horizon by sessions. The
    outcome is the base-currency return compounded over the `horizon_sessions` sessions after the forecast; a name with a
    NaN on either side is left out. `nav_history`: (session, NAV), ascending; with `volatility_ex_ante` (per year, None =
    not known) it gives one row VOLATILITY: standard deviation (ddof 1) of the last 20 returns of NAV, per year.
    `before`: the DRIFT frame of the session before, whose judged rows are carried on.
    """
    assert horizon_sessions >= 1, f"expected a horizon of at least one session, found {horizon_sessions}"
    known = {str(row["session"]): row for row in forecast_rows(past_forecasts, window, horizon_sessions)}
    known |= {str(row["session"]): row for row in carried(before)}
    rows = [known[name] for name in sorted(known)[-KEPT:]]
    if not rows:
        rows.append(_unjudged(past_forecasts, horizon_sessions))
    if nav_history:
        rows.append(_volatility_row(nav_history, volatility_ex_ante))
    return rows_frame(DRIFT, rows)


def _forecast_row(session: dt.date, forecasts: pd.DataFrame, ahead: Floats, order: np.ndarray) -> Row:
    """`ahead`: (horizon, n) returns in base currency of the sessions after; `order`: (n,) instruments, sorted."""
    horizon = len(ahead)
    share = horizon / SESSIONS_PER_YEAR
    names = forecasts["instrument"].to_numpy(dtype=str)
    place = np.minimum(np.searchsorted(order, names), len(order) - 1)
    moves = np.where((order[place] == names)[None, :], ahead[:, place], np.nan)
    came = np.prod(1.0 + moves, axis=0) - 1.0
    expected = forecasts["expected_return"].to_numpy(dtype=float) * share
    both = np.isfinite(expected) & np.isfinite(came)
    row = {**blank(FORECAST, session.isoformat(), horizon), "names": int(both.sum())}
    if both.sum() < NAMES_MIN:
        return {**row, "message": f"fewer than {NAMES_MIN} names with a forecast and an outcome"}
    correlation = rank_correlation(expected[both], came[both])
    sides = np.sign(expected[both] - expected[both].mean()) * np.sign(came[both] - came[both].mean())
    return {
        **row,
        "rank_ic": correlation,
        "hit_rate": float((sides > 0).mean()),
        "forecast": float(expected[both].mean()),
        "outcome": float(came[both].mean()),
        **_risk(forecasts, came - expected, moves),
        "message": "" if math.isfinite(correlation) else "all names have one forecast or one outcome: nothing to rank",
    }


def _risk(forecasts: pd.DataFrame, missed: Floats, moves: Floats) -> dict[str, float]:
    """Share of names within their 90 % interval, and QLIKE: the mean of x - ln x - 1, x = realized over forecast variance.

    The interval is expected -+ 1.645 times the root of variance over the horizon and squared error of the expectation. QLIKE is
    the loss of Patton (2011), doi 10.1016/j.jeconom.2010.03.034, robust to noise in the realized variance, here the sum of
    squared returns; a name that did not move or has no forecast is left out. `missed`: (n,) outcome less expectation.
    """
    if not {"volatility", "uncertainty"} <= set(forecasts.columns):
        return {"coverage": math.nan, "qlike": math.nan}
    share = len(moves) / SESSIONS_PER_YEAR
    variance = np.square(forecasts["volatility"].to_numpy(dtype=float)) * share
    error = np.square(forecasts["uncertainty"].to_numpy(dtype=float) * share)
    told = np.isfinite(missed) & np.isfinite(variance) & np.isfinite(error)
    inside = np.abs(missed[told]) <= NORMAL_90 * np.sqrt(variance[told] + error[told])
    realized = np.square(moves).sum(axis=0)
    moved = np.isfinite(realized) & (realized > 0.0) & np.isfinite(variance) & (variance > 0.0)
    ratio = realized[moved] / variance[moved]
    return {
        "coverage": float(inside.mean()) if len(inside) else math.nan,
        "qlike": max(float((ratio - np.log(ratio) - 1.0).mean()), 0.0) if len(ratio) else math.nan,
    }


def _unjudged(past: Sequence[tuple[dt.date, pd.DataFrame]], horizon_sessions: int) -> Row:
    count = len(past)
    made = "no forecast was made before" if not count else f"{count} past session{'s' if count > 1 else ''} forecast"
    text = f"nothing can be judged yet: {made}, and no horizon of {horizon_sessions} sessions has ended"
    return {**blank(UNJUDGED, "", horizon_sessions), "message": text}


def _volatility_row(history: Sequence[tuple[str, float]], ex_ante: float | None) -> Row:
    values = np.array([nav for _, nav in history], dtype=float)
    returns = (values[1:] / values[:-1] - 1.0)[-VOLATILITY_SESSIONS:]
    row = blank(VOLATILITY, history[-1][0], VOLATILITY_SESSIONS)
    row = {**row, "names": len(returns), "forecast": math.nan if ex_ante is None else ex_ante}
    if len(returns) < VOLATILITY_SESSIONS or not np.isfinite(returns).all():
        return {**row, "message": f"{len(returns)} of {VOLATILITY_SESSIONS} sessions needed to measure the book"}
    realized = float(returns.std(ddof=1)) * math.sqrt(SESSIONS_PER_YEAR)
    return {**row, "outcome": realized, "message": "" if ex_ante is not None else "no forecast of volatility is known"}


def blank(kind: str, session: str, horizon_sessions: int = 1) -> Row:
    """A DRIFT row of which nothing is known yet."""
    texts = dict.fromkeys(("message", "name", "side", "state", "since", "answer"), "")
    numbers = dict.fromkeys((*NUMBERS, "ks", "ks_p", "watch", "threshold"), math.nan)
    head = {"kind": kind, "session": session, "horizon_sessions": horizon_sessions, "names": 0, "part": FORECASTS_PART}
    return {**head, **numbers, **texts}
