"""What an entry says and how it becomes bytes: canonical JSON of kind, key and body (RFC 8785). Pure.

A leaf covers the whole record, so nothing about an entry stands outside of its hash; its number is fixed by its place in the
tree. Money and quantities are decimal strings, instants RFC 3339 UTC strings. Not here: trees (`merkle`), storage.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from marketbot_resources.errors import LedgerError
from marketbot_resources.ledger.merkle import leaf_hash

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
RECORD_BYTES_MAX = 65_535  # a bundle of entries gives each length 16 bits (C2SP tlog-tiles)
_INEXACT = 2**53
SENDING_FENCE = "sending_fence"
NAME_BYTES_MAX = 1_000  # kind and key together: what a database can index


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as stored. `seq` counts from 0: the index of its leaf; `hash` is the leaf hash in hex."""

    seq: int
    kind: str
    key: str
    body: Mapping[str, Json]
    hash: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that an entry is durable: its leaf's index and hash, and whether this call added it."""

    seq: int
    hash: str
    added: bool


@dataclass(frozen=True, slots=True)
class Fence:
    """The right to send an account's orders: the `number`-th token (from 1). Only the newest of the ledger is worth anything."""

    account: str
    number: int

    @property
    def key(self) -> str:
        """Its key among the entries of kind SENDING_FENCE."""
        return f"{self.account}/{self.number}"

    @property
    def next_key(self) -> str:
        """The key that must not be there yet."""
        return f"{self.account}/{self.number + 1}"


@dataclass(frozen=True, slots=True)
class Row:
    """One entry as the database holds it, believed by no one: every column."""

    seq: int
    kind: str
    key: str
    record: bytes
    leaf: bytes

    def entry(self) -> Entry:
        """The entry that the record holds."""
        return Entry(self.seq, self.kind, self.key, parse_record(self.record)[2], self.leaf.hex())


def canonical_json(value: Mapping[str, Json]) -> bytes:
    """RFC 8785 bytes. Refuses NaN, infinities, big integers and non-text keys."""
    import rfc8785

    try:
        return rfc8785.dumps(cast("dict[str, object]", value))  # type: ignore[arg-type]
    except (rfc8785.CanonicalizationError, TypeError, ValueError, RecursionError) as error:
        raise LedgerError(f"ledger: expected plain JSON values, found: {error}") from error


def record_bytes(kind: str, key: str, body: Mapping[str, Json]) -> bytes:
    """The bytes of an entry. Raises LedgerError for values that are no plain JSON, for more than RECORD_BYTES_MAX, and for a
    kind and key with a NUL or of more than NAME_BYTES_MAX.
    """
    data = canonical_json({"kind": kind, "key": key, "body": body})
    if "\0" in kind + key or len((kind + key).encode()) > NAME_BYTES_MAX:
        raise LedgerError(
            f"ledger: expected a kind and key of at most {NAME_BYTES_MAX} bytes without NUL, found {(kind + key)[:80]!r}"
        )
    if len(data) > RECORD_BYTES_MAX:
        raise LedgerError(
            f"ledger: expected an entry of at most {RECORD_BYTES_MAX} bytes, found {len(data)} in {kind} {key}"
        )
    return data


def parse_record(data: bytes) -> tuple[str, str, Mapping[str, Json]]:
    """(kind, key, body) of an entry's bytes. Raises LedgerError when they are no record."""
    import json

    try:
        found = json.loads(data, parse_int=_number)
        kind, key, body = found["kind"], found["key"], found["body"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise LedgerError(f"ledger: expected a record of kind, key and body, found: {error}") from error
    if not (isinstance(kind, str) and isinstance(key, str) and isinstance(body, dict) and len(found) == 3):
        raise LedgerError("ledger: expected a record of kind, key and body, found another object")
    return kind, key, body


def _number(digits: str) -> int | float:
    """Every number is a double (RFC 8785): one without a fraction comes back as it went in, also when it is no exact integer."""
    exact = int(digits)
    return exact if abs(exact) < _INEXACT else float(digits)


def is_canonical(data: bytes) -> bool:
    """Whether an entry's bytes are in RFC 8785 form. Plain JSON tells it for all but fractions, at a tenth of the cost."""
    import json

    inexact = False

    def number(text: str) -> float:
        nonlocal inexact
        inexact = True
        return float(text)

    found = json.loads(data, parse_float=number, parse_constant=number, parse_int=_number)
    plain = json.dumps(found, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    return plain == data if plain == data and not inexact else canonical_json(found) == data


def record_leaf(data: bytes) -> bytes:
    """Leaf hash of an entry's bytes."""
    return leaf_hash(data)
