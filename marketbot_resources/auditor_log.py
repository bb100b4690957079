"""The standalone verifier's own reading of a signed log: trees, tiles, keys, heads, entries (RFC 6962, C2SP), and their check.

Written a second time on purpose: a fault in `ledger` must not hide itself. Not here: what the entries say and the files that
they name (`auditor`); both together are given away as one `verify.py`, this one first.
"""

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

WIDTH = 256
LOG, WITNESS = 1, 4
PROOF_HEADER = "c2sp.org/tlog-proof@v1"
SUMMARY, HEAD, KEYS = "export.json", "checkpoint", "vkey.txt"
EXPORT, PROOF = "export", "proof"
_MARK = "\ud800"  # half a character, which no JSON holds
KEPT = "log_key index_rows session_cutoff llm_call decision batch_frozen order_intent order_event order_final".split()
FIRST = ("ENTRIES", "LEAF", "TRUNCATED", "ROOT")  # of several faults of the log, these explain the others
BROKEN = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    zlib.error,
)


def sha256(*parts: bytes) -> bytes:
    """SHA-256 of the parts in a row. In the log's tree leaves begin with a 0, nodes with a 1 (RFC 6962 section 2.1)."""
    return hashlib.sha256(b"".join(parts)).digest()


def unbase64(text: str) -> bytes:
    """Base64 in its one form. Raises ValueError."""
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError(f"{text[:12]} is not base64 in its one form")
    return data


def plain(value: object) -> str:
    """JSON without blanks."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def leaf_hash(record: bytes) -> bytes:
    """Hash of an entry."""
    return sha256(b"\x00", record)


def tree_hash(hashes: Sequence[bytes]) -> bytes:
    """Root over consecutive hashes of one level: pairs joined upwards, an odd last one carried up."""
    level = list(hashes)
    while len(level) > 1:
        pairs = [sha256(b"\x01", left, right) for left, right in zip(level[::2], level[1::2], strict=False)]
        level = pairs + level[2 * len(pairs) :]
    return level[0] if level else sha256()


def tile_levels(leaves: list[bytes]) -> list[list[bytes]]:
    """The hashes that tiles hold: all leaves, then the root of every full tile of the level below."""
    levels = [leaves]
    while len(row := levels[-1]) >= WIDTH:
        levels.append([tree_hash(row[at : at + WIDTH]) for at in range(0, len(row) - WIDTH + 1, WIDTH)])
    return levels


def root_of(levels: list[list[bytes]], size: int) -> bytes:
    """Root of the first `size` leaves: the rest of each level, from the bottom up."""
    below: list[bytes] = []
    for level, row in enumerate(levels):
        last = size >> 8 * level
        rest = row[last // WIDTH * WIDTH : last] + below
        below = [tree_hash(rest)] if rest else []
    return tree_hash(below)


def roots_by_proof(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    """(root of the leaves up to this one, root of all): the hashes on the left of an inclusion proof are the earlier tree.

    So one proof shows that an entry is in a tree and that the tree which ended with it is its beginning. Raises ValueError.
    """
    if not 0 <= index < size or (size == 1) != (not path):
        raise ValueError("the proof has another length")
    if size == 1:
        return leaf, leaf
    half, top = 1 << ((size - 1).bit_length() - 1), path[-1]
    if index < half:
        before, after = roots_by_proof(leaf, index, half, path[:-1])
        return before, sha256(b"\x01", after, top)
    before, after = roots_by_proof(leaf, index - half, size - half, path[:-1])
    return sha256(b"\x01", top, before), sha256(b"\x01", top, after)


def tile_name(level: int | str, index: int, width: int) -> str:
    """Where a tile of hashes or a bundle of entries lies."""
    groups = f"{index % 1000:03d}"
    while index >= 1000:
        index //= 1000
        groups = f"x{index % 1000:03d}/{groups}"
    return f"tile/{level}/{groups}" + ("" if width == WIDTH else f".p/{width}")


def parse_bundle(data: bytes, count: int) -> list[bytes]:
    """The entries of a bundle, each behind its length in two bytes. Raises ValueError."""
    records, at = [], 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        records.append(data[at + 2 : end])
        at = end
    if at != len(data) or len(records) != count:
        raise ValueError(f"expected a bundle of {count} whole entries, found {len(records)}")
    return records


def parse_proof(text: str) -> tuple[int, list[bytes], str]:
    """(index, hashes, signed head) of an inclusion proof (C2SP tlog-proof). Raises ValueError."""
    told, _, note = text.partition("\n\n")
    header, index, *path = told.split("\n")
    if header != PROOF_HEADER or index != f"index {int(index[6:])}":
        raise ValueError("it is no proof of inclusion")
    return int(index[6:]), [unbase64(digest) for digest in path], note


def parse_record(data: bytes) -> tuple[str, str, Any]:
    """(kind, key, body) of an entry. Raises ValueError unless its JSON is in its one form (RFC 8785)."""
    found = json.loads(data, object_pairs_hook=_object, parse_float=_number, parse_int=_number, parse_constant=_number)
    if re.sub(f'"{_MARK}([^"]*)"', r"\1", plain(found)).encode() != data or list(found) != ["body", "key", "kind"]:
        raise ValueError("it is not the canonical form of a record")
    return str(found["kind"]), str(found["key"]), found["body"]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Keys ascend by their UTF-16 code units, each once."""
    names = [name.encode("utf-16-be") for name, _ in pairs]
    if names != sorted(set(names)):
        raise ValueError("the keys do not stand in their order")
    return dict(pairs)


