"""Factor returns of the stress scenarios and the betas of today's instruments to them. Pure.

Factors are portfolios of the universe itself, built from what was known before each month, and series:
- market: the index; currency: the base currency against the mean of the foreign ones; rates: change of the ten-year yield;
- momentum (12-1) and low volatility (126 sessions): third minus third, sorted before each calendar month;
- size and value: third minus third by today's market value and book to price, held constant, for their past is not known;
- sectors: equal-weight basket of today's members minus the index, of at least two members.
Betas come from one ridge regression over the last 500 sessions on overlapping sums of three sessions (exchanges close at
different hours), shrunk towards the average member of the name's sector: market 1, own sector 1, else 0. Penalty 1 halves the
distance to it for a factor that stands alone; rates and currency, for which an average member says nothing,
are shrunk by a tenth only.
Hoerl and Kennard (1970) for the ridge; missing factors by the conditional mean of the normal distribution.
Not here: which windows there are (`stress_windows`), what instruments lose (`scenarios`).
"""

import datetime as dt
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from marketbot_assets.features.past import Past, Universe, changes_at
from marketbot_assets.features.scenario_memory import Rows, ScenarioMemory
from marketbot_assets.features.stress_windows import MARKET, SIZE, VALUE
from marketbot_assets.normalization.window import Flags, Floats

ESTIMATION_SESSIONS, OVERLAP = 500, 3
OBSERVATIONS_MIN = 60
RIDGE, MACRO_RIDGE = 1.0, 0.1
KNOWN_MIN = 0.95
LEG, LEG_MIN, MEMBERS_MIN, HOME_MIN = 3, 3, 2, 10
MOMENTUM_SESSIONS, SKIPPED_SESSIONS, VOLATILITY_SESSIONS = 252, 21, 126
JITTER = 1e-6
MOMENTUM, LOW_VOLATILITY, RATES, CURRENCY = "momentum", "low_volatility", "rates", "currency"


@dataclass(frozen=True, slots=True)
class StressFactors:
    """`returns` (R, k) of the sessions `rows` (R,), NaN where unknown; `betas` (n, k); `covariance` (k, k) of three-session sums.

    The rate factor is the change of the yield as a fraction: 0.01 is one percentage point.
    """

    names: tuple[str, ...]
    rows: Rows
    returns: Floats
    betas: Floats
    covariance: Floats
    _maps: dict[bytes, Floats] = field(default_factory=dict, init=False, repr=False, compare=False)

    def inside(self, rows: Rows) -> Floats:
        """(len(rows), k) returns of some sessions, missing factors filled by their conditional mean; NaN without a market."""
        found = self.returns[np.searchsorted(self.rows, rows)]
        finite = np.isfinite(found)
        if finite.all():
            return found
        known = finite.mean(axis=0) >= KNOWN_MIN
        if not known[self.names.index(MARKET)]:
            return np.full(found.shape, np.nan)
        return self.filled(np.where(finite, found, 0.0), known)

    def filled(self, values: Floats, known: Flags) -> Floats:
        """(R, k) with unknown columns replaced by f2 = S21 S11^-1 f1; NaN when none is known."""
        if not known.any():
            return np.full(values.shape, np.nan)
        if known.all():
            return values
        key = known.tobytes()
        if key not in self._maps:
            inner = self.covariance[np.ix_(known, known)]
            inner = inner + JITTER * np.diag(np.diag(inner))
            found = np.linalg.solve(inner, self.covariance[np.ix_(known, ~known)])
            self._maps[key] = np.asarray(found, dtype=np.float64)
        out = np.array(values)
        out[:, ~known] = values[:, known] @ self._maps[key]
        return out

    def column(self, name: str) -> int | None:
        """Place of a factor; None when there is none."""
        return self.names.index(name) if name in self.names else None


