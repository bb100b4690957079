"""Rows kept as numbers while a loop runs: texts as codes, values as doubles, a frame only at the end. Pure.

A row of eight numbers takes about 80 bytes; a list of dictionaries takes twenty times as much.
"""

import datetime as dt
from array import array
from collections.abc import Sequence

import numpy as np
import pandas as pd


class Columns:
    """Rows of (session, texts, numbers), in the order in which they were added."""

    def __init__(self, texts: Sequence[str], numbers: Sequence[str]) -> None:
        self._days = array("i")
        self._texts = {name: array("i") for name in texts}
        self._numbers = {name: array("d") for name in numbers}
        self._codes: dict[str, int] = {}

    def add(self, session: dt.date, texts: Sequence[str], numbers: Sequence[float]) -> None:
        """One row; both sequences in the order of the columns."""
        self._days.append(session.toordinal())
        for own, text in zip(self._texts.values(), texts, strict=True):
            own.append(self._codes.setdefault(text, len(self._codes)))
        for values, number in zip(self._numbers.values(), numbers, strict=True):
            values.append(number)

    def __len__(self) -> int:
        return len(self._days)

    def frame(self) -> pd.DataFrame:
        """Columns `session` (dates), texts (str) and numbers (float64)."""
        epoch = dt.date(1970, 1, 1).toordinal()
        days = (np.array(self._days, dtype=np.int64) - epoch).astype("datetime64[D]").astype("datetime64[s]")
        names = np.array(list(self._codes), dtype=object)
        texts = {name: _strings(names, np.array(codes, dtype=np.int64)) for name, codes in self._texts.items()}
        numbers = {name: np.array(values, dtype=np.float64) for name, values in self._numbers.items()}
        return pd.DataFrame({"session": days, **texts, **numbers})


def _strings(names: "np.ndarray[tuple[int], np.dtype[np.object_]]", codes: "np.ndarray") -> pd.Series:
    return pd.Series(names[codes] if len(names) else [], dtype="str")
