"""The straight line through a window against time: slope, R2 and the newest residual. Pure; see `compiled` for the rules.

Windows are put together of runs, as in `rolling_sums`. Time counts sessions from the begin of the run, unknown ones included:
nothing of the line but its height depends on where time begins.
"""

import numpy as np

from marketbot_assets.features.operators.compiled import compiled
from marketbot_assets.features.operators.rolling_sums import MODE, NEXT, UNKNOWN, last_unknown, unknown_in
from marketbot_assets.normalization.window import Floats

TREND_PARTS = 3
# Rows of a room: 3 centre, 4 centre of the run before; from 5 on: sum, squares, sum by time, count, time, time's squares;
_OWN, _BEFORE = 5, 17  # 11 to 16 the same of the window; then by distance: the same of the rows before the run


def trend_room(window: int) -> int:
    """Rows of memory that rolling_trend needs for a run."""
    return _BEFORE + 6 * window


@compiled
def _add_known(x: Floats, t: int, time: float, room: Floats, to: int, onto: int) -> None:
    """The sums in the rows from `to` on: those from `onto` on and one session more."""
    for j in range(x.shape[1]):
        d = x[t, j] - room[3, j]
        room[to, j] = room[onto, j] + d
        room[to + 1, j] = room[onto + 1, j] + d * d
        room[to + 2, j] = room[onto + 2, j] + time * d


@compiled
def _add_counted(x: Floats, t: int, time: float, room: Floats, centre: int, to: int, onto: int) -> None:
    """The same where values may be unknown."""
    for j in range(x.shape[1]):
        d = x[t, j] - room[centre, j] if abs(x[t, j]) < np.inf else 0.0
        room[to, j] = room[onto, j] + d
        room[to + 1, j] = room[onto + 1, j] + d * d
        room[to + 2, j] = room[onto + 2, j] + time * d
    for j in range(x.shape[1]):
        one = 1.0 if abs(x[t, j]) < np.inf else 0.0
        room[to + 3, j] = room[onto + 3, j] + one
        room[to + 4, j] = room[onto + 4, j] + time * one
        room[to + 5, j] = room[onto + 5, j] + time * time * one


@compiled
def _begin(x: Floats, begin: int, back: int, room: Floats, counted: bool) -> None:
    """A run, and sums of the rows before it by their distance, up to `back`."""
    n = x.shape[1]
    room[4] = np.nan
    for distance in range(min(back, begin) + 1 if begin >= 0 else 0):
        missing = 0
        for j in range(n):
            known = abs(room[4, j]) < np.inf
            room[4, j] = room[4, j] if known else x[begin - distance, j]
            missing += 0 if abs(room[4, j]) < np.inf else 1
        if missing == 0:
            break
    for j in range(n):
        room[4, j] = room[4, j] if abs(room[4, j]) < np.inf else 0.0
    room[3] = room[4]
    room[_OWN : _OWN + 6] = 0.0
    room[_BEFORE : _BEFORE + 6] = 0.0
    for distance in range(1, back + 1):
        at = _BEFORE + 6 * distance
        if begin - distance < 0:
            room[at : at + 6] = room[at - 6 : at]
        elif counted:
            _add_counted(x, begin - distance, -np.float64(distance), room, 4, at, at - 6)
        else:
            _add_known(x, begin - distance, -np.float64(distance), room, at, at - 6)


@compiled
def _take_counted(x: Floats, t: int, time: float, room: Floats) -> None:
    """One session more of the run; its first known value becomes its centre."""
    for j in range(x.shape[1]):
        room[3, j] = x[t, j] if abs(x[t, j]) < np.inf and room[8, j] == 0.0 else room[3, j]
    _add_counted(x, t, time, room, 3, _OWN, _OWN)


@compiled
def _count_from_now_on(room: Floats, place: int, window: int) -> None:
    """Counts and times of a run in which all values were known until now."""
    room[4] = room[3]
    own, squares = 0.0, 0.0
    for k in range(place):
        own += k
        squares += k * k
    room[8], room[9], room[10] = np.float64(place), own, squares
    own, squares = 0.0, 0.0
    for distance in range(window):
        at = _BEFORE + 6 * distance
        own -= distance
        squares += distance * distance
        room[at + 3], room[at + 4], room[at + 5] = np.float64(distance), own, squares


