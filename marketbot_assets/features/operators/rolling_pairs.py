"""Rolling correlation, slope and residual deviation of one series on another. Pure; see `compiled` for the common rules.

A session counts when both values are known. Windows are put together of runs, as in `rolling_sums`, about values of the window.
Not here: the slope on time (`rolling_trend`).
"""

import numpy as np

from marketbot_assets.features.operators.compiled import compiled
from marketbot_assets.features.operators.rolling_sums import MODE, NEXT, UNKNOWN
from marketbot_assets.normalization.window import Floats

CORRELATION, SLOPE, RESIDUAL = 0, 1, 2
# Rows of a room: 3, 4 centres; 5, 6 sums; 7, 8 squares; 9 products; 10 count; 11, 12 centres of the run before;
_OWN, _BEFORE = (
    5,
    17,
)  # 13 to 16 sums about the means (x, y, both) and count; then by distance: sums as from 5 on, and count


def pair_room(window: int) -> int:
    """Rows of memory that rolling_pair needs for a run."""
    return _BEFORE + 6 * window


@compiled
def _both(x: float, y: float) -> bool:
    """Whether both are known."""
    return (abs(x) < np.inf) & (abs(y) < np.inf)  # without a branch, so that loops vectorize


@compiled
def _unknown_in(x: Floats, y: Floats, t: int) -> bool:
    """Whether a row has a pair that is not known."""
    many = 0
    for j in range(x.shape[1]):
        many += 0 if _both(x[t, j], y[t, j]) else 1
    return many > 0


@compiled
def _add_known(x: Floats, y: Floats, t: int, room: Floats, to: int, onto: int) -> None:
    """The sums in the rows from `to` on: those from `onto` on and one session more."""
    for j in range(x.shape[1]):
        d = x[t, j] - room[3, j]
        room[to, j] = room[onto, j] + d
        room[to + 2, j] = room[onto + 2, j] + d * d
    for j in range(x.shape[1]):
        e = y[t, j] - room[4, j]
        room[to + 1, j] = room[onto + 1, j] + e
        room[to + 3, j] = room[onto + 3, j] + e * e
    for j in range(x.shape[1]):
        room[to + 4, j] = room[onto + 4, j] + (x[t, j] - room[3, j]) * (y[t, j] - room[4, j])


@compiled
def _add_counted(x: Floats, y: Floats, t: int, room: Floats, centre: int, to: int, onto: int) -> None:
    """The same where pairs may be unknown; centres in rows `centre` and the next."""
    for j in range(x.shape[1]):
        d = x[t, j] - room[centre, j] if _both(x[t, j], y[t, j]) else 0.0
        room[to, j] = room[onto, j] + d
        room[to + 2, j] = room[onto + 2, j] + d * d
    for j in range(x.shape[1]):
        e = y[t, j] - room[centre + 1, j] if _both(x[t, j], y[t, j]) else 0.0
        room[to + 1, j] = room[onto + 1, j] + e
        room[to + 3, j] = room[onto + 3, j] + e * e
    for j in range(x.shape[1]):
        product = (x[t, j] - room[centre, j]) * (y[t, j] - room[centre + 1, j])
        room[to + 4, j] = room[onto + 4, j] + (product if _both(x[t, j], y[t, j]) else 0.0)
    for j in range(x.shape[1]):
        room[to + 5, j] = room[onto + 5, j] + (1.0 if _both(x[t, j], y[t, j]) else 0.0)


@compiled
def _begin_known(x: Floats, y: Floats, begin: int, back: int, room: Floats) -> None:
    """A run in which all pairs are known so far; sums of the rows before it by their distance, up to `back`."""
    room[3], room[4] = x[begin], y[begin]
    room[_OWN : _OWN + 5] = 0.0
    room[_BEFORE : _BEFORE + 6] = 0.0
    for distance in range(1, back + 1):
        at = _BEFORE + 6 * distance
        _add_known(x, y, begin - distance, room, at, at - 6)


@compiled
def _begin_counted(x: Floats, y: Floats, begin: int, back: int, room: Floats) -> None:
    """The same where some are not known. The centre is the run's first pair, else the newest one before it, else zero."""
    n = x.shape[1]
    room[11:13] = np.nan
    for distance in range(min(back, begin) + 1 if begin >= 0 else 0):
        missing = 0
        for j in range(n):
            take = _both(x[begin - distance, j], y[begin - distance, j]) & (not room[11, j] == room[11, j])
            room[12, j] = y[begin - distance, j] if take else room[12, j]
            room[11, j] = x[begin - distance, j] if take else room[11, j]
            missing += 0 if room[11, j] == room[11, j] else 1
        if missing == 0:
            break
    for j in range(n):
        room[12, j] = room[12, j] if room[11, j] == room[11, j] else 0.0
        room[11, j] = room[11, j] if room[11, j] == room[11, j] else 0.0
    room[3:5] = room[11:13]
    room[_OWN : _OWN + 6] = 0.0
    room[_BEFORE : _BEFORE + 6] = 0.0
    for distance in range(1, back + 1):
        at = _BEFORE + 6 * distance
        if begin - distance < 0:
            room[at : at + 6] = room[at - 6 : at]
        else:
            _add_counted(x, y, begin - distance, room, 11, at, at - 6)


@compiled
def _count_from_now_on(room: Floats, place: int, window: int) -> None:
    """Counts of a run in which all pairs were known until now."""
    room[11:13] = room[3:5]
    room[10] = np.float64(place)
    for distance in range(window):
        room[_BEFORE + 6 * distance + 5] = np.float64(distance)


