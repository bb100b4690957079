"""What today's instruments lose in each stress window: by replay and by factors. Pure.

A window counts from the first session after its end. Replay: the name's own returns where at least 95 % of the window's sessions
exist; else, marked as proxied, the median of three or more peers of its sector times the ratio of betas, or beta times the
index. Factors: betas times the factor returns of the window, compounded session by session; where our own index does not span the
window, its published factor returns. Two shocks without a date that are one return per name stand here as well: Y2 (rates) and
Y4 (momentum crash).
Not here: the windows themselves (`stress_windows`), how factors and betas are estimated (`stress_factors`).
"""

import datetime as dt
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marketbot_assets.features.liquidity import median
from marketbot_assets.features.past import Past, Universe, plain_universe
from marketbot_assets.features.scenario_memory import ScenarioMemory
from marketbot_assets.features.stress_factors import (
    RATES,
    StressFactors,
    estimate_stress_factors,
    momentum_of,
)
from marketbot_assets.features.stress_windows import BUDGET, INSTANT, MARKET, WINDOWS, Window
from marketbot_assets.normalization.window import Flags, Floats

Places = NDArray[np.intp]
Groups = list[Flags]
COVERAGE_MIN = 0.95
LOSS_FLOOR, GAIN_CEILING = -0.95, 2.0  # a name that trebles while markets fall has a wrong beta
PEERS_MIN, RATIO_MIN, RATIO_MAX = 3, 0.5, 2.0
BUDGET_SESSIONS = 5
BUDGET_YEARS = 20
PATH_POINTS = 12
LEVEL_MIN = 0.01
RATE_SHOCK = 0.02
WINNERS, WINNER_SHOCK = 0.8, -0.25
WORST, RATES_UP, MOMENTUM_CRASH = "WORST5", "Y2 rates +200 bp", "Y4 momentum crash"


@dataclass(frozen=True, slots=True)
class ScenarioReturns:
    """Simple return of each of n instruments in each of S scenarios.

    `returns` (S, n): by replay or its proxy; `proxied` (S, n); `factor_returns` (S, n): by factors; `paths` (S, P, n): cumulative
    replay at P sessions of the window, evenly spaced, the last one its end; `years` (S,): length, 0 for an instant.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    returns: Floats
    proxied: NDArray[np.bool_]
    factor_returns: Floats
    paths: Floats
    years: Floats


@dataclass(frozen=True, slots=True)
class _Own:
    """What the names did in one window: whether enough of it is known (n,), their return (n,), the walk to it (P, n) or None."""

    covered: Flags
    replayed: Floats
    walked: Floats | None


@dataclass(frozen=True, slots=True)
class _StandIn:
    """One sector in one window: places of the names that need a proxy, of their peers, and the peers' median return."""

    needy: Places
    peers: Places
    replayed: float


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    kind: str
    returns: Floats
    proxied: Flags
    factor_returns: Floats
    path: Floats
    years: float


def scenario_returns(
    past: Past,
    beta: Floats,
    session: dt.date,
    universe: Universe | None = None,
    memory: ScenarioMemory | None = None,
) -> ScenarioReturns:
    """Every window that ended before `session`, then the shocks without a date.

    `beta` (n,): to the index, used for proxies; `universe`: nothing is known of the names when it is None. The worst five index
    sessions in a row of the last 20 years are the scenario WORST5. Y2 is left out where no yields are known. `memory`: of earlier
    sessions of the same past and names; it changes no bit.
    """
    count, memory = past.base_returns.shape[1], memory or ScenarioMemory()
    known = plain_universe(count) if universe is None else universe
    due = [window for window in WINDOWS if window.end < session]
    worst = _worst_run(past, session)
    due += [] if worst is None else [Window(WORST, BUDGET, *worst, float("nan"))]
    places = [_inside(past, window) for window in due]
    needed = [rows for rows in places if rows is not None]
    union = np.unique(np.concatenate(needed)) if needed else np.empty(0, dtype=np.intp)
    factors = estimate_stress_factors(past, known, beta, union, memory)
    sectors = (known.sector, known.equity.tobytes())
    groups = memory.newest("groups", sectors, lambda: list(known.members().values()))
    rows = [
        _window_row(past, groups, sectors, beta, factors, window, place, memory)
        for window, place in zip(due, places, strict=True)
    ]
    return _stacked([*rows, *_shocks(past, known, factors)], count)


