"""The paper broker's own view of the market, asked of a provider through its port and independent of our store.

Ids, currencies and units follow the same rules as the tables that decisions read; nothing is filled or repaired.
Not here: what the broker makes of it (`marketbot_resources.paper`).
"""

import datetime as dt
import io
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import pandas as pd
import pyarrow as pa
from pyarrow import csv

from marketbot_resources.currencies import major_unit
from marketbot_resources.errors import ProviderError
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import instrument_id
from marketbot_resources.paper_market import TabularMarket
from marketbot_resources.provider import Body, Delivery, MarketProvider
from marketbot_resources.rows import CSV

PRICES_BEFORE = dt.timedelta(days=45)  # liquidity looks back LIQUIDITY_BARS_MAX own sessions
ACTIONS_BEFORE = dt.timedelta(days=60)  # events are announced before they take effect
FX_BEFORE = dt.timedelta(days=15)  # no calendar has a longer pause between fixings
EURO = "EUR"
_INSTANT = pa.timestamp("us", tz="UTC")
_TEXT, _NUMBER = pa.string(), pa.float64()
_INSTRUMENTS = {name: _TEXT for name in ("source_id", "mic", "currency", "kind", "quantity_step", "tick_size")}
_PRICES = {
    "source_id": _TEXT,
    "session": pa.date32(),
    **{name: _NUMBER for name in ("open", "high", "low", "close", "volume")},
    "currency": _TEXT,
    "known_at": _INSTANT,
}
_ACTIONS = {
    "source_id": _TEXT,
    "ex_session": pa.date32(),
    "kind": _TEXT,
    "amount": _NUMBER,
    "ratio": _NUMBER,
    "currency": _TEXT,
    "other": _TEXT,
    "known_at": _INSTANT,
}
_FX = {"currency": _TEXT, "session": pa.date32(), "units_per_eur": _NUMBER, "known_at": _INSTANT}


def provider_market(market: MarketProvider, mandate: Mandate, since: dt.datetime, until: dt.datetime) -> TabularMarket:
    """The market that knows everything in (since, until], with enough before it for liquidity, events and rates.

    Raises ProviderError when an answer is not the CSV that was expected or speaks of an unknown listing.
    """
    instruments = _instruments(market.instruments(until))
    known = instruments.set_index("source_id")
    return TabularMarket(
        _prices(market.prices(since - PRICES_BEFORE, until), known),
        _actions(market.corporate_actions(since - ACTIONS_BEFORE, until), known),
        _rates(market.fx(since - FX_BEFORE, until), mandate.base_currency),
        instruments,
        base_currency=mandate.base_currency,
        off=mandate.calendar.closed,
    )


@dataclass(frozen=True, slots=True)
class _Rows:
    frame: pd.DataFrame
    provider: str
    url: str


def _rows(delivery: Delivery, columns: Mapping[str, pa.DataType]) -> _Rows:
    """The rows of a whole-table provider's bodies."""
    body = delivery.bodies[0]
    frame: pd.DataFrame = pa.concat_tables([_table(one, columns) for one in delivery.bodies]).to_pandas(
        date_as_object=False
    )
    for name, kind in columns.items():
        if kind != _NUMBER and bool(frame[name].isna().any()):
            raise ProviderError(f"{body.url}: expected a value in every row of {name}, found empty cells")
    return _Rows(frame, body.provider, body.url)


def _table(body: Body, columns: Mapping[str, pa.DataType]) -> pa.Table:
    if body.status != 200:
        raise ProviderError(f"{body.url}: expected status 200, found {body.status}")
    return _csv(body, columns) if body.parser == CSV else _parquet(body, columns)


def _csv(body: Body, columns: Mapping[str, pa.DataType]) -> pa.Table:
    options = csv.ConvertOptions(
        column_types=dict(columns), include_columns=list(columns), null_values=[""], strings_can_be_null=False
    )
    try:
        return csv.read_csv(io.BytesIO(body.content), convert_options=options)
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise ProviderError(f"{body.url}: expected CSV with {', '.join(columns)}, found: {error}") from error


