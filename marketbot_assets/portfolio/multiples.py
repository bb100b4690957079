"""Which multiples of one book keep every limit: asked many times, measured a few. Pure.

Where no bound of a name cuts the book, a left side grows with the multiple, or is convex in it: what it is at one multiple, or
at both ends, settles all multiples but those that bring it near its bound; there it is measured as any weights are. So the
answers are those of `LimitSet.residual`. Not here: the search for the largest multiple (`risk_parity`).
"""

from collections.abc import Callable

import numpy as np

from marketbot_assets.portfolio.bounds import Bounds
from marketbot_assets.portfolio.inputs import Floats
from marketbot_assets.portfolio.limit import ConeLimit, Limit, ShortfallLimit, TopLimit
from marketbot_assets.portfolio.limits import SETTLED, LimitSet

CLOSE = 1e-11  # of a curved left side: a hundred times what rounding makes of it


def multiples(shape: Floats, limits: LimitSet, most: float = 1.0) -> Callable[[float], bool]:
    """Whether `residual` is 0 at clip(t * shape, bounds), for t in [0, most]."""
    stack, lower, upper = limits.stack(), limits.bounds.lower, limits.bounds.upper
    shape = np.where((lower == 0.0) & (upper == 0.0), 0.0, shape)  # what must go is gone at every t
    curved = [x for x in stack.others if _grows(x)]
    grown = (*stack.plain, *curved)
    left = np.concatenate([stack.rows @ shape, [_root(x, x.left(shape, limits.weights_now)) for x in curved]])
    bound = np.concatenate([stack.bounds, [_root(x, x.bound) for x in curved]])
    near = np.maximum(CLOSE, CLOSE * np.maximum(np.abs(left), np.abs(bound)))
    near[: len(stack.plain)] = np.maximum(near[: len(stack.plain)], stack.near)
    free = min(_unclipped(shape, limits.bounds), most)
    ends = (0.0 * shape, max(free, 0.0) * shape)
    others = tuple(x for x in stack.others if not _grows(x) and not _quiet(x, ends, limits.weights_now))
    whole, rest = limits.tester(), LimitSet(limits.bounds, others, limits.weights_now).tester()

    def holds(t: float) -> bool:
        if not t <= free:
            return whole(np.clip(t * shape, lower, upper))
        over = t * left - bound
        if (over > near).any():
            return False
        if not others and (over < -near).all():
            return True
        weights, doubtful = t * shape, [grown[k] for k in np.flatnonzero(~(over < -near))]
        return rest(weights) and all(x.left(weights, limits.weights_now) <= x.bound for x in doubtful)

    return holds


def _grows(limit: Limit) -> bool:
    """Whether the left side of a curved limit at t * weights follows from the one at the weights."""
    return isinstance(limit, TopLimit | ShortfallLimit) or (isinstance(limit, ConeLimit) and limit.centre is None)


def _root(limit: Limit, value: float) -> float:
    """A left side or bound of a curved limit as it grows with t."""
    return float(np.sqrt(value)) if isinstance(limit, ConeLimit) and limit.squared else value


def _quiet(limit: Limit, ends: tuple[Floats, Floats], weights_now: Floats) -> bool:
    """Whether a convex limit clearly holds at both ends, so between them, too."""
    worst = np.max([limit.left(weights, weights_now) for weights in ends])  # NaN when one is
    return bool(worst < limit.bound - SETTLED * max(1.0, abs(limit.bound)))


def _unclipped(shape: Floats, bounds: Bounds) -> float:
    """The t up to which t * shape lies within the bounds, less a hair; negative where it may not at any t."""
    if not ((shape >= 0.0).all() and np.isfinite(shape).all() and (bounds.lower <= 0.0).all()):
        return -1.0
    held = shape > 0.0
    return (1.0 - SETTLED) * float(np.min(bounds.upper[held] / shape[held], initial=np.inf))
