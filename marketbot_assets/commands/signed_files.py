"""What the signed ledger and the store give to an export or a proof: heads, entries, index rows, objects, bodies.

Only what a signed head covers leaves the home. Every object is verified on the way out, every proof before it is written.
Not here: which orders and sessions (`prove`, `export`), where the files go (`parcel`).
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, cast

from marketbot_assets.commands.parcel import Parcel, verifier_source
from marketbot_assets.commands.parcel_readme import readme
from marketbot_resources.auditor import FORMAT, ROWS, summary_text
from marketbot_resources.auditor_log import EXPORT, HEAD, KEYS, PROOF, SUMMARY, plain
from marketbot_resources.errors import AnchorError, LedgerError, StoreError
from marketbot_resources.ledger.merkle import inclusion_proof, verify_inclusion
from marketbot_resources.ledger.note import Checkpoint, parse_checkpoint, proof_text, split_note
from marketbot_resources.ledger.record import Entry, record_bytes, record_leaf
from marketbot_resources.notary import LOG_KEY, log_keys
from marketbot_resources.store.closure import Link, closures
from marketbot_resources.store.lake import manifest_key
from marketbot_resources.store.objects import blob_key
from marketbot_resources.store.seal import BLOBS, LAKE, seals

if TYPE_CHECKING:
    from marketbot_resources.anchors.port import Anchor
    from marketbot_resources.store.index import BlobRow, IndexRow
    from marketbot_resources.store.lake import Lake

UNSIGNED = "`marketbot run` signs what is new"


@dataclass(frozen=True, slots=True)
class Heads:
    """Signed heads of the ledger. `own`: size -> note, as the ledger keeps them; `anchored`: path -> note, as anchors do.

    `head`: the newest, against which everything given away is proven. `problems`: what went wrong at which anchor.
    """

    own: Mapping[int, str]
    anchored: Mapping[str, str]
    head: Checkpoint
    problems: Mapping[str, str]

    @property
    def note(self) -> str:
        """The newest head as it was signed."""
        return self.own[self.head.size]

    @property
    def sizes(self) -> list[int]:
        """Sizes of all heads that the newest one can prove, ascending."""
        sizes = {_head(note).size for note in (*self.own.values(), *self.anchored.values())}
        return sorted(size for size in sizes if 0 < size <= self.head.size)

    def around(self, seq: int) -> "Heads":
        """Of each place the first head that covers an entry, and the newest."""
        kept: dict[str, dict[int, str]] = {}
        for path, note in self.anchored.items():
            if _head(note).size > seq:
                kept.setdefault(path.rpartition("/")[0], {})[_head(note).size] = path
        paths = {sizes[size] for sizes in kept.values() for size in (min(sizes), max(sizes))}
        own = [size for size in self.own if size > seq]
        return Heads(
            {size: self.own[size] for size in sorted({min(own), max(own)})},
            {path: self.anchored[path] for path in sorted(paths)},
            self.head,
            self.problems,
        )


def heads_of(lake: "Lake", anchors: "Iterable[Anchor]") -> Heads:
    """Every signed head of the ledger. Raises LedgerError when nothing was ever signed."""
    own = dict(lake.ledger.checkpoints())
    if not own:
        raise LedgerError(f"ledger: expected a signed head, found none; {UNSIGNED}")
    anchored: dict[str, str] = {}
    problems: dict[str, str] = {}
    for place, anchor in enumerate(anchors, 1):
        folder = f"anchors/{place:02d}-{anchor.name.partition(':')[0]}"
        try:
            notes = anchor.notes(log_keys(lake.ledger)[0])
        except AnchorError as error:
            problems[anchor.name] = str(error)
            continue
        for note in dict.fromkeys(notes):
            try:
                path = f"{folder}/{_head(note).size}"
            except LedgerError as error:
                problems[anchor.name] = str(error)
                continue
            anchored[f"{path}-another.txt" if f"{path}.txt" in anchored else f"{path}.txt"] = note
    return Heads(own, anchored, _head(own[max(own)]), problems)


def _head(note: str) -> Checkpoint:
    return parse_checkpoint(split_note(note)[0])


@dataclass(frozen=True, slots=True)
class Evidence:
    """What decisions rest on: objects, hashes of bodies, index rows as hashed, and the entries that sealed these rows."""

    links: Sequence[Link]
    bodies: Sequence[str]
    rows: Sequence[str]
    seals: frozenset[int]


def evidence_of(lake: "Lake", decisions: Sequence[Entry], size: int) -> Evidence:
    """Everything behind decisions, back to the bytes as received, as the first `size` entries cover it.

    Raises StoreError when something is missing, LedgerError when it is not sealed by these entries.
    """
    links = closures(lake, [row for decision in decisions for row in _outputs(lake, decision)], whole=True)
    bodies = {name for link in links for name in link.blobs}
    versions = {str(name) for decision in decisions for name in _texts(decision, "versions").values()}
    numbers = {(row.asset, row.part, row.manifest_sha256): n for n, row in lake.index.numbered()}
    lake_rows = sorted((numbers[link.row.asset, link.row.part, link.row.manifest_sha256], link.row) for link in links)
    told = [(n, row) for n, row in lake.index.numbered_blobs() if row.blob_sha256 in bodies]
    firsts = {row.blob_sha256: n for n, row in reversed(told)}  # the same body may have come again, not sealed yet
    blob_rows = [(n, row) for n, row in told if firsts[row.blob_sha256] == n]
    rows: list[str] = []
    used: set[int] = set()
    for lines, entries in (_sealed(lake, LAKE, lake_rows, size), _sealed(lake, BLOBS, blob_rows, size)):
        rows, used = rows + lines, used | entries
    return Evidence(links, sorted(bodies | versions), rows, frozenset(used))


def _outputs(lake: "Lake", decision: Entry) -> "list[IndexRow]":
    rows = []
    for asset, digest in _texts(decision, "manifests").items():
        row = lake.index.by_manifest(asset, decision.key, digest)
        if row is None:
            raise StoreError(f"store: expected {asset} {decision.key} with manifest {digest[:12]}, found none")
        rows.append(row)
    return rows


def _texts(entry: Entry, name: str) -> Mapping[str, str]:
    return cast("Mapping[str, str]", entry.body[name])


def _sealed(
    lake: "Lake", table: str, rows: "Sequence[tuple[int, IndexRow | BlobRow]]", size: int
) -> tuple[list[str], set[int]]:
    """Rows as the ledger hashed them, and the numbers of the entries that did."""
    known = [seal for seal in seals(lake.ledger, table) if seal.seq < size]
    firsts = [seal.first for seal in known]
    lines, used = [], set()
    for number, row in rows:
        seal = known[bisect_right(firsts, number) - 1] if firsts and firsts[0] <= number else None
        if seal is None or number > seal.last:
            raise LedgerError(f"ledger: expected row {number} of {table} sealed and signed, found it open; {UNSIGNED}")
        lines.append(plain([table, [number, *astuple(row)]]))
        used.add(seal.seq)
    return lines, used


def write_store(parcel: Parcel, lake: "Lake", evidence: Evidence) -> None:
    """Objects, manifests, bodies and the rows of the index. Raises StoreError for what is missing or altered."""
    written: set[str] = set()
    for link in evidence.links:
        row = link.row
        manifest = manifest_key(row.asset, row.part, row.manifest_sha256)
        for key, digest in ((row.uri, row.file_sha256), (manifest, row.manifest_sha256)):
            if key not in written:
                parcel.add(f"store/{key}", lake.objects.get(key, digest))
                written.add(key)
    for name in evidence.bodies:
        parcel.add(f"store/{blob_key(name)}", lake.objects.get_packed_blob(name))
    parcel.add(ROWS, "".join(f"{line}\n" for line in evidence.rows).encode())


def write_entries(parcel: Parcel, lake: "Lake", heads: Heads, entries: Iterable[Entry]) -> None:
    """Entries with a proof each that they are in the signed log. Raises LedgerError when one is not."""
    size, root = heads.head.size, heads.head.root
    for entry in entries:
        record = record_bytes(entry.kind, entry.key, entry.body)
        path = inclusion_proof(entry.seq, size, lake.ledger.node)
        if not verify_inclusion(record_leaf(record), entry.seq, size, path, root):
            raise LedgerError(
                f"ledger: expected entry {entry.seq} in the signed log, found another; run `marketbot verify`"
            )
        parcel.add(f"entries/{entry.seq}.json", record)
        parcel.add(f"proofs/{entry.seq}.tlog-proof", proof_text(entry.seq, path, heads.note).encode())


def write_heads(parcel: Parcel, lake: "Lake", heads: Heads) -> None:
    """Signed heads and the keys that the log names for itself, newest first."""
    keys = [e for e in reversed(lake.ledger.entries(LOG_KEY)) if e.seq < heads.head.size]
    parcel.add(KEYS, "".join(f"{entry.body['vkey']}\n" for entry in keys).encode())
    parcel.add(HEAD, heads.note.encode())
    for size, note in heads.own.items():
        parcel.add(f"checkpoints/{size}.txt", note.encode())
    for path, note in heads.anchored.items():
        parcel.add(path, note.encode())


def write_summary(
    parcel: Parcel,
    heads: Heads,
    evidence: Evidence,
    *,
    sessions: Sequence[str],
    entries: int,
    orders: int,
    order: str | None = None,
) -> dict[str, object]:
    """What the parcel is, how it is checked, and the verifier; returns what export.json says."""
    counts = {"entries": entries, "orders": orders, "objects": len(evidence.links), "bodies": len(evidence.bodies)}
    summary: dict[str, object] = {
        "format": FORMAT,
        "kind": EXPORT if order is None else PROOF,
        "origin": heads.head.origin,
        "size": heads.head.size,
        "root": heads.head.root.hex(),
        "sessions": sorted(sessions),
        "counts": {**counts, "heads": len(heads.own) + len(heads.anchored)},
        **({} if order is None else {"order": order}),
    }
    parcel.add(SUMMARY, summary_text(summary).encode())
    parcel.add("README.txt", readme(summary).encode())
    parcel.add("verify.py", verifier_source().encode())
    return summary
