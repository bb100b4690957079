"""Which versions a session's replay is about, whether each is what its name says, and what stands in for one that is not.

The decision in the ledger names the manifests of its outputs; whatever stands behind them was decided on. Not here: rebuilding
and comparing (`replay`).
"""

import heapq
import json
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

from marketbot_resources.errors import AlteredInput, StoreError
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Json
from marketbot_resources.store.index import STATIC, IndexRow
from marketbot_resources.store.reader import IndexPort

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from marketbot_resources.store.lake import Lake

T = TypeVar("T")
Manifest = Mapping[str, Json]
Name = tuple[str, str, str]
_TOLD = ("asset", "file_sha256", "content_sha256", "rows", "schema_sha256", "code_version", "run_id", "written_at")


@dataclass(frozen=True, slots=True)
class Version:
    """One version of one asset. `row` None: neither index nor store knows it any more. `listed`: the index knows it.

    `decided`: the session's decision rests on it; `later`: the decision rests on another version of the same partition.
    """

    asset: str
    part: str
    manifest_sha256: str
    row: IndexRow | None
    listed: bool
    decided: bool = False
    later: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """What is found under the names of a version: its manifest (None: altered), its table (None: unreadable), its fault or ''.

    `misled`: the index row is about something else.
    """

    manifest: Manifest | None
    table: "pa.Table | None"
    fault: str
    misled: bool = False

    def inputs(self) -> list[Mapping[str, str]]:
        """What it was made from, as its manifest says."""
        return inputs_of(self.manifest)


def inputs_of(manifest: Manifest | None) -> list[Mapping[str, str]]:
    """The versions that a manifest names; none without one."""
    return [] if manifest is None else [*cast("Sequence[Mapping[str, str]]", manifest["inputs"])]


def manifest_of(lake: "Lake", row: IndexRow) -> Manifest | None:
    """The manifest of a version; None when it is missing or altered."""
    try:
        return lake.manifest(row)
    except StoreError:
        return None


def find(lake: "Lake", asset: str, part: str, manifest_sha256: str) -> tuple[IndexRow | None, bool]:
    """(a version by its manifest, whether the index knows it); a row that the index lost is read off the manifest itself."""
    row = lake.index.by_manifest(asset, part, manifest_sha256)
    return (row, True) if row is not None else (told_row(lake, asset, part, manifest_sha256), False)


def told_row(lake: "Lake", asset: str, part: str, manifest_sha256: str) -> IndexRow | None:
    """A version's row as its manifest tells it, whatever the index says; None when the manifest is missing or altered."""
    from marketbot_resources.store.lake import manifest_key

    try:
        told = json.loads(lake.objects.get(manifest_key(asset, part, manifest_sha256), manifest_sha256))
    except StoreError:
        return None
    facts = {name: told[name] for name in _TOLD}
    uri = f"{asset}/{part}/{told['file_sha256']}.parquet"
    return IndexRow(part=part, uri=uri, bytes=0, manifest_sha256=manifest_sha256, **facts)


def versions(lake: "Lake", part: str, rank: Mapping[str, int]) -> list[Version]:
    """Every version that a session's decision rests on, and the newest of all else that the session stored, in graph order.

    Unpartitioned assets behind them are among them; objects of earlier sessions belong to those. `rank` breaks ties.
    """
    decision = lake.ledger.get("decision", part)
    named = cast("Mapping[str, str]", decision.body.get("manifests", {})) if decision is not None else {}
    newest = [(row.asset, part, row.manifest_sha256) for row in lake.index.of_part(part).values()]
    edges: dict[str, set[str]] = {}
    decided = _walk(lake, part, [(asset, part, digest) for asset, digest in named.items()], edges)
    others = _walk(lake, part, newest, edges)
    ours = {(asset, at) for asset, at, _ in decided}
    found = [_version(lake, item, decided=True, later=False) for item in decided]
    more = [item for item in others if item not in set(decided)]
    found += [_version(lake, item, decided=False, later=item[:2] in ours) for item in more]
    return _in_order(found, edges, rank)


def _walk(lake: "Lake", part: str, starts: Iterable[Name], edges: dict[str, set[str]]) -> list[Name]:
    """(asset, partition, manifest) of the starts and of everything of the session behind them; notes who reads whom."""
    found: dict[Name, None] = {}
    waiting = list(starts)
    while waiting:
        item = waiting.pop()
        if item in found:
            continue
        found[item] = None
        row, _ = find(lake, *item)
        inputs = inputs_of(manifest_of(lake, row)) if row is not None else []
        near = [(i["asset"], i["partition"], i["manifest_sha256"]) for i in inputs if i["partition"] in (part, STATIC)]
        edges[item[2]] = {digest for _, _, digest in near}
        waiting += near
    return list(found)


def _version(lake: "Lake", item: Name, *, decided: bool, later: bool) -> Version:
    row, listed = find(lake, *item)
    return Version(*item, row, listed, decided, later)


