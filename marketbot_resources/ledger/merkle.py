"""Merkle trees as RFC 6962 defines them: leaf and node hashes, roots, inclusion and consistency proofs. Pure.

A tree is stored as the hashes of its complete subtrees: `node(level, place)` is the hash of the leaves
[place * 2**level, (place + 1) * 2**level). Leaves are level 0. Not here: where nodes are kept (`sqlite`, `postgres`), what a
leaf says (`record`), signatures (`note`).
"""

import hashlib
from collections.abc import Callable, Sequence

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
Nodes = Callable[[int, int], bytes]


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 || data), RFC 6962 section 2.1."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right), RFC 6962 section 2.1."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(size: int, node: Nodes) -> bytes:
    """Root of the first `size` leaves."""
    return _subtree(0, size, node)


def completed(size: int, leaf: bytes, node: Nodes) -> list[tuple[int, int, bytes]]:
    """(level, place, hash) of every subtree, the leaf itself first, that becomes complete when leaf number `size` is added."""
    made, place, digest = [(0, size, leaf)], size, leaf
    level = 0
    while place & 1:
        digest = node_hash(node(level, place - 1), digest)
        level, place = level + 1, place >> 1
        made.append((level, place, digest))
    return made


def inclusion_proof(index: int, size: int, node: Nodes) -> list[bytes]:
    """Hashes that lead from leaf `index` to the root of `size` leaves, nearest first (RFC 6962 section 2.1.1)."""
    if not 0 <= index < size:
        raise ValueError(f"expected a leaf below {size}, found {index}")
    return _path(index, 0, size, node)


def consistency_proof(old: int, new: int, node: Nodes) -> list[bytes]:
    """Hashes that show that the first `old` of `new` leaves have the old root (RFC 6962 section 2.1.2); empty for 0 and `new`."""
    if not 0 <= old <= new:
        raise ValueError(f"expected an old size up to {new}, found {old}")
    return _between(old, 0, new, node, whole=True) if 0 < old < new else []


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected_root: bytes) -> bool:
    """Whether the proof leads from a leaf hash to the root (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    place, last, digest = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            digest = node_hash(sibling, digest)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            digest = node_hash(digest, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and digest == expected_root


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the tree with `new_root` begins with the one with `old_root` (RFC 9162 section 2.1.4.2)."""
    if not 0 <= old <= new:
        return False
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    hashes = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not hashes:
        return False
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    before = after = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            after = node_hash(after, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and before == old_root and after == new_root


class Tree:
    """A tree in memory, built leaf by leaf: what verification recomputes and compares with what is stored."""

    def __init__(self) -> None:
        self._levels: list[list[bytes]] = [[]]

    @property
    def size(self) -> int:
        """Number of leaves."""
        return len(self._levels[0])

    def append(self, leaf: bytes) -> None:
        """Adds a leaf hash."""
        for level, _, digest in completed(self.size, leaf, self.node):
            if level == len(self._levels):
                self._levels.append([])
            self._levels[level].append(digest)

    def node(self, level: int, place: int) -> bytes:
        """Hash of a complete subtree."""
        return self._levels[level][place]

    def nodes(self, level: int) -> Sequence[bytes]:
        """Hashes of all complete subtrees of a level, left to right; empty above the tree."""
        return self._levels[level] if level < len(self._levels) else ()

    def root(self, size: int | None = None) -> bytes:
        """Root of the first `size` leaves, by default of all."""
        return root(self.size if size is None else size, self.node)


def _subtree(first: int, last: int, node: Nodes) -> bytes:
    """Hash of the leaves [first, last); `first` is a multiple of the largest power of two that fits in."""
    count = last - first
    if count == 0:
        return EMPTY_ROOT
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return node(level, first >> level)
    middle = first + _split(count)
    return node_hash(_subtree(first, middle, node), _subtree(middle, last, node))


def _split(count: int) -> int:
    """Largest power of two below `count`."""
    return 1 << ((count - 1).bit_length() - 1)


def _path(index: int, first: int, last: int, node: Nodes) -> list[bytes]:
    if last - first == 1:
        return []
    middle = first + _split(last - first)
    if index < middle:
        return [*_path(index, first, middle, node), _subtree(middle, last, node)]
    return [*_path(index, middle, last, node), _subtree(first, middle, node)]


def _between(old: int, first: int, last: int, node: Nodes, *, whole: bool) -> list[bytes]:
    """`whole`: the old tree is the complete left part so far, so the verifier knows its root already."""
    if old == last - first:
        return [] if whole else [_subtree(first, last, node)]
    half = _split(last - first)
    if old <= half:
        return [*_between(old, first, first + half, node, whole=whole), _subtree(first + half, last, node)]
    return [
        *_between(old - half, first + half, last, node, whole=False),
        _subtree(first, first + half, node),
    ]
