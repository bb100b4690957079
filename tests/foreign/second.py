"""Roots and proofs of an export or a proof, from the text of RFC 6962 section 2.1 and the C2SP documents; nothing of the project.

Signatures are not looked at: Go's note package does that. `python second.py FOLDER` prints what was checked, or fails.
"""

import base64
import hashlib
import struct
import sys
from pathlib import Path


def h(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def mth(d: list[bytes]) -> bytes:
    """The Merkle Tree Hash, with k the largest power of two smaller than n."""
    if len(d) == 0:
        return h(b"")
    if len(d) == 1:
        return h(b"\x00" + d[0])
    k = largest_below(len(d))
    return h(b"\x01" + mth(d[:k]) + mth(d[k:]))


def largest_below(n: int) -> int:
    return max(2**i for i in range(n.bit_length()) if 2**i < n)


def climb(m: int, n: int, leaf: bytes, path: list[bytes]) -> bytes:
    """MTH(D[n]) from the leaf m and PATH(m, D[n]), whose last hash is the root's other child."""
    if n == 1:
        assert path == []
        return leaf
    k = largest_below(n)
    if m < k:
        return h(b"\x01" + climb(m, k, leaf, path[:-1]) + path[-1])
    return h(b"\x01" + path[-1] + climb(m - k, n - k, leaf, path[:-1]))


def head(text: str) -> tuple[int, bytes]:
    _, size, root = text.split("\n")[:3]
    return int(size), base64.b64decode(root)


def number(path: Path, below: Path) -> int:
    """The N of a tile's path: x001/x234/067 is 1234067; a partial tile's width is dropped."""
    parts = [part.removesuffix(".p") for part in path.relative_to(below).parts]
    parts = parts[:-1] if path.parent.name.endswith(".p") else parts
    return int("".join(part.removeprefix("x") for part in parts))


def tiles(below: Path) -> list[bytes]:
    """The tiles of one level, or the bundles, by number."""
    found = {number(path, below): path.read_bytes() for path in below.rglob("*") if path.is_file()}
    assert sorted(found) == list(range(len(found)))
    return [found[n] for n in sorted(found)]


def entries(folder: Path) -> list[bytes]:
    data, found = b"".join(tiles(folder / "tile" / "entries")), []
    while data:
        (size,) = struct.unpack(">H", data[:2])
        found.append(data[2 : 2 + size])
        data = data[2 + size :]
    return found


def check_export(folder: Path) -> str:
    d = entries(folder)
    heads = [head(path.read_text()) for path in (folder / "checkpoints").iterdir()]
    for size, root in heads:
        assert mth(d[:size]) == root, size
    assert head((folder / "checkpoint").read_text()) == (len(d), mth(d))
    for level in range(64):
        width = 256**level
        hashes = [mth(d[i : i + width]) for i in range(0, len(d) // width * width, width)]
        if not hashes:
            break
        assert b"".join(tiles(folder / "tile" / str(level))) == b"".join(hashes), level
    return f"export: {len(d)} entries, {len(heads)} heads"


def check_proof(folder: Path) -> str:
    size, root = head((folder / "checkpoint").read_text())
    names = sorted(path.stem for path in (folder / "entries").iterdir())
    for name in names:
        proof, _, note = (folder / "proofs" / f"{name}.tlog-proof").read_text().partition("\n\n")
        first, second, *path = proof.split("\n")
        assert (first, second, note) == ("c2sp.org/tlog-proof@v1", f"index {name}", (folder / "checkpoint").read_text())
        leaf = h(b"\x00" + (folder / "entries" / f"{name}.json").read_bytes())
        assert climb(int(name), size, leaf, [base64.b64decode(line) for line in path]) == root, name
    return f"proof: {len(names)} entries of {size}"


if __name__ == "__main__":
    place = Path(sys.argv[1])
    print(check_export(place) if (place / "tile").exists() else check_proof(place))
