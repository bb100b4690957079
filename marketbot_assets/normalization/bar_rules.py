"""Rules on one bar: statements that should hold of a newly landed bar, each measured against what came before it. Pure.

`observe` gathers what is known of each new bar; a rule turns one observation into one finding. What cannot be measured is
quarantined, in one place (`finding`), whatever the rule says. A true jump must not close a name for good, nor an error pass
because it lasts: a jump is accepted with a warning once earlier rejected bars stand on the new level, one of them as a
rule, ten where a split may be missing or wrong, never where it looks like a wrong unit or dividend.
Not here: rules on a whole table (`table_rules`), what a finding leads to (`quality`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from marketbot_assets.normalization.action_effects import price_effects

Floats = NDArray[np.float64]
Finding = tuple[str, str, str, float, float, str]

MOVE_MAX, Z_MAX = 0.20, 8.0
HISTORY_MIN, HISTORY_MAX = 20, 61
MARKET_NAMES_MIN, MARKET_SHARE, MARKET_SPREADS = 10, 0.25, 5.0
SPREAD_MIN = 0.02
CONFIRMED_BY, SPLIT_CONFIRMED_BY, FIRST_BARS_MAX = 1, 10, 5
SPLITS_DOWN = (1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 15.0, 20.0, 25.0, 30.0, 50.0)
SPLITS_UP = SPLITS_DOWN[1:]
UNITS = (10.0, 100.0, 1000.0)
LOOKS_LIKE = 0.05
SPLIT_TOLERANCE, PAID_MAX = 0.15, 0.05
ORDER_TOLERANCE, RANGE_MAX = 1e-3, 1.0
VOLUME_JUMP, VOLUME_SESSIONS = 50.0, 20
REPEATS_WARN, REPEATS_QUARANTINE, REPEATS_SEEN = 1, 3, 5
DOUBLED_DAYS, DOUBLED_MIN, DOUBLED_RATIO = 7, 0.005, 2.0
MAD_TO_SD = 1.4826
OHLCV = ["open", "high", "low", "close", "volume"]


@dataclass(frozen=True, slots=True)
class Seen:
    """One new bar and what was known of its instrument before it; prices in the listing currency, volume in shares.

    `closes`: usable earlier closes, ascending, at most 61; `tail`: (k, 5) the last usable bars, `OHLCV`; `pending`: closes
    of the rejected bars since the last usable one; `ratio`, `paid`: splits and dividends that fell due since then;
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
        """Whether a move lies within what the other names did on a day on which most of them moved."""
        return self.moved and abs(log_move - self.median) <= MARKET_SPREADS * self.spread


def observe(bars: pd.DataFrame, recent: pd.DataFrame, actions: pd.DataFrame) -> list[Seen]:
    """One observation per new bar, by instrument and session. `recent` may hold rejected bars, marked by `quarantine`."""
    columns = ["instrument", "session", "known_at", *OHLCV]
    if bars.empty:
        return []
    old = recent[[*columns, "quarantine"]].assign(new=False)
    new = bars[columns].assign(quarantine=False, new=True)
    rows = pd.concat([old, new], ignore_index=True) if len(old) else new
    rows = rows.sort_values(["instrument", "session", "new", "known_at"], ignore_index=True)
    names = rows["instrument"].to_numpy(dtype=object)
    day = rows["session"].to_numpy().astype("datetime64[D]").astype(np.int64)
    values = rows[OHLCV].to_numpy(dtype=float)
    priced = np.isfinite(values[:, 3]) & (values[:, 3] > 0)
    usable = priced & ~rows["quarantine"].to_numpy(dtype=bool)
    begins = dict(zip(*np.unique(names, return_index=True), strict=True))
    events = _events(actions)
    seen = []
    for at in np.flatnonzero(rows["new"].to_numpy(dtype=bool)):
        name = names[at]
        span = np.arange(begins[name], at)
        span = span[day[span] < day[at]]
        good = span[usable[span]]
        since = day[good[-1]] if len(good) else day[at] - 1
        pending = span[priced[span] & ~usable[span] & (span > (good[-1] if len(good) else -1))]
        ratio, paid, split, doubled = _due(events.get(name), since, day[at])
        seen.append(
            Seen(
                instrument=str(name),
                bar=values[at],
                closes=values[good[-HISTORY_MAX:], 3],
                tail=values[good[-VOLUME_SESSIONS:]],
                pending=values[pending, 3],
                ratio=ratio,
                paid=paid,
                split=split,
                doubled=doubled,
            )
        )
    return seen


_Events = tuple[NDArray[np.int64], Floats, Floats, NDArray[np.bool_]]


def _events(actions: pd.DataFrame) -> dict[str, _Events]:
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


def _due(events: _Events | None, since: int, until: int) -> tuple[float, float, bool, int]:
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


