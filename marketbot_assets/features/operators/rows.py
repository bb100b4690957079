"""The value some sessions ago, the basis of prices, and handing a matrix over. Pure; see `compiled`."""

import numpy as np

from marketbot_assets.features.operators.compiled import compiled
from marketbot_assets.normalization.window import Floats

BASIS_STATE = 3
RESULTS = {"add": 0, "subtract": 1, "multiply": 2, "divide": 3}
RESULTS_DIVIDE = 3
EVENT_MIN = 1e-9  # a return that differs from the price move by less is the price move


@compiled
def lag(x: Floats, first: int, out: Floats, sessions: int) -> None:
    """The value `sessions` ago; unknown before the matrix begins."""
    for t in range(first, x.shape[0]):
        if t >= sessions:
            out[t - first] = x[t - sessions]
        else:
            out[t - first] = np.nan


@compiled
def basis(x: Floats, close: Floats, first: int, state: Floats, out: Floats, pause: int) -> None:
    """What brings prices of all sessions to one split and dividend basis: 1 at the first close, then times (1 + x) / price move.

    It moves at events alone, so equal prices between two events stay equal. x: total returns; close: the last one known.
    After an unknown return it is unknown for `pause` sessions and then begins at 1 again, so that no window spans it.
    state (3, n): the factor (0: none yet), sessions to wait, the close before.
    """
    rows, n = x.shape
    for t in range(first, rows):
        row = out[t - first]
        for j in range(n):
            factor, wait, before, now, r = state[0, j], state[1, j], state[2, j], close[t, j], x[t, j]
            priced = now > 0.0 and now < np.inf
            if factor == 0.0:
                wait = wait - 1.0 if wait > 0.0 else 0.0
                factor = 1.0 if wait == 0.0 and priced else 0.0
            elif priced and abs(r) < np.inf and r > -1.0:
                ratio = (1.0 + r) * before / now
                factor = factor * ratio if abs(ratio - 1.0) > EVENT_MIN else factor
            else:
                factor, wait = 0.0, float(pause)
            state[0, j], state[1, j], state[2, j] = factor, wait, now
            row[j] = factor if factor > 0.0 else np.nan


@compiled
def take_over(found: Floats, answers: Floats, begin: int, stride: int, rows: int, n: int) -> None:
    """Copies a matrix into (rows, n) answers of any precision; infinities are unknown, a series is repeated for every instrument.

    answers: memory in one row, in which the first answer is at `begin` and every session `stride` after the one before.
    """
    if found.shape[0] == rows and found.shape[1] == n:
        for t in range(rows):
            row = answers[begin + t * stride : begin + t * stride + n]
            for j in range(n):
                row[j] = found[t, j] if abs(found[t, j]) < np.inf else np.nan
        return
    for t in range(rows):
        row = answers[begin + t * stride : begin + t * stride + n]
        value = found[t if found.shape[0] == rows else 0, 0]
        for j in range(n):
            row[j] = value if abs(value) < np.inf else np.nan


@compiled
def take_over_result(
    x: Floats, y: Floats, what: int, answers: Floats, begin: int, stride: int, rows: int, n: int
) -> None:
    """The same of x + y (what 0), x - y (1), x * y (2) or x / y (3), worked out on the way. y may be one number, (1, 1)."""
    for t in range(rows):
        row = answers[begin + t * stride : begin + t * stride + n]
        if y.shape[0] != rows or y.shape[1] != n:
            number = y[0, 0]
            for j in range(n):
                value = _result(x[t, j], number, what)
                row[j] = value if abs(value) < np.inf else np.nan
        elif what == RESULTS_DIVIDE:
            for j in range(n):
                value = x[t, j] / y[t, j]
                row[j] = value if abs(value) < np.inf else np.nan
        else:
            for j in range(n):
                value = _result(x[t, j], y[t, j], what)
                row[j] = value if abs(value) < np.inf else np.nan


@compiled
def _result(x: float, y: float, what: int) -> float:
    if what == RESULTS_DIVIDE:
        return x / y
    return x + y if what == 0 else x - y if what == 1 else x * y
