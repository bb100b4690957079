"""Rolling correlation, slope and residual deviation of one series on another. Pure; see `compiled` for the common rules.

A session counts when both values are known. Sums carry what rounding took and are taken about values of the window.
Not here: the slope on time (`rolling_trend`).
"""

import numpy as np

from marketbot_assets.features.operators.compiled import DIRECT, RESTART, compiled
from marketbot_assets.features.operators.rolling_sums import FAR, two_sum
from marketbot_assets.normalization.window import Floats

PAIR_STATE = 17
CORRELATION, SLOPE, RESIDUAL = 0, 1, 2


@compiled
def _both(x: float, y: float) -> bool:
    """Whether both are known."""
    return abs(x) < np.inf and abs(y) < np.inf


@compiled
def _finish(s: Floats, what: int, least: int, spread_min: float, row: Floats) -> None:
    """One row of answers from the sums: 0 centre x, 1 centre y, 2 sx, 4 sy, 6 sxx, 8 syy, 10 sxy, 12 count, 13-16 runs."""
    for j in range(row.shape[0]):
        c = s[12, j]
        sx, sy = s[2, j] + s[3, j], s[4, j] + s[5, j]
        xx, yy = (s[6, j] + s[7, j]) - sx * sx / c, (s[8, j] + s[9, j]) - sy * sy / c
        xy = (s[10, j] + s[11, j]) - sx * sy / c
        xx = 0.0 if s[13, j] >= c or not xx > 0.0 else xx
        yy = 0.0 if s[15, j] >= c or not yy > 0.0 else yy
        enough = c >= least and c > 1.0
        if what == CORRELATION:
            limit = spread_min * spread_min * (c - 1.0)
            value = xy / np.sqrt(xx * yy) if xx > limit and yy > limit else np.nan
            value = min(max(value, -1.0), 1.0) if abs(value) < np.inf else np.nan
        elif what == SLOPE:
            value = xy / yy if yy > 0.0 else np.nan
        else:
            left = xx - xy * xy / yy if yy > 0.0 else np.nan
            value = np.sqrt((left if left > 0.0 else 0.0) / (c - 2.0)) if yy > 0.0 and c > 2.0 else np.nan
        row[j] = value if enough else np.nan


@compiled
def _slide(x: Floats, y: Floats, t: int, window: int, s: Floats) -> None:
    """The pair of session t comes, the one of session t - window goes."""
    n = x.shape[1]
    p, q = x[t], y[t]
    nothing = np.full(n, np.nan)
    u, v = (x[t - window], y[t - window]) if t >= window else (nothing, nothing)
    cx, cy, sx, rx, sy, ry = s[0], s[1], s[2], s[3], s[4], s[5]
    xx, rxx, yy, ryy, xy, rxy, count = s[6], s[7], s[8], s[9], s[10], s[11], s[12]
    for j in range(n):
        comes, first = _both(p[j], q[j]), count[j] == 0.0
        cx[j] = p[j] if comes and first else cx[j]
        cy[j] = q[j] if comes and first else cy[j]
        s[13, j] = (s[13, j] + 1.0 if p[j] == s[14, j] else 1.0) if comes else s[13, j]
        s[15, j] = (s[15, j] + 1.0 if q[j] == s[16, j] else 1.0) if comes else s[15, j]
        s[14, j] = p[j] if comes else s[14, j]
        s[16, j] = q[j] if comes else s[16, j]
    for j in range(n):
        comes, goes = _both(p[j], q[j]), _both(u[j], v[j])
        many = count[j] + (1.0 if comes else 0.0) - (1.0 if goes else 0.0)
        d, e = p[j] - cx[j] if comes else 0.0, q[j] - cy[j] if comes else 0.0
        f, g = u[j] - cx[j] if goes else 0.0, v[j] - cy[j] if goes else 0.0
        some = many > 0.0
        a, b = two_sum(sx[j], rx[j], d)
        a, b = two_sum(a, b, -f)
        sx[j], rx[j] = a if some else 0.0, b if some else 0.0
        a, b = two_sum(sy[j], ry[j], e)
        a, b = two_sum(a, b, -g)
        sy[j], ry[j] = a if some else 0.0, b if some else 0.0
        a, b = two_sum(xx[j], rxx[j], d * d)
        a, b = two_sum(a, b, -(f * f))
        xx[j], rxx[j] = a if some else 0.0, b if some else 0.0
        a, b = two_sum(yy[j], ryy[j], e * e)
        a, b = two_sum(a, b, -(g * g))
        yy[j], ryy[j] = a if some else 0.0, b if some else 0.0
        a, b = two_sum(xy[j], rxy[j], d * e)
        a, b = two_sum(a, b, -(f * g))
        xy[j], rxy[j] = a if some else 0.0, b if some else 0.0
        count[j] = many