def _stacked(rows: list[_Row], count: int) -> ScenarioReturns:
    size = len(rows)
    return ScenarioReturns(
        names=tuple(row.name for row in rows),
        kinds=tuple(row.kind for row in rows),
        returns=np.array([row.returns for row in rows]).reshape(size, count),
        proxied=np.array([row.proxied for row in rows], dtype=bool).reshape(size, count),
        factor_returns=np.array([row.factor_returns for row in rows]).reshape(size, count),
        paths=np.array([row.path for row in rows]).reshape(size, PATH_POINTS, count),
        years=np.array([row.years for row in rows], dtype=float),
    )


def _inside(past: Past, window: Window) -> Places | None:
    """Rows of the window's sessions; None where our own sessions do not span it."""
    if not past.sessions or past.sessions[0] > window.start:
        return None
    first, last = past.after(window.start), past.after(window.end)
    return np.arange(first, last) if last > first else None


def _window_row(
    past: Past,
    groups: Groups,
    sectors: Hashable,
    beta: Floats,
    factors: StressFactors,
    window: Window,
    rows: Places | None,
    memory: ScenarioMemory,
) -> _Row:
    index = _index_path(past, window, rows)
    key = (window.start, window.end, rows is None)
    own = memory.fact(key, lambda: _own(past, rows))
    replayed, proxied = _replay(own, memory.newest(key, sectors, lambda: _stand_ins(own, groups)), beta, index[-1])
    return _Row(
        name=window.name,
        kind=window.kind,
        returns=replayed,
        proxied=proxied,
        factor_returns=by_factors(factors, window, index[-1], rows),
        path=_path(own, replayed, proxied, index),
        years=window.years,
    )


def _points(rows: Places) -> Places:
    """Positions of the path's sessions within the window, the last one its end."""
    return np.ceil(np.arange(1, PATH_POINTS + 1) * len(rows) / PATH_POINTS).astype(np.intp) - 1


def _index_path(past: Past, window: Window, rows: Places | None) -> Floats:
    """(P,) cumulative index return; the published one throughout where our own does not span the window."""
    if rows is not None:
        path = past.index[rows[_points(rows)]] / past.index[rows[0] - 1] - 1.0
        if np.isfinite(path[-1]):
            return np.where(np.isfinite(path), path, path[-1])
    return np.full(PATH_POINTS, window.index_return)


def _own(past: Past, rows: Places | None) -> _Own:
    own = past.base_returns[:0] if rows is None else past.base_returns[rows]
    known = np.isfinite(own)
    steps = 1.0 + np.where(known, own, 0.0)
    walked = None if rows is None else np.asarray(np.cumprod(steps, axis=0)[_points(rows)] - 1.0, dtype=np.float64)
    covered = known.sum(axis=0) >= COVERAGE_MIN * max(len(own), 1)
    return _Own(np.asarray(covered), np.asarray(np.prod(steps, axis=0) - 1.0), walked)


def _stand_ins(own: _Own, groups: Groups) -> list[_StandIn]:
    """Of every sector with enough peers, in the order of `groups`: who needs a proxy there."""
    covered, found = own.covered, []
    for group in groups if covered.any() and not covered.all() else ():
        needy, peers = np.flatnonzero(group & ~covered), np.flatnonzero(group & covered)
        if len(needy) and len(peers) >= PEERS_MIN:
            found.append(_StandIn(needy, peers, median(own.replayed[peers])))
    return found


