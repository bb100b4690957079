"""The bar of one instrument and session as it was known at an instant, from PRICES rows sorted once. Pure.

Not here: windows of bars (`build_window`), how old the newest one is (`freshness`).
"""

import datetime as dt
from copy import copy

import numpy as np
import pandas as pd

from marketbot_assets.normalization.build_window import cutoff_micros, micros

Bar = tuple[float, float, float, float]
COLUMNS = ("open", "low", "high", "close")
SPAN = 1 << 24  # days; numbers instrument and day as one integer


class BarIndex:
    """Every row of PRICES; `known_by` is what a cutoff knows of it."""

    def __init__(self, prices: pd.DataFrame) -> None:
        codes, names = pd.factorize(prices["instrument"])
        self._codes = {str(name): code for code, name in enumerate(names)}
        keys = codes.astype(np.int64) * SPAN + _days(prices["session"].to_numpy())
        order = np.argsort(keys, kind="stable")
        self._keys, self._known = keys[order], micros(prices["known_at"])[order]
        self._values = prices[list(COLUMNS)].to_numpy(dtype=float)[order]
        self._limit = np.iinfo(np.int64).max

    def known_by(self, cutoff: dt.datetime) -> "BarIndex":
        """The rows that were known at an instant."""
        found = copy(self)
        found._limit = int(cutoff_micros([cutoff])[0])
        return found

    def get(self, key: tuple[str, dt.date], default: Bar) -> Bar:
        """(open, low, high, close) of an instrument's session: of several known rows the last of the table."""
        code = self._codes.get(key[0])
        if code is None:
            return default
        number = code * SPAN + int(_days(np.array([key[1]], dtype="datetime64[D]"))[0])
        place = int(np.searchsorted(self._keys, number, side="right")) - 1
        while place >= 0 and self._keys[place] == number:
            if self._known[place] <= self._limit:
                opened, low, high, close = self._values[place].tolist()
                return opened, low, high, close
            place -= 1
        return default


def _days(days: np.ndarray) -> np.ndarray:
    return np.asarray(days.astype("datetime64[D]").astype(np.int64) + SPAN // 2)
