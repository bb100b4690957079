"""Rolling minimum, maximum, their places, rank and quantiles. Pure; see `compiled` for the common rules.

The answers depend on the window's values alone, so there is no state.
"""

import numpy as np

from marketbot_assets.features.operators.compiled import compiled
from marketbot_assets.normalization.window import Floats


@compiled
def rolling_extreme(x: Floats, first: int, out: Floats, window: int, least: int, sign: float) -> None:
    """The largest (sign 1) or smallest (sign -1) known value of `window` sessions."""
    rows, n = x.shape
    best, count = np.empty(n), np.empty(n)
    for t in range(first, rows):
        best[:] = -np.inf
        count[:] = 0.0
        for k in range(min(window, t + 1)):
            tap = x[t - k]
            if least > 1:
                for j in range(n):
                    count[j] += 1.0 if abs(tap[j]) < np.inf else 0.0
            for j in range(n):
                value = sign * tap[j] if abs(tap[j]) < np.inf else -np.inf
                best[j] = value if value > best[j] else best[j]
        row = out[t - first]
        for j in range(n):
            row[j] = sign * best[j] if best[j] > -np.inf and (least <= 1 or count[j] >= least) else np.nan


@compiled
def rolling_place(x: Floats, first: int, out: Floats, window: int, least: int, sign: float) -> None:
    """Place of the first largest (sign 1) or smallest (sign -1) value; 1 is the oldest known value of the window."""
    rows, n = x.shape
    best, age, oldest, count = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    for t in range(first, rows):
        for j in range(n):
            best[j], age[j], oldest[j], count[j] = -np.inf, 0.0, 0.0, 0.0
        for k in range(min(window, t + 1)):
            tap, now = x[t - k], np.float64(k)
            for j in range(n):
                known = abs(tap[j]) < np.inf
                value = sign * tap[j] if known else -np.inf
                take = known and value >= best[j]
                age[j] = now if take else age[j]
                best[j] = value if take else best[j]
                oldest[j] = now if known else oldest[j]
                count[j] += 1.0 if known else 0.0
        row = out[t - first]
        for j in range(n):
            row[j] = oldest[j] - age[j] + 1.0 if count[j] >= least and count[j] > 0.0 else np.nan


@compiled
def rolling_rank(x: Floats, first: int, out: Floats, window: int, least: int) -> None:
    """Average rank of the newest value among the known ones of the window, over their number; NaN when it is unknown."""
    rows, n = x.shape
    less, equal, count = np.empty(n), np.empty(n), np.empty(n)
    for t in range(first, rows):
        newest = x[t]
        for j in range(n):
            less[j], equal[j], count[j] = 0.0, 0.0, 0.0
        for k in range(min(window, t + 1)):
            tap = x[t - k]
            for j in range(n):
                known = abs(tap[j]) < np.inf
                count[j] += 1.0 if known else 0.0
                less[j] += 1.0 if known and tap[j] < newest[j] else 0.0
                equal[j] += 1.0 if known and tap[j] == newest[j] else 0.0
        row = out[t - first]
        for j in range(n):
            known = abs(newest[j]) < np.inf and count[j] >= least
            row[j] = (less[j] + 0.5 * (equal[j] + 1.0)) / count[j] if known else np.nan


@compiled
def rolling_quantiles(x: Floats, first: int, out: Floats, window: int, least: int, low: float, high: float) -> None:
    """out[0], out[1]: the quantiles `low` and `high` of the known values, linear between them (pandas' default)."""
    rows, n = x.shape
    ordered, column = np.empty(window + 1), np.empty(rows)
    for j in range(n):
        for t in range(max(0, first - window), rows):
            column[t] = x[t, j]
        many, start = 0, max(0, first - window + 1)
        for t in range(start, first):
            if abs(column[t]) < np.inf:
                ordered[many] = column[t]
                many += 1
        ordered[:many].sort()
        for t in range(first, rows):
            gone = column[t - window] if t - window >= start else np.nan
            many = _replace(ordered, many, gone, column[t])
            out[0, t - first, j] = _between(ordered, many, low) if many >= max(least, 1) else np.nan
            out[1, t - first, j] = _between(ordered, many, high) if many >= max(least, 1) else np.nan


@compiled
def _place_of(ordered: Floats, many: int, value: float) -> int:
    """Number of values below; the first place at which the value may stand."""
    low, high = 0, many
    while low < high:
        middle = (low + high) // 2
        if ordered[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _replace(ordered: Floats, many: int, gone: float, new: float) -> int:
    """Takes a value out of the ordered ones and puts another in; either may be unknown. Returns how many there are."""
    goes, comes = abs(gone) < np.inf, abs(new) < np.inf
    if goes and comes:
        at, to = _place_of(ordered, many, gone), _place_of(ordered, many, new)
        if to > at:
            for i in range(at, to - 1):
                ordered[i] = ordered[i + 1]
            ordered[to - 1] = new
        else:
            for i in range(at, to, -1):
                ordered[i] = ordered[i - 1]
            ordered[to] = new
        return many
    if comes:
        to = _place_of(ordered, many, new)
        for i in range(many, to, -1):
            ordered[i] = ordered[i - 1]
        ordered[to] = new
        return many + 1
    if goes:
        for i in range(_place_of(ordered, many, gone), many - 1):
            ordered[i] = ordered[i + 1]
        return many - 1
    return many


@compiled
def _between(ordered: Floats, many: int, share: float) -> float:
    """The quantile of the ordered values, linear between neighbours."""
    exact = share * (many - 1)
    low = int(exact)
    if low + 1 >= many:
        return ordered[many - 1]
    return ordered[low] + (ordered[low + 1] - ordered[low]) * (exact - low)
