"""Twice twenty return series that every Python makes alike, and where the numbers of the peers are kept and made.

`golden/empyrical.json` holds what empyrical-reloaded 0.7.1 and scipy 1.17 said of both; the long tests ask again.
"""

import json
import os
import random
import sys
from pathlib import Path

import numpy as np

CHECKOUT = Path(__file__).parents[2]
BENCHMARKS = CHECKOUT / "benchmarks"
GOLDEN = Path(__file__).parent / "golden" / "empyrical.json"
SERIES, SESSIONS = 20, 600
LENGTHS = (260, 60, 500, 1_000)
if str(BENCHMARKS) not in sys.path:
    sys.path.insert(0, str(BENCHMARKS))


def drawn(seed: int, size: float, drift: float) -> np.ndarray:
    """Bell-shaped returns with a few that are four times as large; `random` is the same everywhere."""
    draw = random.Random(seed)
    bells = (sum(draw.random() for _ in range(6)) - 3.0 for _ in range(SESSIONS))
    return np.array([size * bell * (4.0 if draw.random() < 0.03 else 1.0) + drift for bell in bells])


def market() -> np.ndarray:
    """(SESSIONS,) benchmark."""
    return drawn(1_000, 0.012, 0.0003)


def series() -> np.ndarray:
    """(SESSIONS, SERIES) portfolios that follow the benchmark more or less."""
    columns = [0.1 * seed * market() + drawn(seed, 0.01, 0.0001 * (seed - 8)) for seed in range(SERIES)]
    return np.column_stack(columns)


def uneven() -> list[tuple[np.ndarray, np.ndarray]]:
    """SERIES pairs of returns and their benchmark with fat tails, 60 to 1,000 sessions long, to six digits."""
    pairs = []
    for seed in range(SERIES):
        draw, sessions = np.random.default_rng(seed), LENGTHS[seed % len(LENGTHS)]
        benchmark = draw.standard_t(4, sessions) * 0.008 + 0.0003
        returns = 0.6 * benchmark + draw.standard_t(4, sessions) * 0.006 + 0.0002
        pairs.append((np.round(returns, 6), np.round(benchmark, 6)))
    return pairs


def golden(family: str = "alike") -> dict[str, list[float]]:
    """Measure -> one number per series; `alike`: of `series`, `uneven`: of `uneven`."""
    return dict(json.loads(GOLDEN.read_text(encoding="utf-8"))[family])


def peers_folder(otherwise: Path) -> Path:
    """Where the peers' environments are kept (MARKETBOT_PEERS) or made."""
    return Path(os.environ.get("MARKETBOT_PEERS") or otherwise)
