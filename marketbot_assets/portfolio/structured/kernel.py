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

from marketbot_assets.portfolio.structured.linear_algebra import bounded_quadratic, gathered, risk_inverse, total

Floats = NDArray[np.float64]
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
    slope: Floats, work: Floats,
) -> float:  # fmt: skip
    """The best move of each name at these prices, and its derivative by the price (0 where it is stuck); value of their dual part.

    `give`: 1 / curve; `work` (1 or more, n): room. Buying is never worth more than selling, so the best weight is the larger of
    what buying asks for and the smaller of what selling leaves and the present weight.
    """
    values = work[0]
    for i in range(len(buy)):
        held, low, high, steep, bought, sold = now[i], lower[i], upper[i], give[i], buy[i], sell[i]
        above, weight = bought * steep, sold * steep
        weight = held if weight >= held else weight
        weight = above if above > weight else weight
        weight = low if weight <= low else weight
        weight = high if weight >= high else weight
        move = weight - held
        here = bought if move > 0.0 else sold
        inside = (weight > low) & (weight < high) & (move != 0.0)
        moved[i] = move
        slope[i] = steep if inside else 0.0
        values[i] = here * move - 0.5 * curve[i] * weight * weight
    return total(values)


@njit(error_model="numpy")
def along(
    step: float, buy: Floats, sell: Floats, dbuy: Floats, dsell: Floats, curve: Floats, give: Floats, now: Floats,
    lower: Floats, upper: Floats, work: Floats,
) -> tuple[float, float, float]:  # fmt: skip
    """Value, slope and curvature of the names' part of the dual at `step` along a direction. `work` (3, n): room.

    Each name's parts first, their sums after: the first loop has no order to keep, so it runs on several names at once.
    """
    values, slopes, bends = work[0], work[1], work[2]
    for i in range(len(buy)):
        held, low, high, steep, more, less = now[i], lower[i], upper[i], give[i], dbuy[i], dsell[i]
        bought, sold = buy[i] + step * more, sell[i] + step * less
        above, weight = bought * steep, sold * steep
        weight = held if weight >= held else weight
        weight = above if above > weight else weight
        weight = low if weight <= low else weight
        weight = high if weight >= high else weight
        move = weight - held
        here = bought if move > 0.0 else sold
        change = more if move > 0.0 else less
        inside = (weight > low) & (weight < high) & (move != 0.0)
        values[i] = here * move - 0.5 * curve[i] * weight * weight
        slopes[i] = change * move
        bends[i] = change * change * steep if inside else 0.0
    return total(values), total(slopes), total(bends)


@njit(error_model="numpy")
def line_search(
    buy: Floats, sell: Floats, dbuy: Floats, dsell: Floats, curve: Floats, give: Floats, now: Floats, lower: Floats,
    upper: Floats, work: Floats, linear: float, quadratic: float, slope_now: float, value_now: float,
) -> tuple[float, float]:  # fmt: skip
    """(step in (0, 1], value gained there is relative to `value_now`): a minimizer along the line to 5 % of the first slope.

    linear * t + quadratic * t^2 / 2 is the part of the dual that no name has.
    """
    low, high, step = 0.0, -1.0, 1.0
    gain = 0.0
    for _ in range(LINE_TRIALS):
        value, slope, bend = along(step, buy, sell, dbuy, dsell, curve, give, now, lower, upper, work)
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
        value = root_now[j]
        for i in index:
            value += row[i] * moved[i]
        out[j] = value


@njit(error_model="numpy")
def slacks(up: Floats, down: Floats, bound: Floats, moved: Floats, out: Floats) -> None:
    """Bound - left side of each row."""
    index = np.flatnonzero(moved)
    for j in range(len(out)):
        value = bound[j]
        for i in index:
            value -= moved[i] * (up[j, i] if moved[i] > 0.0 else down[j, i])
        out[j] = value


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
    part, steep = gathered(roots, index), slope[index]
    columns = np.zeros((m + 1, a))
    columns[:m] = u
    for j in range(size):
        value = scale[j] * (f[j] - seen[j])
        if value != 0.0:
            for i in range(a):
                columns[m, i] += value * part[j, i]
    risk_inverse(part, scale, steep, columns)
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
                value = 0.0
                for i in range(a):
                    value += u[c, i] * columns[b, i]
                matrix[c, b] = value
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
            value = seen[j] - f[j]
            for i in range(a):
                value += part[j, i] * move[i]
            df[j] = value


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
    value = 0.0
    for j in range(len(f)):
        value += scale[j] * f[j] * (0.5 * f[j] - root_now[j])
    for j in range(len(y)):
        value += y[j] * bound[j]
    return value


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
    steps, error, before, give, work = 0, np.inf, np.inf, 1.0 / curve, np.empty((3, n))
    prices(buy, sell, roots, scale, f, up, down, y, at_buy, at_sell)
    while True:
        value = respond(at_buy, at_sell, curve, give, now, lower, upper, moved, slope, work)
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
            at_buy, at_sell, dbuy, dsell, curve, give, now, lower, upper, work, linear, quadratic, first, value
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
