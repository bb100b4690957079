"""The home of two sessions that the tests of the viewing commands share, and the command line in this process."""

import shutil
import sys
from pathlib import Path

import dagster as dg
import pytest
from views_world import FIRST, LAST, QUIET, Command, Said

from marketbot_assets.cli import main
from marketbot_assets.definitions import build_definitions


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two finished sessions; tests that change it take a copy."""
    home = tmp_path_factory.mktemp("views") / "home"
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        patch.setenv("MARKETBOT_HOME", str(home))
        job = build_definitions().resolve_job_def("daily")
        for session in (FIRST, LAST):
            assert job.execute_in_process(partition_key=session, instance=instance, run_config=QUIET).success
    return home


@pytest.fixture
def home(finished: Path, tmp_path: Path) -> Path:
    """A copy, to be disturbed."""
    shutil.copytree(finished, tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def marketbot(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command line in this process: `marketbot(home, "status", "--json")`."""

    def call(home: Path, *arguments: str) -> Said:
        monkeypatch.setenv("MARKETBOT_HOME", str(home))
        monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))
        monkeypatch.setattr(sys, "argv", ["marketbot", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        return Said(int(ended.value.code or 0), told.out, told.err)

    return call
