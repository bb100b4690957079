"""Quality rules: statements that should hold, each with pass, warn, quarantine or halt. Pure.

A rule never edits data. Quarantine closes one name, halt the whole session; a value that cannot be measured is never a pass.
Bar rules judge the newest bars of this session against the panel before; table rules have the subject `*`.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pandas as pd

from marketbot_assets.normalization.schema import DATA_QUALITY, OUTCOMES
from marketbot_resources.calendars import last_closed, sessions_between

MOVE_MAX, MARKET_SHARE = 0.20, 0.25
Z_MAX = 12.0
VOLUME_JUMP = 50.0
GAP_WARN, GAP_QUARANTINE = 1, 3
COVERAGE_WARN, COVERAGE_HALT = 0.98, 0.50
FX_STALE_DAYS_WARN, FX_MOVE_MAX = 4, 0.08
MACRO_STALE_DAYS_WARN = 10
SPLIT_TOLERANCE = 0.15
HISTORY_MIN = 20
Rows = list[tuple[str, str, str, float, float, str]]


class Bar(Protocol):
    """A row of the PRICES table."""

    instrument: str
    session: pd.Timestamp
    open: float
    high: float
    low: float
    close: float
    volume: float


class Listed(Protocol):
    """A row of the INSTRUMENTS table."""

    instrument: str
    mic: str


def bar_findings(bars: pd.DataFrame, recent: pd.DataFrame, actions: pd.DataFrame, session: dt.date) -> pd.DataFrame:
    """Findings on each bar of this session, one row per rule and instrument in the DATA_QUALITY columns.

    `bars`: this session's normalized bars; `recent`: earlier bars of the panel; `actions`: splits and dividends known by now.
    """
    known = {name: group for name, group in pd.concat([recent, bars]).sort_values("session").groupby("instrument")}
    events = {name: group for name, group in actions.groupby("instrument")}
    ordered = list(
        bars.sort_values(["instrument", "session"]).itertuples(index=False)
    )  # a session may hold two bars of a name
    before = {n: _earlier(known[row.instrument], row.session) for n, row in enumerate(ordered)}
    moves = {n: _move(row, before[n], events.get(row.instrument)) for n, row in enumerate(ordered)}
    finite = [abs(m) for m in moves.values() if np.isfinite(m)]
    market_moves = len(finite) >= 10 and float(np.mean(np.array(finite) > MOVE_MAX / 2)) >= MARKET_SHARE
    rows: Rows = []
    for n, row in enumerate(ordered):
        history = before[n]
        rows.append(_positive(row))
        rows.append(_ohlc(row))
        rows.append(_moves(row, moves[n], history, market_moves))
        rows.append(_repeats(row, history))
        rows.append(_volume(row, history))
        rows.append(_split(row, history, events.get(row.instrument)))
    return data_quality([_frame(rows)])


def _earlier(known: pd.DataFrame, session: pd.Timestamp) -> pd.DataFrame:
    usable = known[(known["session"] < session) & np.isfinite(known["close"])]
    return usable.iloc[-61:]


def _move(row: Bar, history: pd.DataFrame | None, events: pd.DataFrame | None) -> float:
    """Total return of the bar: split- and dividend-aware; NaN without an earlier close."""
    if history is None or history.empty:
        return float("nan")
    last = history.iloc[-1]
    ratio, paid = 1.0, 0.0
    if events is not None:
        due = events[(events["ex_session"] > last["session"]) & (events["ex_session"] <= row.session)]
        ratio, paid = float(due["ratio"].prod()), float(due["amount"].sum())
    return (float(row.close) * ratio + paid) / float(last["close"]) - 1.0


def _positive(row: Bar) -> tuple[str, str, str, float, float, str]:
    values = np.array([row.open, row.high, row.low, row.close], dtype=np.float64)
    fine = bool(np.isfinite(values).all() and (values > 0).all())
    lowest = float(np.min(values)) if np.isfinite(values).all() else float("nan")
    return (
        "bars_have_positive_prices",
        row.instrument,
        *_outcome(fine, "quarantine", lowest, 0.0, "a price is missing or not positive"),
    )


def _ohlc(row: Bar) -> tuple[str, str, str, float, float, str]:
    o, h, low, c = (float(getattr(row, name)) for name in ("open", "high", "low", "close"))
    excess = max(max(o, c) / h - 1.0, low / min(o, c) - 1.0) if h > 0 and min(o, c) > 0 else float("nan")
    fine = bool(np.isfinite(excess) and excess <= 1e-3)
    return (
        "bars_respect_ohlc_order",
        row.instrument,
        *_outcome(fine, "warn", excess, 1e-3, "open or close lies outside low and high"),
    )


def _moves(
    row: Bar, move: float, history: pd.DataFrame | None, market: bool
) -> tuple[str, str, str, float, float, str]:
    name = "closes_move_plausibly"
    instrument = str(row.instrument)
    if history is None or history.empty:
        return (
            name,
            instrument,
            *_outcome(bool(np.isfinite(row.close)), "quarantine", float("nan"), MOVE_MAX, "no close"),
        )
    if not np.isfinite(move):
        return (name, instrument, "quarantine", float("nan"), MOVE_MAX, "the move cannot be measured")
    closes = history["close"].to_numpy(dtype=float)[-61:]
    changes = np.diff(np.log(closes)) if len(closes) > HISTORY_MIN else np.array([])
    spread = 1.4826 * float(np.median(np.abs(changes - np.median(changes)))) if len(changes) else float("nan")
    z = abs(np.log1p(move)) / spread if spread > 0 and move > -1 else float("inf")
    jumped = abs(move) > MOVE_MAX and (z > Z_MAX or len(changes) == 0)
    outcome = ("warn" if market else "quarantine") if jumped else "pass"
    message = f"moved {move:+.1%} without an event that explains it" if jumped else ""
    return (name, instrument, outcome, abs(move), MOVE_MAX, message)


def _repeats(row: Bar, history: pd.DataFrame | None) -> tuple[str, str, str, float, float, str]:
    run = 0
    if history is not None:
        tail = history.iloc[-5:]
        for earlier in tail.iloc[::-1].itertuples():
            same = all(getattr(earlier, f) == getattr(row, f) for f in ("open", "high", "low", "close", "volume"))
            if not same:
                break
            run += 1
    outcome = "quarantine" if run >= 3 else "warn" if run >= 1 else "pass"
    return (
        "closes_are_not_repeated",
        row.instrument,
        outcome,
        float(run),
        0.0,
        f"{run} identical bars before" if run else "",
    )


def _volume(row: Bar, history: pd.DataFrame | None) -> tuple[str, str, str, float, float, str]:
    volume = float(row.volume)
    usual = float(history["volume"].iloc[-20:].median()) if history is not None and len(history) else float("nan")
    ratio = volume / usual if usual > 0 else 1.0
    fine = bool(np.isfinite(volume) and volume > 0 and ratio <= VOLUME_JUMP)
    return (
        "volumes_are_present",
        row.instrument,
        *_outcome(fine, "warn", ratio, VOLUME_JUMP, "no volume, or many times the usual"),
    )


def _split(
    row: Bar, history: pd.DataFrame | None, events: pd.DataFrame | None
) -> tuple[str, str, str, float, float, str]:
    name, instrument = "splits_match_price_jumps", str(row.instrument)
    if history is None or history.empty or events is None:
        return (name, instrument, "pass", float("nan"), SPLIT_TOLERANCE, "")
    last = history.iloc[-1]
    due = events[
        (events["kind"] == "SPLIT") & (events["ex_session"] > last["session"]) & (events["ex_session"] <= row.session)
    ]
    if due.empty:
        return (name, instrument, "pass", float("nan"), SPLIT_TOLERANCE, "")
    off = abs(float(row.close) * float(due["ratio"].prod()) / float(last["close"]) - 1.0)
    fine = bool(np.isfinite(off) and off <= SPLIT_TOLERANCE)
    return (
        name,
        instrument,
        *_outcome(fine, "quarantine", off, SPLIT_TOLERANCE, "the price did not jump by the split's ratio"),
    )


def _outcome(fine: bool, worse: str, observed: float, limit: float, message: str) -> tuple[str, float, float, str]:
    return ("pass" if fine else worse, observed, limit, "" if fine else message)


def _frame(rows: Rows) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=[column.name for column in DATA_QUALITY.columns])
    return frame.astype(
        {"rule": "str", "subject": "str", "outcome": "str", "observed": float, "limit": float, "message": "str"}
    )


def flag_quarantine(bars: pd.DataFrame, findings: pd.DataFrame) -> pd.DataFrame:
    """Bars whose instrument a bar rule quarantined or worse carry the flag."""
    bad = set(findings.loc[findings["outcome"].isin(["quarantine", "halt"]), "subject"])
    return bars.assign(quarantine=bars["instrument"].isin(bad).astype(bool))


def table_findings(
    bars: pd.DataFrame,
    panel: pd.DataFrame,
    instruments: pd.DataFrame,
    fx: pd.DataFrame,
    macro: pd.DataFrame,
    *,
    cutoff: dt.datetime,
    previous_cutoff: dt.datetime,
    base: str,
) -> pd.DataFrame:
    """Findings on gaps per instrument, coverage, rates, macro series and on rows from the future."""
    universe = instruments[instruments["in_universe"]]
    rows: Rows = [_gap(row, panel, cutoff) for row in universe.itertuples(index=False)]
    rows.append(_coverage(bars, universe, cutoff, previous_cutoff))
    rows += [_rate(currency, fx, cutoff) for currency in sorted(set(universe["currency"]) - {base})]
    rows += [_macro(series, group, cutoff) for series, group in macro.groupby("series") if series in ("SP500", "VIX")]
    late = (
        int((bars["known_at"] > cutoff).sum())
        + int((fx["known_at"] > cutoff).sum())
        + int((macro["known_at"] > cutoff).sum())
    )
    rows.append(
        (
            "no_row_from_the_future",
            "*",
            *_outcome(late == 0, "halt", float(late), 0.0, f"{late} rows were known after the cutoff"),
        )
    )
    return _frame(rows)


def _gap(row: Listed, panel: pd.DataFrame, cutoff: dt.datetime) -> tuple[str, str, str, float, float, str]:
    mic, instrument = str(row.mic), str(row.instrument)
    own = panel.loc[(panel["instrument"] == instrument) & np.isfinite(panel["close"]), "session"]
    if own.empty:
        return ("bars_have_no_gaps", instrument, "quarantine", float("nan"), float(GAP_WARN), "no bar was ever seen")
    age = sessions_between(mic, own.max().date(), last_closed(mic, cutoff))
    outcome = "quarantine" if age >= GAP_QUARANTINE else "warn" if age >= GAP_WARN else "pass"
    return (
        "bars_have_no_gaps",
        instrument,
        outcome,
        float(age),
        float(GAP_WARN),
        f"newest bar is {age} own sessions old" if age else "",
    )


def _coverage(
    bars: pd.DataFrame, universe: pd.DataFrame, cutoff: dt.datetime, previous_cutoff: dt.datetime
) -> tuple[str, str, str, float, float, str]:
    """Landed bars over those that exchanges which closed since the last cutoff should have sent."""
    closed = {
        mic for mic in sorted(set(universe["mic"])) if last_closed(mic, cutoff) > last_closed(mic, previous_cutoff)
    }
    due = set(universe.loc[universe["mic"].isin(closed), "instrument"])
    landed = due & set(bars.loc[np.isfinite(bars["close"]), "instrument"])
    share = len(landed) / len(due) if due else 1.0
    outcome = "halt" if share < COVERAGE_HALT else "warn" if share < COVERAGE_WARN else "pass"
    message = f"{len(due) - len(landed)} of {len(due)} bars are missing" if outcome != "pass" else ""
    return ("universe_is_covered", "*", outcome, share, COVERAGE_WARN, message)


def _rate(currency: str, fx: pd.DataFrame, cutoff: dt.datetime) -> tuple[str, str, str, float, float, str]:
    own = fx[(fx["currency"] == currency)].sort_values("session")
    if own.empty:
        return (
            "rates_are_fresh",
            currency,
            "quarantine",
            float("nan"),
            float(FX_STALE_DAYS_WARN),
            "no rate was ever seen",
        )
    age = (cutoff.date() - own["session"].iloc[-1].date()).days
    move = abs(float(own["rate"].iloc[-1]) / float(own["rate"].iloc[-2]) - 1.0) if len(own) > 1 else 0.0
    if not (np.isfinite(move) and move <= FX_MOVE_MAX):
        return ("rates_are_fresh", currency, "quarantine", move, FX_MOVE_MAX, f"moved {move:.1%} in one fixing")
    fine = age <= FX_STALE_DAYS_WARN
    return (
        "rates_are_fresh",
        currency,
        *_outcome(fine, "warn", float(age), float(FX_STALE_DAYS_WARN), f"newest rate is {age} days old"),
    )


def _macro(series: object, group: pd.DataFrame, cutoff: dt.datetime) -> tuple[str, str, str, float, float, str]:
    age = (cutoff.date() - group["period"].max().date()).days
    fine = age <= MACRO_STALE_DAYS_WARN
    return (
        "macro_is_fresh",
        str(series),
        *_outcome(fine, "warn", float(age), float(MACRO_STALE_DAYS_WARN), f"newest value is {age} days old"),
    )


def data_quality(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """All findings as one table, the worst outcome per rule and subject."""
    frame = pd.concat(parts, ignore_index=True)
    rank = {outcome: place for place, outcome in enumerate(OUTCOMES)}
    frame = frame.assign(rank=[rank[outcome] for outcome in frame["outcome"]])
    worst = frame.sort_values(["rule", "subject", "rank"]).drop_duplicates(["rule", "subject"], keep="last")
    return worst.drop(columns="rank").reset_index(drop=True)


def recent_bars(panel: pd.DataFrame, session: dt.date) -> pd.DataFrame:
    """Usable bars of the last three months before a session: quarantined ones are no yardstick."""
    start = pd.Timestamp(session) - pd.Timedelta(days=120)
    return panel[(panel["session"] >= start) & ~panel["quarantine"] & np.isfinite(panel["close"])]


def assess(
    *,
    bars: pd.DataFrame,
    panel: pd.DataFrame,
    actions: pd.DataFrame,
    instruments: pd.DataFrame,
    fx: pd.DataFrame,
    macro: pd.DataFrame,
    session: dt.date,
    cutoff: dt.datetime,
    previous_cutoff: dt.datetime,
    base: str,
) -> pd.DataFrame:
    """Every rule of this module on one session: the DATA_QUALITY table."""
    recent = recent_bars(panel, session)
    own = bar_findings(bars, recent, actions, session)
    usable = bars[~bars["quarantine"]]
    together = pd.concat([recent, usable], ignore_index=True) if len(usable) else recent
    whole = table_findings(
        bars, together, instruments, fx, macro, cutoff=cutoff, previous_cutoff=previous_cutoff, base=base
    )
    return data_quality([own, whole])
