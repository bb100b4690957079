"""Whether features are distributed as in the sessions before: PSI and Kolmogorov-Smirnov on standardized cross-sections. Pure.

The model reads standardized scores, so a move of the whole market is no drift; a change of shape, a wrong unit of some names or
a feature that vanished is. Not here: how much drift is allowed (`platform_controls`, RC-89).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from marketbot_assets.risk.operation_facts import FeatureDrift

Floats = NDArray[np.float64]
BINS = 5  # PSI of n names in B bins is near (B - 1)/n by chance alone: few names, few bins
NAMES_MIN = 3
SMOOTHING = 0.5
KEYS = ("session", "instrument", "complete")


def standardized(values: Floats) -> Floats:
    """Z-scores of the finite values, ddof 0; empty when they are fewer than three or all equal."""
    known = values[np.isfinite(values)]
    if len(known) < NAMES_MIN:
        return np.empty(0)
    if float(known.max()) == float(known.min()):
        return np.empty(0)
    return np.asarray((known - known.mean()) / known.std())


def population_stability(now: Floats, before: Floats) -> float:
    """PSI = sum (p - q) ln(p / q) over five bins that hold a fifth of `before` each; half a name is added to every bin."""
    edges = np.quantile(before, np.linspace(0.0, 1.0, BINS + 1)[1:-1])
    p, q = (
        np.bincount(np.searchsorted(edges, part, side="right"), minlength=BINS) + SMOOTHING for part in (now, before)
    )
    p, q = p / p.sum(), q / q.sum()
    return float(((p - q) * np.log(p / q)).sum())


def feature_drift(now: pd.DataFrame, past: Sequence[pd.DataFrame]) -> tuple[FeatureDrift, ...]:
    """Of every feature that varied among names before, sorted: this session's FEATURES rows against those of `past` together.

    A feature that no longer varies, or is known of fewer than three names, has p = 0.
    """
    from scipy.stats import ks_2samp

    found = []
    for name in sorted(set(now.columns) - set(KEYS)):
        parts = [standardized(frame[name].to_numpy(dtype=float)) for frame in past if name in frame.columns]
        before = np.concatenate([np.empty(0), *parts])
        if not len(before):
            continue
        today = standardized(now[name].to_numpy(dtype=float))
        if not len(today):
            found.append(FeatureDrift(name, 0.0, 0.0))
            continue
        p = float(ks_2samp(today, before, method="asymp").pvalue)
        found.append(FeatureDrift(name, population_stability(today, before), p))
    return tuple(found)
