"""How often the best of many trials in one half of the past is below the middle in the other half. Pure.

Combinatorially symmetric cross-validation: the past is cut into an even number of blocks; every choice of half of them is once the
sample in which the best trial is picked, and the rest is where it is judged. The probability of backtest overfitting is the share
of choices whose pick ranks at or below the median. Source: Bailey, Borwein, Lopez de Prado and Zhu, The Probability of Backtest
Overfitting (2017). One such number is noisy: the gate takes the median over several numbers of blocks and asks the deflated Sharpe
ratio as well (`promotion`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from marketbot_assets.research.cross_validation import blocks

Floats = NDArray[np.float64]
BLOCKS = (8, 10, 12)
CHOICES_MAX = 13_000
CHUNK = 512
TIE_DIGITS, SMALL = 9, 1e-4


@dataclass(frozen=True, slots=True)
class Overfitting:
    """What symmetric cross-validation found over `choices` choices.

    `probability`: share of picks at or below the median out of sample; `loss`: share of picks that lost out of sample; `slope`:
    of the pick's ratio out of sample on that in sample, NaN without variation; `logits`: (choices,) of the relative rank.
    """

    probability: float
    loss: float
    slope: float
    logits: Floats

    @property
    def choices(self) -> int:
        """How many choices there were."""
        return len(self.logits)


def backtest_overfitting(returns: Floats, block_count: int) -> Overfitting:
    """Of (T, N) returns of trials over the same sessions. Trials are compared by Sharpe ratio; a constant trial has 0.

    Ties in rank are shared; ties for the best go to the first; ratios that differ by rounding alone tie, as those of a trial and of
    the same with more leverage do. Raises ValueError for an odd number of blocks, fewer than two
    trials, fewer than two rows per block, or a return that is not finite.
    """
    sessions, trials = returns.shape
    if block_count < 2 or block_count % 2 or math.comb(block_count, block_count // 2) > CHOICES_MAX:
        raise ValueError(f"overfitting: expected an even number of blocks, 2 to 16, found {block_count}")
    if trials < 2 or sessions < 2 * block_count or not np.isfinite(returns).all():
        raise ValueError(
            f"overfitting: expected at least 2 trials and {2 * block_count} sessions of finite returns, found {returns.shape}"
        )
    apart = returns - returns.mean(axis=0)  # of one level: the squares below keep their digits
    parts = blocks(sessions, block_count)
    sizes = np.array([len(part) for part in parts], dtype=np.float64)
    sums = np.stack([apart[part].sum(axis=0) for part in parts])
    squares = np.stack([(apart[part] ** 2).sum(axis=0) for part in parts])
    chosen = np.array(list(combinations(range(block_count), block_count // 2)))
    logits, inside, outside = [], [], []
    for start in range(0, len(chosen), CHUNK):
        mask = np.zeros((len(chosen[start : start + CHUNK]), block_count))
        np.put_along_axis(mask, chosen[start : start + CHUNK], 1.0, axis=1)
        ratios = [_ratios(side, sizes, sums, squares, returns.mean(axis=0)) for side in (mask, 1.0 - mask)]
        ranked = [_without_rounding(side) for side in ratios]
        best = ranked[0].argmax(axis=1)
        picked, chosen_one = (np.take_along_axis(side, best[:, None], axis=1) for side in (ratios[1], ranked[1]))
        below, equal = (ranked[1] < chosen_one).sum(axis=1), (ranked[1] == chosen_one).sum(axis=1)
        rank = (below + 0.5 * (equal + 1)) / (trials + 1)
        logits.append(np.log(rank / (1.0 - rank)))
        inside.append(np.take_along_axis(ratios[0], best[:, None], axis=1)[:, 0])
        outside.append(picked[:, 0])
    found, x, y = (np.concatenate(part) for part in (logits, inside, outside))
    slope = float(np.polyfit(x, y, 1)[0]) if float(np.ptp(x)) > 0.0 else math.nan
    return Overfitting(float((found <= 0.0).mean()), float((y < 0.0).mean()), slope, found)


def _ratios(mask: Floats, sizes: Floats, sums: Floats, squares: Floats, level: Floats) -> Floats:
    """(choices, N) mean over deviation (ddof 1) in the blocks of each row of `mask`; 0 for a trial that does not vary there."""
    n = (mask @ sizes)[:, None]
    mean = mask @ sums / n
    spread = np.maximum(mask @ squares - n * mean**2, 0.0) / (n - 1.0)
    tiny = spread <= 1e-12 * (mask @ squares) / n
    return np.asarray(np.where(tiny, 0.0, (mean + level) / np.sqrt(np.where(tiny, 1.0, spread))))


def _without_rounding(ratios: Floats) -> Floats:
    """The same to TIE_DIGITS digits after the first, those below SMALL to as many places as that: alike on every machine."""
    size = 10.0 ** np.floor(np.log10(np.maximum(np.abs(ratios), SMALL)))
    return np.asarray(np.round(ratios / size, TIE_DIGITS) * size)


def median_overfitting(returns: Floats, block_counts: Sequence[int] = BLOCKS) -> float:
    """Median probability over several numbers of blocks."""
    return float(np.median([backtest_overfitting(returns, count).probability for count in block_counts]))
