"""Rolling sum, mean, count, standard deviation and exponentially weighted mean. Pure; see `compiled` for the common rules.

Sessions are taken in runs of one window, which begin at session numbers divisible by it. Every window is the end of one run and
the begin of the next: sums from a session to its run's end and from a run's begin on give those of every window between them, and
nothing is ever taken off a sum. So a bad tick leaves no trace, no state is needed, and the work of a session does not depend on
the window. Distances are taken from a value of the window itself, so that rounding errors stay below the window's length times
its square in units of the last place, and a window of equal values has a deviation of exactly zero.

`room`: memory for a run, handed over from call to call to save the work of beginning it again; it names the session for which it
is good, and without one the same bits come from the rows alone. Its rows are in `_SUM`. While all values are known, counts are
not kept and loops have no conditions; the sums have the same bits either way.
Not here: pairs of series (`rolling_pairs`), higher moments (`rolling_shape`).
"""

import numpy as np

from marketbot_assets.features.operators.compiled import RESTART, compiled
from marketbot_assets.normalization.window import Floats

COUNT_STATE, EWMA_STATE = 1, 3
SUM, MEAN, MOMENTS = 0, 1, 2
NEXT, UNKNOWN, MODE = (
    0,
    1,
    2,
)  # rows of a room: session it is good for, after the last unknown one, 1 where counts are kept
_SUM = 10  # 3 centre, 4 sum, 5 squares, 6 count, 7 centre of the run before, 8 and 9 for answers; then by distance: the same three


def sums_room(window: int) -> int:
    """Rows of memory that rolling_sums needs for a run."""
    return _SUM + 3 * window


@compiled
def unknown_in(x: Floats, t: int) -> bool:
    """Whether a row has a value that is not known."""
    many = 0
    for j in range(x.shape[1]):
        many += 0 if abs(x[t, j]) < np.inf else 1
    return many > 0


@compiled
def _begin_known(x: Floats, begin: int, back: int, room: Floats, what: int) -> None:
    """A run in which all values are known so far; sums of the rows before it by their distance, up to `back`."""
    for j in range(x.shape[1]):
        room[3, j] = 0.0 if what == SUM else x[begin, j]
    room[4:6] = 0.0
    room[_SUM : _SUM + 3] = 0.0
    for distance in range(1, back + 1):
        i, at = begin - distance, _SUM + 3 * distance
        for j in range(x.shape[1]):
            room[at, j] = (x[i, j] - room[3, j]) + room[at - 3, j]
        if what == MOMENTS:
            for j in range(x.shape[1]):
                room[at + 1, j] = (x[i, j] - room[3, j]) * (x[i, j] - room[3, j]) + room[at - 2, j]


@compiled
def _begin_counted(x: Floats, begin: int, back: int, room: Floats, what: int) -> None:
    """The same where some are not known. The centre is the run's first value, else the newest one before it, else zero."""
    n = x.shape[1]
    for j in range(n):
        room[7, j] = x[begin, j] if begin >= 0 and what != SUM else 0.0 if what == SUM else np.nan
    for distance in range(1, min(back, begin) + 1):
        missing = 0
        for j in range(n):
            known = abs(room[7, j]) < np.inf
            room[7, j] = room[7, j] if known else x[begin - distance, j]
            missing += 0 if known else 1
        if missing == 0:
            break
    for j in range(n):
        room[7, j] = room[7, j] if abs(room[7, j]) < np.inf else 0.0
        room[3, j] = room[7, j]
    room[4:7] = 0.0
    room[_SUM : _SUM + 3] = 0.0
    for distance in range(1, back + 1):
        i, at = begin - distance, _SUM + 3 * distance
        if i < 0:
            room[at : at + 3] = room[at - 3 : at]
            continue
        for j in range(n):
            d = x[i, j] - room[7, j] if abs(x[i, j]) < np.inf else 0.0
            room[at, j] = d + room[at - 3, j]
            room[at + 1, j] = d * d + room[at - 2, j]
        for j in range(n):
            room[at + 2, j] = room[at - 1, j] + (1.0 if abs(x[i, j]) < np.inf else 0.0)


