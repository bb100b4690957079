"""Whether a stored ledger is what it was when it was written: every row, number, hash and node recomputed.

Faults are found against the ledger itself; whether it is the ledger that was signed and anchored is asked of checkpoints
(`check_head`). Not here: the store's objects, what depends on a fault.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from marketbot_resources.errors import LedgerError
from marketbot_resources.ledger.merkle import Tree
from marketbot_resources.ledger.note import Checkpoint
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Row, is_canonical, parse_record, record_leaf

GAP, LEAF, COLUMN, RECORD, DOUBLE, NODE = "GAP", "LEAF", "COLUMN", "RECORD", "DOUBLE", "NODE"
ROOT, TRUNCATED, CHECKPOINT = "ROOT", "TRUNCATED", "CHECKPOINT"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is not as it was. `code` names it, `where` says where, `message` is one sentence.

    `touches`: hashes of manifests and bodies that the fault is about, for finding what depends on them.
    """

    code: str
    where: str
    message: str
    touches: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Examined:
    """The tree over the records as they are, what is wrong with the rows, and with the stored nodes that only speed up proofs."""

    tree: Tree
    rows: tuple[Fault, ...]
    nodes: tuple[Fault, ...]

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Both."""
        return self.rows + self.nodes


def examine(ledger: Ledger) -> Examined:
    """Reads every row and node once; others may append meanwhile. Never raises for altered contents: it names them."""
    known, tree, faults, seen = ledger.size(), Tree(), [], set()
    for row in ledger.rows():
        if row.seq != tree.size:
            faults.append(Fault(GAP, f"entry {tree.size}", f"expected entry {tree.size}, found {row.seq}"))
            break
        faults += _row_faults(row)
        if (row.kind, row.key) in seen:
            faults.append(Fault(DOUBLE, f"entry {row.seq}", f"{row.kind} {row.key} is recorded twice"))
        seen.add((row.kind, row.key))
        tree.append(record_leaf(row.record))
    if not faults and tree.size < known:
        faults.append(Fault(TRUNCATED, f"size {known}", f"expected {known} entries, found {tree.size}"))
    return Examined(tree, tuple(faults), tuple(_node_faults(ledger, tree)) if not faults else ())


def first_fault(ledger: Ledger) -> str | None:
    """The first fault of the ledger against itself in one line; None when it is whole."""
    faults = examine(ledger).faults
    return f"{faults[0].where}: {faults[0].message} ({faults[0].code})" if faults else None


def _row_faults(row: Row) -> Iterator[Fault]:
    where = f"entry {row.seq}"
    if row.leaf != record_leaf(row.record):
        yield Fault(LEAF, where, f"{row.kind} {row.key}: the record does not have its leaf hash")
    try:
        kind, key, _ = parse_record(row.record)
        canonical = is_canonical(row.record)
    except LedgerError as error:
        yield Fault(RECORD, where, f"{row.kind} {row.key}: {error}")
        return
    if (kind, key) != (row.kind, row.key):
        yield Fault(COLUMN, where, f"the row says {row.kind} {row.key}, its record {kind} {key}")
    if not canonical:
        yield Fault(RECORD, where, f"{kind} {key}: the record is not in canonical form")


def _node_faults(ledger: Ledger, tree: Tree) -> Iterator[Fault]:
    counts: dict[int, int] = {}
    for level, place, digest in ledger.nodes():
        where = f"node {level}/{place}"
        if place >= len(tree.nodes(level)):
            if place + 1 << level <= ledger.size():
                continue  # its entries were appended after we had read the last one
            yield Fault(NODE, where, "stored above the tree")
            return
        if tree.node(level, place) != digest:
            yield Fault(NODE, where, "the stored hash is not that of its entries")
            return
        counts[level] = counts.get(level, 0) + 1
    level = 1
    while tree.nodes(level):
        if counts.get(level, 0) != len(tree.nodes(level)):
            yield Fault(
                NODE, f"level {level}", f"expected {len(tree.nodes(level))} nodes, found {counts.get(level, 0)}"
            )
            return
        level += 1


def check_head(tree: Tree, head: Checkpoint, who: str) -> Fault | None:
    """What contradicts a head that someone keeps: entries are missing, or they are others. None when it holds."""
    where = f"size {head.size}"
    if tree.size < head.size:
        return Fault(TRUNCATED, where, f"{who} knows {head.size} entries, the ledger holds {tree.size}")
    if tree.root(head.size) != head.root:
        return Fault(ROOT, where, f"{who} knows another root of the first {head.size} entries")
    return None
