"""The sample world's bars, corporate actions and rates: real closes and rates, the rest a seeded simulation calibrated on them.

Real: closes of the US names and funds (back-adjusted by their source), the S&P 500 index, ECB reference rates. Simulated:
their open, high, low, volume and price level, and everything of the other exchanges. Every simulated value is marked.
"""

import datetime as dt
import io
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from marketbot_resources import calendars
from marketbot_resources.errors import SetupError
from marketbot_resources.market.listings import SampleListing, generator, real_listings, simulated_listings
from marketbot_resources.market.shelf import Shelf
from marketbot_resources.model import SESSIONS_PER_YEAR

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Floats = NDArray[np.float64]
FIRST, LAST = dt.date(1998, 1, 2), dt.date(2022, 12, 28)
SIMULATED_FIRST, YOUNG_FIRST = dt.date(2014, 1, 2), dt.date(2018, 3, 1)
BAR_LAG = dt.timedelta(minutes=15)
ANNOUNCED_SESSIONS = 10
FX_HOUR = 15  # UTC
_SPLITS = {
    ("XETR", 1): (dt.date(2019, 6, 12), 4.0),
    ("XLON", 4): (dt.date(2018, 11, 13), 2.0),
    ("XTKS", 2): (dt.date(2019, 3, 27), 0.2),
}
_OHLV = "open,high,low,volume,price_level"


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars of one listing: own sessions and values in the quotation currency."""

    listing: SampleListing
    sessions: tuple[dt.date, ...]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    level: Floats


@dataclass(frozen=True, slots=True)
class Action:
    """One corporate action of one listing."""

    listing: SampleListing
    ex_session: dt.date
    kind: str
    amount: float
    ratio: float
    known_at: dt.datetime


@dataclass(frozen=True, slots=True)
class World:
    """Everything that the market provider serves."""

    bars: tuple[Bars, ...]
    actions: tuple[Action, ...]
    index: "pd.Series"


def packaged(package: str, file: str) -> Path:
    """A data file that a package ships, found without importing the package (scikit-learn behind it costs seconds)."""
    from importlib.util import find_spec

    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SetupError(f"the sample world needs the extra `sample`, found {package} missing; run: make install")
    return Path(next(iter(spec.submodule_search_locations))) / file


def _packaged_closes(file: str) -> "pd.DataFrame":
    import pandas as pd

    frame = pd.read_csv(packaged("skfolio", f"datasets/data/{file}.csv.gz"), index_col="Date", parse_dates=True)
    return frame.loc[str(FIRST) : str(LAST)]


@lru_cache(maxsize=1)
def real_closes() -> "tuple[pd.DataFrame, pd.Series]":
    """(closes of US names and funds, S&P 500 index), sessions down, from 1998 on."""
    import pandas as pd

    closes = pd.concat([_packaged_closes("sp500_dataset"), _packaged_closes("factors_dataset")], axis=1)
    return closes, _packaged_closes("sp500_index")["SP500"]


@lru_cache(maxsize=4)
def world(size: int | None = None) -> World:
    """The world, built once per process and size."""
    closes, index = real_closes()
    bars = [_real_bars(listing, closes[listing.ticker].dropna()) for listing in real_listings()]
    market = _market_returns(index)
    sectors = _sector_residuals(closes, index)
    actions: list[Action] = []
    for number, listing in enumerate(simulated_listings(size)):
        made, events = _simulated_bars(listing, number // 4, market, sectors)
        bars.append(made)
        actions += events
    return World(tuple(bars), tuple(actions), index)


def _real_bars(listing: SampleListing, closes: "pd.Series") -> Bars:
    draw = generator("bars", listing.ticker)
    close = closes.to_numpy(dtype=float)
    days = tuple(stamp.date() for stamp in closes.index)
    returns = np.diff(np.log(close), prepend=np.log(close[0]))
    sigma = np.maximum(_trailing_sigma(returns), 0.004)
    before = np.concatenate([close[:1], close[:-1]])
    opened = before * np.exp(0.45 * returns + 0.35 * sigma * draw.standard_normal(len(close)))
    high, low = _extremes(draw, opened, close, sigma)
    shares = listing.adv_usd / np.maximum(close, 1e-6)
    volume = _volumes(draw, shares, returns, sigma)
    level = close * float(draw.uniform(1.2, 4.0))
    return Bars(
        listing, days, np.round(opened, 3), np.round(high, 3), np.round(low, 3), close, volume, np.round(level, 3)
    )


def _trailing_sigma(returns: Floats) -> Floats:
    """EWMA standard deviation of the past, halflife 20 sessions."""
    decay, value = 0.5 ** (1 / 20), float(np.var(returns[1:61])) if len(returns) > 60 else 1e-4
    out = np.empty(len(returns))
    for n, r in enumerate(returns):
        out[n] = value
        value = decay * value + (1 - decay) * float(r) ** 2
    return np.asarray(np.sqrt(out))


def _extremes(draw: np.random.Generator, opened: Floats, close: Floats, sigma: Floats) -> tuple[Floats, Floats]:
    up, down = (1 + 0.45 * sigma * np.abs(draw.standard_normal(len(close))) for _ in range(2))
    return np.maximum(opened, close) * up, np.minimum(opened, close) / down


def _volumes(draw: np.random.Generator, shares: Floats, returns: Floats, sigma: Floats) -> Floats:
    noise = np.exp(0.25 * draw.standard_normal(len(returns)))
    return np.asarray(np.round(shares * noise * (0.8 + 0.25 * np.abs(returns) / sigma)))


def _market_returns(index: "pd.Series") -> tuple[list[dt.date], Floats]:
    values = index.to_numpy(dtype=float)
    return [stamp.date() for stamp in index.index], np.diff(np.log(values), prepend=np.log(values[0]))


def _sector_residuals(closes: "pd.DataFrame", index: "pd.Series") -> dict[str, Floats]:
    """Mean log return of the real names of a sector beyond the index, on the index's sessions."""
    market = np.diff(np.log(index.to_numpy(dtype=float)), prepend=np.log(index.iloc[0]))
    residuals: dict[str, list[Floats]] = {}
    for listing in real_listings():
        if listing.kind == "EQUITY":
            values = np.log(closes[listing.ticker].reindex(index.index).to_numpy(dtype=float))
            residuals.setdefault(listing.sector, []).append(np.nan_to_num(np.diff(values, prepend=values[0])) - market)
    return {sector: np.mean(rows, axis=0) for sector, rows in residuals.items()}


