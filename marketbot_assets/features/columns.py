"""Columns of a long table, as the store keeps it, to matrices of sessions and instruments. Pure.

The store sorts by (session, instrument), so a whole table is a reshape; holes become NaN. A table is taken piece by piece, so
that none of it is held twice. Not here: alignment of exchanges and cutoffs (`normalization.build_window`), the reading, matrices
that are kept as files (`column_file`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute

from marketbot_assets.normalization.window import Floats


@dataclass(frozen=True, slots=True)
class Panel:
    """`sessions` (T,): days since 1970, ascending; `instruments` (n,) sorted; `given`: column -> (T, n), NaN without a row."""

    sessions: NDArray[np.int32]
    instruments: tuple[str, ...]
    given: dict[str, Floats]


def panel_of(pieces: Iterable[pa.Table], rows: int, names: Sequence[str]) -> Panel:
    """The panel of a table of so many rows, sorted by its columns `session` and `instrument`, that comes in pieces.

    Raises ValueError when the rows are not sorted or not as many.
    """
    days, codes = np.empty(rows, dtype=np.int32), np.empty(rows, dtype=np.int32)
    given = {name: np.empty(rows) for name in names}
    code_of: dict[str, int] = {}
    end = 0
    for piece in pieces:
        start, end = end, end + piece.num_rows
        if end > rows:
            break
        _fill(days[start:end], piece["session"].cast(pa.int32()))
        _fill_codes(codes[start:end], piece["instrument"], code_of)
        for name in names:
            _fill(given[name][start:end], piece[name])
    if end != rows:
        raise ValueError(f"table: expected {rows} rows, found {end}")
    instruments = list(code_of)
    sessions, cells = _cells(days, codes, instruments)
    shape = (len(sessions), len(instruments))
    if cells is None:
        found = {name: values.reshape(shape) for name, values in given.items()}
    else:
        found = {name: _scattered(values, cells, shape) for name, values in given.items()}
    return Panel(sessions, tuple(sorted(instruments)), found)


def _fill(out: NDArray[np.float64] | NDArray[np.int32], column: pa.ChunkedArray) -> None:
    end = 0
    for chunk in column.chunks:
        start, end = end, end + len(chunk)
        out[start:end] = chunk.to_numpy(zero_copy_only=False)


def _fill_codes(out: NDArray[np.int32], column: pa.ChunkedArray, code_of: dict[str, int]) -> None:
    """Codes in the order in which instruments are first met; every piece may have a dictionary of its own."""
    end = 0
    for chunk in column.chunks:
        start, end = end, end + len(chunk)
        coded = chunk if pa.types.is_dictionary(chunk.type) else chunk.dictionary_encode()
        names = coded.dictionary.cast(pa.string())
        code = compute.index_in(names, value_set=pa.array(code_of, pa.string()))
        if code.null_count:
            met = [code_of.setdefault(name, len(code_of)) for name in names.to_pylist()]
            code = pa.array(met, pa.int32())
        np.take(code.to_numpy(), coded.indices.to_numpy(zero_copy_only=False), out=out[start:end], mode="clip")


def _scattered(values: Floats, cells: NDArray[np.int64], shape: tuple[int, int]) -> Floats:
    found = np.full(shape, np.nan)
    found.ravel()[cells] = values
    return found


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