def _number(text: str) -> int | str:
    """A number in ECMAScript's form: short integers as such, others as marked text, which goes out as it came in."""
    if len(text) < 16 and text.removeprefix("-").isdigit():
        return int(text)
    sign, digits, exponent = Decimal(repr(float(text))).normalize().as_tuple()
    shown, point = "".join(map(str, digits)), len(digits) + int(exponent)
    if not -6 < point <= 21:
        shown = shown[:1] + (f".{shown[1:]}" if shown[1:] else "") + f"e{point - 1:+d}"
    elif point <= 0:
        shown = f"0.{'0' * -point}{shown}"
    else:
        shown = f"{shown[:point]:0<{point}}" + (f".{shown[point:]}" if shown[point:] else "")
    if text != "-" * sign + shown:
        raise ValueError(f"{text[:30]} is no number in its one form")
    return _MARK + text


class Note(NamedTuple):
    """A signed head of the log as it lies in a file. `signatures`: (name of the key, its id and the signature)."""

    file: str
    text: str
    origin: str
    size: int
    root: bytes
    signatures: list[tuple[str, bytes]]


def parse_note(file: str, data: bytes) -> Note:
    """A note with a log's head (C2SP signed-note, tlog-checkpoint), its signatures not verified. Raises ValueError."""
    text, _, tail = data.decode().rpartition("\n\n")
    origin, size, root = text.split("\n")[:3]
    lines = [line.split(" ") for line in tail.removesuffix("\n").split("\n")]
    signatures = [(name, unbase64(signature)) for _, name, signature in lines]
    if not tail.endswith("\n") or {line[0] for line in lines} != {"\u2014"} or size != str(abs(int(size))):
        raise ValueError("it is no signed head of a log")
    return Note(file, text + "\n", origin, int(size), unbase64(root), signatures)


class Key(NamedTuple):
    """A public key (C2SP signed-note). `kind`: LOG or WITNESS; `id`: the four bytes before its signatures."""

    text: str
    name: str
    kind: int
    public: bytes
    id: bytes


def parse_key(text: str) -> Key:
    """A public key in its text form. Raises ValueError."""
    name, key_id, data = text.split("+", 2)
    raw = unbase64(data)
    key = Key(text, name, raw[0], raw[1:], sha256(name.encode(), b"\n", raw)[:4])
    if key.id.hex() != key_id or len(key.public) != 32 or key.kind not in (LOG, WITNESS):
        raise ValueError(f"the key {text[:40]} does not fit its id")
    return key


