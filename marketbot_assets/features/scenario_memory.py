"""What one session computed of the past and the next one need not: a longer past changes no earlier row of it. Pure.

Factor returns of a session follow from that session alone once the members of a portfolio are given, and what a name did in a
stress window is over. A memory belongs to one set of instruments and to pasts that extend each other; without one everything is
computed anew, with the same bits. Not here: what is computed (`stress_factors`, `scenarios`).
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from marketbot_assets.normalization.window import Floats

Rows = NDArray[np.intp]
Value = TypeVar("Value")


@dataclass(slots=True)
class _Series:
    members: Hashable
    values: Floats
    known: NDArray[np.bool_]


@dataclass(slots=True)
class ScenarioMemory:
    """Factor returns per session under the newest members of each factor, and facts that stay as they are."""

    _series: dict[str, _Series] = field(default_factory=dict)
    _facts: dict[Hashable, object] = field(default_factory=dict)
    _newest: dict[Hashable, tuple[Hashable, object]] = field(default_factory=dict)

    def series(
        self, name: str, members: Hashable, rows: Rows, make: Callable[[Rows], Floats], width: int = 1
    ) -> Floats:
        """(R, width) of factors on sessions `rows`: `make` answers for sessions nobody asked for under these `members`."""
        size = int(rows[-1]) + 1 if len(rows) else 0
        kept = self._series.get(name)
        if kept is None or kept.members != members:
            kept = self._series[name] = _Series(members, np.full((size, width), np.nan), np.zeros(size, dtype=bool))
        if size > len(kept.values):
            more = 2 * size - len(kept.values)
            kept.values = np.concatenate([kept.values, np.full((more, width), np.nan)])
            kept.known = np.concatenate([kept.known, np.zeros(more, dtype=bool)])
        missing = rows[~kept.known[rows]]
        if len(missing):
            # An array of one row has no strides of its own and could be summed in another order.
            asked = missing if len(missing) > 1 else np.repeat(missing, 2)
            kept.values[missing], kept.known[missing] = make(asked)[: len(missing)], True
        return kept.values[rows]

    def fact(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """What `make` said when it was first asked for this key."""
        if key not in self._facts:
            self._facts[key] = make()
        return self._facts[key]  # type: ignore[return-value]

    def newest(self, what: Hashable, key: Hashable, make: Callable[[], Value]) -> Value:
        """What `make` said when it was first asked for this key; of one `what` only the newest key is remembered."""
        kept = self._newest.get(what)
        if kept is None or kept[0] != key:
            kept = self._newest[what] = (key, make())
        return kept[1]  # type: ignore[return-value]