@compiled
def _anew(x: Floats, y: Floats, t: int, window: int, s: Floats) -> None:
    """All sums of the window that ends at session t, about its newest pair."""
    n = x.shape[1]
    s[2:] = 0.0
    cx, cy, sx, rx, sy, ry = s[0], s[1], s[2], s[3], s[4], s[5]
    xx, rxx, yy, ryy, xy, rxy, count = s[6], s[7], s[8], s[9], s[10], s[11], s[12]
    cx[:] = np.nan
    for k in range(min(window, t + 1)):
        p, q, missing = x[t - k], y[t - k], 0
        for j in range(n):
            take = not cx[j] == cx[j] and _both(p[j], q[j])
            cx[j] = p[j] if take else cx[j]
            cy[j] = q[j] if take else cy[j]
            missing += 0 if cx[j] == cx[j] else 1
        if missing == 0:
            break
    for j in range(n):
        cy[j] = cy[j] if cx[j] == cx[j] else 0.0
        cx[j] = cx[j] if cx[j] == cx[j] else 0.0
    for k in range(min(window, t + 1)):
        p, q = x[t - k], y[t - k]
        if window <= DIRECT:
            for j in range(n):
                known = _both(p[j], q[j])
                d, e = p[j] - cx[j] if known else 0.0, q[j] - cy[j] if known else 0.0
                sx[j] += d
                sy[j] += e
                xx[j] += d * d
                yy[j] += e * e
                xy[j] += d * e
                count[j] += 1.0 if known else 0.0
        else:
            for j in range(n):
                known = _both(p[j], q[j])
                d, e = p[j] - cx[j] if known else 0.0, q[j] - cy[j] if known else 0.0
                sx[j], rx[j] = two_sum(sx[j], rx[j], d)
                sy[j], ry[j] = two_sum(sy[j], ry[j], e)
                xx[j], rxx[j] = two_sum(xx[j], rxx[j], d * d)
                yy[j], ryy[j] = two_sum(yy[j], ryy[j], e * e)
                xy[j], rxy[j] = two_sum(xy[j], rxy[j], d * e)
                count[j] += 1.0 if known else 0.0
    if window > DIRECT:
        _runs(x, y, t, window, s)


@compiled
def _runs(x: Floats, y: Floats, t: int, window: int, s: Floats) -> None:
    """How many pairs in a row, from the newest one back, have its x (row 13) and its y (row 15); the newest values beside."""
    n = x.shape[1]
    s[14], s[16] = s[0], s[1]
    same_x, same_y = np.ones(n), np.ones(n)
    for k in range(min(window, t + 1)):
        p, q = x[t - k], y[t - k]
        for j in range(n):
            known = _both(p[j], q[j])
            same_x[j] = 0.0 if known and p[j] != s[14, j] else same_x[j]
            same_y[j] = 0.0 if known and q[j] != s[16, j] else same_y[j]
            s[13, j] += same_x[j] if known else 0.0
            s[15, j] += same_y[j] if known else 0.0


@compiled
def _far(s: Floats, j: int, at: int) -> bool:
    """Whether the centre of x (at 0) or y (at 1) is far from the mean of its known values."""
    first, square = s[2 + 2 * at, j] + s[3 + 2 * at, j], s[6 + 2 * at, j] + s[7 + 2 * at, j]
    return first * first > FAR * (square * s[12, j] - first * first) and s[13 + 2 * at, j] < s[12, j]


@compiled
def _centre_anew(x: Floats, y: Floats, t: int, window: int, s: Floats) -> None:
    """Sums about the newest pair, for the columns where a centre is far from the window's mean."""
    for j in range(x.shape[1]):
        if not (_far(s, j, 0) or _far(s, j, 1)):
            continue
        s[0, j], s[1, j] = s[14, j], s[16, j]
        s[2:12, j] = 0.0
        for k in range(min(window, t + 1)):
            if _both(x[t - k, j], y[t - k, j]):
                d, e = x[t - k, j] - s[0, j], y[t - k, j] - s[1, j]
                s[2, j], s[3, j] = two_sum(s[2, j], s[3, j], d)
                s[4, j], s[5, j] = two_sum(s[4, j], s[5, j], e)
                s[6, j], s[7, j] = two_sum(s[6, j], s[7, j], d * d)
                s[8, j], s[9, j] = two_sum(s[8, j], s[9, j], e * e)
                s[10, j], s[11, j] = two_sum(s[10, j], s[11, j], d * e)


@compiled
def rolling_pair(
    x: Floats,
    y: Floats,
    first: int,
    number: int,
    state: Floats,
    out: Floats,
    window: int,
    least: int,
    what: int,
    spread_min: float,
) -> None:
    """What 0: correlation of x and y, NaN where a standard deviation is not above `spread_min`; 1: slope of x on y;

    2: standard deviation of what the slope leaves (n - 2). state (17, n): see `_finish`.
    """
    for t in range(first, x.shape[0]):
        if t == 0 or window <= DIRECT or (number + t) % RESTART == 0:
            _anew(x, y, t, window, state)
        else:
            _slide(x, y, t, window, state)
            _centre_anew(x, y, t, window, state)
        _finish(state, what, least, spread_min, out[t - first])
