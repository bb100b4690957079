"""Columns of a long table, as the store keeps it, to matrices of sessions and instruments. Pure.

The store sorts by (session, instrument), so a whole table is a reshape; holes become NaN. Columns are asked for one by one, so
that no more than one is held twice. Not here: alignment of exchanges and cutoffs (`normalization.build_window`), the reading.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from marketbot_assets.normalization.window import Floats

Column = Callable[[str], pa.ChunkedArray]


@dataclass(frozen=True, slots=True)
class Panel:
    """`sessions` (T,): days since 1970, ascending; `instruments` (n,) sorted; `given`: column -> (T, n), NaN without a row."""

    sessions: NDArray[np.int32]
    instruments: tuple[str, ...]
    given: dict[str, Floats]


def panel_of(column: Column, names: Sequence[str]) -> Panel:
    """The panel of a table sorted by its columns `session` and `instrument`. Raises ValueError when it is not."""
    days = column("session").cast(pa.int32()).combine_chunks().to_numpy(zero_copy_only=False)
    coded = column("instrument")
    if not pa.types.is_dictionary(coded.type):
        coded = coded.dictionary_encode()
    whole = coded.unify_dictionaries().combine_chunks()
    instruments = pc.cast(whole.dictionary, pa.string()).to_pylist()
    codes = whole.indices.to_numpy(zero_copy_only=False)
    sessions, cells = _cells(days, codes, instruments)
    given = {}
    for name in names:
        values = column(name).combine_chunks().to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
        if cells is None:
            given[name] = values.reshape(len(sessions), len(instruments))
        else:
            given[name] = np.full((len(sessions), len(instruments)), np.nan)
            given[name].ravel()[cells] = values
    return Panel(sessions, tuple(sorted(instruments)), given)


def _cells(
    days: NDArray[np.int32], codes: NDArray[np.int32], instruments: list[str]
) -> tuple[NDArray[np.int32], NDArray[np.int64] | None]:
    """(sessions, place of every row in the flat matrix; None when every session has every instrument)."""
    many = len(instruments)
    place = np.argsort(np.argsort(np.array(instruments))) if many else np.empty(0, dtype=np.int64)
    if many and len(days) % many == 0:
        by_day, by_code = days.reshape(-1, many), codes.reshape(-1, many)
        ordered = bool((np.diff(place[by_code[0]]) > 0).all() and (np.diff(by_day[:, 0]) > 0).all())
        if ordered and (by_day == by_day[:, :1]).all() and (by_code == by_code[0]).all():
            return by_day[:, 0].copy(), None
    begins = np.flatnonzero(np.diff(days, prepend=days[:1] - 1))
    row = np.repeat(np.arange(len(begins)), np.diff(np.append(begins, len(days))))
    cells = row * many + place[codes]
    if (np.diff(cells) <= 0).any() or (np.diff(days[begins]) <= 0).any():
        raise ValueError("table: expected rows sorted by session and instrument, each once")
    return days[begins], cells
