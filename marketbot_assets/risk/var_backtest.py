"""Statistics of a value-at-risk back-test: Basel's zones, Kupiec's and Christoffersen's tests. Pure.

Not here: whose losses are counted (`book.forecast_record`), what a zone leads to (`model_state`).
"""

import math
from collections.abc import Sequence
from enum import StrEnum
from itertools import pairwise


class Zone(StrEnum):
    """Traffic light of the Basel Committee (1996): green up to 95 % of the binomial distribution, red from 99.99 %."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


GREEN_BELOW, RED_FROM = 0.95, 0.9999


def binomial_cdf(count: int, sessions: int, probability: float) -> float:
    """Probability of at most `count` exceptions in `sessions` independent sessions."""
    terms = (math.comb(sessions, k) * probability**k * (1.0 - probability) ** (sessions - k) for k in range(count + 1))
    return math.fsum(terms)


def basel_zone(count: int, sessions: int = 250, probability: float = 0.01) -> Zone:
    """Zone of `count` exceptions by the cumulative binomial distribution."""
    reached = binomial_cdf(count, sessions, probability)
    return Zone.GREEN if reached < GREEN_BELOW else Zone.YELLOW if reached < RED_FROM else Zone.RED


def _log_likelihood(hits: int, misses: int, probability: float) -> float:
    """With 0 log 0 = 0."""
    first = hits * math.log(probability) if hits else 0.0
    return first + (misses * math.log(1.0 - probability) if misses else 0.0)


def chi_square_tail(value: float) -> float:
    """Probability that a chi-square variable with one degree of freedom is above `value`."""
    return math.erfc(math.sqrt(max(value, 0.0) / 2.0))


def kupiec(count: int, sessions: int, probability: float = 0.01) -> tuple[float, float]:
    """(likelihood ratio, p-value) of Kupiec's (1995) test that exceptions come as often as forecast."""
    misses = sessions - count
    ratio = 2.0 * (_log_likelihood(count, misses, count / sessions) - _log_likelihood(count, misses, probability))
    return ratio, chi_square_tail(ratio)


def christoffersen(exceptions: Sequence[bool]) -> tuple[float, float]:
    """(likelihood ratio, p-value) of Christoffersen's (1998) test that exceptions do not follow each other.

    Without both a day after an exception and one after none, nothing speaks against independence: (0, 1).
    """
    pairs = list(pairwise(exceptions))
    after_hit, after_miss = ([b for a, b in pairs if a is hit] for hit in (True, False))
    if not after_hit or not after_miss:
        return 0.0, 1.0
    hits = (sum(after_hit), sum(after_miss))
    rest = (len(after_hit) - hits[0], len(after_miss) - hits[1])
    together = sum(hits) / len(pairs)
    apart = sum(_log_likelihood(h, m, h / (h + m)) for h, m in zip(hits, rest, strict=True))
    ratio = max(0.0, 2.0 * (apart - _log_likelihood(sum(hits), sum(rest), together)))
    return ratio, chi_square_tail(ratio)