def signed_by(note: Note, key: Key) -> bool | None:
    """Whether the key's signature on a note holds; None when there is none."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    own = [data[4:] for name, data in note.signatures if (name, data[:4]) == (key.name, key.id)]
    if key.kind == LOG and key.name != note.origin:
        return None  # this key speaks for another log
    for data in own:
        message = note.text.encode()
        if key.kind == WITNESS:  # C2SP tlog-cosignature: the time in eight bytes, then the signature over time and text
            message = f"cosignature/v1\ntime {int.from_bytes(data[:8], 'big')}\n".encode() + message
            data = data[8:]
        try:
            Ed25519PublicKey.from_public_bytes(key.public).verify(data, message)
        except InvalidSignature:
            return False
    return bool(own) or None


class Fault(NamedTuple):
    """One thing that is not as it was signed. `touches`: manifests and bodies that it is about; `entry`: its place in the log."""

    code: str
    where: str
    message: str
    touches: tuple[str, ...] = ()
    entry: int | None = None


class LogCheck:
    """The log in a folder and what is wrong with it. `keys`: public keys from elsewhere."""

    def __init__(self, folder: Path, keys: Iterable[str]) -> None:
        self.given = [parse_key(text.strip()) for text in keys]
        self.summary: dict[str, Any] = {}
        self.files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        self.used: set[str] = set()
        self.notes: list[Note] = []
        self.head = Note(HEAD, "", "", 0, b"", [])  # the newest one
        self.good, self.roots = {0}, dict[int, bytes]()  # sizes of heads that hold; size -> root as the entries have it
        self.entries: dict[str, dict[str, tuple[int, Any]]] = {kind: {} for kind in KEPT}
        self.seen: set[tuple[str, str]] = set()
        self.faults: list[Fault] = []
        self.told: dict[str, str] = {}

    def run(self, *groups: Callable[[], Iterator[Fault]]) -> None:
        """Runs checks; `told` then has a line for each that found nothing."""
        for group in groups:
            found: list[Fault] = []
            try:
                for fault in group():
                    found.append(fault)
            except FileNotFoundError as error:
                found.append(Fault("MISSING", str(error), "it is not here"))
            except BROKEN as error:
                found.append(Fault("UNREADABLE", group.__name__, f"{type(error).__name__}: {error}"))
            self.faults += sorted(found, key=lambda fault: (*FIRST, fault.code).index(fault.code))
            if found:
                self.told.pop(group.__name__, None)

    def read(self, name: str) -> bytes:
        """A file, which thereby belongs here. Raises FileNotFoundError."""
        self.used.add(name)
        if name not in self.files:
            raise FileNotFoundError(name)
        return self.files[name].read_bytes()

    def heads(self) -> Iterator[Fault]:
        """Every head is a note of this log, and the newest is the one that counts."""
        places = (HEAD, "checkpoints/", "anchors/")
        for name in sorted(name for name in self.files if name.startswith(places)):
            try:
                note = parse_note(name, self.read(name))
            except BROKEN as error:
                yield Fault("NOTE", name, f"it is no signed head: {error}")
                continue
            self.notes.append(note)
            if note.origin != self.summary["origin"]:
                yield Fault("ORIGIN", name, f"expected a head of {self.summary['origin']}, found one of {note.origin}")
            if name.startswith("checkpoints/") and name != f"checkpoints/{note.size}.txt":
                yield Fault("NOTE", name, f"it holds the head of {note.size} entries")
        own = [note for note in self.notes if note.file.startswith("checkpoints/")]
        if not own:
            yield Fault("NOTE", HEAD, "there is no signed head")
            return
        self.head = max(own, key=lambda note: note.size)
        if HEAD not in self.files or self.read(HEAD) != self.read(self.head.file):
            yield Fault("NOTE", HEAD, f"it is not the newest head, {self.head.file}")
        self.told["heads"] = f"{len(own)} of {self.head.origin}, {len(self.notes) - len(own) - 1} more from anchors"

    def log(self) -> Iterator[Fault]:
        """Every entry is in the tree of the newest head, and every other head is a beginning of it."""
        yield from self._proven() if self.summary["kind"] == PROOF else self._whole()
        for note in self.notes:
            if note.size > self.head.size:
                yield Fault("TRUNCATED", note.file, f"it signs {note.size} entries, here are {self.head.size}")
            elif self.roots.get(note.size) != note.root:
                yield Fault("ROOT", note.file, f"it signs another history of {note.size} entries", entry=note.size - 1)
        told = "each proven to be in it" if self.summary["kind"] == PROOF else "whole"
        self.told["log"] = f"{len(self.seen)} entries, {told}, up to {self.head.size}; root {self.head.root.hex()}"

    def _whole(self) -> Iterator[Fault]:
        leaves: list[bytes] = []
        for first in range(0, self.head.size, WIDTH):
            width = min(WIDTH, self.head.size - first)
            try:
                records = parse_bundle(self.read(tile_name("entries", first // WIDTH, width)), width)
            except BROKEN as error:
                yield Fault("ENTRIES", f"entry {first}", f"no bundle of entries: {error}", entry=first)
                break
            for seq, record in enumerate(records, first):
                leaves.append(leaf_hash(record))
                yield from self._entry(seq, record)
        levels = tile_levels(leaves)
        self.roots |= {note.size: root_of(levels, note.size) for note in self.notes if note.size <= len(leaves)}
        self.good |= {note.size for note in self.notes if self.roots.get(note.size) == note.root}
        for level, row in enumerate(levels):
            for at in range(0, len(row), WIDTH):
                yield from self._tile(level, at // WIDTH, row[at : at + WIDTH])

    def _tile(self, level: int, index: int, hashes: list[bytes]) -> Iterator[Fault]:
        name = tile_name(level, index, len(hashes))
        data = self.read(name) if name in self.files else b""
        if data == b"".join(hashes):
            return
        place = next((at for at, digest in enumerate(hashes) if data[32 * at : 32 * at + 32] != digest), len(hashes))
        seq = index * WIDTH + place
        if level == 0 and seq >= max(self.good):
            yield Fault("LEAF", f"entry {seq}", f"the record does not have its hash in {name}", entry=seq)
        else:
            yield Fault("TILE", name, f"its hash {place} is not that of the entries")

    def _proven(self) -> Iterator[Fault]:
        for name in sorted(name for name in self.files if name.startswith("entries/")):
            record = self.read(name)
            try:
                seq = int(name.removeprefix("entries/").removesuffix(".json"))
                index, path, note = parse_proof(self.read(f"proofs/{seq}.tlog-proof").decode())
                before, root = roots_by_proof(leaf_hash(record), seq, self.head.size, path)
                if (index, note.encode()) != (seq, self.read(HEAD)):
                    raise ValueError("the proof is another one's")
            except BROKEN as error:
                yield Fault("PROOF", name, f"{error}")
                continue
            if root == self.head.root:
                self.roots |= {seq + 1: before, self.head.size: root}
            else:
                yield Fault("LEAF", f"entry {seq}", "the record is not the one in the signed log", entry=seq)
            yield from self._entry(seq, record)
        self.good |= {note.size for note in self.notes if self.roots.get(note.size) == note.root}

    def _entry(self, seq: int, record: bytes) -> Iterator[Fault]:
        try:
            kind, key, body = parse_record(record)
        except BROKEN as error:
            yield Fault("RECORD", f"entry {seq}", f"{error}", entry=seq)
            return
        if (kind, key) in self.seen:
            yield Fault("DOUBLE", f"entry {seq}", f"{kind} {key} is recorded twice", entry=seq)
        self.seen.add((kind, key))
        if kind in self.entries:
            self.entries[kind][key] = (seq, None if kind in KEPT[-2:] else body)

    def keys(self) -> Iterator[Fault]:
        """Every head is signed by a key that is trusted: one given, or one named by entries that a trusted key has signed."""
        named = sorted((seq, parse_key(body["vkey"])) for seq, body in self.entries["log_key"].values())
        if self.read(KEYS).decode() != "".join(f"{key.text}\n" for _, key in reversed(named)):
            yield Fault("KEY", KEYS, "it does not list the keys that the log names")
        trusted = [key for key in self.given if key.kind == LOG] or [key for _, key in named]
        for _ in named:
            signed = max((note.size for note in self.notes if any(signed_by(note, key) for key in trusted)), default=0)
            trusted += [key for seq, key in named if seq < signed and key not in trusted]
        signed_roots: dict[int, bytes] = {}
        for note in self.notes:
            answers = [signed_by(note, key) for key in trusted]
            if False in answers:
                yield Fault("SIGNATURE", note.file, "a signature of the log does not hold", entry=0)
            elif True in answers and signed_roots.setdefault(note.size, note.root) != note.root:
                yield Fault("EQUIVOCATION", note.file, f"two roots were signed for {note.size} entries", entry=0)
            elif True not in answers:
                yield Fault("SIGNATURE", note.file, f"none of these keys signed it: {_texts(trusted)}", entry=0)
        for key in (key for key in self.given if key.kind == WITNESS):
            answers = [signed_by(note, key) for note in self.notes]
            if False in answers or True not in answers:
                yield Fault("SIGNATURE", key.name, "no cosignature of this witness, or one that fails", entry=0)
        self.told["keys"] = _texts(trusted)


def _texts(keys: Iterable[Key]) -> str:
    return ", ".join(key.text for key in keys) or "none"
