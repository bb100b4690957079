"""The straight line through a window against time: slope, R2 and the newest residual. Pure; see `compiled` for the rules.

Every window is summed anew, so there is no state. Time counts sessions, 1 for the oldest of the window, unknown ones included.
"""

import numpy as np

from marketbot_assets.features.operators.compiled import compiled
from marketbot_assets.features.operators.rolling_sums import newest_known
from marketbot_assets.normalization.window import Floats

TREND_PARTS = 3


@compiled
def rolling_trend(x: Floats, first: int, out: Floats, window: int, least: int, spread_min: float) -> None:
    """out[0]: slope per session, out[1]: R2, out[2]: newest value less the line.

    R2 is NaN where the standard deviation is not above `spread_min`; the residual is NaN where the newest value is unknown.
    """
    rows, n = x.shape
    centre, sy, syy, sk, skk, sky, count = (
        np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n),
    )  # fmt: skip
    for t in range(first, rows):
        newest_known(x, t, window, centre)
        for j in range(n):
            sy[j], syy[j], sk[j], skk[j], sky[j], count[j] = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for k in range(min(window, t + 1)):
            tap, age = x[t - k], np.float64(k)
            for j in range(n):
                known = abs(tap[j]) < np.inf
                one, d, a = 1.0 if known else 0.0, tap[j] - centre[j] if known else 0.0, age if known else 0.0
                count[j] += one
                sk[j] += a
                skk[j] += a * a
                sy[j] += d
                syy[j] += d * d
                sky[j] += a * d
        slopes, squares, residuals, newest = out[0, t - first], out[1, t - first], out[2, t - first], x[t]
        for j in range(n):
            c = count[j]
            kk, ky, yy = c * skk[j] - sk[j] * sk[j], c * sky[j] - sk[j] * sy[j], c * syy[j] - sy[j] * sy[j]
            enough = c >= least and c > 1.0
            by_age = ky / kk
            limit = spread_min * spread_min * c * (c - 1.0)
            slopes[j] = -by_age if enough else np.nan
            squares[j] = ky * ky / (kk * yy) if enough and yy > limit else np.nan
            left = (newest[j] - centre[j]) - (sy[j] / c - by_age * sk[j] / c)
            residuals[j] = left if enough and abs(newest[j]) < np.inf else np.nan
