"""The ledger port: append-only, idempotent, a Merkle tree over all entries. One contract suite, every adapter passes it.

The same (kind, key, body) returns the entry that exists; the same key with another body is an Equivocation. Checkpoints are
signed elsewhere (`signer`); here they are only kept. Not here: verification (`examine`), adapters (`sqlite`, `postgres`).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

from marketbot_resources.errors import LedgerError
from marketbot_resources.ledger import merkle
from marketbot_resources.ledger.record import Entry, Fence, Json, Receipt, Row, record_bytes
from marketbot_resources.redaction import redactor

_BEFORE_SURROGATES, _AFTER_SURROGATES, _LAST = "\ud7ff", "\ue000", "\U0010ffff"


def prefix_end(prefix: str) -> str | None:
    """The first text, in the order of code points, after all that start with a prefix; None when nothing comes after them."""
    kept = prefix.rstrip(_LAST)
    if not kept:
        return None
    last = kept[-1]
    return kept[:-1] + (_AFTER_SURROGATES if last == _BEFORE_SURROGATES else chr(ord(last) + 1))


def stale(fence: Fence) -> str:
    """What a run is told whose token is not the newest."""
    return f"ledger: token {fence.number} of account {fence.account} is not the newest; another run sends its orders"


def _clean(body: Mapping[str, Json]) -> Mapping[str, Json]:
    try:
        return redactor().json(body)
    except RecursionError as error:
        raise LedgerError("ledger: expected plain JSON values, found them nested too deep") from error


class Ledger(ABC):
    """The ledger of one home. Every method raises LedgerError when the database refuses or is damaged."""

    def append(self, kind: str, key: str, body: Mapping[str, Json], fence: Fence | None = None) -> Receipt:
        """Appends one entry durably. Raises Equivocation for another body under the same key; `fence`: see `append_all`."""
        return self.append_all([(kind, key, body)], fence)[0]

    def append_all(
        self, entries: Sequence[tuple[str, str, Mapping[str, Json]]], fence: Fence | None = None
    ) -> list[Receipt]:
        """Appends several entries in one transaction: all of them or, when one is refused, none. Secrets never reach a hash.

        With a `fence`, the same transaction finds it to be the newest token of its account, or raises StaleToken.
        """
        return self._append([(kind, key, record_bytes(kind, key, _clean(body))) for kind, key, body in entries], fence)

    def take_over(self, rows: Iterable[Row]) -> int:
        """Appends rows of a backup as they are and returns how many; they were cleaned of secrets when they were first appended.

        Raises LedgerError when one would get another number or hash here: then this ledger is no beginning of that one.
        """
        taken = 0
        for row in rows:
            receipt = self._append([(row.kind, row.key, row.record)])[0]
            if (receipt.seq, receipt.hash) != (row.seq, row.leaf.hex()):
                raise LedgerError(f"ledger: expected entry {row.seq} of the backup, found it as {receipt.seq}")
            taken += 1
        return taken

    def get(self, kind: str, key: str) -> Entry | None:
        """One entry, or None."""
        row = self._get(kind, key)
        return None if row is None else row.entry()

    def entries(self, kind: str, prefix: str = "") -> list[Entry]:
        """Entries of a kind whose key starts with a prefix, in order of appending."""
        return [row.entry() for row in self._entries(kind, prefix)]

    def head(self) -> tuple[int, str]:
        """(number of entries, root in hex)."""
        size = self.size()
        return size, self.root(size).hex()

    def root(self, size: int) -> bytes:
        """Root of the first `size` entries, from the stored nodes."""
        return merkle.root(size, self.node)

    @abstractmethod
    def alone(self, name: str) -> AbstractContextManager[bool]:
        """Whether the holder is alone under this name, on every machine that shares the ledger; never waits.

        The system frees it when its holder dies. It is a hint of life, no proof: what must not happen twice has a fence.
        """

    @abstractmethod
    def _append(self, records: Sequence[tuple[str, str, bytes]], fence: Fence | None = None) -> list[Receipt]:
        """(kind, key, record bytes) appended in one durable transaction, which finds the fence to be the newest."""

    @abstractmethod
    def _get(self, kind: str, key: str) -> Row | None: ...

    @abstractmethod
    def _entries(self, kind: str, prefix: str) -> list[Row]: ...

    @abstractmethod
    def size(self) -> int:
        """Number of entries."""

    @abstractmethod
    def node(self, level: int, place: int) -> bytes:
        """Stored hash of a complete subtree; level 0 are the leaves."""

    @abstractmethod
    def rows(self, first: int = 0, last: int | None = None) -> Iterator[Row]:
        """Stored rows with first <= seq < last, ascending, as they are: for verification and export."""

    @abstractmethod
    def nodes(self) -> Iterator[tuple[int, int, bytes]]:
        """Stored (level, place, hash) above the leaves, by level and place: for verification."""

    @abstractmethod
    def keep_checkpoint(self, size: int, note: str) -> None:
        """Keeps a signed checkpoint once; the same size and note again is no change. Raises Equivocation for another note."""

    @abstractmethod
    def checkpoints(self) -> list[tuple[int, str]]:
        """(size, signed note) of every kept checkpoint, ascending."""
