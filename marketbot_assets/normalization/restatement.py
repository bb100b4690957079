"""Bars that were sent again: which are new, which repeat what we have, which say something else. Pure.

The first usable print of a session holds. A later one that differs is evidence (RESTATEMENTS), not data, unless what we have
is in quarantine: then it stands beside it as the provider's correction, known from this session's cutoff on.
Not here: asking again for old sessions (`ingestion`), accepting another value (`overlays`).
"""

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from marketbot_assets.normalization.bar_rules import Finding, finding
from marketbot_assets.normalization.observation import OHLCV, Floats
from marketbot_assets.normalization.overlays import KEY, current_bars
from marketbot_assets.normalization.schema import RESTATEMENTS

PRICE_TOLERANCE, VOLUME_TOLERANCE = 1e-6, 1e-3
RESTATED_QUARANTINE, DRIFT_HALT, DRIFT_BARS_MIN = 0.02, 0.25, 20
DISAGREE_WARN_BPS, DISAGREE_QUARANTINE_BPS = 25.0, 200.0
BPS = 1e4
SOURCE_MEMORY = pd.Timedelta(days=15)
SWITCHES = ("currency", "close_adjusted_by_source")


@dataclass(frozen=True, slots=True)
class Split:
    """`fresh`: bars to keep, in the columns given; `restatements`: RESTATEMENTS, one row per value of a bar sent again."""

    fresh: pd.DataFrame
    restatements: pd.DataFrame


def split_bars(bars: pd.DataFrame, known: pd.DataFrame, cutoff: dt.datetime) -> Split:
    """New bars from those of sessions that we have. `bars`: as just received; `known`: all earlier bars of PRICES.

    Of two bars of one session in the same answer the one of the provider that served the instrument before is kept, else
    the first by name; the other one is compared with it.
    """
    if len(bars):  # older bars than these can say nothing of them
        known = known[known["session"] >= bars["session"].min() - SOURCE_MEMORY]
    first, second = _one_each(bars, known)
    have = current_bars(known[known["instrument"].isin(set(bars["instrument"]))])
    again = first[_keys(first).isin(_keys(have))]
    new = first[~_keys(first).isin(_keys(have))]
    repeated = _compared(again, have)
    differs = repeated[repeated["corrects"] & (repeated["relative_difference"] != 0.0)]
    compared = pd.concat([repeated, _compared(second, pd.concat([new, have], ignore_index=True))], ignore_index=True)
    corrections = again[_keys(again).isin(_keys(differs))]
    moment = pd.Series(pd.Timestamp(cutoff), index=corrections.index).astype("datetime64[us, UTC]")
    fresh = pd.concat([new, corrections.assign(known_at=moment)]) if len(corrections) else new
    names = [column.name for column in RESTATEMENTS.columns]
    told = compared.assign(known_at=pd.Timestamp(cutoff))[names].sort_values(list(RESTATEMENTS.key), ignore_index=True)
    told["known_at"] = told["known_at"].astype("datetime64[us, UTC]")
    return Split(fresh.sort_values(["session", "instrument"], ignore_index=True), told)


def _keys(frame: pd.DataFrame) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(frame[KEY])


