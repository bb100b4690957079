"""The one-line specs of anchors: what is accepted, and one clear line for everything else."""

import sys

import pytest

from marketbot_resources.anchors.file import FileAnchor
from marketbot_resources.anchors.opening import open_anchor
from marketbot_resources.anchors.s3 import S3Anchor
from marketbot_resources.anchors.witness import WitnessAnchor
from marketbot_resources.errors import MandateError
from marketbot_resources.ledger.note import COSIGNATURE_V1, ED25519, SignKey

W = SignKey("witness.test/w1", COSIGNATURE_V1, bytes(32)).public.text
L = SignKey("marketbot.test/ledger", ED25519, bytes(32)).public.text


@pytest.mark.parametrize(
    ("spec", "kind", "name"),
    [
        ("file:/mnt/anchor", FileAnchor, "file:/mnt/anchor"),
        ("s3://my-bucket", S3Anchor, "s3://my-bucket/"),
        ("s3://my-bucket/a/b", S3Anchor, "s3://my-bucket/a/b/"),
        ("s3://my-bucket/a/?mode=COMPLIANCE&days=365", S3Anchor, "s3://my-bucket/a/?mode=COMPLIANCE&days=365"),
        ("s3://b.c/?days=1&mode=GOVERNANCE", S3Anchor, "s3://b.c/?mode=GOVERNANCE&days=1"),
        (f"witness:http://127.0.0.1:8087#{W}", WitnessAnchor, f"witness:http://127.0.0.1:8087#{W}"),
        (f"witness:https://witness.test/w1/#{W}", WitnessAnchor, f"witness:https://witness.test/w1#{W}"),
    ],
)
def test_specs(spec: str, kind: type, name: str) -> None:
    """Each form opens its anchor, under a name that opens the same one. Nothing is connected to."""
    anchor = open_anchor(spec)
    assert (type(anchor), anchor.name, open_anchor(name).name) == (kind, name, name)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("", "expected file:/folder, s3://"),
        ("ftp://x", "expected file:/folder, s3://"),
        ("/mnt/anchor", "expected file:/folder, s3://"),
        ("s3:bucket", "expected file:/folder, s3://"),
        ("file:anchor", "expected file:/absolute/folder"),
        ("file://host/anchor", "expected file:/absolute/folder"),
        ("file:/mnt/../etc", "expected file:/absolute/folder"),
        ("file:/mnt/\nx", "expected file:/absolute/folder"),
        ("s3://", "expected s3://bucket/prefix"),
        ("s3://Bucket/x", "expected s3://bucket/prefix"),
        ("s3://key:secret@bucket/x", "expected s3://bucket/prefix"),
        ("s3://bucket/a b", "expected s3://bucket/prefix"),
        ("s3://bucket/x#y", "expected s3://bucket/prefix"),
        ("s3://bucket/x?mode=COMPLIANCE", "expected mode=COMPLIANCE or GOVERNANCE and days="),
        ("s3://bucket/x?days=5", "expected mode="),
        ("s3://bucket/x?mode=compliance&days=5", "expected mode="),
        ("s3://bucket/x?mode=NONE&days=5", "expected mode="),
        ("s3://bucket/x?mode=COMPLIANCE&days=0", "expected mode="),
        ("s3://bucket/x?mode=COMPLIANCE&days=-5", "expected mode="),
        ("s3://bucket/x?mode=COMPLIANCE&days=1.5", "expected mode="),
        ("s3://bucket/x?mode=COMPLIANCE&days=36501", "expected mode="),
        ("s3://bucket/x?mode=COMPLIANCE&days=" + "9" * 5_000, "expected mode="),
        ("s3://bucket/x?mode=COMPLIANCE&days=5&more=1", "expected mode="),
        ("s3://bucket/x?mode=COMPLIANCE&days=5&days=6", "expected mode="),
        ("witness:", "expected witness:http://host:port#VKEY"),
        ("witness:http://127.0.0.1:8087", "expected witness:http://host:port#VKEY"),
        ("witness:http://127.0.0.1:8087#nonsense", "expected witness:http://host:port#VKEY"),
        (f"witness:127.0.0.1:8087#{W}", "expected witness:http://host:port#VKEY"),
        (f"witness:file:///etc#{W}", "expected witness:http://host:port#VKEY"),
        (f"witness:http://#{W}", "expected witness:http://host:port#VKEY"),
        (f"witness:http://h:99999#{W}", "expected witness:http://host:port#VKEY"),
        (f"witness:http://h:x#{W}", "expected witness:http://host:port#VKEY"),
        (f"witness:http://h/?q=1#{W}", "expected witness:http://host:port#VKEY"),
        (f"witness:http://h /#{W}", "expected witness:http://host:port#VKEY"),
        (f"witness:http://user:secret@h#{W}", "expected witness:http://host:port#VKEY, found 'h'"),
        (f"witness:http://h#{L}", "expected the key of a witness, found that of a log"),
    ],
)
def test_wrong_specs_are_one_line(spec: str, said: str) -> None:
    """A spec that is none is said before anything starts; what may be a password is not repeated."""
    with pytest.raises(MandateError) as error:
        open_anchor(spec)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert "witness" not in spec or "secret" not in str(error.value)
    assert len(str(error.value)) < 400


def test_a_missing_extra_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without boto3 an s3 anchor names the extra to install; the others open."""
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(MandateError, match=r"install the extra s3: marketbot\[s3\]"):
        open_anchor("s3://bucket/x")
    assert open_anchor("file:/mnt/anchor").name == "file:/mnt/anchor"


def test_boto3_is_loaded_at_the_first_use_only() -> None:
    """A home without an s3 anchor does not pay for it."""
    import subprocess

    script = (
        "import sys; from marketbot_resources.anchors.opening import open_anchor; "
        "open_anchor('s3://bucket/x'); open_anchor('file:/x'); print([m for m in ('boto3', 'botocore') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
