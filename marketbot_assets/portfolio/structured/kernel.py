"""The dual of the mean-variance problem for given risk prices: semismooth Newton with an exact line search, compiled. Pure.

Given the factor exposures f (K,) and the prices y (m,) of the rows, each weight is a one-dimensional proximal step:
soft-thresholded at the present weight, clipped to its bounds. The dual is convex, once differentiable and piecewise quadratic, so
Newton's method on the names that move ends after finitely many steps. A row is `up` on what is bought and `down` on what is sold,
which covers rows on weights (up = down), on buys (down = 0) and funding. All loops run in one order on one thread, without fast
math: the bits do not depend on the machine.
Not here: the prices of the cones (`cones`), which rows there are (`cuts`, `solve`), whether the answer is right (`certificate`).
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from marketbot_assets.portfolio.structured.linear_algebra import bounded_quadratic, cholesky, solve_factored

Floats = NDArray[np.float64]
Index = NDArray[np.int64]
DAMPING = 1e-11
SETTLED = 1e-11
SLOPE_SHARE = 0.05
LINE_TRIALS = 80
EXCHANGES = 200


@njit(error_model="numpy")
def prices(
    buy: Floats, sell: Floats, roots: Floats, scale: Floats, f: Floats, up: Floats, down: Floats, y: Floats,
    out_buy: Floats, out_sell: Floats,
) -> None:  # fmt: skip
    """What the next unit bought and sold is worth: own worth - risk - prices of the rows, (n,) each."""
    n, size = len(buy), len(f)
    for i in range(n):
        out_buy[i] = 0.0
    j = 0
    while j + 4 <= size:  # four rows at a time: the sum is loaded and stored once
        a, b, c, d = scale[j] * f[j], scale[j + 1] * f[j + 1], scale[j + 2] * f[j + 2], scale[j + 3] * f[j + 3]
        for i in range(n):
            out_buy[i] -= a * roots[j, i] + b * roots[j + 1, i] + (c * roots[j + 2, i] + d * roots[j + 3, i])
        j += 4
    while j < size:
        a = scale[j] * f[j]
        for i in range(n):
            out_buy[i] -= a * roots[j, i]
        j += 1
    for i in range(n):
        out_sell[i] = out_buy[i] + sell[i]
        out_buy[i] += buy[i]
    for j in range(len(y)):
        price = y[j]
        if price != 0.0:
            for i in range(n):
                out_buy[i] -= price * up[j, i]
                out_sell[i] -= price * down[j, i]


@njit(error_model="numpy")
def respond(
    buy: Floats, sell: Floats, curve: Floats, give: Floats, now: Floats, lower: Floats, upper: Floats, moved: Floats,
    slope: Floats,
) -> float:  # fmt: skip
    """The best move of each name at these prices, and its derivative by the price (0 where it is stuck); the names' part of the dual.

    `give`: 1 / curve. Buying is never worth more than selling, so the best weight is the larger of what buying asks for and the
    smaller of what selling leaves and the present weight.
    """
    value = 0.0
    for i in range(len(buy)):
        above, weight = buy[i] * give[i], sell[i] * give[i]
        weight = now[i] if weight >= now[i] else weight
        weight = above if above > weight else weight
        weight = lower[i] if weight <= lower[i] else weight
        weight = upper[i] if weight >= upper[i] else weight
        move = weight - now[i]
        inside = lower[i] < weight < upper[i] and move != 0.0
        moved[i] = move
        slope[i] = give[i] if inside else 0.0
        here = buy[i] if move > 0.0 else sell[i]
        value += here * move - 0.5 * curve[i] * weight * weight
    return value


@njit(error_model="numpy")
def along(
    step: float, buy: Floats, sell: Floats, dbuy: Floats, dsell: Floats, curve: Floats, give: Floats, now: Floats,
    lower: Floats, upper: Floats,
) -> tuple[float, float, float]:  # fmt: skip
    """Value, slope and curvature of the names' part of the dual at `step` along a direction."""
    value, slope, bend = 0.0, 0.0, 0.0
    for i in range(len(buy)):
        bought, sold = buy[i] + step * dbuy[i], sell[i] + step * dsell[i]
        above, weight = bought * give[i], sold * give[i]
        weight = now[i] if weight >= now[i] else weight
        weight = above if above > weight else weight
        weight = lower[i] if weight <= lower[i] else weight
        weight = upper[i] if weight >= upper[i] else weight
        move = weight - now[i]
        inside = lower[i] < weight < upper[i] and move != 0.0
        here, change = (bought, dbuy[i]) if move > 0.0 else (sold, dsell[i])
        value += here * move - 0.5 * curve[i] * weight * weight
        slope += change * move
        bend += change * change * give[i] if inside else 0.0
    return value, slope, bend


