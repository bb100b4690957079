"""Rolling correlation, slope and residual deviation of one series on another. Pure; see `compiled` for the common rules.

A session counts when both values are known. Sums carry what rounding took and are taken about values of the window.
Not here: the slope on time (`rolling_trend`).
"""

import numpy as np

from marketbot_assets.features.operators.compiled import RESTART, compiled
from marketbot_assets.features.operators.rolling_sums import FAR, slide, slide_product, two_sum
from marketbot_assets.normalization.window import Floats

PAIR_STATE = 17
CORRELATION, SLOPE, RESIDUAL = 0, 1, 2


@compiled
def _both(x: float, y: float) -> bool:
    """Whether both are known."""
    return abs(x) < np.inf and abs(y) < np.inf


@compiled
def _spreads(s: Floats, xx: Floats, yy: Floats, xy: Floats) -> None:
    """Sums about the means: 0 centre x, 1 centre y, 2 sx, 4 sy, 6 sxx, 8 syy, 10 sxy, 12 count, 13-16 runs; one row each."""
    sx, rx, sy, ry, count, same_x, same_y = s[2], s[3], s[4], s[5], s[12], s[13], s[15]
    sxx, rxx, syy, ryy, sxy, rxy = s[6], s[7], s[8], s[9], s[10], s[11]
    for j in range(s.shape[1]):
        value = (sxx[j] + rxx[j]) - (sx[j] + rx[j]) * (sx[j] + rx[j]) / count[j]
        xx[j] = 0.0 if same_x[j] >= count[j] or not value > 0.0 else value
    for j in range(s.shape[1]):
        value = (syy[j] + ryy[j]) - (sy[j] + ry[j]) * (sy[j] + ry[j]) / count[j]
        yy[j] = 0.0 if same_y[j] >= count[j] or not value > 0.0 else value
    for j in range(s.shape[1]):
        xy[j] = (sxy[j] + rxy[j]) - (sx[j] + rx[j]) * (sy[j] + ry[j]) / count[j]


@compiled
def _finish(count: Floats, spreads: Floats, what: int, least: int, spread_min: float, row: Floats) -> None:
    """One row of answers from the sums about the means."""
    xx, yy, xy = spreads[0], spreads[1], spreads[2]
    if what == CORRELATION:
        for j in range(row.shape[0]):
            limit = spread_min * spread_min * (count[j] - 1.0)
            value = xy[j] / np.sqrt(xx[j] * yy[j])
            there = xx[j] > limit and yy[j] > limit and abs(value) < np.inf and count[j] >= least and count[j] > 1.0
            value = -1.0 if value < -1.0 else value
            value = 1.0 if value > 1.0 else value
            row[j] = value if there else np.nan
    elif what == SLOPE:
        for j in range(row.shape[0]):
            there = yy[j] > 0.0 and count[j] >= least and count[j] > 1.0
            row[j] = xy[j] / yy[j] if there else np.nan
    else:
        for j in range(row.shape[0]):
            left = xx[j] - xy[j] * xy[j] / yy[j] if yy[j] > 0.0 else np.nan
            value = np.sqrt((left if left > 0.0 else 0.0) / (count[j] - 2.0))
            row[j] = value if yy[j] > 0.0 and count[j] >= least and count[j] > 2.0 else np.nan


@compiled
def _same(new: Floats, other: Floats, count: Floats, centre: Floats, run: Floats, newest: Floats) -> None:
    """Centre, run of equal values and newest value of one of two series whose next pair is new and other."""
    for j in range(new.shape[0]):
        centre[j] = new[j] if _both(new[j], other[j]) and count[j] == 0.0 else centre[j]
    for j in range(new.shape[0]):
        run[j] = (run[j] + 1.0 if new[j] == newest[j] else 1.0) if _both(new[j], other[j]) else run[j]
    for j in range(new.shape[0]):
        newest[j] = new[j] if _both(new[j], other[j]) else newest[j]


@compiled
def _apart(new: Floats, other: Floats, centre: Floats, found: Floats) -> None:
    """How far a value is from its centre; 0 where the pair is not known."""
    for j in range(new.shape[0]):
        found[j] = new[j] - centre[j] if _both(new[j], other[j]) else 0.0


@compiled
def _slide(p: Floats, q: Floats, u: Floats, v: Floats, s: Floats, held: Floats) -> None:
    """The pair p, q comes, the pair u, v goes. held (4, n): room."""
    count, d, e, f, g = s[12], held[0], held[1], held[2], held[3]
    _same(p, q, count, s[0], s[13], s[14])
    _same(q, p, count, s[1], s[15], s[16])
    for j in range(p.shape[0]):
        count[j] += (1.0 if _both(p[j], q[j]) else 0.0) - (1.0 if _both(u[j], v[j]) else 0.0)
    _apart(p, q, s[0], d)
    _apart(q, p, s[1], e)
    _apart(u, v, s[0], f)
    _apart(v, u, s[1], g)
    slide(s[2], s[3], d, f, count)
    slide(s[4], s[5], e, g, count)
    slide_product(s[6], s[7], d, d, f, f, count)
    slide_product(s[8], s[9], e, e, g, g, count)
    slide_product(s[10], s[11], d, e, f, g, count)


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
        for j in range(n):
            known = _both(p[j], q[j])
            d, e = p[j] - cx[j] if known else 0.0, q[j] - cy[j] if known else 0.0
            sx[j], rx[j] = two_sum(sx[j], rx[j], d)
            sy[j], ry[j] = two_sum(sy[j], ry[j], e)
            xx[j], rxx[j] = two_sum(xx[j], rxx[j], d * d)
            yy[j], ryy[j] = two_sum(yy[j], ryy[j], e * e)
            xy[j], rxy[j] = two_sum(xy[j], rxy[j], d * e)
            count[j] += 1.0 if known else 0.0
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
def _many_far(total: Floats, rest: Floats, square: Floats, left: Floats, count: Floats, run: Floats) -> int:
    """Number of columns whose centre is far from the mean."""
    far = 0
    for j in range(total.shape[0]):
        first = (total[j] + rest[j]) * (total[j] + rest[j])
        far += 1 if first > FAR * ((square[j] + left[j]) * count[j] - first) and run[j] < count[j] else 0
    return far


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

    2: standard deviation of what the slope leaves (n - 2). state (17, n): see `_spreads`.
    """
    n = x.shape[1]
    nothing, held, spreads = np.full(n, np.nan), np.empty((4, n)), np.empty((3, n))
    for t in range(first, x.shape[0]):
        if t == 0 or (number + t) % RESTART == 0:
            _anew(x, y, t, window, state)
        else:
            gone = t - window
            u, v = (x[gone], y[gone]) if gone >= 0 else (nothing, nothing)
            _slide(x[t], y[t], u, v, state, held)
            far = _many_far(state[2], state[3], state[6], state[7], state[12], state[13])
            if far + _many_far(state[4], state[5], state[8], state[9], state[12], state[15]) > 0:
                _centre_anew(x, y, t, window, state)
        _spreads(state, spreads[0], spreads[1], spreads[2])
        _finish(state[12], spreads, what, least, spread_min, out[t - first])
