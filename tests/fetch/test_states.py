"""What is remembered between runs, and what an operator reads of it."""

import datetime as dt
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_resources.errors import HomeError
from marketbot_resources.fetch.states import FILE, Gate, ProviderStates, vendor_states

NOW = dt.datetime(2026, 3, 2, 23, 59, tzinfo=dt.UTC)
REST = dt.timedelta(minutes=5)
MINUTE = dt.timedelta(minutes=1)


def test_a_breaker_opens_with_the_last_failure_in_a_row(tmp_path: Path) -> None:
    """Two failures and a success are none; three in a row open it; another provider's is not touched."""
    states = ProviderStates(tmp_path)
    for _ in range(2):
        states.failed("a", NOW, 3)
    states.succeeded("a")
    for expected in (Gate.CLOSED, Gate.CLOSED, Gate.OPEN):
        states.failed("a", NOW, 3)
        assert states.gate("a", NOW, REST) is expected
    assert states.gate("b", NOW, REST) is Gate.CLOSED
    assert states.gate("a", NOW + REST - dt.timedelta(microseconds=1), REST) is Gate.OPEN
    assert states.gate("a", NOW + REST, REST) is Gate.HALF_OPEN
    states.failed("a", NOW + REST, 3)
    assert states.gate("a", NOW + REST + MINUTE, REST) is Gate.OPEN
    states.succeeded("a")
    assert states.gate("a", NOW + REST + MINUTE, REST) is Gate.CLOSED


def test_a_clock_that_was_set_back_does_not_hold_a_breaker_open(tmp_path: Path) -> None:
    """Opened in the future: half open, so that one request finds out."""
    states = ProviderStates(tmp_path)
    states.failed("a", NOW + dt.timedelta(days=300), 1)
    assert states.gate("a", NOW, REST) is Gate.HALF_OPEN


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "next day"]), max_size=30), st.integers(0, 6))
def test_no_day_has_more_requests_than_its_limit(calls: list[str], limit: int) -> None:
    """Against a plain count per provider and day."""
    with tempfile.TemporaryDirectory() as folder:
        states, day = ProviderStates(Path(folder)), NOW.date()
        count: dict[tuple[str, dt.date], int] = {}
        for call in calls:
            if call == "next day":
                day += dt.timedelta(days=1)
                continue
            allowed = states.reserve(call, day, limit)
            assert allowed == (count.get((call, day), 0) < limit)
            count[call, day] = count.get((call, day), 0) + allowed
        for (provider, at), requests in count.items():
            assert states.quota(provider, at).requests == requests


def test_processes_share_one_limit(tmp_path: Path) -> None:
    """Four processes that take what they can get never get more than the limit together."""
    script = (
        "import datetime as dt, sys; from pathlib import Path;"
        "from marketbot_resources.fetch.states import ProviderStates;"
        "states = ProviderStates(Path(sys.argv[1]));"
        "print(sum(states.reserve('a', dt.date(2026, 3, 2), 100) for _ in range(60)))"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert sum(int(process.communicate(timeout=60)[0]) for process in running) == 100
    assert ProviderStates(tmp_path).quota("a", dt.date(2026, 3, 2)).requests == 100


def test_bytes_add_up_and_the_last_word_on_what_is_left_stays(tmp_path: Path) -> None:
    """A provider that says nothing does not erase what it said."""
    states = ProviderStates(tmp_path)
    states.reserve("a", NOW.date(), None)
    for size, remaining in ((10, 5), (20, None), (30, 4), (1, None)):
        states.received("a", NOW.date(), size, remaining)
    quota = states.quota("a", NOW.date())
    assert (quota.requests, quota.bytes, quota.remaining) == (1, 61, 4)
    assert states.providers() == ["a"]


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    """The message says which file, and that it may go."""
    (tmp_path / FILE).write_bytes(b"not a database" * 100)
    with pytest.raises(HomeError, match=r"no evidence, the file may be deleted.*providers\.sqlite"):
        ProviderStates(tmp_path)


def test_the_doctor_sees_keys_breakers_and_quotas(tmp_path: Path) -> None:
    """One row per configured provider, sorted; a home that asked nobody yet is left as it is."""
    keys = {"b": ["B_KEY", "B_SECRET"], "a": []}
    given_keys = {"B_KEY": "x"}.get

    def rows(home: Path):  # type: ignore[no-untyped-def]
        return vendor_states(home, NOW, keys=keys, per_day={"b": 25}, rest=REST, variable=given_keys)

    fresh = tmp_path / "fresh"
    fresh.mkdir()
    assert [(row.provider, row.breaker, row.requests_today) for row in rows(fresh)] == [
        ("a", "closed", 0),
        ("b", "closed", 0),
    ]
    assert list(fresh.iterdir()) == []
    states = ProviderStates(tmp_path)
    states.reserve("b", NOW.date(), None)
    states.reserve("b", NOW.date() - dt.timedelta(days=1), None)
    states.received("b", NOW.date(), 1234, 9)
    states.failed("b", NOW - MINUTE, 1)
    first, second = rows(tmp_path)
    assert first.lacking == ()
    assert second.lacking == ("B_SECRET",)
    assert second.line() == (
        "b: key missing: set B_SECRET; breaker open until 2026-03-03 00:03 UTC; "
        "1 of 25 requests and 1234 bytes today, 9 left as it says"
    )
    assert first.line() == "a: key set or not needed; breaker closed; 0 requests and 0 bytes today"
