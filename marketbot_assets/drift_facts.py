"""What `drift` compares, from the reader and the ledger. Not here: any arithmetic (`audit.drift`, `audit.drift_parts`).

Of the ledger only when an order was handed over and first answered is read, which never changes.
"""

import datetime as dt
from typing import TYPE_CHECKING

from marketbot_assets.cost_facts import ended_before, environment_told
from marketbot_assets.operations import DRIFT_SESSIONS as FEATURES_COMPARED
from marketbot_assets.panels import MARKET_DEPS, market
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.model import OrderState
from marketbot_resources.sessions import order_events
from marketbot_resources.store.reader import Reader

if TYPE_CHECKING:
    import pandas as pd

DRIFT_SESSIONS, HORIZON_SESSIONS = 60, 21
ANSWER_SESSIONS = 20
DRIFT_DEPS = (
    *MARKET_DEPS,
    *("forecasts", "book_state", "risk_verdict", "features", "account_snapshot", "shortfall", "submissions"),
    *("llm_answers", "llm_evidence"),
)
NAV_SESSIONS = 21  # for 20 returns


def drifted(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """DRIFT: what earlier forecasts said and what became of it, and every measure of the session with its state."""
    from marketbot_assets.audit import drift_parts
    from marketbot_assets.audit.drift_measures import measured
    from marketbot_assets.risk.feature_drift import compared_features, section_of

    before, mandate = read.previous("drift"), read.mandate()
    known = market(read, DRIFT_SESSIONS + HORIZON_SESSIONS)
    judged = _judged(read, before)
    features = read.read("features")
    past = [frame for _, frame in read.each("features", FEATURES_COMPARED, with_session=False)]
    compared = compared_features(section_of(features), [section_of(frame) for frame in past])
    universe = known.instruments["in_universe"].to_numpy(dtype=bool)
    shortfalls = [frame for _, frame in [*ended_before(read), (read.session, read.read("shortfall"))]]
    measures = [
        *drift_parts.forecast_measures(judged, _volatilities(read), HORIZON_SESSIONS),
        *drift_parts.feature_measures(compared, len(past), len(features), mandate),
        *drift_parts.data_measures(known.window, universe, features, past),
        *drift_parts.execution_measures(shortfalls, environment_told(read), _waits(read, ledger), mandate),
        *drift_parts.llm_measures(read.each("llm_answers", ANSWER_SESSIONS), read.read("llm_evidence"), mandate),
    ]
    return measured(judged, measures, read.part, before)


def _judged(read: Reader, before: "pd.DataFrame | None") -> "pd.DataFrame":
    """The forecasts' rows: those judged before, and those whose horizon ended since."""
    from marketbot_assets.audit.drift import carried, due, forecast_outcome

    window, verdict = market(read, DRIFT_SESSIONS + HORIZON_SESSIONS).window, read.read("risk_verdict")
    wanted = due(before, window.sessions, HORIZON_SESSIONS)
    depth = DRIFT_SESSIONS
    if carried(before):
        depth = min(depth, len(window.sessions) - 1 - window.sessions.index(wanted[0])) if wanted else 0
    ex_ante = verdict.loc[verdict["key"] == "RC-42|upper", "observed"]
    return forecast_outcome(
        read.each("forecasts", depth, with_session=False) if depth else [],
        window,
        HORIZON_SESSIONS,
        nav_history=_navs(read),
        volatility_ex_ante=float(ex_ante.iloc[0]) if len(ex_ante) else None,
        before=before,
    )


def _volatilities(read: Reader) -> list[float]:
    """What the sessions before forecast of the book's volatility, oldest first."""
    from marketbot_assets.audit.schema import VOLATILITY

    frames = [frame for _, frame in read.each("drift", NAV_SESSIONS - 1, with_session=False)]
    return [float(value) for frame in frames for value in frame.loc[frame["kind"] == VOLATILITY, "forecast"]]


def _navs(read: Reader) -> list[tuple[str, float]]:
    """(session, NAV) of the last sessions, oldest first."""
    found = []
    for day, frame in read.each("book_state", NAV_SESSIONS):
        row = int(((frame["item"].to_numpy() == "nav") & (frame["instrument"].to_numpy() == "")).argmax())
        found.append((day.isoformat(), float(frame["number"].iat[row])))
    return found


def _waits(read: Reader, ledger: Ledger) -> dict[str, list[float]]:
    """Seconds from the cutoff to the last attempt to send, and from it to the broker's first answer, of each order sent.

    An order in doubt when the session's table was made has no answer here, whatever it had later.
    """
    sent, answered = [], []
    frame = read.read("submissions")
    for name, state, at in zip(frame["client_order_id"], frame["state"], frame["submitted_at"], strict=True):
        if at is None or at != at:
            continue
        sent.append((at.to_pydatetime() - read.cutoff).total_seconds())
        if state in (OrderState.SENDING.value, OrderState.UNKNOWN.value):
            continue
        told = [event.body for event in order_events(ledger, str(name))]
        words = [body for body in told if body["state"] not in (OrderState.SENDING.value, OrderState.UNKNOWN.value)]
        if words and "at" in words[0]:
            answer = dt.datetime.fromisoformat(str(words[0]["at"]))
            answered.append((answer - at.to_pydatetime()).total_seconds())
    return {"cutoff_to_sent": sent, "sent_to_ack": answered}
