"""`store`: where objects lie, what is missing, and a move to a bucket that may be interrupted; on a home without Dagster."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from s3_world import Door, seaweed
from services import S3
from small_home import BODIES, VERSIONS, files, filled, forget

from marketbot_assets.cli import commands
from marketbot_resources.store.lake import Lake, open_lake

View = dict[str, object]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("MARKETBOT_HOME", str(tmp_path))
    monkeypatch.delenv("MARKETBOT_STORE", raising=False)
    filled(tmp_path)
    yield tmp_path
    forget()


@pytest.fixture
def door(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Door:
    found = seaweed(s3)
    found.use(monkeypatch)
    return found


def store(*words: str, code: int = 0) -> View:
    forget()
    done = CliRunner().invoke(commands, ["store", *words, "--json"], standalone_mode=False)
    assert done.exception is None, done.output
    assert done.return_value == code, done.output
    told: View = json.loads(done.output)
    return told


def test_status_counts_what_lies_there(home: Path) -> None:
    told = store("status")
    counts = {"objects": VERSIONS, "manifests": VERSIONS, "bodies": BODIES, "imports": 0}
    assert told["counts"] == counts
    assert told["bytes"] == sum(path.stat().st_size for path in files(home).values())
    assert (told["place"], told["cache"]) == (str(home / "store"), None)


def test_fsck_tells_what_is_gone_and_what_nobody_names(home: Path) -> None:
    """A missing object is a fault, a needless one is not."""
    assert store("fsck")["fine"]
    (home / "store" / "prices" / "needless.parquet").write_bytes(b"x")
    found = store("fsck")
    assert (found["missing"], found["unreferenced"]) == ([], ["prices/needless.parquet"])
    keys = sorted(files(home))
    gone = [next(key for key in keys if key.startswith(start)) for start in ("blobs/", "manifests/", "prices/2018")]
    for key in gone:
        (home / "store" / key).unlink()
    found = store("fsck", code=1)
    assert found["missing"] == sorted(gone)


def test_a_home_moves_to_a_bucket_and_back(home: Path, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every object, once; the home then reads from there, without a trace when only read; and every byte comes back."""
    address, before = f"s3://{door.bucket()}/mine", {key: path.read_bytes() for key, path in files(home).items()}
    told = store("copy", "--to", address)
    assert (told["copied"], told["already_there"], told["lacking"]) == (len(before), 0, [])
    assert told["bytes"] == sum(map(len, before.values()))
    again = store("copy", "--to", address)
    assert (again["copied"], again["already_there"]) == (0, len(before))
    for path in files(home).values():
        path.unlink()
    monkeypatch.setenv("MARKETBOT_STORE", address)
    assert store("fsck")["fine"]
    assert store("status")["place"] == address
    forget()
    only_read = Lake(home, read_only=True)
    row = only_read.index.newest("prices", "2018-01-02")
    assert row is not None
    assert only_read.load(row)["value"].tolist() == [1.0]
    assert not (home / "store-cache").exists()
    lake = open_lake(home)
    rows = lake.index.up_to("prices", "9999")
    lake.ahead(rows)
    assert [lake.load(row)["value"].tolist() for row in rows] == [[float(n)] for n in range(VERSIONS)]
    assert sum(path.is_file() for path in (home / "store-cache").rglob("*")) == VERSIONS
    store("copy", "--to", "home")
    assert {key: path.read_bytes() for key, path in files(home).items()} == before


def test_a_copy_goes_on_and_tells_what_is_not_whole(home: Path, door: Door) -> None:
    """Some objects are there, one of them with other bytes, and one of the source was altered: two faults, all else is copied."""
    bucket = door.bucket()
    keys = sorted(files(home))
    for key in keys[:5]:
        door.client.put_object(Bucket=bucket, Key=key, Body=(home / "store" / key).read_bytes())
    door.client.put_object(Bucket=bucket, Key=keys[1], Body=b"planted")
    altered = files(home)[keys[-1]]
    altered.chmod(0o644)
    altered.write_bytes(b"altered")
    told = store("copy", "--to", f"s3://{bucket}", code=1)
    faults = told["faults"]
    assert isinstance(faults, list)
    assert (told["copied"], told["already_there"], len(faults)) == (len(keys) - 6, 4, 2)
    assert told["lacking"] == [keys[-1]]