def _in_order(found: Sequence[Version], edges: Mapping[str, set[str]], rank: Mapping[str, int]) -> list[Version]:
    """Each version after those that it was made from; of several that could come next, the earlier one in the pipeline."""
    by_name = {version.manifest_sha256: version for version in found}
    left = {name: {dep for dep in edges.get(name, ()) if dep in by_name} for name in by_name}
    users: dict[str, list[str]] = {name: [] for name in by_name}
    for name, needs in left.items():
        for need in needs:
            users[need].append(name)

    def place(name: str) -> tuple[int, str, bool, str]:
        version = by_name[name]
        return rank.get(version.asset, len(rank)), version.asset, version.later, name

    ready = [place(name) for name, needs in left.items() if not needs]
    heapq.heapify(ready)
    ordered = []
    while ready:
        name = heapq.heappop(ready)[3]
        ordered.append(by_name[name])
        for user in users[name]:
            left[user].discard(name)
            if not left[user]:
                heapq.heappush(ready, place(user))
    return ordered


def check(lake: "Lake", row: IndexRow, *, listed: bool) -> Checked:
    """Reads a version, its manifest and its bodies again from the disk and compares everything with its names."""
    from marketbot_resources.store.content import content_sha256

    try:
        manifest: Manifest = lake.manifest(row)
    except StoreError as error:
        return Checked(None, None, f"its manifest is not what it was: {_short(error)}")
    table = _decoded(lake, row)
    faults = [] if listed else ["its row in the index is gone"]
    held = {name: getattr(row, name) for name in _TOLD} | {"partition": row.part}
    other = sorted(name for name, value in held.items() if manifest.get(name) != value)
    faults += [f"its row in the index is about another version: {', '.join(other)} differ"] if other else []
    try:
        lake.objects.get(row.uri, str(manifest["file_sha256"]))
    except StoreError as error:
        faults.append(f"its object is not what it was: {_short(error)}")
    if not faults and (table is None or content_sha256(table) != manifest["content_sha256"]):
        faults.append("its values do not have the content hash that its manifest names")
    for name in cast("Sequence[str]", manifest["blobs"]):
        try:
            lake.objects.check_blob(name)
        except StoreError as error:
            faults.append(f"its body as received is not what it was: {_short(error)}")
    return Checked(manifest, table, "; ".join(faults), misled=bool(other))


def _decoded(lake: "Lake", row: IndexRow) -> "pa.Table | None":
    """The table under a version's name, whatever its hash; None when there is none."""
    import pyarrow as pa

    from marketbot_resources.store.content import decode

    try:
        return decode(lake.objects.raw(row.uri), None)
    except (StoreError, pa.ArrowException, ValueError):
        return None


def _short(error: StoreError) -> str:
    return str(error).removeprefix("store: ")


class Mended:
    """The lake as it was: `mend` gives what stands in for a version that is not what its name says, or raises AlteredInput.

    `suspects`: manifests whose index row is about something else.
    """

    def __init__(self, lake: "Lake", mend: "Callable[[IndexRow], pd.DataFrame]") -> None:
        self._lake, self._mend = lake, mend
        self._found: dict[Name, IndexRow | None] = {}
        self.suspects: set[str] = set()

    @property
    def index(self) -> IndexPort:
        """Itself: a version that the index lost is still found by its manifest."""
        return self

    @property
    def ledger(self) -> Ledger:
        """The ledger of the home."""
        return self._lake.ledger

    def newest(self, asset: str, part: str) -> IndexRow | None:
        """As the index."""
        return self._lake.index.newest(asset, part)

    def up_to(self, asset: str, part: str, *, inclusive: bool = True) -> list[IndexRow]:
        """As the index."""
        return self._lake.index.up_to(asset, part, inclusive=inclusive)

    def by_manifest(self, asset: str, part: str, manifest_sha256: str) -> IndexRow | None:
        """A version by its manifest. Raises AlteredInput when nothing is left of it."""
        suspect = manifest_sha256 in self.suspects
        row = told_row(self._lake, asset, part, manifest_sha256) if suspect else self.find(asset, part, manifest_sha256)
        if row is None:
            raise AlteredInput(f"{asset} {part}")
        return row

    def find(self, asset: str, part: str, manifest_sha256: str) -> IndexRow | None:
        """A version by its manifest, asked once: a year of sessions names the same partitions in every asset."""
        name = (asset, part, manifest_sha256)
        if name not in self._found:
            self._found[name] = find(self._lake, *name)[0]
        return self._found[name]

    def ahead(self, rows: Sequence[IndexRow]) -> None:
        """As the lake."""
        self._lake.ahead(rows)

    def load(self, row: IndexRow) -> "pd.DataFrame":
        """The frame of one version as it was. Raises AlteredInput."""
        try:
            return self._lake.load(row)
        except StoreError:
            return self._mend(row)

    def manifest(self, row: IndexRow) -> dict[str, Json]:
        """The manifest of one version. Raises AlteredInput."""
        try:
            return self._lake.manifest(row)
        except StoreError as error:
            raise AlteredInput(f"{row.asset} {row.part}") from error

    def blob(self, name: str) -> bytes:
        """As the lake."""
        return self._lake.blob(name)

    def remember(self, key: Hashable, make: Callable[[], T]) -> T:
        """As the lake."""
        return self._lake.remember(key, make)
