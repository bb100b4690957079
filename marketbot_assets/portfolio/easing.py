"""Limits that today's selling cannot reach: eased in a stated order, every easing on record. Pure.

The order, for each limit by itself:

1. the bound that the mandate states (its `target`), as long as selling what liquidity allows reaches it;
2. else what nine tenths of that selling reach, but never beyond the verdict's hard limit while that can be reached;
3. else, the hard limit is out of reach, too: both bounds become what nine tenths of that selling reach.

Bounds of single names and funding are never eased, and no bound is ever tightened. After it the smallest book that selling can
reach keeps every limit, so a feasible book always exists. Not here: which limits there are (`limits`), which of them exclude
each other (`conflict`), what happens when no solver answers (`fallback`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from marketbot_assets.portfolio.bounds import Bounds
from marketbot_assets.portfolio.inputs import Floats
from marketbot_assets.portfolio.limit import ConeLimit, LinearLimit, ShortfallLimit, TopLimit

PROGRESS, ROOM = 0.9, 1e-6
Shape = LinearLimit | ConeLimit | TopLimit | ShortfallLimit
AnyShape = TypeVar("AnyShape", bound=Shape)


@dataclass(frozen=True, slots=True)
class Eased:
    """One eased limit, all numbers in its unit: target bound and hard limit as stated and as kept today.

    `reach`: left side of the smallest book that selling can reach today.
    """

    control: str
    name: str
    unit: str
    bound_stated: float
    bound: float
    hard_stated: float
    hard: float
    reach: float

    @property
    def message(self) -> str:
        """Like "RC-32 sector IT: 0.19 -> 0.284 NAV, selling reaches 0.26 today, hard limit 0.2 -> 0.284"."""
        hard = f", hard limit {self.hard_stated:.4g} -> {self.hard:.4g}" if self.hard != self.hard_stated else ""
        told = f"{self.bound_stated:.4g} -> {self.bound:.4g} {self.unit}"
        return f"{self.control} {self.name}: {told}, selling reaches {self.reach:.4g} today{hard}"


def feasible(limit: AnyShape, bounds: Bounds, weights_now: Floats, inside: Floats | None = None) -> AnyShape:
    """The limit with bounds that selling can reach today, by the order at the head of this file.

    `inside`: the book clipped to the bounds, where the caller has it.
    """
    reach = limit.left(bounds.lower, weights_now)
    room = ROOM + (limit.rounding if isinstance(limit, LinearLimit) else 0.0)
    if reach + room <= limit.hard and reach + room <= limit.bound:
        return limit
    kept = limit.left(np.clip(weights_now, bounds.lower, bounds.upper) if inside is None else inside, weights_now)
    least = reach + max(room, (1.0 - PROGRESS) * (kept - reach))
    hard = limit.hard if reach + room <= limit.hard else least
    bound = limit.bound if reach + room <= limit.bound else min(least, hard)
    return limit if (bound, hard) == (limit.bound, limit.hard) else replace(limit, bound=bound, hard=hard)


def eased(stated: Sequence[Shape], kept: Sequence[Shape], bounds: Bounds, weights_now: Floats) -> tuple[Eased, ...]:
    """What differs between the limits as stated and as kept, in their order."""
    return tuple(
        Eased(a.control, a.name, a.unit, a.bound, b.bound, a.hard, b.hard, a.left(bounds.lower, weights_now))
        for a, b in zip(stated, kept, strict=True)
        if (a.bound, a.hard) != (b.bound, b.hard)
    )
