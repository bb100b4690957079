"""Rolling skewness and kurtosis, unbiased as pandas has them. Pure; see `compiled` for the rules. Every window is summed anew."""

import numpy as np

from marketbot_assets.features.operators.compiled import compiled
from marketbot_assets.features.operators.rolling_sums import newest_known
from marketbot_assets.normalization.window import Floats


@compiled
def rolling_shape(x: Floats, first: int, out: Floats, window: int, least: int) -> None:
    """out[0]: skewness (3 values or more), out[1]: excess kurtosis (4 or more); NaN where all values are equal."""
    rows, n = x.shape
    centre, count, mean = np.empty(n), np.empty(n), np.empty(n)
    s2, s3, s4 = np.empty(n), np.empty(n), np.empty(n)
    for t in range(first, rows):
        newest_known(x, t, window, centre)
        for j in range(n):
            count[j], mean[j], s2[j], s3[j], s4[j] = 0.0, 0.0, 0.0, 0.0, 0.0
        for k in range(min(window, t + 1)):
            tap = x[t - k]
            for j in range(n):
                known = abs(tap[j]) < np.inf
                mean[j] += tap[j] - centre[j] if known else 0.0
                count[j] += 1.0 if known else 0.0
        for j in range(n):
            mean[j] = mean[j] / count[j] if count[j] > 0.0 else 0.0
        for k in range(min(window, t + 1)):
            tap = x[t - k]
            for j in range(n):
                d = (tap[j] - centre[j]) - mean[j] if abs(tap[j]) < np.inf else 0.0
                square = d * d
                s2[j] += square
                s3[j] += square * d
                s4[j] += square * square
        skewness, kurtosis = out[0, t - first], out[1, t - first]
        for j in range(n):
            c, m2 = count[j], s2[j] / count[j]
            some = c >= least and m2 > 0.0
            skewed = np.sqrt(c * (c - 1.0)) / (c - 2.0) * (s3[j] / c) / m2**1.5
            heavy = (c - 1.0) / ((c - 2.0) * (c - 3.0)) * ((c + 1.0) * (s4[j] / c) / (m2 * m2) - 3.0 * (c - 1.0))
            skewness[j] = skewed if some and c >= 3.0 else np.nan
            kurtosis[j] = heavy if some and c >= 4.0 else np.nan
