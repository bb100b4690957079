"""What is known of each newly landed bar: its instrument's usable past, what was rejected since, which events fell due. Pure.

Not here: what should hold of it (`bar_rules`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from marketbot_assets.normalization.action_effects import price_effects

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RECENT_DAYS = 120
MOVE_MAX = 0.20
HISTORY_MAX, VOLUME_SESSIONS = 61, 20
MARKET_NAMES_MIN, MARKET_SHARE, MARKET_SPREADS = 10, 0.25, 5.0
EXPLAINED_MAX = float(np.log(2.0))
SPREAD_MIN = 0.02
DOUBLED_DAYS, DOUBLED_RATIO = 7, 2.0
MAD_TO_SD = 1.4826
OHLCV = ["open", "high", "low", "close", "volume"]


@dataclass(frozen=True, slots=True)
class Seen:
    """One new bar and what was known of its instrument before it; prices in the listing currency, volume in shares.

    `closes`: usable earlier closes, ascending, at most 61; `tail`: (k, 5) the last usable bars, `OHLCV`; `pending`: (k, 5)
    the rejected bars since the last usable one; `ratio`, `paid`: splits and dividends that fell due since then;
    `split`: whether one of them is a split; `doubled`: dividends due now that nearly repeat another of the same week.
    """

    instrument: str
    bar: Floats
    closes: Floats
    tail: Floats
    pending: Floats
    ratio: float
    paid: float
    split: bool
    doubled: int

    @property
    def move(self) -> float:
        """Total return since the last usable bar, simple; NaN when it cannot be measured."""
        if not len(self.closes) or not self.bar[3] > 0:
            return float("nan")
        return float((self.bar[3] * self.ratio + self.paid) / self.closes[-1] - 1.0)


@dataclass(frozen=True, slots=True)
class Market:
    """The cross-section of this session's log moves: `moved` when a quarter of the names moved by more than 10 %."""

    moved: bool
    median: float
    spread: float

    def explains(self, log_move: float) -> bool:
        """Whether a move lies within what the other names did on a day on which most of them moved.

        Nothing explains more than a halving or a doubling: many wrong units on one day are no market.
        """
        within = abs(log_move - self.median) <= MARKET_SPREADS * self.spread
        return self.moved and within and abs(log_move) <= EXPLAINED_MAX


def observe(bars: pd.DataFrame, recent: pd.DataFrame, actions: pd.DataFrame) -> list[Seen]:
    """One observation per new bar, by instrument and session. `recent` may hold rejected bars, marked by `quarantine`."""
    columns = ["instrument", "session", "known_at", *OHLCV]
    if bars.empty:
        return []
    old = recent[[*columns, "quarantine"]].assign(new=False)
    new = bars[columns].assign(quarantine=False, new=True)
    rows = pd.concat([old, new], ignore_index=True) if len(old) else new
    rows = rows.sort_values(["instrument", "session", "new", "known_at"], ignore_index=True)
    track = Track.of(rows, actions)
    usable = track.priced & ~rows["quarantine"].to_numpy(dtype=bool)
    begins = dict(zip(*np.unique(track.names, return_index=True), strict=True))
    return [
        track.seen(int(at), begins[track.names[at]], usable) for at in np.flatnonzero(rows["new"].to_numpy(dtype=bool))
    ]


Events = tuple[NDArray[np.int64], Floats, Floats, NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class Track:
    """Bars of several instruments as arrays, sorted by instrument, session and `known_at`: what observations are cut from.

    `day`: days since 1970; `values`: (rows, 5), `OHLCV`; `priced`: rows with a finite positive close.
    """

    names: NDArray[np.object_]
    day: NDArray[np.int64]
    values: Floats
    priced: NDArray[np.bool_]
    events: Mapping[str, Events]

    @classmethod
    def of(cls, rows: pd.DataFrame, actions: pd.DataFrame, order: NDArray[np.intp] | None = None) -> "Track":
        """From rows, which `order` sorts (None: they are sorted), and the splits and dividends known by now."""
        chosen = slice(None) if order is None else order
        codes, names = pd.factorize(rows["instrument"])
        values = np.empty((len(rows), len(OHLCV)))
        for place, name in enumerate(OHLCV):
            values[:, place] = rows[name].to_numpy(dtype=float)[chosen]
        return cls(
            names=np.asarray(names, dtype=object)[codes[chosen]],
            day=rows["session"].to_numpy()[chosen].astype("datetime64[D]").astype(np.int64),
            values=values,
            priced=np.isfinite(values[:, 3]) & (values[:, 3] > 0),
            events=events_by_name(actions),
        )

    def seen(self, at: int, begin: int, usable: NDArray[np.bool_]) -> Seen:
        """The observation of one row; `begin`: the first row that it may look back to."""
        span = np.arange(begin, at)
        span = span[self.day[span] < self.day[at]]
        good = span[usable[span]]
        since = int(self.day[good[-1]]) if len(good) else int(self.day[at]) - 1
        pending = span[self.priced[span] & ~usable[span] & (span > (good[-1] if len(good) else -1))]
        name = str(self.names[at])
        ratio, paid, split, doubled = _due(self.events.get(name), since, int(self.day[at]))
        return Seen(
            instrument=name,
            bar=self.values[at],
            closes=self.values[good[-HISTORY_MAX:], 3],
            tail=self.values[good[-VOLUME_SESSIONS:]],
            pending=self.values[pending],
            ratio=ratio,
            paid=paid,
            split=split,
            doubled=doubled,
        )


def events_by_name(actions: pd.DataFrame) -> dict[str, Events]:
    """Per instrument: ex days, ratios, amounts, whether a split; of several versions of an event the last known."""
    ordered = actions.sort_values(["instrument", "ex_session", "kind", "known_at"])
    last = ordered.drop_duplicates(["instrument", "ex_session", "kind"], keep="last")
    return {
        str(name): (
            group["ex_session"].to_numpy().astype("datetime64[D]").astype(np.int64),
            *price_effects(group),
            (group["kind"] == "SPLIT").to_numpy(dtype=bool),
        )
        for name, group in last.groupby("instrument")
    }


def _due(events: Events | None, since: int, until: int) -> tuple[float, float, bool, int]:
    """(ratio, paid, whether a split, doubled dividends) of the events with an ex day in (since, until]."""
    if events is None:
        return 1.0, 0.0, False, 0
    ex, ratio, amount, split = events
    due = (ex > since) & (ex <= until)
    doubled = 0
    for at in np.flatnonzero(due & ~split):
        near = (ex < ex[at]) & (ex >= ex[at] - DOUBLED_DAYS) & ~split
        alike = (amount[near] <= DOUBLED_RATIO * amount[at]) & (amount[near] >= amount[at] / DOUBLED_RATIO)
        doubled += int(alike.any())
    return float(ratio[due].prod()), float(amount[due].sum()), bool((due & split).any()), doubled


def market_of(moves: Floats) -> Market:
    """The cross-section of one session's total returns (names,): median and robust spread of those that can be measured."""
    moves = moves[np.isfinite(moves) & (moves > -1.0)]
    if len(moves) < MARKET_NAMES_MIN:
        return Market(False, 0.0, SPREAD_MIN)
    logs = np.log1p(moves)
    median = float(np.median(logs))
    spread = MAD_TO_SD * float(np.median(np.abs(logs - median)))
    return Market(float(np.mean(np.abs(moves) > MOVE_MAX / 2)) >= MARKET_SHARE, median, max(spread, SPREAD_MIN))
