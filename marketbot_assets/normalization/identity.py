"""Who is who: provider rows become instruments with our own ids, ISO currencies and a place in the universe. Pure."""

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal

import pandas as pd

from marketbot_assets.normalization.schema import INSTRUMENTS
from marketbot_resources.currencies import major_unit
from marketbot_resources.errors import MandateError, ProviderError
from marketbot_resources.model import instrument_id

UNKNOWN_SECTOR = "UNKNOWN"


def instrument_ids(source: pd.Series, source_id: pd.Series) -> list[str]:
    """Our ids of provider rows, computed once per distinct pair."""
    pairs = list(zip(source, source_id, strict=True))
    known = {pair: instrument_id(*pair) for pair in set(pairs)}
    return [known[pair] for pair in pairs]


def normalize_instruments(
    raw: pd.DataFrame, listings: Mapping[str, str | Sequence[str]], cutoff: dt.datetime
) -> pd.DataFrame:
    """One row per listing in the INSTRUMENTS columns, sorted by instrument; prices in pence get a divisor of 100.

    Raises MandateError when the mandate names a listing that no provider serves, or when nothing is left of the universe.
    """
    frame = raw.drop(columns="blob_sha256").copy()
    units = [major_unit(currency) for currency in frame["currency"]]
    frame["instrument"] = instrument_ids(frame["source"], frame["source_id"])
    frame["currency"] = [unit[0] for unit in units]
    frame["price_divisor"] = [float(unit[1]) for unit in units]
    frame["tick_size"] = [Decimal(tick) / unit[1] for tick, unit in zip(frame["tick_size"], units, strict=True)]
    frame["sector"] = [sector or UNKNOWN_SECTOR for sector in frame["sector"]]
    frame["in_universe"] = _in_universe(frame, listings, cutoff)
    ordered = frame[[column.name for column in INSTRUMENTS.columns]]
    return ordered.sort_values("instrument", ignore_index=True)


def _in_universe(frame: pd.DataFrame, listings: Mapping[str, str | Sequence[str]], cutoff: dt.datetime) -> list[bool]:
    served = set(zip(frame["mic"], frame["ticker"], strict=True))
    for mic, tickers in sorted(listings.items()):
        missing = [] if tickers == "all" else [ticker for ticker in tickers if (mic, ticker) not in served]
        if missing:
            raise MandateError(
                f"mandate: universe.listings.{mic}: expected listings that a provider serves, found {missing[0]}"
            )
    flags = []
    for row in frame.itertuples(index=False):
        named = listings.get(row.mic, ())
        begun = row.listed_on.date() <= cutoff.date()
        listed = begun and (pd.isna(row.delisted_on) or row.delisted_on.date() >= cutoff.date())
        flags.append(bool(row.known_at <= cutoff and listed and (named == "all" or row.ticker in named)))
    if not any(flags):
        raise MandateError("mandate: universe: expected at least one listing at the cutoff, found none")
    return flags


def with_instrument(raw: pd.DataFrame, instruments: pd.DataFrame, table: str) -> pd.DataFrame:
    """Provider rows with our id, the ISO currency and the divisor of the unit that the row itself is quoted in.

    Raises ProviderError for a row of no known listing, or in another currency than its listing: a unit is never guessed.
    """
    keys = instruments[["source", "source_id", "instrument", "mic", "currency"]]
    left = raw.drop(columns="blob_sha256").rename(columns={"currency": "quoted"})
    joined = left.merge(keys, on=["source", "source_id"], how="left", validate="many_to_one")
    strangers = joined.loc[joined["instrument"].isna(), "source_id"]
    if len(strangers):
        raise ProviderError(
            f"{table}: expected rows of known listings, found {strangers.iloc[0]}, which no listing has"
        )
    units = {quoted: major_unit(quoted) for quoted in set(joined["quoted"])}
    foreign = joined[joined["quoted"].map({quoted: unit[0] for quoted, unit in units.items()}) != joined["currency"]]
    if len(foreign):
        row = foreign.iloc[0]
        raise ProviderError(
            f"{table}: expected {row['currency']} for {row['source_id']} as its listing says, found {row['quoted']}"
        )
    divisors = {quoted: float(unit[1]) for quoted, unit in units.items()}
    return joined.assign(price_divisor=joined["quoted"].map(divisors).astype(float)).drop(columns="quoted")
