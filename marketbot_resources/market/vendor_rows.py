"""Rows of the raw tables as price vendors give them, and their columns. Pure.

`columns` sorts the rows and refuses two rows with one key. Numbers are finite or NaN; texts, dates and instants are typed.
Not here: `source` and `blob_sha256`, which ingestion adds.
"""

import dataclasses
import datetime as dt
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from marketbot_resources.errors import ProviderError

SPLIT, CASH_DIVIDEND, SPECIAL_DIVIDEND = "SPLIT", "CASH_DIVIDEND", "SPECIAL_DIVIDEND"
SPIN_OFF, MERGER, RENAME, DELISTING = "SPIN_OFF", "MERGER", "RENAME", "DELISTING"
BAR_FIELDS = ("open", "high", "low", "close", "volume")
_PENCE = {"GBp": "GBX", "ZAc": "ZAC"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BarRow:
    """One row of raw_prices. Prices in `currency`, volume in shares, NaN for missing."""

    key: ClassVar[tuple[str, ...]] = ("source_id", "session")
    source_id: str
    session: dt.date
    open: float
    high: float
    low: float
    close: float
    volume: float
    price_level: float
    currency: str
    close_adjusted_by_source: bool
    known_at: dt.datetime
    synthetic: bool = False
    synthetic_fields: str = ""


def bar_row(
    source_id: str,
    session: dt.date,
    values: Sequence[float],
    *,
    currency: str,
    adjusted: bool,
    known_at: dt.datetime,
) -> BarRow:
    """A bar from BAR_FIELDS in that order; the price level is the close, unknown when the source adjusted it."""
    open_, high, low, close, volume = values
    return BarRow(
        source_id=source_id,
        session=session,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volume,
        price_level=math.nan if adjusted else close,
        currency=currency,
        close_adjusted_by_source=adjusted,
        known_at=known_at,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRow:
    """One row of raw_corporate_actions. `amount` per old share in `currency`, `ratio` new per old share, NaN for unknown."""

    key: ClassVar[tuple[str, ...]] = ("source_id", "ex_session", "kind")
    source_id: str
    ex_session: dt.date
    kind: str
    amount: float
    ratio: float
    currency: str
    other: str = ""
    known_at: dt.datetime
    synthetic: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentRow:
    """One row of raw_instruments."""

    key: ClassVar[tuple[str, ...]] = ("source_id",)
    source_id: str
    ticker: str
    name: str
    mic: str
    currency: str
    country: str
    sector: str
    kind: str
    issuer: str
    quantity_step: Decimal
    tick_size: Decimal
    listed_on: dt.date
    delisted_on: dt.date | None
    shares_outstanding: float | None
    known_at: dt.datetime
    synthetic: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteRow:
    """One row of raw_quotes. NaN for a side without a quote, or without any trade."""

    key: ClassVar[tuple[str, ...]] = ("source_id", "quoted_at")
    source_id: str
    currency: str
    bid: float
    ask: float
    last: float
    quoted_at: dt.datetime
    known_at: dt.datetime
    synthetic: bool = False


Row = BarRow | ActionRow | InstrumentRow | QuoteRow


def columns(provider: str, kind: type[Row], rows: Sequence[Row]) -> Mapping[str, Sequence[object]]:
    """The rows in columns, ascending by their key. Raises ProviderError for a key that occurs twice, or an infinite number."""
    names = [field.name for field in dataclasses.fields(kind)]
    ordered = sorted(rows, key=lambda row: _key(kind, row))
    for before, after in itertools.pairwise(ordered):
        if _key(kind, before) == _key(kind, after):
            raise ProviderError(
                f"{provider}: expected one row per {', '.join(kind.key)}, found two: {_key(kind, after)}"
            )
    for row in ordered:
        for name in names:
            value = getattr(row, name)
            if isinstance(value, float) and math.isinf(value):
                raise ProviderError(f"{provider}: {name}: expected a finite number in {_key(kind, row)}, found {value}")
    return {name: [getattr(row, name) for row in ordered] for name in names}


def _key(kind: type[Row], row: Row) -> tuple[str, ...]:
    return tuple(str(getattr(row, name)) for name in kind.key)


def quotation_currency(reported: str) -> str:
    """A vendor's currency in our spelling: GBp is GBX (pence), ZAc is ZAC; everything else as it is."""
    return _PENCE.get(reported, reported)


def agreed_currency(provider: str, asked: str, reported: str) -> str:
    """The reported currency, when it is the one asked, or none was. Raises ProviderError: a unit never switches silently."""
    found = quotation_currency(reported)
    if not (len(found) == 3 and found.isascii() and found.isalpha() and found.isupper()):
        raise ProviderError(f"{provider}: expected a currency of three letters, found {found[:20]!a}")
    if asked and quotation_currency(asked) != found:
        raise ProviderError(f"{provider}: expected quotation in {asked} as asked, found {found}")
    return found
