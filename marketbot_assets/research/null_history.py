"""A past in which the scores are worth nothing: each name carries those of another one, the same throughout. Pure.

What stays is everything else: prices, risk, costs, limits, and how scores are spread and how long they last. So what a rule earns
there it does not owe to its scores. Not here: what such runs say of the true one (`tested`).
"""

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from marketbot_assets.research.history import History, Known, Tables
from marketbot_resources.mandate import Mandate


class NullHistory(History):
    """A history whose scores change hands. `seed`: which name gets whose."""

    def __init__(self, tables: Tables, mandate: Mandate, first: dt.date, last: dt.date, *, seed: int) -> None:
        super().__init__(tables, mandate, first, last)
        self._seed, self._scores = seed, sorted(mandate.portfolio.score_weights)

    def at(self, session: dt.date) -> Known:
        """What was known, with the scores of other names among those that are complete."""
        known = super().at(session)
        complete = np.flatnonzero(known.features["complete"].to_numpy(dtype=bool))
        names = [str(name) for name in known.features["instrument"].iloc[complete]]
        taken, features = complete[successors(names, self._seed)], known.features.copy()
        for score in self._scores:
            values = features[score].to_numpy(dtype=float, copy=True)
            values[complete] = values[taken]
            features[score] = values
        return replace(known, features=features)


def successors(names: Sequence[str], seed: int) -> "np.ndarray":
    """Per name the place of the next one in an order that the seed draws: none is its own, and one that leaves moves one other."""
    keys = [hashlib.sha256(f"{seed}/{name}".encode()).digest() for name in names]
    order = np.array(sorted(range(len(names)), key=keys.__getitem__), dtype=np.int64)
    out = np.empty(len(names), dtype=np.int64)
    out[order] = np.roll(order, -1)
    return out