def _replay(own: _Own, stand_ins: list[_StandIn], beta: Floats, index_return: float) -> tuple[Floats, Flags]:
    """(returns (n,), which are proxies (n,)) of one window. A proxy never gains: it is no evidence that the name would have."""
    if own.covered.all():
        return own.replayed, ~own.covered
    proxy = beta * index_return
    for sector in stand_ins:
        middle = median(beta[sector.peers])
        if middle > 0.0:
            ratio = np.minimum(np.maximum(beta[sector.needy] / middle, RATIO_MIN), RATIO_MAX)
            proxy[sector.needy] = ratio * sector.replayed
    return np.where(own.covered, own.replayed, np.clip(proxy, LOSS_FLOOR, 0.0)), ~own.covered


def by_factors(factors: StressFactors, window: Window, index_return: float, rows: Places | None) -> Floats:
    """(n,) betas times factor returns, session by session, or of the published returns as logarithms.

    Between LOSS_FLOOR and GAIN_CEILING: one wrong bar gives a beta of hundreds, and what no book can gain would offset its losses.
    """
    if rows is not None:
        moves = factors.inside(rows)
        if np.isfinite(moves).all():
            steps = np.maximum(moves @ factors.betas.T, LOSS_FLOOR)
            with np.errstate(over="ignore"):
                return np.clip(np.prod(1.0 + steps, axis=0) - 1.0, LOSS_FLOOR, GAIN_CEILING)
    given = {**window.published, MARKET: index_return}
    known = np.array([name in given for name in factors.names], dtype=bool)
    move = np.array([[np.log1p(given.get(name, 0.0)) for name in factors.names]])
    with np.errstate(over="ignore"):
        return np.clip(np.expm1(factors.filled(move, known) @ factors.betas.T)[0], LOSS_FLOOR, GAIN_CEILING)


def _path(own: _Own, replayed: Floats, proxied: Flags, index: Floats) -> Floats:
    """(P, n) cumulative replay; a proxy moves with the index, a window before our own sessions has its end alone."""
    if own.walked is None:
        return np.tile(replayed, (PATH_POINTS, 1))
    if not proxied.any():
        return own.walked
    shape = index / index[-1] if abs(index[-1]) > LEVEL_MIN else np.ones(PATH_POINTS)
    stand_in = np.maximum(shape[:, None] * replayed, LOSS_FLOOR)
    return np.where(proxied, stand_in, own.walked)


def _shocks(past: Past, universe: Universe, factors: StressFactors) -> list[_Row]:
    """Y2: +200 bp on the ten-year yield times the rate beta. Y4: the top fifth by momentum loses 25 %; unknown counts as top."""
    moves = {MOMENTUM_CRASH: np.where(_winners(past, universe), WINNER_SHOCK, 0.0)}
    place = factors.column(RATES)
    if place is not None:
        moves[RATES_UP] = np.maximum(RATE_SHOCK * factors.betas[:, place], LOSS_FLOOR)
    none = np.zeros(past.base_returns.shape[1], dtype=bool)
    return [
        _Row(name, INSTANT, move, none, move, np.tile(move, (PATH_POINTS, 1)), 0.0)
        for name, move in sorted(moves.items())
    ]


def _winners(past: Past, universe: Universe) -> Flags:
    score = momentum_of(past.base_returns, len(past.sessions))
    known = np.isfinite(score) & universe.equity
    if not known.any():
        return np.ones(len(score), dtype=bool)
    return np.asarray(~np.isfinite(score) | (score >= np.quantile(score[known], WINNERS)))


def _worst_run(past: Past, session: dt.date) -> tuple[dt.date, dt.date] | None:
    """(session before, last session) of the worst five index sessions in a row that ended before `session`."""
    earliest = session.replace(year=session.year - BUDGET_YEARS, day=min(session.day, 28))
    first = past.after(earliest - dt.timedelta(days=1))
    level = past.index[first : past.after(session - dt.timedelta(days=1))]
    change = level[BUDGET_SESSIONS:] / level[:-BUDGET_SESSIONS] - 1.0
    if not np.isfinite(change).any():
        return None
    place = first + int(np.argmin(np.where(np.isfinite(change), change, np.inf)))
    return past.sessions[place], past.sessions[place + BUDGET_SESSIONS]
