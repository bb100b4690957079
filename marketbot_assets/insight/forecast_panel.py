"""What forecast models learn from: standardized features and forward returns, sessions x names. Pure.

Row t is decided at session t; its label is known `horizon_rows` rows later. Not here: which rows a fit may see
(`walk_forward`), the families (`families`), how features are worked out (`features`).
"""

import datetime as dt
import hashlib
import json
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from marketbot_assets.normalization.window import Floats, MarketWindow

Rows = NDArray[np.int64]
WINSOR = 3.0
NAMES_MIN = 10
EWMA_MOMENTUM, EWMA_HALF_LIFE = "ewma_momentum_63d", 63


@dataclass(frozen=True, slots=True)
class Panel:
    """T sessions of n names.

    `values`: (T, n, k) z-scores per session and feature, winsorised at 3; `labels`: (T, n) forward returns over so many rows,
    demeaned and scaled per session, NaN where one is not known; `returns`: (T, n) simple return of the next row, for books.
    A name counts in a row when all of its features are known there: `known`.
    """

    sessions: tuple[dt.date, ...]
    instruments: tuple[str, ...]
    features: tuple[str, ...]
    values: Floats
    labels: Floats
    returns: Floats
    horizon_rows: int

    def __post_init__(self) -> None:
        shape = (len(self.sessions), len(self.instruments))
        assert self.values.shape == (*shape, len(self.features)), "values must be (sessions, instruments, features)"
        assert self.labels.shape == self.returns.shape == shape, "labels and returns must be (sessions, instruments)"

    @property
    def known(self) -> NDArray[np.bool_]:
        """(T, n) where every feature is known."""
        return np.asarray(np.isfinite(self.values).all(axis=2))

    @property
    def sha256(self) -> str:
        """Digest of everything in it; every NaN counts as the same."""
        digest = hashlib.sha256()
        head = [[day.isoformat() for day in self.sessions], self.instruments, self.features, self.horizon_rows]
        digest.update(json.dumps(head, separators=(",", ":")).encode())
        for part in (self.values, self.labels, self.returns):
            digest.update(np.where(np.isnan(part), np.nan, part).astype("<f8").tobytes())
        return digest.hexdigest()

    def column(self, name: str) -> int:
        """Place of a feature. Raises ValueError for one that is not there."""
        if name not in self.features:
            raise ValueError(f"panel: expected a feature among {', '.join(self.features)}, found {name}")
        return self.features.index(name)

    def since(self, row: int) -> "Panel":
        """The same from a row on."""
        rows = slice(row, None)
        return replace(
            self,
            sessions=self.sessions[rows],
            values=self.values[rows],
            labels=self.labels[rows],
            returns=self.returns[rows],
        )

    def of(self, features: tuple[str, ...]) -> "Panel":
        """The same with these features in this order."""
        places = [self.column(name) for name in features]
        return replace(self, features=features, values=np.ascontiguousarray(self.values[:, :, places]))


def panel_of(window: MarketWindow, features: tuple[str, ...], values: Floats, horizon_rows: int) -> Panel:
    """The panel of a market window and (T, n, k) raw features of its sessions, in base currency."""
    if horizon_rows < 1:
        raise ValueError(f"panel: expected a horizon of at least 1 row, found {horizon_rows}")
    following = np.full_like(window.base_return, np.nan)
    following[:-1] = window.base_return[1:]
    return Panel(
        sessions=window.sessions,
        instruments=window.instruments,
        features=features,
        values=standardized(values),
        labels=labels_of(window.base_return, horizon_rows),
        returns=following,
        horizon_rows=horizon_rows,
    )


def standardized(values: Floats) -> Floats:
    """(T, n, k) z-scores per session and feature over the names that know it, winsorised at 3; NaN with fewer than three."""
    known = np.isfinite(values)
    count = known.sum(axis=1, keepdims=True)
    held = np.where(known, values, 0.0)
    mean = held.sum(axis=1, keepdims=True) / np.maximum(count, 1)
    apart = np.where(known, values - mean, 0.0)
    spread = np.sqrt((apart**2).sum(axis=1, keepdims=True) / np.maximum(count, 1))
    z = np.clip(apart / np.where(spread > 0.0, spread, 1.0), -WINSOR, WINSOR)
    return np.asarray(np.where(known & (count >= 3), z, np.nan))


def labels_of(returns: Floats, horizon_rows: int) -> Floats:
    """(T, n) returns over the next `horizon_rows` rows of (T, n) simple returns, demeaned and scaled to deviation 1 per session.

    NaN where one of the returns is not known, and in a session that knows fewer than ten names or tells none apart.
    """
    rows, out = len(returns), np.full(returns.shape, np.nan)
    for row in range(rows - horizon_rows):
        forward = np.prod(1.0 + returns[row + 1 : row + 1 + horizon_rows], axis=0) - 1.0
        known = np.isfinite(forward)
        if known.sum() >= NAMES_MIN and (spread := float(forward[known].std())) > 0.0:
            out[row, known] = (forward[known] - forward[known].mean()) / spread
    return out


def ewma_momentum(returns: Floats, half_life: int = EWMA_HALF_LIFE) -> Floats:
    """(T, n) exponentially weighted mean of (T, n) simple returns over its weighted deviation, number per session.

    The weight of a return halves every `half_life` rows; NaN before that many returns were known in a row, and after a gap.
    """
    keep = 0.5 ** (1.0 / half_life)
    weight, first, second, seen = (np.zeros(returns.shape[1]) for _ in range(4))
    out = np.full(returns.shape, np.nan)
    for row, now in enumerate(returns):
        known = np.isfinite(now)
        value = np.where(known, now, 0.0)
        weight, first, second = (
            np.where(known, keep * old + new, 0.0)
            for old, new in ((weight, 1.0), (first, value), (second, value * value))
        )
        seen = np.where(known, seen + 1.0, 0.0)
        mean = first / np.where(weight > 0.0, weight, 1.0)
        variance = second / np.where(weight > 0.0, weight, 1.0) - mean * mean
        good = (seen >= half_life) & (variance > 0.0)
        out[row] = np.where(good, mean / np.sqrt(np.where(good, variance, 1.0)), np.nan)
    return out