@compiled
def _count_from_now_on(room: Floats, place: int, window: int) -> None:
    """Counts of a run in which all values were known until now."""
    room[7] = room[3]
    room[6] = np.float64(place)
    for distance in range(window):
        room[_SUM + 3 * distance + 2] = np.float64(distance)


@compiled
def _take_known(x: Floats, t: int, room: Floats, what: int) -> None:
    """One session more of the run."""
    for j in range(x.shape[1]):
        room[4, j] += x[t, j] - room[3, j]
    if what == MOMENTS:
        for j in range(x.shape[1]):
            room[5, j] += (x[t, j] - room[3, j]) * (x[t, j] - room[3, j])


@compiled
def _take_counted(x: Floats, t: int, room: Floats, what: int) -> None:
    """The same where some are not known; the first known one of a run becomes its centre."""
    if what != SUM:
        for j in range(x.shape[1]):
            room[3, j] = x[t, j] if abs(x[t, j]) < np.inf and room[6, j] == 0.0 else room[3, j]
    for j in range(x.shape[1]):
        d = x[t, j] - room[3, j] if abs(x[t, j]) < np.inf else 0.0
        room[4, j] += d
        room[5, j] += d * d
    for j in range(x.shape[1]):
        room[6, j] += 1.0 if abs(x[t, j]) < np.inf else 0.0


@compiled
def _answer_known(room: Floats, at: int, count: float, out: Floats, i: int, what: int) -> None:
    """One row of answers from the run's sums and those of the rows before it (`at`)."""
    one, less = 1.0 / count, 1.0 / (count - 1.0)
    if what == SUM:
        for j in range(room.shape[1]):
            out[0, i, j] = room[4, j] + room[at, j]
        return
    for j in range(room.shape[1]):
        out[0, i, j] = room[3, j] + (room[4, j] + room[at, j]) * one
    if what == MEAN:
        return
    for j in range(room.shape[1]):
        total = room[4, j] + room[at, j]
        square = ((room[5, j] + room[at + 1, j]) - total * total * one) * less
        out[1, i, j] = np.sqrt(0.0 if square <= 0.0 else square)


@compiled
def _answer_counted(room: Floats, at: int, least: int, out: Floats, i: int, what: int) -> None:
    """The same by counts. Sums of the rows before are brought to the run's own centre first."""
    for j in range(room.shape[1]):
        before = room[at + 2, j]
        shift = room[7, j] - room[3, j] if before > 0.0 else 0.0
        room[8, j] = room[4, j] + (room[at, j] + before * shift)
        room[9, j] = room[5, j] + (room[at + 1, j] + shift * (2.0 * room[at, j] + before * shift))
    if what == SUM:
        for j in range(room.shape[1]):
            out[0, i, j] = room[8, j] if room[6, j] + room[at + 2, j] >= least else np.nan
        return
    for j in range(room.shape[1]):
        count = room[6, j] + room[at + 2, j]
        mean = room[3, j] + room[8, j] * (1.0 / count)
        out[0, i, j] = mean if count >= least and count > 0.0 else np.nan
    if what == MEAN:
        return
    for j in range(room.shape[1]):
        count = room[6, j] + room[at + 2, j]
        square = (room[9, j] - room[8, j] * room[8, j] * (1.0 / count)) * (1.0 / (count - 1.0))
        square = 0.0 if square <= 0.0 else square
        out[1, i, j] = np.sqrt(square) if count >= least and count > 1.0 else np.nan


@compiled
def last_unknown(x: Floats, t: int, window: int, number: int) -> float:
    """Session number after the last row before t, of its window, with an unknown value; what is before the matrix is unknown."""
    for i in range(t - 1, max(t - window, -1), -1):
        if unknown_in(x, i):
            return np.float64(number + i + 1)
    return np.float64(number) if t - window + 1 < 0 else 0.0


