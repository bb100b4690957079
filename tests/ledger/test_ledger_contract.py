"""Every ledger keeps the contract of the port, alone and under many writers at once."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from ledger_contract import CASES
from ledger_shelves import Shelf

from marketbot_resources.ledger.examine import examine
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Receipt

ROOT = Path(__file__).parents[2]
WRITERS = Path(__file__).parent / "writers.py"
THREADS, EACH = 4, 15


@pytest.mark.parametrize("name", CASES)
def test_contract(name: str, shelf: Shelf) -> None:
    """A numbered case of ledger_contract.py holds."""
    CASES[name](shelf)


@pytest.mark.parametrize("together", [True, False], ids=["one ledger", "one each"])
def test_threads_write_without_gaps_and_doubles(shelf: Shelf, together: bool) -> None:
    """Many threads append their own and the same entries: numbers are gapless, each entry is added once."""
    opened = shelf.fresh()
    ledger = opened()
    receipts: list[tuple[str, Receipt]] = []

    def write(mine: Ledger, name: str) -> None:
        for n in range(EACH):
            own, common = mine.append_all([("k", f"{name}-{n}", {}), ("k", f"common-{n}", {})])
            receipts.extend([(f"{name}-{n}", own), (f"common-{n}", common)])

    mine = [ledger if together else opened() for _ in range(THREADS)]
    threads = [threading.Thread(target=write, args=(each, f"t{n}")) for n, each in enumerate(mine)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(ledger, receipts, range(EACH * (THREADS + 1)))


def check(ledger: Ledger, receipts: list[tuple[str, Receipt]], numbers: range) -> None:
    """All receipts name the entry under their key; each was added by exactly one; there is nothing else."""
    assert len(receipts) == EACH * THREADS * 2
    stored = {entry.key: (entry.seq, entry.hash) for entry in ledger.entries("k")}
    assert [(receipt.seq, receipt.hash) for _, receipt in receipts] == [stored[key] for key, _ in receipts]
    assert sorted(key for key, receipt in receipts if receipt.added) == sorted(stored)
    assert sorted(seq for seq, _ in stored.values()) == list(numbers)
    assert examine(ledger).faults == ()


def test_processes_write_without_gaps_and_doubles(shelf: Shelf) -> None:
    """Forked processes use the ledger that their parent has opened, at once; the parent goes on with it afterwards."""
    opened = shelf.fresh()
    command = [sys.executable, "-W", "error", WRITERS, "crowd", *shelf.address(), str(THREADS), str(EACH)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert (done.returncode, done.stderr) == (0, "")
    receipts = [(key, Receipt(seq, digest, added)) for key, seq, digest, added in json.loads(done.stdout)]
    ledger = opened()
    assert [(entry.seq, entry.key) for entry in ledger.entries("parent")] == [
        (0, "before"),
        (EACH * (THREADS + 1) + 1, "after"),
    ]
    check(ledger, receipts, range(1, EACH * (THREADS + 1) + 1))