@compiled
def _window_known(room: Floats, at: int) -> None:
    """Sums of the window, all of whose values are known."""
    for j in range(room.shape[1]):
        room[11, j] = room[5, j] + room[at, j]
        room[12, j] = room[6, j] + room[at + 1, j]
        room[13, j] = room[7, j] + room[at + 2, j]


@compiled
def _window_counted(room: Floats, at: int) -> None:
    """Sums of the window. Those of the rows before are brought to the run's own centre first."""
    for j in range(room.shape[1]):
        before = room[at + 3, j]
        shift = room[4, j] - room[3, j] if before > 0.0 else 0.0
        room[11, j] = room[5, j] + (room[at, j] + before * shift)
        room[12, j] = room[6, j] + (room[at + 1, j] + shift * (2.0 * room[at, j] + before * shift))
        room[13, j] = room[7, j] + (room[at + 2, j] + shift * room[at + 4, j])
    for j in range(room.shape[1]):
        room[14, j] = room[8, j] + room[at + 3, j]
        room[15, j] = room[9, j] + room[at + 4, j]
        room[16, j] = room[10, j] + room[at + 5, j]


@compiled
def _finish(room: Floats, x: Floats, t: int, time: float, least: int, spread_min: float, out: Floats, i: int) -> None:
    """One row of answers from the window's sums."""
    for j in range(room.shape[1]):
        c, k, kk = room[14, j], room[15, j], room[16, j]
        slope = (c * room[13, j] - k * room[11, j]) * (1.0 / (c * kk - k * k))
        left = (x[t, j] - room[3, j]) - (room[11, j] - slope * (k - time * c)) * (1.0 / c)
        some = (c >= least) & (c > 1.0)
        out[0, i, j] = slope if some else np.nan
        out[2, i, j] = left if some & (abs(x[t, j]) < np.inf) else np.nan
    for j in range(room.shape[1]):
        c, k, kk = room[14, j], room[15, j], room[16, j]
        ky, yy = c * room[13, j] - k * room[11, j], c * room[12, j] - room[11, j] * room[11, j]
        some = (c >= least) & (c > 1.0) & (yy > spread_min * spread_min * c * (c - 1.0))
        out[1, i, j] = ky * ky / ((c * kk - k * k) * yy) if some else np.nan


@compiled
def rolling_trend(
    x: Floats, first: int, number: int, state: Floats, out: Floats, window: int, least: int, spread_min: float
) -> None:
    """out[0]: slope per session, out[1]: R2, out[2]: newest value less the line. state: a room (`rolling_sums`), or nothing.

    R2 is NaN where the standard deviation is not above `spread_min`; the residual is NaN where the newest value is unknown.
    """
    room = state if state.shape[0] > 0 else np.zeros((_BEFORE + 6 * window, x.shape[1]))
    for t in range(first, x.shape[0]):
        place = (number + t) % window
        begin, resumed = t - place, room[NEXT, 0] != number + t
        if resumed:
            room[UNKNOWN, 0] = last_unknown(x, t, window, number)
        if unknown_in(x, t):
            room[UNKNOWN, 0] = np.float64(number + t + 1)
        counted = room[UNKNOWN, 0] > number + begin - window + 1
        if resumed or place == 0:
            room[MODE, 0] = 1.0 if counted else 0.0
            _begin(x, begin, window - 1 - place, room, counted)
            for i in range(max(begin, 0), t):
                if counted:
                    _take_counted(x, i, np.float64(i - begin), room)
                else:
                    _add_known(x, i, np.float64(i - begin), room, _OWN, _OWN)
        elif counted and room[MODE, 0] == 0.0:
            room[MODE, 0] = 1.0
            _count_from_now_on(room, place, window)
        at = _BEFORE + 6 * (window - 1 - place)
        if counted:
            _take_counted(x, t, np.float64(place), room)
            _window_counted(room, at)
        else:
            _add_known(x, t, np.float64(place), room, _OWN, _OWN)
            _window_known(room, at)
            _times_known(room, place, window)
        _finish(room, x, t, np.float64(place), least, spread_min, out, t - first)
        room[NEXT, 0] = np.float64(number + t + 1)


@compiled
def _times_known(room: Floats, place: int, window: int) -> None:
    """Count, sum and squares of the times of a window that is known as a whole."""
    own, squares = 0.0, 0.0
    for k in range(place - window + 1, place + 1):
        own += k
        squares += k * k
    room[14], room[15], room[16] = np.float64(window), own, squares
