"""Bars, corporate actions, rates, macro series, figures and headlines in their tidy form. Pure.

Nothing is adjusted, filled or guessed: units become major and ISO, ids become ours, a missing value of a point-in-time
series is dropped because it is no value. Not here: whether a value is plausible (`quality`).
"""

import numpy as np
import pandas as pd

from marketbot_assets.normalization.identity import instrument_ids, with_instrument
from marketbot_assets.normalization.plain_text import clean_text
from marketbot_assets.normalization.schema import CORPORATE_ACTIONS, FUNDAMENTALS, FX, MACRO, NEWS, PRICES
from marketbot_resources.corporate_actions import DELISTING, DIVIDENDS, MERGER, REASONS, RENAME, SPIN_OFF, SPLIT
from marketbot_resources.errors import ProviderError
from marketbot_resources.store.table import Table

PRICE_FIELDS = ("open", "high", "low", "close", "price_level")
EURO = "EUR"
RATIO_MIN = 1e-6
REPEAT_DAYS = (
    5  # copies and repeats of a headline come within days (of 2009-2017: 111 of 114 within two); then none for a while
)


def _ordered(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    return frame[[column.name for column in table.columns]].sort_values(list(table.key), ignore_index=True)


def normalize_prices(raw: pd.DataFrame, instruments: pd.DataFrame) -> pd.DataFrame:
    """Bars in the listing currency's major unit; `quarantine` is False until a quality rule says otherwise."""
    frame = with_instrument(raw, instruments, "raw_prices")
    for name in PRICE_FIELDS:
        frame[name] = frame[name] / frame["price_divisor"]
    frame["quarantine"], frame["overlay"] = False, 0
    return _ordered(frame, PRICES)


def normalize_corporate_actions(raw: pd.DataFrame, instruments: pd.DataFrame) -> pd.DataFrame:
    """Corporate actions, amounts per share in the major unit; `other` is our id of a listing in the same currency, else as told.

    Raises ProviderError for an action that cannot mean anything: a split without a ratio, a dividend without an amount.
    """
    frame = with_instrument(raw, instruments, "raw_corporate_actions")
    frame["amount"] = frame["amount"] / frame["price_divisor"]
    _refuse_meaningless(frame)
    frame["other"] = _others(frame, instruments)
    return _ordered(frame, CORPORATE_ACTIONS)


def _refuse_meaningless(actions: pd.DataFrame) -> None:
    amount, ratio = actions["amount"].to_numpy(dtype=float), actions["ratio"].to_numpy(dtype=float)
    kind = actions["kind"].to_numpy(dtype=object)
    good = np.where(kind == SPLIT, ratio >= RATIO_MIN, ratio >= 0.0) & (np.isnan(amount) | (amount >= 0.0))
    good &= np.isfinite(ratio) & ~np.isinf(amount)
    good &= ~np.isin(kind, sorted(DIVIDENDS)) | np.isfinite(amount)
    good &= (kind != DELISTING) | actions["other"].isin(REASONS).to_numpy()
    good &= (kind != RENAME) | (actions["other"] != "").to_numpy()
    for row in actions[~good].head(1).itertuples(index=False):
        raise ProviderError(
            f"raw_corporate_actions: expected a {row.kind} with an amount, a ratio and a counterpart that mean something, "
            f"found amount {row.amount}, ratio {row.ratio}, other {row.other!r} for {row.source_id} on {row.ex_session:%Y-%m-%d}"
        )


def _others(actions: pd.DataFrame, instruments: pd.DataFrame) -> list[str]:
    """Our id where `other` names a listing in the same currency: shares in another one cannot be valued by the action alone."""
    listed = set(zip(instruments["instrument"], instruments["currency"], strict=True))
    ids = instrument_ids(actions["source"], actions["other"])
    told = zip(actions["kind"], actions["other"], ids, actions["currency"], strict=True)
    return [
        name if kind in (SPIN_OFF, MERGER) and (name, currency) in listed else other
        for kind, other, name, currency in told
    ]


def normalize_fx(raw: pd.DataFrame, base: str) -> pd.DataFrame:
    """Base per unit of each currency, triangulated over the euro within one fixing date; the euro included."""
    wide = raw.pivot(index="session", columns="currency", values="units_per_eur").reindex(
        columns=sorted({*raw["currency"], base} - {EURO})
    )
    wide[EURO] = 1.0
    rates = wide.rdiv(wide[base], axis=0) if base != EURO else 1.0 / wide
    long = rates.melt(ignore_index=False, var_name="currency", value_name="rate").dropna().reset_index()
    dates = raw.groupby("session", as_index=False).agg(known_at=("known_at", "max"), synthetic=("synthetic", "max"))
    frame = long.merge(dates, on="session", how="left", validate="many_to_one")
    frame["currency"] = frame["currency"].astype("str")
    frame["rate"] = frame["rate"].astype(float)
    return _ordered(frame, FX)


def normalize_macro(raw: pd.DataFrame) -> pd.DataFrame:
    """Observations that have a value."""
    return _ordered(raw[np.isfinite(raw["value"])], MACRO)


def normalize_fundamentals(raw: pd.DataFrame, instruments: pd.DataFrame) -> pd.DataFrame:
    """Figures that have a value, in the reporting currency as filed."""
    known = raw[np.isfinite(raw["value"])]
    frame = known.assign(instrument=instrument_ids(known["source"], known["source_id"]))
    return _ordered(frame[frame["instrument"].isin(set(instruments["instrument"]))], FUNDAMENTALS)


def normalize_news(raw: pd.DataFrame, instruments: pd.DataFrame) -> pd.DataFrame:
    """Headlines as plain text (`plain_text`). An equal text on one instrument within REPEAT_DAYS of the one that stayed is a
    repeat; later it is news again: a company that says each quarter that it will report has said something each quarter.
    """
    frame = raw.assign(
        instrument=instrument_ids(raw["source"], raw["source_id"]),
        headline=pd.Series([clean_text(text) for text in raw["headline"]], index=raw.index, dtype="str"),
        headline_id=raw["source"].astype("str") + ":" + raw["headline_id"].astype("str"),
    )
    ordered = frame.sort_values(["known_at", "headline_id"])
    first = ordered[~_repeats(ordered)]
    return _ordered(first[first["instrument"].isin(set(instruments["instrument"]))], NEWS)


def _repeats(ordered: pd.DataFrame) -> "pd.Series[bool]":
    """Which rows, oldest first, repeat a text on their instrument that stayed at most REPEAT_DAYS before."""
    kept: dict[tuple[str, str], pd.Timestamp] = {}
    found = []
    for name, text, at in zip(ordered["instrument"], ordered["headline"], ordered["known_at"], strict=True):
        before = kept.get((name, text))
        found.append(before is not None and at - before <= pd.Timedelta(days=REPEAT_DAYS))
        if not found[-1]:
            kept[name, text] = at
    return pd.Series(found, index=ordered.index, dtype="bool")
