"""Anchors from their one-line specs, as the mandate names them. Nothing is connected to here.

file:/absolute/folder
s3://bucket/prefix?mode=COMPLIANCE&days=N     mode GOVERNANCE or COMPLIANCE; without the query the bucket's default holds
witness:http://host:port#VKEY
"""

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from marketbot_resources.anchors.file import FileAnchor
from marketbot_resources.anchors.port import Anchor
from marketbot_resources.anchors.s3 import Retention, S3Anchor
from marketbot_resources.anchors.witness import WitnessAnchor
from marketbot_resources.clock import machine_now
from marketbot_resources.errors import LedgerError, MandateError
from marketbot_resources.ledger.note import COSIGNATURE_V1, parse_verify_key

FORMS = "file:/folder, s3://bucket/prefix?mode=COMPLIANCE&days=N or witness:http://host:port#VKEY"
MODES, DAYS_MAX = ("COMPLIANCE", "GOVERNANCE"), 36_500
_BUCKET, _PREFIX = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"), re.compile(r"[A-Za-z0-9._/-]*")


def open_anchors(specs: Sequence[str]) -> list[Anchor]:
    """The places outside of the home that keep signed heads. Raises MandateError for a spec that names none."""
    return [open_anchor(spec) for spec in specs]


def open_anchor(spec: str) -> Anchor:
    """The anchor of a spec. Raises MandateError with one line for a spec that is none."""
    if spec.startswith("file:"):
        return _file(spec)
    if spec.startswith("s3://"):
        return _s3(spec)
    if spec.startswith("witness:"):
        return _witness(spec)
    raise MandateError(f"anchor: expected {FORMS}, found {spec[:80]!r}")


def _file(spec: str) -> Anchor:
    path = spec.removeprefix("file:")
    if not path.startswith("/") or path.startswith("//") or ".." in path.split("/") or not path.isprintable():
        raise MandateError(f"anchor: expected file:/absolute/folder, found {spec[:80]!r}")
    return FileAnchor(Path(path))


def _s3(spec: str) -> Anchor:
    parts = urlsplit(spec)
    prefix = parts.path.removeprefix("/")
    if not _BUCKET.fullmatch(parts.netloc) or not _PREFIX.fullmatch(prefix) or parts.fragment:
        raise MandateError(f"anchor: expected s3://bucket/prefix?mode=COMPLIANCE&days=N, found {spec[:80]!r}")
    if importlib.util.find_spec("boto3") is None:
        raise MandateError("anchor: expected boto3 for an s3 anchor, found none; install the extra s3: marketbot[s3]")
    folder = f"{prefix.rstrip('/')}/" if prefix else ""
    return S3Anchor(parts.netloc, folder, _retention(spec, parts.query), machine_now)


def _retention(spec: str, query: str) -> Retention | None:
    if not query:
        return None
    pairs = parse_qsl(query, keep_blank_values=True)
    found = dict(pairs)
    mode, days = found.get("mode", ""), found.get("days", "")
    whole = days.isascii() and days.isdigit() and 1 <= int(days[:6]) <= DAYS_MAX
    if len(pairs) != 2 or set(found) != {"mode", "days"} or mode not in MODES or not whole:
        raise MandateError(f"anchor: expected mode={' or '.join(MODES)} and days=1 to {DAYS_MAX}, found {spec[:120]!r}")
    return Retention(mode, int(days))


def _witness(spec: str) -> Anchor:
    url, mark, vkey = spec.removeprefix("witness:").partition("#")
    try:
        parts = urlsplit(url)
        good = bool(mark and parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) > 0)
        key = parse_verify_key(vkey)
    except (LedgerError, ValueError) as error:
        raise MandateError(f"anchor: expected witness:http://host:port#VKEY, found {url[:80]!r}: {error}") from error
    if not good or parts.query or parts.username is not None or not url.isprintable() or " " in url:
        raise MandateError(f"anchor: expected witness:http://host:port#VKEY, found {parts.hostname or url[:80]!r}")
    if key.kind != COSIGNATURE_V1:
        raise MandateError(f"anchor: expected the key of a witness, found that of a log: {key.name}")
    return WitnessAnchor(url, key)
