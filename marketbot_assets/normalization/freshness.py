"""How old each listing's newest usable bar is and how many it ever had, at any cutoff. Pure.

Age counts sessions of the listing's own exchange, so a holiday in Tokyo makes nothing stale. Not here: rates (`currencies`).
"""

import datetime as dt
from collections.abc import Sequence

import numpy as np
import pandas as pd

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
        self._bars = []
        for place in range(len(instruments)):
            own = np.flatnonzero(column == place)
            known = micros(prices["known_at"].iloc[own])
            day = prices["session"].iloc[own].to_numpy().astype("datetime64[D]")
            order = np.argsort(known, kind="stable")
            self._bars.append((known[order], np.maximum.accumulate(day[order])))

    def at(self, cutoff: dt.datetime) -> tuple[Floats, Floats]:
        """((n,) own sessions since the newest bar known at the cutoff, 0 when fresh, NaN without one; (n,) bars known by then)."""
        limit = int(cutoff_micros([cutoff])[0])
        age, count = np.full(len(self._bars), np.nan), np.zeros(len(self._bars))
        ages: dict[tuple[str, dt.date], int] = {}
        for place, (known, day) in enumerate(self._bars):
            seen = int(known.searchsorted(limit, side="right"))
            count[place] = seen
            if seen:
                newest = self._mics[place], day[seen - 1].item()
                if newest not in ages:
                    ages[newest] = self._age(*newest, cutoff)
                age[place] = ages[newest]
        return age, count

    def _age(self, mic: str, newest: dt.date, cutoff: dt.datetime) -> int:
        """Sessions of an exchange since a day that are over at the cutoff."""
        return max(sessions_between(mic, newest, last_closed(mic, cutoff, self._off), self._off), 0)
