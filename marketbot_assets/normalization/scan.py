"""Bar rules over whole histories at once: what each bar would have met on the day it landed. Pure.

The rules are those of `bar_rules`, with the same flags fed back; array code clears the many bars that plainly pass them
all, and only the others are judged one by one. It knows of a bar what came before it, so an import flags what a live
session would have flagged; but a history's first bar, which a live session holds back until the next one agrees, is kept
if it does. Not here: what a bad bar should have been (`repair`, which looks at later bars, too).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from marketbot_assets.normalization.bar_rules import (
    APART_MIN,
    BAR_RULES,
    ORDER_TOLERANCE,
    RANGE_MAX,
    VOLUME_JUMP,
    Finding,
)
from marketbot_assets.normalization.build_window import days, micros
from marketbot_assets.normalization.observation import (
    RECENT_DAYS,
    VOLUME_SESSIONS,
    Market,
    Track,
    market_of,
)

Flags = NDArray[np.bool_]
VOLUME_CLEAR = VOLUME_JUMP / 2.0  # a margin for rejected bars in the median, which the exact rule leaves out
BAD, FIRST_BAR_RULE = ("quarantine", "halt"), "closes_move_plausibly"
FINDING = ("rule", "subject", "outcome", "observed", "limit", "message")


@dataclass(frozen=True, slots=True)
class Scan:
    """`quarantine`: (rows,) in the order of the bars given; `findings`: DATA_QUALITY columns and `session`, passes left out."""

    quarantine: Flags
    findings: pd.DataFrame


def scan(bars: pd.DataFrame, actions: pd.DataFrame) -> Scan:
    """Every bar rule on every bar. `bars`: instrument, session, known_at and OHLCV in any order, one bar per key."""
    names = pd.factorize(bars["instrument"], sort=True)[0]
    order = np.lexsort((micros(bars["known_at"]), days(bars["session"]), names))
    del names
    walk = _Walk(Track.of(bars, actions, order))
    walk.run()
    flags = np.zeros(len(bars), dtype=bool)
    flags[order] = ~(walk.usable | walk.kept)
    return Scan(flags, walk.findings())


def flag_history(bars: pd.DataFrame, actions: pd.DataFrame) -> pd.DataFrame:
    """Bars of a history with the flags that its sessions would have given them; at most one bar per instrument and session.

    An event that became known after its ex session explains no bar: no window will use it for one.
    """
    timely = actions["known_at"] < actions["ex_session"].dt.tz_localize("UTC") + pd.Timedelta(days=1)
    return bars.assign(quarantine=scan(bars, actions[timely]).quarantine)


class _Walk:
    """Goes through the sessions in order and visits the bars that are not plainly good."""

    def __init__(self, track: Track) -> None:
        self._track, rows = track, len(track.day)
        self._same = np.zeros(rows, dtype=bool)  # whether the row before is of the same instrument
        self._same[1:] = self._track.names[1:] == self._track.names[:-1]
        starts = np.flatnonzero(~self._same)
        self._begin = np.repeat(starts, np.diff([*starts, rows]))
        before = np.concatenate([[np.nan], self._track.values[:-1, 3]])[:rows]
        with np.errstate(all="ignore"):
            self._moves = np.where(self._same, self._track.values[:, 3] / before - 1.0, np.nan)
        self.usable = self._track.priced.copy()
        self.kept = np.zeros(rows, dtype=bool)
        self._found: list[tuple[int, Finding]] = []
        self._found_at: dict[int, list[int]] = {}  # row -> places of its findings
        self._by_day = np.argsort(self._track.day, kind="stable")
        self._days = self._track.day[self._by_day]

    def run(self) -> None:
        day = self._track.day
        waiting: dict[int, list[int]] = {}
        for at in np.flatnonzero(~self._plainly_good()).tolist():
            waiting.setdefault(int(day[at]), []).append(at)
        for session in np.unique(day):
            rows = sorted(set(waiting.pop(int(session), ())))
            if rows:
                self._judge(int(session), rows)
            for at in rows:
                follows = at + 1
                if not self.usable[at] and follows < len(day) and self._same[follows]:
                    waiting.setdefault(int(day[follows]), []).append(follows)

    def findings(self) -> pd.DataFrame:
        found = pd.DataFrame([finding for _, finding in self._found], columns=list(FINDING))
        places = np.array([at for at, _ in self._found], dtype=np.int64)
        session = self._track.day[places].astype("datetime64[D]").astype("datetime64[ms]")
        ordered = found.assign(session=session).sort_values(["session", "subject", "rule"], kind="stable")
        return ordered.astype({"observed": float, "limit": float}).reset_index(drop=True)

    def _judge(self, session: int, rows: list[int]) -> None:
        day, seen = self._track.day, {}
        for at in rows:
            begin = int(self._begin[at])
            begin += int(np.searchsorted(day[begin:at], session - RECENT_DAYS))
            seen[at] = self._track.seen(at, begin, self.usable)
            self._moves[at] = seen[at].move
        market: Market = market_of(self._moves[self._on(session)])
        for at, item in seen.items():
            found = [rule(item, market) for rule in BAR_RULES]
            told = [(at, finding) for finding in found if finding[2] != "pass"]
            if told:
                self._found_at.setdefault(at, []).extend(range(len(self._found), len(self._found) + len(told)))
                self._found += told
            self.usable[at] = self._track.priced[at] and not any(finding[2] in BAD for finding in found)
            if not len(item.closes) and self.usable[at]:
                self._keep_first(at)

    def _keep_first(self, at: int) -> None:
        """The bar before was held back for want of a bar before it alone, and this one agrees with it."""
        before = [n for n in self._found_at.get(at - 1, ()) if self._found[n][1][2] in BAD]
        if self._same[at] and [self._found[n][1][0] for n in before] == [FIRST_BAR_RULE]:
            rule, subject, _, observed, limit, message = self._found[before[0]][1]
            self._found[before[0]] = (at - 1, (rule, subject, "warn", observed, limit, message))
            self.kept[at - 1] = True

    def _on(self, session: int) -> NDArray[np.intp]:
        return self._by_day[np.searchsorted(self._days, session) : np.searchsorted(self._days, session, side="right")]

    def _plainly_good(self) -> Flags:
        """Bars that every rule passes whatever happened to other bars, if the bar before them is usable."""
        o, h, low, c, _ = self._track.values.T
        with np.errstate(all="ignore"):
            positive = np.isfinite(self._track.values).all(axis=1) & (self._track.values[:, :4] > 0).all(axis=1)
            ordered = (np.maximum(o, c) <= h * (1.0 + ORDER_TOLERANCE)) & (
                low <= np.minimum(o, c) * (1.0 + ORDER_TOLERANCE)
            )
            narrow = h / low - 1.0 <= RANGE_MAX
            still = np.abs(self._moves) <= APART_MIN
        follows = self._same & np.concatenate([[False], self._track.priced[:-1]])[: len(c)]
        day = self._track.day
        near = np.concatenate([[False], day[1:] - day[:-1] <= RECENT_DAYS])[: len(c)]
        new = np.concatenate([[True], (self._track.values[1:] != self._track.values[:-1]).any(axis=1)])[: len(c)]
        new[2:] &= (c[2:] != c[1:-1]) | (c[2:] != c[:-2])  # a stale close needs more than three that are equal
        return positive & ordered & narrow & still & follows & near & new & ~self._with_event() & self._usual_volume()

    def _usual_volume(self) -> Flags:
        volume = self._track.values[:, 4]
        rolling = np.empty(len(volume))
        starts = np.flatnonzero(~self._same)
        for own in map(slice, starts, [*starts[1:], len(volume)]):
            rolling[own] = pd.Series(volume[own]).rolling(VOLUME_SESSIONS, min_periods=1).median()
        usual = np.concatenate([[np.nan], rolling[:-1]])[: len(volume)]
        with np.errstate(all="ignore"):
            ratio = volume / usual
            return np.asarray((volume > 0) & (ratio >= 1.0 / VOLUME_CLEAR) & (ratio <= VOLUME_CLEAR))

    def _with_event(self) -> Flags:
        """Bars that are the first on or after an ex day."""
        marks = np.zeros(len(self._track.day), dtype=bool)
        starts = np.flatnonzero(~self._same)
        ends = np.append(starts[1:], len(marks))
        for start, end in zip(starts, ends, strict=True):
            events = self._track.events.get(str(self._track.names[start]))
            if events is not None:
                places = start + np.searchsorted(self._track.day[start:end], events[0])
                marks[places[places < end]] = True
        return marks
