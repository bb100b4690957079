"""Rules on one bar: statements that should hold of a newly landed bar, each measured against what came before it. Pure.

A rule turns one observation into one finding. What cannot be measured is quarantined, in one place (`finding`), whatever
the rule says. A true jump must not close a name for good, nor an error pass because it lasts: a jump is accepted with a
warning once earlier rejected bars stand on the new level, one of them as a rule, ten where a split may be missing or wrong
(one if as much was traded as only a crash brings about), never where it looks like a wrong unit or dividend.
Not here: what is observed (`observation`), rules on a whole table (`table_rules`), what a finding leads to (`quality`).
"""

from collections.abc import Callable

import numpy as np

from marketbot_assets.normalization.observation import MAD_TO_SD, MOVE_MAX, SPREAD_MIN, Floats, Market, Seen

Finding = tuple[str, str, str, float, float, str]

Z_MAX, HISTORY_MIN = 8.0, 20
APART_MIN, APART_SPREADS = 0.10, 8.0
CONFIRMED_BY, SPLIT_CONFIRMED_BY, FIRST_BARS_MAX = 1, 10, 5
CRASH_TURNOVER = 6.0
SPLITS_DOWN = (1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 15.0, 20.0, 25.0, 30.0, 50.0)
SPLITS_UP = SPLITS_DOWN[1:]
UNITS = (10.0, 100.0, 1000.0)
LOOKS_LIKE, SPLIT_SIZED = 0.05, 0.55
SPLIT_TOLERANCE, PAID_MAX = 0.15, 0.05
ORDER_TOLERANCE, RANGE_MAX = 1e-3, 1.0
VOLUME_JUMP = 50.0
REPEATS_WARN, REPEATS_QUARANTINE, REPEATS_SEEN = 1, 3, 5
STALE_WARN, STALE_QUARANTINE = 5, 15
DOUBLED_MIN = 0.005


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
        change = abs(float(seen.bar[3] / seen.pending[-1, 3]) - 1.0)
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
    level = seen.pending[-stands, 3] if stands else seen.bar[3]  # the bar that jumped, before the price drifted on
    jump = float(np.log(level * seen.ratio / seen.closes[-1]))
    if seen.paid > PAID_MAX * seen.closes[-1]:
        return False, "; a dividend is due that does not fit: the provider must correct it"
    if _near(abs(jump), UNITS):
        return False, ", which looks like a wrong unit: the provider must correct it"
    split = seen.split or _like_split(jump)
    crashed = (
        not seen.split and turnover_shock(seen.pending[-stands] if stands else seen.bar, seen.tail) >= CRASH_TURNOVER
    )
    needed = SPLIT_CONFIRMED_BY if split and not crashed else CONFIRMED_BY
    looks = ", which looks like a split that was announced wrongly or not at all" if split else ""
    return stands >= needed, f"{looks}; {stands} of {needed} earlier bars confirm it"


def turnover_shock(bar: Floats, tail: Floats) -> float:
    """How much more than usual was traded: the lesser of shares and value over their medians; NaN when not known.

    A split changes the shares that are traded, but not their value; a wrong price changes the value, but not the shares;
    a true fall by half has both at a multiple. `bar`: (5,), `tail`: (k, 5), `OHLCV`.
    """
    if not len(tail):
        return float("nan")
    shares, value = float(np.median(tail[:, 4])), float(np.median(tail[:, 4] * tail[:, 3]))
    if not (shares > 0 and value > 0):
        return float("nan")
    return float(min(bar[4] / shares, bar[4] * bar[3] / value))


def _like_split(jump: float) -> bool:
    """Whether a log move may be a split with a day's true move on top of it: a rise or fall by so much, or by about a third."""
    return abs(jump) >= SPLIT_SIZED or _near(-jump, SPLITS_DOWN)


def _near(log_ratio: float, ratios: tuple[float, ...]) -> bool:
    return bool((np.abs(log_ratio - np.log(ratios)) <= LOOKS_LIKE).any())


def _standing(seen: Seen) -> int:
    """How many of the last rejected bars, without a break, lie within a plausible move of this bar."""
    if not (np.isfinite(seen.bar[3]) and seen.bar[3] > 0) or not len(seen.pending):
        return 0
    alike = np.abs(seen.pending[::-1, 3] / seen.bar[3] - 1.0) <= MOVE_MAX
    return int(np.cumprod(alike).sum())


def moves_fit_the_market(seen: Seen, market: Market) -> Finding:
    """Observed: the log move's distance from the median of all names in robust spreads of their moves; 0 below 10 %."""
    move = seen.move
    if not len(seen.closes) or not abs(move) > APART_MIN:
        return finding("moves_fit_the_market", seen.instrument, "pass", 0.0, APART_SPREADS, "")
    apart = abs(float(np.log1p(move)) - market.median) / max(market.spread, SPREAD_MIN) if move > -1.0 else float("nan")
    outcome = "pass" if apart <= APART_SPREADS else "warn"
    message = f"moved {move:+.1%}, the median name {np.expm1(market.median):+.1%}"
    return finding("moves_fit_the_market", seen.instrument, outcome, apart, APART_SPREADS, message)


def closes_are_not_stale(seen: Seen, market: Market) -> Finding:
    """Observed: how many usable bars just before have the same close."""
    run = int(np.cumprod(seen.closes[::-1] == seen.bar[3]).sum())
    outcome = "quarantine" if run >= STALE_QUARANTINE else "warn" if run >= STALE_WARN else "pass"
    message = f"the close is that of the {run} bars before"
    return finding("closes_are_not_stale", seen.instrument, outcome, float(run), STALE_WARN, message)


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
    moves_fit_the_market,
    closes_are_not_repeated,
    closes_are_not_stale,
    volumes_are_present,
    splits_match_price_jumps,
    dividends_are_not_doubled,
)