@njit(error_model="numpy")
def line_search(
    buy: Floats, sell: Floats, dbuy: Floats, dsell: Floats, curve: Floats, give: Floats, now: Floats, lower: Floats,
    upper: Floats, linear: float, quadratic: float, slope_now: float, value_now: float,
) -> tuple[float, float]:  # fmt: skip
    """(step in (0, 1], value gained there is relative to `value_now`): a minimizer along the line to 5 % of the first slope.

    linear * t + quadratic * t^2 / 2 is the part of the dual that no name has.
    """
    low, high, step = 0.0, -1.0, 1.0
    gain = 0.0
    for _ in range(LINE_TRIALS):
        value, slope, bend = along(step, buy, sell, dbuy, dsell, curve, give, now, lower, upper)
        gain = value - value_now + linear * step + 0.5 * quadratic * step * step
        slope += linear + quadratic * step
        bend += quadratic
        if abs(slope) <= SLOPE_SHARE * abs(slope_now) and (slope <= 0.0 or gain <= 0.0):
            break
        if slope <= 0.0:
            if step == 1.0:
                break
            low = step
        else:
            high = step
        if high < 0.0:
            high = 1.0
        if high - low <= 1e-15 * high:
            break
        nearer = step - slope / bend if bend > 0.0 else -1.0
        if not (low < nearer < high):
            nearer = 0.1 * high if low == 0.0 and slope > 0.0 else 0.5 * (low + high)
        step = nearer
    return step, gain


@njit(error_model="numpy")
def exposures(roots: Floats, root_now: Floats, moved: Floats, out: Floats) -> None:
    """Root @ (now + moved) from the names that moved."""
    index = np.flatnonzero(moved)
    for j in range(len(out)):
        row = roots[j]
        total = root_now[j]
        for i in index:
            total += row[i] * moved[i]
        out[j] = total


@njit(error_model="numpy")
def slacks(up: Floats, down: Floats, bound: Floats, moved: Floats, out: Floats) -> None:
    """Bound - left side of each row."""
    index = np.flatnonzero(moved)
    for j in range(len(out)):
        total = bound[j]
        for i in index:
            total -= moved[i] * (up[j, i] if moved[i] > 0.0 else down[j, i])
        out[j] = total


