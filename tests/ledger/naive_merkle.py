"""RFC 6962 section 2.1 written down as it stands there, over lists: slow, plain, and no code of the project."""

import hashlib
from collections.abc import Sequence


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def split(count: int) -> int:
    """The largest power of two smaller than `count`."""
    k = 1
    while k * 2 < count:
        k *= 2
    return k


def head(data: Sequence[bytes]) -> bytes:
    """MTH(D[n])."""
    if not data:
        return sha256(b"")
    if len(data) == 1:
        return sha256(b"\x00" + data[0])
    k = split(len(data))
    return sha256(b"\x01" + head(data[:k]) + head(data[k:]))


def path(m: int, data: Sequence[bytes]) -> list[bytes]:
    """PATH(m, D[n])."""
    if len(data) == 1:
        return []
    k = split(len(data))
    return [*path(m, data[:k]), head(data[k:])] if m < k else [*path(m - k, data[k:]), head(data[:k])]


def proof(m: int, data: Sequence[bytes]) -> list[bytes]:
    """PROOF(m, D[n]) for 0 < m < n."""
    return subproof(m, data, True)


def subproof(m: int, data: Sequence[bytes], whole: bool) -> list[bytes]:
    """SUBPROOF(m, D[n], b)."""
    if m == len(data):
        return [] if whole else [head(data)]
    k = split(len(data))
    if m <= k:
        return [*subproof(m, data[:k], whole), head(data[k:])]
    return [*subproof(m - k, data[k:], False), head(data[:k])]


def complete(data: Sequence[bytes]) -> dict[tuple[int, int], bytes]:
    """Every complete subtree above the leaves: (level, place) -> hash."""
    found, level = {}, 1
    while 1 << level <= len(data):
        width = 1 << level
        for place in range(len(data) // width):
            found[level, place] = head(data[place * width : (place + 1) * width])
        level += 1
    return found
