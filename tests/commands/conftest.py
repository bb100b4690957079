"""The home of two sessions that the tests of the viewing commands share, and the command line in this process."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from shared_homes import home_of, one_thread
from views_world import FIRST, LAST, Command, Said

from marketbot_assets.cli import main


@pytest.fixture(scope="session", autouse=True)
def single_thread() -> Iterator[None]:
    """See `one_thread`."""
    with one_thread():
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two finished sessions; tests that change it take a copy."""
    return home_of(tmp_path_factory, FIRST, LAST)


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
