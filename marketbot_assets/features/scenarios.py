"""Stress windows of the past, replayed on today's instruments. Pure.

A window counts from the first session after its end. A name without 95 % of the window's sessions is represented by its beta
times the index, marked as proxied. Source of the windows: the stress library of the risk controls.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marketbot_assets.normalization.window import Floats

COVERAGE_MIN = 0.95
PROXY_FLOOR = -0.95
BUDGET_SESSIONS = 5
BUDGET_YEARS = 20
CRASH, BEAR, BUDGET = "crash", "bear", "budget"


@dataclass(frozen=True, slots=True)
class Window:
    """One stress window: from the close of `start` to the close of `end`.

    `index_return`: the S&P 500 price index's simple return over it, to three digits; stands in where our own index begins later.
    """

    name: str
    kind: str
    start: dt.date
    end: dt.date
    index_return: float


WINDOWS = (
    Window("H1998", CRASH, dt.date(1998, 7, 17), dt.date(1998, 8, 31), -0.193),
    Window("H2000", BEAR, dt.date(2000, 3, 24), dt.date(2002, 10, 9), -0.491),
    Window("H2008", BEAR, dt.date(2007, 10, 9), dt.date(2009, 3, 9), -0.568),
    Window("H2008L", CRASH, dt.date(2008, 9, 12), dt.date(2008, 11, 20), -0.399),
    Window("H2010", CRASH, dt.date(2010, 4, 23), dt.date(2010, 7, 2), -0.16),
    Window("H2011", CRASH, dt.date(2011, 7, 22), dt.date(2011, 8, 8), -0.168),
    Window("H2015", CRASH, dt.date(2015, 8, 17), dt.date(2015, 8, 25), -0.112),
    Window("H2018F", CRASH, dt.date(2018, 1, 26), dt.date(2018, 2, 8), -0.102),
    Window("H2018Q4", CRASH, dt.date(2018, 9, 20), dt.date(2018, 12, 24), -0.198),
    Window("H2020", CRASH, dt.date(2020, 2, 19), dt.date(2020, 3, 23), -0.339),
    Window("H2022", BEAR, dt.date(2022, 1, 3), dt.date(2022, 10, 12), -0.254),
)


@dataclass(frozen=True, slots=True)
class ScenarioReturns:
    """Simple return of each of n instruments in each of S scenarios: `returns` (S, n), `proxied` (S, n)."""

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    returns: Floats
    proxied: NDArray[np.bool_]


def scenario_returns(
    base_returns: Floats, sessions: Sequence[dt.date], index: Floats, beta: Floats, session: dt.date
) -> ScenarioReturns:
    """Replays every window that ended before `session`.

    `base_returns` (T, n): simple, base currency, NaN where there are no data; `index` (T,) levels on the same sessions;
    `beta` (n,): used for proxies. The worst five index sessions in a row of the last 20 years are the scenario WORST5.
    """
    days = np.array(sessions)
    due = [w for w in WINDOWS if w.end < session]
    rows = [_replay(base_returns, days, index, beta, w.start, w.end, w.index_return) for w in due]
    names, kinds = [w.name for w in due], [w.kind for w in due]
    worst = _worst_run(days, index, session)
    if worst is not None:
        rows.append(_replay(base_returns, days, index, beta, *worst, float("nan")))
        names.append("WORST5")
        kinds.append(BUDGET)
    count = base_returns.shape[1]
    returns = np.array([row[0] for row in rows]).reshape(len(rows), count)
    proxied = np.array([row[1] for row in rows], dtype=bool).reshape(len(rows), count)
    return ScenarioReturns(tuple(names), tuple(kinds), returns, proxied)


def _replay(
    base_returns: Floats,
    days: NDArray[np.object_],
    index: Floats,
    beta: Floats,
    start: dt.date,
    end: dt.date,
    published: float,
) -> tuple[Floats, NDArray[np.bool_]]:
    """(returns (n,), which are proxies (n,)) of one window; `published`: the index's return where our own does not span it."""
    inside = (days > start) & (days <= end)
    own = base_returns[inside]
    known = np.isfinite(own)
    whole = bool(len(days)) and days[0] <= start
    covered = (
        known.sum(axis=0) >= COVERAGE_MIN * max(len(own), 1) if whole else np.zeros(base_returns.shape[1], dtype=bool)
    )
    replayed = np.prod(1.0 + np.where(known, own, 0.0), axis=0) - 1.0
    measured = (
        index[np.flatnonzero(inside)[-1]] / index[np.flatnonzero(days <= start)[-1]] - 1.0 if whole else published
    )
    proxy = np.maximum(beta * (measured if np.isfinite(measured) else published), PROXY_FLOOR)
    return np.asarray(np.where(covered, replayed, proxy)), ~covered


def _worst_run(days: NDArray[np.object_], index: Floats, session: dt.date) -> tuple[dt.date, dt.date] | None:
    """(session before, last session) of the worst five sessions in a row that ended before `session`."""
    earliest = session.replace(year=session.year - BUDGET_YEARS, day=min(session.day, 28))
    change = index[BUDGET_SESSIONS:] / index[:-BUDGET_SESSIONS] - 1.0
    ends = days[BUDGET_SESSIONS:]
    usable = np.isfinite(change) & (ends < session) & (days[:-BUDGET_SESSIONS] >= earliest)
    if not usable.any():
        return None
    place = int(np.flatnonzero(usable)[np.argmin(change[usable])])
    return days[place], ends[place]
