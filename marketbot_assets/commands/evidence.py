"""Everything behind a session's decision, read again and re-hashed, and the tree that leads one order down to the bytes.

What stands behind the decision is gathered once per session; the tree of an order adds its intent, its batch and its own
rows. Not here: how a tree is built from links (`evidence_tree`), how it looks (`evidence_text`, `audit.dossier`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from marketbot_assets.commands.evidence_tree import ENTRY, FACT, ORDER, Facts, Node, object_nodes, with_rows
from marketbot_resources.errors import StoreError
from marketbot_resources.ledger import merkle
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Entry, record_bytes, record_leaf
from marketbot_resources.store.closure import Link, closures

if TYPE_CHECKING:
    from marketbot_resources.store.index import BlobRow, IndexRow
    from marketbot_resources.store.lake import Lake

MANDATE = "mandate"


@dataclass(frozen=True, slots=True)
class Evidence:
    """The objects and bodies behind one session's decision, each read again.

    `nodes`: the tree below the decision's entry, without any order's own rows. `faults`: hash of a manifest or body -> what
    is wrong.
    """

    part: str
    links: tuple[Link, ...]
    faults: Mapping[str, str]
    nodes: tuple[Node, ...]

    def row(self, asset: str) -> "IndexRow | None":
        """The session's version of an asset on the chain, else the unpartitioned one."""
        found = {link.row.part: link.row for link in self.links if link.row.asset == asset}
        return found.get(self.part) or found.get("static")


def gather(lake: "Lake", decision: Entry, outputs: "Sequence[IndexRow]") -> Evidence:
    """Reads every object and body behind the outputs of a decision again. Raises StoreError when a manifest does not hold."""
    links = closures(lake, outputs)
    faults: dict[str, str] = {}
    for link in links:
        _note(faults, link.row.manifest_sha256, lambda row=link.row: _read_again(lake, row))  # type: ignore[misc]
    names = sorted({name for link in links for name in link.blobs})
    for name in names:
        _note(faults, name, lambda name=name: lake.objects.check_blob(name))  # type: ignore[misc]
    mandates = [link.row for link in links if link.row.asset == MANDATE]  # first, so that it stands in full at the top
    part, starts, bodies = decision.key, (*mandates, *outputs), _described(lake, links)
    nodes = object_nodes(links, starts, part=part, bodies=bodies, faults=faults)
    return Evidence(part, tuple(links), faults, (*_versions(lake, decision), *nodes))


def _note(faults: dict[str, str], name: str, read: Callable[[], object]) -> None:
    try:
        read()
    except StoreError as error:
        faults[name] = str(error)


def _read_again(lake: "Lake", row: "IndexRow") -> None:
    lake.manifest(row)
    lake.objects.get(row.uri, row.file_sha256)


def _described(lake: "Lake", links: Iterable[Link]) -> "dict[tuple[str, str], BlobRow | None]":
    """(Object, body) -> how it was received: by the run that made the object when that one fetched it, else first."""
    found: dict[tuple[str, str], BlobRow | None] = {}
    for link in links:
        known = lake.index.blobs(link.row.asset, link.row.part) if link.blobs else []
        for name in link.blobs:
            own = [row for row in known if row.blob_sha256 == name]
            fetched = [row for row in own if row.run_id == link.row.run_id]
            found[link.row.manifest_sha256, name] = next(iter(fetched or own), None)
    return found


@dataclass(frozen=True, slots=True)
class Entries:
    """The ledger's entries about one order; the batch is None when none names it. `size`, `root`: of the ledger, when read."""

    intent: Entry
    batch: Entry | None
    decision: Entry
    batch_sha256: str
    size: int
    root: str


def order_tree(lake: "Lake", evidence: Evidence, entries: Entries, *, told: str, rows: Mapping[str, str]) -> Node:
    """The tree of one order. `told`: the order in words; `rows`: hash of a manifest -> the order's own row in that object.

    `entries.batch_sha256`: hash of the stored batch, which the frozen one must have.
    """
    below = tuple(with_rows(node, rows) for node in evidence.nodes)
    decision = _entry(lake.ledger, entries, entries.decision, {}, "", below)
    batch = entries.batch
    if batch is None:
        frozen = Node(ENTRY, "batch_frozen", {}, "the ledger has no frozen batch with this order", nodes=(decision,))
    else:
        named = str(batch.body["batch_sha256"])
        wrong = "" if named == entries.batch_sha256 else f"the stored batch has the hash {entries.batch_sha256}"
        frozen = _entry(lake.ledger, entries, batch, {"batch_sha256": named}, wrong, (decision,))
    intent = _entry(lake.ledger, entries, entries.intent, {}, "", (frozen,))
    head: Facts = {"ledger_size": entries.size, "ledger_root": entries.root}
    return Node(ORDER, f"order {entries.intent.key}", head, row=told, nodes=(intent,))


def _entry(ledger: Ledger, entries: Entries, entry: Entry, facts: Facts, fault: str, nodes: tuple[Node, ...]) -> Node:
    told = {"entry": entry.seq, "leaf_sha256": entry.hash, **facts}
    fault = leaf_fault(ledger, entry, entries.size, entries.root) or fault
    return Node(ENTRY, f"{entry.kind} {entry.key}", told, fault, nodes=nodes)


def leaf_fault(ledger: Ledger, entry: Entry, size: int, root: str) -> str:
    """What is wrong with an entry: its record has another hash, or its leaf does not lead to the root. Empty when nothing is."""
    leaf = record_leaf(record_bytes(entry.kind, entry.key, entry.body))
    if leaf.hex() != entry.hash:
        return f"ledger: the record of entry {entry.seq} does not have its leaf hash"
    proof = merkle.inclusion_proof(entry.seq, size, ledger.node)
    if not merkle.verify_inclusion(leaf, entry.seq, size, proof, bytes.fromhex(root)):
        return f"ledger: entry {entry.seq} does not lead to the root of {size} entries"
    return ""


def _versions(lake: "Lake", decision: Entry) -> tuple[Node, ...]:
    """Code and environment that the decision names; where it names manifests, too, they are bodies that the store keeps."""
    kept, found = "manifests" in decision.body, dict[str, str]()
    versions = cast("Mapping[str, str]", decision.body.get("versions") or {})
    for name in versions.values() if kept else ():
        _note(found, name, lambda name=name: lake.objects.check_blob(name))  # type: ignore[misc]
    told = "kept as a body" if kept else ""
    return tuple(Node(FACT, n, {"sha256": v}, found.get(v, ""), told) for n, v in sorted(versions.items()))