@compiled
def _take_counted(x: Floats, y: Floats, t: int, room: Floats) -> None:
    """One session more of the run; its first known pair becomes its centre."""
    for j in range(x.shape[1]):
        take = _both(x[t, j], y[t, j]) & (room[10, j] == 0.0)
        room[3, j] = x[t, j] if take else room[3, j]
        room[4, j] = y[t, j] if take else room[4, j]
    _add_counted(x, y, t, room, 3, _OWN, _OWN)


@compiled
def _spreads_known(room: Floats, at: int, count: float) -> None:
    """Sums about the means, of x, of y and of both, in rows 13 to 15; those of the rows before begin at `at`."""
    one = 1.0 / count
    for j in range(room.shape[1]):
        sx, sy = room[5, j] + room[at, j], room[6, j] + room[at + 1, j]
        room[13, j] = (room[7, j] + room[at + 2, j]) - sx * sx * one
        room[14, j] = (room[8, j] + room[at + 3, j]) - sy * sy * one
        room[15, j] = (room[9, j] + room[at + 4, j]) - sx * sy * one


@compiled
def _spreads_counted(room: Floats, at: int) -> None:
    """The same by counts (row 16). Sums of the rows before are brought to the run's own centres first."""
    for j in range(room.shape[1]):
        before, sx, sy = room[at + 5, j], room[at, j], room[at + 1, j]
        a = room[11, j] - room[3, j] if before > 0.0 else 0.0
        b = room[12, j] - room[4, j] if before > 0.0 else 0.0
        one = 1.0 / (room[10, j] + before)
        own_x, own_y = room[5, j] + (sx + before * a), room[6, j] + (sy + before * b)
        xx = room[7, j] + (room[at + 2, j] + a * (2.0 * sx + before * a))
        yy = room[8, j] + (room[at + 3, j] + b * (2.0 * sy + before * b))
        xy = room[9, j] + (room[at + 4, j] + (a * sy + b * (sx + before * a)))
        room[13, j] = xx - own_x * own_x * one
        room[14, j] = yy - own_y * own_y * one
        room[15, j] = xy - own_x * own_y * one
        room[16, j] = room[10, j] + before


@compiled
def _finish(room: Floats, what: int, least: int, spread_min: float, out: Floats, i: int) -> None:
    """One row of answers from the sums about the means."""
    if what == CORRELATION:
        for j in range(room.shape[1]):
            count, limit = room[16, j], spread_min * spread_min * (room[16, j] - 1.0)
            value = room[15, j] / np.sqrt(room[13, j] * room[14, j])
            some = (room[13, j] > limit) & (room[14, j] > limit) & (count >= least) & (count > 1.0)
            value = -1.0 if value < -1.0 else value
            value = 1.0 if value > 1.0 else value
            out[i, j] = value if some & (abs(value) < np.inf) else np.nan
    elif what == SLOPE:
        for j in range(room.shape[1]):
            there = room[14, j] > 0.0 and room[16, j] >= least and room[16, j] > 1.0
            out[i, j] = room[15, j] / room[14, j] if there else np.nan
    else:
        for j in range(room.shape[1]):
            xx = room[13, j] if room[13, j] > 0.0 else 0.0
            left = xx - room[15, j] * room[15, j] / room[14, j] if room[14, j] > 0.0 else np.nan
            value = np.sqrt((left if left > 0.0 else 0.0) / (room[16, j] - 2.0))
            out[i, j] = value if room[14, j] > 0.0 and room[16, j] >= least and room[16, j] > 2.0 else np.nan


@compiled
def _last_unknown(x: Floats, y: Floats, t: int, window: int, number: int) -> float:
    """Session number after the last row before t, of its window, with an unknown pair; what is before the matrix is unknown."""
    for i in range(t - 1, max(t - window, -1), -1):
        if _unknown_in(x, y, i):
            return np.float64(number + i + 1)
    return np.float64(number) if t - window + 1 < 0 else 0.0


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

    2: standard deviation of what the slope leaves (n - 2). state: a room (`rolling_sums`), or nothing.
    """
    room = state if state.shape[0] > 0 else np.zeros((_BEFORE + 6 * window, x.shape[1]))
    for t in range(first, x.shape[0]):
        place = (number + t) % window
        begin, resumed = t - place, room[NEXT, 0] != number + t
        if resumed:
            room[UNKNOWN, 0] = _last_unknown(x, y, t, window, number)
        if _unknown_in(x, y, t):
            room[UNKNOWN, 0] = np.float64(number + t + 1)
        counted = room[UNKNOWN, 0] > number + begin - window + 1
        if resumed or place == 0:
            room[MODE, 0] = 1.0 if counted else 0.0
            if counted:
                _begin_counted(x, y, begin, window - 1 - place, room)
            else:
                _begin_known(x, y, begin, window - 1 - place, room)
                room[16] = np.float64(window)
            for i in range(max(begin, 0), t):
                if counted:
                    _take_counted(x, y, i, room)
                else:
                    _add_known(x, y, i, room, _OWN, _OWN)
        elif counted and room[MODE, 0] == 0.0:
            room[MODE, 0] = 1.0
            _count_from_now_on(room, place, window)
        at = _BEFORE + 6 * (window - 1 - place)
        if counted:
            _take_counted(x, y, t, room)
            _spreads_counted(room, at)
        else:
            _add_known(x, y, t, room, _OWN, _OWN)
            _spreads_known(room, at, np.float64(window))
        _finish(room, what, least, spread_min, out, t - first)
        room[NEXT, 0] = np.float64(number + t + 1)
