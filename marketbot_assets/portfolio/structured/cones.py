"""The prices of the quadratic limits (volatility, concentration): a root search around the dual of `kernel`, compiled. Pure.

A cone |R w| <= r has the price l of half its squared norm: it adds l to the risk aversion on R and keeps the problem's form. The
norm at the answer is a decreasing function of l, and 1 / norm is nearly linear in it, so Newton on 1 / norm = 1 / r (More and
Sorensen 1983) ends in two to five steps; several cones are one small system with prices >= 0. The dual value, convex in the
prices, guards each step.
Not here: which cones take part (`solve`).
"""

import sys
from collections.abc import Callable
from contextlib import suppress

import numpy as np
from numba import njit
from numpy.typing import NDArray

from marketbot_assets.portfolio.structured import kernel, linear_algebra
from marketbot_assets.portfolio.structured.fingerprint import fingerprint
from marketbot_assets.portfolio.structured.kernel import newton
from marketbot_assets.portfolio.structured.linear_algebra import bounded_quadratic, gathered, risk_inverse

Floats = NDArray[np.float64]
Index = NDArray[np.int64]
OUTER_MAX, TRIALS, STEPS_SHARE = 60, 40, 20
GROWTH = 10.0
RADIUS_SHARE, CONE_DAMPING = 1e-10, 1e-12


@njit(error_model="numpy")
def priced(
    risk_aversion: float, price: Floats, masks: Floats, specifics: Floats, extra: Floats, scale: Floats, curve: Floats
) -> None:
    """Scale (K,) of the factors and curve (n,) of the names at these prices of the cones."""
    for j in range(len(scale)):
        scale[j] = risk_aversion * masks[0, j]
        for c in range(len(price)):
            scale[j] += price[c] * masks[c + 1, j]
    for i in range(len(curve)):
        curve[i] = risk_aversion * specifics[0, i] + extra[i]
        for c in range(len(price)):
            curve[i] += price[c] * specifics[c + 1, i]


@njit(error_model="numpy")
def norms(masks: Floats, specifics: Floats, seen: Floats, now: Floats, moved: Floats, out: Floats) -> None:
    """Squared norm of each cone."""
    for c in range(len(out)):
        total = 0.0
        for j in range(len(seen)):
            total += masks[c + 1, j] * seen[j] * seen[j]
        for i in range(len(now)):
            weight = now[i] + moved[i]
            total += specifics[c + 1, i] * weight * weight
        out[c] = total


@njit(error_model="numpy")
def sensitivity(
    chosen: Index, masks: Floats, specifics: Floats, roots: Floats, scale: Floats, seen: Floats,
    up: Floats, down: Floats, y: Floats, now: Floats, moved: Floats, slope: Floats,
) -> Floats:  # fmt: skip
    """(c, c) -1/2 times the derivative of the chosen cones' squared norms by their prices."""
    index, active = np.flatnonzero(slope), np.flatnonzero(y)
    a, m, count = len(index), len(active), len(chosen)
    part, columns = gathered(roots, index), np.zeros((m + count, a))
    for b in range(m):
        for i in range(a):
            columns[b, i] = up[active[b], index[i]] if moved[index[i]] > 0.0 else down[active[b], index[i]]
    for c in range(count):
        mask, own = masks[chosen[c] + 1], specifics[chosen[c] + 1]
        for i in range(a):
            columns[m + c, i] = own[index[i]] * (now[index[i]] + moved[index[i]])
        for j in range(len(seen)):
            value = mask[j] * seen[j]
            if value != 0.0:
                for i in range(a):
                    columns[m + c, i] += value * part[j, i]
    plain = columns.copy()
    risk_inverse(part, scale, slope[index], columns)
    matrix = np.zeros((m + count, m + count))
    for r in range(m + count):
        for s in range(m + count):
            for i in range(a):
                matrix[r, s] += plain[r, i] * columns[s, i]
    for b in range(m):
        pivot = matrix[b, b]
        if not pivot > 1e-12:
            continue
        for r in range(b + 1, m + count):
            factor = matrix[r, b] / pivot
            for s in range(m + count):
                matrix[r, s] -= factor * matrix[b, s]
    return matrix[m:, m:].copy()


@njit(error_model="numpy")
def steer(price: Floats, radius: Floats, squared: Floats, matrix: Floats, chosen: Index, unit: float) -> Floats:
    """(c,) a step of the prices along which the dual falls: Newton on 1 / norm, else on the dual, else each cone by itself."""
    count, out = len(chosen), np.zeros(len(price))
    right, least, over = np.empty(count), np.empty(count), np.empty(count)
    for c in range(count):
        here = chosen[c]
        over[c] = 0.5 * (squared[here] - radius[here] * radius[here])
        least[c] = -price[here]
        matrix[c, c] = max(matrix[c, c], 0.0) * (1.0 + CONE_DAMPING) + 1e-3 * CONE_DAMPING
    for kind in range(3):
        for c in range(count):
            here = chosen[c]
            right[c] = squared[here] * (np.sqrt(squared[here]) / radius[here] - 1.0) if kind == 0 else over[c]
        if kind < 2:
            change = bounded_quadratic(matrix, right, least, 100)
        else:
            change = right.copy()
            for c in range(count):
                change[c] /= matrix[c, c]
        falls = 0.0
        for c in range(count):
            here = chosen[c]
            out[here] = max(min(change[c], (GROWTH - 1.0) * price[here] + unit), least[c])
            falls += out[here] * over[c]
        if falls > 0.0:
            break
    return out


