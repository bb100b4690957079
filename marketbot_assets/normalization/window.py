"""The market as aligned matrices, sessions of the decision calendar down, instruments across: a named result type.

A bar belongs to the first decision session whose cutoff is not before its `known_at`, so Tokyo's day and New York's day
of one date meet in one row and a Tokyo session on a New York holiday falls into the next row.
Not here: how it is built from frames (`build_window`), what is computed on it (`features`).
"""

import datetime as dt
from dataclasses import dataclass
from operator import lt

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class MarketWindow:
    """Aligned market data known at the cutoff of the last session.

    Shapes: (T, n) unless said. Levels are in the listing currency's major unit, carried forward from the last bar and NaN
    before the first one. `volume` is shares traded in the bars that landed in the session, 0 when none did.
    `total_return` is simple per session in the listing currency, splits and dividends included, compounded when two own
    sessions land at once, 0 when none landed, NaN until two bars exist; a listing that ended has its last return in the session
    in which that was known. `base_return` is the same in the base currency.
    `fx`: base per unit of the listing currency, last known. `fresh`: a bar with a finite close landed in the session.
    """

    sessions: tuple[dt.date, ...]
    instruments: tuple[str, ...]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    price_level: Floats
    total_return: Floats
    base_return: Floats
    fx: Floats
    fresh: Flags

    def __post_init__(self) -> None:
        names, days = self.instruments, self.sessions
        assert all(map(lt, names, names[1:])), "instruments must be sorted and unique"
        assert all(map(lt, days, days[1:])), "sessions must ascend"
        assert self.close.shape == (len(self.sessions), len(self.instruments)), "shape must be (sessions, instruments)"

    def upto(self, end: int, lookback: int) -> "MarketWindow":
        """The last `lookback` sessions that end with row `end` (inclusive). A view, nothing is copied."""
        rows = slice(max(0, end + 1 - lookback), end + 1)
        return MarketWindow(
            sessions=self.sessions[rows],
            instruments=self.instruments,
            open=self.open[rows],
            high=self.high[rows],
            low=self.low[rows],
            close=self.close[rows],
            volume=self.volume[rows],
            price_level=self.price_level[rows],
            total_return=self.total_return[rows],
            base_return=self.base_return[rows],
            fx=self.fx[rows],
            fresh=self.fresh[rows],
        )

    def of(self, columns: slice) -> "MarketWindow":
        """Some of the instruments, copied, in their order."""
        names = ("open", "high", "low", "close", "volume", "price_level", "total_return", "base_return", "fx", "fresh")
        own = {name: np.ascontiguousarray(getattr(self, name)[:, columns]) for name in names}
        return MarketWindow(sessions=self.sessions, instruments=self.instruments[columns], **own)


@dataclass(frozen=True, slots=True)
class MacroWindow:
    """Macro series aligned with the same sessions: last value known at each session's cutoff, (T,), NaN before the first."""

    sessions: tuple[dt.date, ...]
    series: dict[str, Floats]

    def upto(self, end: int, lookback: int) -> "MacroWindow":
        """The last `lookback` sessions that end with row `end` (inclusive)."""
        rows = slice(max(0, end + 1 - lookback), end + 1)
        return MacroWindow(self.sessions[rows], {name: values[rows] for name, values in self.series.items()})


@dataclass(frozen=True, slots=True)
class Listing:
    """What the decision knows of one instrument besides numbers; `age_sessions` counts own bars with a close, ever."""

    instrument: str
    ticker: str
    mic: str
    currency: str
    country: str
    sector: str
    kind: str
    issuer: str
    in_universe: bool
    shares_outstanding: float
