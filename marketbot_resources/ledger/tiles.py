"""The ledger as a tiled log (C2SP tlog-tiles): hash tiles of height 8 and bundles of entries, as any reader of such logs expects.

`tile/<level>/<number>` holds 256 hashes of a level, `tile/entries/<number>` the records behind those of level 0; the last ones
may be partial and say so (`.p/<width>`). Everything is recomputed from the records, so a damaged ledger cannot be written out
as a whole one. Not here: checkpoints and their signatures (`note`), where the files go.
"""

from collections.abc import Iterable, Iterator, Sequence

from marketbot_resources.errors import LedgerError
from marketbot_resources.ledger.merkle import EMPTY_ROOT, node_hash
from marketbot_resources.ledger.record import RECORD_BYTES_MAX, Row, record_leaf

TILE_WIDTH = 256
ENTRIES = "entries"
_GROUP = 1000
_LENGTH_BYTES = 2


def tile_path(level: int | str, number: int, width: int = TILE_WIDTH) -> str:
    """Path of a tile: `level` is a number or ENTRIES; `width` below TILE_WIDTH marks a partial one."""
    assert 0 < width <= TILE_WIDTH
    assert number >= 0
    groups = [f"{number % _GROUP:03d}"]
    while number >= _GROUP:
        number //= _GROUP
        groups.append(f"x{number % _GROUP:03d}")
    return f"tile/{level}/{'/'.join(reversed(groups))}" + ("" if width == TILE_WIDTH else f".p/{width}")


def bundle(records: Sequence[bytes]) -> bytes:
    """Records as a bundle: each behind its length in two bytes, big-endian."""
    assert all(len(record) <= RECORD_BYTES_MAX for record in records)
    return b"".join(len(record).to_bytes(_LENGTH_BYTES, "big") + record for record in records)


def subtree_root(hashes: Sequence[bytes]) -> bytes:
    """Root over consecutive hashes of one level (RFC 6962 section 2.1): pairs joined upwards, an odd last one carried up."""
    level = list(hashes)
    while len(level) > 1:
        pairs = [node_hash(left, right) for left, right in zip(level[::2], level[1::2], strict=False)]
        level = pairs + level[2 * len(pairs) :]
    return level[0] if level else EMPTY_ROOT


class Tiles:
    """Turns rows, given once in order, into the files of a tiled log; afterwards `root` is that of all rows.

    A tile leaves memory when it is complete, so the memory needed does not grow with the ledger.
    """

    def __init__(self) -> None:
        self._records: list[bytes] = []
        self._levels: list[list[bytes]] = [[]]
        self._complete: list[int] = [0]
        self.size = 0

    def files(self, rows: Iterable[Row]) -> Iterator[tuple[str, bytes]]:
        """(path, bytes) of every tile and bundle. Raises LedgerError for a row that is missing or not what its hash says."""
        for row in rows:
            leaf = record_leaf(row.record)
            if row.seq != self.size or row.leaf != leaf:
                raise LedgerError(
                    f"ledger: expected entry {self.size} as it was hashed, found another one; run `marketbot verify`"
                )
            self._records.append(row.record)
            self.size += 1
            yield from self._add(0, leaf)
        if self._records:
            yield tile_path(ENTRIES, self._complete[0], len(self._records)), bundle(self._records)
        for level, hashes in enumerate(self._levels):
            if hashes:
                yield tile_path(level, self._complete[level], len(hashes)), b"".join(hashes)

    @property
    def root(self) -> bytes:
        """Root of the rows so far."""
        below: list[bytes] = []
        for hashes in self._levels:
            row = hashes + below
            below = [subtree_root(row)] if row else []
        return subtree_root(below)

    def _add(self, level: int, digest: bytes) -> Iterator[tuple[str, bytes]]:
        if level == len(self._levels):
            self._levels.append([])
            self._complete.append(0)
        hashes = self._levels[level]
        hashes.append(digest)
        if len(hashes) < TILE_WIDTH:
            return
        number = self._complete[level]
        if level == 0:
            yield tile_path(ENTRIES, number), bundle(self._records)
            self._records.clear()
        yield tile_path(level, number), b"".join(hashes)
        above = subtree_root(hashes)
        hashes.clear()
        self._complete[level] = number + 1
        yield from self._add(level + 1, above)
