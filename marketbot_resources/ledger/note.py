"""Signed notes and checkpoints as C2SP defines them (signed-note, tlog-checkpoint, tlog-cosignature, tlog-proof). Pure.

A note is text and signature lines; a checkpoint is a note whose text names a log, its size and its root. Any tool that
speaks these formats can read ours. Not here: who signs and when (`signer`, `witness`), trees (`merkle`).
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from marketbot_resources.errors import LedgerError
from marketbot_resources.ledger.merkle import HASH_BYTES

ED25519, COSIGNATURE_V1 = 0x01, 0x04
PROOF_HEADER = "c2sp.org/tlog-proof@v1"
_DASH = "\u2014"
_KEY_BYTES, _SIGNATURE_BYTES, _TIME_BYTES = 32, 64, 8
_SIGNATURES_MAX = 100


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """A public key by name. `kind`: ED25519 for a log, COSIGNATURE_V1 for a witness."""

    name: str
    kind: int
    public: bytes

    @property
    def key_id(self) -> bytes:
        """The four bytes that stand before a signature by this key."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    @property
    def text(self) -> str:
        """The key in its text form (vkey): name+id+key."""
        return f"{self.name}+{self.key_id.hex()}+{_b64(bytes([self.kind]) + self.public)}"


@dataclass(frozen=True, slots=True)
class SignKey:
    """A private key; `text` is what its owner keeps in a file that no one else can read."""

    name: str
    kind: int
    seed: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """The key in its text form: PRIVATE+KEY+name+id+seed."""
        return f"PRIVATE+KEY+{self.name}+{self.public.key_id.hex()}+{_b64(bytes([self.kind]) + self.seed)}"

    @property
    def public(self) -> VerifyKey:
        """The key that verifies what this one signs."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        raw = Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw()
        return VerifyKey(self.name, self.kind, raw)

    def sign(self, message: bytes) -> bytes:
        """Ed25519 signature of a message."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.from_private_bytes(self.seed).sign(message)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log: its name, number of entries and root (RFC 6962)."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The note's text."""
        return f"{self.origin}\n{self.size}\n{_b64(self.root)}\n"


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line of a note."""

    name: str
    key_id: bytes
    data: bytes

    @property
    def line(self) -> str:
        """The line without its end."""
        return f"{_DASH} {self.name} {_b64(self.key_id + self.data)}"


def new_key(name: str, kind: int = ED25519) -> SignKey:
    """A fresh key from the system's randomness."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    _check_name(name)
    return SignKey(name, kind, Ed25519PrivateKey.generate().private_bytes_raw())


def parse_verify_key(text: str) -> VerifyKey:
    """A vkey. Raises LedgerError when it is malformed or its id does not fit."""
    name, key_id, data = _key_parts(text.strip(), "a public key")
    key = VerifyKey(name, data[0], data[1:])
    if key.key_id != key_id:
        raise LedgerError(f"note: expected key id {key.key_id.hex()} of {name}, found {key_id.hex()}")
    return key


def parse_sign_key(text: str) -> SignKey:
    """A private key in text form. Raises LedgerError, which never shows the key."""
    head = "PRIVATE+KEY+"
    if not text.startswith(head):
        raise LedgerError("note: expected a private key, found other text")
    name, key_id, data = _key_parts(text[len(head) :].strip(), "a private key")
    key = SignKey(name, data[0], data[1:])
    if key.public.key_id != key_id:
        raise LedgerError(f"note: the private key of {name} does not fit its id")
    return key


def sign_checkpoint(checkpoint: Checkpoint, key: SignKey) -> str:
    """The checkpoint as a note signed by the log's key."""
    assert key.kind == ED25519
    text = checkpoint.text
    signature = Signature(key.name, key.public.key_id, key.sign(text.encode()))
    return f"{text}\n{signature.line}\n"


def cosign(note: str, key: SignKey, at_seconds: int) -> str:
    """A witness's signature line over a checkpoint (C2SP tlog-cosignature, cosignature/v1). `at_seconds`: POSIX time."""
    assert key.kind == COSIGNATURE_V1
    text, _ = split_note(note)
    data = at_seconds.to_bytes(_TIME_BYTES, "big") + key.sign(_cosigned(text, at_seconds))
    return Signature(key.name, key.public.key_id, data).line


def with_signatures(note: str, lines: Iterable[str]) -> str:
    """The note with more signature lines."""
    return note + "".join(f"{line}\n" for line in lines)


