"""The drill: a home is lost and put back, from yesterday's backup (F47: the signer refuses) and from the newest (it goes on)."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from graph_invariants import assert_sound
from graph_world import AFTER, FIRST, NEXT, SECOND, Home, command
from postgres_world import addresses, installed
from services import Postgres

pytestmark = [pytest.mark.graph, pytest.mark.long]


@pytest.fixture(params=["files", *(pytest.param(name, marks=pytest.mark.postgres) for name in ("postgres", "secrets"))])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> "Place":
    """Where databases lie; `secrets`: their addresses stand in a file, not in the environment."""
    server = request.getfixturevalue("postgres") if request.param != "files" else None
    return Place(server, monkeypatch, tmp_path / "secrets" if request.param == "secrets" else None)


class Place:
    """New databases on demand, which this process and its children use from then on."""

    def __init__(self, server: Postgres | None, monkeypatch: pytest.MonkeyPatch, folder: Path | None) -> None:
        self._server, self._monkeypatch, self._folder = server, monkeypatch, folder
        self.environment: dict[str, str] = {}

    def renew(self) -> None:
        if self._server is not None:
            self.environment = addresses(self._server, installed(self._server))
            if self._folder is not None:
                self._folder.mkdir(exist_ok=True)
                file = self._folder / "run.env"
                file.write_text(
                    "".join(f"{name}={value}\n" for name, value in self.environment.items()), encoding="utf-8"
                )
                file.chmod(0o600)
                self.environment = {"MARKETBOT_SECRET_FILES": str(self._folder)}
            for name, value in self.environment.items():
                self._monkeypatch.setenv(name, value)

    def ask(self, home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
        return command(home.path, *arguments, more=self.environment)


def lost(place: Place, home: Home, path: Path) -> Home:
    """Another machine: the signer's folder was kept elsewhere and is put back first; databases are new."""
    place.renew()
    new = Home(path)
    new.path.mkdir()
    shutil.copytree(home.path / "signer", new.path / "signer")
    return new


def broker_as_it_is(home: Home, new: Home) -> None:
    """The broker is outside: it knows of every order, whatever was put back here."""
    shutil.copyfile(home.path / "broker.sqlite", new.path / "broker.sqlite")


def test_the_drill(place: Place, tmp_path: Path) -> None:
    """Backups are verified copies without the signer; yesterday's sends nothing; today's goes on as if nothing had been."""
    place.renew()
    home = Home(tmp_path / "home")
    for session in (FIRST, SECOND):
        assert home.run(session)
    yesterday, today = tmp_path / "yesterday", tmp_path / "today"
    done = place.ask(home, "backup", "--to", str(yesterday))
    assert (done.returncode, "verified: the copy is whole" in done.stdout) == (0, True), done.stderr
    assert not list(yesterday.rglob("signer"))
    assert home.run(NEXT)
    assert place.ask(home, "backup", "--to", str(today), "--json").returncode == 0
    sent = home.at_broker()

    old = lost(place, home, tmp_path / "old")
    done = place.ask(old, "restore", "--from", str(yesterday))
    assert (done.returncode, "THE SIGNER REFUSES THIS LEDGER" in done.stdout) == (1, True), done.stderr
    broker_as_it_is(home, old)
    assert place.ask(old, "run", "--session", NEXT).returncode == 1  # halted by the restoration
    resumed = place.ask(old, "resume", "--reason", "did not look")
    told = place.ask(old, "run", "--session", NEXT)
    assert told.returncode == 1, (resumed.stdout, resumed.stderr, told.stdout)
    doctor = place.ask(old, "doctor")
    assert doctor.returncode == 1
    (line,) = [line for line in doctor.stdout.splitlines() if line.startswith("FIX  signer:")]
    assert "this ledger holds" in line
    assert "find the newest one" in doctor.stdout
    verified = place.ask(old, "verify", "--json")
    assert "TRUNCATED" in {fault["code"] for fault in json.loads(verified.stdout)["faults"]}
    assert old.at_broker() == sent
    assert {NEXT, AFTER} & {body["session"] for body in old.at_broker().values()} == {NEXT}

    new = lost(place, home, tmp_path / "new")
    done = place.ask(new, "restore", "--from", str(today))
    assert (done.returncode, done.stderr) == (0, "")
    broker_as_it_is(home, new)
    assert place.ask(new, "run", "--session", AFTER).returncode == 1
    assert new.at_broker() == sent
    assert place.ask(new, "verify").returncode == 0
    resumed = place.ask(new, "resume", "--reason", "looked: verify and reconcile are fine")
    assert resumed.returncode == 0, resumed.stderr
    assert "ok   signer" in place.ask(new, "doctor").stdout
    assert place.ask(new, "run", "--session", AFTER, "--json").returncode in (0, 1)
    assert_sound(new)
    again = place.ask(new, "restore", "--from", str(today))
    assert (again.returncode, "expected nothing but a signer" in again.stderr) == (2, True)