def _simulated_bars(
    listing: SampleListing, number: int, market: tuple[list[dt.date], Floats], sectors: dict[str, Floats]
) -> tuple[Bars, list[Action]]:
    days = calendars.sessions(listing.mic, YOUNG_FIRST if listing.young else SIMULATED_FIRST, LAST)
    growth = np.exp(_log_returns(listing, days, market, sectors))
    draw = generator("bars", listing.source_id)
    close, actions = _with_actions(listing, number, days, growth, draw)
    returns = np.log(growth)
    sigma = np.maximum(_trailing_sigma(returns), 0.004)
    before = np.concatenate([close[:1], close[:-1]])
    gap = np.where(np.abs(close / before - growth) > 1e-3, close / before / growth, 1.0)
    opened = before * gap * np.exp(0.45 * returns + 0.30 * sigma * draw.standard_normal(len(close)))
    high, low = _extremes(draw, opened, close, sigma)
    major = 100.0 if listing.currency == "GBX" else 1.0
    usd = {"GBX": 1.3, "EUR": 1.15, "JPY": 0.009, "HKD": 0.128}[listing.currency]
    volume = _volumes(draw, listing.adv_usd / (close / major * usd), returns, sigma)
    tick = listing.tick
    opened, high, low, close = (np.round(np.round(a / tick) * tick, 6) for a in (opened, high, low, close))
    high, low = np.maximum.reduce([high, opened, close]), np.minimum.reduce([low, opened, close])
    return Bars(listing, days, opened, high, low, close, volume, close), actions


