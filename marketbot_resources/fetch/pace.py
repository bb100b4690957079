"""How long to wait: token buckets, backoff, and what a provider asks for. Pure: instants and randomness come from the caller."""

import datetime as dt
import random
from collections.abc import Mapping
from email.utils import parsedate_to_datetime


class TokenBucket:
    """At most `burst` at once and `per_second` in the long run. `clock` is any monotonic time in seconds."""

    def __init__(self, per_second: float, burst: int) -> None:
        if not (per_second > 0 and burst >= 1):
            raise ValueError(f"expected a positive rate and a burst of at least 1, found {per_second} and {burst}")
        self._interval = 1.0 / per_second
        self._slack = (burst - 1) * self._interval
        self._next: float | None = None

    def take(self, clock: float) -> float:
        """Takes a token; returns the seconds until it may be used, 0 for now."""
        expected = clock if self._next is None else max(self._next, clock)
        used_at = max(clock, expected - self._slack)
        self._next = expected + self._interval
        return used_at - clock

    def hold(self, until: float) -> None:
        """No token before an instant: the provider asked for a pause."""
        self._next = max(until + self._slack, until if self._next is None else self._next)


def backoff_seconds(attempt: int, base: float, most: float, rng: random.Random) -> float:
    """Full jitter: anything from 0 to base * 2^attempt, at most `most`; attempt 0 is the first one that failed."""
    return rng.uniform(0.0, min(most, base * 2.0 ** min(attempt, 60)))


def retry_after_seconds(headers: Mapping[str, str], now: dt.datetime) -> float | None:
    """The wait that an answer asks for, in seconds or as an HTTP date, never below 0; None when it asks for none that we read."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value) if len(value) < 16 else float("inf")
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=dt.UTC)
    return max(0.0, (until - now).total_seconds())