def market_of(seen: list[Seen]) -> Market:
    """The cross-section of one session: median and robust spread of the log moves that can be measured."""
    moves = np.array([item.move for item in seen])
    moves = moves[np.isfinite(moves) & (moves > -1.0)]
    if len(moves) < MARKET_NAMES_MIN:
        return Market(False, 0.0, SPREAD_MIN)
    logs = np.log1p(moves)
    median = float(np.median(logs))
    spread = MAD_TO_SD * float(np.median(np.abs(logs - median)))
    return Market(float(np.mean(np.abs(moves) > MOVE_MAX / 2)) >= MARKET_SHARE, median, max(spread, SPREAD_MIN))


def finding(rule: str, subject: str, outcome: str, observed: float, limit: float, message: str) -> Finding:
    """One row of DATA_QUALITY. A measurement that is no finite number is never a pass or a warning."""
    if np.isfinite(observed):
        return (rule, subject, outcome, float(observed), float(limit), "" if outcome == "pass" else message)
    worse = outcome if outcome == "halt" else "quarantine"
    return (rule, subject, worse, float("nan"), float(limit), message or "could not be measured")


def bars_have_positive_prices(seen: Seen, market: Market) -> Finding:
    """Observed: the lowest of the four prices."""
    prices = seen.bar[:4]
    lowest = float(prices.min()) if np.isfinite(prices).all() else float("nan")
    outcome = "pass" if lowest > 0 else "quarantine"
    return finding(
        "bars_have_positive_prices", seen.instrument, outcome, lowest, 0.0, "a price is missing or not positive"
    )


def bars_respect_ohlc_order(seen: Seen, market: Market) -> Finding:
    """Observed: by which fraction open or close lie outside of low and high."""
    o, h, low, c = (float(value) for value in seen.bar[:4])
    excess = max(max(o, c) / h - 1.0, low / min(o, c) - 1.0, 0.0) if h > 0 and min(o, c) > 0 else float("nan")
    outcome = "pass" if excess <= ORDER_TOLERANCE else "warn" if excess <= MOVE_MAX else "quarantine"
    message = "open or close lies outside of low and high"
    return finding("bars_respect_ohlc_order", seen.instrument, outcome, excess, ORDER_TOLERANCE, message)


def bars_have_plausible_ranges(seen: Seen, market: Market) -> Finding:
    """Observed: high over low, minus 1. A single false low would set off stops."""
    high, low = float(seen.bar[1]), float(seen.bar[2])
    width = high / low - 1.0 if low > 0 else float("nan")
    outcome = "pass" if width <= RANGE_MAX else "quarantine"
    message = "the high is more than twice the low"
    return finding("bars_have_plausible_ranges", seen.instrument, outcome, width, RANGE_MAX, message)


def closes_move_plausibly(seen: Seen, market: Market) -> Finding:
    """Observed: absolute total return since the last usable bar, splits and dividends included.

    A jump is more than 20 % and more than 8 robust standard deviations (1.4826 MAD of at most 60 log changes).
    """
    name = "closes_move_plausibly"
    if not len(seen.closes):
        return _first_bar(name, seen)
    move = seen.move
    if not (np.isfinite(move) and abs(move) > MOVE_MAX and _deviations(seen) > Z_MAX):
        return finding(name, seen.instrument, "pass", abs(move), MOVE_MAX, "the move cannot be measured")
    told = f"moved {move:+.1%} without an event that explains it"
    if market.explains(float(np.log1p(move))):
        return finding(
            name, seen.instrument, "warn", abs(move), MOVE_MAX, f"{told}, on a day on which most names moved"
        )
    accepted, why = _accepted(seen)
    return finding(name, seen.instrument, "warn" if accepted else "quarantine", abs(move), MOVE_MAX, told + why)


def _first_bar(name: str, seen: Seen) -> Finding:
    """Without a usable bar before, the second of the first bars is the first one to be usable."""
    if 0 < len(seen.pending) <= FIRST_BARS_MAX and _standing(seen) >= CONFIRMED_BY:
        change = abs(float(seen.bar[3] / seen.pending[-1]) - 1.0)
        return finding(name, seen.instrument, "warn", change, MOVE_MAX, "one of the first bars of this name")
    return finding(name, seen.instrument, "quarantine", float("nan"), MOVE_MAX, "no usable bar before to compare with")


def _deviations(seen: Seen) -> float:
    """Size of the move in robust standard deviations of the name's own log changes; infinite without enough history."""
    if len(seen.closes) <= HISTORY_MIN or seen.move <= -1.0:
        return float("inf")
    changes = np.diff(np.log(seen.closes))
    spread = MAD_TO_SD * float(np.median(np.abs(changes - np.median(changes))))
    return abs(float(np.log1p(seen.move))) / spread if spread > 0 else float("inf")


