"""Everything that can be checked is checked: ledger, checkpoints, signer, anchors, index, objects, decisions: `verify`.

It names the first fault and everything downstream of it, and says what is protected by whom: what was not signed yet, what is
signed and not anchored, and whether anything outside of this home would notice if its owner rewrote it. Not here: the checks
themselves (`ledger.examine`, `store.inspection`, `audit_trail`), how it is told (`verify_text`), exports.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from marketbot_assets.commands.audit_trail import decision_faults, orders_of_sessions
from marketbot_assets.commands.home import existing_lake, load_mandate
from marketbot_resources import settings
from marketbot_resources.anchors.opening import open_anchors
from marketbot_resources.errors import AnchorError, LedgerError, UsageError
from marketbot_resources.ledger.examine import CHECKPOINT, Examined, Fault, check_head, examine
from marketbot_resources.ledger.merkle import HASH_BYTES, Tree
from marketbot_resources.ledger.note import Checkpoint, VerifyKey, open_checkpoint, parse_verify_key
from marketbot_resources.notary import log_keys, origin_of
from marketbot_resources.signer import SignerProcess
from marketbot_resources.store.dependents import dependents
from marketbot_resources.store.inspection import index_faults, store_faults, unreferenced, unsealed_rows

if TYPE_CHECKING:
    from marketbot_resources.anchors.port import Anchor
    from marketbot_resources.ledger.port import Ledger
    from marketbot_resources.store.lake import Lake

View = dict[str, object]
ANCHOR, SIGNER = "ANCHOR", "SIGNER"


@dataclass(slots=True)
class Heads:
    """The signed heads that someone keeps, and what they say of the ledger as it is."""

    tree: Tree
    keys: Sequence[VerifyKey]
    faults: list[Fault] = field(default_factory=list)
    good: list[int] = field(default_factory=list)

    def check(self, note: str, who: str, code: str) -> int | None:
        """Size of a signed head that holds; else None and a fault."""
        try:
            head = self._opened(note)
        except LedgerError as error:
            self.faults.append(Fault(code, who, f"{who}: {error}"))
            return None
        return head.size if self.check_known(head, who) else None

    def check_known(self, head: Checkpoint, who: str) -> bool:
        """Whether a head that is believed holds of the ledger as it is."""
        fault = check_head(self.tree, head, who)
        if fault is not None:
            self.faults.append(fault)
            return False
        self.good.append(head.size)
        return True

    def _opened(self, note: str) -> Checkpoint:
        problems = []
        for key in self.keys:
            try:
                return open_checkpoint(note, key)
            except LedgerError as error:
                problems.append(error)
        raise problems[0] if problems else LedgerError("expected a public key of the log, found none")


def verify(anchors: Sequence[str], roots: Sequence[str], key: str | None, *, contents: bool = True) -> View:
    """Checks the whole home. `anchors`: specs beside those of the mandate; `roots`: size:root that someone noted elsewhere."""
    lake = existing_lake()
    known = [_root(text) for text in roots]
    places = open_anchors(list(dict.fromkeys([*load_mandate().anchors, *anchors])))
    found = examine(lake.ledger)
    keys, key_source = _keys(lake.ledger, key)
    heads = Heads(found.tree, keys)
    signed = _signed(lake.ledger, heads)
    anchored = [_anchored(place, heads) for place in places]
    anchored += [_noted(head, heads) for head in known]
    faults = _in_order(
        found, heads.faults, index_faults(lake), store_faults(lake, contents=contents), decision_faults(lake)
    )
    size, outside = found.tree.size, [row for row in anchored if row["size"] is not None]
    return {
        "fine": not faults,
        "faults": [_told(fault) for fault in faults],
        "downstream": _downstream(lake, faults, heads, size) if faults else None,
        "ledger": {"size": size, "root": found.tree.root().hex(), "origin": origin_of(load_mandate().account.id)},
        "keys": [known_key.text for known_key in keys],
        "key_source": key_source,
        "signed": signed,
        "not_signed": size - (signed or 0),
        "anchors": anchored,
        "anchored": max((int(str(row["size"])) for row in outside), default=0),
        "not_anchored": size - max((int(str(row["size"])) for row in outside), default=0),
        "not_sealed": unsealed_rows(lake, lake.ledger),
        "objects": len(lake.index.numbered()),
        "bodies": len({row.blob_sha256 for _, row in lake.index.numbered_blobs()}),
        "unreferenced": unreferenced(lake),
        "home": str(lake.home),
    }


def _root(text: str) -> Checkpoint:
    size, _, digest = text.partition(":")
    try:
        root = bytes.fromhex(digest)
        if not size.isdigit() or len(root) != HASH_BYTES:
            raise ValueError(text)
    except ValueError as error:
        raise UsageError(f"root {text!r}: expected SIZE:ROOT, the root as 64 hex digits") from error
    return Checkpoint("", int(size), root)


def _keys(ledger: "Ledger", text: str | None) -> tuple[list[VerifyKey], str]:
    """The log's public keys, newest first, and where they come from; the ledger's own word is the weakest source."""
    if text is not None:
        return [parse_verify_key(text)], "given"
    signer = SignerProcess(settings.signer_home(), settings.signer_command())
    keys = signer.verify_keys()
    if keys:
        return keys, "signer"
    return log_keys(ledger), "ledger"


def _signed(ledger: "Ledger", heads: Heads) -> int | None:
    """Size of the newest signed head that holds: those that the ledger keeps and the one that the signer keeps itself."""
    sizes = []
    for size, note in ledger.checkpoints():
        found = heads.check(note, f"checkpoint {size}", CHECKPOINT)
        if found is not None and found != size:
            heads.faults.append(Fault(CHECKPOINT, f"checkpoint {size}", f"it is a checkpoint of {found} entries"))
        sizes.append(found)
    own = SignerProcess(settings.signer_home(), settings.signer_command()).head()
    if own is not None:
        sizes.append(heads.check(own, "the signer", SIGNER))
    elif sizes:
        heads.faults.append(Fault(SIGNER, "the signer", "it knows no head; its state was lost or replaced"))
    return max((size for size in sizes if size is not None), default=None)


def _anchored(place: "Anchor", heads: Heads) -> View:
    """The newest head of an anchor that holds, or what went wrong there."""
    try:
        notes = place.notes(heads.keys[0]) if heads.keys else []
    except AnchorError as error:
        return {"name": place.name, "size": None, "kept": 0, "problem": str(error)}
    sizes = [heads.check(note, f"anchor {place.name}", ANCHOR) for note in notes]
    good = [size for size in sizes if size is not None]
    problem = "" if len(good) == len(notes) else f"{len(notes) - len(good)} of {len(notes)} heads contradict the ledger"
    return {"name": place.name, "size": max(good, default=None), "kept": len(notes), "problem": problem}


def _noted(head: Checkpoint, heads: Heads) -> View:
    name = f"root noted at size {head.size}"
    holds = heads.check_known(head, name)
    return {"name": name, "size": head.size if holds else None, "kept": 1, "problem": "" if holds else "another root"}


def _in_order(found: Examined, heads: Iterable[Fault], *others: Iterable[Fault]) -> list[Fault]:
    """Rows of the ledger, heads, stored nodes, then index, objects and decisions: what comes first explains what follows."""
    faults = [*found.rows, *heads, *found.nodes]
    for more in others:
        faults += more
    return list(dict.fromkeys(faults))


def _told(fault: Fault) -> View:
    return {"code": fault.code, "where": fault.where, "message": fault.message}


def _downstream(lake: "Lake", faults: Sequence[Fault], heads: Heads, size: int) -> View:
    """What rests on what the first fault is about: entries, objects, orders."""
    first = faults[0]
    if first.touches:
        rows = dependents(lake, first.touches)
        orders = orders_of_sessions(lake, {row.part for row in rows if row.asset == "orders"})
        return {"of": _told(first), "entries": None, "objects": [f"{r.asset} {r.part}" for r in rows], "orders": orders}
    since = max((good for good in heads.good if good <= _place(first, size)), default=0)
    sessions = {str(e.body["session"]) for e in lake.ledger.entries("decision") if e.seq >= since}
    entries = {"first": since, "last": size - 1}
    return {"of": _told(first), "entries": entries, "objects": [], "orders": orders_of_sessions(lake, sessions)}


def _place(fault: Fault, size: int) -> int:
    """The entry or size that a fault of the ledger names; the whole ledger where it names none."""
    word = fault.where.rpartition(" ")[2]
    return int(word) - (1 if fault.where.startswith("size") else 0) if word.isdigit() else size
