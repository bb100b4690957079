"""PostgreSQL dies in a run (F31): nothing is sent without its record, the same book in the end, no order twice."""

import os
from pathlib import Path

import pytest
from graph_invariants import assert_sound
from graph_world import FIRST, NEXT, SECOND, Home
from postgres_world import Door, addresses, closing_lakes, copied, installed
from services import Postgres

pytestmark = [pytest.mark.graph, pytest.mark.postgres, pytest.mark.long]
POINTS = int(os.environ.get("MARKETBOT_KILLS", "50"))
AGAIN_MAX = 3


def test_the_server_dies_at_many_points(undisturbed: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a statement or after its commit, back at once or only when the run has failed; then the session goes on.

    A session whose halt flag could not be read has sent nothing, and says so; every other one ends with the same orders, fills
    and contents as in a home whose databases are files and which nothing disturbed.
    """
    outcomes, wanted = [], undisturbed.contents()
    with Postgres() as server:
        door = Door(server)
        try:
            base, database = Home(tmp_path / "base"), installed(server)
            for name, value in addresses(server, database).items():
                monkeypatch.setenv(name, value)
            with closing_lakes(base):
                assert base.run(FIRST)
                assert base.run(SECOND)
            messages = counted(server, door, base, database, tmp_path, monkeypatch)
            for point in range(1, POINTS + 1):
                at = max(1, point * messages // (POINTS + 1))
                door.arm(at, after=point % 2 == 0, stays_down=point % 4 < 2)
                home = at_door(server, door, base, database, tmp_path / f"home-{point}", monkeypatch)
                with closing_lakes(home):
                    outcomes.append(one_point(home, door, undisturbed, wanted))
                print(point, at, outcomes[-1], flush=True)
        finally:
            door.close()
    assert len(outcomes) == POINTS
    assert outcomes.count("nothing sent") <= POINTS // 5


def at_door(
    server: Postgres, door: Door, base: Home, database: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> Home:
    """A copy of the base whose databases are reached through the door."""
    for name, value in addresses(server, copied(server, database), door.port).items():
        monkeypatch.setenv(name, value)
    return base.copy(path)


def counted(
    server: Postgres, door: Door, base: Home, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> int:
    """How many messages a session sends to its databases when nothing happens."""
    home = at_door(server, door, base, database, tmp_path / "counted", monkeypatch)
    door.arm(0)
    with closing_lakes(home):
        assert home.run(NEXT)
    assert door.seen > POINTS
    return door.seen


def one_point(home: Home, door: Door, undisturbed: Home, wanted: dict[tuple[str, str], str]) -> str:
    """Runs until the session has ended."""
    first = home.run(NEXT)
    assert door.killed
    told = len(home.sent(NEXT))
    door.up()
    door.arm(0)
    for _ in range(AGAIN_MAX):
        if home.lake.ledger.get("session_end", NEXT) is not None and home.run(NEXT):
            break
        home.run(NEXT)
    state = home.end(NEXT).state
    if state != "sent":
        assert (state, home.sent(NEXT)) == ("halted", {}), home.end(NEXT)
        return "nothing sent"
    assert home.at_broker() == undisturbed.at_broker()
    assert home.filled() == undisturbed.filled()
    assert home.contents() == wanted
    sending = [e.key.split("/")[0] for e in home.lake.ledger.entries("order_event") if e.body["state"] == "SENDING"]
    assert len(sending) == len(set(sending))
    assert_sound(home)
    return "went through" if first else f"failed with {told} orders at the broker, went on"
