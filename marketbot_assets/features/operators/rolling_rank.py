"""Rolling rank and quantiles. Pure; see `compiled` for the common rules.

The answers depend on the window's values alone, so there is no state. Instruments are worked on in strips of a fixed width, whose
window fits the processor's first cache and whose rows lie at known distances, so that several of them are read in one go.
"""

import numpy as np

from marketbot_assets.features.operators.compiled import compiled
from marketbot_assets.normalization.window import Floats

W = 64  # instruments of a strip


@compiled
def _strip(x: Floats, begin: int, left: int, held: Floats) -> None:
    """Rows of a strip from `begin` on, one after the other; what is unknown, or beyond the last instrument, is NaN."""
    for t in range(begin, x.shape[0]):
        row, tap = held[(t - begin) * W : (t - begin + 1) * W], x[t, left : left + W]
        for j in range(tap.shape[0]):
            row[j] = tap[j] if abs(tap[j]) < np.inf else np.nan
        row[tap.shape[0] :] = np.nan


@compiled
def _change_count(held: Floats, t: int, by: float, count: Floats) -> None:
    """Counts the known values of a strip's row, or takes them off the count."""
    row = held[t * W : (t + 1) * W]
    for j in range(W):
        count[j] += by if row[j] == row[j] else 0.0


@compiled
def _compare_five(five: Floats, work: Floats) -> None:
    """Half for every value below the newest (work[:W]), and half for one that is not above it, onto work[W:]. five: five rows."""
    for j in range(W):
        v, a, b, c, d, e = work[j], five[j], five[W + j], five[2 * W + j], five[3 * W + j], five[4 * W + j]
        one = (0.5 if a < v else 0.0) + (0.5 if a <= v else 0.0)
        two = (0.5 if b < v else 0.0) + (0.5 if b <= v else 0.0)
        three = (0.5 if c < v else 0.0) + (0.5 if c <= v else 0.0)
        four = (0.5 if d < v else 0.0) + (0.5 if d <= v else 0.0)
        work[W + j] += one + two + three + four + (0.5 if e < v else 0.0) + (0.5 if e <= v else 0.0)


@compiled
def _compare_one(tap: Floats, work: Floats) -> None:
    """The same of one row."""
    for j in range(W):
        work[W + j] += (0.5 if tap[j] < work[j] else 0.0) + (0.5 if tap[j] <= work[j] else 0.0)


@compiled
def rolling_rank(x: Floats, first: int, out: Floats, window: int, least: int) -> None:
    """Average rank of the newest value among the known ones of the window, over their number; NaN when it is unknown."""
    begin = max(0, first - window + 1)
    rows, n = x.shape[0] - begin, x.shape[1]
    held, work, count = np.empty(rows * W), np.empty(2 * W), np.empty(W)
    for left in range(0, n, W):
        _strip(x, begin, left, held)
        count[:] = 0.0
        for t in range(rows):
            _change_count(held, t, 1.0, count)
            if t >= window:
                _change_count(held, t - window, -1.0, count)
            if t + begin < first:
                continue
            work[:W] = held[t * W : (t + 1) * W]
            work[W:] = 0.0
            oldest = max(t - window + 1, 0)
            i = oldest
            while i + 5 <= t + 1:
                _compare_five(held[i * W : (i + 5) * W], work)
                i += 5
            while i <= t:
                _compare_one(held[i * W : (i + 1) * W], work)
                i += 1
            row = out[t + begin - first, left : left + W]
            for j in range(row.shape[0]):
                there = (work[j] == work[j]) & (count[j] >= least)
                row[j] = (work[W + j] + 0.5) / count[j] if there else np.nan


@compiled
def rolling_quantiles(x: Floats, first: int, out: Floats, window: int, least: int, low: float, high: float) -> None:
    """out[0], out[1]: the quantiles `low` and `high` of the known values, linear between them (pandas' default).

    `ordered` has every instrument's window in rising order; what is unknown stands behind as infinity.
    """
    begin = max(0, first - window + 1)
    rows, n = x.shape[0] - begin, x.shape[1]
    places = (window + 3) // 4 * 4
    held, ordered, work, count = np.empty(rows * W), np.empty((places + 1) * W), np.empty(3 * W), np.empty(W)
    for left in range(0, n, W):
        _strip(x, begin, left, held)
        count[:] = 0.0
        ordered[:] = np.inf
        for t in range(rows):
            _change_count(held, t, 1.0, count)
            if t >= window:
                _change_count(held, t - window, -1.0, count)
            _moves(held, t, t - window, work)
            for i in range(0, min(window, t + 1), 4):
                _exchange_four(ordered[i * W : (i + 5) * W], work)
            if t + begin >= first:
                at = t + begin - first
                _between(ordered, count, low, least, out[0, at, left : left + W])
                _between(ordered, count, high, least, out[1, at, left : left + W])


@compiled
def _moves(held: Floats, comes: int, goes: int, work: Floats) -> None:
    """work: what comes and what goes, infinity where that is nothing; and what stands below the first place, minus infinity."""
    new, old = held[comes * W : (comes + 1) * W], held[max(goes, 0) * W : (max(goes, 0) + 1) * W]
    for j in range(W):
        work[j] = new[j] if new[j] == new[j] else np.inf
        work[W + j] = old[j] if (old[j] == old[j]) & (goes >= 0) else np.inf
        work[2 * W + j] = -np.inf


@compiled
def _exchange_four(five: Floats, work: Floats) -> None:
    """Four places of the ordered windows while a value goes and one comes: from the place on where the old one stood, what stands

    behind it moves up; the new one stands between what is not above and what is not below it. five: these places and the next.
    """
    for j in range(W):
        new, old, before = work[j], work[W + j], work[2 * W + j]
        p, q, r, s, u = five[j], five[W + j], five[2 * W + j], five[3 * W + j], five[4 * W + j]
        one = p if p < old else q
        two = q if q < old else r
        three = r if r < old else s
        four = s if s < old else u
        a = new if new < one else one
        b = new if new < two else two
        c = new if new < three else three
        d = new if new < four else four
        five[j] = before if before > a else a
        five[W + j] = one if one > b else b
        five[2 * W + j] = two if two > c else c
        five[3 * W + j] = three if three > d else d
        work[2 * W + j] = four


@compiled
def _between(ordered: Floats, count: Floats, share: float, least: int, row: Floats) -> None:
    """One row of quantiles of the ordered values, linear between neighbours."""
    n = row.shape[0]
    fewest, most = count[:n].min(), count[:n].max()
    if fewest == most and fewest >= max(least, 1):
        exact = share * (fewest - 1.0)
        at = int(exact)
        part, above = exact - at, min(at + 1, int(fewest) - 1)
        under, over = ordered[at * W : (at + 1) * W], ordered[above * W : (above + 1) * W]
        for j in range(n):
            row[j] = under[j] + (over[j] - under[j]) * part
        return
    for j in range(n):
        many = int(count[j])
        if many < max(least, 1):
            row[j] = np.nan
            continue
        exact = share * (many - 1)
        at = int(exact)
        under, over = ordered[at * W + j], ordered[min(at + 1, many - 1) * W + j]
        row[j] = under + (over - under) * (exact - at)
