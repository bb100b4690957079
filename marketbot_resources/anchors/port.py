"""The anchor port: a place outside of the home that takes signed checkpoints and shows them again. One contract suite.

Each anchor is optional and independent. What an anchor shows is believed by no one: the caller checks every signature.
Adapters: `file`, `s3`, `witness`; `opening` reads their one-line specs. Not here: when to publish, what to compare.
"""

from collections.abc import Callable
from typing import Protocol

from marketbot_resources.errors import AnchorError, Equivocation, LedgerError
from marketbot_resources.ledger.note import Checkpoint, VerifyKey, open_checkpoint

NOTE_BYTES_MAX = 65_536
Proof = Callable[[int], list[bytes]]


class Anchor(Protocol):
    """One place. Raises AnchorError when it cannot be used, Equivocation when it keeps another head that the log has signed."""

    @property
    def name(self) -> str:
        """Its spec, which holds no secret."""
        ...

    def publish(self, note: str, key: VerifyKey, prove: Proof) -> str:
        """Puts a note that `key` signed there, once; returns the note as the anchor keeps it, a witness's cosignature added.

        `prove(old_size)`: the consistency proof from a smaller head of the log to this one; only a witness asks for it.
        """
        ...

    def notes(self, key: VerifyKey) -> list[str]:
        """Every note that it keeps for the log that the key names, by ascending size, read from the anchor now."""
        ...


def kept_note(kept: str, note: str, key: VerifyKey, who: str) -> str:
    """What an anchor keeps for a size, after a note of that size was put there: the same head, or the reason why not."""
    ours = open_checkpoint(note, key)
    if kept == note:
        return kept
    if signed_head(kept, key, who) != ours:
        raise Equivocation(
            f"{who} keeps another root for {ours.size} entries, signed by {key.name}: the log was changed"
        )
    return kept


def signed_head(kept: str, key: VerifyKey, who: str) -> Checkpoint:
    """The head of a kept note. Raises AnchorError when the key did not sign it."""
    try:
        return open_checkpoint(kept, key)
    except (LedgerError, ValueError) as error:
        raise AnchorError(
            f"{who} keeps a note that {key.name} did not sign with {key.key_id.hex()}: {error}"
        ) from error
