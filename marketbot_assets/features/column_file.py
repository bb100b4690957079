"""One column's matrix as a body that is used where it lies: a header in JSON, the numbers, a SHA-256 over all. Pure.

A body names the contents that it was made from and is refused when it was altered, cut short or made from others: the answer is
to read the store's objects again. Numbers are little-endian and of 32 bits where all of them survive that, else of 64, so that
what is read is to the bit what was given. Not here: the matrices' making (`columns`), where bodies lie (the caller).
"""

import hashlib
import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from marketbot_assets.normalization.window import Floats
from marketbot_resources.errors import StoreError

MAGIC = b"marketbot column 1\n"
_ALIGNMENT, _DIGEST = 64, 32
Numbers = NDArray[np.float32] | NDArray[np.float64]


def encode(values: Floats, made_from: Sequence[str]) -> bytes:
    """A matrix (sessions, instruments). `made_from`: hashes of the contents that it was read from, in their order."""
    with np.errstate(over="ignore"):
        short = values.astype("<f4")
    exact = np.array_equal(short.astype(np.float64), values, equal_nan=True)
    kind = "<f4" if exact else "<f8"
    header = {"made_from": list(made_from), "shape": list(values.shape), "type": kind}
    head = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    start = len(MAGIC) + 8 + len(head)
    head += b" " * (-start % _ALIGNMENT)
    numbers = short if exact else np.ascontiguousarray(values, dtype="<f8")
    whole = MAGIC + len(head).to_bytes(8, "little") + head + numbers.tobytes()
    return whole + hashlib.sha256(whole).digest()


def decode(body: bytes | memoryview, made_from: Sequence[str]) -> Numbers:
    """A read-only view of the matrix in the body. Raises StoreError for one that is not whole or made from other contents."""
    view = memoryview(body)
    whole, digest = view[:-_DIGEST], bytes(view[-_DIGEST:])
    if bytes(view[: len(MAGIC)]) != MAGIC or hashlib.sha256(whole).digest() != digest:
        raise StoreError("column: expected a whole body, found an altered one; read the store's objects again")
    start = len(MAGIC) + 8
    end = start + int.from_bytes(view[len(MAGIC) : start], "little")
    header = json.loads(bytes(view[start:end]))
    if header["made_from"] != list(made_from):
        raise StoreError("column: expected one made from other contents; read the store's objects again")
    found: Numbers = np.frombuffer(whole[end:], dtype=header["type"]).reshape(header["shape"])
    found.flags.writeable = False
    return found
