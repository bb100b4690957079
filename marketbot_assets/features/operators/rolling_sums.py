"""Rolling sum, mean, count, standard deviation and exponentially weighted mean. Pure; see `compiled` for the common rules.

Running sums carry what rounding took (Knuth's two-sum), so a bad tick leaves no trace when it leaves the window; second moments
are taken about a value of the window, anew when that has become far, and a window of equal values has a deviation of exactly
zero. Not here: pairs of series (`rolling_pairs`), higher moments (`rolling_shape`).
"""

import numpy as np

from marketbot_assets.features.operators.compiled import RESTART, compiled
from marketbot_assets.normalization.window import Floats

FAR = 1e6  # squared distance from centre to mean, in variances, at which the centre is moved
SUM_STATE, COUNT_STATE, MOMENT_STATE, EWMA_STATE = 3, 1, 8, 3


@compiled
def two_sum(total: float, rest: float, term: float) -> tuple[float, float]:
    """(sum, what rounding took) after one more term; the value is their sum (Knuth 1969, Neumaier 1974)."""
    new = total + term
    part = new - total
    return new, rest + ((total - (new - part)) + (term - part))


@compiled
def slide(total: Floats, rest: Floats, comes: Floats, goes: Floats, count: Floats) -> None:
    """One row of running sums: a term comes, one goes; nothing remains where nothing is counted. Short, so that it vectorizes."""
    for j in range(total.shape[0]):
        one, left = two_sum(total[j], rest[j], comes[j])
        one, left = two_sum(one, left, -goes[j])
        total[j] = one if count[j] > 0.0 else 0.0
        rest[j] = left if count[j] > 0.0 else 0.0


@compiled
def slide_product(total: Floats, rest: Floats, a: Floats, b: Floats, c: Floats, d: Floats, count: Floats) -> None:
    """One row of running sums of products: a * b comes, c * d goes."""
    for j in range(total.shape[0]):
        one, left = two_sum(total[j], rest[j], a[j] * b[j])
        one, left = two_sum(one, left, -(c[j] * d[j]))
        total[j] = one if count[j] > 0.0 else 0.0
        rest[j] = left if count[j] > 0.0 else 0.0


@compiled
def rolling_sum(
    x: Floats, first: int, number: int, state: Floats, out: Floats, window: int, least: int, average: bool
) -> None:
    """Sum (or mean) of the known values of `window` sessions. state (3, n): sum, what rounding took, count."""
    rows, n = x.shape
    total, rest, count = state[0], state[1], state[2]
    nothing, comes, goes = np.full(n, np.nan), np.empty(n), np.empty(n)
    for t in range(first, rows):
        if (number + t) % RESTART == 0:
            state[:] = 0.0
            for k in range(min(window, t + 1)):
                tap = x[t - k]
                for j in range(n):
                    known = abs(tap[j]) < np.inf
                    total[j], rest[j] = two_sum(total[j], rest[j], tap[j] if known else 0.0)
                    count[j] += 1.0 if known else 0.0
        else:
            new = x[t]
            old = x[t - window] if t >= window else nothing
            for j in range(n):
                one, two = abs(new[j]) < np.inf, abs(old[j]) < np.inf
                comes[j], goes[j] = new[j] if one else 0.0, old[j] if two else 0.0
                count[j] += (1.0 if one else 0.0) - (1.0 if two else 0.0)
            slide(total, rest, comes, goes, count)
        row = out[t - first]
        if average:
            for j in range(n):
                row[j] = (total[j] + rest[j]) / count[j] if count[j] >= least else np.nan
        else:
            for j in range(n):
                row[j] = total[j] + rest[j] if count[j] >= least else np.nan


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
def equal_run(x: Floats, t: int, window: int, newest: Floats, run: Floats) -> None:
    """How many known values in a row, from the newest one back, equal it; (n,)."""
    n = x.shape[1]
    going = np.ones(n)
    run[:] = 0.0
    for k in range(min(window, t + 1)):
        tap = x[t - k]
        for j in range(n):
            known = abs(tap[j]) < np.inf
            going[j] = 0.0 if known and tap[j] != newest[j] else going[j]
            run[j] += going[j] if known else 0.0


@compiled
def _centre_anew(x: Floats, t: int, window: int, state: Floats) -> None:
    """Sums of rolling_moments about the newest value, for the columns whose centre is far from the window's mean."""
    for j in range(x.shape[1]):
        first_sum = state[1, j] + state[2, j]
        inner = (state[3, j] + state[4, j]) * state[5, j] - first_sum * first_sum
        if first_sum * first_sum > FAR * inner and state[6, j] < state[5, j]:
            state[0, j] = state[7, j]
            state[1:5, j] = 0.0
            for k in range(min(window, t + 1)):
                if abs(x[t - k, j]) < np.inf:
                    d = x[t - k, j] - state[0, j]
                    state[1, j], state[2, j] = two_sum(state[1, j], state[2, j], d)
                    state[3, j], state[4, j] = two_sum(state[3, j], state[4, j], d * d)


