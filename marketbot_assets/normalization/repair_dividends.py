"""Dividends that cannot be right, and a source's own adjustment that does not follow from them. Pure.

An amount far above what the price gave up on its ex session, and plausible a hundred times smaller, stands in another unit;
so does one a hundred times below the instrument's others, if these are alike. Of two that nearly repeat within days the one
that the price followed less is a phantom. Where the source adjusts closes, each ex session must show its dividend and no
other may.
Not here: prices (`repair`).
"""

import itertools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from marketbot_assets.normalization.observation import DOUBLED_DAYS, DOUBLED_RATIO, Floats, Ints

UNIT = 100.0
SHARE_MAX, FOLLOWED_MIN = 0.25, 0.5
OTHERS_MIN, LIKE_OTHERS = 2, 3.0
FACTOR_TOLERANCE, IMPLIED_MIN = 1e-3, 2e-3
Found = tuple[int, str, float, float, str, str]


@dataclass(frozen=True, slots=True)
class Dividend:
    """One cash dividend: ex day (days since 1970) and amount per share."""

    ex: int
    amount: float


def repair_dividends(
    day: Ints, close: Floats, low: Floats, adjusted: Floats | None, dividends: list[Dividend]
) -> list[Found]:
    """Proposals (day, field, found, proposed, rule, reason). `day`, `close`, `low`, `adjusted`: (T,), ascending."""
    places = {item.ex: int(np.searchsorted(day, item.ex)) for item in dividends}
    seen = [item for item in dividends if 0 < places[item.ex] < len(day)]
    right, found = _right_units(seen, close, low, places)
    phantoms = _phantoms(right, close, places)
    for item in phantoms:
        reason = "it nearly repeats a dividend of the same days, and the price followed the other one"
        found.append((item.ex, "dividend", item.amount, 0.0, "dividend_is_phantom", reason))
    kept = [item for item in right if item not in phantoms]
    if adjusted is None or not np.isfinite(adjusted).all() or not (adjusted > 0).all():
        return found
    kept, missing = _missing(day, close, adjusted, kept, phantoms, places)
    return found + missing + _adjustment(day, close, adjusted, kept)


def _right_units(
    dividends: list[Dividend], close: Floats, low: Floats, places: dict[int, int]
) -> tuple[list[Dividend], list[Found]]:
    right, found = [], []
    for item in dividends:
        at = places[item.ex]
        before = float(close[at - 1])
        fell = before - float(min(low[at], close[at]))
        if item.amount > SHARE_MAX * before and fell < FOLLOWED_MIN * item.amount:
            right.append(replace(item, amount=item.amount / UNIT))
            reason = f"{item.amount:g} of a price of {before:g} was due, which fell by {max(fell, 0.0):g}"
            found.append((item.ex, "dividend", item.amount, item.amount / UNIT, "dividend_in_another_unit", reason))
        else:
            right.append(item)
    for place, item in enumerate(right):
        others = [float(other.amount) for n, other in enumerate(right) if n != place]
        steady = len(others) >= OTHERS_MIN and max(others) <= LIKE_OTHERS * min(others)
        usual = float(np.median(others)) if steady else 0.0
        before = float(close[places[item.ex] - 1])
        raised = item.amount * UNIT
        if usual / LIKE_OTHERS <= raised <= usual * LIKE_OTHERS and raised <= SHARE_MAX * before:
            right[place] = replace(item, amount=raised)
            reason = f"{item.amount:g} is a hundredth of what the instrument pays, {usual:g}"
            found.append((item.ex, "dividend", item.amount, raised, "dividend_in_another_unit", reason))
    return right, found


def _phantoms(dividends: list[Dividend], close: Floats, places: dict[int, int]) -> list[Dividend]:
    """Of each near repeat within a week the one that the close followed less; the later one when both alike."""

    def followed(item: Dividend) -> float:
        at = places[item.ex]
        return float(close[at - 1] - close[at]) / item.amount

    phantoms = []
    for first, second in itertools.pairwise(dividends):
        alike = first.amount <= DOUBLED_RATIO * second.amount and second.amount <= DOUBLED_RATIO * first.amount
        if second.ex - first.ex <= DOUBLED_DAYS and alike and first not in phantoms:
            phantoms.append(second if followed(first) >= followed(second) else first)
    return phantoms


def _missing(
    day: Ints,
    close: Floats,
    adjusted: Floats,
    dividends: list[Dividend],
    phantoms: list[Dividend],
    places: dict[int, int],
) -> tuple[list[Dividend], list[Found]]:
    """Dividends that only the source's adjustment shows; steps on other days' ex sessions and phantoms are not among them."""
    factor = adjusted / close
    step = factor[:-1] / factor[1:]
    taken: NDArray[np.bool_] = np.zeros(len(close), dtype=bool)
    taken[[places[item.ex] for item in (*dividends, *phantoms)]] = True
    found: list[Found] = []
    kept = list(dividends)
    for at in np.flatnonzero((step < 1.0 - IMPLIED_MIN) & ~taken[1:]) + 1:
        amount = float(close[at - 1] * (1.0 - step[at - 1]))
        if amount <= SHARE_MAX * close[at - 1]:
            kept.append(Dividend(int(day[at]), amount))
            reason = f"the source's adjusted close allows for {amount:g} that it does not list"
            found.append((int(day[at]), "dividend", 0.0, amount, "dividend_is_missing", reason))
    return sorted(kept, key=lambda item: item.ex), found


def _adjustment(day: Ints, close: Floats, adjusted: Floats, dividends: list[Dividend]) -> list[Found]:
    """The adjusted closes that follow from the dividends, where the source's own are elsewhere; the newest is the anchor."""
    steps = np.ones(len(close))
    for item in dividends:
        at = int(np.searchsorted(day, item.ex))
        steps[at] *= 1.0 - item.amount / close[at - 1]
    after = np.append(np.cumprod(steps[::-1])[::-1][1:], 1.0)
    proposed = close * after * (adjusted[-1] / close[-1])
    reason = "the adjusted close does not follow from the dividends"
    return [
        (int(day[at]), "adj_close", float(adjusted[at]), float(proposed[at]), "adjustment_is_wrong", reason)
        for at in np.flatnonzero(np.abs(proposed / adjusted - 1.0) > FACTOR_TOLERANCE)
    ]
