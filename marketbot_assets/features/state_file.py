"""What the next session needs as bytes: a header in JSON, the arrays as little-endian doubles, a SHA-256 over all. Pure.

A body that was altered, cut short, or made by other formulas, code or inputs is refused: the answer is a full build.
Not here: where bodies lie (`marketbot_resources.store`).
"""

import hashlib
import json

import numpy as np

from marketbot_assets.features.engine import State
from marketbot_resources.errors import StoreError

MAGIC = b"marketbot features 1\n"
_DIGEST = 32


def encode(state: State, instruments: tuple[str, ...]) -> bytes:
    """The state of these instruments, its columns, in their order."""
    assert len(instruments) == state.count, "one name per column"
    arrays = [
        (kind, place, rows)
        for kind, held in (("history", state.history), ("carried", state.carried))
        for place, rows in sorted(held.items())
    ]
    header = {
        "version": state.version,
        "number": state.number,
        "instruments": list(instruments),
        "arrays": [[kind, place, *rows.shape] for kind, place, rows in arrays],
    }
    head = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    body = b"".join(np.ascontiguousarray(rows, dtype="<f8").tobytes() for _, _, rows in arrays)
    whole = MAGIC + len(head).to_bytes(8, "little") + head + body
    return whole + hashlib.sha256(whole).digest()


def decode(body: bytes, version: str) -> tuple[State, tuple[str, ...]]:
    """The state and its instruments. Raises StoreError when the body is not whole or of another version."""
    whole, digest = body[:-_DIGEST], body[-_DIGEST:]
    if not body.startswith(MAGIC) or hashlib.sha256(whole).digest() != digest:
        raise StoreError("state of features: expected a whole body, found an altered one; build the features anew")
    start = len(MAGIC) + 8
    end = start + int.from_bytes(whole[len(MAGIC) : start], "little")
    header = json.loads(whole[start:end])
    if header["version"] != version:
        raise StoreError(
            f"state of features: expected version {version[:16]}, found {str(header['version'])[:16]}; build them anew"
        )
    held: dict[str, dict[int, np.ndarray]] = {"history": {}, "carried": {}}
    for kind, place, rows, columns in header["arrays"]:
        size = rows * columns * 8
        held[kind][place] = np.frombuffer(whole[end : end + size], dtype="<f8").reshape(rows, columns).copy()
        end += size
    names = tuple(str(name) for name in header["instruments"])
    return State(version, int(header["number"]), len(names), held["history"], held["carried"]), names