@njit(error_model="numpy")
def risk_inverse(roots: Floats, scale: Floats, slope: Floats, index: Index, columns: Floats) -> None:
    """Columns (c, a) <- (diag(1 / slope) + roots' diag(scale) roots)^-1 columns on the names of `index` (a,), in place.

    By the a x a matrix itself, or by the K x K one (Woodbury) where that is smaller.
    """
    a, size = len(index), len(scale)
    used = np.flatnonzero(scale)
    k = len(used)
    if k < a:
        factors = np.empty((a, k))
        for i in range(a):
            for j in range(k):
                factors[i, j] = np.sqrt(scale[used[j]]) * roots[used[j], index[i]]
        inner = np.zeros((k, k))
        for i in range(a):
            steep, row = slope[index[i]], factors[i]
            for j in range(k):
                value = steep * row[j]
                for c in range(j, k):
                    inner[j, c] += value * row[c]
        for j in range(k):
            inner[j, j] += 1.0
        cholesky(inner, k)
        right = np.empty(k)
        for c in range(len(columns)):
            column = columns[c]
            right[:] = 0.0
            for i in range(a):
                column[i] *= slope[index[i]]
                for j in range(k):
                    right[j] += factors[i, j] * column[i]
            solve_factored(inner, right, k)
            for i in range(a):
                total = 0.0
                for j in range(k):
                    total += factors[i, j] * right[j]
                column[i] -= slope[index[i]] * total
        return
    inner = np.zeros((a, a))
    row = np.empty(a)
    for j in range(size):
        if scale[j] != 0.0:
            for i in range(a):
                row[i] = roots[j, index[i]]
            for i in range(a):
                value = scale[j] * row[i]
                for c in range(i, a):
                    inner[i, c] += value * row[c]
    for i in range(a):
        inner[i, i] += 1.0 / slope[index[i]]
    cholesky(inner, a)
    for c in range(len(columns)):
        solve_factored(inner, columns[c], a)


@njit(error_model="numpy")
def direction(
    roots: Floats, scale: Floats, f: Floats, seen: Floats, up: Floats, down: Floats, y: Floats, slack: Floats,
    moved: Floats, slope: Floats, df: Floats, dy: Floats, damping: float,
) -> None:  # fmt: skip
    """Newton's direction for f and y; prices stay >= 0 along it. `damping`: share of the largest row added to every row."""
    index, size = np.flatnonzero(slope), len(f)
    a, m = len(index), 0
    chosen = np.empty(len(y), np.int64)
    for j in range(len(y)):
        dy[j] = 0.0
        if y[j] > 0.0 or slack[j] < 0.0:
            chosen[m] = j
            m += 1
    u = np.empty((m, a))
    for c in range(m):
        for i in range(a):
            u[c, i] = up[chosen[c], index[i]] if moved[index[i]] > 0.0 else down[chosen[c], index[i]]
    columns = np.zeros((m + 1, a))
    columns[:m] = u
    for j in range(size):
        value = scale[j] * (f[j] - seen[j])
        if value != 0.0:
            for i in range(a):
                columns[m, i] += value * roots[j, index[i]]
    risk_inverse(roots, scale, slope, index, columns)
    move = columns[m]
    if m > 0:
        matrix, right, least = np.empty((m, m)), np.empty(m), np.empty(m)
        largest = 0.0
        for c in range(m):
            right[c] = -slack[chosen[c]]
            least[c] = -y[chosen[c]]
            for i in range(a):
                right[c] += u[c, i] * move[i]
            for b in range(m):
                total = 0.0
                for i in range(a):
                    total += u[c, i] * columns[b, i]
                matrix[c, b] = total
            largest = max(largest, matrix[c, c])
        for c in range(m):
            matrix[c, c] += damping * (1.0 + largest)
        change = bounded_quadratic(matrix, right, least, EXCHANGES)
        for c in range(m):
            dy[chosen[c]] = change[c]
            for i in range(a):
                move[i] -= change[c] * columns[c, i]
    for j in range(size):
        df[j] = 0.0
        if scale[j] != 0.0:
            total = seen[j] - f[j]
            for i in range(a):
                total += roots[j, index[i]] * move[i]
            df[j] = total


