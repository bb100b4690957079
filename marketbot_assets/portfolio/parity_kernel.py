"""Compiled risk budgeting on S = L L' + diag(d): coordinate sweeps, then damped Newton steps. Pure; compiled on first use.

Minimizes x'Sx/2 - sum of b_i ln x_i (Spinu 2013). A sweep solves one weight after the other exactly (Griveau-Billion, Richard and
Roncalli 2013) and costs O(n k); a Newton step solves with H = L L' + diag(d + b / x^2) through the k x k Woodbury matrix and
costs O(n k^2). Sweeps are safe from afar, Newton steps are quick nearby. Without fastmath: every sum has one order.
Not here: which names and budgets, and whether the answer may be used (`risk_parity` measures it again in plain numpy).
"""

from collections.abc import Callable

import numba
import numpy as np

from marketbot_assets.portfolio.inputs import Floats

LANES = 4
FIRST_SWEEPS, MORE_SWEEPS = 2, 5
NEWTON_STEPS, HALVINGS = 40, 60
NEAR_EDGE, OVERSHOOT = 0.95, 0.1


def _sweep(loadings: Floats, specific: Floats, variance: Floats, budgets: Floats, x: Floats, factor: Floats) -> None:
    """One pass of exact coordinate steps; x (n,) and factor = L'x (k,) are updated, k a multiple of LANES."""
    n, k = loadings.shape
    for i in range(n):
        s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
        for j in range(0, k, 4):
            s0 += loadings[i, j] * factor[j]
            s1 += loadings[i, j + 1] * factor[j + 1]
            s2 += loadings[i, j + 2] * factor[j + 2]
            s3 += loadings[i, j + 3] * factor[j + 3]
        rest = ((s0 + s1) + (s2 + s3)) - (variance[i] - specific[i]) * x[i]
        root = np.sqrt(rest * rest + 4.0 * variance[i] * budgets[i])
        # Of the two forms of the positive root the one without cancellation.
        new = 2.0 * budgets[i] / (rest + root) if rest > 0.0 else (root - rest) / (2.0 * variance[i])
        move = new - x[i]
        for j in range(k):
            factor[j] += loadings[i, j] * move
        x[i] = new


def _slopes(loadings: Floats, specific: Floats, budgets: Floats, x: Floats, factor: Floats, slope: Floats) -> float:
    """Factor = L'x, slope = Sx - b / x; returns the largest error, absolute and relative to the budget, of x_i (Sx)_i."""
    n, k = loadings.shape
    factor[:] = 0.0
    for i in range(n):
        for j in range(k):
            factor[j] += loadings[i, j] * x[i]
    worst = 0.0
    for i in range(n):
        s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
        for j in range(0, k, 4):
            s0 += loadings[i, j] * factor[j]
            s1 += loadings[i, j + 1] * factor[j + 1]
            s2 += loadings[i, j + 2] * factor[j + 2]
            s3 += loadings[i, j + 3] * factor[j + 3]
        slope[i] = ((s0 + s1) + (s2 + s3)) + specific[i] * x[i] - budgets[i] / x[i]
        error = abs(x[i] * slope[i]) / budgets[i]
        if not error < np.inf:
            return np.nan
        worst = max(worst, error)
    return worst


