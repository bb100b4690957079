"""Waits: token buckets against their definition, Retry-After as vendors write it, backoff within its bounds."""

import datetime as dt
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbot_resources.fetch.pace import TokenBucket, backoff_seconds, retry_after_seconds

NOW = dt.datetime(2026, 3, 2, 12, 0, tzinfo=dt.UTC)


@given(
    st.floats(0.1, 50.0),
    st.integers(1, 8),
    st.lists(st.floats(0.0, 3.0), min_size=2, max_size=60),
)
def test_no_window_holds_more_than_burst_and_rate(rate: float, burst: int, gaps: list[float]) -> None:
    """Between any two uses lie at most burst + rate * time of them, and a request waits only when it has to."""
    bucket, clock, used = TokenBucket(rate, burst), 0.0, []
    tokens, filled_at = float(burst), 0.0  # the naive twin: a bucket that really fills
    for gap in gaps:
        clock += gap
        at = clock + bucket.take(clock)
        used.append(at)
        tokens = min(float(burst), tokens + (at - filled_at) * rate) if at > filled_at else tokens
        filled_at = max(filled_at, at)
        assert tokens >= 1 - 1e-6
        if at > clock:
            assert tokens <= 1 + 1e-6
        tokens -= 1
    for i, first in enumerate(used):
        for count, last in enumerate(used[i:], start=1):
            assert count <= burst + rate * (last - first) + 1e-6


def test_a_held_bucket_lets_nobody_through() -> None:
    """After a hold the next token comes at its end, not before, and an earlier hold does not shorten it."""
    bucket = TokenBucket(10.0, 5)
    bucket.hold(100.0)
    bucket.hold(50.0)
    assert bucket.take(0.0) == pytest.approx(100.0)
    assert bucket.take(0.0) == pytest.approx(100.1)


@pytest.mark.parametrize(("rate", "burst"), [(0.0, 1), (-1.0, 1), (float("nan"), 1), (1.0, 0)])
def test_a_bucket_that_never_fills_is_refused(rate: float, burst: int) -> None:
    """No rate is no limit of zero: it is a mistake."""
    with pytest.raises(ValueError, match="positive rate"):
        TokenBucket(rate, burst)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("99999999999999999999", float("inf")),
        ("Mon, 02 Mar 2026 12:01:30 GMT", 90.0),
        ("Mon, 02 Mar 2026 11:00:00 GMT", 0.0),
        ("Mon, 02 Mar 2026 13:00:30 +0100", 30.0),
        ("Mon, 02 Mar 2026 12:00:10 -0000", 10.0),
        ("Monday, 02-Mar-26 12:00:20 GMT", 20.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("nan", None),
        ("Mon, 99 Mar 2026 12:00:00 GMT", None),
    ],
)
def test_retry_after(said: str, seconds: float | None) -> None:
    """RFC 9110: seconds or a date; what is neither asks for nothing."""
    assert retry_after_seconds({"retry-after": said}, NOW) == seconds


def test_no_header_asks_for_nothing() -> None:
    """An answer without Retry-After."""
    assert retry_after_seconds({}, NOW) is None


@given(st.integers(0, 2000), st.integers(0, 2**32))
def test_backoff_is_between_zero_and_its_bound(attempt: int, seed: int) -> None:
    """Full jitter, however many attempts there were."""
    assert 0.0 <= backoff_seconds(attempt, 0.5, 30.0, random.Random(seed)) <= min(30.0, 0.5 * 2.0 ** min(attempt, 60))


def test_backoff_uses_its_whole_range() -> None:
    """The mean of full jitter is half of its bound: the attempts of many clients do not meet."""
    rng = random.Random(3)
    waits = [backoff_seconds(3, 1.0, 30.0, rng) for _ in range(4000)]
    assert sum(waits) / len(waits) == pytest.approx(4.0, abs=0.15)
