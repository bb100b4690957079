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
def slide(s: Floats, at: int, held: Floats, comes: int, goes: int, counted: int) -> None:
    """One row of running sums (row `at`, what rounding took below it): a term comes, one goes; 0 where nothing is counted.

    Rows are named by number and loops are short: a view of a row costs more than the work on a block's row.
    """
    for j in range(s.shape[1]):
        one, left = two_sum(s[at, j], s[at + 1, j], held[comes, j])
        one, left = two_sum(one, left, -held[goes, j])
        s[at, j] = one if s[counted, j] > 0.0 else 0.0
        s[at + 1, j] = left if s[counted, j] > 0.0 else 0.0


@compiled
def slide_product(s: Floats, at: int, held: Floats, a: int, b: int, c: int, d: int, counted: int) -> None:
    """One row of running sums of products: rows a * b come, rows c * d go."""
    for j in range(s.shape[1]):
        one, left = two_sum(s[at, j], s[at + 1, j], held[a, j] * held[b, j])
        one, left = two_sum(one, left, -(held[c, j] * held[d, j]))
        s[at, j] = one if s[counted, j] > 0.0 else 0.0
        s[at + 1, j] = left if s[counted, j] > 0.0 else 0.0


@compiled
def change_count(x: Floats, t: int, by: float, s: Floats, counted: int) -> None:
    """Counts the known values of a row of x, or takes them off; no row, no change."""
    if t >= 0:
        for j in range(x.shape[1]):
            s[counted, j] += by if abs(x[t, j]) < np.inf else 0.0


@compiled
def known_or_zero(x: Floats, t: int, held: Floats, row: int) -> None:
    """A row of x, 0 where it is unknown or where there is no such row."""
    if t < 0:
        held[row] = 0.0
        return
    for j in range(x.shape[1]):
        held[row, j] = x[t, j] if abs(x[t, j]) < np.inf else 0.0


@compiled
def rolling_sum(
    x: Floats, first: int, number: int, state: Floats, out: Floats, window: int, least: int, average: bool
) -> None:
    """Sum (or mean) of the known values of `window` sessions. state (3, n): sum, what rounding took, count."""
    rows, n = x.shape
    held = np.empty((2, n))
    for t in range(first, rows):
        if (number + t) % RESTART == 0:
            state[:] = 0.0
            for k in range(min(window, t + 1)):
                for j in range(n):
                    term = x[t - k, j] if abs(x[t - k, j]) < np.inf else 0.0
                    state[0, j], state[1, j] = two_sum(state[0, j], state[1, j], term)
                change_count(x, t - k, 1.0, state, 2)
        else:
            known_or_zero(x, t, held, 0)
            known_or_zero(x, t - window, held, 1)
            change_count(x, t, 1.0, state, 2)
            change_count(x, t - window, -1.0, state, 2)
            slide(state, 0, held, 0, 1, 2)
        i = t - first
        if average:
            for j in range(n):
                out[i, j] = (state[0, j] + state[1, j]) / state[2, j] if state[2, j] >= least else np.nan
        else:
            for j in range(n):
                out[i, j] = state[0, j] + state[1, j] if state[2, j] >= least else np.nan


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
def _distances(x: Floats, t: int, state: Floats, held: Floats, row: int) -> None:
    """How far a row of x is from the centre; 0 where it is unknown or where there is no such row."""
    if t < 0:
        held[row] = 0.0
        return
    for j in range(x.shape[1]):
        held[row, j] = x[t, j] - state[0, j] if abs(x[t, j]) < np.inf else 0.0


@compiled
def _moments_slide(x: Floats, t: int, window: int, state: Floats, held: Floats) -> None:
    """The value of session t comes, that of session t - window goes."""
    n = x.shape[1]
    for j in range(n):
        state[0, j] = x[t, j] if abs(x[t, j]) < np.inf and state[5, j] == 0.0 else state[0, j]
    for j in range(n):
        run = state[6, j] + 1.0 if x[t, j] == state[7, j] else 1.0
        state[6, j] = run if abs(x[t, j]) < np.inf else state[6, j]
        state[7, j] = x[t, j] if abs(x[t, j]) < np.inf else state[7, j]
    change_count(x, t, 1.0, state, 5)
    change_count(x, t - window, -1.0, state, 5)
    _distances(x, t, state, held, 0)
    _distances(x, t - window, state, held, 1)
    slide(state, 1, held, 0, 1, 5)
    slide_product(state, 3, held, 0, 0, 1, 1, 5)


@compiled
def _moments_far(s: Floats) -> int:
    """Number of columns whose centre is far from the window's mean."""
    far = 0
    for j in range(s.shape[1]):
        square = (s[1, j] + s[2, j]) * (s[1, j] + s[2, j])
        far += 1 if square > FAR * ((s[3, j] + s[4, j]) * s[5, j] - square) and s[6, j] < s[5, j] else 0
    return far


@compiled
def rolling_moments(x: Floats, first: int, number: int, state: Floats, out: Floats, window: int, least: int) -> None:
    """out[0]: mean, out[1]: standard deviation (ddof 1; NaN with one value) of the known values of `window` sessions.

    state (8, n): centre, sum and sum of squares about it, each with what rounding took, count, run of equal values, newest value.
    """
    rows, n = x.shape
    held = np.empty((2, n))
    for t in range(first, rows):
        if t == 0 or (number + t) % RESTART == 0:
            _moments_anew(x, t, window, state)
        else:
            _moments_slide(x, t, window, state, held)
        if _moments_far(state) > 0:
            _centre_anew(x, t, window, state)
        i = t - first
        for j in range(n):
            c = state[5, j]
            out[0, i, j] = state[0, j] + (state[1, j] + state[2, j]) / c if c >= least and c > 0.0 else np.nan
        for j in range(n):
            c, first_sum = state[5, j], state[1, j] + state[2, j]
            square = ((state[3, j] + state[4, j]) - first_sum * first_sum / c) / (c - 1.0)
            square = 0.0 if state[6, j] >= c or not square > 0.0 else square
            out[1, i, j] = np.sqrt(square) if c >= least and c > 1.0 else np.nan


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
