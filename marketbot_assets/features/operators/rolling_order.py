"""Rolling minimum and maximum and their places. Pure; see `compiled` for the common rules.

The answers depend on the window's values alone, so there is no state. Not here: rank and quantiles (`rolling_rank`).
"""

import numpy as np

from marketbot_assets.features.operators.compiled import compiled
from marketbot_assets.normalization.window import Floats


@compiled
def rolling_extreme(x: Floats, first: int, out: Floats, window: int, least: int, sign: float) -> None:
    """The largest (sign 1) or smallest (sign -1) known value of `window` sessions.

    Sessions are taken in runs of one window: the best from a session to its run's end and the best from a run's begin on
    give every window between them (van Herk 1992, Gil and Werman 1993).
    """
    rows, n = x.shape
    begin = max(0, first - window + 1)
    late, best, count = np.empty((rows - begin, n)), np.empty(n), np.empty(n)
    for t in range(rows - 1, begin - 1, -1):
        tap, row = x[t], late[t - begin]
        if t + 1 < rows and (t + 1 - begin) % window != 0:
            after = late[t + 1 - begin]
            for j in range(n):
                value = sign * tap[j] if abs(tap[j]) < np.inf else -np.inf
                row[j] = value if value > after[j] else after[j]
        else:
            for j in range(n):
                row[j] = sign * tap[j] if abs(tap[j]) < np.inf else -np.inf
    for t in range(begin, rows):
        if (t - begin) % window == 0:
            best[:] = -np.inf
        tap = x[t]
        for j in range(n):
            value = sign * tap[j] if abs(tap[j]) < np.inf else -np.inf
            best[j] = value if value > best[j] else best[j]
        if t < first:
            continue
        row, early = out[t - first], late[max(t - window + 1, begin) - begin]
        if t - window < begin or (t + 1 - begin) % window == 0:
            early = best
        for j in range(n):
            value = early[j] if early[j] > best[j] else best[j]
            row[j] = sign * value if value > -np.inf else np.nan
        if least > 1:
            _too_few(x, t, window, least, count, row)


@compiled
def _too_few(x: Floats, t: int, window: int, least: int, count: Floats, row: Floats) -> None:
    """Answers of windows with fewer known values than `least` are unknown."""
    n = x.shape[1]
    count[:] = 0.0
    for k in range(min(window, t + 1)):
        tap = x[t - k]
        for j in range(n):
            count[j] += 1.0 if abs(tap[j]) < np.inf else 0.0
    for j in range(n):
        row[j] = row[j] if count[j] >= least else np.nan


@compiled
def rolling_place(x: Floats, first: int, out: Floats, window: int, least: int, sign: float) -> None:
    """Place of the first largest (sign 1) or smallest (sign -1) value; 1 is the oldest known value of the window.

    Runs of one window as in `rolling_extreme`; of equal values the earlier one counts.
    """
    rows, n = x.shape
    begin = max(0, first - window + 1)
    late, late_at, known_at = np.empty((rows - begin, n)), np.empty((rows - begin, n)), np.empty((rows - begin, n))
    for t in range(rows - 1, begin - 1, -1):
        i, now = t - begin, np.float64(t)
        last = t + 1 == rows
        alone = last or (i + 1) % window == 0
        _latest(
            x[t], now, sign, alone, late[i], late_at[i], late[i if alone else i + 1], late_at[i if alone else i + 1]
        )
        row, after, tap = known_at[i], known_at[i if last else i + 1], x[t]
        for j in range(n):
            row[j] = now if abs(tap[j]) < np.inf else (np.inf if last else after[j])
    best, best_at, count = np.empty(n), np.empty(n), np.zeros(n)
    for t in range(begin, rows):
        if (t - begin) % window == 0:
            best[:] = -np.inf
        tap, now = x[t], np.float64(t)
        for j in range(n):
            value = sign * tap[j] if abs(tap[j]) < np.inf else -np.inf
            best_at[j] = now if value > best[j] else best_at[j]
            best[j] = value if value > best[j] else best[j]
        for j in range(n):
            count[j] += 1.0 if abs(tap[j]) < np.inf else 0.0
        if t - window >= begin:
            gone = x[t - window]
            for j in range(n):
                count[j] -= 1.0 if abs(gone[j]) < np.inf else 0.0
        if t < first:
            continue
        i = max(t - window + 1, begin) - begin
        alone = t - window < begin or (t + 1 - begin) % window == 0
        _earliest(late[i], late_at[i], best, best_at, alone, known_at[i], count, least, out[t - first])


@compiled
def _latest(
    x: Floats, now: float, sign: float, alone: bool, best: Floats, at: Floats, after: Floats, after_at: Floats
) -> None:
    """The best from this session to the end of its run, and where it is: the earliest of equal ones."""
    if alone:
        for j in range(x.shape[0]):
            best[j] = sign * x[j] if abs(x[j]) < np.inf else -np.inf
            at[j] = now
        return
    for j in range(x.shape[0]):
        value = sign * x[j] if abs(x[j]) < np.inf else -np.inf
        at[j] = now if value >= after[j] else after_at[j]
        best[j] = value if value >= after[j] else after[j]


@compiled
def _earliest(
    late: Floats,
    late_at: Floats,
    best: Floats,
    best_at: Floats,
    alone: bool,
    oldest: Floats,
    count: Floats,
    least: int,
    row: Floats,
) -> None:
    """The place of the better of two; the first of them is the earlier one."""
    if alone:
        for j in range(row.shape[0]):
            row[j] = best_at[j] - oldest[j] + 1.0
    else:
        for j in range(row.shape[0]):
            row[j] = (late_at[j] if late[j] >= best[j] else best_at[j]) - oldest[j] + 1.0
    for j in range(row.shape[0]):
        row[j] = row[j] if count[j] >= least and count[j] > 0.0 else np.nan
