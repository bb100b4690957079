"""Specific variance: exponential weights on residuals, corrected for what factors absorbed, shrunk towards the group. Pure.

A regression on few names takes part of each name's own noise for a factor: Var(e) = (1 - h) d for leverage h, the correction
of MacKinnon and White (1985). What it takes inflates the factors' covariance by maps D maps', which `noise_of` gives back.
Shrinkage is empirical Bayes on log variances (Efron and Morris 1975): a name with few or absorbed observations
leans on its group, one with many keeps its own.
Not here: residuals (`factor_regression`).
"""

from collections.abc import Sequence

import numpy as np

from marketbot_assets.features.factor_covariance import decay
from marketbot_assets.normalization.window import Floats

GROUP_MIN = 8
FREE_MIN = 0.05  # share of its own noise that a name's residual must have kept to be heard at all
KURTOSIS = 6.0  # of daily residuals: log variances err by (KURTOSIS - 1) / observations


def specific_variance(residuals: Floats, leverage: Floats, groups: Sequence[str], *, halflife: float) -> Floats:
    """(n,) variances per session from `residuals` (T, n), NaN unknown; `groups` (n,): whose average a name is shrunk to.

    A group with fewer than 8 usable names is shrunk to the average of all. NaN throughout when no name is usable.
    """
    known = np.isfinite(residuals)
    weights = decay(len(residuals), halflife)[:, None] * known
    total = weights.sum(axis=0)
    share = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0.0)
    variance = (np.where(known, residuals, 0.0) ** 2 * share).sum(axis=0)
    free = 1.0 - leverage
    usable = (total > 0.0) & (variance > 0.0) & (free >= FREE_MIN)
    logs = np.log(np.where(usable, variance / np.where(usable, free, 1.0), 1.0))
    observations = np.divide(1.0, (share**2).sum(axis=0), out=np.zeros_like(total), where=total > 0.0)
    error = (KURTOSIS - 1.0) / np.where(usable, np.maximum(observations, 1.0) * free, 1.0)
    return np.asarray(np.exp(shrunk(logs, error, usable, groups)))


def shrunk(values: Floats, error: Floats, usable: np.ndarray, groups: Sequence[str]) -> Floats:
    """(n,) posterior means of normal values with sampling variances `error`, around their group's mean; unusable: the mean.

    The spread within a group is its variance less the mean sampling variance, at least 0.
    """
    out, labels = np.full(len(values), np.nan), np.array(groups)
    for group in sorted(set(groups)):
        own = labels == group
        peers = own & usable
        if peers.sum() < GROUP_MIN:
            peers = usable
        if not peers.any():
            continue
        middle = float(np.mean(values[peers]))
        spread = max(0.0, float(np.var(values[peers])) - float(np.mean(error[peers])))
        keep = np.where(usable, spread / (spread + np.where(usable, error, 1.0)), 0.0)
        out[own] = middle + keep[own] * (values[own] - middle)
    return out


def noise_of(maps: Floats, specific: Floats) -> Floats:
    """(k, k) covariance that names' own noise puts into estimated factor returns. maps: (k, n); specific: (n,) variances."""
    return np.asarray((maps * specific) @ maps.T)
