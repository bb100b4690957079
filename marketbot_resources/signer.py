"""The signer: signs a checkpoint only when it grows from the last head that it stored itself. Its own process, its own key.

State folder: `key` (one private key; two lines while a new key waits for its first checkpoint), `vkey` (all public keys,
newest first), `head` (the last signed note, empty before the first), `lock`. A head is on the disk before its note is handed
out. A missing `head` is a loss, never a fresh start: whoever can delete a file cannot make the signer forget.

    python -m marketbot_resources.signer FOLDER     one JSON request line on stdin, one JSON answer line on stdout

    {"op": "create", "origin": NAME}                {"ok": true, "keys": [VKEY, ...], "size": N or null, "note": TEXT or null}
    {"op": "head"}, {"op": "rotate"}                {"ok": false, "error": TEXT}, with "conflict": SIZE when SIZE is its head's
    {"op": "sign", "origin": NAME, "size": N, "root": BASE64, "old_size": N, "proof": [BASE64, ...]}

The child imports little: it is started anew for each request. Not here: formats (`ledger.note`), proofs (`ledger.merkle`),
who else keeps the note (`anchors`).
"""

import base64
import binascii
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from marketbot_resources import settings
from marketbot_resources.errors import LedgerError, MarketbotError, SignerConflict, SignerRefused
from marketbot_resources.ledger.merkle import EMPTY_ROOT, HASH_BYTES, verify_consistency
from marketbot_resources.ledger.note import (
    Checkpoint,
    SignKey,
    VerifyKey,
    new_key,
    open_note,
    parse_checkpoint,
    parse_sign_key,
    parse_verify_key,
    sign_checkpoint,
    split_note,
    with_signatures,
)
from marketbot_resources.private_folder import PrivateFolder

KEY, VKEYS, HEAD = "key", "vkey", "head"
REQUEST_BYTES_MAX, PROOF_HASHES_MAX, SIZE_MAX, ORIGIN_MAX = 16_384, 63, 2**63 - 1, 255
ANSWER_SECONDS = 30.0
Proof = Callable[[int], list[bytes]]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a signer stands: its public keys, newest first, and the last note that it signed, if any."""

    keys: tuple[VerifyKey, ...]
    note: str | None

    @property
    def head(self) -> Checkpoint | None:
        """The checkpoint in the note."""
        return None if self.note is None else parse_checkpoint(split_note(self.note)[0])


@dataclass(frozen=True, slots=True)
class _State:
    """The folder's contents, checked. `signing`: the private keys that sign the next checkpoint, newest first."""

    signing: tuple[SignKey, ...]
    standing: Standing