def _direction(loadings: Floats, weight: Floats, slope: Floats, matrix: Floats, side: Floats, step: Floats) -> bool:
    """Step = -(L L' + diag(1 / weight))^-1 slope by Woodbury and Cholesky; False when the matrix is not positive."""
    n, k = loadings.shape
    matrix[:, :] = 0.0
    side[:] = 0.0
    # Four names at a time: the lower triangle, in blocks of LANES columns, is read and written once for all of them.
    whole = n - n % 4
    for i in range(0, whole, 4):
        for a in range(k):
            s0, s1 = weight[i] * loadings[i, a], weight[i + 1] * loadings[i + 1, a]
            s2, s3 = weight[i + 2] * loadings[i + 2, a], weight[i + 3] * loadings[i + 3, a]
            side[a] += (s0 * slope[i] + s1 * slope[i + 1]) + (s2 * slope[i + 2] + s3 * slope[i + 3])
            for b in range((a // LANES + 1) * LANES):
                matrix[a, b] += (s0 * loadings[i, b] + s1 * loadings[i + 1, b]) + (
                    s2 * loadings[i + 2, b] + s3 * loadings[i + 3, b]
                )
    for i in range(whole, n):
        for a in range(k):
            scaled = weight[i] * loadings[i, a]
            side[a] += scaled * slope[i]
            for b in range(a + 1):
                matrix[a, b] += scaled * loadings[i, b]
    for a in range(k):
        matrix[a, a] += 1.0
    for a in range(k):
        for b in range(a + 1):
            value = matrix[a, b]
            for c in range(b):
                value -= matrix[a, c] * matrix[b, c]
            if a == b:
                if not value > 0.0:
                    return False
                matrix[a, a] = np.sqrt(value)
            else:
                matrix[a, b] = value / matrix[b, b]
    for a in range(k):
        value = side[a]
        for c in range(a):
            value -= matrix[a, c] * side[c]
        side[a] = value / matrix[a, a]
    for a in range(k - 1, -1, -1):
        value = side[a]
        for c in range(a + 1, k):
            value -= matrix[c, a] * side[c]
        side[a] = value / matrix[a, a]
    for i in range(n):
        s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
        for j in range(0, k, 4):
            s0 += loadings[i, j] * side[j]
            s1 += loadings[i, j + 1] * side[j + 1]
            s2 += loadings[i, j + 2] * side[j + 2]
            s3 += loadings[i, j + 3] * side[j + 3]
        step[i] = weight[i] * (((s0 + s1) + (s2 + s3)) - slope[i])
    return True


def _length(loadings: Floats, specific: Floats, budgets: Floats, x: Floats, factor: Floats, step: Floats) -> float:
    """A step length in (0, 1] that keeps x positive and along which the function falls; 0 when there is none."""
    n, k = loadings.shape
    quadratic, linear, start, lowest = 0.0, 0.0, 0.0, 0.0
    moved = np.zeros(k)
    for i in range(n):
        for j in range(k):
            moved[j] += loadings[i, j] * step[i]
        ratio = step[i] / x[i]
        lowest = min(lowest, ratio)
        start += budgets[i] * ratio
        quadratic += specific[i] * step[i] * step[i]
        linear += specific[i] * step[i] * x[i]
    for j in range(k):
        quadratic += moved[j] * moved[j]
        linear += moved[j] * factor[j]
    begin = linear - start
    if not begin < 0.0:
        return 0.0
    length = 1.0 if lowest > -NEAR_EDGE else -NEAR_EDGE / lowest
    for _ in range(HALVINGS):
        slope = linear + length * quadratic
        for i in range(n):
            slope -= budgets[i] * step[i] / (x[i] + length * step[i])
        if slope <= -OVERSHOOT * begin:
            return length
        length *= 0.5
    return 0.0


def _settle(
    loadings: Floats, specific: Floats, budgets: Floats, x: Floats, tolerance: float, rounds: int
) -> tuple[float, int, int]:
    """(error, sweeps, Newton steps); x (n,) is the start and becomes the answer. loadings (n, k), k a multiple of LANES.

    The error is the largest |x_i (Sx)_i - b_i| / b_i; NaN when the numbers ran away.
    """
    n, k = loadings.shape
    variance = specific.copy()
    for i in range(n):
        for j in range(k):
            variance[i] += loadings[i, j] * loadings[i, j]
    factor, side, matrix = np.zeros(k), np.zeros(k), np.zeros((k, k))
    slope, step, weight = np.zeros(n), np.zeros(n), np.zeros(n)
    error = _slopes(loadings, specific, budgets, x, factor, slope)
    sweeps, steps, best = 0, 0, np.inf
    for turn in range(rounds):
        for _ in range(FIRST_SWEEPS if turn == 0 else MORE_SWEEPS):
            _sweep(loadings, specific, variance, budgets, x, factor)
            sweeps += 1
        error = _slopes(loadings, specific, budgets, x, factor, slope)
        for _ in range(NEWTON_STEPS):
            if not error > tolerance:
                return error, sweeps, steps
            for i in range(n):
                weight[i] = 1.0 / (specific[i] + budgets[i] / (x[i] * x[i]))
            if not _direction(loadings, weight, slope, matrix, side, step):
                break
            length = _length(loadings, specific, budgets, x, factor, step)
            if length == 0.0:
                break
            for i in range(n):
                x[i] += length * step[i]
            steps += 1
            error = _slopes(loadings, specific, budgets, x, factor, slope)
        # A round that no longer halves the error has reached what the numbers can give.
        if not error <= 0.5 * best:
            break
        best = error
    return error, sweeps, steps


def _parity(root: Floats, specific: Floats, budgets: Floats, tolerance: float, rounds: int) -> Floats:
    """X (n,) with x_i (Sx)_i = b_i / sum of b for S = root'root + diag(specific), root (k, n); 0 where there is no budget.

    In units of each name's own volatility, so that the problem has no scale. All NaN for numbers that are not finite, negative,
    no budget at all, and a budget without variance.
    """
    k, n = root.shape
    answer, spread, names = np.full(n, np.nan), np.zeros(n), np.zeros(n, dtype=np.int64)
    total, many, square = 0.0, 0, 0.0
    for i in range(n):
        square += specific[i]
        if not (specific[i] >= 0.0 and budgets[i] >= 0.0):
            return answer
        spread[i] = specific[i]
        total += budgets[i]
        if budgets[i] > 0.0:
            names[many] = i
            many += 1
    for j in range(k):
        for i in range(n):
            spread[i] += root[j, i] * root[j, i]
    for i in range(n):
        square += spread[i]
        if budgets[i] > 0.0 and not spread[i] > 0.0:
            return answer
    if not (many > 0 and total < np.inf and square < np.inf):
        return answer
    loadings = np.zeros((many, max(LANES, (k + LANES - 1) // LANES * LANES)))
    own, share, x = np.zeros(many), np.zeros(many), np.zeros(many)
    for place in range(many):
        i = names[place]
        own[place] = specific[i] / spread[i]
        spread[i] = 1.0 / np.sqrt(spread[i])
        share[place] = budgets[i] / total
        x[place] = np.sqrt(share[place])
        for j in range(k):
            loadings[place, j] = root[j, i] * spread[i]
    _scale(loadings, own, x)
    _settle(loadings, own, share, x, tolerance, rounds)
    answer[:] = 0.0
    for place in range(many):
        answer[names[place]] = x[place] * spread[names[place]]
    return answer


def _scale(loadings: Floats, specific: Floats, x: Floats) -> None:
    """Divide x by the root of x'Sx, where that is positive."""
    n, k = loadings.shape
    factor, risk = np.zeros(k), 0.0
    for i in range(n):
        risk += specific[i] * x[i] * x[i]
        for j in range(k):
            factor[j] += loadings[i, j] * x[i]
    for j in range(k):
        risk += factor[j] * factor[j]
    if risk > 0.0:
        for i in range(n):
            x[i] /= np.sqrt(risk)


def _compiled(function: Callable[..., object]) -> Callable[..., object]:
    """The machine code of a kernel, kept beside the source; where no folder can be written it is compiled per process."""
    try:
        return numba.njit(cache=True, error_model="numpy")(function)
    except RuntimeError:
        return numba.njit(error_model="numpy")(function)


for _part in (_sweep, _slopes, _direction, _length, _scale, _settle):
    globals()[_part.__name__] = _compiled(_part)
parity: Callable[[Floats, Floats, Floats, float, int], Floats] = _compiled(_parity)  # type: ignore[assignment]
