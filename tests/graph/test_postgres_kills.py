"""PostgreSQL dies in a run (F31): nothing is sent without its record, the same book in the end, no order twice.

One server holds ledger, index and Dagster's own storage, as in production, each behind a role of its own. The command runs in this
process, and the server is the one that dies. TMPDIR on a disk in memory makes it several times faster: SIGKILL loses no page.
"""

import os
import shutil
import time
from collections import deque
from pathlib import Path

import dagster_postgres.utils as retries
import pytest
from command_world import Seen, command, keep_environment, seen, sent_once
from graph_invariants import assert_sound
from graph_world import FIRST, NEXT, ROOT, SECOND, Home
from postgres_world import ADD, APPEND, EVENT, EVERY, Door, addresses, closing_lakes, copied, installed, of_dagster
from services import Postgres

pytestmark = [pytest.mark.graph, pytest.mark.postgres, pytest.mark.long]
POINTS = int(os.environ.get("MARKETBOT_KILLS", "50"))
TURNS = (APPEND, EVENT, ADD, EVERY, APPEND, ADD, EVENT, APPEND, ADD, EVERY)  # what the points are counted in, in turn
ASKED = [int(point) for point in os.environ.get("MARKETBOT_KILLS_AT", "").split(",") if point] or list(range(POINTS))
DEATHS, AGAIN_MAX = 4, 3
NOTHING = "halted, nothing sent"
DAGSTER = "DAGSTER_POSTGRES_URL"


def test_the_server_dies_at_many_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a statement or after its commit, back at once or only when the run has failed; then the session goes on.

    Each home sees several deaths, the next one in the run that goes on after the last. A session whose halt flag could not be
    read has sent nothing, and says so; every other one ends with the same orders, fills and contents as one that nothing disturbed.
    """
    outcomes: dict[int, str] = {}
    keep_environment(monkeypatch)
    with Postgres() as server:
        door = Door(server)
        try:
            place = Place(server, door, monkeypatch)
            base = place.base(tmp_path / "base")
            counts, wanted = undisturbed(place, base, tmp_path)
            print(counts, flush=True)
            work = chains(ASKED)
            while work:
                left = work.popleft()
                home = place.copy(base, tmp_path / f"home-{len(outcomes)}")
                with closing_lakes(home):
                    seen_here = deaths(home, place, left, counts)
                    assert seen_here, "nobody died"
                    ends(home, door, wanted)
                outcomes |= seen_here
                if rest := [point for point in left if point not in seen_here]:
                    work.append(rest)
                shutil.rmtree(home.path)
        finally:
            door.close()
    assert sorted(outcomes) == sorted(ASKED)
    assert list(outcomes.values()).count(NOTHING) <= POINTS // 5


def chains(points: list[int]) -> deque[list[int]]:
    """Points of one home, each later in the session than the one before."""
    homes = -(-len(points) // DEATHS)
    return deque(points[first::homes] for first in range(homes))


def deaths(home: Home, place: "Place", points: list[int], counts: dict[str, int]) -> dict[int, str]:
    """What became of the run at each point that was reached before the session ended."""
    found: dict[int, str] = {}
    door, since = place.door, len(home.at_broker())
    for point in points:
        what = TURNS[point % len(TURNS)]
        at = max(1, (point + 1) * counts[what] // (POINTS + 1))
        door.arm(at, what, after=point % 2 == 0, stays_down=point % 4 < 2)
        place.hasten(door.stays_down)
        code, said = command(NEXT)
        if not door.killed:  # what is stored already is not written again: this one needs a home of its own
            break
        assert code == 0 or (code in (1, 2) and "Traceback" not in said), said
        told = len(home.at_broker()) - since
        door.up()
        ended = home.lake.ledger.get("session_end", NEXT)
        found[point] = "went through" if code == 0 else f"failed with {told} orders at the broker"
        found[point] = NOTHING if ended is not None and home.end(NEXT).state == "halted" else found[point]
        when, back = "after" if door.after else "before", "later" if door.stays_down else "at once"
        line = next((line for line in said.splitlines() if line.startswith("marketbot: ")), "")
        where = f"{point}: {when} {what} {at} of {counts[what]}, back {back}"
        print(f"{where}: {found[point]}; {time.process_time():.0f} CPU s; {line[:120]}", flush=True)
        if code == 0 or found[point] == NOTHING:
            break
    return found


def ends(home: Home, door: Door, wanted: Seen) -> None:
    """Runs until the session has ended, without a death, and looks at what it left."""
    door.arm(0)
    said = []
    for _ in range(AGAIN_MAX):
        code, why = command(NEXT)
        said.append(why)
        if code == 0:
            break
    assert home.lake.ledger.get("session_end", NEXT) is not None, said
    if home.end(NEXT).state == "halted":
        assert home.sent(NEXT) == {}
        return
    assert code == 0, said
    assert seen(home) == wanted
    assert sent_once(home)
    assert_sound(home)


class Place:
    """Homes whose ledger, index and runs lie in one server."""

    def __init__(self, server: Postgres, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
        self._server, self.door, self._monkeypatch = server, door, monkeypatch
        self._delay = retries.calculate_delay
        self._databases = (installed(server), of_dagster(server))

    def base(self, path: Path) -> Home:
        """Two sessions; its databases are copied from here on."""
        home = Home(path)
        (path / "dagster").mkdir(parents=True)
        shutil.copyfile(ROOT / "deploy" / "dagster.postgres.yaml", path / "dagster" / "dagster.yaml")
        self._use(home, *self._databases, self._server.ports[0])
        with closing_lakes(home):
            for session in (FIRST, SECOND):
                assert command(session) == (0, "")
        return home

    def copy(self, base: Home, path: Path) -> Home:
        """A copy of the base whose databases are reached through the door."""
        ours, dagster = (copied(self._server, database) for database in self._databases)
        home = base.copy(path)
        self._use(home, ours, dagster, self.door.port)
        return home

    def hasten(self, stays_down: bool) -> None:
        """Where nobody starts the server again, Dagster need not wait for that."""
        self._monkeypatch.setattr(retries, "calculate_delay", (lambda **_: 0.05) if stays_down else self._delay)

    def _use(self, home: Home, ours: str, dagster: str, port: int) -> None:
        for name, value in addresses(self._server, ours, port).items():
            self._monkeypatch.setenv(name, value)
        url = self._server.url("dagster", dagster, "postgresql+psycopg2")
        self._monkeypatch.setenv(DAGSTER, url.replace(f":{self._server.ports[0]}/", f":{port}/"))
        self._monkeypatch.setenv("MARKETBOT_HOME", str(home.path))


def undisturbed(place: Place, base: Home, tmp_path: Path) -> tuple[dict[str, int], Seen]:
    """How many messages a session sends to its databases when nothing happens, by what they do; and what it leaves."""
    home = place.copy(base, tmp_path / "undisturbed")
    place.door.arm(0)
    with closing_lakes(home):
        assert command(NEXT) == (0, "")
        wanted = seen(home)
    counts = dict(place.door.counts)
    assert min(counts[what] for what in TURNS) >= POINTS // 5
    assert len(wanted.orders) > len(base.at_broker()) > 3
    return counts, wanted
