"""One stress applied to the projected book: the result that every family of stresses hands on, and its limits. Pure.

Not here: the stresses themselves (`stress`, `hypothetical`), the shock that a book just bears (`reverse_stress`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from marketbot_assets.risk.inputs import Floats
from marketbot_assets.risk.projection import Projection
from marketbot_assets.risk.state_controls import drawdown

BUDGET, HISTORY, INSTANT = "budget", "history", "instant"
NORMAL_99 = 2.33


@dataclass(frozen=True, slots=True)
class Scenario:
    """One stress: `losses` (3,) fractions of NAV with the batch, without it, with its reductions; positive is a loss.

    `hard` is None where the loss is shown without a limit.
    `proxied`: share of the gross book whose return in this window is a stand-in (peers, or beta times the index).
    With the batch and for windows only, else NaN: the loss by `replay`, by `factors` (the larger one is the loss),
    `idiosyncratic` (99 %, of the window's length, not part of the loss) and the deepest fall on the way, `path_drawdown`.
    `parts` and `fall` say what a table alone shows, when it asks.
    """

    name: str
    kind: str
    losses: Floats
    parts: Callable[[], Floats]
    hard: float | None
    warn: float | None
    proxied: float = 0.0
    replay: float = float("nan")
    factors: float = float("nan")
    idiosyncratic: float = float("nan")
    fall: Callable[[], float] = lambda: float("nan")

    @property
    def contributions(self) -> Floats:
        """(n,) each instrument's part of the loss with the batch."""
        return self.parts()

    @property
    def path_drawdown(self) -> float:
        """The deepest fall on the way, fraction of the high before."""
        return self.fall()


def limits_of(p: Projection, kind: str) -> tuple[float | None, float | None]:
    """(hard, warn) of a kind of scenario. Raises ValueError for a kind that has none."""
    return p.once(f"limits of {kind}", lambda: _limits_of(p, kind))


def _limits_of(p: Projection, kind: str) -> tuple[float | None, float | None]:
    limits = p.mandate.limits
    if kind == BUDGET:
        rule, lost = limits.drawdown_budget, drawdown(p)
        return max(rule.hard - lost, rule.floor), max(rule.warn - lost, rule.floor)
    if kind == HISTORY:
        return None, None
    caps = {
        "crash": limits.crash_replay,
        "bear": limits.bear_replay,
        "fed": limits.fed_severe,
        INSTANT: limits.instant,
    }
    if kind not in caps:
        raise ValueError(f"unknown kind of scenario {kind!r}")
    return caps[kind].hard, caps[kind].warn


def formula(p: Projection, name: str, kind: str, losses: Floats, parts: Callable[[], Floats]) -> Scenario:
    """A stress that is a formula of today's book."""
    hard, warn = limits_of(p, kind)
    return Scenario(name, kind, np.asarray(losses, dtype=float), parts, hard, warn)


def spread(p: Projection, rows: Floats, values: Floats) -> Floats:
    """(n,) values of some rows, 0 elsewhere."""
    whole = np.zeros(len(p.price))
    whole[rows.astype(int)] = values
    return whole
