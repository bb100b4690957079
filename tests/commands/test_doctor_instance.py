"""`doctor` tells of a `dagster.yaml` of before: what it lacks, and which file to copy; an operator's own choices are left alone."""

import shutil
from pathlib import Path

import pytest
import yaml

from marketbot_assets.commands.doctor_instance import instance_finding

ROOT = Path(__file__).parents[2]
BEFORE = """
telemetry: {enabled: false}
nux: {enabled: false}
concurrency: {runs: {max_concurrent_runs: 1}}
run_monitoring: {enabled: true, start_timeout_seconds: 300, max_runtime_seconds: 7200, free_slots_after_run_end_seconds: 10}
run_retries: {enabled: true, max_retries: 0}
event_log_storage: {module: marketbot_resources.event_log, class: QuickEventLog, config: {}}
"""
LACKS = (
    "run_queue",
    "run_monitoring.poll_interval_seconds",
    "run_retries.retry_on_asset_or_op_failure",
    "run_launcher",
)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return tmp_path / "dagster.yaml"


@pytest.mark.parametrize("shipped", ["dagster_home/dagster.yaml", "deploy/dagster.postgres.yaml"])
def test_what_is_shipped_is_good(file: Path, shipped: str) -> None:
    """Files and PostgreSQL."""
    shutil.copyfile(ROOT / shipped, file)
    assert instance_finding().good


@pytest.mark.parametrize(
    ("storage", "source"),
    [("", "dagster_home/dagster.yaml"), ("storage: {postgres: {}}\n", "deploy/dagster.postgres.yaml")],
)
def test_an_older_file_is_told_with_what_it_lacks(file: Path, storage: str, source: str) -> None:
    """As the first releases wrote it into each home: Dagster's own launcher would be used."""
    file.write_text(BEFORE + storage, encoding="utf-8")
    found = instance_finding()
    assert not found.good
    assert found.found == f"{file} is of an older version: it lacks {', '.join(LACKS)}"
    assert str(ROOT / source) in found.mend


def test_choices_are_left_alone(file: Path) -> None:
    """Another launcher, other times, more keys."""
    own = yaml.safe_load((ROOT / "dagster_home" / "dagster.yaml").read_text(encoding="utf-8"))
    own["run_launcher"] = {"module": "dagster_aws.ecs", "class": "EcsRunLauncher"}
    own["run_monitoring"]["poll_interval_seconds"] = 5
    own["sensors"] = {"use_threads": True}
    file.write_text(yaml.safe_dump(own), encoding="utf-8")
    assert instance_finding().good


@pytest.mark.parametrize("text", ["run_queue: [", "- a", ""])
def test_a_file_that_says_nothing_is_told(file: Path, text: str) -> None:
    """No YAML, a list, nothing."""
    file.write_text(text, encoding="utf-8")
    assert not instance_finding().good


def test_an_instance_without_the_file_and_no_instance(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first command writes the file; without an instance nothing is kept."""
    assert instance_finding().good
    monkeypatch.delenv("DAGSTER_HOME")
    assert not instance_finding().good
