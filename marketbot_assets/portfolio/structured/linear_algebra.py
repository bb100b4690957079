"""Small dense factorizations, compiled: one thread, one order of operations, so that every machine gives the same bits. Pure.

Not here: what is solved with them (`kernel`).
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
PIVOT_LEAST = 1e-300


@njit(error_model="numpy")
def cholesky(matrix: Floats, size: int) -> None:
    """Upper factor U with U'U = matrix in the leading upper triangle, in place; a pivot that is not positive drops its column."""
    for j in range(size):
        pivot = matrix[j, j]
        if not pivot > PIVOT_LEAST:
            matrix[j, j] = np.inf
            for k in range(j + 1, size):
                matrix[j, k] = 0.0
            continue
        pivot = np.sqrt(pivot)
        matrix[j, j] = pivot
        for k in range(j + 1, size):
            matrix[j, k] /= pivot
        for i in range(j + 1, size):
            factor = matrix[j, i]
            if factor != 0.0:
                for k in range(i, size):
                    matrix[i, k] -= factor * matrix[j, k]


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
