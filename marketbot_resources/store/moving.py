"""Objects from one place to another, verified on the way: what copies a home's store to a bucket, or back.

Every object is named by its hash, so it is checked when it is read and when it is put, and a copy that was interrupted goes on
where it stood. Nothing is taken away. Not here: which place a home uses (`opening`).
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeVar

from marketbot_resources.errors import StoreError
from marketbot_resources.store.objects import BLOBS
from marketbot_resources.store.port import Objects

T = TypeVar("T")
THREADS, AT_ONCE = 8, 64


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy did. `there`: objects that lay there already and are whole; `unnamed`: keys whose name is no hash, which are
    nobody's; `faults`: what could not be copied or is not whole there, and why.
    """

    objects: int
    bytes: int
    there: int
    unnamed: tuple[str, ...]
    faults: tuple[str, ...]


def copy(source: Objects, target: Objects) -> Copied:
    """Brings to `target` every object that it lacks, and reads again what already lies there.

    Raises HomeError when a place refuses. An object that is not what its name says is a fault; of the source it is not copied.
    """
    held = {key for key, _ in target.listing()}
    listed = sorted(key for key, _ in source.listing())
    unnamed = tuple(key for key in listed if not _is_named(key))
    lacking = [key for key in listed if _is_named(key) and key not in held]
    there = [key for key in listed if _is_named(key) and key in held]
    with ThreadPoolExecutor(THREADS) as pool:
        checked = [one for keys in _some(there) for one in _each(pool, keys, target, lambda key: _checked(target, key))]
        copied = [
            one for keys in _some(lacking) for one in _each(pool, keys, source, lambda key: _moved(source, target, key))
        ]
    sizes, good = ([one for one in made if isinstance(one, int)] for made in (copied, checked))
    faults = tuple(one for one in (*checked, *copied) if isinstance(one, str))
    return Copied(len(sizes), sum(sizes), len(good), unnamed, faults)


def _each(pool: ThreadPoolExecutor, keys: Sequence[str], read: Objects, act: Callable[[str], T]) -> list[T]:
    """What `act` makes of each key, which it reads from `read`."""
    read.ahead([(key, PurePosixPath(key).stem) for key in keys])
    return list(pool.map(act, keys))


def _read(place: Objects, key: str) -> bytes | str:
    """The bytes under a key, verified, or what is wrong with them."""
    digest = PurePosixPath(key).stem
    try:
        return place.get_packed_blob(digest) if key.startswith(BLOBS) else place.get(key, digest)
    except StoreError as error:
        return f"{place.name}: {error}"


def _checked(place: Objects, key: str) -> int | str:
    data = _read(place, key)
    return data if isinstance(data, str) else len(data)


def _moved(source: Objects, target: Objects, key: str) -> int | str:
    """Bytes that were copied, or why an object could not be."""
    data = _read(source, key)
    if isinstance(data, str):
        return data
    try:
        target.put(key, data)
    except StoreError as error:
        return f"{target.name}: {error}"
    return len(data)


def _is_named(key: str) -> bool:
    digest = PurePosixPath(key).stem
    return len(digest) == 64 and set(digest) <= set("0123456789abcdef")


def _some(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    return (keys[start : start + AT_ONCE] for start in range(0, len(keys), AT_ONCE))
