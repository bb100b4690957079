"""What was made from an object or a body as received, directly or through others: the chain walked from its other end.

Only manifests say it, so the manifest of every version that is younger than the start is read, superseded ones included.
Lineage is by object: whoever read an object may have used any row of it, so the answer is an upper bound. Not here: what an
object was made from (`closure`), what the answer means for orders and money.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from marketbot_resources.errors import StoreError
from marketbot_resources.store.index import STATIC, IndexRow
from marketbot_resources.store.lake import Lake


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
    rows, walk = _younger(lake, wanted), _Walk(lake, dict.fromkeys(wanted, 0))
    while walk.over(rows):
        pass
    found = {row.manifest_sha256: row for row in rows if walk.depth.get(row.manifest_sha256)}
    found = {name: row for name, row in found.items() if name not in wanted}
    ordered = sorted(found.values(), key=lambda row: (*_session(row), walk.depth[row.manifest_sha256], row.asset))
    return Dependents(tuple(ordered), tuple(walk.unreadable.values()))


@dataclass(slots=True)
class _Walk:
    """`depth`: hash of a manifest or body -> steps from the starts on the longest way."""

    lake: Lake
    depth: dict[str, int]
    unreadable: dict[str, IndexRow] = field(default_factory=dict)

    def over(self, rows: Sequence[IndexRow]) -> bool:
        """One pass in the order of the index; whether another one is needed.

        A version stands in the index after everything that it was made from, so one pass is enough; in an index that was
        put together in another order, a version found after one that names it asks for another pass.
        """
        named: set[str] = set()
        again = False
        for row in rows:
            sources = self._sources(row)
            deepest = max((self.depth[name] for name in self.depth.keys() & sources), default=-1)
            if deepest + 1 > self.depth.get(row.manifest_sha256, 0):
                self.depth[row.manifest_sha256] = deepest + 1
                again |= row.manifest_sha256 in named
            named |= sources
        return again

    def _sources(self, row: IndexRow) -> set[str]:
        try:
            manifest = self.lake.manifest(row)
        except StoreError:
            self.unreadable[row.manifest_sha256] = row
            return set()
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
