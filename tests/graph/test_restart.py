"""Runs that die, are repeated or are missed: one set of orders, the same contents, nothing sent too late."""

import subprocess
import sys
from pathlib import Path

import pytest
from graph_invariants import assert_sound
from graph_world import AFTER, FIRST, KILLED, NEXT, SECOND, DyingStore, Home

pytestmark = pytest.mark.graph


@pytest.mark.long
def test_two_homes_agree_on_every_asset(base: Home, tmp_path: Path) -> None:
    """Equal content hashes for every asset and session, from raw bytes to the report, in another folder."""
    other = Home(tmp_path / "somewhere" / "else")
    assert other.run(FIRST)
    assert other.run(SECOND)
    assert other.contents() == base.contents()
    assert {part for asset, part in base.contents() if asset == "daily_report"} == {FIRST, SECOND}
    assert other.at_broker() == base.at_broker()
    assert other.filled() == base.filled()
    assert_sound(other)


def test_a_second_run_of_a_session_adds_nothing(home: Home) -> None:
    """The job again, not the command: nothing is ordered twice, no content and no ledger entry is added."""
    before = (home.lake.ledger.head(), home.contents(), home.at_broker(), home.filled())
    files = home.files()
    assert home.run(SECOND)
    assert (home.lake.ledger.head(), home.contents(), home.at_broker(), home.filled()) == before
    assert {name for name in home.files() - files if not name.startswith("store/manifests/")} == set()


@pytest.mark.long
def test_a_run_that_dies_again_and_again_gives_one_set_of_orders(home: Home, undisturbed: Home) -> None:
    """Death before the record, and of the whole process amid sending: then as if nothing had been."""
    assert home.dies(NEXT, {"store": DyingStore(step="decision_record")}) == "decision_record"
    assert home.has("orders", NEXT)
    assert home.sent(NEXT) == {}
    doing = f"Home(Path({str(home.path)!r})).run(NEXT, {{'broker': DyingBroker(accepts=3, process=True)}})"
    script = [sys.executable, "-W", "ignore", "-c", f"from graph_world import *; {doing}"]
    child = subprocess.run(script, cwd=Path(__file__).parent, check=False)
    assert child.returncode == KILLED
    assert len(home.sent(NEXT)) == 3
    assert home.lake.ledger.get("session_end", NEXT) is None
    assert home.run(NEXT)
    assert home.at_broker() == undisturbed.at_broker()
    assert home.filled() == undisturbed.filled()
    assert home.contents() == undisturbed.contents()
    assert home.end(NEXT).state == "sent"
    assert_sound(home)


def test_a_session_cannot_be_skipped_on_the_replay_clock(home: Home) -> None:
    """The session after next is refused, and says which one to run first."""
    assert not home.run(AFTER)
    assert f"{NEXT} has not been run" in home.end(AFTER).reason


@pytest.fixture(scope="module")
def missed(base: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The base, a session of which only the data came, and the one after it."""
    home = base.copy(tmp_path_factory.mktemp("missed") / "home")
    assert home.run(NEXT, job="data")
    assert home.lake.ledger.get("session_end", NEXT) is None
    assert home.run(AFTER)
    return home


def test_a_session_of_data_alone_is_skipped_and_cannot_send_afterwards(missed: Home, tmp_path: Path) -> None:
    """The next session records the missed one as skipped; its orders are refused from then on."""
    home = missed.copy(tmp_path / "home")
    end = home.end(NEXT)
    assert end.state == "skipped"
    assert "batch" in end.reason
    assert not home.run(NEXT)
    failures = home.lake.ledger.entries("run_failed", NEXT)
    assert "skipped" in str(failures[-1].body["reason"])
    assert home.end(NEXT) == end
    assert home.sent(NEXT) == {}
    assert_sound(home)


def test_a_skipped_session_leaves_no_hole_in_the_book(missed: Home) -> None:
    """What was filled between the last decided session and the next one is in the book, whatever was skipped in between."""
    assert home_breaks(missed) == []
    assert missed.end(AFTER).state == "sent"


def home_breaks(home: Home) -> list[str]:
    """What the book and the broker do not agree on."""
    rows = home.frame("reconciliation", AFTER)
    return rows.loc[rows["outcome"] == "break", "key"].tolist()
