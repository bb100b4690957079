"""A small home, an export and a proof of it, made once; the command line in this process."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from export_world import SESSIONS, Command, Said, World, in_home, make_world

from marketbot_assets.cli import main
from marketbot_assets.commands.export import export_audit
from marketbot_assets.commands.prove import prove


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The home that everything comes from; not to be changed."""
    home = tmp_path_factory.mktemp("world") / "home"
    with in_home(home):
        return make_world(home)


@pytest.fixture(scope="session")
def exported(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good export of all sessions; left as it was by whoever changes it."""
    folder = tmp_path_factory.mktemp("exported") / "export"
    with in_home(world.home):
        export_audit(SESSIONS[0], SESSIONS[-1], str(folder))
    return folder


@pytest.fixture(scope="session")
def proven(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good proof of the first order of the second session; left as it was by whoever changes it."""
    folder = tmp_path_factory.mktemp("proven") / "proof"
    with in_home(world.home):
        prove(world.orders[2], str(folder))
    return folder


@pytest.fixture
def marketbot(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """The command line in this process: `marketbot(home, "prove", order)`. `anchors` stand in its mandate."""

    def call(home: Path, *arguments: str, anchors: tuple[str, ...] = ()) -> Said:
        text = (Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8")
        mandate = tmp_path / "mandate.yaml"
        mandate.write_text(_with_anchors(text, anchors), encoding="utf-8")
        settings: dict[str, Any] = {
            "MARKETBOT_HOME": home,
            "DAGSTER_HOME": home / "dagster",
            "MARKETBOT_MANDATE": mandate,
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, str(value))
        monkeypatch.setattr(sys, "argv", ["marketbot", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        return Said(int(ended.value.code or 0), told.out, told.err)

    return call


def _with_anchors(text: str, anchors: tuple[str, ...]) -> str:
    lines = [line for line in text.splitlines() if not line.startswith("anchors:")]
    return "\n".join([*lines, f"anchors: [{', '.join(repr(anchor) for anchor in anchors)}]"]) + os.linesep
