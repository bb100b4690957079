"""A home that an earlier version made is opened by this one: ledger, index, store, Dagster's home; its next session runs.

The earlier version is taken from the history of this repository, and its own code runs the first session in a process of its own.
It had no numbered migrations, no index in PostgreSQL, no launcher of its own in `dagster.yaml`.
"""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from command_world import command, keep_environment, sent_once
from graph_invariants import assert_sound
from graph_world import FIRST, ROOT, SECOND, Home
from postgres_world import closing_lakes
from services import Postgres

from marketbot_assets.cli import commands
from marketbot_resources.ledger.opening import open_ledger
from marketbot_resources.migrations.migrate import install

BEFORE = "9cf224d7540cfa40f8a655b17d716632a3a32574"
pytestmark = [pytest.mark.graph, pytest.mark.long]


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The earlier version's code."""
    packed = subprocess.run(["git", "archive", BEFORE], cwd=ROOT, capture_output=True, check=False)
    if packed.returncode != 0:
        pytest.skip(f"no history here that holds {BEFORE}")
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def earlier(before: Path, *words: str, **variables: str) -> None:
    """A module of the earlier version, in a process that imports nothing of this one."""
    kernels = {name: value for name, value in os.environ.items() if name.startswith(("OPENBLAS_", "OMP_"))}
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(before), **kernels, **variables}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", *words], cwd=before, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def asked(*words: str) -> tuple[int, dict[str, object]]:
    """A command of this version: exit code and object."""
    done = CliRunner().invoke(commands, [*words, "--json"], standalone_mode=False)
    assert done.exception is None, done.output
    return int(done.return_value or 0), json.loads(done.stdout)


@pytest.mark.parametrize("place", ["files", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_a_home_of_an_earlier_version_goes_on(
    place: str, before: Path, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes and entries stay, everything is whole, doctor names what its dagster.yaml lacks, and the next session is sent."""
    keep_environment(monkeypatch)
    home, ledger = Home(tmp_path / "home"), {}
    if place == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        name = server.database()
        earlier(before, "marketbot_resources.ledger.postgres", server.url("postgres", name))
        ledger = {"MARKETBOT_LEDGER": server.url(server.login("ledger_writer"), name)}
    earlier(before, "marketbot_assets.cli", "run", "--session", FIRST, MARKETBOT_HOME=str(home.path), **ledger)
    if place == "postgres":
        install(server.url("postgres", name))
    for variable, value in {"MARKETBOT_HOME": str(home.path), **ledger}.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("DAGSTER_HOME", str(home.path / "dagster"))
    bytes_before = hashes(home)
    with closing_lakes(home):
        size, root = open_ledger(home.path).head()
        code, told = asked("doctor")
        findings = {found["name"]: found for found in told["findings"]}  # type: ignore[attr-defined]
        bad = {name for name, found in findings.items() if not found["good"]}
        assert (code, bad) == (1, {"dagster instance"})
        assert "run_launcher" in findings["dagster instance"]["found"]
        shutil.copyfile(ROOT / "dagster_home" / "dagster.yaml", home.path / "dagster" / "dagster.yaml")
        assert asked("doctor")[0] == 0
        assert asked("verify")[0] == 0
        sent = home.at_broker()
        assert len(sent) > 3
        assert command(SECOND) == (0, "")
        assert home.end(SECOND).state == "sent"
        after = home.at_broker()
        assert {key: after[key] for key in sent} == sent
        assert sent_once(home)
        assert_sound(home)
        assert open_ledger(home.path).root(size).hex() == root
        assert asked("verify")[0] == 0
        order = next(iter(sent))
        code, why = asked("explain", order)
        assert code == 0, why
    assert bytes_before.items() <= hashes(home).items()


def hashes(home: Home) -> dict[str, str]:
    """SHA-256 of every file of the store."""
    return {name: hashlib.sha256((home.path / name).read_bytes()).hexdigest() for name in home.files()}