def _log_returns(
    listing: SampleListing, days: tuple[dt.date, ...], market: tuple[list[dt.date], Floats], sectors: dict[str, Floats]
) -> Floats:
    """Own sessions' log returns: index (partly the session before), country, sector residual, Student-t idiosyncratic part."""
    draw = generator("returns", listing.source_id)
    country = generator("country", listing.mic).standard_normal(
        len(calendars.sessions(listing.mic, SIMULATED_FIRST, LAST))
    )
    country = 0.0045 * country[-len(days) :]
    places = np.searchsorted(np.array(market[0]), np.array(days), side="right") - 1
    same, lag = {"XLON": (0.45, 0.3), "XETR": (0.5, 0.3)}.get(listing.mic, (0.0, 0.7))
    beta = float(draw.uniform(0.7, 1.15))
    padded = np.concatenate([[0.0], market[1]])
    fresh = np.concatenate([[True], np.diff(places) > 0])
    index = same * padded[places + 1] * fresh + lag * padded[places] * fresh
    residual = sectors.get(listing.sector)
    sector = 0.5 * residual[places] * fresh if residual is not None else 0.006 * draw.standard_normal(len(days))
    own = 0.0085 * draw.standard_t(5, len(days)) / np.sqrt(5 / 3)
    drift = float(draw.uniform(-0.02, 0.06)) / SESSIONS_PER_YEAR
    return np.asarray(np.clip(beta * index + country + sector + own + drift, -0.18, 0.18))


def _with_actions(
    listing: SampleListing, number: int, days: tuple[dt.date, ...], growth: Floats, draw: np.random.Generator
) -> tuple[Floats, list[Action]]:
    """Reported closes: lowered by each dividend on its ex session, divided on a split's; and the events, announced before."""
    factors, events = growth.copy(), []
    half_yield, months = float(draw.uniform(0.01, 0.02)), (int(draw.integers(1, 6)), int(draw.integers(7, 12)))
    dividends = _first_sessions(days, months, int(draw.integers(4, 24)))
    for place in dividends:
        factors[place] -= half_yield
    split = _SPLITS.get((listing.mic, number))
    if split is not None and split[0] in days:
        factors[days.index(split[0])] /= split[1]
    factors[0] = 1.0
    close: Floats = np.asarray(listing.start_price * np.cumprod(factors), dtype=np.float64)
    for place in dividends:
        amount = round(float(half_yield * close[place - 1]), 4)
        events.append(_action(listing, days, place, "CASH_DIVIDEND", amount, 1.0))
    if split is not None and split[0] in days:
        events.append(_action(listing, days, days.index(split[0]), "SPLIT", 0.0, split[1]))
    return close, events


def _first_sessions(days: tuple[dt.date, ...], months: tuple[int, int], day: int) -> list[int]:
    places = []
    for year in range(days[0].year, days[-1].year + 1):
        for month in months:
            wanted = dt.date(year, month, day)
            place = next((n for n in range(_bisect(days, wanted), len(days)) if days[n] >= wanted), None)
            if place is not None and place > ANNOUNCED_SESSIONS:
                places.append(place)
    return places


def _bisect(days: tuple[dt.date, ...], wanted: dt.date) -> int:
    import bisect

    return bisect.bisect_left(days, wanted)


def _action(
    listing: SampleListing, days: tuple[dt.date, ...], place: int, kind: str, amount: float, ratio: float
) -> Action:
    announced = calendars.close_at(listing.mic, days[max(0, place - ANNOUNCED_SESSIONS)]) + dt.timedelta(hours=1)
    return Action(listing, days[place], kind, amount, ratio, announced)


