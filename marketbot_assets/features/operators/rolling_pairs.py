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
    return (abs(x) < np.inf) & (abs(y) < np.inf)  # without a branch, so that loops vectorize


@compiled
def _spreads(s: Floats, held: Floats) -> None:
    """Sums about the means, of x, of y and of both: rows 0 to 2 of held.

    s: 0 centre x, 1 centre y, 2 sx, 4 sy, 6 sxx, 8 syy, 10 sxy (what rounding took below each), 12 count, 13-16 runs.
    """
    for j in range(s.shape[1]):
        value = (s[6, j] + s[7, j]) - (s[2, j] + s[3, j]) * (s[2, j] + s[3, j]) / s[12, j]
        held[0, j] = 0.0 if s[13, j] >= s[12, j] or not value > 0.0 else value
    for j in range(s.shape[1]):
        value = (s[8, j] + s[9, j]) - (s[4, j] + s[5, j]) * (s[4, j] + s[5, j]) / s[12, j]
        held[1, j] = 0.0 if s[15, j] >= s[12, j] or not value > 0.0 else value
    for j in range(s.shape[1]):
        held[2, j] = (s[10, j] + s[11, j]) - (s[2, j] + s[3, j]) * (s[4, j] + s[5, j]) / s[12, j]


@compiled
def _finish(s: Floats, held: Floats, what: int, least: int, spread_min: float, out: Floats, i: int) -> None:
    """One row of answers from the sums about the means."""
    if what == CORRELATION:
        for j in range(s.shape[1]):
            count, limit = s[12, j], spread_min * spread_min * (s[12, j] - 1.0)
            value = held[2, j] / np.sqrt(held[0, j] * held[1, j])
            there = held[0, j] > limit and held[1, j] > limit and abs(value) < np.inf and count >= least and count > 1.0
            value = -1.0 if value < -1.0 else value
            value = 1.0 if value > 1.0 else value
            out[i, j] = value if there else np.nan
    elif what == SLOPE:
        for j in range(s.shape[1]):
            there = held[1, j] > 0.0 and s[12, j] >= least and s[12, j] > 1.0
            out[i, j] = held[2, j] / held[1, j] if there else np.nan
    else:
        for j in range(s.shape[1]):
            left = held[0, j] - held[2, j] * held[2, j] / held[1, j] if held[1, j] > 0.0 else np.nan
            value = np.sqrt((left if left > 0.0 else 0.0) / (s[12, j] - 2.0))
            out[i, j] = value if held[1, j] > 0.0 and s[12, j] >= least and s[12, j] > 2.0 else np.nan


@compiled
def _same(x: Floats, y: Floats, t: int, s: Floats, centre: int, run: int) -> None:
    """Centre, run of equal values and newest value (the row below the run's) of x, whose next pair is that of session t."""
    for j in range(x.shape[1]):
        s[centre, j] = x[t, j] if _both(x[t, j], y[t, j]) and s[12, j] == 0.0 else s[centre, j]
    for j in range(x.shape[1]):
        known = _both(x[t, j], y[t, j])
        longer = s[run, j] + 1.0 if x[t, j] == s[run + 1, j] else 1.0
        s[run, j] = longer if known else s[run, j]
        s[run + 1, j] = x[t, j] if known else s[run + 1, j]


@compiled
def _apart(x: Floats, y: Floats, t: int, s: Floats, centre: int, held: Floats, row: int) -> None:
    """How far x is from its centre; 0 where the pair is not known or there is no such session."""
    if t < 0:
        held[row] = 0.0
        return
    for j in range(x.shape[1]):
        held[row, j] = x[t, j] - s[centre, j] if _both(x[t, j], y[t, j]) else 0.0


@compiled
def _slide(x: Floats, y: Floats, t: int, window: int, s: Floats, held: Floats) -> None:
    """The pair of session t comes, that of session t - window goes. held (4, n): room."""
    gone = t - window
    _same(x, y, t, s, 0, 13)
    _same(y, x, t, s, 1, 15)
    for j in range(x.shape[1]):
        s[12, j] += 1.0 if _both(x[t, j], y[t, j]) else 0.0
    if gone >= 0:
        for j in range(x.shape[1]):
            s[12, j] -= 1.0 if _both(x[gone, j], y[gone, j]) else 0.0
    _apart(x, y, t, s, 0, held, 0)
    _apart(y, x, t, s, 1, held, 1)
    _apart(x, y, gone, s, 0, held, 2)
    _apart(y, x, gone, s, 1, held, 3)
    slide(s, 2, held, 0, 2, 12)
    slide(s, 4, held, 1, 3, 12)
    slide_product(s, 6, held, 0, 0, 2, 2, 12)
    slide_product(s, 8, held, 1, 1, 3, 3, 12)
    slide_product(s, 10, held, 0, 1, 2, 3, 12)


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
def _many_far(s: Floats, at: int) -> int:
    """Number of columns in which `_far` holds."""
    far = 0
    for j in range(s.shape[1]):
        first = s[2 + 2 * at, j] + s[3 + 2 * at, j]
        rest = (s[6 + 2 * at, j] + s[7 + 2 * at, j]) * s[12, j] - first * first
        far += 1 if first * first > FAR * rest and s[13 + 2 * at, j] < s[12, j] else 0
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
    held = np.empty((4, x.shape[1]))
    for t in range(first, x.shape[0]):
        if t == 0 or (number + t) % RESTART == 0:
            _anew(x, y, t, window, state)
        else:
            _slide(x, y, t, window, state, held)
            if _many_far(state, 0) + _many_far(state, 1) > 0:
                _centre_anew(x, y, t, window, state)
        _spreads(state, held)
        _finish(state, held, what, least, spread_min, out, t - first)
