"""A ledger and a signer process beside it, and a verifier of notes that shares no code with ours."""

import base64
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from marketbot_resources.ledger.merkle import consistency_proof
from marketbot_resources.ledger.note import Checkpoint
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.signer import SignerProcess

ORIGIN = "marketbot.test/ledger"
ROOT = Path(__file__).parents[2]


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word by word, over leaf hashes."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return hashlib.sha256(b"\x01" + naive_root(leaves[:half]) + naive_root(leaves[half:])).digest()


def signers(note: str, vkeys: list[str]) -> list[str]:
    """The vkeys whose Ed25519 signature stands in the note; raises for a signature that does not hold."""
    text, tail = note[: note.rindex("\n\n") + 1], note[note.rindex("\n\n") + 2 :]
    found = []
    for line in tail.splitlines():
        dash, name, data = line.split(" ")
        assert dash == "\u2014"
        raw = base64.b64decode(data)
        for vkey in vkeys:
            key_name, key_id, key = vkey.split("+", 2)
            if (key_name, key_id) == (name, raw[:4].hex()):
                Ed25519PublicKey.from_public_bytes(base64.b64decode(key)[1:]).verify(raw[4:], text.encode())
                found.append(vkey)
    return found


def fields(note: str) -> tuple[str, int, bytes]:
    """(origin, size, root) of a note's text."""
    origin, size, root = note.split("\n")[:3]
    return origin, int(size), base64.b64decode(root)


class Home:
    """A folder with a ledger and a signer."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.state = folder, folder / "signer"
        self.signer = SignerProcess(self.state)
        self.reopen()

    def reopen(self) -> None:
        self.ledger = SqliteLedger(self.folder / "ledger.sqlite")

    def grow(self, count: int, word: str = "entry") -> None:
        first = self.ledger.size()
        self.ledger.append_all([("fill", f"{word}{first + n}", {"n": first + n}) for n in range(count)])

    def checkpoint(self, size: int | None = None) -> Checkpoint:
        size = self.ledger.size() if size is None else size
        return Checkpoint(ORIGIN, size, self.ledger.root(size))

    def sign(self, size: int | None = None) -> str:
        head = self.checkpoint(size)
        return self.signer.sign(head, lambda old: consistency_proof(old, head.size, self.ledger.node))

    def back_up(self) -> None:
        shutil.copyfile(self.folder / "ledger.sqlite", self.folder / "yesterday.sqlite")

    def restore(self) -> None:
        shutil.copyfile(self.folder / "yesterday.sqlite", self.folder / "new.sqlite")
        (self.folder / "new.sqlite").replace(self.folder / "ledger.sqlite")
        self.reopen()


def request(state: Path, line: bytes, *arguments: str) -> tuple[int, Any, bytes, bytes]:
    """(exit code, answer, stdout, stderr) of the signer's process for one line."""
    done = subprocess.run(
        [sys.executable, "-m", "marketbot_resources.signer", *(arguments or (str(state),))],
        input=line,
        capture_output=True,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin"},
        timeout=30,
        check=False,
    )
    return done.returncode, json.loads(done.stdout), done.stdout, done.stderr


def sign_line(old: int, head: Checkpoint, proof: list[bytes]) -> bytes:
    """A request to sign, as the protocol says."""
    asked = {
        "op": "sign",
        "origin": head.origin,
        "size": head.size,
        "root": base64.b64encode(head.root).decode(),
        "old_size": old,
        "proof": [base64.b64encode(digest).decode() for digest in proof],
    }
    return json.dumps(asked).encode() + b"\n"