def estimate_stress_factors(
    past: Past, universe: Universe, beta: Floats, rows: Rows, memory: ScenarioMemory | None = None
) -> StressFactors:
    """Factor returns of the sessions `rows` and today's betas. `beta` (n,): to the index, where nothing can be estimated."""
    last = np.arange(max(1, len(past.sessions) - ESTIMATION_SESSIONS), len(past.sessions))
    every = np.union1d(rows, last).astype(np.intp)
    memory = memory or ScenarioMemory()
    names, series = _series(past, universe, every, memory)
    recent = series[np.searchsorted(every, last)]
    kept = (
        np.isfinite(recent).mean(axis=0) >= KNOWN_MIN if len(recent) >= OBSERVATIONS_MIN else np.zeros(len(names), bool)
    )
    if not kept[0]:
        market = series[:, :1]
        return StressFactors((MARKET,), every, market, beta[:, None], np.ones((1, 1)))
    names = tuple(name for name, keep in zip(names, kept, strict=True) if keep)
    penalties = np.array([MACRO_RIDGE if name in (RATES, CURRENCY) else RIDGE for name in names])
    known = _summed(np.where(np.isfinite(recent[:, kept]), recent[:, kept], 0.0))
    centred = known - known.mean(axis=0)
    centres = memory.newest(
        "centres", (names, universe.sector, universe.equity.tobytes()), lambda: _centres(names, universe)
    )
    return StressFactors(
        names=names,
        rows=every,
        returns=series[:, kept],
        betas=ridge_betas(past.base_returns[last[0] :], known, centres, penalties),
        covariance=centred.T @ centred / len(centred),
    )


def ridge_betas(returns: Floats, factors: Floats, centres: Floats, penalties: Floats) -> Floats:
    """(n, k) betas. `returns` (T, n) with NaN; `factors` (T - 2, k): sums of three sessions; `centres` (n, k): shrunk towards.

    `penalties` (k,): weight of the centre per observation, for factors scaled to unit variance; 1 lets it weigh as much as the
    data. A name with fewer than 60 known sums gets its centre.
    """
    sums = _summed(returns)
    betas = np.array(centres)
    scale = np.where(factors.std(axis=0) > 0.0, factors.std(axis=0), 1.0)
    known = np.isfinite(sums)
    whole = known.all(axis=0)
    groups = [np.flatnonzero(whole)] if whole.any() else []
    groups += [np.array([n]) for n in np.flatnonzero(~whole)]
    for group in groups:
        rows = known[:, group[0]]
        if rows.sum() < OBSERVATIONS_MIN:
            continue
        x, y = factors[rows] / scale, (sums if rows.all() else sums[rows])[:, group]
        x, y = x - x.mean(axis=0), y - y.mean(axis=0)
        start = centres[group] * scale
        penalty = len(x) * np.diag(penalties)
        gap = x @ start.T
        np.subtract(y, gap, out=gap)
        change = np.linalg.solve(x.T @ x + penalty, x.T @ gap)
        betas[group] = (start + change.T) / scale
    return betas


def momentum_of(returns: Floats, end: int) -> Floats:
    """(n,) compound return from 252 to 21 sessions before row `end`, exclusive; NaN unless every return is known."""
    if end < MOMENTUM_SESSIONS:
        return np.full(returns.shape[1], np.nan)
    return np.asarray(np.prod(1.0 + returns[end - MOMENTUM_SESSIONS : end - SKIPPED_SESSIONS], axis=0) - 1.0)


def _summed(values: Floats) -> Floats:
    """Overlapping sums of three sessions, (T - 2, ...)."""
    count = len(values) - OVERLAP + 1
    total = values[:count] + values[1 : 1 + count]
    for k in range(2, OVERLAP):
        total += values[k : k + count]
    return total


def _centres(names: tuple[str, ...], universe: Universe) -> Floats:
    own, every = np.array([f"sector {sector}" for sector in universe.sector], dtype=str), np.array(names, dtype=str)
    mine = universe.equity[:, None] & (own[:, None] == every)
    return np.asarray(mine | (every == MARKET), dtype=float).reshape(len(own), len(names))


def _series(past: Past, universe: Universe, rows: Rows, memory: ScenarioMemory) -> tuple[tuple[str, ...], Floats]:
    """Names and (R, k) returns of every factor."""
    market = changes_at(past.index[:, None], rows)[:, 0]
    sorted_from = universe.equity & universe.home
    pool = sorted_from if sorted_from.sum() >= HOME_MIN else universe.equity
    columns = {MARKET: market}
    for name, scores in ((SIZE, -universe.log_market_value), (VALUE, universe.book_to_price)):
        columns[name] = _held_constant(past, name, *_legs(scores, pool), rows, memory)
    columns |= _monthly_spreads(past, pool, rows, memory)
    columns[RATES] = np.where(rows > 0, past.rates[rows] - past.rates[rows - 1], np.nan) / 100.0
    columns[CURRENCY] = -_mean(changes_at(past.fx, rows))
    key = (universe.sector, universe.equity.tobytes(), universe.home.tobytes())
    sectors = memory.newest("baskets", key, lambda: _basket_members(universe))
    baskets = memory.series("baskets", key, rows, lambda some: _baskets(past, sectors, some), len(sectors))
    columns |= {f"sector {sector}": own - market for sector, own in zip(sectors, baskets.T, strict=True)}
    return tuple(columns), np.column_stack(list(columns.values()))


