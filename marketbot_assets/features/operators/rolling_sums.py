"""Rolling sum, mean, count, standard deviation and exponentially weighted mean. Pure; see `compiled` for the common rules.

Running sums carry what rounding took (Knuth's two-sum), so a bad tick leaves no trace when it leaves the window; second moments
are taken about a value of the window, anew when that has become far, and a window of equal values has a deviation of exactly
zero. Not here: pairs of series (`rolling_pairs`), higher moments (`rolling_shape`).
"""

import numpy as np

from marketbot_assets.features.operators.compiled import DIRECT, RESTART, compiled
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
def rolling_sum(
    x: Floats, first: int, number: int, state: Floats, out: Floats, window: int, least: int, average: bool
) -> None:
    """Sum (or mean) of the known values of `window` sessions. state (3, n): sum, what rounding took, count."""
    rows, n = x.shape
    total, rest, count = state[0], state[1], state[2]
    nothing = np.full(n, np.nan)
    for t in range(first, rows):
        if window <= DIRECT or (number + t) % RESTART == 0:
            total[:] = 0.0
            rest[:] = 0.0
            count[:] = 0.0
            for k in range(min(window, t + 1)):
                tap = x[t - k]
                if window <= DIRECT:
                    for j in range(n):
                        known = abs(tap[j]) < np.inf
                        total[j] += tap[j] if known else 0.0
                        count[j] += 1.0 if known else 0.0
                else:
                    for j in range(n):
                        known = abs(tap[j]) < np.inf
                        total[j], rest[j] = two_sum(total[j], rest[j], tap[j] if known else 0.0)
                        count[j] += 1.0 if known else 0.0
        else:
            new = x[t]
            old = x[t - window] if t >= window else nothing
            for j in range(n):
                comes, goes = abs(new[j]) < np.inf, abs(old[j]) < np.inf
                many = count[j] + (1.0 if comes else 0.0) - (1.0 if goes else 0.0)
                one, left = two_sum(total[j], rest[j], new[j] if comes else 0.0)
                one, left = two_sum(one, left, -old[j] if goes else 0.0)
                total[j] = one if many > 0.0 else 0.0
                rest[j] = left if many > 0.0 else 0.0
                count[j] = many
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
def rolling_moments(x: Floats, first: int, number: int, state: Floats, out: Floats, window: int, least: int) -> None:
    """out[0]: mean, out[1]: standard deviation (ddof 1; NaN with one value) of the known values of `window` sessions.

    state (8, n): centre, sum and sum of squares about it, each with what rounding took, count, run of equal values, newest value.
    """
    rows, n = x.shape
    centre, s1, r1, s2, r2, count, run, newest = (
        state[0], state[1], state[2], state[3], state[4], state[5], state[6], state[7],
    )  # fmt: skip
    nothing = np.full(n, np.nan)
    for t in range(first, rows):
        if t == 0 or window <= DIRECT or (number + t) % RESTART == 0:
            newest_known(x, t, window, newest)
            for j in range(n):
                centre[j] = newest[j] if abs(newest[j]) < np.inf else 0.0
                s1[j], r1[j], s2[j], r2[j], count[j] = 0.0, 0.0, 0.0, 0.0, 0.0
            for k in range(min(window, t + 1)):
                tap = x[t - k]
                if window <= DIRECT:
                    for j in range(n):
                        known = abs(tap[j]) < np.inf
                        d = tap[j] - centre[j] if known else 0.0
                        s1[j] += d
                        s2[j] += d * d
                        count[j] += 1.0 if known else 0.0
                else:
                    for j in range(n):
                        known = abs(tap[j]) < np.inf
                        d = tap[j] - centre[j] if known else 0.0
                        s1[j], r1[j] = two_sum(s1[j], r1[j], d)
                        s2[j], r2[j] = two_sum(s2[j], r2[j], d * d)
                        count[j] += 1.0 if known else 0.0
            if window > DIRECT:
                equal_run(x, t, window, newest, run)
        else:
            new = x[t]
            old = x[t - window] if t >= window else nothing
            for j in range(n):
                comes, goes = abs(new[j]) < np.inf, abs(old[j]) < np.inf
                centre[j] = new[j] if comes and count[j] == 0.0 else centre[j]
                run[j] = (run[j] + 1.0 if new[j] == newest[j] else 1.0) if comes else run[j]
                newest[j] = new[j] if comes else newest[j]
                many = count[j] + (1.0 if comes else 0.0) - (1.0 if goes else 0.0)
                d, e = new[j] - centre[j] if comes else 0.0, old[j] - centre[j] if goes else 0.0
                one, left = two_sum(s1[j], r1[j], d)
                one, left = two_sum(one, left, -e)
                s1[j], r1[j] = one if many > 0.0 else 0.0, left if many > 0.0 else 0.0
                one, left = two_sum(s2[j], r2[j], d * d)
                one, left = two_sum(one, left, -(e * e))
                s2[j], r2[j] = one if many > 0.0 else 0.0, left if many > 0.0 else 0.0
                count[j] = many
        far = 0
        if window > DIRECT:
            for j in range(n):
                first_sum = s1[j] + r1[j]
                inner = (s2[j] + r2[j]) * count[j] - first_sum * first_sum
                far += 1 if first_sum * first_sum > FAR * inner and run[j] < count[j] else 0
        if far > 0:
            _centre_anew(x, t, window, state)
        mean, deviation = out[0, t - first], out[1, t - first]
        for j in range(n):
            c = count[j]
            enough = c >= least and c > 0.0
            first_sum = s1[j] + r1[j]
            mean[j] = centre[j] + first_sum / c if enough else np.nan
            square = ((s2[j] + r2[j]) - first_sum * first_sum / c) / (c - 1.0)
            square = 0.0 if run[j] >= c or not square > 0.0 else square
            deviation[j] = np.sqrt(square) if enough and c > 1.0 else np.nan


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
