"""kill -9 of the signer, at every file operation and at random moments: no size ever has two notes, no note outlives its head."""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from signer_world import ORIGIN, Home, fields, sign_line, signers

from marketbot_resources.ledger.merkle import consistency_proof
from marketbot_resources.signer import Signer

CHILD = Path(__file__).parent / "signer_crash_child.py"
ROOT = Path(__file__).parents[2]
KILLS = 50
POINTS_MAX = 40


def killed_at(point: int, state: Path, line: bytes) -> bytes | None:
    """What the child said when it is killed before its file operation number `point`; None when it came to its end."""
    done = subprocess.run(
        [sys.executable, str(CHILD), str(point), str(state)],
        input=line,
        capture_output=True,
        cwd=ROOT,
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT)},
        timeout=30,
        check=False,
    )
    assert done.returncode in (0, -9), done.stderr
    return None if done.returncode == 0 else done.stdout


def sign(state: Path, home: Home, size: int) -> str:
    """What the signer signs next, without a process of its own."""
    signer, head = Signer(state), home.checkpoint(size)
    now = signer.standing().head
    old = 0 if now is None else now.size
    return str(signer.sign(head, old, consistency_proof(old, size, home.ledger.node)).note)


def test_killed_at_every_step_of_signing(tmp_path: Path) -> None:
    """Before each file operation of a signature with a new key, the hardest step: old head or new head, and then it goes on."""
    home = Home(tmp_path)
    Signer(home.state).create(ORIGIN)
    home.grow(6)
    before = sign(home.state, home, 3)
    vkeys = [key.text for key in Signer(home.state).rotate().keys]
    line = sign_line(3, home.checkpoint(5), consistency_proof(3, 5, home.ledger.node))
    notes: set[str] = set()
    for point in range(POINTS_MAX):
        now = shutil.copytree(home.state, tmp_path / f"now{point}")
        said = killed_at(point, now, line)
        if said is None:
            break
        assert said == b""
        kept = (now / "head").read_text()
        assert kept == before or fields(kept)[1] == 5
        notes |= {kept, sign(now, home, 5)} - {before}
        assert signers(sign(now, home, 6), vkeys) == [vkeys[0]]
        assert len((now / "key").read_text().splitlines()) == 1
    assert len(notes) == 1
    assert signers(notes.pop(), vkeys) == vkeys
    assert 10 < point < POINTS_MAX - 1


@pytest.mark.parametrize("op", ["create", "rotate"])
def test_killed_at_every_step_of_making_a_key(tmp_path: Path, op: str) -> None:
    """A half-made key is finished or made again; every listed public key has a private one that signs."""
    home = Home(tmp_path)
    asked = {"op": "create", "origin": ORIGIN} if op == "create" else {"op": "rotate"}
    home.grow(2)
    if op == "rotate":
        Signer(home.state).create(ORIGIN)
    for point in range(POINTS_MAX):
        now = tmp_path / f"now{point}"
        if op == "rotate":
            shutil.copytree(home.state, now)
        if killed_at(point, now, json.dumps(asked).encode()) is None:
            break
        vkeys = [key.text for key in Signer(now).create(ORIGIN).keys]
        assert len(vkeys) == len((now / "key").read_text().splitlines())
        assert signers(sign(now, home, 2), vkeys) == vkeys
    assert 4 < point < POINTS_MAX - 1


def test_killed_at_random_moments(tmp_path: Path) -> None:
    """50 kills while it signs a growing log: one note per size, and no head older than a note that was handed out."""
    home, dice = Home(tmp_path), random.Random(20_181_224)
    home.signer.create(ORIGIN)
    home.grow(3 * KILLS)
    started = time.monotonic()
    home.signer.head()
    usual = time.monotonic() - started
    head, notes, killed = 0, {0: ""}, 0
    for _ in range(KILLS):
        size = dice.randint(head, head + 3)
        child = subprocess.Popen(
            [sys.executable, "-m", "marketbot_resources.signer", str(home.state)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={"PATH": os.defpath},
        )
        proof = consistency_proof(head, size, home.ledger.node)
        try:
            said, _ = child.communicate(
                sign_line(head, home.checkpoint(size), proof), timeout=dice.uniform(0.0, 1.3) * usual
            )
        except subprocess.TimeoutExpired:
            child.kill()
            said, _ = child.communicate()
            killed += 1
        kept = (home.state / "head").read_text()
        now = fields(kept)[1] if kept else 0
        assert now in (head, size)
        assert kept == notes.get(now, kept) or (now, notes[now]) == (0, "")
        assert not said or json.loads(said)["note"] == kept
        head, notes[now] = now, kept
    assert killed > 0
    assert fields(home.sign(3 * KILLS))[1] == 3 * KILLS
