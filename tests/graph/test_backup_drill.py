"""The drill: a home is lost and put back, from yesterday's backup (F47: the signer refuses) and from the newest (it goes on)."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from graph_invariants import assert_sound
from graph_world import AFTER, FIRST, NEXT, SECOND, Home, command
from postgres_world import addresses, installed
from s3_world import Door, seaweed
from services import Postgres

pytestmark = [pytest.mark.graph, pytest.mark.long]


ELSEWHERE = ("postgres", "secrets"), ("s3",)
PLACES = ["files", *(pytest.param(name, marks=getattr(pytest.mark, names[0])) for names in ELSEWHERE for name in names)]


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> "Place":
    """Where databases lie; `secrets`: their addresses stand in a file, not in the environment; `s3`: objects lie in a bucket."""
    found = Place(monkeypatch)
    if request.param in ELSEWHERE[0]:
        found.server = request.getfixturevalue("postgres")
    if request.param == "secrets":
        found.secrets = tmp_path / "secrets"
    if request.param == "s3":
        found.use(seaweed(request.getfixturevalue("s3")))
    return found


class Place:
    """New databases on demand, which this process and its children use from then on; a bucket outlives every home."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.server: Postgres | None = None
        self.secrets: Path | None = None
        self.bucket = ""
        self.environment: dict[str, str] = {}

    def use(self, door: Door) -> None:
        """Objects lie in a bucket of this store from here on."""
        self.bucket = door.bucket()
        self._set(door.environment() | {"MARKETBOT_STORE": f"s3://{self.bucket}/home"})

    def renew(self) -> None:
        if self.server is None:
            return
        found = addresses(self.server, installed(self.server))
        if self.secrets is not None:
            self.secrets.mkdir(exist_ok=True)
            file = self.secrets / "run.env"
            file.write_text("".join(f"{name}={value}\n" for name, value in found.items()), encoding="utf-8")
            file.chmod(0o600)
            found = {"MARKETBOT_SECRET_FILES": str(self.secrets)}
        self._set(found)

    def _set(self, variables: dict[str, str]) -> None:
        self.environment |= variables
        for name, value in variables.items():
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
    assert ("THE STORE'S OBJECTS ARE NOT IN IT" in done.stdout) == bool(place.bucket)
    assert (yesterday / "home" / "store").exists() == (not place.bucket)
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
