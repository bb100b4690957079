"""The data stages as a whole, in a home of their own: same hashes anywhere, nothing twice, fail closed with the reason kept."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from marketbot_assets.definitions import build_definitions
from marketbot_resources.market.sample import SampleMarket
from marketbot_resources.provider import MarketProvider
from marketbot_resources.sessions import end_state
from marketbot_resources.store.lake import Lake
from marketbot_resources.store.resource import session_from_key
from marketbot_resources.wiring import Ports

pytestmark = pytest.mark.graph
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
ROOT = Path(__file__).parents[2]


class CorruptPorts(Ports):
    """Providers that serve a body in which one text was replaced."""

    kind: str
    old: str
    new: str

    @property
    def market(self) -> MarketProvider:
        return SampleMarket(transform=self._change)

    def _change(self, kind: str, content: bytes) -> bytes:
        return content.replace(self.old.encode(), self.new.encode(), 1) if kind == self.kind else content


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("MARKETBOT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"  # type: ignore[return-value]


def run(session: str, overrides: dict[str, dg.ConfigurableResource] | None = None) -> bool:  # type: ignore[type-arg]
    with dg.DagsterInstance.ephemeral() as instance:
        job = build_definitions(overrides).resolve_job_def("daily")
        return job.execute_in_process(
            partition_key=session, instance=instance, raise_on_error=False, run_config=QUIET
        ).success


def contents(home: Path) -> dict[tuple[str, str], str]:
    return {(row.asset, row.part): row.content_sha256 for row in Lake(home).index.all_newest()}


def test_two_homes_agree_and_a_second_run_adds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal content hashes for every asset and session in two homes; a re-run stores nothing and appends nothing."""
    seen = []
    for name in ("one", "two"):
        monkeypatch.setenv("MARKETBOT_HOME", str(tmp_path / name))
        assert run("2018-12-24")
        assert run("2018-12-26")
        seen.append(contents(tmp_path / name))
    assert seen[0] == seen[1]
    lake = Lake(tmp_path / "two")
    before = (lake.objects.count(), lake.ledger.head())
    assert run("2018-12-26")
    assert (lake.objects.count(), lake.ledger.head()) == before
    assert contents(tmp_path / "two") == seen[1]


def test_a_manifest_names_what_was_read(home: Path) -> None:
    """From prices one walks to the raw bytes by hash."""
    assert run("2018-12-24")
    lake = Lake(home)
    row = lake.index.newest("prices", "2018-12-24")
    assert row is not None
    inputs = {(i["asset"], i["partition"]): i["file_sha256"] for i in lake.manifest(row)["inputs"]}  # type: ignore[index, union-attr]
    raw = lake.index.by_file("raw_prices", "2018-12-24", inputs["raw_prices", "2018-12-24"])
    assert raw is not None
    (blob,) = lake.manifest(raw)["blobs"]  # type: ignore[misc]
    assert b"US-AAPL" in lake.objects.get_blob(str(blob))
    assert set(lake.load(raw)["blob_sha256"]) == {blob}


def test_a_table_that_breaks_its_schema_ends_the_run(home: Path) -> None:
    """A split ratio of zero passes the parser; the blocking check stops the run and the reason is kept."""
    corrupt = CorruptPorts(kind="corporate_actions", old="CASH_DIVIDEND", new="RUMOUR")
    assert not run("2018-12-24", {"ports": corrupt})
    lake = Lake(home)
    assert lake.index.newest("data_quality", "2018-12-24") is None
    end = end_state(lake.ledger, session_from_key("2018-12-24"))
    assert end is not None
    assert end.state == "failed"
    assert "corporate_action" in end.reason


