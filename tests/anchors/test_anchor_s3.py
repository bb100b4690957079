"""S3 with Object Lock as an anchor, against a real store: the first version of a note is the one that is read, and it stays."""

import base64
import datetime as dt
import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from anchor_world import Log, forked, log
from services import S3

from marketbot_resources.anchors.opening import open_anchor
from marketbot_resources.anchors.s3 import Retention, S3Anchor
from marketbot_resources.errors import AnchorError, Equivocation

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)


@pytest.fixture(autouse=True)
def credentials(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret)
    monkeypatch.setenv("AWS_DEFAULT_REGION", s3.region)


@pytest.fixture
def bucket(s3: S3) -> str:
    return s3.bucket(lock=True)


@pytest.fixture
def client(s3: S3) -> Any:
    return s3.client()


def anchor(bucket: str, mode: str = "COMPLIANCE", page: int = 1_000) -> S3Anchor:
    return S3Anchor(bucket, "one/", Retention(mode, 30), lambda: NOW, page=page)


def put(where: S3Anchor, ours: Log, size: int) -> str:
    return where.publish(ours.note(size), ours.vkey, ours.prove(size))


def key(size: int) -> str:
    return f"one/checkpoint/{size:012d}.txt"


@pytest.mark.parametrize("mode", ["COMPLIANCE", "GOVERNANCE"])
def test_name_lock_and_checksum(bucket: str, client: Any, mode: str) -> None:
    """One object under its size, locked in the mode until now and so many days, with the checksum that the store verified."""
    ours = log()
    put(anchor(bucket, mode), ours, 7)
    (found,) = client.list_objects_v2(Bucket=bucket)["Contents"]
    assert found["Key"] == key(7)
    lock = client.get_object_retention(Bucket=bucket, Key=key(7))["Retention"]
    assert (lock["Mode"], lock["RetainUntilDate"]) == (mode, NOW + dt.timedelta(days=30))
    head = client.head_object(Bucket=bucket, Key=key(7), ChecksumMode="ENABLED")
    assert base64.b64decode(head["ChecksumSHA256"]) == hashlib.sha256(ours.note(7).encode()).digest()
    assert head["ContentType"] == "text/plain; charset=utf-8"


def test_a_locked_note_cannot_be_deleted(bucket: str, client: Any) -> None:
    """The store itself refuses, also for its administrator and with the bypass."""
    ours = log()
    put(anchor(bucket), ours, 7)
    (version,) = client.list_object_versions(Bucket=bucket)["Versions"]
    for bypass in (False, True):
        with pytest.raises(client.exceptions.ClientError, match=r"(?i)denied|locked|worm"):
            client.delete_object(
                Bucket=bucket, Key=key(7), VersionId=version["VersionId"], BypassGovernanceRetention=bypass
            )
    assert anchor(bucket).notes(ours.vkey) == [ours.note(7)]


def overwritten(client: Any, bucket: str, text: str) -> None:
    client.put_object(Bucket=bucket, Key=key(7), Body=text.encode())


def deleted(client: Any, bucket: str, text: str) -> None:
    client.delete_object(Bucket=bucket, Key=key(7))


def deleted_and_written(client: Any, bucket: str, text: str) -> None:
    deleted(client, bucket, text)
    overwritten(client, bucket, text)


def written_and_deleted(client: Any, bucket: str, text: str) -> None:
    overwritten(client, bucket, text)
    deleted(client, bucket, text)


@pytest.mark.parametrize("change", [overwritten, deleted, deleted_and_written, written_and_deleted])
def test_the_first_version_is_never_hidden(bucket: str, client: Any, change: Callable[[Any, str, str], None]) -> None:
    """Whatever is put over a note, in the same second, the first one is read; put again, it is what is kept."""
    ours = log()
    other = forked(ours, 2)
    kept = put(anchor(bucket), ours, 7)
    for _ in range(3):
        change(client, bucket, other.note(7))
    assert anchor(bucket).notes(ours.vkey) == [kept]
    assert put(anchor(bucket), ours, 7) == kept
    with pytest.raises(Equivocation, match="another root for 7 entries"):
        put(anchor(bucket), other, 7)
    assert anchor(bucket).notes(ours.vkey) == [kept]


def test_what_someone_else_put_first_is_said(bucket: str, client: Any) -> None:
    """A text that the log did not sign, put where a note will come: no note is hidden behind it, and the caller hears of it."""
    ours = log()
    overwritten(client, bucket, "planted")
    with pytest.raises(AnchorError, match="did not sign"):
        put(anchor(bucket), ours, 7)
    assert anchor(bucket).notes(ours.vkey) == ["planted"]


def test_listing_goes_over_pages(bucket: str, client: Any) -> None:
    """Many notes and versions, two a page: every note once, by ascending size, first versions only."""
    ours = log()
    for size in (1, 2, 3, 7, 8, 20, 33):
        put(anchor(bucket), ours, size)
    for _ in range(5):
        deleted_and_written(client, bucket, "later")
    assert anchor(bucket, page=2).notes(ours.vkey) == [ours.note(size) for size in (1, 2, 3, 7, 8, 20, 33)]


def test_prefixes_do_not_mix(bucket: str) -> None:
    """One log per prefix; other objects of the bucket are not read."""
    first, second = log(), log(origin="marketbot.test/second")
    specs = [f"s3://{bucket}/{prefix}?mode=GOVERNANCE&days=1" for prefix in ("a", "a/b", "")]
    for spec, ours in zip(specs, (first, second, first), strict=True):
        open_anchor(spec).publish(ours.note(3), ours.vkey, ours.prove(3))
    assert [open_anchor(spec).notes(first.vkey) for spec in specs] == [
        [first.note(3)],
        [second.note(3)],
        [first.note(3)],
    ]


def test_the_buckets_own_default_holds_without_a_mode(bucket: str, client: Any) -> None:
    """Without mode and days the operator's default retention locks the note."""
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 3}}
    client.put_object_lock_configuration(
        Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    ours = log()
    open_anchor(f"s3://{bucket}/one").publish(ours.note(7), ours.vkey, ours.prove(7))
    assert client.get_object_retention(Bucket=bucket, Key=key(7))["Retention"]["Mode"] == "COMPLIANCE"


def test_a_bucket_without_object_lock_is_said(s3: S3) -> None:
    """A lock that the bucket cannot give is an error, not a note without a lock."""
    ours = log()
    open_bucket = s3.bucket()
    with pytest.raises(AnchorError, match="InvalidRequest"):
        put(anchor(open_bucket), ours, 7)
    assert anchor(open_bucket).notes(ours.vkey) == []


def test_wrong_credentials_are_one_line(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's refusal is said; the secret is not."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-secret")
    with pytest.raises(AnchorError, match="expected to list notes, found: ") as said:
        anchor(bucket).notes(log().vkey)
    assert "canary" not in str(said.value)
    assert "\n" not in str(said.value)


def test_no_credentials_are_one_line(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing to sign with: said at the first use."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    with pytest.raises(AnchorError, match="credentials"):
        put(anchor(bucket), log(), 7)


def test_a_store_that_is_down_is_one_line_and_comes_back(s3: S3, bucket: str) -> None:
    """Killed: AnchorError, bounded in time. Started again: the same note goes in."""
    ours = log()
    s3.kill()
    try:
        with pytest.raises(AnchorError, match="expected to put"):
            put(anchor(bucket), ours, 7)
    finally:
        s3.start()
    assert put(anchor(bucket), ours, 7) == ours.note(7)
