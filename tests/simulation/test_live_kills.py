"""F01: a live-like run that is killed at random instants: no order twice, no audit record lost, the same book in the end.

Real processes, real HTTP to a misbehaving Alpaca, SQLite and PostgreSQL. Where every fault leaves a trace at the broker, the
undisturbed run of the same world is the measure. Where requests are lost or come late, an order may rightly stay unsent (F40);
then the measure is the broker's own truth.
"""

from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from kill_world import Outcome, live
from services import Postgres

from marketbot_resources.migrations.migrate import install

SESSIONS = 3
FOUND = "accept_504=0.1,accept_reset=0.1,truncate=0.05,html=0.05"
ANY = "accept_504=0.06,accept_reset=0.06,truncate=0.04,html=0.04,lose=0.06,lose_504=0.04,late=0.08,rate_limit=0.03"
ANY += ",get_503=0.03,get_429=0.03,get_truncate=0.03"
Run = Callable[[Path, int, int, str], Outcome]


@lru_cache(maxsize=1)
def undisturbed() -> Outcome:
    """The same sessions at a broker that behaves, without a kill."""
    with TemporaryDirectory() as folder:
        return live(Path(folder), None, sessions=SESSIONS, seed=1, faults="")


def assert_whole(found: Outcome) -> None:
    """Against the broker's own truth."""
    assert found.fault == ""
    assert found.lost == frozenset(), "no audit record lost"
    taken = found.truth["by_client_id"]
    assert isinstance(taken, dict)
    assert set(taken.values()) <= {1}, "no order twice"
    assert found.sent >= set(taken), "SENDING was durable before the broker had the order"
    assert {f"order_intent {name}" for name in taken} <= found.entries
    positions, shares = found.truth["positions"], found.book["shares"]
    assert isinstance(positions, dict)
    assert isinstance(shares, dict)
    assert {name[-1]: Decimal(held) for name, held in shares.items()} == {
        name: Decimal(held) for name, held in positions.items()
    }
    assert found.book["cash"] == {"USD": found.truth["cash"]}
    assert found.book["clean"] is True


def assert_the_same(found: Outcome) -> None:
    """Against the undisturbed run."""
    whole = undisturbed()
    assert_whole(found)
    assert found.truth["by_client_id"] == whole.truth["by_client_id"], "none lost, none more"
    assert found.entries == whole.entries
    assert (found.truth["positions"], found.truth["cash"]) == (whole.truth["positions"], whole.truth["cash"])
    assert found.book == whole.book


def over_sqlite(folder: Path, kills: int, seed: int, faults: str) -> Outcome:
    """A run whose ledger is a file."""
    return live(folder, None, sessions=SESSIONS, seed=seed, faults=faults, kills=kills)


@pytest.fixture
def over_postgres(postgres: Postgres) -> Run:
    """A run whose ledger is a database of its own."""

    def run(folder: Path, kills: int, seed: int, faults: str) -> Outcome:
        database = postgres.database()
        install(postgres.url("postgres", database))
        url = postgres.url(postgres.login("ledger_writer"), database)
        return live(folder, url, sessions=SESSIONS, seed=seed, faults=faults, kills=kills)

    return run


def test_kills_over_sqlite(tmp_path: Path) -> None:
    """Half a dozen kills, most of them while orders are sent."""
    found = over_sqlite(tmp_path, 6, 1, FOUND)
    assert found.kills > 0
    assert_the_same(found)


def test_kills_over_postgres(tmp_path: Path, over_postgres: Run) -> None:
    """The same over a database."""
    found = over_postgres(tmp_path, 6, 2, FOUND)
    assert found.kills > 0
    assert_the_same(found)


def test_kills_where_requests_are_lost(tmp_path: Path) -> None:
    """Lost and late requests, refused questions."""
    found = over_sqlite(tmp_path, 6, 3, ANY)
    assert found.kills > 0
    assert_whole(found)


def campaign(run: Run, tmp_path: Path, kills: int, faults: str, first: int) -> None:
    """Runs until so many kills have hit."""
    done = 0
    for seed in count(first):
        folder = tmp_path / str(seed)
        folder.mkdir()
        found = run(folder, 45, seed, faults)
        (assert_the_same if faults == FOUND else assert_whole)(found)
        done += found.kills
        print(f"seed {seed}: {found.kills} kills, {done} in all", flush=True)
        if done >= kills:
            return


@pytest.mark.long
@pytest.mark.parametrize(("faults", "kills"), [(FOUND, 350), (ANY, 150)], ids=["found", "any"])
def test_five_hundred_kills_over_sqlite(tmp_path: Path, faults: str, kills: int) -> None:
    """F01, half of the thousand."""
    campaign(over_sqlite, tmp_path, kills, faults, 100)


@pytest.mark.long
@pytest.mark.parametrize(("faults", "kills"), [(FOUND, 350), (ANY, 150)], ids=["found", "any"])
def test_five_hundred_kills_over_postgres(tmp_path: Path, over_postgres: Run, faults: str, kills: int) -> None:
    """F01, the other half."""
    campaign(over_postgres, tmp_path, kills, faults, 500)
