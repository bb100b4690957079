"""Rules on a whole table: gaps, coverage, rates, macro series, unique keys, rows from the future. Pure.

Each returns findings in the columns of DATA_QUALITY; the subject is an instrument, a currency, a series, or `*`.
Not here: rules on one bar (`bar_rules`), which currency is too stale to buy in (`currencies`).
"""

import datetime as dt
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from marketbot_assets.normalization.bar_rules import Finding, finding
from marketbot_assets.normalization.currencies import newest_fixings
from marketbot_resources.calendars import last_closed, sessions_between
from marketbot_resources.closures import NO_CLOSURES, Closed
from marketbot_resources.currencies import ECB_REFERENCE_RATES, target_days

GAP_WARN, GAP_QUARANTINE = 1, 3
COVERAGE_WARN, COVERAGE_HALT = 0.98, 0.50
FX_STALE_TARGET_DAYS, FX_MOVE_MAX = 2, 0.08
TRIANGLE_TOLERANCE = 1e-9
COUNT_SESSIONS, COUNT_SESSIONS_MIN, COUNT_DRIFT = 20, 5, 0.10
TIME_ZONES = pd.Timedelta(hours=14)  # where the day that a value describes begins first
MACRO_REQUIRED, MACRO_STALE_DAYS_WARN = ("SP500", "VIX"), 10


def bars_have_no_gaps(
    panel: pd.DataFrame, universe: pd.DataFrame, cutoff: dt.datetime, off: Closed = NO_CLOSURES
) -> list[Finding]:
    """Per instrument of the universe. Observed: sessions of its own exchange since its newest usable bar; `off`: closures."""
    priced = panel[np.isfinite(panel["close"]) & ~panel["quarantine"]]
    newest = priced.groupby("instrument")["session"].max().to_dict()
    closed = {mic: last_closed(mic, cutoff, off) for mic in sorted(set(universe["mic"]))}
    found = []
    for instrument, mic in zip(universe["instrument"], universe["mic"], strict=True):
        if instrument not in newest:
            age, message = float("nan"), "no usable bar was ever seen"
        else:
            age = float(sessions_between(mic, newest[instrument].date(), closed[mic], off))
            message = f"the newest usable bar is {age:.0f} own sessions old"
        outcome = "quarantine" if age >= GAP_QUARANTINE else "warn" if age >= GAP_WARN else "pass"
        found.append(finding("bars_have_no_gaps", instrument, outcome, age, GAP_WARN, message))
    return found


def universe_is_covered(
    bars: pd.DataFrame,
    universe: pd.DataFrame,
    cutoff: dt.datetime,
    previous_cutoff: dt.datetime,
    off: Closed = NO_CLOSURES,
) -> list[Finding]:
    """Observed: landed bars over those due from exchanges that closed since the last cutoff; 1 when none closed."""
    mics = set(universe["mic"])
    closed = {mic for mic in mics if last_closed(mic, cutoff, off) > last_closed(mic, previous_cutoff, off)}
    due = set(universe.loc[universe["mic"].isin(closed), "instrument"])
    landed = due & set(bars.loc[np.isfinite(bars["close"]), "instrument"])
    share = len(landed) / len(due) if due else 1.0
    outcome = "halt" if share < COVERAGE_HALT else "warn" if share < COVERAGE_WARN else "pass"
    message = f"{len(due) - len(landed)} of {len(due)} bars are missing"
    return [finding("universe_is_covered", "*", outcome, share, COVERAGE_WARN, message)]


def row_counts_are_steady(panel: pd.DataFrame, session: dt.date) -> list[Finding]:
    """Observed: bars of the newest session over what its exchanges have as a rule, minus 1; 0 while too few sessions are known.

    `panel`: recent bars and this session's. As a rule: the median of an exchange's 20 own sessions before; an exchange that is
    closed, or of which nothing landed, does not count: what is missing altogether is judged by `universe_is_covered`.
    """
    name = "row_counts_are_steady"
    keys = panel.loc[panel["session"] <= pd.Timestamp(session), ["session", "mic", "instrument"]].drop_duplicates()
    counts = keys.groupby(["mic", "session"]).size()
    if keys["session"].nunique() <= COUNT_SESSIONS_MIN:
        return [finding(name, "*", "pass", 0.0, COUNT_DRIFT, "")]
    newest, usual, landed = keys["session"].max(), 0.0, 0.0
    for _, own in counts.groupby(level="mic"):
        days = own.droplevel("mic")
        if days.index[-1] == newest and len(days) > COUNT_SESSIONS_MIN:
            usual += float(np.median(days.to_numpy()[-COUNT_SESSIONS - 1 : -1]))
            landed += float(days.iloc[-1])
    drift = landed / usual - 1.0 if usual else 0.0
    message = f"{landed:.0f} bars of the newest session, {usual:.0f} as a rule"
    outcome = "pass" if abs(landed - usual) <= COUNT_DRIFT * usual else "warn"
    return [finding(name, "*", outcome, drift, COUNT_DRIFT, message)]