def test_a_bad_tick_is_quarantined_not_edited(home: Path) -> None:
    """A close ten times too high stays as received, flagged in `prices` and in `data_quality`."""
    assert run("2018-12-24", {"ports": CorruptPorts(kind="prices", old=",35.326,", new=",353.26,")})
    lake = Lake(home)
    bars = lake.load(lake.index.newest("prices", "2018-12-24"))  # type: ignore[arg-type]
    assert bars.loc[bars["quarantine"], "close"].tolist() == [353.26]
    quality = lake.load(lake.index.newest("data_quality", "2018-12-24"))  # type: ignore[arg-type]
    assert "closes_move_plausibly" in set(quality.loc[quality["outcome"] == "quarantine", "rule"])


def test_a_session_cannot_be_skipped_on_the_replay_clock(home: Path) -> None:
    """The session after next is refused, and says which one to run first."""
    assert run("2018-12-21")
    assert not run("2018-12-26")
    end = end_state(Lake(home).ledger, session_from_key("2018-12-26"))
    assert end is not None
    assert "2018-12-24 has not been run" in end.reason


def test_an_unreadable_halt_flag_is_recorded(home: Path) -> None:
    """A halt flag that nobody can read counts as unreadable, never as off."""
    (home / "HALT").mkdir(parents=True)
    assert run("2018-12-24")
    lake = Lake(home)
    rows = lake.load(lake.index.newest("account_snapshot", "2018-12-24"))  # type: ignore[arg-type]
    assert rows.loc[rows["kind"] == "HALT_FLAG", "text"].iloc[0].startswith("unreadable")


def command(home: Path, *arguments: str, mandate: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "MARKETBOT_HOME": str(home)}
    environment |= {"MARKETBOT_MANDATE": str(mandate)} if mandate else {}
    script = [sys.executable, "-W", "ignore", "-m", "marketbot_assets.cli", *arguments]
    return subprocess.run(script, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--session", "2018-12-25"], "a day without trading"),
        (["run", "--session", "2018-02-30"], "expected a session like"),
        (["run", "--session", "2031-01-02"], "expected a session from"),
        (["backfill", "2018-12-24", "2018-12-21"], "expected a range within"),
        (["backfill", "2018-12-22", "2018-12-23"], "found none"),
        (["fly"], "No such command"),
        (["run", "--sesion", "x"], "No such option"),
    ],
)
def test_wrong_input_is_one_line_and_writes_nothing(tmp_path: Path, arguments: list[str], said: str) -> None:
    """Exit 2, one clear line, an empty home."""
    result = command(tmp_path / "home", *arguments)
    assert result.returncode == 2
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("cadence: daily", "cadenze: daily", "cadenze"),
        ("{target: 0.0475", "{target: 5", "RC-30_position"),
        ("2018-10-01", "2018-13-01", "dates"),
    ],
)
def test_a_wrong_mandate_is_one_line_and_writes_nothing(tmp_path: Path, old: str, new: str, said: str) -> None:
    """An unknown key, a cap of 5, an impossible date: exit 2 before anything is written."""
    path = tmp_path / "mandate.yaml"
    path.write_text((ROOT / "mandate.yaml").read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    result = command(tmp_path / "home", "run", "--session", "2018-12-24", mandate=path)
    assert result.returncode == 2
    assert said in result.stderr
    assert not (tmp_path / "home" / "store").exists()


def test_a_home_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """A home under a file cannot exist."""
    (tmp_path / "file").write_text("x", encoding="utf-8")
    result = command(tmp_path / "file" / "home", "run", "--session", "2018-12-24")
    assert result.returncode == 2
    assert "expected to write" in result.stderr


def test_doctor_names_a_broken_ledger_and_fails(tmp_path: Path) -> None:
    """A fresh home is fine; a ledger whose chain does not hold is exit 1."""
    home = tmp_path / "home"
    assert command(home, "doctor").returncode == 0
    lake = Lake(home)
    lake.ledger.append("fill", "f1", {"n": 1})
    connection = sqlite3.connect(home / "ledger.sqlite")
    connection.execute("drop trigger entry_keeps")
    connection.execute("update entry set body = x'7b7d'")
    connection.commit()
    connection.close()
    result = command(home, "doctor")
    assert result.returncode == 1
    assert "altered" in result.stdout
