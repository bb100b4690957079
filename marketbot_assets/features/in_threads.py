"""A map that works on blocks of instruments in threads. Pure: the division of the work changes no bit.

Kernels and numpy let other threads run while they work, so blocks share one memory without a copy. Not here: what a block is
(`wide_features`), processes and clusters (the Dask port).
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from marketbot_assets.features.engine import Built

Work = Callable[[slice], Built]


def in_threads(count: int) -> Callable[[Work, Sequence[slice]], Iterable[Built]]:
    """A map for `build_features` that keeps the order and works on `count` blocks at a time."""

    def over(work: Work, columns: Sequence[slice]) -> Iterable[Built]:
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(work, columns))

    return over
