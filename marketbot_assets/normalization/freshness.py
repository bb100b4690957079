"""How old each listing's newest usable bar is and how many it ever had, at any cutoff. Pure.

Age counts sessions of the listing's own exchange, so a holiday in Tokyo makes nothing stale. Not here: rates (`currencies`).
"""

import datetime as dt
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from marketbot_assets.normalization.build_window import columns_of, cutoff_micros, micros
from marketbot_assets.normalization.window import Floats
from marketbot_resources.calendars import last_closed, sessions_between
from marketbot_resources.closures import NO_CLOSURES, Closed


class BarAges:
    """Usable bars (finite positive close, not quarantined) of `instruments` (n, sorted) with their exchanges, built once.

    `off`: closures that no calendar knows.
    """

    def __init__(
        self, prices: pd.DataFrame, instruments: Sequence[str], mics: Sequence[str], off: Closed = NO_CLOSURES
    ) -> None:
        self._mics, self._off = tuple(mics), off
        close = prices["close"].to_numpy(dtype=float)
        usable = np.isfinite(close) & (close > 0.0) & ~prices["quarantine"].to_numpy(dtype=bool)
        column = np.where(usable, columns_of(prices["instrument"], instruments), -1)
        # Bars of all listings one after the other, each listing's in the order in which they became known.
        rows = np.flatnonzero(column >= 0)
        rows = rows[np.lexsort((micros(prices["known_at"])[rows], column[rows]))]
        self._ends = np.searchsorted(column[rows], np.arange(len(instruments) + 1))
        self._known = micros(prices["known_at"])[rows]
        self._days = prices["session"].to_numpy().astype("datetime64[D]")[rows]
        for own in map(slice, self._ends[:-1], self._ends[1:]):
            self._days[own] = np.maximum.accumulate(self._days[own])

    def at(self, cutoff: dt.datetime) -> tuple[Floats, Floats]:
        """((n,) own sessions since the newest bar known at the cutoff, 0 when fresh, NaN without one; (n,) bars known by then)."""
        seen = self._seen(int(cutoff_micros([cutoff])[0]))
        age, some = np.full(len(seen), np.nan), np.flatnonzero(seen)
        newest = self._days[self._ends[:-1][some] + seen[some] - 1].tolist()
        pairs = [(self._mics[place], day) for place, day in zip(some.tolist(), newest, strict=True)]
        ages = {pair: self._age(*pair, cutoff) for pair in set(pairs)}
        age[some] = [ages[pair] for pair in pairs]
        return age, seen.astype(float)

    def _seen(self, limit: int) -> NDArray[np.int64]:
        """(n,) bars of each listing that were known by then: a binary search in all of them at once."""
        begin, low, high = self._ends[:-1], self._ends[:-1].copy(), self._ends[1:].copy()
        while (low < high).any():
            middle = (low + high) // 2
            known = (low < high) & (self._known[np.minimum(middle, len(self._known) - 1)] <= limit)
            low, high = np.where(known, middle + 1, low), np.where(known, high, np.minimum(middle, high))
        return np.asarray(low - begin)

    def _age(self, mic: str, newest: dt.date, cutoff: dt.datetime) -> int:
        """Sessions of an exchange since a day that are over at the cutoff."""
        return max(sessions_between(mic, newest, last_closed(mic, cutoff, self._off), self._off), 0)
