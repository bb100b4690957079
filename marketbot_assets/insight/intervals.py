"""Prediction intervals from errors out of fold: split conformal. Pure.

With n errors of calibration that are exchangeable with the next one, the interval of half width "the k-th smallest absolute error",
k = ceil((n + 1) level), holds the next outcome with a probability in [level, level + 1 / (n + 1)). Source: Vovk, Gammerman and
Shafer (2005); Lei, G'Sell, Rinaldo, Tibshirani and Wasserman (2018). Errors of a moving world are not exchangeable: coverage is
measured out of sample as well.
"""

import math

import numpy as np

from marketbot_assets.normalization.window import Floats

LEVEL = 0.80
ERRORS_MIN = 100
ROUNDING = 1e-9  # of n times a level that decimal fractions do not meet


def half_width(errors: Floats, level: float = LEVEL) -> float:
    """Of the interval around a prediction, from errors of calibration in any shape; NaN with fewer than a hundred known ones.

    Raises ValueError for a level outside of (0, 1).
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"interval: expected a level between 0 and 1, found {level}")
    known = np.sort(np.abs(errors[~np.isnan(errors)]))
    place = math.ceil((len(known) + 1) * level - ROUNDING)
    width = float(known[place - 1]) if len(known) >= ERRORS_MIN and place <= len(known) else math.nan
    return width if math.isfinite(width) else math.nan


def covered(predicted: Floats, width: Floats, outcome: Floats) -> tuple[int, int]:
    """(outcomes inside of their intervals, intervals judged); without a width or an outcome nothing is judged."""
    known = np.isfinite(predicted) & np.isfinite(width) & np.isfinite(outcome)
    inside = np.abs(outcome - predicted) <= width
    return int((inside & known).sum()), int(known.sum())