def _parquet(body: Body, columns: Mapping[str, pa.DataType]) -> pa.Table:
    from pyarrow import parquet

    try:
        table = parquet.read_table(io.BytesIO(body.content), columns=list(columns))
        return table.cast(pa.schema(list(columns.items())))
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
        raise ProviderError(f"{body.url}: expected Parquet with {', '.join(columns)}, found: {error}") from error


def _instruments(delivery: Delivery) -> pd.DataFrame:
    rows = _rows(delivery, _INSTRUMENTS)
    frame = rows.frame
    units = [major_unit(currency) for currency in frame["currency"]]
    frame["instrument"] = [instrument_id(rows.provider, source_id) for source_id in frame["source_id"]]
    frame["currency"] = [unit[0] for unit in units]
    try:
        frame["quantity_step"] = [Decimal(step) for step in frame["quantity_step"]]
        frame["tick_size"] = [Decimal(tick) / unit[1] for tick, unit in zip(frame["tick_size"], units, strict=True)]
    except InvalidOperation as error:
        raise ProviderError(f"{rows.url}: expected lots and ticks as numbers, found: {error!r}") from error
    if not frame["source_id"].is_unique:
        raise ProviderError(f"{rows.url}: expected one row per listing, found one twice")
    return frame


def _with_instrument(frame: pd.DataFrame, known: pd.DataFrame, url: str) -> tuple[pd.DataFrame, pd.Series]:
    """(rows with our id and the ISO currency, the divisor that brings their prices into the major unit)."""
    strangers = set(frame["source_id"]) - set(known.index)
    if strangers:
        raise ProviderError(f"{url}: expected rows of known listings, found {min(strangers)}, which no listing has")
    units = {quoted: major_unit(quoted) for quoted in frame["currency"].unique()}
    major = frame["currency"].map({quoted: unit[0] for quoted, unit in units.items()})
    divisor = frame["currency"].map({quoted: float(unit[1]) for quoted, unit in units.items()}).astype(float)
    foreign = major.to_numpy() != frame["source_id"].map(known["currency"]).to_numpy()
    if foreign.any():
        row = frame[foreign].iloc[0]
        raise ProviderError(f"{url}: expected the currency of the listing {row['source_id']}, found {row['currency']}")
    names = {name: frame["source_id"].map(known[name]) for name in ("instrument", "mic")}
    return frame.assign(currency=major, **names), divisor


def _prices(delivery: Delivery, known: pd.DataFrame) -> pd.DataFrame:
    rows = _rows(delivery, _PRICES)
    frame, divisor = _with_instrument(rows.frame, known, rows.url)
    for name in ("open", "high", "low", "close"):
        frame[name] = frame[name] / divisor
    return frame


def _actions(delivery: Delivery, known: pd.DataFrame) -> pd.DataFrame:
    rows = _rows(delivery, _ACTIONS)
    frame, divisor = _with_instrument(rows.frame, known, rows.url)
    frame["amount"] = frame["amount"] / divisor
    heirs = known.reset_index().set_index(["source_id", "currency"])["instrument"].to_dict()  # in one currency, or none
    other = zip(frame["other"], frame["currency"], strict=True)
    frame["other"] = [heirs.get(key, key[0]) for key in other]
    return frame


def _rates(delivery: Delivery, base: str) -> pd.DataFrame:
    """Base per unit of each currency, triangulated over the euro within one fixing date; the euro included."""
    frame = _rows(delivery, _FX).frame
    if frame.empty:
        return frame.assign(rate=pd.Series(dtype=float))
    published = frame.groupby("session")["known_at"].max()
    euro = pd.DataFrame({"currency": EURO, "session": published.index, "units_per_eur": 1.0})
    units = pd.concat([frame[["currency", "session", "units_per_eur"]], euro], ignore_index=True)
    based = units[units["currency"] == base].set_index("session")["units_per_eur"]
    units["rate"] = units["session"].map(based) / units["units_per_eur"]
    units["known_at"] = units["session"].map(published)
    return units.dropna(subset="rate")
