"""How a specification is trained: its rule, numbers among its hyper-parameters, the sample of a fit, what a fit leaves. Pure.

Not here: the panel (`forecast_panel`), splits (`walk_forward`), the families (`families`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from marketbot_assets.insight.forecast_panel import NAMES_MIN, Panel, Rows
from marketbot_assets.insight.model_card import Json, ModelSpec
from marketbot_assets.normalization.window import Floats

SESSIONS_MIN = 20
VERSIONS = "versions"


@dataclass(frozen=True, slots=True)
class TrainingRule:
    """`horizon_rows`: until a label is known; `embargo_rows`: between the last known label and the first test; `sample_every`: rows
    between the sessions of a sample; `first_rows`: before the first test; `refit_rows`: tests per fit; `window_rows`: newest rows
    that a fit sees, None for all; `seed`: of anything drawn.
    """

    horizon_rows: int = 21
    embargo_rows: int = 10
    sample_every: int = 5
    first_rows: int = 252
    refit_rows: int = 63
    window_rows: int | None = None
    seed: int = 0

    def body(self, versions: Mapping[str, str]) -> dict[str, Json]:
        """As JSON, with the version of each feature: what is learnt from one version is never used on another."""
        return {**{name: getattr(self, name) for name in self.__slots__}, "versions": dict(versions)}


def rule_of(spec: ModelSpec) -> TrainingRule:
    """The rule of a specification. Raises ValueError for one that is incomplete or not made of whole numbers."""
    told, names = spec.training, set(TrainingRule.__slots__)
    if set(told) != names | {VERSIONS}:
        raise ValueError(
            f"training: expected {', '.join(sorted(names))} and {VERSIONS}, found {', '.join(sorted(told)) or 'nothing'}"
        )
    window = None if told["window_rows"] is None else whole(told, "window_rows", 1)
    rest = {name: whole(told, name, 0 if name in ("embargo_rows", "seed") else 1) for name in names - {"window_rows"}}
    return TrainingRule(window_rows=window, **rest)


def versions_of(spec: ModelSpec) -> dict[str, str]:
    """The version of each feature. Raises ValueError unless each has one."""
    told = spec.training.get(VERSIONS)
    if not isinstance(told, Mapping) or set(told) != set(spec.features):
        raise ValueError("training: expected the version of each feature, found others")
    return {name: str(version) for name, version in told.items()}


def number(of: Mapping[str, Json], name: str) -> float:
    """A finite number among hyper-parameters. Raises ValueError for anything else."""
    value = of.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name}: expected a finite number, found {value!r}")
    return float(value)


def whole(of: Mapping[str, Json], name: str, least: int) -> int:
    """A whole number of at least `least` among hyper-parameters. Raises ValueError for anything else."""
    value = of.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name}: expected a whole number of at least {least}, found {value!r}")
    return value


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a family learnt. `coefficients`: name -> number; `parameters`: the rest, as plain JSON; both go into a fit's file."""

    coefficients: Mapping[str, float] = field(default_factory=dict)
    parameters: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sample:
    """Per session (m, k) finite features and (m,) finite labels, oldest first. `features`: names of the columns."""

    features: tuple[str, ...]
    sessions: tuple[tuple[Floats, Floats], ...]

    def stacked(self) -> tuple[Floats, Floats]:
        """All rows in order."""
        return np.concatenate([x for x, _ in self.sessions]), np.concatenate([y for _, y in self.sessions])


def sample_of(panel: Panel, rows: Rows, every: int) -> Sample:
    """Every `every`-th of the rows, counted back from the newest; sessions that know fewer than ten names are left out.

    Raises FloatingPointError with fewer than twenty sessions: nothing can be learnt from them.
    """
    chosen = rows[::-1][::every][::-1]
    usable = panel.known & np.isfinite(panel.labels)
    found = [
        (panel.values[row][usable[row]], panel.labels[row][usable[row]])
        for row in chosen.tolist()
        if usable[row].sum() >= NAMES_MIN
    ]
    if len(found) < SESSIONS_MIN:
        raise FloatingPointError(f"sample: expected at least {SESSIONS_MIN} sessions with labels, found {len(found)}")
    return Sample(panel.features, tuple(found))
