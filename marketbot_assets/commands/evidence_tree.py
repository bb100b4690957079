"""The chain of evidence behind an order as a tree, built from links. Pure.

The links form a graph in which most objects are read by many others: an object stands in full where the way down first meets
it, afterwards only by name. Many objects of one kind side by side (earlier sessions, bodies of one fetch) make one node that
holds them. Not here: what is read again and re-hashed (`evidence`), how the tree looks (`evidence_text`, `audit.dossier`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from marketbot_resources.store.closure import Link
from marketbot_resources.store.index import STATIC, BlobRow, IndexRow

ORDER, ENTRY, OBJECT, EARLIER, BODY, BODIES, FACT, MORE = (
    "order",
    "entry",
    "object",
    "earlier",
    "body",
    "bodies",
    "fact",
    "more",
)
LINE = ("order_plan", "target_portfolio", "forecasts", "features", "prices", "return_model")
DEPTH_MAX, BODIES_SHOWN = 24, 4
Facts = Mapping[str, str | int]
Bodies = Mapping[tuple[str, str], BlobRow | None]  # (manifest of the object, body) -> how it was received


@dataclass(frozen=True, slots=True)
class Node:
    """One thing on the way. `facts`: its hashes and what else is known; `fault`: what does not hold, empty when all does.

    `row`: the order's own row in it, in one line; `again`: names of what it used, too, and what stands above in full;
    `nearest`: those of them that do not stand behind something else that it used.
    """

    kind: str
    name: str
    facts: Facts
    fault: str = ""
    row: str = ""
    nodes: tuple["Node", ...] = ()
    again: tuple[str, ...] = ()
    nearest: tuple[str, ...] = ()

    def view(self) -> dict[str, object]:
        """The node and everything below as plain values; what is empty is left out."""
        told: dict[str, object] = {"kind": self.kind, "name": self.name, **self.facts}
        more = {"fault": self.fault, "row": self.row, "again": list(self.again), "nearest": list(self.nearest)}
        told.update({name: value for name, value in more.items() if value})
        return {**told, "nodes": [node.view() for node in self.nodes]} if self.nodes else told


def object_nodes(
    links: Sequence[Link],
    starts: Sequence[IndexRow],
    *,
    part: str,
    bodies: Bodies,
    faults: Mapping[str, str],
) -> list[Node]:
    """A node per start with everything below it; a start that stands below an earlier one already gets none.

    `faults` go by the hash of a manifest, those of bodies by their own hash; `part`: the session that decided.
    """
    by_name = {link.row.manifest_sha256: link for link in links}
    walk = _Walk(by_name, _behind(by_name), part, bodies, faults)
    return [walk.node(start.manifest_sha256, 0) for start in starts if start.manifest_sha256 not in walk.shown]


def with_rows(node: Node, rows: Mapping[str, str]) -> Node:
    """The node and those below it with an order's own rows, by the hash of a manifest."""
    if node.kind != OBJECT:
        return node
    row = rows.get(str(node.facts["manifest_sha256"]), "")
    return replace(node, row=row, nodes=tuple(with_rows(below, rows) for below in node.nodes))


def first_fault(node: Node) -> tuple[tuple[str, ...], str] | None:
    """(names from the top down to the first node with a fault, the fault); None when everything holds."""
    below = ((node.name, found) for found in map(first_fault, node.nodes) if found)
    if node.fault and node.kind not in (EARLIER, BODIES):
        return (node.name,), node.fault
    name, found = next(below, ("", None))
    return None if found is None else ((name, *found[0]), found[1])


def count_faults(node: Node) -> int:
    """Nodes with a fault of their own."""
    own = bool(node.fault) and node.kind not in (EARLIER, BODIES)
    return own + sum(map(count_faults, node.nodes))