class Signer:
    """The signer of one log, for use inside its own process. Every method raises SignerRefused with one line."""

    def __init__(self, folder: Path) -> None:
        self._folder = PrivateFolder(folder, "signer", SignerRefused)

    def create(self, origin: str) -> Standing:
        """Makes the log's key once. Raises when the folder holds the key of another log, or what a lost key has left."""
        if not origin.isprintable() or len(origin.encode()) > ORIGIN_MAX:
            raise SignerRefused(f"signer: expected a printable origin of at most {ORIGIN_MAX} bytes")
        self._folder.create()
        with self._folder.locked():
            if self._folder.read(KEY, secret=True) is None:
                if self._folder.read(HEAD) or self._folder.read(VKEYS):
                    raise SignerRefused(
                        f"signer: expected the key of an existing log in {self._folder.path}, found none; restore it"
                    )
                self._folder.write(HEAD, "")
                self._folder.write(KEY, _key_text(new_key(origin)))
            state = self._state()
            self._same_log(state, origin)
            return state.standing

    def standing(self) -> Standing:
        """Its keys and its last head; no key and no head before `create`."""
        if not self._folder.path.exists():
            return Standing((), None)
        with self._folder.locked():
            if not any(self._folder.read(name) for name in (KEY, VKEYS, HEAD)):
                return Standing((), None)
            return self._state().standing

    def sign(self, checkpoint: Checkpoint, old_size: int, proof: Sequence[bytes]) -> Standing:
        """Signs a head that provably continues its own one; the standing's note is the signed one.

        Raises SignerConflict when `old_size` is not its own head's size; the same head again is answered with the stored note.
        """
        with self._folder.locked():
            state = self._state()
            self._same_log(state, checkpoint.origin)
            head = state.standing.head
            if head == checkpoint:
                return state.standing
            _check_growth(head, checkpoint, old_size, proof)
            note = sign_checkpoint(checkpoint, state.signing[0])
            for retiring in state.signing[1:]:
                _, (signature,) = split_note(sign_checkpoint(checkpoint, retiring))
                note = with_signatures(note, [signature.line])
            self._folder.write(HEAD, note)
            return self._state().standing

    def rotate(self) -> Standing:
        """Makes a new key. The next checkpoint is signed by both keys, later ones by the new one alone."""
        with self._folder.locked():
            state = self._state()
            if len(state.signing) > 1:
                raise SignerRefused(
                    "signer: expected a checkpoint under the newest key before the next one; sign first"
                )
            fresh = new_key(state.signing[0].name)
            self._folder.write(KEY, _key_text(fresh, state.signing[0]))
            return self._state().standing

    def _state(self) -> _State:
        """Reads and checks the folder, and ends what a crash has left half done. The lock is held."""
        try:
            return self._checked()
        except SignerRefused:
            raise
        except LedgerError as error:
            raise SignerRefused(f"signer: {self._folder.path} is damaged; restore it: {error}") from error

    def _checked(self) -> _State:
        keys = self._private_keys()
        note = self._folder.read(HEAD)
        if note is None:
            raise SignerRefused(
                f"signer: no head of its own in {self._folder.path}, so it cannot know what it has signed; restore the "
                "file `head` from its backup, or start a new log under another origin"
            )
        if note:
            keys = self._retired(keys, note)
        listed = [parse_verify_key(line) for line in (self._folder.read(VKEYS) or "").splitlines()]
        missing = [key.public for key in keys if key.public not in listed]
        if missing:
            listed = [*missing, *listed]
            self._folder.write(VKEYS, "".join(f"{key.text}\n" for key in listed))
        return _State(keys, Standing(tuple(listed), note or None))

    def _private_keys(self) -> tuple[SignKey, ...]:
        text = self._folder.read(KEY, secret=True)
        if text is None:
            raise SignerRefused(f"signer: no key in {self._folder.path}; create it, or restore the folder")
        keys = tuple(parse_sign_key(line) for line in text.splitlines())
        if not 1 <= len(keys) <= 2 or len({key.name for key in keys}) != 1:
            raise SignerRefused(f"signer: expected one key, or two of one log, in {self._folder.path / KEY}")
        return keys

    def _retired(self, keys: tuple[SignKey, ...], note: str) -> tuple[SignKey, ...]:
        """The keys that sign the next checkpoint: the newest alone once it has signed a head."""
        _, good = open_note(note, [key.public for key in keys])
        if not good:
            raise SignerRefused(
                f"signer: expected its own signature on {self._folder.path / HEAD}, found none; restore it"
            )
        if len(keys) == 1 or keys[0].public not in good:
            return keys
        self._folder.write(KEY, _key_text(keys[0]))
        return keys[:1]

    @staticmethod
    def _same_log(state: _State, origin: str) -> None:
        if state.signing[0].name != origin:
            raise SignerRefused(f"signer: expected the log {state.signing[0].name}, found {origin[:80]!r}")


def _key_text(*keys: SignKey) -> str:
    return "".join(f"{key.text}\n" for key in keys)


