"""F01: a live-like run that is killed at random instants: no order twice, no audit record lost, the same book in the end.

Real processes, real HTTP to a misbehaving Alpaca, SQLite and PostgreSQL. The undisturbed run of the same world is the measure.
"""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from kill_world import Outcome, live
from services import Postgres

from marketbot_resources.ledger.postgres import install

SESSIONS = 3
FAULTS = "accept_504=0.1,accept_reset=0.1,truncate=0.05,html=0.05"


@lru_cache(maxsize=1)
def undisturbed() -> Outcome:
    """The same sessions at a broker that behaves, without a kill."""
    with TemporaryDirectory() as folder:
        return live(Path(folder), None, sessions=SESSIONS, seed=1, faults="")


def assert_the_same(found: Outcome) -> None:
    """Against the undisturbed run, and against the broker's own truth."""
    whole = undisturbed()
    assert found.fault == ""
    taken = found.truth["by_client_id"]
    assert isinstance(taken, dict)
    assert set(taken.values()) == {1}, "no order twice"
    assert taken == whole.truth["by_client_id"], "none lost, none more"
    assert found.sent >= set(taken), "SENDING was durable before the broker had the order"
    assert found.entries == whole.entries, "no audit record lost"
    assert (found.truth["positions"], found.truth["cash"]) == (whole.truth["positions"], whole.truth["cash"])
    assert found.book == whole.book
    assert found.book["clean"] is True


def sqlite_run(folder: Path, kills: int, seed: int) -> Outcome:
    """A run whose ledger is a file."""
    return live(folder, None, sessions=SESSIONS, seed=seed, faults=FAULTS, kills=kills)


def postgres_run(server: Postgres, folder: Path, kills: int, seed: int) -> Outcome:
    """A run whose ledger is a database of its own."""
    database = server.database()
    install(server.url("postgres", database))
    url = server.url(server.login("ledger_writer"), database)
    return live(folder, url, sessions=SESSIONS, seed=seed, faults=FAULTS, kills=kills)


def test_kills_over_sqlite(tmp_path: Path) -> None:
    """A dozen kills, most of them while orders are sent."""
    found = sqlite_run(tmp_path, 12, 1)
    assert found.kills > 0
    assert_the_same(found)


def test_kills_over_postgres(tmp_path: Path, postgres: Postgres) -> None:
    """The same over a database."""
    found = postgres_run(postgres, tmp_path, 12, 2)
    assert found.kills > 0
    assert_the_same(found)


def campaign(run: Callable[[Path, int], Outcome], tmp_path: Path, kills: int) -> None:
    """Runs until so many kills have hit."""
    done, seed = 0, 100
    while done < kills:
        seed += 1
        folder = tmp_path / str(seed)
        folder.mkdir()
        found = run(folder, seed)
        assert_the_same(found)
        done += found.kills
        print(f"seed {seed}: {found.kills} kills, {done} in all", flush=True)


@pytest.mark.long
def test_five_hundred_kills_over_sqlite(tmp_path: Path) -> None:
    """F01, half of the thousand."""
    campaign(lambda folder, seed: sqlite_run(folder, 45, seed), tmp_path, 500)


@pytest.mark.long
def test_five_hundred_kills_over_postgres(tmp_path: Path, postgres: Postgres) -> None:
    """F01, the other half."""
    campaign(lambda folder, seed: postgres_run(postgres, folder, 45, seed), tmp_path, 500)
