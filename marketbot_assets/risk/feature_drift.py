"""Whether features are distributed as in the sessions before: PSI and Kolmogorov-Smirnov on standardized cross-sections. Pure.

The model reads standardized scores, so a move of the whole market is no drift; a change of shape, a wrong unit of some names or
a feature that vanished is. RC-89 and the table `drift` both ask `feature_drift` and `has_drifted`, so they say the same.
Not here: the share of features that may drift (`platform_controls`, RC-89).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from marketbot_assets.risk.control import within
from marketbot_assets.risk.operation_facts import FeatureDrift
from marketbot_assets.risk.post_trade_controls import finite

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


@dataclass(frozen=True, slots=True)
class Compared:
    """What RC-89 judges of a feature, and the largest distance of the two distribution functions, which only pages show."""

    drift: FeatureDrift
    ks: float


def feature_drift(now: pd.DataFrame, past: Sequence[pd.DataFrame]) -> tuple[FeatureDrift, ...]:
    """What RC-89 judges of every feature, see `compared_features`."""
    return tuple(one.drift for one in compared_features(now, past))


def compared_features(now: pd.DataFrame, past: Sequence[pd.DataFrame]) -> tuple[Compared, ...]:
    """Of every feature that varied among names before, sorted: this session's FEATURES rows against those of `past` together.

    A feature that no longer varies, or is known of fewer than three names, has p = 0.
    """
    from scipy.stats import ks_2samp

    names = sorted(set(now.columns) - set(KEYS))
    today_of, *past_of = (_columns(frame, names) for frame in (now, *past))
    found = []
    for name in names:
        before = np.concatenate([np.empty(0), *(standardized(known[name]) for known in past_of if name in known)])
        if not len(before):
            continue
        today = standardized(today_of[name])
        if not len(today):
            found.append(Compared(FeatureDrift(name, 0.0, 0.0), 1.0))
            continue
        test = ks_2samp(today, before, method="asymp")
        psi = population_stability(today, before)
        found.append(Compared(FeatureDrift(name, psi, float(test.pvalue)), float(test.statistic)))
    return tuple(found)


def _columns(frame: pd.DataFrame, names: Sequence[str]) -> dict[str, Floats]:
    """Feature -> (n,) values, of those of `names` that the frame has."""
    known = [name for name in names if name in frame.columns]
    return dict(zip(known, frame[known].to_numpy(dtype=float).T, strict=True))


def has_drifted(feature: FeatureDrift, psi_max: float, ks_p_min: float) -> bool:
    """Whether a feature's numbers are beyond what RC-89 allows. Raises ValueError for a number that is none."""
    psi, ks_p = finite(feature.psi, f"PSI of {feature.feature}"), finite(feature.ks_p, f"p of {feature.feature}")
    return not (within(psi, psi_max) and ks_p >= ks_p_min)