def _check_growth(head: Checkpoint | None, new: Checkpoint, old_size: int, proof: Sequence[bytes]) -> None:
    size, root = (0, EMPTY_ROOT) if head is None else (head.size, head.root)
    if head is None and old_size > 0:
        raise SignerRefused(f"signer: no head of its own yet, found a proof from {old_size} entries; begin at 0")
    if head is not None and new.size == size:
        raise SignerRefused(f"signer: equivocation: it has signed another root for {size} entries; the log was changed")
    if new.size < size:
        raise SignerRefused(f"signer: expected at least the {size} entries that it has signed, found {new.size}")
    if old_size != size:
        raise SignerConflict(f"signer: expected a proof from {size} entries, found one from {old_size}", size)
    if not verify_consistency(size, new.size, root, new.root, proof):
        raise SignerRefused(
            f"signer: the head of {new.size} entries does not continue the {size} that it has signed; the log was changed"
        )


class SignerProcess:
    """The signer as the rest of the platform sees it: a child process per request, which alone reads the key.

    `command`: what starts it, without the folder; for example `sudo -n -u signer` before the default, this Python.
    `seconds`: how long one answer may take. Every method raises SignerRefused.
    """

    def __init__(self, folder: Path, command: Sequence[str] | None = None, *, seconds: float = ANSWER_SECONDS) -> None:
        self._command = [*(command or (sys.executable, "-m", "marketbot_resources.signer")), str(folder)]
        self._seconds = seconds

    def verify_keys(self) -> list[VerifyKey]:
        """Public keys, newest first; empty before `create`."""
        return list(self._ask({"op": "head"}).keys)

    def head(self) -> str | None:
        """The last note that it signed; None before the first."""
        return self._ask({"op": "head"}).note

    def create(self, origin: str) -> VerifyKey:
        """Makes the log's key once and returns its public half; again, returns the newest one."""
        return self._ask({"op": "create", "origin": origin}).keys[0]

    def rotate(self) -> VerifyKey:
        """Makes a new key and returns its public half."""
        return self._ask({"op": "rotate"}).keys[0]

    def sign(self, checkpoint: Checkpoint, prove: Proof, *, believed: int | None = None) -> str:
        """The signed note. `prove(old_size)` gives the consistency proof from the signer's own head to this checkpoint.

        `believed`: the size of the head that it signed last, as the caller knows it: saves asking. A wrong one costs a round.
        """
        size = believed
        if size is None or size > checkpoint.size:
            head = self._ask({"op": "head"}).head
            size = 0 if head is None else head.size
        try:
            return self._sign(checkpoint, size, prove)
        except SignerConflict as moved:  # another process has signed in between
            return self._sign(checkpoint, moved.size, prove)

    def _sign(self, checkpoint: Checkpoint, size: int, prove: Proof) -> str:
        if size > checkpoint.size:
            raise SignerRefused(
                f"signer: it has signed {size} entries, the ledger has {checkpoint.size}: entries are missing; "
                "restore the ledger's newest backup"
            )
        proof = prove(size) if size < checkpoint.size else []
        standing = self._ask(
            {
                "op": "sign",
                "origin": checkpoint.origin,
                "size": checkpoint.size,
                "root": base64.b64encode(checkpoint.root).decode(),
                "old_size": size,
                "proof": [base64.b64encode(digest).decode() for digest in proof],
            }
        )
        text, good = ("", []) if standing.note is None else open_note(standing.note, standing.keys)
        if standing.note is None or not good or text != checkpoint.text:
            raise SignerRefused("signer: expected this checkpoint signed, found another note")
        return standing.note

    def _ask(self, request: Mapping[str, object]) -> Standing:
        import subprocess

        line = json.dumps(request).encode() + b"\n"
        try:
            done = subprocess.run(
                self._command,
                input=line,
                capture_output=True,
                timeout=self._seconds,
                cwd=settings.CHECKOUT,
                env=settings.bare_environment(),
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise SignerRefused(f"signer: expected an answer in {self._seconds:g} s, found none") from error
        except OSError as error:
            raise SignerRefused(f"signer: expected to start {self._command[0]}, found: {error.strerror}") from error
        return _read_answer(done.stdout, done.stderr)


def _read_answer(out: bytes, err: bytes) -> Standing:
    try:
        answer = json.loads(out)
        if answer["ok"] is True:
            return Standing(tuple(parse_verify_key(key) for key in answer["keys"]), answer["note"])
        error, conflict = str(answer["error"]), answer.get("conflict")
    except (ValueError, KeyError, TypeError) as fault:
        last = err.decode(errors="replace").strip().splitlines()[-1:] or ["nothing"]
        raise SignerRefused(f"signer: expected an answer, found {last[0][:200]}") from fault
    raise SignerConflict(error, conflict) if isinstance(conflict, int) else SignerRefused(error)


def serve_one(folder: Path, line: bytes) -> dict[str, object]:
    """The answer to one request line. Never raises for what a request can say, and never holds a private key."""
    try:
        standing = _obey(Signer(folder), _request(line))
    except SignerConflict as error:
        return {"ok": False, "error": str(error), "conflict": error.size}
    except MarketbotError as error:
        return {"ok": False, "error": str(error)}
    except OSError as error:
        return {"ok": False, "error": f"signer: expected to read {folder}, found: {error.strerror}"}
    head = standing.head
    keys = [key.text for key in standing.keys]
    return {"ok": True, "keys": keys, "size": None if head is None else head.size, "note": standing.note}


def _obey(signer: Signer, request: Mapping[str, object]) -> Standing:
    op, rest = request.get("op"), set(request) - {"op"}
    if op == "head" and not rest:
        return signer.standing()
    if op == "rotate" and not rest:
        return signer.rotate()
    if op == "create" and rest == {"origin"}:
        return signer.create(_text(request["origin"]))
    if op == "sign" and rest == {"origin", "size", "root", "old_size", "proof"}:
        proof = request["proof"]
        if not isinstance(proof, list) or len(proof) > PROOF_HASHES_MAX:
            raise SignerRefused(f"signer: expected a proof of at most {PROOF_HASHES_MAX} hashes, found other JSON")
        checkpoint = Checkpoint(_text(request["origin"]), _size(request["size"]), _hash(request["root"]))
        return signer.sign(checkpoint, _size(request["old_size"]), [_hash(digest) for digest in proof])
    raise SignerRefused("signer: expected create, head, sign or rotate with exactly its fields, found another request")


def _request(line: bytes) -> Mapping[str, object]:
    if len(line) > REQUEST_BYTES_MAX:
        raise SignerRefused(f"signer: expected a request of at most {REQUEST_BYTES_MAX} bytes, found more")
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SignerRefused("signer: expected one line of JSON, found other bytes") from error
    if not isinstance(found, dict):
        raise SignerRefused("signer: expected a JSON object, found another value")
    return found


def _text(value: object) -> str:
    if not isinstance(value, str) or any("\ud800" <= character <= "\udfff" for character in value):
        raise SignerRefused("signer: expected text, found another value")
    return value


def _size(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= SIZE_MAX:
        raise SignerRefused("signer: expected a number of entries, found another value")
    return value


def _hash(value: object) -> bytes:
    try:
        digest = base64.b64decode(_text(value), validate=True)
    except (binascii.Error, ValueError) as error:
        raise SignerRefused("signer: expected a hash in base64, found other text") from error
    if len(digest) != HASH_BYTES:
        raise SignerRefused(f"signer: expected a hash of {HASH_BYTES} bytes, found {len(digest)}")
    return digest


def main(arguments: Sequence[str]) -> int:
    """One request, one answer. Exit 0: done. 1: refused, the answer says why."""
    answer: dict[str, object] = {"ok": False, "error": "signer: expected one argument, its folder"}
    if len(arguments) == 1:
        answer = serve_one(Path(arguments[0]), sys.stdin.buffer.readline(REQUEST_BYTES_MAX + 1))
    print(json.dumps(answer), flush=True)
    return 0 if answer["ok"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
