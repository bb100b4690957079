"""Every anchor keeps the contract of the port: a folder, a real S3 store with Object Lock, a real witness."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from anchor_contract import CASES
from anchor_world import Log, WitnessProcess
from services import S3

from marketbot_resources.ledger.note import new_key


@dataclass
class Folder:
    path: Path
    keeps_all: bool = True

    @property
    def spec(self) -> str:
        return f"file:{self.path}"

    def leave(self) -> None:
        shutil.rmtree(self.path)


@dataclass
class Bucket:
    name: str
    patch: pytest.MonkeyPatch
    keeps_all: bool = True

    @property
    def spec(self) -> str:
        return f"s3://{self.name}/logs/one?mode=GOVERNANCE&days=1"

    def leave(self) -> None:
        self.patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # nobody is there


@dataclass
class Process:
    witness: WitnessProcess
    keeps_all: bool = False

    @property
    def spec(self) -> str:
        return self.witness.spec

    def leave(self) -> None:
        self.witness.kill()


def a_log() -> Log:
    return Log(new_key("marketbot.test/ledger"), 40)


@pytest.mark.parametrize("name", CASES)
def test_file(name: str, tmp_path: Path) -> None:
    """A numbered case of anchor_contract.py holds for a folder."""
    (tmp_path / "anchor").mkdir()
    CASES[name](Folder(tmp_path / "anchor"), a_log())


@pytest.fixture
def endpoint(s3: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """The environment that an operator gives for another store than Amazon's."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret)
    monkeypatch.setenv("AWS_DEFAULT_REGION", s3.region)
    return s3


@pytest.mark.parametrize("name", CASES)
def test_s3(name: str, endpoint: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """A numbered case of anchor_contract.py holds for a bucket with Object Lock."""
    CASES[name](Bucket(endpoint.bucket(lock=True), monkeypatch), a_log())


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[WitnessProcess, Log]]:
    log = a_log()
    with WitnessProcess(tmp_path / "state", log.vkey.text) as witness:
        yield witness, log


@pytest.mark.parametrize("name", CASES)
def test_witness(name: str, served: tuple[WitnessProcess, Log]) -> None:
    """A numbered case of anchor_contract.py holds for a witness process."""
    CASES[name](Process(served[0]), served[1])
