"""Forecast against outcome: how past expected returns ranked what came, and forecast against realized volatility. Pure.

A session's forecasts are judged once their horizon has ended, never earlier; until then the frame says so. Not here: what
is done about a model that drifts (`insight`), the table's columns (`schema`).
"""

import datetime as dt
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from marketbot_assets.audit.schema import DRIFT, FORECAST, UNJUDGED, VOLATILITY
from marketbot_assets.book.rows import rows_frame
from marketbot_assets.insight.name_views import rank_correlation
from marketbot_assets.normalization.window import MarketWindow
from marketbot_resources.model import SESSIONS_PER_YEAR

HORIZON_SESSIONS = 21
VOLATILITY_SESSIONS = 20
NAMES_MIN = 3


def forecast_outcome(
    past_forecasts: Sequence[tuple[dt.date, pd.DataFrame]],
    window: MarketWindow,
    horizon_sessions: int = HORIZON_SESSIONS,
    *,
    nav_history: Sequence[tuple[str, float]] = (),
    volatility_ex_ante: float | None = None,
) -> pd.DataFrame:
    """DRIFT rows: one per past session whose horizon ended in the window, or one row that says why there is none.

    `past_forecasts`: (session, FORECASTS frame); an expected return per year is scaled to the horizon by sessions. The
    outcome is the base-currency return compounded over the `horizon_sessions` sessions after the forecast; a name with a
    NaN on either side is left out. `nav_history`: (session, NAV), ascending; with `volatility_ex_ante` (per year, None =
    not known) it gives one row VOLATILITY: standard deviation (ddof 1) of the last 20 returns of NAV, per year.
    """
    assert horizon_sessions >= 1, f"expected a horizon of at least one session, found {horizon_sessions}"
    places = {session: place for place, session in enumerate(window.sessions)}
    rows = []
    for session, forecasts in past_forecasts:
        end = places.get(session, len(places)) + horizon_sessions
        if end < len(window.sessions):
            outcomes = _outcomes(window, places[session], end)
            rows.append(_forecast_row(session, forecasts, outcomes, horizon_sessions))
    if not rows:
        rows.append(_unjudged(past_forecasts, horizon_sessions))
    if nav_history:
        rows.append(_volatility_row(nav_history, volatility_ex_ante))
    return rows_frame(DRIFT, rows)


def _outcomes(window: MarketWindow, start: int, end: int) -> dict[str, float]:
    """Instrument -> return over rows start+1 .. end, base currency; NaN where one session's return is unknown."""
    compounded = np.prod(1.0 + window.base_return[start + 1 : end + 1], axis=0) - 1.0
    return dict(zip(window.instruments, compounded.tolist(), strict=True))


def _forecast_row(
    session: dt.date, forecasts: pd.DataFrame, outcomes: Mapping[str, float], horizon_sessions: int
) -> dict[str, object]:
    share = horizon_sessions / SESSIONS_PER_YEAR
    pairs = [
        (float(expected) * share, outcomes.get(str(name), math.nan))
        for name, expected in zip(forecasts["instrument"], forecasts["expected_return"], strict=True)
    ]
    known = np.array([pair for pair in pairs if all(map(math.isfinite, pair))], dtype=float).reshape(-1, 2)
    row = {**_blank(FORECAST, session.isoformat(), horizon_sessions), "names": len(known)}
    if len(known) < NAMES_MIN:
        return {**row, "message": f"fewer than {NAMES_MIN} names with a forecast and an outcome"}
    expected, came = known[:, 0], known[:, 1]
    correlation = rank_correlation(expected, came)
    sides = np.sign(expected - expected.mean()) * np.sign(came - came.mean())
    return {
        **row,
        "rank_ic": correlation,
        "hit_rate": float((sides > 0).mean()),
        "forecast": float(expected.mean()),
        "outcome": float(came.mean()),
        "message": "" if math.isfinite(correlation) else "all names have one forecast or one outcome: nothing to rank",
    }


def _unjudged(past: Sequence[tuple[dt.date, pd.DataFrame]], horizon_sessions: int) -> dict[str, object]:
    count = len(past)
    made = "no forecast was made before" if not count else f"{count} past session{'s' if count > 1 else ''} forecast"
    text = f"nothing can be judged yet: {made}, and no horizon of {horizon_sessions} sessions has ended"
    return {**_blank(UNJUDGED, "", horizon_sessions), "message": text}


def _volatility_row(history: Sequence[tuple[str, float]], ex_ante: float | None) -> dict[str, object]:
    values = np.array([nav for _, nav in history], dtype=float)
    returns = (values[1:] / values[:-1] - 1.0)[-VOLATILITY_SESSIONS:]
    row = _blank(VOLATILITY, history[-1][0], VOLATILITY_SESSIONS)
    row = {**row, "names": len(returns), "forecast": math.nan if ex_ante is None else ex_ante}
    if len(returns) < VOLATILITY_SESSIONS or not np.isfinite(returns).all():
        return {**row, "message": f"{len(returns)} of {VOLATILITY_SESSIONS} sessions needed to measure the book"}
    realized = float(returns.std(ddof=1)) * math.sqrt(SESSIONS_PER_YEAR)
    return {**row, "outcome": realized, "message": "" if ex_ante is not None else "no forecast of volatility is known"}


def _blank(kind: str, session: str, horizon_sessions: int) -> dict[str, object]:
    numbers = dict.fromkeys(("rank_ic", "hit_rate", "forecast", "outcome"), math.nan)
    head = {"kind": kind, "session": session, "horizon_sessions": horizon_sessions, "names": 0}
    return {**head, **numbers, "message": ""}
