"""Whether the objects that a backup names are where a home would look for them: in the backup itself, or in the bucket.

A home whose store is a bucket has its objects there and not in its folder; its backup names them and does not hold them. Only
names are compared, one request per thousand objects; `verify` hashes bytes. Not here: what is copied (`backup_files`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from marketbot_resources import settings
from marketbot_resources.errors import UsageError
from marketbot_resources.ledger.opening import FILE as LEDGER_FILE
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.store.index_opening import FILE as INDEX_FILE
from marketbot_resources.store.index_sqlite import SqliteIndex
from marketbot_resources.store.inspection import named_by
from marketbot_resources.store.objects import LocalObjects
from marketbot_resources.store.opening import FOLDER, open_objects
from marketbot_resources.store.port import Objects

SHOWN_MAX = 20


def named_in(copy: Path) -> set[str]:
    """Keys of every object that the index and the ledger of a backup's home name."""
    return named_by(SqliteIndex(copy / INDEX_FILE, read_only=True), SqliteLedger(copy / LEDGER_FILE, read_only=True))


def lacking(names: set[str], place: Objects) -> list[str]:
    """Which of them a place does not hold, sorted."""
    return sorted(names - {key for key, _ in place.at_source().listing()})


def held_in(copy: Path, names: set[str]) -> bool:
    """Whether a backup's own folder holds every object that it names."""
    return not lacking(names, LocalObjects(copy / FOLDER))


def refuse_without_objects(copy: Path, note: Mapping[str, object]) -> str:
    """Where the objects of a backup are, for a home that is about to be restored from it; all of them are there.

    What was gone from a home of files before its backup was made does not keep it from being restored: `verify` tells.

    Raises UsageError, before anything is written, with the names of the missing ones; HomeError when a bucket does not answer.
    """
    names, url = named_in(copy), settings.store_url()
    if url is None:
        if not names or ((copy / FOLDER).exists() and _inside(note)):
            return "the backup"
        raise UsageError(
            f"restore: expected MARKETBOT_STORE, because the {len(names)} objects of this backup lie in a bucket and not in it, "
            "found none; set it to the bucket of backup.json, or to a copy of that bucket"
        )
    place = open_objects(settings.home(), read_only=True)
    gone = lacking(names, place)
    if gone:
        whole = held_in(copy, names)
        mend = (
            "restore without MARKETBOT_STORE, then marketbot store copy --to it"
            if whole
            else "bring them back first (docs/store.md, The bucket), or name a bucket that has them"
        )
        raise UsageError(
            f"restore: expected {len(names)} objects in {place.name}, found {len(gone)} of them missing; {mend}: {few(gone)}"
        )
    return place.name


def _inside(note: Mapping[str, object]) -> bool:
    """What the backup says of itself; one of before it said anything has its objects when it has a folder of them."""
    store = note.get("store")
    return bool(store["in_it"]) if isinstance(store, Mapping) else True


def few(keys: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(keys) - SHOWN_MAX} more" if len(keys) > SHOWN_MAX else ""
    return ", ".join(keys[:SHOWN_MAX]) + more


def store_note(copy: Path, place: Objects) -> dict[str, object]:
    """What `backup.json` says of the objects. Raises HomeError when a bucket does not answer."""
    names = named_in(copy)
    inside = settings.store_url() is None or held_in(copy, names)
    gone = [] if settings.store_url() is None else lacking(names, place)
    return {
        "place": place.name,
        "named": len(names),
        "in_it": inside,
        "missing_there": gone[:SHOWN_MAX],
        "gone": len(gone),
    }
