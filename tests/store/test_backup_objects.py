"""A backup of a home whose objects lie in a bucket names them, says so, and is restored only where every one of them is."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from s3_world import Door, seaweed
from services import S3
from small_home import BODIES, VERSIONS, files, filled, forget

from marketbot_assets.commands.backup import backup_lines, restore
from marketbot_assets.commands.backup_files import write_sums
from marketbot_assets.commands.backup_objects import refuse_without_objects, store_note
from marketbot_resources.errors import UsageError
from marketbot_resources.store.opening import open_objects

NAMED = 2 * VERSIONS + BODIES


class Bucket:
    """A home's objects in a bucket that MARKETBOT_STORE names, and a backup's home without them."""

    def __init__(self, door: Door, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.client, self.bucket, self.patch = door.client, door.bucket(), patch
        self.home, self.backup = folder / "first", folder / "backup"
        self.copy = self.backup / "home"
        lake = filled(self.home)
        self.bodies = {key: path.read_bytes() for key, path in files(self.home).items()}
        for key, body in self.bodies.items():
            self.client.put_object(Bucket=self.bucket, Key=f"mine/{key}", Body=body)
        lake.index.close()
        self.copy.mkdir(parents=True)
        for name in ("ledger.sqlite", "index.sqlite"):
            shutil.copyfile(self.home / name, self.copy / name)
        self.address = f"s3://{self.bucket}/mine"
        patch.setenv("MARKETBOT_STORE", self.address)

    def lose(self, *keys: str) -> None:
        for key in keys:
            self.client.delete_object(Bucket=self.bucket, Key=f"mine/{key}")

    def note(self) -> dict[str, object]:
        return store_note(self.copy, open_objects(self.home, read_only=True))


@pytest.fixture
def place(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    door = seaweed(s3)
    door.use(monkeypatch)
    monkeypatch.delenv("MARKETBOT_STORE", raising=False)
    monkeypatch.setenv("MARKETBOT_HOME", str(tmp_path / "new"))
    monkeypatch.setenv("MARKETBOT_SIGNER", str(tmp_path / "signer"))
    yield Bucket(door, tmp_path, monkeypatch)
    forget()


def told(note: dict[str, object], problem: str = "") -> str:
    """What `backup` prints of it."""
    view = {"files": 3, "folder": "F", "ledger": {"size": 1, "root": "r"}, "store": note, "problem": problem}
    return "\n".join(backup_lines(view))


def test_a_backup_tells_that_the_objects_are_elsewhere(place: Bucket) -> None:
    """Loudly, with how many, where, and what to do; not of a backup that holds them."""
    note = place.note()
    assert note == {"place": place.address, "named": NAMED, "in_it": False, "missing_there": [], "gone": 0}
    assert f"THE STORE'S OBJECTS ARE NOT IN IT: {NAMED} are named and lie in {place.address} alone" in told(note)
    shutil.copytree(place.home / "store", place.copy / "store")
    assert place.note()["in_it"] is True
    assert "NOT IN IT" not in told(place.note())
    next(iter(files(place.copy).values())).unlink()
    assert place.note()["in_it"] is False  # an old folder of them that lacks one is none


def test_what_the_bucket_lacks_is_named(place: Bucket) -> None:
    lost = sorted(place.bodies)[3]
    place.lose(lost)
    assert (place.note()["gone"], place.note()["missing_there"]) == (1, [lost])


def whole(place: Bucket, note: dict[str, object]) -> None:
    """Makes a backup of the folder, as `backup` leaves it."""
    head = {"size": 0, "root": "r"}
    told = {"format": 1, "made_at": "t", "ledger": head, "halted": "", "store": note}
    (place.backup / "backup.json").write_text(json.dumps(told), encoding="utf-8")
    write_sums(place.backup)


def test_nothing_is_restored_beside_a_bucket_that_lacks_objects(place: Bucket, tmp_path: Path) -> None:
    """Refused with the names before anything is written; with the objects back it goes on, halted."""
    whole(place, place.note())
    lost = sorted(place.bodies)[1:3]
    place.lose(*lost)
    with pytest.raises(UsageError) as refused:
        restore(str(place.backup))
    said = str(refused.value)
    assert f"expected {NAMED} objects in {place.address}, found 2 of them missing" in said
    assert all(key in said for key in lost)
    assert not list((tmp_path / "new").iterdir())
    for key in lost:
        place.client.put_object(Bucket=place.bucket, Key=f"mine/{key}", Body=place.bodies[key])
    view = restore(str(place.backup))
    assert view["objects"] == place.address
    assert {path.name for path in (tmp_path / "new").iterdir()} >= {"HALT", "index.sqlite", "ledger.sqlite"}


def test_a_backup_without_objects_asks_for_their_bucket(place: Bucket) -> None:
    """Also one with an old folder of them."""
    note = {"store": place.note()}
    place.patch.delenv("MARKETBOT_STORE")
    for _ in range(2):
        with pytest.raises(UsageError, match=f"expected MARKETBOT_STORE, because the {NAMED} objects of this backup"):
            refuse_without_objects(place.copy, note)
        shutil.copytree(place.home / "store", place.copy / "store", dirs_exist_ok=True)
    assert refuse_without_objects(place.copy, {}) == "the backup"  # of before notes said anything
    assert refuse_without_objects(place.copy, {"store": {**place.note(), "in_it": True}}) == "the backup"


def test_a_backup_that_holds_them_tells_how_to_fill_an_empty_bucket(place: Bucket) -> None:
    """From files into a new bucket."""
    place.lose(*place.bodies)
    shutil.copytree(place.home / "store", place.copy / "store")
    with pytest.raises(UsageError, match="restore without MARKETBOT_STORE, then marketbot store copy"):
        refuse_without_objects(place.copy, {})
