"""Small dense factorizations, compiled: one thread, one order of operations, so that every machine gives the same bits. Pure.

Not here: what is solved with them (`kernel`).
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Index = NDArray[np.int64]
PIVOT_LEAST = 1e-300


@njit(error_model="numpy")
def total(values: Floats) -> float:
    """Sum in one fixed order, four chains at a time."""
    a, b, c, d, i, n = 0.0, 0.0, 0.0, 0.0, 0, len(values)
    while i + 4 <= n:
        a += values[i]
        b += values[i + 1]
        c += values[i + 2]
        d += values[i + 3]
        i += 4
    while i < n:
        a += values[i]
        i += 1
    return (a + b) + (c + d)


@njit(error_model="numpy")
def gathered(rows: Floats, index: Index) -> Floats:
    """(len(rows), a) the columns of `index`."""
    out = np.empty((len(rows), len(index)))
    for j in range(len(rows)):
        for i in range(len(index)):
            out[j, i] = rows[j, index[i]]
    return out


@njit(error_model="numpy")
def cholesky(matrix: Floats, size: int) -> None:
    """Upper factor U with U'U = matrix in the leading upper triangle, in place; a pivot that is not positive drops its column."""
    for i in range(size):
        j = 0
        while j + 4 <= i:  # four rows at a time: the sum is loaded and stored once
            a, b, c, d = matrix[j, i], matrix[j + 1, i], matrix[j + 2, i], matrix[j + 3, i]
            for k in range(i, size):
                matrix[i, k] -= a * matrix[j, k] + b * matrix[j + 1, k] + (c * matrix[j + 2, k] + d * matrix[j + 3, k])
            j += 4
        while j < i:
            a = matrix[j, i]
            for k in range(i, size):
                matrix[i, k] -= a * matrix[j, k]
            j += 1
        pivot = matrix[i, i]
        if not pivot > PIVOT_LEAST:
            matrix[i, i] = np.inf
            for k in range(i + 1, size):
                matrix[i, k] = 0.0
            continue
        pivot = np.sqrt(pivot)
        matrix[i, i] = pivot
        for k in range(i + 1, size):
            matrix[i, k] /= pivot


@njit(error_model="numpy")
def add_squares(matrix: Floats, rows: Floats, scale: Floats) -> None:
    """Matrix += rows' diag(scale) rows in the upper triangle, in place; rows (r, c), matrix (c, c)."""
    count, size = rows.shape
    j = 0
    while j + 4 <= count:
        for i in range(size):
            a, b = scale[j] * rows[j, i], scale[j + 1] * rows[j + 1, i]
            c, d = scale[j + 2] * rows[j + 2, i], scale[j + 3] * rows[j + 3, i]
            for k in range(i, size):
                matrix[i, k] += a * rows[j, k] + b * rows[j + 1, k] + (c * rows[j + 2, k] + d * rows[j + 3, k])
        j += 4
    while j < count:
        for i in range(size):
            a = scale[j] * rows[j, i]
            for k in range(i, size):
                matrix[i, k] += a * rows[j, k]
        j += 1


@njit(error_model="numpy")
def solve_factored(factor: Floats, vector: Floats, size: int) -> None:
    """Solves U'U x = vector in place."""
    for j in range(size):
        value = vector[j] / factor[j, j]
        vector[j] = value
        if value != 0.0:
            for k in range(j + 1, size):
                vector[k] -= factor[j, k] * value
    for j in range(size - 1, -1, -1):
        value = vector[j]
        for k in range(j + 1, size):
            value -= factor[j, k] * vector[k]
        vector[j] = value / factor[j, j]


@njit(error_model="numpy")
def risk_inverse(roots: Floats, scale: Floats, slope: Floats, columns: Floats) -> None:
    """Columns (c, a) <- (diag(1 / slope) + roots' diag(scale) roots)^-1 columns, in place; roots (K, a), slope (a,) > 0.

    By the a x a matrix itself, or by the K x K one (Woodbury) where that is smaller.
    """
    a = len(slope)
    used = np.flatnonzero(scale)
    k = len(used)
    if k < a:
        factors = np.empty((a, k))
        for j in range(k):
            unit = np.sqrt(scale[used[j]])
            for i in range(a):
                factors[i, j] = unit * roots[used[j], i]
        inner = np.zeros((k, k))
        add_squares(inner, factors, slope)
        for j in range(k):
            inner[j, j] += 1.0
        cholesky(inner, k)
        right = np.empty(k)
        for c in range(len(columns)):
            column = columns[c]
            right[:] = 0.0
            for i in range(a):
                column[i] *= slope[i]
                for j in range(k):
                    right[j] += factors[i, j] * column[i]
            solve_factored(inner, right, k)
            for i in range(a):
                value = 0.0
                for j in range(k):
                    value += factors[i, j] * right[j]
                column[i] -= slope[i] * value
        return
    inner = np.zeros((a, a))
    add_squares(inner, roots, scale)
    for i in range(a):
        inner[i, i] += 1.0 / slope[i]
    cholesky(inner, a)
    for c in range(len(columns)):
        solve_factored(inner, columns[c], a)


@njit(error_model="numpy")
def _solve_free(matrix: Floats, vector: Floats, least: Floats, at_least: NDArray[np.bool_], x: Floats) -> None:
    """Minimizer over the coordinates that are not held at `least`."""
    size, count = len(vector), 0
    index = np.empty(size, np.int64)
    for j in range(size):
        if at_least[j]:
            x[j] = least[j]
        else:
            index[count] = j
            count += 1
    small, right = np.empty((count, count)), np.empty(count)
    for a in range(count):
        right[a] = vector[index[a]]
        for b in range(a, count):
            small[a, b] = matrix[index[a], index[b]]
        for j in range(size):
            if at_least[j]:
                right[a] -= matrix[index[a], j] * least[j]
    cholesky(small, count)
    solve_factored(small, right, count)
    for a in range(count):
        x[index[a]] = right[a]


@njit(error_model="numpy")
def bounded_quadratic(matrix: Floats, vector: Floats, least: Floats, rounds: int) -> Floats:
    """Argmin x'matrix x / 2 - vector'x over x >= least; `matrix` (m, m) symmetric positive definite.

    Whole active sets first, then one index at a time (Murty 1974), which ends for every positive definite matrix; after
    `rounds` exchanges the point is clipped.
    """
    size = len(vector)
    x = np.zeros(size)
    at_least = np.zeros(size, np.bool_)
    for step in range(rounds):
        _solve_free(matrix, vector, least, at_least, x)
        changed = False
        for j in range(size):
            wrong = False
            if at_least[j]:
                slope = -vector[j]
                for k in range(size):
                    slope += matrix[j, k] * x[k]
                wrong = slope < 0.0
            else:
                wrong = x[j] < least[j]
            if wrong:
                at_least[j] = not at_least[j]
                changed = True
                if step >= 10:
                    break
        if not changed:
            return x
    for j in range(size):
        x[j] = max(x[j], least[j])
    return x