def split_note(note: str) -> tuple[str, list[Signature]]:
    """(text, signatures) of a note, nothing verified. Raises LedgerError when it is malformed."""
    text, gap, tail = note.rpartition("\n\n")
    if not gap or not tail.endswith("\n") or any(character < " " and character != "\n" for character in note):
        raise LedgerError("note: expected text, an empty line and signature lines, found other text")
    lines = tail[:-1].split("\n")
    if len(lines) > _SIGNATURES_MAX:
        raise LedgerError(f"note: expected at most {_SIGNATURES_MAX} signatures, found {len(lines)}")
    return text + "\n", [_signature(line) for line in lines]


def open_note(note: str, keys: Sequence[VerifyKey]) -> tuple[str, list[VerifyKey]]:
    """(text, the keys whose signature holds). Raises LedgerError for a malformed note and for a known key whose signature fails."""
    text, signatures = split_note(note)
    good = []
    for key in keys:
        for signature in signatures:
            if (signature.name, signature.key_id) != (key.name, key.key_id):
                continue
            if not _holds(text, signature.data, key):
                raise LedgerError(f"note: the signature of {key.name} does not hold")
            good.append(key)
            break
    return text, good


def parse_checkpoint(text: str) -> Checkpoint:
    """The checkpoint in a note's text; further lines are ignored. Raises LedgerError when it is malformed."""
    lines = text.split("\n")
    if (
        len(lines) < 4
        or not lines[0]
        or not (lines[1].isascii() and lines[1].isdigit())
        or lines[1] != str(int(lines[1]))
    ):
        raise LedgerError(f"note: expected a checkpoint of origin, size and root, found {text[:80]!r}")
    digest = _bytes(lines[2], "a root")
    if len(digest) != HASH_BYTES:
        raise LedgerError(f"note: expected a root of {HASH_BYTES} bytes, found {len(digest)}")
    return Checkpoint(lines[0], int(lines[1]), digest)


def open_checkpoint(note: str, key: VerifyKey) -> Checkpoint:
    """The checkpoint of a note that this key signed. Raises LedgerError when it did not, or names another log."""
    text, good = open_note(note, [key])
    if not good:
        raise LedgerError(f"note: expected a signature of {key.name}, found none")
    found = parse_checkpoint(text)
    if key.kind == ED25519 and found.origin != key.name:
        raise LedgerError(f"note: expected a checkpoint of {key.name}, found one of {found.origin}")
    return found


def proof_text(index: int, proof: Sequence[bytes], note: str) -> str:
    """An inclusion proof with its checkpoint (C2SP tlog-proof)."""
    hashes = "".join(f"{_b64(digest)}\n" for digest in proof)
    return f"{PROOF_HEADER}\nindex {index}\n{hashes}\n{note}"


def _holds(text: str, data: bytes, key: VerifyKey) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    message = text.encode()
    if key.kind == COSIGNATURE_V1:
        if len(data) != _TIME_BYTES + _SIGNATURE_BYTES:
            return False
        message, data = _cosigned(text, int.from_bytes(data[:_TIME_BYTES], "big")), data[_TIME_BYTES:]
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(data, message)
    except InvalidSignature:
        return False
    return True


def _cosigned(text: str, at_seconds: int) -> bytes:
    return f"cosignature/v1\ntime {at_seconds}\n{text}".encode()


def _signature(line: str) -> Signature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != _DASH:
        raise LedgerError(f"note: expected a signature line, found {line[:80]!r}")
    _check_name(parts[1])
    data = _bytes(parts[2], "a signature")
    if len(data) < 4 + _SIGNATURE_BYTES:
        raise LedgerError(f"note: expected a signature of {parts[1]}, found {len(data)} bytes")
    return Signature(parts[1], data[:4], data[4:])


def _key_parts(text: str, what: str) -> tuple[str, bytes, bytes]:
    parts = text.split("+", 2)
    if len(parts) != 3 or len(parts[1]) != 8:
        raise LedgerError(f"note: expected {what} like name+id+key, found other text")
    _check_name(parts[0])
    data = _bytes(parts[2], what)
    if len(data) != 1 + _KEY_BYTES or data[0] not in (ED25519, COSIGNATURE_V1):
        raise LedgerError(f"note: expected {what} of Ed25519, found {len(data)} bytes of another kind")
    try:
        return parts[0], bytes.fromhex(parts[1]), data
    except ValueError as error:
        raise LedgerError(f"note: expected {what} with a hex id, found other text") from error


def _check_name(name: str) -> None:
    if not name or "+" in name or any(character.isspace() for character in name):
        raise LedgerError(f"note: expected a key name without blanks and plus signs, found {name!r}")


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise LedgerError(f"note: expected {what} in base64, found other text") from error
