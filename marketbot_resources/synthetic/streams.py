"""Random streams: one for each purpose and instrument, so that neither more instruments nor more sessions shift another. Pure.

Whatever grows with the range is drawn session by session from a stream of its own; then a longer range repeats the shorter.
"""

import zlib

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def stream(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
    """The stream of one purpose of one world, for one instrument or other number."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), *numbers])


def ar1(shocks: Floats, persistence: float) -> Floats:
    """A stationary AR(1) path of unit variance down the first axis, from standard normal shocks of any shape."""
    out = np.empty_like(shocks)
    scale = np.sqrt(1.0 - persistence**2)
    state = shocks[0].copy() if shocks.ndim > 1 else shocks[0]
    out[0] = state
    for place in range(1, len(shocks)):
        state = persistence * state + scale * shocks[place]
        out[place] = state
    return out