@compiled
def rolling_sums(
    x: Floats, first: int, number: int, state: Floats, out: Floats, window: int, least: int, what: int
) -> None:
    """Of the known values of `window` sessions, out[0]: what 0: the sum; 1: the mean; 2: the mean,

    and in out[1] the standard deviation (ddof 1; NaN with one value). state: a room, or nothing.
    """
    room = state if state.shape[0] > 0 else np.zeros((_SUM + 3 * window, x.shape[1]))
    for t in range(first, x.shape[0]):
        place = (number + t) % window
        begin, resumed = t - place, room[NEXT, 0] != number + t
        if resumed:
            room[UNKNOWN, 0] = last_unknown(x, t, window, number)
        if unknown_in(x, t):
            room[UNKNOWN, 0] = np.float64(number + t + 1)
        counted = room[UNKNOWN, 0] > number + begin - window + 1 or window < least or window < 2
        if resumed or place == 0:
            room[MODE, 0] = 1.0 if counted else 0.0
            if counted:
                _begin_counted(x, begin, window - 1 - place, room, what)
            else:
                _begin_known(x, begin, window - 1 - place, room, what)
            for i in range(max(begin, 0), t):
                if counted:
                    _take_counted(x, i, room, what)
                else:
                    _take_known(x, i, room, what)
        elif counted and room[MODE, 0] == 0.0:
            room[MODE, 0] = 1.0
            _count_from_now_on(room, place, window)
        at = _SUM + 3 * (window - 1 - place)
        if counted:
            _take_counted(x, t, room, what)
            _answer_counted(room, at, least, out, t - first, what)
        else:
            _take_known(x, t, room, what)
            _answer_known(room, at, np.float64(window), out, t - first, what)
        room[NEXT, 0] = np.float64(number + t + 1)


@compiled
def rolling_count(x: Floats, first: int, number: int, state: Floats, out: Floats, window: int) -> None:
    """Number of known values of `window` sessions. state (1, n): the count."""
    rows, n = x.shape
    count = state[0]
    nothing = np.full(n, np.nan)
    for t in range(first, rows):
        new = x[t]
        old = x[t - window] if t >= window else nothing
        row = out[t - first]
        for j in range(n):
            count[j] += (1.0 if abs(new[j]) < np.inf else 0.0) - (1.0 if abs(old[j]) < np.inf else 0.0)
            row[j] = count[j]


@compiled
def newest_known(x: Floats, t: int, window: int, found: Floats) -> None:
    """The newest known value of each window that ends at row t, NaN where there is none; (n,)."""
    n = x.shape[1]
    for k in range(min(window, t + 1)):
        tap, missing = x[t - k], 0
        for j in range(n):
            value = tap[j] if k == 0 or not abs(found[j]) < np.inf else found[j]
            found[j] = value
            missing += 0 if abs(value) < np.inf else 1
        if missing == 0:
            break


@compiled
def rolling_ewma(
    x: Floats, first: int, number: int, state: Floats, out: Floats, window: int, halflife: float, least: int
) -> None:
    """Mean of `window` sessions with weights 0.5 ** (age / halflife) over the known values. state (3, n): sum, weights, count.

    The window makes the memory finite, so the value does not depend on where the data begin.
    """
    rows, n = x.shape
    total, weight, count = state[0], state[1], state[2]
    decay = 0.5 ** (1.0 / halflife)
    last = decay**window
    nothing = np.full(n, np.nan)
    for t in range(first, rows):
        if (number + t) % RESTART == 0:
            state[:] = 0.0
            for k in range(min(window, t + 1)):
                tap, w = x[t - k], decay**k
                for j in range(n):
                    known = abs(tap[j]) < np.inf
                    total[j] += w * tap[j] if known else 0.0
                    weight[j] += w if known else 0.0
                    count[j] += 1.0 if known else 0.0
        else:
            new = x[t]
            old = x[t - window] if t >= window else nothing
            for j in range(n):
                comes, goes = abs(new[j]) < np.inf, abs(old[j]) < np.inf
                many = count[j] + (1.0 if comes else 0.0) - (1.0 if goes else 0.0)
                one = decay * total[j] + (new[j] if comes else 0.0) - (last * old[j] if goes else 0.0)
                two = decay * weight[j] + (1.0 if comes else 0.0) - (last if goes else 0.0)
                total[j] = one if many > 0.0 else 0.0
                weight[j] = two if many > 0.0 else 0.0
                count[j] = many
        row = out[t - first]
        for j in range(n):
            row[j] = total[j] / weight[j] if count[j] >= least and count[j] > 0.0 else np.nan
