"""The data stages as a whole, and what the commands refuse before anything is written."""

import sqlite3
from pathlib import Path

import pytest
from graph_world import FIRST, NEXT, ROOT, EditedPorts, Home, command

from marketbot_resources.store.lake import Lake

pytestmark = pytest.mark.graph


def test_a_manifest_names_what_was_read(base: Home) -> None:
    """From prices one walks to the raw bytes by hash."""
    lake = base.lake
    row = lake.index.newest("prices", FIRST)
    assert row is not None
    inputs = {(i["asset"], i["partition"]): i["file_sha256"] for i in lake.manifest(row)["inputs"]}  # type: ignore[index, union-attr]
    raw = lake.index.by_file("raw_prices", FIRST, inputs["raw_prices", FIRST])
    assert raw is not None
    (blob,) = lake.manifest(raw)["blobs"]  # type: ignore[misc]
    assert b"US-AAPL" in lake.objects.get_blob(str(blob))
    assert set(lake.load(raw)["blob_sha256"]) == {blob}


def test_a_bad_tick_is_quarantined_not_edited(home: Home) -> None:
    """A close ten times too high stays as received, flagged in `prices` and in `data_quality`."""
    assert home.run(
        NEXT, {"ports": EditedPorts(kind="prices", edits=[["US-PFE", NEXT, "close", "353.26"]])}, job="data"
    )
    bars = home.frame("prices", NEXT)
    assert bars.loc[bars["quarantine"], "close"].tolist() == [353.26]
    quality = home.frame("data_quality", NEXT)
    assert "closes_move_plausibly" in set(quality.loc[quality["outcome"] == "quarantine", "rule"])


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
    connection.execute("update entry set record = x'7b7d'")
    connection.commit()
    connection.close()
    result = command(home, "doctor")
    assert result.returncode == 1
    assert "LEAF" in result.stdout
