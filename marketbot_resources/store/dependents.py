"""What was made from an object or a body as received, directly or through others: the chain walked from its other end.

Only manifests say it, so the manifest of every version that is younger than the start is read, superseded ones included. One
pass is enough: a step reads what is indexed, so a version stands in the index after everything that it was made from.
Lineage is by object: whoever read an object may have used any row of it, so the answer is an upper bound. Not here: what an
object was made from (`closure`), what the answer means for orders and money.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from marketbot_resources.errors import StoreError
from marketbot_resources.store.index import STATIC, IndexRow
from marketbot_resources.store.lake import Lake, manifest_key

AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Dependents:
    """Versions that used the starts: unpartitioned ones first, then by session, within it as the graph makes them.

    `unreadable`: versions whose manifest is missing or altered; what they used is not known.
    """

    rows: tuple[IndexRow, ...]
    unreadable: tuple[IndexRow, ...]


def dependents(lake: Lake, starts: Iterable[str]) -> list[IndexRow]:
    """Every version made from one of `starts` (hashes of manifests or of bodies as received), the starts themselves left out.

    Sorted as `Dependents` says. Versions with an unreadable manifest are left out.
    """
    return list(all_dependents(lake, starts).rows)


def all_dependents(lake: Lake, starts: Iterable[str]) -> Dependents:
    """The same, and the versions of which nothing can be said."""
    wanted = frozenset(starts)
    depth, found, unreadable = dict.fromkeys(wanted, 0), dict[str, IndexRow](), dict[str, IndexRow]()
    rows = _younger(lake, wanted)
    for number, row in enumerate(rows):
        name = row.manifest_sha256
        if number % AT_ONCE == 0:
            near = rows[number : number + AT_ONCE]
            lake.objects.ahead([(manifest_key(r.asset, r.part, r.manifest_sha256), r.manifest_sha256) for r in near])
        try:
            sources = _sources(lake, row)
        except StoreError:
            unreadable[name] = row
            continue
        steps = [depth[source] for source in depth.keys() & sources]
        if steps and name not in wanted:
            depth[name], found[name] = 1 + max(steps), row
    ordered = sorted(found.values(), key=lambda row: (*_session(row), depth[row.manifest_sha256], row.asset))
    return Dependents(tuple(ordered), tuple(unreadable.values()))


def _sources(lake: Lake, row: IndexRow) -> set[str]:
    manifest = lake.manifest(row)
    inputs = cast("Sequence[Mapping[str, str]]", manifest["inputs"])
    return {item["manifest_sha256"] for item in inputs} | set(cast("Sequence[str]", manifest["blobs"]))


def _younger(lake: Lake, wanted: frozenset[str]) -> list[IndexRow]:
    """Rows of the index from the first on that is a start or received one; all of them when a start is unknown."""
    rows = [row for _, row in lake.index.numbered()]
    bodies = [blob for _, blob in lake.index.numbered_blobs() if blob.blob_sha256 in wanted]
    known = {row.manifest_sha256 for row in rows} | {blob.blob_sha256 for blob in bodies}
    received = {(blob.asset, blob.part) for blob in bodies}
    first = (n for n, row in enumerate(rows) if row.manifest_sha256 in wanted or (row.asset, row.part) in received)
    return rows[next(first, 0) :] if wanted <= known else rows


def _session(row: IndexRow) -> tuple[bool, str]:
    return (row.part != STATIC, row.part)