@dataclass(slots=True)
class _Walk:
    links: Mapping[str, Link]
    behind: Mapping[str, frozenset[str]]
    part: str
    bodies: Bodies
    faults: Mapping[str, str]
    shown: set[str] = field(default_factory=set)

    def node(self, name: str, depth: int) -> Node:
        """An object with everything below it."""
        self.shown.add(name)
        link = self.links[name]
        leaf = self._leaf(link.row)
        if depth >= DEPTH_MAX and (link.reads or link.blobs):
            more = Node(MORE, f"{len(link.reads) + len(link.blobs)} more below", {})
            return replace(leaf, nodes=(more,))
        nodes, again = self._below(link, depth)
        farther = frozenset().union(*(self.behind[other] for other in link.reads))
        nearest = tuple(dict.fromkeys(told for other, told in again if other not in farther))
        return replace(leaf, nodes=nodes, again=tuple(dict.fromkeys(told for _, told in again)), nearest=nearest)

    def _leaf(self, row: IndexRow) -> Node:
        facts: dict[str, str | int] = {
            "asset": row.asset,
            "partition": row.part,
            "rows": row.rows,
            "file_sha256": row.file_sha256,
            "content_sha256": row.content_sha256,
            "manifest_sha256": row.manifest_sha256,
            "code_version": row.code_version,
        }
        name = row.manifest_sha256
        return Node(OBJECT, f"{row.asset} {row.part}", facts, self.faults.get(name, ""))

    def _below(self, link: Link, depth: int) -> tuple[tuple[Node, ...], list[tuple[str, str]]]:
        """(what stands here in full, (hash, name) of what stands above)."""
        nodes, again, earlier = self._received(link), list[tuple[str, str]](), dict[str, list[IndexRow]]()
        for name in sorted(set(link.reads), key=self._order):
            row = self.links[name].row
            if row.part not in (self.part, STATIC):
                earlier.setdefault(row.asset, []).append(row)
            elif name in self.shown:
                again.append((name, row.asset))
            else:
                nodes.append(self.node(name, depth + 1))
        for asset, rows in sorted(earlier.items()):
            known = [row.manifest_sha256 for row in rows if row.manifest_sha256 in self.shown]
            again += [(name, f"{asset} of earlier sessions") for name in known]
            if len(known) < len(rows):
                nodes.append(self._earlier(asset, [row for row in rows if row.manifest_sha256 not in self.shown]))
            self.shown.update(row.manifest_sha256 for row in rows)
        return tuple(nodes), again

    def _order(self, name: str) -> tuple[int, int, str, str]:
        """The line of the decision first, then what has most below it."""
        row = self.links[name].row
        place = LINE.index(row.asset) if row.asset in LINE else len(LINE)
        return (place, -len(self.behind[name]), row.asset, row.part)

    def _earlier(self, asset: str, rows: Sequence[IndexRow]) -> Node:
        leaves = tuple(self._leaf(row) for row in sorted(rows, key=lambda row: row.part))
        first, last = leaves[0].facts, leaves[-1].facts
        facts: dict[str, str | int] = {
            "asset": asset,
            "objects": len(leaves),
            "first_partition": first["partition"],
            "last_partition": last["partition"],
            "first_file_sha256": first["file_sha256"],
            "last_file_sha256": last["file_sha256"],
        }
        return Node(EARLIER, asset, facts, _worst(leaves), nodes=leaves)

    def _received(self, link: Link) -> list[Node]:
        bodies = [self._body(link, name) for name in link.blobs]
        if len(bodies) <= BODIES_SHOWN:
            return bodies
        first, last = (str(body.facts["blob_sha256"]) for body in (bodies[0], bodies[-1]))
        facts: dict[str, str | int] = {"objects": len(bodies), "first_blob_sha256": first, "last_blob_sha256": last}
        return [Node(BODIES, "bodies as received", facts, _worst(bodies), nodes=tuple(bodies))]

    def _body(self, link: Link, name: str) -> Node:
        row, fault = self.bodies.get((link.row.manifest_sha256, name)), self.faults.get(name, "")
        if row is None:
            return Node(BODY, "body as received", {"blob_sha256": name}, fault or "the blob index does not describe it")
        facts: dict[str, str | int] = {
            "blob_sha256": name,
            "provider": row.provider,
            "url": row.url,
            "status": row.status,
            "bytes": row.bytes,
            "fetched_at": row.fetched_at,
        }
        return Node(BODY, "body as received", facts, fault)


def _worst(leaves: Iterable[Node]) -> str:
    faults = [leaf.fault for leaf in leaves if leaf.fault]
    return f"{faults[0]}; {len(faults)} in all" if len(faults) > 1 else "".join(faults)


def _behind(links: Mapping[str, Link]) -> dict[str, frozenset[str]]:
    """Everything behind each object."""
    behind: dict[str, frozenset[str]] = {}
    for start in links:
        waiting = [start]
        while waiting:
            name = waiting[-1]
            missing = [other for other in links[name].reads if other not in behind]
            if name in behind or not missing:
                waiting.pop()
                reads = links[name].reads
                behind.setdefault(name, frozenset(reads).union(*(behind[other] for other in reads)))
            else:
                waiting += missing
    return behind
