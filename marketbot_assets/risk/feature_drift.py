"""Whether features are distributed as in the sessions before: PSI and Kolmogorov-Smirnov on standardized cross-sections. Pure.

The model reads standardized scores, so a move of the whole market is no drift; a change of shape, a wrong unit of some names or
a feature that vanished is. RC-89 and the table `drift` both ask `feature_drift` and `has_drifted`, so they say the same.
A session is standardized and sorted once (`section_of`); a loop keeps that. Not here: the share of features that may drift
(`platform_controls`, RC-89).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from marketbot_assets.risk.control import within
from marketbot_assets.risk.operation_facts import FeatureDrift
from marketbot_assets.risk.post_trade_controls import finite

Floats = NDArray[np.float64]
BINS = 5  # PSI of n names in B bins is near (B - 1)/n by chance alone: few names, few bins
INNER = np.linspace(0.0, 1.0, BINS + 1)[1:-1]
NAMES_MIN = 3
SMOOTHING = 0.5
KEYS = ("session", "instrument", "complete")


@dataclass(frozen=True, slots=True)
class Section:
    """One session's features: all columns of its table, and feature -> sorted z-scores (m,), empty where nothing varies."""

    columns: tuple[str, ...]
    scores: Mapping[str, Floats]


def section_of(features: pd.DataFrame) -> Section:
    """The section of one session's FEATURES rows: z-scores of the finite values of each feature, ddof 0."""
    columns = tuple(features.columns)
    places = [place for place, name in enumerate(columns) if name not in KEYS]
    names = [columns[place] for place in places]
    # A slice where they lie side by side, which is far cheaper than a choice of columns.
    side_by_side = len(places) > 0 and places[-1] - places[0] + 1 == len(places)
    chosen = features.iloc[:, places[0] : places[-1] + 1] if side_by_side else features[names]
    values = np.ascontiguousarray(chosen.to_numpy(dtype=float).T)
    known = np.isfinite(values)
    whole = known.all(axis=1)
    scores = {name: standardized(values[k][known[k]]) for k, name in enumerate(names) if not whole[k]}
    rows = values[whole]
    if rows.shape[1] < NAMES_MIN:
        return Section(columns, dict.fromkeys(names, np.empty(0)))
    varies = rows.max(axis=1, initial=-np.inf) != rows.min(axis=1, initial=np.inf)
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = np.sort((rows - rows.mean(axis=1)[:, None]) / rows.std(axis=1)[:, None], axis=1)
    for k, place in enumerate(np.flatnonzero(whole)):
        scores[names[place]] = scaled[k] if varies[k] else np.empty(0)
    return Section(columns, scores)


def standardized(known: Floats) -> Floats:
    """Sorted z-scores of finite values (m,), ddof 0; empty when they are fewer than three or all equal."""
    if len(known) < NAMES_MIN:
        return np.empty(0)
    if float(known.max()) == float(known.min()):
        return np.empty(0)
    return np.sort((known - known.mean()) / known.std())


def population_stability(now: Floats, before: Floats) -> float:
    """PSI = sum (p - q) ln(p / q) over five bins that hold a fifth of `before` each; half a name is added to every bin."""
    return float(_stabilities(np.sort(now)[None], np.sort(before)[None])[0])


def _stabilities(now: Floats, before: Floats) -> Floats:
    """(F,) PSI of F features; `now` (F, m) and `before` (F, n), each row sorted."""
    edges = np.quantile(before, INNER, axis=1).T
    p, q = (_shares(part, edges) for part in (now, before))
    return np.asarray(((p - q) * np.log(p / q)).sum(axis=1))


def _shares(sorted_rows: Floats, edges: Floats) -> Floats:
    """(F, BINS) shares of each row's values between its edges (F, BINS - 1); a value on an edge counts above it."""
    below = np.zeros((len(edges), BINS + 1))
    below[:, -1] = sorted_rows.shape[1]
    for place, (row, own) in enumerate(zip(sorted_rows, edges, strict=True)):
        below[place, 1:-1] = np.searchsorted(row, own, side="left")
    counts = np.diff(below, axis=1) + SMOOTHING
    return np.asarray(counts / counts.sum(axis=1)[:, None])


def largest_distance(now: Floats, before: Floats) -> float:
    """Two-sided Kolmogorov-Smirnov statistic of two sorted samples (m,), (n,): the largest gap of their distribution functions.

    Both gaps are largest at a step of `now`: above on it, below just before it.
    """
    m, n = len(now), len(before)
    upto, under = (np.searchsorted(now, now, side=side) for side in ("right", "left"))
    above = (upto / m - np.searchsorted(before, now, side="right") / n).max()
    below = (np.searchsorted(before, now, side="left") / n - under / m).max()
    return max(float(above), float(below), 0.0)


@lru_cache(maxsize=1 << 14)
def _p_value(distance: float, size: float) -> float:
    """Two-sided p of Kolmogorov's distribution (Simard and L'Ecuyer 2011, as scipy has it); few distances are possible."""
    from scipy.stats import kstwo

    return float(np.clip(kstwo.sf(distance, size), 0.0, 1.0))


@dataclass(frozen=True, slots=True)
class Compared:
    """What RC-89 judges of a feature, and the largest distance of the two distribution functions, which only pages show."""

    drift: FeatureDrift
    ks: float


def feature_drift(now: Section, past: Sequence[Section]) -> tuple[FeatureDrift, ...]:
    """What RC-89 judges of every feature, see `compared_features`."""
    return tuple(one.drift for one in compared_features(now, past))


def compared_features(now: Section, past: Sequence[Section]) -> tuple[Compared, ...]:
    """Of every feature that varied among names before, sorted: this session's values against those of `past` together.

    A feature that no longer varies, or is known of fewer than three names, has p = 0.
    """
    samples: dict[str, tuple[Floats, Floats]] = {}
    gone = []
    for name in sorted(now.scores):
        before = [one.scores[name] for one in past if name in one.scores]
        if not sum(map(len, before)):
            continue
        if len(now.scores[name]):
            samples[name] = now.scores[name], np.sort(np.concatenate(before))
        else:
            gone.append(Compared(FeatureDrift(name, 0.0, 0.0), 1.0))
    sizes: dict[tuple[int, int], list[str]] = {}
    for name, (today, before_all) in samples.items():
        sizes.setdefault((len(today), len(before_all)), []).append(name)
    found = [one for (m, n), names in sizes.items() for one in _compared(names, samples, m * n / (m + n))]
    return tuple(sorted([*found, *gone], key=lambda one: one.drift.feature))


def _compared(names: Sequence[str], samples: Mapping[str, tuple[Floats, Floats]], size: float) -> list[Compared]:
    """The comparison of features whose samples have the same numbers of values."""
    today, before = (np.array([samples[name][part] for name in names]) for part in (0, 1))
    stabilities = _stabilities(today, before)
    found = []
    for place, name in enumerate(names):
        distance = largest_distance(today[place], before[place])
        p = _p_value(distance, round(size))
        found.append(Compared(FeatureDrift(name, float(stabilities[place]), p), distance))
    return found


def has_drifted(feature: FeatureDrift, psi_max: float, ks_p_min: float) -> bool:
    """Whether a feature's numbers are beyond what RC-89 allows. Raises ValueError for a number that is none."""
    psi, ks_p = finite(feature.psi, f"PSI of {feature.feature}"), finite(feature.ks_p, f"p of {feature.feature}")
    return not (within(psi, psi_max) and ks_p >= ks_p_min)
