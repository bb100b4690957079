"""What a place for objects must do, alike on a folder, on moto and on SeaweedFS."""

import gzip
import hashlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from s3_world import Door, moto, objects, seaweed
from services import S3

from marketbot_resources.errors import MissingObject, StoreError
from marketbot_resources.store.objects import LocalObjects
from marketbot_resources.store.port import Objects

MOTO = pytest.mark.long  # a server in Python costs as much as the rest of the file
KEYS, THREADS = 10, 16
ODD = ("odd/a b", "odd/ü=1", "odd/plus+percent%25", "odd/q?x&y#z", "odd/'\"();:@$,~")
LARGE = bytes(range(256)) * 4 * 20 * 1024


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Place:
    """A place with what only a test may do to it: write under a key as it likes, and take an object away."""

    def __init__(
        self, again: Callable[[], Objects], write: Callable[[str, bytes], Any], remove: Callable[[str], Any]
    ) -> None:
        self.objects, self.again, self.write, self.remove = again(), again, write, remove


def on_disk(root: Path) -> Place:
    def write(key: str, data: bytes) -> None:
        path = root / key
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    return Place(lambda: LocalObjects(root), write, lambda key: (root / key).unlink())


def in_bucket(door: Door) -> Place:
    bucket, client = door.bucket(), door.asked()
    return Place(
        lambda: objects(bucket, client=client),
        lambda key, data: door.client.put_object(Bucket=bucket, Key=f"home/{key}", Body=data),
        lambda key: door.client.delete_object(Bucket=bucket, Key=f"home/{key}"),
    )


@pytest.fixture(scope="module")
def moto_door() -> Iterator[Door]:
    with moto() as door:
        yield door


@pytest.fixture(params=["folder", pytest.param("moto", marks=MOTO), pytest.param("seaweed", marks=pytest.mark.s3)])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    if request.param == "folder":
        return on_disk(tmp_path)
    server: S3 | None = request.getfixturevalue("s3") if request.param == "seaweed" else None
    door = request.getfixturevalue("moto_door") if server is None else seaweed(server)
    door.use(monkeypatch)
    return in_bucket(door)


def test_of_many_who_put_at_once_all_see_the_same_bytes(place: Place) -> None:
    """16 threads put 10 keys: every put returns, each object is there once and whole."""
    bodies = [f"body {n}".encode() * 100 for n in range(KEYS)]
    failed: list[Exception] = []
    shared = place.again()

    def work(number: int) -> None:
        mine = shared if number % 2 else place.again()
        try:
            for body in bodies:
                mine.put(f"many/{sha(body)}", body)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert sorted(place.objects.listing()) == sorted((f"many/{sha(body)}", len(body)) for body in bodies)
    assert [place.objects.get(f"many/{sha(body)}", sha(body)) for body in bodies] == bodies


@pytest.mark.parametrize(
    "data", [b"", b"x", pytest.param(LARGE, marks=pytest.mark.long)], ids=["empty", "one", "20MiB"]
)
def test_bytes_come_back(place: Place, data: bytes) -> None:
    place.objects.put("a/one", data)
    assert place.again().get("a/one", sha(data)) == data
    assert place.again().raw("a/one") == data


def test_keys_with_odd_characters(place: Place) -> None:
    """Put, read and listed under the very same name."""
    for key in ODD:
        place.objects.put(key, key.encode())
    assert sorted(place.objects.listing("odd/")) == sorted((key, len(key.encode())) for key in ODD)
    assert [place.again().get(key, sha(key.encode())) for key in ODD] == [key.encode() for key in ODD]


def test_an_altered_object_is_refused(place: Place) -> None:
    """The bytes are hashed at each read; unverified they can be read as they are."""
    place.objects.put("a/one", b"good")
    place.write("a/one", b"evil")
    with pytest.raises(
        StoreError, match=rf"object a/one was altered: expected {sha(b'good')[:12]}, found {sha(b'evil')[:12]}"
    ):
        place.again().get("a/one", sha(b"good"))
    assert place.again().raw("a/one") == b"evil"


@pytest.mark.parametrize(
    "ask",
    [lambda o: o.get("a/none", sha(b"")), lambda o: o.raw("a/none"), lambda o: o.get_blob(sha(b""))],
    ids=["get", "raw", "blob"],
)
def test_what_is_not_there_is_said(place: Place, ask: Callable[[Objects], bytes]) -> None:
    with pytest.raises(MissingObject, match="expected"):
        ask(place.objects)


def test_a_body_comes_back_and_lies_packed(place: Place) -> None:
    """A blob is gzip of the body, under the body's hash; put twice it is one."""
    body = b"a,b\n1,2\n" * 100
    assert place.objects.put_blob(body) == place.again().put_blob(body) == sha(body)
    assert place.again().get_blob(sha(body)) == body
    assert gzip.decompress(place.again().get_packed_blob(sha(body))) == body
    assert [key for key, _ in place.objects.listing("blobs/")] == [f"blobs/{sha(body)[:2]}/{sha(body)}.gz"]


@pytest.mark.parametrize(
    "held", [b"no gzip", gzip.compress(b"another"), gzip.compress(b"body" * 99)[:-9]], ids=["plain", "other", "torn"]
)
def test_an_altered_body_is_refused(place: Place, held: bytes) -> None:
    name = place.objects.put_blob(b"body" * 99)
    place.write(f"blobs/{name[:2]}/{name}.gz", held)
    with pytest.raises(StoreError, match="blob"):
        place.again().get_blob(name)


def test_a_body_that_another_zlib_packed_is_the_same_body(place: Place) -> None:
    """What another version compressed otherwise is there already, and is left alone."""
    body = b"row\n" * 500
    other = gzip.compress(body, compresslevel=9, mtime=7)
    place.write(f"blobs/{sha(body)[:2]}/{sha(body)}.gz", other)
    assert place.objects.put_blob(body) == sha(body)
    assert place.again().get_packed_blob(sha(body)) == other


def test_listing_knows_prefixes_and_what_is_gone(place: Place) -> None:
    """Only what lies under a prefix; an object that was taken away is not there."""
    for key in ("a/1", "a/2", "ab/3", "b/a/4"):
        place.objects.put(key, key.encode())
    assert sorted(key for key, _ in place.objects.listing("a/")) == ["a/1", "a/2"]
    assert sorted(key for key, _ in place.objects.listing()) == ["a/1", "a/2", "ab/3", "b/a/4"]
    assert place.objects.count() == 4
    place.remove("a/2")
    assert sorted(key for key, _ in place.again().listing("a/")) == ["a/1"]
    with pytest.raises(MissingObject):
        place.again().get("a/2", sha(b"a/2"))
    assert list(place.objects.listing("none/")) == []


def test_fetching_ahead_changes_no_answer(place: Place) -> None:
    """Whole, altered and missing objects and bodies together: each answers as it would alone."""
    body = place.objects.put_blob(b"body")
    place.objects.put("a/good", b"good")
    place.objects.put("a/bad", b"bad")
    place.write("a/bad", b"evil")
    read = place.again().at_source()
    read.ahead(
        [("a/good", sha(b"good")), ("a/bad", sha(b"bad")), ("a/none", sha(b"")), (f"blobs/{body[:2]}/{body}.gz", body)]
    )
    assert read.get("a/good", sha(b"good")) == b"good"
    assert read.get_blob(body) == b"body"
    with pytest.raises(StoreError, match="altered"):
        read.get("a/bad", sha(b"bad"))
    with pytest.raises(MissingObject):
        read.get("a/none", sha(b""))
