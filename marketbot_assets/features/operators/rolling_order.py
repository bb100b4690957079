"""Rolling minimum, maximum, their places, rank and quantiles. Pure; see `compiled` for the common rules.

The answers depend on the window's values alone, so there is no state.
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


@compiled
def _known_or_nan(x: Floats, begin: int) -> Floats:
    """The rows from `begin` on; what is unknown is NaN."""
    rows, n = x.shape
    found = np.empty((rows - begin, n))
    for t in range(begin, rows):
        tap, row = x[t], found[t - begin]
        for j in range(n):
            row[j] = tap[j] if abs(tap[j]) < np.inf else np.nan
    return found


@compiled
def _change_count(x: Floats, t: int, by: float, count: Floats) -> None:
    """Counts the known values of a row, or takes them off the count."""
    row = x[t]
    for j in range(row.shape[0]):
        count[j] += by if row[j] == row[j] else 0.0


@compiled
def rolling_rank(x: Floats, first: int, out: Floats, window: int, least: int) -> None:
    """Average rank of the newest value among the known ones of the window, over their number; NaN when it is unknown."""
    begin = max(0, first - window + 1)
    known = _known_or_nan(x, begin)
    rows, n = known.shape
    less, equal, count = np.empty(n), np.empty(n), np.zeros(n)
    for t in range(rows):
        _change_count(known, t, 1.0, count)
        if t >= window:
            _change_count(known, t - window, -1.0, count)
        if t + begin < first:
            continue
        newest, row = known[t], out[t + begin - first]
        less[:] = 0.0
        equal[:] = 0.0
        many, k = min(window, t + 1), 0
        while k + 5 <= many:
            _five_compared(
                newest,
                known[t - k],
                known[t - k - 1],
                known[t - k - 2],
                known[t - k - 3],
                known[t - k - 4],
                less,
                equal,
            )
            k += 5
        for i in range(k, many):
            tap = known[t - i]
            for j in range(n):
                less[j] += 1.0 if tap[j] < newest[j] else 0.0
                equal[j] += 1.0 if tap[j] == newest[j] else 0.0
        for j in range(n):
            there = newest[j] == newest[j] and count[j] >= least
            row[j] = (less[j] + 0.5 * (equal[j] + 1.0)) / count[j] if there else np.nan


@compiled
def _five_compared(
    newest: Floats, a: Floats, b: Floats, c: Floats, d: Floats, e: Floats, less: Floats, equal: Floats
) -> None:
    """Of five sessions, how many values are below the newest and how many equal it. Two loops, so that they vectorize."""
    for j in range(newest.shape[0]):
        one, two = (1.0 if a[j] < newest[j] else 0.0), (1.0 if b[j] < newest[j] else 0.0)
        three, four = (1.0 if c[j] < newest[j] else 0.0), (1.0 if d[j] < newest[j] else 0.0)
        less[j] += one + two + three + four + (1.0 if e[j] < newest[j] else 0.0)
    for j in range(newest.shape[0]):
        one, two = (1.0 if a[j] == newest[j] else 0.0), (1.0 if b[j] == newest[j] else 0.0)
        three, four = (1.0 if c[j] == newest[j] else 0.0), (1.0 if d[j] == newest[j] else 0.0)
        equal[j] += one + two + three + four + (1.0 if e[j] == newest[j] else 0.0)


@compiled
def rolling_quantiles(x: Floats, first: int, out: Floats, window: int, least: int, low: float, high: float) -> None:
    """out[0], out[1]: the quantiles `low` and `high` of the known values, linear between them (pandas' default).

    `ordered` (window + 1, n) has every instrument's window in rising order; what is unknown stands behind as infinity.
    """
    begin = max(0, first - window + 1)
    known = _known_or_nan(x, begin)
    rows, n = known.shape
    ordered, before, count = np.full((window + 1, n), np.inf), np.empty(n), np.zeros(n)
    nothing = np.full(n, np.nan)
    for t in range(rows):
        gone = known[t - window] if t >= window else nothing
        _change_count(known, t, 1.0, count)
        if t >= window:
            _change_count(known, t - window, -1.0, count)
        before[:] = -np.inf
        for i in range(min(window, t + 1)):
            _exchange(ordered[i], ordered[i + 1], gone, known[t], before)
        if t + begin >= first:
            at = t + begin - first
            _between(ordered, count, low, least, out[0, at])
            _between(ordered, count, high, least, out[1, at])


@compiled
def _exchange(here: Floats, after: Floats, gone: Floats, comes: Floats, before: Floats) -> None:
    """One place of the ordered windows while a value goes and one comes: from the place on where the old one stood, what stands

    behind it moves up; the new one stands between what is not above and what is not below it. before: the place below, without
    the old value.
    """
    for j in range(here.shape[0]):
        new = comes[j] if comes[j] == comes[j] else np.inf
        old = gone[j] if gone[j] == gone[j] else np.inf
        kept = here[j] if here[j] < old else after[j]
        least = new if new < kept else kept
        here[j] = before[j] if before[j] > least else least
        before[j] = kept


@compiled
def _between(ordered: Floats, count: Floats, share: float, least: int, row: Floats) -> None:
    """One row of quantiles of the ordered values, linear between neighbours."""
    n = row.shape[0]
    fewest, most = count.min(), count.max()
    if fewest == most and fewest >= max(least, 1):
        exact = share * (fewest - 1.0)
        at = int(exact)
        part, below, above = exact - at, ordered[at], ordered[min(at + 1, int(fewest) - 1)]
        for j in range(n):
            row[j] = below[j] + (above[j] - below[j]) * part
        return
    for j in range(n):
        many = int(count[j])
        if many < max(least, 1):
            row[j] = np.nan
            continue
        exact = share * (many - 1)
        at = int(exact)
        above = ordered[min(at + 1, many - 1), j]
        row[j] = ordered[at, j] + (above - ordered[at, j]) * (exact - at)
