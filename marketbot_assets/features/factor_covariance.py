"""Covariance of factor returns: exponential weights, Newey-West lags, shrinkage of correlations, PSD repair. Pure.

Variances and correlations have half-lives of their own: levels of risk move faster than comovement (Menchero, Orr and Wang
2011). Lags by Newey and West (1987): exchanges close at different hours, so part of a common move arrives a session later.
Not here: where factor returns come from (`factor_regression`).
"""

import numpy as np

from marketbot_assets.normalization.window import Floats


def decay(count: int, halflife: float) -> Floats:
    """(count,) weights that sum to 1, the newest last and heaviest."""
    weights = 0.5 ** (np.arange(count)[::-1] / halflife)
    return np.asarray(weights / weights.sum())


def newey_west(values: Floats, halflife: float, lags: int) -> Floats:
    """(k, k) long-run covariance per session of `values` (T, k), mean zero, Bartlett weights 1 - l / (lags + 1).

    The series is weighted by the root of its decay before lags are taken; therefore the result is positive semidefinite.
    """
    series = values * np.sqrt(decay(len(values), halflife))[:, None]
    total = series.T @ series
    for lag in range(1, min(lags, len(series) - 1) + 1):
        cross = series[lag:].T @ series[:-lag]
        total += (1.0 - lag / (lags + 1.0)) * (cross + cross.T)
    return np.asarray((total + total.T) / 2.0)


def correlation_of(covariance: Floats) -> Floats:
    """(k, k) correlations, ones on the diagonal; 0 beside a factor without variance."""
    scale = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0.0)
    out = np.clip(covariance * np.outer(inverse, inverse), -1.0, 1.0)
    np.fill_diagonal(out, 1.0)
    return np.asarray(out)


def shrinkage_to_identity(values: Floats, weights: Floats) -> float:
    """Ledoit and Wolf (2004) intensity in [0, 1] for the correlations of `values` (T, k), with observation weights (T,).

    Equal weights give their formula for standardized data: sampling variance of the entries over their squared distance to the
    identity. Constant correlation is no target here: factors correlate with both signs.
    """
    scale = np.sqrt((values**2 * weights[:, None]).sum(axis=0))
    z = np.divide(values, scale, out=np.zeros_like(values), where=scale > 0.0)
    sample = (z * weights[:, None]).T @ z
    distance = float(((sample - np.diag(np.diag(sample))) ** 2).sum())
    if not distance > 0.0:
        return 1.0
    squares = float(((z**2).sum(axis=1) ** 2 * weights**2).sum())
    cross = float((np.einsum("ti,ij,tj->t", z, sample, z) * weights**2).sum())
    noise = squares - 2.0 * cross + float((weights**2).sum()) * float((sample**2).sum())
    return float(min(max(noise, 0.0), distance) / distance)


def nearest_psd(matrix: Floats) -> Floats:
    """The positive semidefinite matrix nearest to a symmetric one in the Frobenius norm: eigenvalues below 0 become 0.

    Higham (1988). Vectors of the null space stay in it.
    """
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2.0)
    if values[0] >= 0.0:
        return np.asarray((matrix + matrix.T) / 2.0)
    repaired = (vectors * np.maximum(values, 0.0)) @ vectors.T
    return np.asarray((repaired + repaired.T) / 2.0)


def factor_covariance(
    factors: Floats, *, variance_halflife: float, correlation_halflife: float, lags: int, constraint: Floats
) -> Floats:
    """(k, k) covariance of factor returns (T, k) per session; c'F c = 0 for the constraint of the regressions.

    Correlations are shrunk towards none by `shrinkage_to_identity`.
    """
    spread = np.sqrt(np.maximum(np.diag(newey_west(factors, variance_halflife, lags)), 0.0))
    correlation = correlation_of(newey_west(factors, correlation_halflife, lags))
    intensity = shrinkage_to_identity(factors, decay(len(factors), correlation_halflife))
    correlation = (1.0 - intensity) * correlation + intensity * np.eye(len(correlation))
    return kept_to(correlation * np.outer(spread, spread), constraint)


def kept_to(covariance: Floats, constraint: Floats) -> Floats:
    """P F P with P the projection along the constraint c: a covariance of returns with c'f = 0."""
    square = float(constraint @ constraint)
    if not square > 0.0:
        return covariance
    projection = np.eye(len(constraint)) - np.outer(constraint, constraint) / square
    kept: Floats = projection @ covariance @ projection
    return np.asarray((kept + kept.T) / 2.0)
