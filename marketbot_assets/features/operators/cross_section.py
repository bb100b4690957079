"""Operators across the instruments of one session: rank, score, cut, neutral. Pure; unknown values take no part and stay unknown.

The universe is the whole row, so these are applied after the blocks of instruments are together.
"""

import numpy as np

from marketbot_assets.features.operators.compiled import compiled
from marketbot_assets.normalization.window import Floats

NEEDED = 2  # known values below which a session has no scores


@compiled
def cross_rank(x: Floats, out: Floats) -> None:
    """Average rank among the session's known values, over their number, in (0, 1]."""
    rows, n = x.shape
    for t in range(rows):
        places = np.argsort(np.where(np.abs(x[t]) < np.inf, x[t], np.inf), kind="mergesort")
        many = 0
        for j in range(n):
            many += 1 if abs(x[t, j]) < np.inf else 0
        out[t] = np.nan
        i = 0
        while i < many:
            end = i
            while end + 1 < many and x[t, places[end + 1]] == x[t, places[i]]:
                end += 1
            for k in range(i, end + 1):
                out[t, places[k]] = 0.5 * ((i + 1) + (end + 1)) / many
            i = end + 1


@compiled
def cross_score(x: Floats, out: Floats) -> None:
    """Z-scores: less the session's mean, over its standard deviation (ddof 0); 0 where all are equal."""
    rows, n = x.shape
    for t in range(rows):
        total, many, newest = 0.0, 0.0, 0.0
        for j in range(n):
            if abs(x[t, j]) < np.inf:
                newest = x[t, j]
        for j in range(n):
            if abs(x[t, j]) < np.inf:
                total += x[t, j] - newest
                many += 1.0
        mean, square = total / many, 0.0
        for j in range(n):
            if abs(x[t, j]) < np.inf:
                square += ((x[t, j] - newest) - mean) ** 2
        spread = np.sqrt(square / many)
        for j in range(n):
            known = abs(x[t, j]) < np.inf and many >= NEEDED
            score = ((x[t, j] - newest) - mean) / spread if spread > 0.0 else 0.0
            out[t, j] = score if known else np.nan


@compiled
def cross_winsorize(x: Floats, out: Floats, share: float) -> None:
    """Values cut at the session's quantiles `share` and 1 - `share`, linear between neighbours."""
    rows, n = x.shape
    for t in range(rows):
        known = np.sort(x[t][np.abs(x[t]) < np.inf])
        if len(known) == 0:
            out[t] = np.nan
            continue
        low, high = _quantile(known, share), _quantile(known, 1.0 - share)
        for j in range(n):
            out[t, j] = min(max(x[t, j], low), high) if abs(x[t, j]) < np.inf else np.nan


@compiled
def _quantile(ordered: Floats, share: float) -> float:
    exact = share * (len(ordered) - 1)
    low = int(exact)
    if low + 1 >= len(ordered):
        return ordered[len(ordered) - 1]
    return ordered[low] + (ordered[low + 1] - ordered[low]) * (exact - low)


@compiled
def group_mean(x: Floats, groups: np.ndarray, out: Floats) -> None:
    """Mean of the known values of the instrument's group, for every member; unknown where the group has none. groups: (n,)."""
    rows, n = x.shape
    many = 0
    for j in range(n):
        many = max(many, groups[j] + 1)
    for t in range(rows):
        total, count = np.zeros(many), np.zeros(many)
        for j in range(n):
            if abs(x[t, j]) < np.inf:
                total[groups[j]] += x[t, j]
                count[groups[j]] += 1.0
        for j in range(n):
            g = groups[j]
            out[t, j] = total[g] / count[g] if count[g] > 0.0 else np.nan


@compiled
def cross_mean(x: Floats, out: Floats) -> None:
    """Mean of the session's known values, for every instrument."""
    rows, n = x.shape
    for t in range(rows):
        total, count = 0.0, 0.0
        for j in range(n):
            if abs(x[t, j]) < np.inf:
                total += x[t, j]
                count += 1.0
        out[t] = total / count if count > 0.0 else np.nan


@compiled
def cross_deviation(x: Floats, out: Floats) -> None:
    """Standard deviation of the session's known values (ddof 1), for every instrument; unknown with one value."""
    rows, n = x.shape
    for t in range(rows):
        total, count = 0.0, 0.0
        for j in range(n):
            if abs(x[t, j]) < np.inf:
                total += x[t, j]
                count += 1.0
        mean, square = total / count, 0.0
        for j in range(n):
            if abs(x[t, j]) < np.inf:
                square += (x[t, j] - mean) ** 2
        out[t] = np.sqrt(square / (count - 1.0)) if count > 1.0 else np.nan


@compiled
def cross_neutralize(x: Floats, y: Floats, out: Floats) -> None:
    """What a regression of x on 1 and y across the session's instruments leaves; unknown where either is."""
    rows, n = x.shape
    for t in range(rows):
        count, mx, my = 0.0, 0.0, 0.0
        for j in range(n):
            if abs(x[t, j]) < np.inf and abs(y[t, j]) < np.inf:
                count += 1.0
                mx += x[t, j]
                my += y[t, j]
        mx, my, xy, yy = mx / count, my / count, 0.0, 0.0
        for j in range(n):
            if abs(x[t, j]) < np.inf and abs(y[t, j]) < np.inf:
                xy += (x[t, j] - mx) * (y[t, j] - my)
                yy += (y[t, j] - my) ** 2
        slope = xy / yy if yy > 0.0 else 0.0
        for j in range(n):
            known = abs(x[t, j]) < np.inf and abs(y[t, j]) < np.inf and count >= NEEDED
            out[t, j] = (x[t, j] - mx) - slope * (y[t, j] - my) if known else np.nan