@compiled
def _moments_anew(x: Floats, t: int, window: int, state: Floats) -> None:
    """All sums of the window that ends at session t, about its newest known value."""
    n = x.shape[1]
    centre, s1, r1, s2, r2, count = state[0], state[1], state[2], state[3], state[4], state[5]
    newest_known(x, t, window, state[7])
    for j in range(n):
        centre[j] = state[7, j] if abs(state[7, j]) < np.inf else 0.0
    state[1:6] = 0.0
    for k in range(min(window, t + 1)):
        tap = x[t - k]
        for j in range(n):
            known = abs(tap[j]) < np.inf
            d = tap[j] - centre[j] if known else 0.0
            s1[j], r1[j] = two_sum(s1[j], r1[j], d)
            s2[j], r2[j] = two_sum(s2[j], r2[j], d * d)
            count[j] += 1.0 if known else 0.0
    equal_run(x, t, window, state[7], state[6])


@compiled
def distances(new: Floats, old: Floats, centre: Floats, comes: Floats, goes: Floats) -> None:
    """How far the value that comes and the one that goes are from the centre; 0 where unknown."""
    for j in range(new.shape[0]):
        comes[j] = new[j] - centre[j] if abs(new[j]) < np.inf else 0.0
        goes[j] = old[j] - centre[j] if abs(old[j]) < np.inf else 0.0


@compiled
def _moments_slide(new: Floats, old: Floats, state: Floats, comes: Floats, goes: Floats) -> None:
    """A value comes, one goes."""
    centre, count, run, newest = state[0], state[5], state[6], state[7]
    for j in range(new.shape[0]):
        centre[j] = new[j] if abs(new[j]) < np.inf and count[j] == 0.0 else centre[j]
    for j in range(new.shape[0]):
        run[j] = (run[j] + 1.0 if new[j] == newest[j] else 1.0) if abs(new[j]) < np.inf else run[j]
    for j in range(new.shape[0]):
        newest[j] = new[j] if abs(new[j]) < np.inf else newest[j]
    for j in range(new.shape[0]):
        count[j] += (1.0 if abs(new[j]) < np.inf else 0.0) - (1.0 if abs(old[j]) < np.inf else 0.0)
    distances(new, old, centre, comes, goes)
    slide(state[1], state[2], comes, goes, count)
    slide_product(state[3], state[4], comes, comes, goes, goes, count)


@compiled
def _moments_far(state: Floats) -> int:
    """Number of columns whose centre is far from the window's mean."""
    s1, r1, s2, r2, count, run = state[1], state[2], state[3], state[4], state[5], state[6]
    far = 0
    for j in range(state.shape[1]):
        square = (s1[j] + r1[j]) * (s1[j] + r1[j])
        far += 1 if square > FAR * ((s2[j] + r2[j]) * count[j] - square) and run[j] < count[j] else 0
    return far


@compiled
def rolling_moments(x: Floats, first: int, number: int, state: Floats, out: Floats, window: int, least: int) -> None:
    """out[0]: mean, out[1]: standard deviation (ddof 1; NaN with one value) of the known values of `window` sessions.

    state (8, n): centre, sum and sum of squares about it, each with what rounding took, count, run of equal values, newest value.
    """
    rows, n = x.shape
    nothing, comes, goes = np.full(n, np.nan), np.empty(n), np.empty(n)
    centre, s1, r1, s2, r2, count, run = state[0], state[1], state[2], state[3], state[4], state[5], state[6]
    for t in range(first, rows):
        if t == 0 or (number + t) % RESTART == 0:
            _moments_anew(x, t, window, state)
        else:
            _moments_slide(x[t], x[t - window] if t >= window else nothing, state, comes, goes)
        if _moments_far(state) > 0:
            _centre_anew(x, t, window, state)
        mean, deviation = out[0, t - first], out[1, t - first]
        for j in range(n):
            enough = count[j] >= least and count[j] > 0.0
            mean[j] = centre[j] + (s1[j] + r1[j]) / count[j] if enough else np.nan
        for j in range(n):
            c, first_sum = count[j], s1[j] + r1[j]
            square = ((s2[j] + r2[j]) - first_sum * first_sum / c) / (c - 1.0)
            square = 0.0 if run[j] >= c or not square > 0.0 else square
            deviation[j] = np.sqrt(square) if c >= least and c > 1.0 else np.nan


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
