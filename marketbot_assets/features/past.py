"""The long past of the universe as one frozen result: what stress scenarios are estimated and replayed on. Pure.

Not here: how it is read (`panels`, `research.history`), what is made of it (`stress_factors`, `scenarios`).
"""

import bisect
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from marketbot_assets.normalization.listings import Listings, listings_of
from marketbot_assets.normalization.window import Flags, Floats

INDEX_SERIES, RATES_SERIES = "SP500", "US10Y"
NO_SECTOR = ("", "FUND", "UNKNOWN")


@dataclass(frozen=True, slots=True)
class Past:
    """T sessions of the decision calendar and n instruments, as known at one cutoff.

    `base_returns` (T, n): simple, base currency, NaN where there are no data; `index` (T,): levels; `rates` (T,): ten-year yield,
    percent per year; `fx` (T, c): base per unit of each foreign currency. Unknown values are NaN; `rates` and `fx` may be
    unknown throughout.
    """

    sessions: tuple[dt.date, ...]
    base_returns: Floats
    index: Floats
    rates: Floats
    fx: Floats

    def __post_init__(self) -> None:
        count = len(self.sessions)
        assert len(self.base_returns) == len(self.index) == len(self.rates) == len(self.fx) == count

    def after(self, day: dt.date) -> int:
        """Row of the first session after a day; T when there is none."""
        return bisect.bisect_right(self.sessions, day)

    def index_returns(self) -> Floats:
        """(T,) simple, the first one NaN."""
        return changes_at(self.index[:, None], np.arange(len(self.sessions)))[:, 0]


@dataclass(frozen=True, slots=True)
class Universe:
    """What today is known of the n instruments: sector, whether equity, whether in the base currency, and two characteristics.

    `log_market_value` and `book_to_price` (n,): NaN where unknown.
    """

    sector: tuple[str, ...]
    equity: Flags
    home: Flags
    log_market_value: Floats
    book_to_price: Floats

    def in_sector(self, sector: str) -> Flags:
        """(n,) equities of a sector."""
        return self.equity & np.array([own == sector for own in self.sector], dtype=bool)

    def sectors(self) -> list[str]:
        """Known sectors, sorted."""
        return sorted(set(self.sector) - set(NO_SECTOR))

    def members(self) -> dict[str, Flags]:
        """Known sector -> (n,) its equities, sorted by sector."""
        return {sector: self.in_sector(sector) for sector in self.sectors()}


def past_of(sessions: Sequence[dt.date], base_returns: Floats, index: Floats) -> Past:
    """A past without yields and without foreign currencies."""
    count = len(sessions)
    return Past(tuple(sessions), base_returns, index, np.full(count, np.nan), np.empty((count, 0)))


def universe_of(features: pd.DataFrame, instruments: pd.DataFrame | Listings, base: str) -> Universe:
    """The universe of the features' instruments; both frames in one order."""
    listed = listings_of(instruments)
    assert tuple(features["instrument"].tolist()) == listed.instrument, "frames must list the same instruments"
    return Universe(
        sector=listed.texts("sector"),
        equity=~listed.is_fund,
        home=listed.members("currency").get(base, np.zeros(len(listed.instrument), dtype=bool)),
        log_market_value=features["log_market_value"].to_numpy(dtype=float),
        book_to_price=features["book_to_price"].to_numpy(dtype=float),
    )


def plain_universe(count: int) -> Universe:
    """`count` equities of which nothing is known."""
    unknown = np.full(count, np.nan)
    return Universe(("",) * count, np.ones(count, dtype=bool), np.ones(count, dtype=bool), unknown, unknown)


def changes_at(levels: Floats, rows: NDArray[np.intp]) -> Floats:
    """(R, c) simple returns of levels (T, c) in some rows; NaN in the first one and where a level is not finite and positive."""
    pairs = levels[np.stack([np.maximum(rows - 1, 0), rows])]
    before, now = np.where(np.isfinite(pairs) & (pairs > 0.0), pairs, np.nan)
    return np.where(rows[:, None] > 0, now / before - 1.0, np.nan)