def _accepted(seen: Seen) -> tuple[bool, str]:
    """Whether earlier rejected bars confirm this bar's level, and how to go on when not."""
    stands = _standing(seen)
    level = seen.pending[-stands] if stands else seen.bar[3]  # the bar that jumped, before the price drifted on
    jump = float(np.log(level * seen.ratio / seen.closes[-1]))
    if seen.paid > PAID_MAX * seen.closes[-1]:
        return False, "; a dividend is due that does not fit: the provider must correct it"
    if _near(abs(jump), UNITS):
        return False, ", which looks like a wrong unit: the provider must correct it"
    split = seen.split or _near(-jump, SPLITS_DOWN) or _near(jump, SPLITS_UP)
    needed = SPLIT_CONFIRMED_BY if split else CONFIRMED_BY
    looks = ", which looks like a split that was announced wrongly or not at all" if split else ""
    return stands >= needed, f"{looks}; {stands} of {needed} earlier bars confirm it"


def _near(log_ratio: float, ratios: tuple[float, ...]) -> bool:
    return bool((np.abs(log_ratio - np.log(ratios)) <= LOOKS_LIKE).any())


def _standing(seen: Seen) -> int:
    """How many of the last rejected bars, without a break, lie within a plausible move of this bar."""
    if not (np.isfinite(seen.bar[3]) and seen.bar[3] > 0) or not len(seen.pending):
        return 0
    alike = np.abs(seen.pending[::-1] / seen.bar[3] - 1.0) <= MOVE_MAX
    return int(np.cumprod(alike).sum())


def closes_are_not_repeated(seen: Seen, market: Market) -> Finding:
    """Observed: how many bars just before are identical in all prices and the volume."""
    same = (seen.tail[-REPEATS_SEEN:][::-1] == seen.bar).all(axis=1)
    run = int(np.cumprod(same).sum())
    outcome = "quarantine" if run >= REPEATS_QUARANTINE else "warn" if run >= REPEATS_WARN else "pass"
    return finding("closes_are_not_repeated", seen.instrument, outcome, float(run), 0.0, f"{run} identical bars before")


def volumes_are_present(seen: Seen, market: Market) -> Finding:
    """Observed: volume over the median of the last 20 bars; the volume itself where there is no such median."""
    volume = float(seen.bar[4]) if seen.bar[4] >= 0 else float("nan")
    known = seen.tail[np.isfinite(seen.tail[:, 4]), 4]
    usual = float(np.median(known)) if len(known) else 0.0
    ratio = volume / usual if usual > 0 else volume
    fine = volume > 0 and (usual <= 0 or 1.0 / VOLUME_JUMP <= ratio <= VOLUME_JUMP)
    message = "the volume is missing, zero, or far from the usual"
    return finding("volumes_are_present", seen.instrument, "pass" if fine else "warn", ratio, VOLUME_JUMP, message)


def splits_match_price_jumps(seen: Seen, market: Market) -> Finding:
    """Observed: by which fraction the price missed the jump that the splits due since the last usable bar ask for."""
    name = "splits_match_price_jumps"
    if not (seen.split and len(seen.closes)):
        return finding(name, seen.instrument, "pass", 0.0, SPLIT_TOLERANCE, "")
    kept = float(seen.bar[3] * seen.ratio / seen.closes[-1]) if seen.bar[3] > 0 else float("nan")
    off = abs(kept - 1.0)
    if not off > SPLIT_TOLERANCE or not np.isfinite(off):
        return finding(name, seen.instrument, "pass", off, SPLIT_TOLERANCE, "the jump cannot be measured")
    told = "the price did not jump by the split's ratio"
    if market.explains(float(np.log(kept))):
        return finding(
            name, seen.instrument, "warn", off, SPLIT_TOLERANCE, f"{told}, on a day on which most names moved"
        )
    accepted, why = _accepted(seen)
    return finding(name, seen.instrument, "warn" if accepted else "quarantine", off, SPLIT_TOLERANCE, told + why)


def dividends_are_not_doubled(seen: Seen, market: Market) -> Finding:
    """Observed: dividends due now that nearly repeat one of the week before and matter: someone may have counted twice."""
    matters = bool(len(seen.closes)) and seen.paid > DOUBLED_MIN * seen.closes[-1]
    count = seen.doubled if matters else 0
    message = f"{count} dividends nearly repeat one of the week before"
    return finding(
        "dividends_are_not_doubled", seen.instrument, "warn" if count else "pass", float(count), 0.0, message
    )


BAR_RULES: tuple[Callable[[Seen, Market], Finding], ...] = (
    bars_have_positive_prices,
    bars_respect_ohlc_order,
    bars_have_plausible_ranges,
    closes_move_plausibly,
    closes_are_not_repeated,
    volumes_are_present,
    splits_match_price_jumps,
    dividends_are_not_doubled,
)
