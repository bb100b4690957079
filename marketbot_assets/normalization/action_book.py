"""CORPORATE_ACTIONS rows in the forms in which a decision asks for them: what lies near a day, ends, splits. Pure.

Sorted by ex session once, so that a loop over sessions reads a handful of rows per day; what was known when is the asker's
cutoff. Not here: what an action does to prices (`action_effects`) or to the book (`book.positions`).
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

DAY = "datetime64[D]"
AHEAD = 64  # rows taken out of the frame at once beyond those asked for
NUMBERS = ("ratio", "amount")


class ToldAction(NamedTuple):
    """One row of the table, its dates as Python's; `place`: which one. A column that the frame lacks is None."""

    place: int
    instrument: str
    kind: str
    ex_session: dt.date
    known_at: dt.datetime
    ratio: float
    amount: float
    currency: str
    other: str


COLUMNS = ToldAction._fields[1:]


class ActionBook:
    """The rows of one frame, which must not change any more."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self.rows = rows
        self._by_kinds: dict[frozenset[str] | None, tuple[NDArray[np.int64], NDArray[np.intp]]] = {}
        self._taken: dict[int, ToldAction] = {}

    def near(self, first: dt.date, last: dt.date, kinds: frozenset[str] | None = None) -> list[ToldAction]:
        """Rows with an ex session in [first, last], of some kinds or of all, in the order of the frame."""
        days, places = self._sorted(kinds)
        start, end = (int(np.searchsorted(days, number, side="left")) for number in (_day(first), _day(last) + 1))
        wanted = places[start:end].tolist()
        self._take(wanted, places[end : end + AHEAD].tolist())
        return [self._taken[place] for place in sorted(wanted)]

    def of(self, kinds: frozenset[str]) -> list[ToldAction]:
        """Every row of some kinds, in the order of the frame."""
        return self.near(dt.date.min, dt.date(9999, 12, 30), kinds)

    def _sorted(self, kinds: frozenset[str] | None) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
        if kinds not in self._by_kinds:
            days = self.rows["ex_session"].to_numpy().astype(DAY).astype(np.int64)
            chosen = np.arange(len(days))
            if kinds is not None:
                chosen = np.flatnonzero(self.rows["kind"].isin(sorted(kinds)).to_numpy(dtype=bool))
            order = chosen[np.argsort(days[chosen], kind="stable")]
            self._by_kinds[kinds] = days[order], order
        return self._by_kinds[kinds]

    def _take(self, wanted: Sequence[int], ahead: Sequence[int]) -> None:
        if all(place in self._taken for place in wanted):
            return
        missing = [place for place in (*wanted, *ahead) if place not in self._taken]
        part = self.rows.iloc[missing]
        cells = zip(*(_cells(part, name) for name in COLUMNS), strict=True)
        for place, row in zip(missing, cells, strict=True):
            self._taken[place] = ToldAction(place, *row)


def _day(day: dt.date) -> int:
    return int(np.datetime64(day, "D").astype(np.int64))


def _cells(part: pd.DataFrame, name: str) -> Iterable[Any]:
    if name not in part.columns:
        return [None] * len(part)
    if name == "ex_session":
        return [stamp.date() for stamp in part[name]]
    if name == "known_at":
        return [stamp.to_pydatetime() for stamp in part[name]]
    return [float(value) for value in part[name]] if name in NUMBERS else part[name].tolist()


def book_of(actions: "pd.DataFrame | ActionBook") -> ActionBook:
    """The forms of a frame; a book is one already."""
    return actions if isinstance(actions, ActionBook) else ActionBook(actions)


def newest_versions(rows: Iterable[ToldAction], until: dt.datetime) -> list[ToldAction]:
    """Of the rows known at `until`, the last known one of each event, in the order in which these became known."""
    told = sorted((row for row in rows if row.known_at <= until), key=lambda row: row.known_at)
    last = {(row.instrument, row.ex_session, row.kind): place for place, row in enumerate(told)}
    return [told[place] for place in sorted(last.values())]
