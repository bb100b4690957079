"""Logs with a key, witnesses as a user starts them, and a reader of signatures that shares no code with ours."""

import base64
import hashlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from marketbot_resources.ledger.merkle import Tree, consistency_proof
from marketbot_resources.ledger.note import Checkpoint, SignKey, VerifyKey, new_key, sign_checkpoint

ORIGIN, OTHER = "marketbot.test/ledger", "marketbot.test/other"
ROOT = Path(__file__).parents[2]


class Log:
    """A log in memory. `fork`: from this entry on its entries are others, under the same key."""

    def __init__(self, key: SignKey, size: int, fork: int = 1_000) -> None:
        self.key, self.tree = key, Tree()
        for n in range(size):
            self.tree.append(hashlib.sha256(b"\0" + (b"a" if n < fork else b"b") + n.to_bytes(2, "big")).digest())

    @property
    def vkey(self) -> VerifyKey:
        return self.key.public

    def note(self, size: int) -> str:
        return sign_checkpoint(Checkpoint(self.key.name, size, self.tree.root(size)), self.key)

    def prove(self, new: int) -> Any:
        return lambda old: consistency_proof(old, new, self.tree.node)

    def proof(self, old: int, new: int) -> list[bytes]:
        return consistency_proof(old, new, self.tree.node)


def log(size: int = 40, origin: str = ORIGIN) -> Log:
    return Log(new_key(origin), size)


def forked(of: Log, at: int, size: int = 40) -> Log:
    """Another history under the same key."""
    return Log(of.key, size, at)


def request(old: int, proof: list[bytes], note: str) -> bytes:
    """The body of add-checkpoint, as C2SP tlog-witness writes it."""
    body = f"old {old}\n" + "".join(base64.b64encode(digest).decode() + "\n" for digest in proof) + "\n" + note
    return body.encode()


def cosigned_at(note_text: str, line: str, vkey: str) -> int:
    """The POSIX time of a cosignature line that holds for a note's text (C2SP tlog-cosignature); raises when it does not."""
    dash, name, data = line.split(" ")
    key_name, key_id, key = vkey.split("+", 2)
    public, raw = base64.b64decode(key), base64.b64decode(data)
    assert (dash, name, raw[:4].hex(), public[0], len(raw)) == ("\u2014", key_name, key_id, 4, 4 + 8 + 64)
    assert hashlib.sha256(name.encode() + b"\n\x04" + public[1:]).hexdigest()[:8] == key_id
    seconds = int.from_bytes(raw[4:12], "big")
    message = f"cosignature/v1\ntime {seconds}\n{note_text}".encode()
    Ed25519PublicKey.from_public_bytes(public[1:]).verify(raw[12:], message)
    return seconds


def text_of(note: str) -> str:
    """The signed part of a note."""
    return note[: note.rindex("\n\n") + 1]


class WitnessProcess:
    """`marketbot witness` in a process of its own, on a free port unless one is given."""

    def __init__(self, state: Path, *vkeys: str, port: int = 0) -> None:
        self.state, self._vkeys, self._port = state, vkeys, port
        self._errors = state.parent / f"{state.name}.stderr"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout
        self.process.stdout.close()

    def start(self) -> None:
        keys = [word for vkey in self._vkeys for word in ("--log", vkey)]
        listen = ("--listen", f"127.0.0.1:{self._port}")
        with self._errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "marketbot_assets.cli",
                    "witness",
                    "--state",
                    str(self.state),
                    *keys,
                    *listen,
                    "--json",
                ],
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=ROOT,
                env={"PATH": os.defpath, "HOME": str(self.state.parent)},
            )
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, self.said
        self.started = json.loads(line)
        self.address, self.vkey = str(self.started["address"]), str(self.started["vkey"])
        self._port = int(self.address.rpartition(":")[2])

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=15)
        return self.process.returncode

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    @property
    def said(self) -> str:
        return self._errors.read_text()

    def comes_to_say(self, words: str) -> bool:
        """Whether it writes these words within five seconds: an answer may arrive before the line about it is written."""
        until = time.monotonic() + 5
        while words not in self.said and time.monotonic() < until:
            time.sleep(0.01)
        return words in self.said

    @property
    def spec(self) -> str:
        return f"witness:{self.address}#{self.vkey}"

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, str, str]:
        """(status, content type, body) of one request."""
        connection = self.connect()
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.getheader("Content-Type", ""), answer.read().decode()
        finally:
            connection.close()

    def add(self, old: int, proof: list[bytes], note: str) -> tuple[int, str, str]:
        return self.ask("POST", "/add-checkpoint", request(old, proof, note))

    def last(self, origin: str = ORIGIN) -> tuple[int, str, str]:
        return self.ask("GET", f"/checkpoint/{hashlib.sha256(origin.encode()).hexdigest()}")