@njit(error_model="numpy")
def descent(
    roots: Floats, scale: Floats, f: Floats, seen: Floats, up: Floats, down: Floats, y: Floats, slack: Floats,
    moved: Floats, slope: Floats, df: Floats, dy: Floats, root_now: Floats, bound: Floats,
) -> tuple[float, float, float]:  # fmt: skip
    """Newton's direction, damped until the dual falls along it: (slope, linear, quadratic part that no name has)."""
    damping, first, linear, quadratic = DAMPING, 0.0, 0.0, 0.0
    while damping < 1e3:
        direction(roots, scale, f, seen, up, down, y, slack, moved, slope, df, dy, damping)
        first, linear, quadratic = 0.0, 0.0, 0.0
        for j in range(len(f)):
            first += scale[j] * (f[j] - seen[j]) * df[j]
            linear += scale[j] * (f[j] - root_now[j]) * df[j]
            quadratic += scale[j] * df[j] * df[j]
        for j in range(len(y)):
            first += slack[j] * dy[j]
            linear += bound[j] * dy[j]
        if first < 0.0:
            break
        damping *= 1e3
    return first, linear, quadratic


@njit(error_model="numpy")
def error_of(scale: Floats, f: Floats, seen: Floats, y: Floats, slack: Floats) -> float:
    """Largest defect of the optimality conditions."""
    worst = 0.0
    for j in range(len(f)):
        worst = max(worst, np.sqrt(scale[j]) * abs(f[j] - seen[j]))
    for j in range(len(y)):
        worst = max(worst, -slack[j], min(y[j], slack[j]))
    return worst


@njit(error_model="numpy")
def constant_part(scale: Floats, f: Floats, root_now: Floats, y: Floats, bound: Floats) -> float:
    """What no name has of the dual value."""
    total = 0.0
    for j in range(len(f)):
        total += scale[j] * f[j] * (0.5 * f[j] - root_now[j])
    for j in range(len(y)):
        total += y[j] * bound[j]
    return total


@njit(error_model="numpy")
def newton(
    buy: Floats, sell: Floats, curve: Floats, now: Floats, lower: Floats, upper: Floats, roots: Floats, scale: Floats,
    root_now: Floats, up: Floats, down: Floats, bound: Floats, f: Floats, y: Floats, moved: Floats, slope: Floats,
    seen: Floats, tolerance: float, steps_max: int,
) -> tuple[int, float, float]:  # fmt: skip
    """Minimizes the dual over f and y from where they stand, in place; (steps, error left, dual value).

    `moved`, `slope` (n,) and `seen` (K,) end as the moves, their derivatives and the exposures at the answer.
    """
    n, size, m = len(buy), len(f), len(y)
    at_buy, at_sell, dbuy, dsell = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    df, dy, slack, none = np.zeros(size), np.zeros(m), np.empty(m), np.zeros(n)
    steps, error, before, give = 0, np.inf, np.inf, 1.0 / curve
    prices(buy, sell, roots, scale, f, up, down, y, at_buy, at_sell)
    while True:
        value = respond(at_buy, at_sell, curve, give, now, lower, upper, moved, slope)
        exposures(roots, root_now, moved, seen)
        slacks(up, down, bound, moved, slack)
        error = error_of(scale, f, seen, y, slack)
        if error <= tolerance or steps >= steps_max or not np.isfinite(error):
            break
        if error <= SETTLED and error > 0.5 * before:
            break
        before = error
        first, linear, quadratic = descent(
            roots, scale, f, seen, up, down, y, slack, moved, slope, df, dy, root_now, bound
        )  # fmt: skip
        if not first < 0.0:
            break
        prices(none, none, roots, scale, df, up, down, dy, dbuy, dsell)
        step = line_search(
            at_buy, at_sell, dbuy, dsell, curve, give, now, lower, upper, linear, quadratic, first, value
        )[0]  # fmt: skip
        for j in range(size):
            f[j] += step * df[j]
        for j in range(m):
            y[j] = max(y[j] + step * dy[j], 0.0)
        steps += 1
        prices(buy, sell, roots, scale, f, up, down, y, at_buy, at_sell)
    for j in range(size):
        if scale[j] == 0.0:
            f[j] = seen[j]
    return steps, error, value + constant_part(scale, f, root_now, y, bound)
