"""Factor returns by cross-sectional regression with a constraint on the sectors. Pure.

Every session its own regression r = X f + e over the names with a known return. The market is the constant, so sector returns
are told apart from it by one constraint: their weighted sum is zero (Heston and Rouwenhorst 1994). Weights by Grinold and Kahn
(2000): the square root of market values. Robust: Huber (1964) by iterated reweighting, scale by the median absolute residual.
Not here: covariances of factor returns (`factor_covariance`), of residuals (`specific_risk`).
"""

from dataclasses import dataclass

import numpy as np

from marketbot_assets.normalization.window import Flags, Floats

HUBER, NORMAL_MAD, ROBUST_ROUNDS = 1.345, 0.6744897501960817, 15
SINGULAR = 1e-10
SECTOR = "sector "


@dataclass(frozen=True, slots=True)
class CrossSections:
    """T regressions of n names on k factors.

    `factors` (T, k): simple returns per session, 0 where nothing is known; `residuals` (T, n): NaN where the return is;
    `maps` (k, n): factor returns per unit of return when every name is known, the factor-mimicking portfolios;
    `leverage` (n,): diagonal of X maps, the share of a name's own return that its factors absorb, 0 to 1.
    """

    factors: Floats
    residuals: Floats
    maps: Floats
    leverage: Floats


def sector_constraint(names: tuple[str, ...], exposures: Floats, sizes: Floats | None = None) -> Floats:
    """(k,) c with c'f = 0: each sector's share of `sizes` (n,), or of the names (every name counts 1); 0 for other factors.

    names: the factors, sectors begin with "sector "; exposures: (n, k).
    """
    weights = np.ones(len(exposures)) if sizes is None else sizes
    shares = weights @ exposures / weights.sum()
    return np.array([share if name.startswith(SECTOR) else 0.0 for name, share in zip(names, shares, strict=True)])


def free_basis(constraint: Floats) -> Floats:
    """(k, k - 1) matrix whose columns span the vectors f with c'f = 0; the identity when c is 0.

    The sector of the largest share is told by the others: any choice gives the same f.
    """
    k = len(constraint)
    if not np.any(constraint != 0.0):
        return np.eye(k)
    place = int(np.argmax(np.abs(constraint)))
    basis = np.eye(k)
    basis[place] = -constraint / constraint[place]
    return np.delete(basis, place, axis=1)


def cross_sections(
    returns: Floats, exposures: Floats, weights: Floats, constraint: Floats, *, robust: bool = False
) -> CrossSections:
    """Weighted least squares of each row of `returns` (T, n), NaN unknown, on `exposures` (n, k) under c'f = 0.

    weights: (n,), positive. A factor that a session cannot tell from others gets the smallest return (pseudo-inverse).
    """
    basis = free_basis(constraint)
    x = exposures @ basis
    known = np.isfinite(returns)
    values = np.where(known, returns, 0.0)
    free = _solved(x, values, known * weights)
    if robust:
        for _ in range(ROBUST_ROUNDS):
            free = _solved(x, values, known * weights * huber_weights(values - free @ x.T, known, weights))
    gram = x.T @ (x * weights[:, None])
    maps = basis @ np.linalg.pinv(gram, rcond=SINGULAR, hermitian=True) @ (x * weights[:, None]).T
    residuals = np.where(known, values - free @ x.T, np.nan)
    leverage = np.clip((exposures * maps.T).sum(axis=1), 0.0, 1.0)
    return CrossSections(free @ basis.T, residuals, maps, leverage)


def _solved(x: Floats, values: Floats, weights: Floats) -> Floats:
    """(T, q) solutions of T weighted normal equations. x: (n, q); values, weights: (T, n). Sessions of equal weights share one."""
    places: dict[bytes, list[int]] = {}
    for place, row in enumerate(weights):
        places.setdefault(row.tobytes(), []).append(place)
    out = np.empty((len(values), x.shape[1]))
    for inside in places.values():
        row = weights[inside[0]]
        gram = x.T @ (x * row[:, None])
        out[inside] = (values[inside] * row) @ x @ np.linalg.pinv(gram, rcond=SINGULAR, hermitian=True)
    return out


def huber_weights(residuals: Floats, known: Flags, weights: Floats) -> Floats:
    """(T, n) in (0, 1]: 1 within 1.345 scales of zero, falling as 1 / |e| beyond; 1 in a session without spread."""
    scaled = np.abs(residuals) * np.sqrt(weights)
    middle = np.array([np.median(row[flags]) if flags.any() else 0.0 for row, flags in zip(scaled, known, strict=True)])
    limit = HUBER * middle[:, None] / NORMAL_MAD
    over = (scaled > limit) & (limit > 0.0)
    return np.divide(limit, scaled, out=np.ones(scaled.shape), where=over)
