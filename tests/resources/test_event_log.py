"""Dagster's event log with open connections: a run's events are there for another process, and a watcher hears of them."""

import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from marketbot_resources.event_log import QuickEventLog

ROOT = Path(__file__).parents[2]


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dg.DagsterInstance:
    (tmp_path / "dagster.yaml").write_text((ROOT / "dagster_home" / "dagster.yaml").read_text(encoding="utf-8"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.delenv("MARKETBOT_HOME", raising=False)
    return dg.DagsterInstance.get()


@dg.asset
def one() -> dg.MaterializeResult:  # type: ignore[type-arg]
    return dg.MaterializeResult(metadata={"rows": 1})


def test_events_are_kept_and_heard(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """The instance file names the log; what one process wrote another one reads; a watcher is called back."""
    with instance:
        assert isinstance(instance.event_log_storage, QuickEventLog)
        heard: list[str] = []
        run = dg.materialize([one], instance=instance)
        instance.watch_event_logs(run.run_id, None, lambda event, cursor: heard.append(event.message))
        for _ in range(100):
            if any("Finished execution of run" in text for text in heard):
                break
            time.sleep(0.1)
        instance.end_watch_event_logs(run.run_id, lambda event, cursor: None)
        assert any("Finished execution of run" in text for text in heard)
        ask = "i.get_latest_materialization_event(dg.AssetKey('one')).run_id"
        script = f"import dagster as dg; i = dg.DagsterInstance.get(); print({ask})"
        environment = {"DAGSTER_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
        told = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script],
            capture_output=True,
            text=True,
            env=environment,
            cwd=ROOT,
            check=True,
        )
        assert told.stdout.strip() == run.run_id


def test_the_definitions_load_as_a_code_location() -> None:
    """Every job, asset, sensor and schedule together: names are unique, nothing is missing."""
    from marketbot_assets.definitions import defs

    dg.Definitions.validate_loadable(defs)
