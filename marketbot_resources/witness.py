"""The witness: cosigns a log's checkpoint only when it continues the last one that it cosigned (C2SP tlog-witness). Core.

Run it where whoever runs the log cannot reach it. State folder: `key`, `vkey`, `lock`, per log `<sha256 of its origin>.note`,
the last cosigned note, and `logs`: public keys of logs, one a line, which an operator may add to while it runs. A note is on
the disk before its cosignature is handed out. Not here: HTTP (`witness_http`), the command (`commands.witness`).
"""

import base64
import binascii
import hashlib
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from marketbot_resources.errors import HomeError, LedgerError
from marketbot_resources.ledger.merkle import EMPTY_ROOT, HASH_BYTES, verify_consistency
from marketbot_resources.ledger.note import (
    COSIGNATURE_V1,
    ED25519,
    Checkpoint,
    SignKey,
    VerifyKey,
    cosign,
    new_key,
    open_note,
    parse_checkpoint,
    parse_sign_key,
    parse_verify_key,
    split_note,
    with_signatures,
)
from marketbot_resources.private_folder import PrivateFolder

NAME = "marketbot.witness"
KEY, VKEY, LOGS = "key", "vkey", "logs"
REQUEST_BYTES_MAX = 262_144  # a note has up to 16 signatures, and those of other algorithms are long
PROOF_HASHES_MAX, SIZE_MAX = 63, 2**63 - 1
TEXT, SIZE = "text/plain; charset=utf-8", "text/x.tlog.size"
OK, MALFORMED, UNKNOWN_KEY, UNKNOWN_LOG, CONFLICT, BAD_PROOF = 200, 400, 403, 404, 409, 422
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. `about`: the log and the reason, for the operator."""

    status: int
    body: str
    kind: str = TEXT
    about: str = ""


class _Refused(Exception):
    """A request that gets no cosignature."""

    def __init__(self, status: int, reason: str, about: str = "") -> None:
        super().__init__(reason)
        self.answer = Answer(status, f"{reason}\n", TEXT, f"{about} {reason}".strip())


class Witness:
    """One witness over its folder, whose lock it holds (`open_witness`). Safe for many threads.

    Methods raise HomeError when the folder cannot be used; what a request says is answered, never raised.
    """

    def __init__(
        self, folder: PrivateFolder, key: SignKey, logs: Sequence[VerifyKey], seconds: Callable[[], int]
    ) -> None:
        self._folder, self._key, self._given, self._seconds = folder, key, tuple(logs), seconds
        self.one_step = threading.Lock()

    @property
    def vkey(self) -> VerifyKey:
        """The key that verifies its cosignatures."""
        return self._key.public

    def logs(self) -> list[VerifyKey]:
        """Public keys of the logs that it serves: those given at its start and those in its file."""
        return [*self._given, *parse_logs((self._folder.read(LOGS) or "").splitlines(), str(self._folder.path / LOGS))]

    def add_checkpoint(self, body: bytes) -> Answer:
        """Cosigns the checkpoint of a request, or says why not."""
        try:
            old, proof, note = _parse_request(body)
            checkpoint, text, lines = self._authentic(note)
            with self.one_step:
                return self._step(old, proof, checkpoint, with_signatures(f"{text}\n", lines))
        except _Refused as refused:
            return refused.answer

    def checkpoint(self, origin_sha256: str) -> Answer:
        """The last cosigned note of a log, with the cosignature."""
        note = self._folder.read(f"{origin_sha256}.note") if re.fullmatch("[0-9a-f]{64}", origin_sha256) else None
        return Answer(UNKNOWN_LOG, "nothing cosigned for this log\n") if note is None else Answer(OK, note)

    def _authentic(self, note: str) -> tuple[Checkpoint, str, list[str]]:
        """(checkpoint, note text, the log's signature lines) of a note that one of the log's known keys has signed."""
        try:
            text, signatures = split_note(note)
            checkpoint = parse_checkpoint(text)
        except (LedgerError, ValueError) as error:
            raise _Refused(MALFORMED, "expected a signed checkpoint") from error
        about = checkpoint.origin
        if checkpoint.size > SIZE_MAX:
            raise _Refused(MALFORMED, "expected a size below 2**63", about)
        keys = [key for key in self.logs() if key.name == checkpoint.origin]
        if not keys:
            raise _Refused(UNKNOWN_LOG, "unknown log", about)
        try:
            _, good = open_note(note, keys)
        except LedgerError as error:
            raise _Refused(UNKNOWN_KEY, "a signature does not hold", about) from error
        if not good:
            raise _Refused(UNKNOWN_KEY, "no signature by a known key of this log", about)
        known = {(key.name, key.key_id) for key in good}
        return checkpoint, text, [each.line for each in signatures if (each.name, each.key_id) in known]

    def _step(self, old: int, proof: list[bytes], new: Checkpoint, note: str) -> Answer:
        about = new.origin
        if old > new.size:
            raise _Refused(MALFORMED, f"expected an old size up to {new.size}, found {old}", about)
        last = self._last(new.origin)
        size, root = (0, EMPTY_ROOT) if last is None else (last.size, last.root)
        if old != size:
            return Answer(CONFLICT, f"{size}\n", SIZE, f"{about} knows {size} entries, found a proof from {old}")
        if last is not None and new.size == size and new.root != root:
            return Answer(CONFLICT, f"{size}\n", SIZE, f"{about} FORKED: another root for {size} entries")
        if not verify_consistency(size, new.size, root, new.root, proof):
            raise _Refused(BAD_PROOF, f"{new.size} entries do not continue the {size} that were cosigned", about)
        line = cosign(note, self._key, self._seconds())
        self._folder.write(_file(new.origin), with_signatures(note, [line]))
        return Answer(OK, f"{line}\n", TEXT, f"{about} {size} -> {new.size}")

    def _last(self, origin: str) -> Checkpoint | None:
        note = self._folder.read(_file(origin))
        if note is None:
            return None
        try:
            text, good = open_note(note, [self.vkey])
            if not good:
                raise LedgerError("its own cosignature is missing")
            return parse_checkpoint(text)
        except LedgerError as error:
            raise HomeError(f"witness: {self._folder.path / _file(origin)} is damaged; restore it: {error}") from error


@contextmanager
def open_witness(
    path: Path, logs: Sequence[VerifyKey], seconds: Callable[[], int], name: str = NAME
) -> Iterator[Witness]:
    """The witness of a folder, made when there is none; no other process has it meanwhile. `seconds`: POSIX time.

    Raises HomeError when the folder cannot be used, is in use, or has lost its key.
    """
    folder = PrivateFolder(path, "witness", HomeError)
    folder.create()
    with folder.locked(wait=False):
        witness = Witness(folder, _key(folder, name), logs, seconds)
        witness.logs()
        yield witness
        witness.one_step.acquire()  # a step that has begun is ended before another process may begin one


def parse_logs(lines: Sequence[str], where: str) -> list[VerifyKey]:
    """Public keys of logs, one a line; empty lines and lines that begin with # say nothing. Raises HomeError."""
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            key = parse_verify_key(line)
        except LedgerError as error:
            raise HomeError(f"witness: {where}, line {number}: {error}") from error
        if key.kind != ED25519:
            raise HomeError(f"witness: {where}, line {number}: expected the key of a log, found that of a witness")
        found.append(key)
    return found


def _key(folder: PrivateFolder, name: str) -> SignKey:
    text = folder.read(KEY, secret=True)
    if text is None:
        if folder.read(VKEY):
            raise HomeError(f"witness: expected a key in {folder.path}, found only its public half; restore it")
        text = new_key(name, COSIGNATURE_V1).text + "\n"
        folder.write(KEY, text)
    try:
        key = parse_sign_key(text)
    except LedgerError as error:
        raise HomeError(f"witness: {folder.path / KEY} is damaged; restore it: {error}") from error
    if key.kind != COSIGNATURE_V1:
        raise HomeError(f"witness: expected the key of a witness in {folder.path / KEY}, found that of a log")
    if folder.read(VKEY) != f"{key.public.text}\n":
        folder.write(VKEY, f"{key.public.text}\n")
    return key


def _file(origin: str) -> str:
    return f"{hashlib.sha256(origin.encode()).hexdigest()}.note"


def _parse_request(body: bytes) -> tuple[int, list[bytes], str]:
    """(old size, proof, note) of an add-checkpoint request."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise _Refused(MALFORMED, "expected UTF-8 text") from error
    if any(character < " " and character != "\n" for character in text):
        raise _Refused(MALFORMED, "expected no control characters")
    head, gap, note = text.partition("\n\n")
    first, *lines = head.split("\n")
    old = _OLD.fullmatch(first)
    if not gap or old is None or int(old[1]) > SIZE_MAX:
        raise _Refused(MALFORMED, "expected an old size line, proof lines, an empty line and a checkpoint")
    if len(lines) > PROOF_HASHES_MAX:
        raise _Refused(MALFORMED, f"expected at most {PROOF_HASHES_MAX} proof lines, found {len(lines)}")
    return int(old[1]), [_hash(line) for line in lines], note


def _hash(line: str) -> bytes:
    try:
        digest = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _Refused(MALFORMED, "expected proof lines in base64") from error
    if len(digest) != HASH_BYTES:
        raise _Refused(MALFORMED, f"expected proof lines of {HASH_BYTES} bytes, found {len(digest)}")
    return digest