def rates_triangulate(fx: pd.DataFrame, raw: pd.DataFrame, currencies: Sequence[str], base: str) -> list[Finding]:
    """Per currency. Observed: the largest relative gap between its rate and that over the euro in the source's own quotes.

    `raw`: this session's quotes, units per euro; a currency that was not quoted passes, `fx_is_fresh` judges that.
    """
    quotes = {**{(day, "EUR"): 1.0 for day in raw["session"]}}
    quotes |= dict(zip(zip(raw["session"], raw["currency"], strict=True), raw["units_per_eur"], strict=True))
    found = []
    for currency in currencies:
        own = fx[fx["currency"] == currency]
        gaps = [
            abs(rate * quotes[day, currency] / quotes.get((day, base), float("nan")) - 1.0)
            for day, rate in zip(own["session"], own["rate"], strict=True)
            if (day, currency) in quotes
        ]
        gap = float(np.max(gaps)) if gaps else 0.0
        outcome = "pass" if gap <= TRIANGLE_TOLERANCE else "quarantine"
        message = f"the rate is off the triangle over the euro by {gap:.2e}"
        found.append(finding("rates_triangulate", currency, outcome, gap, TRIANGLE_TOLERANCE, message))
    return found


def macro_is_not_early(macro: pd.DataFrame) -> list[Finding]:
    """Per series. Observed: values that claim to have been known before the day that they describe began, UTC."""
    begun = macro["known_at"] >= pd.to_datetime(macro["period"]).dt.tz_localize("UTC") - TIME_ZONES
    early = (~begun).groupby(macro["series"]).sum()
    return [
        finding(
            "macro_is_not_early",
            str(series),
            "quarantine" if count else "pass",
            float(count),
            0.0,
            f"{count} values are early",
        )
        for series, count in sorted(early.items())
    ]


def fx_is_fresh(fx: pd.DataFrame, currencies: Sequence[str], cutoff: dt.datetime) -> list[Finding]:
    """Per currency. Observed: TARGET days since the newest fixing, days on which the ECB fixes rates."""
    found, today = [], cutoff.date()
    newest = newest_fixings(fx, today)
    for currency in currencies:
        if currency not in newest:
            age, message = float("nan"), "no rate was ever seen"
        else:
            age = float(target_days(newest[currency], today))
            message = f"the newest rate is {age:.0f} TARGET days old{_withdrawn(currency, today)}"
        outcome = "pass" if age <= FX_STALE_TARGET_DAYS else "quarantine"
        found.append(finding("fx_is_fresh", currency, outcome, age, FX_STALE_TARGET_DAYS, message))
    return found


def _withdrawn(currency: str, day: dt.date) -> str:
    last = ECB_REFERENCE_RATES.get(currency, (None, None))[1]
    return f"; the ECB publishes none since {last}" if last is not None and last < day else ""


def fx_moves_plausibly(fx: pd.DataFrame, currencies: Sequence[str]) -> list[Finding]:
    """Per currency. Observed: absolute change between the last two fixings; 0 while there is only one."""
    found = []
    ordered = fx.sort_values(["session", "known_at"]).drop_duplicates(["session", "currency"], keep="last")
    rates = {name: group["rate"].to_numpy(dtype=float)[-2:] for name, group in ordered.groupby("currency")}
    for currency in currencies:
        last = rates.get(currency, np.array([float("nan")]))
        move = abs(float(last[-1] / last[0]) - 1.0)
        outcome = "pass" if move <= FX_MOVE_MAX else "quarantine"
        message = f"the rate moved {move:.1%} in one fixing" if np.isfinite(move) else "no rate was ever seen"
        found.append(finding("fx_moves_plausibly", currency, outcome, move, FX_MOVE_MAX, message))
    return found


def macro_is_fresh(macro: pd.DataFrame, cutoff: dt.datetime) -> list[Finding]:
    """Per series that decisions lean on. Observed: days since the newest period."""
    newest = macro.groupby("series")["period"].max().to_dict()
    found = []
    for series in MACRO_REQUIRED:
        age = float((cutoff.date() - newest[series].date()).days) if series in newest else float("nan")
        outcome = "pass" if age <= MACRO_STALE_DAYS_WARN else "warn"
        message = f"the newest value is {age:.0f} days old" if series in newest else "no value was ever seen"
        found.append(finding("macro_is_fresh", series, outcome, age, MACRO_STALE_DAYS_WARN, message))
    return found


def keys_are_unique(bars: pd.DataFrame) -> list[Finding]:
    """Observed: bars of this session that share instrument and own session with another one."""
    double = int(bars.duplicated(["session", "instrument"]).sum())
    outcome = "halt" if double else "pass"
    return [finding("keys_are_unique", "*", outcome, double, 0.0, f"{double} bars share a key with another one")]


def no_row_from_the_future(tables: Mapping[str, pd.DataFrame], cutoff: dt.datetime) -> list[Finding]:
    """Observed: rows of any table that were not known at the cutoff, or do not say when they were."""
    late = {name: int((~(frame["known_at"] <= cutoff)).sum()) for name, frame in sorted(tables.items())}
    count = sum(late.values())
    where = ", ".join(f"{number} of {name}" for name, number in late.items() if number)
    outcome = "halt" if count else "pass"
    return [finding("no_row_from_the_future", "*", outcome, count, 0.0, f"not known at the cutoff: {where}")]
