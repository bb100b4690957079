"""Operators that look at one session and one instrument alone. Pure; unknown in, unknown out, unless said."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from marketbot_assets.features.operators.compiled import compiled
from marketbot_assets.normalization.window import Floats

Each = Callable[..., Any]


def greater(x: Floats, y: Floats, out: Floats) -> Floats:
    """1 where x > y, else 0; unknown where x is, 0 where only y is."""
    _compare(x, y, 1.0, out)
    return out


def less(x: Floats, y: Floats, out: Floats) -> Floats:
    """1 where x < y, else 0; unknown where x is, 0 where only y is."""
    _compare(x, y, -1.0, out)
    return out


@compiled
def _compare(x: Floats, y: Floats, sign: float, out: Floats) -> None:
    """Matrices of one shape, or with one column or one row, which is repeated."""
    rows, n = out.shape
    for t in range(rows):
        i, k = t if x.shape[0] == rows else 0, t if y.shape[0] == rows else 0
        if x.shape[1] == n and y.shape[1] == n:
            for j in range(n):
                found = 1.0 if sign * x[i, j] > sign * y[k, j] else 0.0
                out[t, j] = found if x[i, j] == x[i, j] else np.nan
        else:
            for j in range(n):
                one, other = x[i, j if x.shape[1] == n else 0], y[k, j if y.shape[1] == n else 0]
                found = 1.0 if sign * one > sign * other else 0.0
                out[t, j] = found if one == one else np.nan


def only_where(x: Floats, flag: Floats, out: Floats) -> Floats:
    """X where the flag is above zero, else unknown."""
    np.copyto(out, x)
    np.copyto(out, np.nan, where=~(flag > 0.0))
    return out


def known_or(x: Floats, y: Floats, out: Floats) -> Floats:
    """X where it is known, else y."""
    np.copyto(out, x)
    np.copyto(out, y, where=~np.isfinite(x))
    return out


EACH: Mapping[str, tuple[int, Each]] = {
    "add": (2, np.add),
    "subtract": (2, np.subtract),
    "multiply": (2, np.multiply),
    "divide": (2, np.divide),
    "larger": (2, np.maximum),
    "smaller": (2, np.minimum),
    "absolute": (1, np.absolute),
    "negative": (1, np.negative),
    "log": (1, np.log),
    "log1p": (1, np.log1p),
    "expm1": (1, np.expm1),
    "exp": (1, np.exp),
    "sqrt": (1, np.sqrt),
    "sign": (1, np.sign),
    "greater": (2, greater),
    "less": (2, less),
    "only_where": (2, only_where),
    "known_or": (2, known_or),
}
