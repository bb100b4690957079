"""Who is who: provider rows become instruments with our own ids, ISO currencies and a place in the universe. Pure."""

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal

import numpy as np
import pandas as pd

from marketbot_assets.normalization.schema import INSTRUMENTS
from marketbot_resources.currencies import major_unit
from marketbot_resources.errors import MandateError, ProviderError
from marketbot_resources.model import instrument_id

UNKNOWN_SECTOR = "UNKNOWN"


def instrument_ids(source: pd.Series, source_id: pd.Series) -> pd.Series:
    """Our ids of provider rows, text on the same index, computed once per distinct pair."""
    sources, named = pd.factorize(source)
    ids, known = pd.factorize(source_id)
    pairs, place = np.unique(sources.astype(np.int64) * (len(known) + 1) + ids, return_inverse=True)
    ours = [instrument_id(str(named[pair // (len(known) + 1)]), str(known[pair % (len(known) + 1)])) for pair in pairs]
    return pd.Series(pd.array(ours, dtype="str").take(place), index=source.index)


def normalize_instruments(
    raw: pd.DataFrame,
    listings: Mapping[str, str | Sequence[str]],
    cutoff: dt.datetime,
    before: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """One row per listing in the INSTRUMENTS columns, sorted by instrument; prices in pence get a divisor of 100.

    `before`: INSTRUMENTS of the session before. A listing that is served no more stays as it was, outside of the universe. A
    ticker that the mandate names means the instrument that carried it when the home first saw it, whatever it is called today.
    Of several sources of one listing the first by name counts. Raises MandateError when the mandate names a listing that no
    provider serves, or when nothing is left of the universe; ProviderError when sources disagree on a listing's currency.
    """
    frame = raw.drop(columns="blob_sha256").copy()
    units = [major_unit(currency) for currency in frame["currency"]]
    frame["instrument"] = instrument_ids(frame["source"], frame["source_id"])
    frame["currency"] = [unit[0] for unit in units]
    frame["price_divisor"] = [float(unit[1]) for unit in units]
    frame["tick_size"] = [Decimal(tick) / unit[1] for tick, unit in zip(frame["tick_size"], units, strict=True)]
    frame["sector"] = [sector or UNKNOWN_SECTOR for sector in frame["sector"]]
    frame = _one_row_each(frame)
    served = len(frame)
    names = [column.name for column in INSTRUMENTS.columns if column.name not in ("in_universe", "named_as")]
    if before is not None:
        gone = before[~before["instrument"].isin(set(frame["instrument"]))]
        frame = pd.concat([frame[names], gone[names]], ignore_index=True) if len(gone) else frame
    frame["named_as"] = _named_as(frame, listings, before)
    frame["in_universe"] = _in_universe(frame, listings, cutoff, served)
    ordered = frame[[column.name for column in INSTRUMENTS.columns]]
    return ordered.sort_values("instrument", ignore_index=True)


def _one_row_each(frame: pd.DataFrame) -> pd.DataFrame:
    if frame["instrument"].is_unique:
        return frame
    ordered = frame.sort_values(["instrument", "source", "source_id"], ignore_index=True)
    units = ordered.groupby("instrument")["currency"].nunique()
    if bool((units > 1).any()):
        name = units.index[units > 1][0]
        row = ordered[ordered["instrument"] == name].iloc[0]
        raise ProviderError(
            f"raw_instruments: expected one currency of {row['source_id']}, found several; ask the sources"
        )
    return ordered.drop_duplicates("instrument", ignore_index=True)


def _named_as(
    frame: pd.DataFrame, listings: Mapping[str, str | Sequence[str]], before: pd.DataFrame | None
) -> list[str]:
    """Per row the ticker by which the mandate names it; empty for what it does not name."""
    kept: dict[str, str] = {}
    if before is not None:
        said = before["named_as"] if "named_as" in before else before["ticker"].where(before["in_universe"], "")
        kept = {str(name): str(ticker) for name, ticker in zip(before["instrument"], said, strict=True) if ticker}
    taken = {(mic, kept.get(name, "")) for name, mic in zip(frame["instrument"], frame["mic"], strict=True)}
    named = []
    for name, mic, ticker in zip(frame["instrument"], frame["mic"], frame["ticker"], strict=True):
        listed, own = listings.get(mic, ()), kept.get(name, "")
        if listed == "all":
            named.append(ticker)
        elif own in listed:
            named.append(own)
        else:
            named.append(ticker if ticker in listed and (mic, ticker) not in taken else "")
    return named


def _in_universe(
    frame: pd.DataFrame, listings: Mapping[str, str | Sequence[str]], cutoff: dt.datetime, served: int
) -> list[bool]:
    """Flags of the rows; those from `served` on are told of no more."""
    known = set(zip(frame["mic"], frame["named_as"], strict=True))
    for mic, tickers in sorted(listings.items()):
        missing = [] if tickers == "all" else [ticker for ticker in tickers if (mic, ticker) not in known]
        if missing:
            raise MandateError(
                f"mandate: universe.listings.{mic}: expected listings that a provider serves, found {missing[0]}"
            )
    flags = []
    for place, row in enumerate(frame.itertuples(index=False)):
        begun = row.listed_on.date() <= cutoff.date()
        listed = begun and (pd.isna(row.delisted_on) or row.delisted_on.date() >= cutoff.date())
        flags.append(bool(place < served and row.known_at <= cutoff and listed and row.named_as))
    if not any(flags):
        raise MandateError("mandate: universe: expected at least one listing at the cutoff, found none")
    return flags


def with_instrument(raw: pd.DataFrame, instruments: pd.DataFrame, table: str) -> pd.DataFrame:
    """Provider rows with our id, the ISO currency and the divisor of the unit that the row itself is quoted in.

    Raises ProviderError for a row of no known listing, or in another currency than its listing: a unit is never guessed.
    """
    keys = instruments[["instrument", "mic", "currency"]]
    left = raw.drop(columns="blob_sha256").rename(columns={"currency": "quoted"})
    left["instrument"] = instrument_ids(raw["source"], raw["source_id"])
    place, names = pd.factorize(left["instrument"])
    assert keys["instrument"].is_unique, "one row per instrument"
    found = keys.set_index("instrument").reindex(names)
    joined = left.assign(**{name: found[name].array.take(place) for name in ("mic", "currency")})
    strangers = joined.loc[joined["mic"].isna(), "source_id"]
    if len(strangers):
        raise ProviderError(
            f"{table}: expected rows of known listings, found {strangers.iloc[0]}, which no listing has"
        )
    quoted, units = pd.factorize(joined["quoted"])
    majors, divisors = ([major_unit(str(unit))[n] for unit in units] for n in (0, 1))
    foreign = pd.array(majors, dtype="str").take(quoted) != joined["currency"].array
    if foreign.any():
        row = joined[foreign].iloc[0]
        raise ProviderError(
            f"{table}: expected {row['currency']} for {row['source_id']} as its listing says, found {row['quoted']}"
        )
    return joined.assign(price_divisor=np.asarray(divisors, dtype=float)[quoted]).drop(columns="quoted")
