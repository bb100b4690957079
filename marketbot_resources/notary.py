"""Checkpoints of a home: the index sealed, the head signed, the signed head put where the home's owner cannot rewrite it.

Taken before the first order of a session is sent and after its run. A signer that refuses stops trading (RC-84); an anchor that
fails is recorded and shown. Not here: the signer (`signer`), the places (`anchors`), verification.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from marketbot_resources.errors import AnchorError, LedgerError
from marketbot_resources.ledger.merkle import consistency_proof
from marketbot_resources.ledger.note import Checkpoint, VerifyKey, parse_verify_key
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.store.index import Index
from marketbot_resources.store.seal import seal_index

if TYPE_CHECKING:
    from marketbot_resources.anchors.port import Anchor

LOG_KEY, ANCHOR_FAILED = "log_key", "anchor_failed"
Proof = Callable[[int], list[bytes]]


def origin_of(account: str) -> str:
    """Name of an account's ledger in its checkpoints."""
    return f"marketbot.{account}/ledger"


def log_keys(ledger: Ledger) -> list[VerifyKey]:
    """The public keys that the ledger itself names, newest first: its own word, to be compared with the signer's or yours."""
    return [parse_verify_key(str(entry.body["vkey"])) for entry in reversed(ledger.entries(LOG_KEY))]


@dataclass(frozen=True, slots=True)
class Notarized:
    """A signed head. `anchored`: name of each anchor and what went wrong there, empty when it keeps the head."""

    size: int
    root: str
    note: str
    anchored: Mapping[str, str]


class SignerPort(Protocol):
    """What the notary asks of the signer. Every method raises SignerRefused."""

    def create(self, origin: str) -> VerifyKey:
        """Makes the log's key once and returns its public half."""
        ...

    def verify_keys(self) -> list[VerifyKey]:
        """Public keys, newest first."""
        ...

    def sign(self, checkpoint: Checkpoint, prove: Proof, *, believed: int | None = None) -> str:
        """The signed note of a head that provably continues the signer's own, whose size is `believed` to be known."""
        ...


class NotaryPort(Protocol):
    """What sending and the end of a run need."""

    def checkpoint(self) -> Notarized:
        """Seals, signs, anchors. Raises LedgerError when signer or anchor know another history: then nothing may be sent."""
        ...


class Notary:
    """The notary of one home."""

    def __init__(
        self, ledger: Ledger, index: Index, signer: SignerPort, anchors: "Sequence[Anchor]", origin: str
    ) -> None:
        self._ledger, self._index, self._signer = ledger, index, signer
        self._anchors, self._origin = anchors, origin

    def checkpoint(self) -> Notarized:
        seal_index(self._index, self._ledger)
        keys = self._keys()
        size = self._ledger.size()
        head = Checkpoint(self._origin, size, self._ledger.root(size))
        kept = self._ledger.checkpoints()
        if kept and kept[-1][0] == size:
            note = kept[-1][1]
        else:
            note = self._signer.sign(head, self._prove(size), believed=kept[-1][0] if kept else None)
            self._ledger.keep_checkpoint(size, note)
        anchored = {anchor.name: self._anchor(anchor, note, keys[0], size) for anchor in self._anchors}
        return Notarized(size, head.root.hex(), note, anchored)

    def _keys(self) -> list[VerifyKey]:
        """The log's public keys, newest first. The key is made with the first checkpoint; a new one is an entry before it signs.

        Raises LedgerError when the ledger knows a key and the signer has none: a lost key is never replaced unseen.
        """
        keys = self._signer.verify_keys()
        if not keys and self._ledger.entries(LOG_KEY):
            raise LedgerError("notary: expected the signer's key, found none; restore the signer's folder")
        keys = keys or [self._signer.create(self._origin)]
        self._ledger.append(LOG_KEY, keys[0].key_id.hex(), {"vkey": keys[0].text})
        return keys

    def _prove(self, size: int) -> Proof:
        return lambda old: consistency_proof(old, size, self._ledger.node)

    def _anchor(self, anchor: "Anchor", note: str, key: VerifyKey, size: int) -> str:
        try:
            anchor.publish(note, key, self._prove(size))
        except AnchorError as error:
            self._ledger.append(ANCHOR_FAILED, f"{size:012d}/{anchor.name}", {"problem": str(error)})
            return str(error)
        return ""
