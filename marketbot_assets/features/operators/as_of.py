"""The as-of join: what was known of a table with `known_at` at each session's cutoff, as matrices. Pure; compiled on first use."""

import numpy as np
from numpy.typing import NDArray

from marketbot_assets.features.operators.compiled import compiled
from marketbot_assets.normalization.window import Floats

Integers = NDArray[np.int64]
NEVER = -(2**62)
SAME_QUARTER_DAYS = 45


@compiled
def _walk(
    cutoffs: Integers, known: Integers, column: Integers, period: Integers, value: Floats, back: int, out: Floats
) -> None:
    """Rows ascend by `known`; `back`: days before the newest period, 0 for the newest. Fills out (sessions, instruments)."""
    rows, n = out.shape
    events = len(known)
    newest, chosen = np.full(n, NEVER), np.full(n, np.nan)
    last, before = np.full(n, -1), np.full(events, -1)
    at = 0
    for t in range(rows):
        start = at
        while at < events and known[at] <= cutoffs[t]:
            j = column[at]
            before[at], last[j] = last[j], at
            newest[j] = max(newest[j], period[at])
            at += 1
        for e in range(start, at):
            j = column[e]
            chosen[j] = _filed(last[j], before, period, value, newest[j] - back, 0 if back == 0 else SAME_QUARTER_DAYS)
        for j in range(n):
            out[t, j] = chosen[j]


@compiled
def _filed(last: int, before: Integers, period: Integers, value: Floats, wanted: int, off: int) -> float:
    """The newest filing of the period nearest to the wanted one, at most `off` days from it; NaN when there is none."""
    nearest, found, e = off + 1, np.nan, last
    while e >= 0:
        if abs(period[e] - wanted) < nearest:
            nearest, found = abs(period[e] - wanted), value[e]
        e = before[e]
    return found


def as_of(
    cutoffs: Integers,
    known: Integers,
    column: Integers,
    period: Integers,
    value: Floats,
    count: int,
    back_days: int = 0,
) -> Floats:
    """(sessions, count) matrix: at each cutoff the newest filing of the newest period known, NaN before the first.

    `cutoffs`, `known`: instants as integers of one unit; `column`: place of the instrument; `period`: days; `back_days` 365:
    the same quarter one year before the newest period instead. Rows may come in any order.
    """
    order = np.lexsort((value, period, column, known))
    out = np.empty((len(cutoffs), count))
    _walk(
        np.ascontiguousarray(cutoffs, dtype=np.int64),
        np.ascontiguousarray(known[order], dtype=np.int64),
        np.ascontiguousarray(column[order], dtype=np.int64),
        np.ascontiguousarray(period[order], dtype=np.int64),
        np.ascontiguousarray(value[order], dtype=np.float64),
        back_days,
        out,
    )
    return out
