"""Dagster's own storage in PostgreSQL: the file of production, a run under the daemon, and the storage lost (F38)."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml
from daemon_world import daemon, place, runs_of, until
from graph_invariants import assert_sound
from graph_world import ROOT, Home, command
from postgres_world import addresses, installed
from services import Postgres

pytestmark = pytest.mark.graph
FIRST, SECOND = "2018-10-01", "2018-10-02"
PRODUCTION = ROOT / "deploy" / "dagster.postgres.yaml"


def test_production_differs_by_its_storage_and_logs_alone() -> None:
    """What guards runs here guards them there; the address comes from the environment."""
    production, here = (
        yaml.safe_load(path.read_text(encoding="utf-8"))
        for path in (PRODUCTION, ROOT / "dagster_home" / "dagster.yaml")
    )
    storage = production.pop("storage")["custom"]
    assert storage["config"] == {"postgres_url": {"env": "DAGSTER_POSTGRES_URL"}}
    assert storage["class"] == "PooledPostgresStorage"
    assert here.pop("event_log_storage")["class"] == "QuickEventLog"  # SQLite's own
    assert production.pop("compute_logs")["class"] == "NoOpComputeLogManager"  # its root is read-only
    assert production == here


@pytest.fixture
def environment(postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Ledger, index and Dagster in PostgreSQL, each by its own role; a mandate of two sessions."""
    mandate = (ROOT / "mandate.yaml").read_text(encoding="utf-8").replace("2022-12-28", SECOND)
    found = place(tmp_path / "home", mandate)
    shutil.copyfile(PRODUCTION, tmp_path / "home" / "dagster" / "dagster.yaml")
    postgres.login("dagster")
    postgres.execute("create database dagster owner dagster")
    found |= addresses(postgres, installed(postgres))
    found["DAGSTER_POSTGRES_URL"] = postgres.url("dagster", "dagster", "postgresql+psycopg2")
    for name, value in found.items():
        if name.startswith(("MARKETBOT_", "DAGSTER_")):
            monkeypatch.setenv(name, value)
    yield found
    postgres.execute("drop database dagster with (force)")


@pytest.mark.long
@pytest.mark.postgres
def test_a_session_and_dagster_s_database_lost_and_a_session_under_the_daemon(
    environment: dict[str, str], postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its events are there; without that database's contents the next session is as in a home of files that nothing disturbed."""
    home = Home(Path(environment["MARKETBOT_HOME"]))
    done = command(home.path, "run", "--session", FIRST, more=environment)
    assert done.returncode == 0, done.stderr
    assert postgres.execute("select count(*) > 100 from event_logs", "dagster") == [(True,)]
    assert not (home.path / "dagster" / "history").exists()
    postgres.execute("drop database dagster with (force)")
    postgres.execute("create database dagster owner dagster")
    with dg.DagsterInstance.get() as instance, daemon(environment, MARKETBOT_AUTOMATION="daily"):
        until(lambda: runs_of(instance) and runs_of(instance)[0].is_finished, "the daemon's run")
        (run,) = runs_of(instance)
        assert (run.status, run.tags["dagster/partition"]) == (dg.DagsterRunStatus.SUCCESS, SECOND)
    assert [home.end(session).state for session in (FIRST, SECOND)] == ["sent", "sent"]
    monkeypatch.delenv("MARKETBOT_LEDGER")
    monkeypatch.delenv("MARKETBOT_INDEX")
    twin = Home(tmp_path / "twin")
    assert twin.run(FIRST)
    assert twin.run(SECOND)
    for name in ("MARKETBOT_LEDGER", "MARKETBOT_INDEX"):
        monkeypatch.setenv(name, environment[name])
    assert home.at_broker() == twin.at_broker()
    assert home.filled() == twin.filled()
    assert_sound(home)
