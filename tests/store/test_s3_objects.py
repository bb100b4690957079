"""What only a bucket needs: the cache, repeated requests, unknown outcomes, errors of one line, Object Lock."""

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from s3_world import HASTY, QUICK, Door, FaultProxy, Request, objects, seaweed
from services import S3

from marketbot_assets.commands.doctor import _store
from marketbot_resources.errors import HomeError, MissingObject, StoreError
from marketbot_resources.store.cache import FileCache
from marketbot_resources.store.opening import open_place
from marketbot_resources.store.s3_client import S3Client
from marketbot_resources.store.s3_objects import THREADS, S3Objects

DATA = b"an object " * 1_000
NAME = hashlib.sha256(DATA).hexdigest()
KEY = f"a/{NAME}.parquet"


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def door(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Door:
    found = seaweed(s3)
    found.use(monkeypatch)
    return found


@pytest.fixture(scope="module")
def proxy(s3: S3) -> Iterator[FaultProxy]:
    with FaultProxy(s3.endpoint) as running:
        yield running


@pytest.fixture(scope="module")
def asked(s3: S3, proxy: FaultProxy) -> S3Client:
    """One client through the proxy for the whole file."""
    with pytest.MonkeyPatch.context() as patch:
        seaweed(s3).use(patch, proxy.endpoint)
        client = S3Client("s3://test", THREADS, QUICK)
        client.ask("connect", lambda _: None)
    return client


@pytest.fixture
def through(door: Door, proxy: FaultProxy, asked: S3Client) -> Callable[..., S3Objects]:
    """The adapter behind the proxy, on a new bucket; without trouble at first."""
    proxy.trouble = lambda _: ""
    bucket = door.bucket()
    return lambda cache=None, **more: objects(bucket, cache, client=asked, **more)


def nth(trouble: str, first: int, times: int = 1) -> Callable[[Request], str]:
    """A trouble for some requests from now on, the `first` and those after it."""
    seen = 0

    def what(_: Request) -> str:
        nonlocal seen
        seen += 1
        return trouble if first <= seen < first + times else ""

    return what


# --- the cache --------------------------------------------------------------------------------------------------------


def test_what_was_put_or_read_is_not_asked_for_again(
    through: Callable[..., S3Objects], proxy: FaultProxy, tmp_path: Path
) -> None:
    """One request for a put, none for reads after it; another cache costs one request, once."""
    first = through(tmp_path / "one")
    before = len(proxy.requests)
    first.put(KEY, DATA)
    assert [first.get(KEY, NAME) for _ in range(3)] == [DATA] * 3
    assert len(proxy.requests) == before + 1
    second = through(tmp_path / "two")
    assert [second.get(KEY, NAME) for _ in range(3)] == [DATA] * 3
    assert len(proxy.requests) == before + 2


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: b"", lambda data: data[:-1] + b"x"])
def test_a_torn_or_changed_copy_is_fetched_again(
    through: Callable[..., S3Objects], tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    """A copy is never believed; the bucket mends it."""
    place = through(tmp_path)
    place.put(KEY, DATA)
    (copy,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    copy.write_bytes(change(DATA))
    assert place.get(KEY, NAME) == DATA
    assert copy.read_bytes() == DATA


def test_past_the_cache_the_bucket_itself_is_read(
    through: Callable[..., S3Objects], door: Door, tmp_path: Path
) -> None:
    """What checks the store must not be answered by a copy."""
    place = through(tmp_path)
    place.put(KEY, DATA)
    bucket = place.name.removeprefix("s3://").partition("/")[0]
    door.client.delete_object(Bucket=bucket, Key=f"home/{KEY}")
    assert place.get(KEY, NAME) == DATA
    with pytest.raises(MissingObject, match="found no object"):
        place.at_source().get(KEY, NAME)


def test_a_cache_keeps_its_bound_and_the_last_read(tmp_path: Path) -> None:
    """Ten copies where five fit: at most the bound is kept, what was read last is among it."""
    cache = FileCache(tmp_path, 5_000)
    names = [sha(bytes([n])) for n in range(10)]
    for number, name in enumerate(names):
        cache.write(name, bytes(1_000))
        time.sleep(0.005)
        assert cache.read(names[0]) is not None, number
    copies, held = cache.size()
    assert held == sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert 3_000 <= held <= 5_000
    assert [cache.has(name) for name in names[:3]] == [True, False, False]
    assert cache.has(names[-1])
    cache.write(names[1], bytes(5_001))
    assert not cache.has(names[1])
    assert copies == held // 1_000


def test_a_cache_that_may_not_be_written_stays_as_it_is(tmp_path: Path) -> None:
    """A home that is only read: copies are used, none is made or dropped."""
    FileCache(tmp_path, 5_000).write(NAME, b"one")
    cache = FileCache(tmp_path, 5_000, writable=False)
    cache.write(sha(b"two"), b"two")
    cache.drop(NAME)
    assert (cache.read(NAME), cache.read(sha(b"two")), cache.size()) == (b"one", None, (1, 3))


def test_fetching_ahead_asks_once_for_each(
    through: Callable[..., S3Objects], proxy: FaultProxy, tmp_path: Path
) -> None:
    """Thirty objects: thirty requests together, then none."""
    bodies = [f"body {n}".encode() for n in range(30)]
    writer = through()
    for body in bodies:
        writer.put(f"a/{sha(body)}", body)
    place = through(tmp_path)
    before = len(proxy.requests)
    place.ahead([(f"a/{sha(body)}", sha(body)) for body in bodies])
    assert [place.get(f"a/{sha(body)}", sha(body)) for body in bodies] == bodies
    assert len(proxy.requests) == before + len(bodies)


# --- troubles ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", ["503", "500", "cut", "lost", "torn", "slow"])
def test_one_trouble_is_got_over(through: Callable[..., S3Objects], proxy: FaultProxy, trouble: str) -> None:
    """A put and a get that meet a passing trouble once end well, also when the put was stored and nobody heard of it."""
    place = through()
    proxy.trouble = nth(trouble, 1)
    place.put(KEY, DATA)
    proxy.trouble = nth(trouble, 1)
    assert place.get(KEY, NAME) == DATA
    proxy.trouble = lambda _: ""
    assert list(place.listing()) == [(KEY, len(DATA))]


def test_bytes_that_a_line_garbled_are_asked_for_again(through: Callable[..., S3Objects], proxy: FaultProxy) -> None:
    """Wrong once: asked again. Wrong again: altered."""
    place = through()
    place.put(KEY, DATA)
    proxy.trouble = nth("wrong", 1)
    assert place.get(KEY, NAME) == DATA
    proxy.trouble = nth("wrong", 1, 2)
    with pytest.raises(StoreError, match="altered"):
        place.get(KEY, NAME)


@pytest.mark.parametrize(
    ("trouble", "said"),
    [("503", "SlowDown: "), ("500", "InternalError: "), ("cut", "onnection")],
)
def test_a_lasting_trouble_is_one_line_in_bounded_time(
    through: Callable[..., S3Objects], proxy: FaultProxy, door: Door, trouble: str, said: str
) -> None:
    """HomeError, after as many attempts as were promised; never a StoreError, which would mean that evidence is gone."""
    place = through()
    proxy.trouble, before = lambda _: trouble, len(proxy.requests)
    for act in (lambda: place.put(KEY, DATA), lambda: place.get(KEY, NAME), lambda: list(place.listing())):
        with pytest.raises(HomeError, match=said) as told:
            act()
        text = str(told.value)
        assert "\n" not in text
        assert not any(secret in text for secret in (door.secret, door.access_key))
        assert text.endswith(f"(asked {QUICK.attempts} times)")
    assert len(proxy.requests) == before + 3 * QUICK.attempts


def test_a_store_that_is_silent_is_not_waited_for_longer_than_said(
    door: Door, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No answer at all: the time limit of a request, as often as it is asked."""
    door.use(monkeypatch, proxy.endpoint)
    place, before = objects(door.bucket(), patience=HASTY), len(proxy.requests)
    proxy.trouble = lambda _: "hang"
    with pytest.raises(HomeError, match=r"imed? ?out.* \(asked 3 times\)$"):
        place.put(KEY, DATA)
    proxy.trouble = lambda _: ""
    assert len(proxy.requests) == before + HASTY.attempts
    place.put(KEY, DATA)


def test_what_is_forbidden_is_not_asked_again(through: Callable[..., S3Objects], proxy: FaultProxy) -> None:
    """A refusal is said at once."""
    place = through()
    proxy.trouble, before = lambda _: "403", len(proxy.requests)
    with pytest.raises(HomeError, match=r"expected to put .* in s3://.*, found: AccessDenied: Access Denied$"):
        place.put(KEY, DATA)
    assert len(proxy.requests) == before + 1


def test_when_nobody_answers_a_panel_fails_once_and_not_object_by_object(
    through: Callable[..., S3Objects], proxy: FaultProxy
) -> None:
    """Fifty objects behind a dead door: the first that gives up ends it."""
    place = through()
    proxy.trouble, before = lambda _: "503", len(proxy.requests)
    with pytest.raises(HomeError, match="SlowDown"):
        place.ahead([(f"a/{sha(bytes([n]))}", sha(bytes([n]))) for n in range(50)])
    assert len(proxy.requests) - before <= 3 * THREADS * QUICK.attempts


def test_other_bytes_under_the_name_are_told_and_kept(through: Callable[..., S3Objects], door: Door) -> None:
    """Somebody put other bytes first: a put says so instead of believing the name, and changes nothing."""
    place = through()
    bucket = place.name.removeprefix("s3://").partition("/")[0]
    door.client.put_object(Bucket=bucket, Key=f"home/{KEY}", Body=b"planted")
    with pytest.raises(StoreError, match="is not what its name says"):
        place.put(KEY, DATA)
    assert place.raw(KEY) == b"planted"


@pytest.mark.parametrize("size", [2, 5])
def test_listing_goes_over_pages(through: Callable[..., S3Objects], size: int) -> None:
    """Whatever a page holds, every key once."""
    place = through(page=size)
    keys = {f"a/{n}" for n in range(5)}
    for key in keys:
        place.put(key, key.encode())
    assert sorted(place.listing()) == sorted((key, 3) for key in keys)


# --- addresses and locks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["s3:/bucket", "http://bucket/x", "s3://B/x", "s3://bucket/x?y=1", "s3://bucket/ü", "bucket", "s3://"]
)
def test_an_address_that_is_none_is_one_line(url: str, tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="MARKETBOT_STORE: expected s3://bucket/prefix, found"):
        open_place(url, tmp_path)


@pytest.mark.parametrize("given", ["", "s3://bucket", "s3://bucket/", "s3://bucket/a/b/"])
def test_an_address_names_bucket_and_folder(given: str, tmp_path: Path) -> None:
    """A slash at the end changes nothing; nothing is connected to."""
    url = given or "s3://bucket"
    assert open_place(url, tmp_path).name == url.rstrip("/")


@pytest.mark.parametrize("megabytes", ["0", "-1", "1.5", "x", "9999999"])
def test_a_cache_of_no_size_is_one_line(megabytes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKETBOT_STORE_CACHE_MB", megabytes)
    with pytest.raises(HomeError, match="MARKETBOT_STORE_CACHE_MB: expected whole megabytes"):
        open_place("s3://bucket", tmp_path)


def test_doctor_tells_whether_the_bucket_answers(
    door: Door, proxy: FaultProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing for a folder; a bucket that is there, one that is not, and one that refuses."""
    monkeypatch.setenv("MARKETBOT_HOME", str(tmp_path))
    monkeypatch.delenv("MARKETBOT_STORE", raising=False)
    assert _store() == []
    address = f"s3://{door.bucket()}/mine"
    found = []
    for url, endpoint in (
        (address, door.endpoint),
        ("s3://none-of-this-name", door.endpoint),
        (address, proxy.endpoint),
    ):
        proxy.trouble = lambda _: "403"
        door.use(monkeypatch, endpoint)
        monkeypatch.setenv("MARKETBOT_STORE", url)
        (one,) = _store()
        found.append((one.good, one.found.partition("found: ")[2].partition(":")[0]))
    assert found == [(True, ""), (False, "NoSuchBucket"), (False, "AccessDenied")]


def locked(door: Door, mode: str) -> tuple[str, S3Objects]:
    bucket = door.bucket(lock=True)
    rule = {"DefaultRetention": {"Mode": mode, "Days": 3}}
    lock = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    door.client.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=lock)
    return bucket, objects(bucket, client=door.asked())


@pytest.mark.parametrize(("mode", "bypassed"), [("GOVERNANCE", True), ("COMPLIANCE", False)])
def test_in_a_locked_bucket_puts_work_and_deletes_are_refused(door: Door, mode: str, bypassed: bool) -> None:
    """The bucket's default holds for every object. GOVERNANCE yields to its special right alone, COMPLIANCE to none."""
    bucket, place = locked(door, mode)
    place.put(KEY, DATA)
    place.put(KEY, DATA)
    assert objects(bucket, client=door.asked()).get(KEY, NAME) == DATA
    (version,) = door.client.list_object_versions(Bucket=bucket)["Versions"]
    assert door.client.get_object_retention(Bucket=bucket, Key=f"home/{KEY}")["Retention"]["Mode"] == mode
    delete: dict[str, Any] = {"Bucket": bucket, "Key": f"home/{KEY}", "VersionId": version["VersionId"]}
    with pytest.raises(door.client.exceptions.ClientError, match=r"(?i)denied|locked|worm"):
        door.client.delete_object(**delete)
    if bypassed:
        door.client.delete_object(**delete, BypassGovernanceRetention=True)
        assert list(place.listing()) == []
    else:
        with pytest.raises(door.client.exceptions.ClientError, match=r"(?i)denied|locked|worm"):
            door.client.delete_object(**delete, BypassGovernanceRetention=True)
        assert place.raw(KEY) == DATA


@pytest.mark.parametrize("hidden", ["planted", "deleted"])
def test_an_object_that_was_hidden_in_a_locked_bucket_is_noticed_and_comes_back(door: Door, hidden: str) -> None:
    """A newer version or a delete marker: reading says so; the first version, copied over it, is read again."""
    bucket, place = locked(door, "GOVERNANCE")
    place.put(KEY, DATA)
    where = {"Bucket": bucket, "Key": f"home/{KEY}"}
    (version,) = door.client.list_object_versions(Bucket=bucket)["Versions"]
    if hidden == "planted":
        door.client.put_object(**where, Body=b"planted")
    else:
        door.client.delete_object(**where)
    with pytest.raises(StoreError, match="altered" if hidden == "planted" else "found no object"):
        place.get(KEY, NAME)
    door.client.copy_object(**where, CopySource={**where, "VersionId": version["VersionId"]})
    assert place.get(KEY, NAME) == DATA
