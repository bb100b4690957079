"""Deaths at any point of a run: the next one ends the batch, and nothing is sent twice."""

from collections import Counter
from pathlib import Path

import pytest
from sending_sea import fast_folder
from sending_world import (
    ACKED,
    SENDING,
    SENT_ORDER,
    UNKNOWN,
    Fuse,
    Killed,
    Twin,
    run_with,
)

from marketbot_resources.ledger.examine import first_fault
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.model import OrderState
from marketbot_resources.sessions import order_state

MOODS: tuple[dict[str, str], ...] = (
    {},
    {"mb1-b": "reject"},
    {"mb1-b": "break_after", "mb1-a": "late"},
    {"mb1-a": "no_state", "mb1-d": "reject"},
)


def calls_of(path: Path, moods: dict[str, str]) -> tuple[int, dict[str, OrderState]]:
    """How many points a run without a crash has, and what it ends with."""
    path.mkdir()
    fuse = Fuse(0, after=False)
    report = run_with(path, Twin(SqliteLedger(path / "ledger.sqlite"), True, moods), fuse)
    return fuse.calls, report.states


def in_doubt(twin: Twin) -> set[str]:
    return {name for name in SENT_ORDER if order_state(twin.ledger, name) in (SENDING, UNKNOWN)}


@pytest.mark.parametrize(
    ("dedupes", "moods"), [(True, MOODS[0]), (True, MOODS[2]), (False, MOODS[1]), (False, MOODS[3])], ids=str
)
def test_a_crash_at_any_point_sends_nothing_twice(moods: dict[str, str], dedupes: bool) -> None:
    """Every ledger append and broker call is a place to die, before and after it; the next run ends as if nothing had been.

    But for an order of which nothing is known at a broker that takes an id twice: it waits for its next session.
    """
    with fast_folder() as path_text:
        folder = Path(path_text)
        calls, expected = calls_of(folder / "whole", moods)
        assert calls >= 1 + 4 + 3 * 4
        carried = set[str]()
        for point in range(1, calls + 1):
            for after in (False, True):
                path = folder / f"{point}{after}"
                path.mkdir()
                twin = Twin(SqliteLedger(path / "ledger.sqlite"), dedupes, moods)
                with pytest.raises(Killed):
                    run_with(path, twin, Fuse(point, after=after))
                lost = set() if dedupes else in_doubt(twin) - set(twin.states)
                carried.update(lost)
                report = run_with(path, twin, Fuse(0, after=False))
                assert report.states == {**expected, **dict.fromkeys(lost, UNKNOWN)}
                if not dedupes:
                    assert all(count == 1 for count in Counter(twin.submitted).values())
                assert twin.accepted == Counter({n: 1 for n in SENT_ORDER if report.states[n] is ACKED})
                assert first_fault(twin.ledger) is None
    assert carried == (set() if dedupes else set(SENT_ORDER))
