"""Compiles every operator once, on a small made-up world, so that the first build need not.

The installation calls it by way of `portfolio.machine_code`. Not here: the operators (`operators`).
"""

import numpy as np

from marketbot_assets.features.catalogue import declared_plan
from marketbot_assets.features.declaration import INPUTS
from marketbot_assets.features.engine import Days, build, features_of
from marketbot_assets.features.operators.as_of import as_of

SESSIONS, NAMES = 300, 3


def compile_all() -> None:
    """One build into either precision, one further session and one as-of join."""
    plan, draw = declared_plan(), np.random.default_rng(0)
    given = {
        name: 1.0 + 0.1 * draw.random((SESSIONS, 1 if fact.series else NAMES)) for name, fact in sorted(INPUTS.items())
    }
    built = build(plan, given, 0)
    build(plan, given, 0, np.empty(built.values.shape, dtype=np.float32))
    features_of(plan, built.values, np.zeros(NAMES, dtype=np.int64))
    Days(plan, built.state).next({name: rows[-1] for name, rows in given.items()})
    two = np.arange(2)
    as_of(two, two, two, two, np.ones(2), NAMES, 365)