def _one_each(bars: pd.DataFrame, known: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    served = known.sort_values(["session", "known_at"]).drop_duplicates("instrument", keep="last")
    before = dict(zip(served["instrument"], served["source"], strict=True))
    other = (bars["source"] != bars["instrument"].map(before)).to_numpy()
    ordered = bars.assign(_other=other).sort_values([*KEY, "_other", "source"], kind="stable")
    double = ordered.duplicated(KEY).to_numpy()
    ordered = ordered.drop(columns="_other")
    return ordered[~double], ordered[double]


def _compared(bars: pd.DataFrame, have: pd.DataFrame) -> pd.DataFrame:
    """One row per value that differs, and one with difference 0 for the close of a bar that is equal."""
    columns = [*KEY, "source", *OHLCV]
    joined = bars[columns].merge(have[[*columns, "quarantine"]], on=KEY, how="inner", suffixes=("", "_known"))
    parts = []
    equal = np.ones(len(joined), dtype=bool)
    for field in (*OHLCV[:3], OHLCV[4], "close"):  # the close last: it speaks for an equal bar
        now, then = joined[field].to_numpy(dtype=float), joined[f"{field}_known"].to_numpy(dtype=float)
        same = _same(now, then, VOLUME_TOLERANCE if field == "volume" else PRICE_TOLERANCE)
        equal &= same
        crossed = (joined["source"] != joined["source_known"]).to_numpy()
        shown = (~same | equal | crossed) if field == "close" else ~same
        with np.errstate(all="ignore"):
            difference = np.where(same, 0.0, now / then - 1.0)
        parts.append(
            pd.DataFrame(
                {
                    "instrument": joined["instrument"],
                    "session": joined["session"],
                    "field": field,
                    "known": then,
                    "restated": now,
                    "relative_difference": np.where(np.isinf(difference), np.nan, difference),
                    "known_source": joined["source_known"],
                    "source": joined["source"],
                    "corrects": joined["quarantine"].astype(bool),
                }
            )[shown]
        )
    return pd.concat(parts, ignore_index=True).astype({"field": "str"})


def _same(now: Floats, then: Floats, tolerance: float) -> NDArray[np.bool_]:
    with np.errstate(all="ignore"):
        near = np.abs(now - then) <= tolerance * np.abs(then)
    return near | (np.isnan(now) & np.isnan(then))


def history_is_not_restated(restatements: pd.DataFrame) -> list[Finding]:
    """Per instrument sent again by its own provider, and `*`. Observed: the largest relative difference of a price; for `*`
    the share of bars sent again that differ, which halts where the provider has changed its past at large.
    """
    name = "history_is_not_restated"
    own = restatements[restatements["source"] == restatements["known_source"]]
    found = []
    for instrument, group in own.groupby("instrument", sort=True):
        moved = group[(group["relative_difference"] != 0.0) & ~group["corrects"]]
        prices = moved.loc[moved["field"] != "volume", "relative_difference"]
        size = float(prices.abs().max(skipna=False)) if len(prices) else 0.0
        outcome = "quarantine" if size > RESTATED_QUARANTINE else "warn" if len(moved) else "pass"
        message = f"{moved['session'].nunique()} bars were sent again with other values; see `restatements`"
        found.append(finding(name, str(instrument), outcome, size, RESTATED_QUARANTINE, message))
    bars = own.drop_duplicates(KEY)
    changed = own[(own["relative_difference"] != 0.0) & (own["field"] != "volume")].drop_duplicates(KEY)
    share = len(changed) / len(bars) if len(bars) else 0.0
    outcome = "halt" if share > DRIFT_HALT and len(bars) >= DRIFT_BARS_MIN else "warn" if len(changed) else "pass"
    message = f"{len(changed)} of {len(bars)} bars sent again have other prices"
    return [*found, finding(name, "*", outcome, share, DRIFT_HALT, message)]


def providers_agree(bars: pd.DataFrame, recent: pd.DataFrame, restatements: pd.DataFrame) -> list[Finding]:
    """Per instrument with a new bar. Observed: disagreement of two providers on one close in basis points; 0 when only one
    speaks. Another currency or adjustment than before is quarantined; another provider that cannot be compared warns.
    """
    name = "providers_agree"
    crossed = restatements[
        (restatements["source"] != restatements["known_source"]) & (restatements["field"] == "close")
    ]
    apart = (crossed["relative_difference"].abs() * BPS).groupby(crossed["instrument"]).max(skipna=False).to_dict()
    before = (
        recent.sort_values(["session", "known_at"]).drop_duplicates("instrument", keep="last").set_index("instrument")
    )
    found = []
    for row in bars.sort_values(["instrument", "session"]).drop_duplicates("instrument", keep="last").itertuples():
        was = before.loc[row.instrument] if row.instrument in before.index else None
        bps, outcome, message = float(apart.get(row.instrument, 0.0)), "pass", ""
        if bps > DISAGREE_WARN_BPS or not np.isfinite(bps):
            outcome = "warn" if bps <= DISAGREE_QUARANTINE_BPS else "quarantine"
            message = f"two providers are {bps:.0f} bp apart on one close"
        elif was is not None and was["source"] != row.source and row.instrument not in apart:
            outcome, message = (
                "warn",
                f"{row.source} serves it now, {was['source']} did before; no bar of both to compare",
            )
        switched = [] if was is None else [c for c in SWITCHES if was[c] != getattr(row, c)]
        if switched:
            outcome, message = "quarantine", f"the bar has another {switched[0]} than the one before"
        found.append(finding(name, str(row.instrument), outcome, bps, DISAGREE_WARN_BPS, message))
    return found