@lru_cache(maxsize=4)
def price_shelf(size: int | None) -> Shelf:
    """All bars by the instant at which they became knowable: the own exchange's close plus a lag."""
    import pyarrow as pa

    bars = world(size).bars
    counts = [len(b.sessions) for b in bars]

    def text(values: list[str]) -> "pa.Array":
        return pa.array(np.repeat(np.array(values, dtype=object), counts), type=pa.string())

    days = {(b.listing.mic, b.sessions) for b in bars}  # listings of one exchange and age share theirs
    known_at = {(mic, own): [calendars.close_at(mic, day) + BAR_LAG for day in own] for mic, own in days}
    known = [known_at[b.listing.mic, b.sessions] for b in bars]
    real = np.repeat([b.listing.real for b in bars], counts)
    columns = {
        name: np.concatenate([getattr(b, name) for b in bars])
        for name in ("open", "high", "low", "close", "volume", "level")
    }
    table = pa.table(
        {
            "source_id": text([b.listing.source_id for b in bars]),
            "session": pa.array([day for b in bars for day in b.sessions], type=pa.date32()),
            **{name: pa.array(columns[name]) for name in ("open", "high", "low", "close", "volume")},
            "price_level": pa.array(columns["level"]),
            "currency": text([b.listing.currency for b in bars]),
            "close_adjusted_by_source": pa.array(real),
            "known_at": pa.array([at for rows in known for at in rows], type=pa.timestamp("us", tz="UTC")),
            "synthetic": pa.array(np.ones(len(real), dtype=bool)),
            "synthetic_fields": pa.array(np.where(real, _OHLV, "all").astype(object), type=pa.string()),
        }
    )
    return Shelf("prices", table)


@lru_cache(maxsize=4)
def action_shelf(size: int | None) -> Shelf:
    """Corporate actions by announcement."""
    import pyarrow as pa

    events = world(size).actions
    table = pa.table(
        {
            "source_id": pa.array([e.listing.source_id for e in events], type=pa.string()),
            "ex_session": pa.array([e.ex_session for e in events], type=pa.date32()),
            "kind": pa.array([e.kind for e in events], type=pa.string()),
            "amount": pa.array([e.amount for e in events], type=pa.float64()),
            "ratio": pa.array([e.ratio for e in events], type=pa.float64()),
            "currency": pa.array([e.listing.currency for e in events], type=pa.string()),
            "other": pa.array([""] * len(events), type=pa.string()),
            "known_at": pa.array([e.known_at for e in events], type=pa.timestamp("us", tz="UTC")),
            "synthetic": pa.array([True] * len(events)),
        }
    )
    return Shelf("corporate_actions", table)


@lru_cache(maxsize=1)
def fx_shelf() -> Shelf:
    """ECB reference rates of every currency in the file, published at 15:00 UTC of their date. Real."""
    import pandas as pd
    import pyarrow as pa

    with zipfile.ZipFile(packaged("currency_converter", "eurofxref-hist.zip")) as file:
        rates = pd.read_csv(
            io.BytesIO(file.read(file.namelist()[0])), usecols=lambda name: not name.startswith("Unnamed")
        )
    rates = rates[(rates["Date"] >= str(FIRST)) & (rates["Date"] <= str(LAST))]
    long = rates.melt(id_vars="Date", var_name="currency", value_name="units_per_eur").dropna()
    days = pd.to_datetime(long["Date"])
    published = (days + pd.Timedelta(hours=FX_HOUR)).dt.tz_localize("UTC")
    table = pa.table(
        {
            "currency": pa.array(long["currency"].to_list(), type=pa.string()),
            "session": pa.array(days.dt.date, type=pa.date32()),
            "units_per_eur": pa.array(long["units_per_eur"].to_numpy(dtype=float)),
            "known_at": pa.array(published, type=pa.timestamp("us", tz="UTC")),
            "synthetic": pa.array([False] * len(days)),
        }
    )
    return Shelf("fx", table)
