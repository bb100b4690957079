"""Where a home's objects lie: `store` in the home, or the bucket that MARKETBOT_STORE names. Nothing is connected to here."""

import importlib.util
import re
from pathlib import Path
from urllib.parse import urlsplit

from marketbot_resources import settings
from marketbot_resources.errors import HomeError
from marketbot_resources.store.objects import LocalObjects
from marketbot_resources.store.port import Objects

FOLDER, CACHE = "store", "store-cache"
_BUCKET, _PREFIX = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"), re.compile(r"[A-Za-z0-9._/-]*")


def open_objects(home: Path, *, read_only: bool = False) -> Objects:
    """The objects of a home. Raises HomeError in one line. `read_only`: nothing is made, not even a copy in the cache."""
    url = settings.store_url()
    if url is not None:
        return open_place(url, home, read_only=read_only)
    try:
        if not read_only:
            (home / FOLDER).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HomeError(f"home: expected to write {home}, found: {error.strerror}") from error
    return LocalObjects(home / FOLDER)


def open_place(url: str, home: Path, *, read_only: bool = False) -> Objects:
    """The bucket of an s3:// address, with the home's cache. Raises HomeError in one line."""
    parts = urlsplit(url)
    prefix = parts.path.strip("/")
    good = parts.scheme == "s3" and _BUCKET.fullmatch(parts.netloc) and _PREFIX.fullmatch(prefix)
    if not good or parts.query or parts.fragment:
        raise HomeError(f"MARKETBOT_STORE: expected s3://bucket/prefix, found {url[:80]!r}")
    if importlib.util.find_spec("boto3") is None:
        raise HomeError("MARKETBOT_STORE: expected boto3, found none; install the extra s3: marketbot[s3]")
    from marketbot_resources.store.cache import FileCache
    from marketbot_resources.store.s3_objects import S3Objects

    cache = FileCache(home / CACHE, settings.store_cache_bytes(), writable=not read_only)
    return S3Objects(parts.netloc, f"{prefix}/" if prefix else "", cache)
