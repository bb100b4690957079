"""Whether features are distributed as in the sessions before: PSI and Kolmogorov-Smirnov on standardized cross-sections. Pure.

The model reads standardized scores, so a move of the whole market is no drift; a change of shape, a wrong unit of some names or
a feature that vanished is. RC-89 and the table `drift` both ask `compared_features` and `has_drifted`, so they say the same.
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
from marketbot_assets.risk.operation_facts import FeatureDrift, MeasuredDrift
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
    edges = _inner_edges(before)
    p, q = (_shares(part, edges) for part in (now, before))
    return np.asarray(((p - q) * np.log(p / q)).sum(axis=1))


def _inner_edges(sorted_rows: Floats) -> Floats:
    """(F, BINS - 1) the INNER quantiles of each row, as `np.quantile` interpolates them."""
    places = INNER * (sorted_rows.shape[1] - 1)
    below = np.floor(places).astype(np.int64)
    low, high, share = sorted_rows[:, below], sorted_rows[:, below + 1], places - below
    gap = high - low
    return np.asarray(np.where(share >= 0.5, high - gap * (1.0 - share), low + gap * share))


def _shares(sorted_rows: Floats, edges: Floats) -> Floats:
    """(F, BINS) shares of each row's values between its edges (F, BINS - 1); a value on an edge counts above it."""
    below = np.zeros((len(edges), BINS + 1))
    below[:, -1] = sorted_rows.shape[1]
    for place, (row, own) in enumerate(zip(sorted_rows, edges, strict=True)):
        below[place, 1:-1] = row.searchsorted(own)
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


def _largest_distances(now: Floats, before: Floats) -> list[float]:
    """(F,) `largest_distance` of F features; `now` (F, m) and `before` (F, n), each row sorted.

    Where no value of `now` is one of `before`, their places there tell the steps on and before them alike; of values that come
    twice in `now` the last has the step up, the first the step before.
    """
    (features, m), n = now.shape, before.shape[1]
    place = np.array([row.searchsorted(own) for row, own in zip(before, now, strict=True)])
    met = np.take_along_axis(before, np.minimum(place, n - 1), axis=1) == now
    meets = met.any(axis=1)
    steps = np.arange(m + 1)
    above = (steps[1:] / m - place / n).max(axis=1)
    below = (place / n - steps[:-1] / m).max(axis=1)
    found = np.maximum(np.maximum(above, below), 0.0).tolist()
    return [largest_distance(now[k], before[k]) if meets[k] else found[k] for k in range(features)]


@lru_cache(maxsize=1 << 14)
def _p_value(distance: float, size: int) -> float:
    """Two-sided p of Kolmogorov's distribution (Simard and L'Ecuyer 2011, as scipy has it); few distances are possible."""
    from scipy.stats import kstwo

    return float(np.clip(kstwo.sf(distance, size), 0.0, 1.0))


@lru_cache(maxsize=1 << 10)
def _calm_below(size: int, p_min: float) -> float:
    """The distance whose p is twice `p_min`: a smaller one has a larger p, so that it need not be worked out. NaN: none is."""
    from scipy.stats import kstwo

    return float(kstwo.isf(2.0 * p_min, size))


@dataclass(frozen=True, slots=True)
class Compared:
    """One feature as measured: PSI, and the largest distance `ks` of the two distribution functions.

    `size`: m n / (m + n) of m values against n, rounded; p follows from both and is worked out only where it is asked for.
    """

    feature: str
    psi: float
    ks: float
    size: int

    @property
    def ks_p(self) -> float:
        """The p of the distance."""
        return _p_value(self.ks, self.size)

    @property
    def drift(self) -> FeatureDrift:
        """What RC-89 judges, as plain numbers."""
        return FeatureDrift(self.feature, self.psi, self.ks_p)


GONE_KS, GONE_SIZE = 1.0, 1  # whose p is 0


def compared_features(now: Section, past: Sequence[Section]) -> tuple[Compared, ...]:
    """Of every feature that varied among names before, sorted: this session's values against those of `past` together.

    A feature that no longer varies, or is known of fewer than three names, has p = 0.
    """
    alike: dict[tuple[int, ...], list[str]] = {}
    for name in sorted(now.scores):
        sizes = [len(one.scores[name]) for one in past if name in one.scores]
        if any(sizes):
            alike.setdefault((len(now.scores[name]), *sizes), []).append(name)
    found = []
    for (m, *sizes), names in alike.items():
        if m:
            found += _compared(names, now, past, sum(sizes))
        else:
            found += [Compared(name, 0.0, GONE_KS, GONE_SIZE) for name in names]
    return tuple(sorted(found, key=lambda one: one.feature))


def _compared(names: Sequence[str], now: Section, past: Sequence[Section], n: int) -> list[Compared]:
    """The comparison of features whose samples have the same numbers of values, n of them before."""
    today, before = np.array([now.scores[name] for name in names]), np.empty((len(names), n))
    for row, name in zip(before, names, strict=True):
        np.concatenate([one.scores[name] for one in past if name in one.scores], out=row)
    before.sort(axis=1)
    m = today.shape[1]
    stabilities, distances = _stabilities(today, before).tolist(), _largest_distances(today, before)
    size = round(m * n / (m + n))
    return [Compared(name, psi, ks, size) for name, psi, ks in zip(names, stabilities, distances, strict=True)]


def has_drifted(feature: MeasuredDrift, psi_max: float, ks_p_min: float) -> bool:
    """Whether a feature's numbers are beyond what RC-89 allows. Raises ValueError for a number that is none."""
    psi = finite(feature.psi, f"PSI of {feature.feature}")
    if isinstance(feature, Compared) and feature.ks < _calm_below(feature.size, ks_p_min):
        return not within(psi, psi_max)
    ks_p = finite(feature.ks_p, f"p of {feature.feature}")
    return not (within(psi, psi_max) and ks_p >= ks_p_min)
