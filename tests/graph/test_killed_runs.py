"""Runs whose process dies under Dagster's real daemon: seen in seconds, started once more, one set of orders, one end."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from command_world import sent_once
from daemon_world import daemon, dies, everything_dies, frozen, place, runs_of, until, worker_of
from graph_invariants import assert_sound
from graph_world import ROOT, Home

SESSION = "2018-10-01"
MANDATE = (ROOT / "mandate.yaml").read_text(encoding="utf-8").replace("2022-12-28", SESSION)
pytestmark = [pytest.mark.graph, pytest.mark.long]


def ended_once(home: Home, instance: dg.DagsterInstance) -> None:
    """One retry, which succeeded; the session ended once, every order is at the broker once."""
    first, second = runs_of(instance)
    assert (first.status, second.status) == (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS)
    assert (second.parent_run_id, second.tags["dagster/retry_number"]) == (first.run_id, "1")
    assert len(home.lake.ledger.entries("session_end")) == 1
    assert home.end(SESSION).state == "sent"
    assert len(home.at_broker()) > 3
    assert sent_once(home)
    assert_sound(home)


@pytest.mark.parametrize("moment", ["reading", "sending"])
def test_a_killed_worker_is_replaced(moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while it reads, and after its batch was frozen; switched on by the environment alone, nobody clicks."""
    home = Home(tmp_path / "home")
    environment = place(home.path, MANDATE)
    for name in ("DAGSTER_HOME", "MARKETBOT_HOME"):
        monkeypatch.setenv(name, environment[name])
    with dg.DagsterInstance.get() as instance, daemon(environment, MARKETBOT_AUTOMATION="daily"):
        until(lambda: any(worker_of(instance, run) for run in runs_of(instance)), "the run to begin")
        (run,) = runs_of(instance)
        if moment == "sending":
            until(lambda: frozen(home), "the batch to be frozen")
        worker = worker_of(instance, run)
        assert worker is not None
        dies(worker)
        until(lambda: runs_of(instance)[0].status is dg.DagsterRunStatus.FAILURE, "the daemon to see it", 60)
        until(lambda: len(runs_of(instance)) > 1 and runs_of(instance)[1].is_finished, "the second run")
        ended_once(home, instance)


def test_a_machine_that_went_down_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Worker, code server and daemon die at once; the next daemon sees it within a minute and not after the longest run time."""
    home = Home(tmp_path / "home")
    environment = place(home.path, MANDATE)
    for name in ("DAGSTER_HOME", "MARKETBOT_HOME"):
        monkeypatch.setenv(name, environment[name])
    with dg.DagsterInstance.get() as instance:
        with daemon(environment, MARKETBOT_AUTOMATION="daily") as process:
            until(lambda: any(worker_of(instance, run) for run in runs_of(instance)), "the run to begin")
            everything_dies(process)
        (run,) = runs_of(instance)
        assert run.status is dg.DagsterRunStatus.STARTED
        with daemon(environment, MARKETBOT_AUTOMATION="daily"):
            until(lambda: runs_of(instance)[0].status is dg.DagsterRunStatus.FAILURE, "the daemon to see it", 120)
            until(lambda: len(runs_of(instance)) > 1 and runs_of(instance)[1].is_finished, "the second run")
            ended_once(home, instance)


def test_a_killed_command_does_not_hold_up_the_sensor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`marketbot run`, killed: its run names its process, so the daemon sees that it is gone, and the sensor starts another."""
    home = Home(tmp_path / "home")
    environment = place(home.path, MANDATE)
    for name in ("DAGSTER_HOME", "MARKETBOT_HOME"):
        monkeypatch.setenv(name, environment[name])
    script = [sys.executable, "-m", "marketbot_assets.cli", "run", "--session", SESSION]
    with dg.DagsterInstance.get() as instance:
        command = subprocess.Popen(script, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True)
        until(lambda: any(worker_of(instance, run) for run in runs_of(instance)), "the run to begin")
        everything_dies(command)
        (run,) = runs_of(instance)
        assert run.status is dg.DagsterRunStatus.STARTED
        with daemon(environment, MARKETBOT_AUTOMATION="daily"):
            until(lambda: runs_of(instance)[0].status is dg.DagsterRunStatus.FAILURE, "the daemon to see it", 120)
            until(lambda: len(runs_of(instance)) > 1 and runs_of(instance)[1].is_finished, "the sensor's run")
        _, second = runs_of(instance)
        assert second.status is dg.DagsterRunStatus.SUCCESS
        assert second.tags["marketbot/started_by"] == "daily_sensor"
        assert len(home.lake.ledger.entries("session_end")) == 1
        assert_sound(home)
