"""Quotes as received become rows of our instruments, in the major unit, each with the session in which it was quoted. Pure."""

import pandas as pd

from marketbot_assets.ingestion.schema import INTRADAY_QUOTES
from marketbot_resources.calendars import session_at
from marketbot_resources.closures import Closed
from marketbot_resources.currencies import major_unit
from marketbot_resources.errors import ProviderError
from marketbot_resources.model import instrument_id


def quotes_frame(raw: pd.DataFrame, instruments: pd.DataFrame, off: Closed) -> pd.DataFrame:
    """INTRADAY_QUOTES; `session` is null for a quote outside of its exchange's hours.

    Raises ProviderError for a quote of no known listing, or in another currency than its listing's.
    """
    known = instruments.set_index("instrument")
    names = [
        instrument_id(source, source_id) for source, source_id in zip(raw["source"], raw["source_id"], strict=True)
    ]
    units = [major_unit(currency) for currency in raw["currency"]]
    for name, (currency, _), row in zip(names, units, raw.itertuples(index=False), strict=True):
        if name not in known.index or known.at[name, "currency"] != currency:
            raise ProviderError(
                f"intraday_quotes: expected quotes of known listings in their currency, found {row.source_id} in {row.currency}"
            )
    divisor = pd.Series([float(unit[1]) for unit in units], index=raw.index, dtype=float)
    days = [session_at(known.at[name, "mic"], at, off) for name, at in zip(names, raw["quoted_at"], strict=True)]
    frame = raw.assign(
        instrument=names, session=pd.Series(pd.to_datetime(days), index=raw.index, dtype="datetime64[ms]")
    )
    for column in ("bid", "ask", "last"):
        frame[column] = frame[column] / divisor
    ordered = frame[[column.name for column in INTRADAY_QUOTES.columns]]
    return ordered.sort_values(list(INTRADAY_QUOTES.key)).drop_duplicates(list(INTRADAY_QUOTES.key), ignore_index=True)
