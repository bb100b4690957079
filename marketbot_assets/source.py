"""Our own source as evidence: every product file, its hash, and the whole as one body that the store keeps.

A decision names the hash of this body; whoever holds it can read the very code that decided, and a replay can say what has
changed since. Not here: code versions of stages (`lineage.code_of`), comparing (`audit`).
"""

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from marketbot_resources.store.lake import Lake

_ROOT = Path(__file__).parents[1]
_PACKAGES = ("marketbot_assets", "marketbot_resources")
_SUFFIXES = (".py", ".sql")


def source_files() -> dict[str, str]:
    """Path below the checkout -> text, sorted by path."""
    paths = (path for package in _PACKAGES for path in (_ROOT / package).rglob("*") if path.suffix in _SUFFIXES)
    return {path.relative_to(_ROOT).as_posix(): path.read_text(encoding="utf-8") for path in sorted(paths)}


@lru_cache(maxsize=1)
def source_body() -> tuple[str, bytes]:
    """(SHA-256, bytes) of all product files as one JSON object of path and text; taken once per process."""
    body = json.dumps(source_files(), sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    return hashlib.sha256(body).hexdigest(), body


def keep_versions(lake: "Lake") -> dict[str, str]:
    """Stores code and environment as bodies, once per version; returns the hashes by which a decision names them."""
    code, body = source_body()
    lake.objects.put_blob(body, name=code)
    environment = lake.environment_body()
    return {"code": code, "environment": lake.objects.put_blob(environment)}


def versions_now(lake: "Lake") -> dict[str, str]:
    """The same hashes of this process, without storing anything."""
    return {"code": source_body()[0], "environment": hashlib.sha256(lake.environment_body()).hexdigest()}


def files_of(body: bytes) -> dict[str, str]:
    """The inverse of `source_body`: path -> text."""
    return {str(path): str(text) for path, text in json.loads(body).items()}


def changed_files(then: dict[str, str], now: dict[str, str]) -> list[str]:
    """Paths whose text differs, that are gone or that are new, sorted."""
    return sorted(path for path in then.keys() | now.keys() if then.get(path) != now.get(path))
