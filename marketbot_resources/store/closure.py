"""What an object was made from, step by step through the manifests: the chain from an order to the bytes as received.

A version is found by its manifest, whose hash covers its object, its inputs' manifests and so everything behind it. Unless the
whole closure is asked for, an object of an earlier session is named and not followed: that session's own decision record covers
it. Not here: proofs in the ledger.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from marketbot_resources.errors import StoreError
from marketbot_resources.store.index import STATIC, IndexRow
from marketbot_resources.store.reader import Versions


@dataclass(frozen=True, slots=True)
class Link:
    """One object on the way, with what it was made from: (asset, partition) pairs and hashes of bodies as received.

    `reads`: the manifests of these inputs, in the same order; two versions of one partition differ in nothing else.
    """

    row: IndexRow
    inputs: tuple[tuple[str, str], ...]
    blobs: tuple[str, ...]
    reads: tuple[str, ...] = ()


def closure(lake: Versions, start: IndexRow, *, whole: bool = False) -> list[Link]:
    """Every object behind `start` and itself, sorted by (asset, partition). Raises StoreError when one is missing.

    `whole`: objects of earlier sessions are followed, too, back to the first bytes that the home ever received.
    """
    return closures(lake, [start], whole=whole)


def closures(lake: Versions, starts: Sequence[IndexRow], *, whole: bool = False) -> list[Link]:
    """The same behind several objects of one session, each object once."""
    own = {row.part for row in starts} | {STATIC}
    found: dict[tuple[str, str, str], Link] = {}
    waiting = {_key(row): row for row in starts}
    while waiting:
        key, row = waiting.popitem()
        if not whole and row.part not in own:
            found[key] = Link(row, (), ())
            continue
        manifest = lake.manifest(row)
        inputs = cast("Sequence[Mapping[str, str]]", manifest["inputs"])
        blobs = tuple(str(name) for name in cast("Sequence[str]", manifest["blobs"]))
        names = tuple((i["asset"], i["partition"]) for i in inputs)
        found[key] = Link(row, names, blobs, tuple(i["manifest_sha256"] for i in inputs))
        for item in inputs:
            other = (item["asset"], item["partition"], item["manifest_sha256"])
            if other not in found and other not in waiting:
                waiting[other] = _row(lake, item)
    return [found[key] for key in sorted(found)]


def _key(row: IndexRow) -> tuple[str, str, str]:
    return (row.asset, row.part, row.manifest_sha256)


def _row(lake: Versions, item: Mapping[str, str]) -> IndexRow:
    row = lake.index.by_manifest(item["asset"], item["partition"], item["manifest_sha256"])
    if row is None:
        raise StoreError(
            f"store: expected {item['asset']} {item['partition']} {item['manifest_sha256'][:12]}, found none"
        )
    return row
