"""Which solvers answer for the method that the mandate names. Pure.

The method's own solvers come first, then risk parity, then the scaled previous book. Not here: how answers are checked and
what happens when all of them fail (`fallback`).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

from marketbot_assets.portfolio.black_litterman import black_litterman
from marketbot_assets.portfolio.cvar import cvar
from marketbot_assets.portfolio.long_short import long_short
from marketbot_assets.portfolio.min_variance import min_variance
from marketbot_assets.portfolio.multi_period import multi_period
from marketbot_assets.portfolio.target import (
    BLACK_LITTERMAN,
    CVAR,
    LONG_SHORT,
    MEAN_VARIANCE,
    MIN_VARIANCE,
    MULTI_PERIOD,
    TRACKING_ERROR,
    Answer,
    Problem,
)
from marketbot_assets.portfolio.tracking_error import tracking_error

Solver = Callable[[Problem], Answer]
OWN_SOLVERS: Mapping[str, Solver] = MappingProxyType(
    {
        MIN_VARIANCE: min_variance,
        CVAR: cvar,
        TRACKING_ERROR: tracking_error,
        MULTI_PERIOD: multi_period,
        LONG_SHORT: long_short,
    }
)


def chain_of(method: str, solvers: Sequence[tuple[str, Solver]]) -> Sequence[tuple[str, Solver]]:
    """(method, solver) in the order in which they are asked; `solvers`: the chain of mean variance.

    A chain that names the method starts there. Black-Litterman is asked of every solver of mean variance.
    """
    names = [name for name, _ in solvers]
    if method in names:
        return solvers[names.index(method) :]
    after = [pair for pair in solvers if pair[0] != MEAN_VARIANCE]
    if method == BLACK_LITTERMAN:
        asked = [solver for name, solver in solvers if name == MEAN_VARIANCE]
        return [*((method, partial(black_litterman, solver=solver)) for solver in asked), *after]
    return [(method, OWN_SOLVERS[method]), *after] if method in OWN_SOLVERS else solvers