def _held_constant(past: Past, name: str, high: Flags, low: Flags, rows: Rows, memory: ScenarioMemory) -> Floats:
    """(R,) spread of legs (n,) that are the same throughout."""
    members = (high.tobytes(), low.tobytes())
    found = memory.series(name, members, rows, lambda some: _spread(past.base_returns[some], high, low)[:, None])
    return found[:, 0]


def _basket_members(universe: Universe) -> dict[str, Flags]:
    """Sector -> (n,) whose returns make its basket: those at home where there are enough; without sectors of too few names."""
    found = {}
    for sector, every in universe.members().items():
        home = every & universe.home
        members = home if home.sum() >= MEMBERS_MIN else every
        if members.sum() >= MEMBERS_MIN:
            found[sector] = members
    return found


def _baskets(past: Past, sectors: Mapping[str, Flags], rows: Rows) -> Floats:
    """(R, s) mean of the known returns of each sector's members."""
    returns, out = past.base_returns[rows], np.empty((len(rows), len(sectors)))
    for place, members in enumerate(sectors.values()):
        out[:, place] = _mean(returns[:, members], MEMBERS_MIN)
    return out


def _mean(values: Floats, least: int = 1, members: Flags | None = None) -> Floats:
    """(R,) mean of the known values of each row, of `members` (R, n) if given; NaN with fewer than `least`."""
    known = np.isfinite(values) if members is None else np.isfinite(values) & members
    count = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    return np.divide(total, count, out=np.full(len(values), np.nan), where=count >= max(least, 1))


def _legs(scores: Floats, pool: Flags) -> tuple[Flags, Flags]:
    """(n,) flags of the highest and the lowest third of the pool's known scores; nobody when a third has fewer than three names."""
    known = np.flatnonzero(pool & np.isfinite(scores))
    count = len(known) // LEG
    high, low = np.zeros(len(scores), dtype=bool), np.zeros(len(scores), dtype=bool)
    if count >= LEG_MIN:
        order = known[np.argsort(scores[known], kind="stable")]
        high[order[-count:]], low[order[:count]] = True, True
    return high, low


def _spread(returns: Floats, high: Flags, low: Flags) -> Floats:
    """(R,) mean of one leg minus mean of the other. Flags: (R, n) or (n,)."""
    return _mean(returns, LEG_MIN, high) - _mean(returns, LEG_MIN, low)


def _monthly_spreads(past: Past, pool: Flags, rows: Rows, memory: ScenarioMemory) -> dict[str, Floats]:
    """Momentum and low volatility: sorted on returns before each calendar month's first session."""
    key = pool.tobytes()
    found = memory.series("monthly", key, rows, lambda some: _sorted_monthly(past, pool, key, some, memory), 2)
    return {MOMENTUM: found[:, 0], LOW_VOLATILITY: found[:, 1]}


def _sorted_monthly(past: Past, pool: Flags, key: bytes, rows: Rows, memory: ScenarioMemory) -> Floats:
    """(R, 2) momentum and low volatility on sessions `rows`, which ascend. `key`: the pool's."""
    returns = np.ascontiguousarray(past.base_returns[rows][:, pool])
    members = np.zeros((4, *returns.shape), dtype=bool)
    days = [past.sessions[row] for row in rows]
    months = np.array([12 * day.year + day.month for day in days])
    edges = np.flatnonzero(np.diff(months, prepend=-1, append=-1))
    for first, last in itertools.pairwise(edges.tolist()):
        start = past.after(days[first].replace(day=1) - dt.timedelta(days=1))
        members[:, first:last] = memory.newest("legs", (start, key), partial(_monthly_legs, past, pool, start))
    return np.column_stack([_spread(returns, members[0], members[1]), _spread(returns, members[2], members[3])])


def _monthly_legs(past: Past, pool: Flags, start: int) -> Flags:
    """(4, 1, p) of the pool before row `start`: winners, losers, calm and wild names."""
    own = np.ascontiguousarray(past.base_returns[max(0, start - MOMENTUM_SESSIONS) : start, pool])
    everybody, found = np.ones(own.shape[1], dtype=bool), np.zeros((4, 1, own.shape[1]), dtype=bool)
    found[0], found[1] = _legs(momentum_of(own, len(own)), everybody)
    if start >= VOLATILITY_SESSIONS:
        found[2], found[3] = _legs(-own[-VOLATILITY_SESSIONS:].std(axis=0), everybody)
    return found
