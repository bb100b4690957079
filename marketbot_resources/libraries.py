"""The libraries that may change floats, and their installed versions. Imports none of them."""

from functools import lru_cache
from importlib import metadata

LIBRARIES = ("numpy", "pandas", "pyarrow", "scipy", "cvxpy", "clarabel", "numba", "exchange-calendars", "dagster")


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Library -> installed version."""
    return {name: metadata.version(name) for name in LIBRARIES}