@njit(error_model="numpy")
def next_trial(low: float, slope_low: float, high: float, slope_high: float) -> float:
    """Where the slope of a convex function should vanish between two points, not too near to either."""
    width = high - low
    nearer = low - slope_low * width / (slope_high - slope_low)
    return min(max(nearer, low + 0.05 * width), high - 0.05 * width)


@njit(error_model="numpy")
def excess(price: Floats, squared: Floats, radius: Floats, chosen: Index) -> tuple[int, float]:
    """(number of cones that are broken or priced, their largest distance from the radius in units of the tolerance)."""
    picked, worst = 0, 0.0
    for c in range(len(price)):
        over = np.sqrt(squared[c]) - radius[c]
        if over > 0.0 or price[c] > 0.0:
            chosen[picked] = c
            picked += 1
            worst = max(worst, abs(over) / (RADIUS_SHARE * radius[c] + 1e-12))
    return picked, worst


def compiled(code: str) -> Callable[..., tuple[int, float, float]]:
    """The search, compiled once per machine and `code`: the compiler's cache alone would not see a change in another file."""

    @njit(error_model="numpy")
    def search(
        buy: Floats, sell: Floats, now: Floats, lower: Floats, upper: Floats, risk_aversion: float, roots: Floats,
        root_now: Floats, masks: Floats, specifics: Floats, extra: Floats, radius: Floats, up: Floats, down: Floats,
        bound: Floats, f: Floats, y: Floats, price: Floats, moved: Floats, tolerance: float, steps_max: int, least_value: float,
    ) -> tuple[int, float, float]:  # fmt: skip
        """Minimizes the dual over f, y and the cones' prices in place; (steps, error left, dual value).

        It stops when the dual value falls below `least_value`, which no feasible weights can have.
        """
        _ = code
        n, size, count = len(now), len(f), len(price)
        scale, curve, seen, slope = np.empty(size), np.empty(n), np.empty(size), np.empty(n)
        squared, change, trial_price = np.zeros(count), np.zeros(count), price.copy()
        chosen = np.empty(count, np.int64)
        steps, best, error, value = 0, np.inf, np.inf, np.inf
        for _ in range(OUTER_MAX):
            step, low, high, slope_low, slope_high, first = 1.0, 0.0, -1.0, 0.0, 0.0, 0.0
            for c in range(count):
                first += 0.5 * change[c] * (radius[c] * radius[c] - squared[c])
            slope_low = first
            for _ in range(TRIALS):
                for c in range(count):
                    trial_price[c] = max(price[c] + step * change[c], 0.0)
                priced(risk_aversion, trial_price, masks, specifics, extra, scale, curve)
                more, error, value = newton(
                    buy, sell, curve, now, lower, upper, roots, scale, root_now, up, down, bound, f, y, moved, slope, seen,
                    tolerance, steps_max,
                )  # fmt: skip
                steps += more
                norms(masks, specifics, seen, now, moved, squared)
                falls = 0.0
                for c in range(count):
                    value += 0.5 * trial_price[c] * radius[c] * radius[c]
                    falls += 0.5 * change[c] * (radius[c] * radius[c] - squared[c])
                if not value >= least_value or steps > STEPS_SHARE * steps_max:
                    break
                noise = 1e-14 * (1e-3 + abs(value))
                if (falls <= 0.0 and step == 1.0) or (abs(falls) <= 0.3 * abs(first) and value <= best + noise):
                    break
                if abs(falls) <= noise:
                    break
                if falls > 0.0:
                    high, slope_high = step, falls
                else:
                    low, slope_low = step, falls
                step = next_trial(low, slope_low, high, slope_high)
            best = value
            price[:] = trial_price
            picked, worst = excess(price, squared, radius, chosen)
            error = max(error, worst * 1e-12)
            if worst <= 1.0 or not value >= least_value or steps > STEPS_SHARE * steps_max:
                break
            matrix = sensitivity(
                chosen[:picked], masks, specifics, roots, scale, seen, up, down, y, now, moved, slope
            )  # fmt: skip
            change = steer(price, radius, squared, matrix, chosen[:picked], risk_aversion + 1e-3)
        return steps, error, value

    with suppress(RuntimeError):  # no place to write: every process compiles anew
        search.enable_caching()
    return search


search = compiled(fingerprint(linear_algebra, kernel, sys.modules[__name__]))
