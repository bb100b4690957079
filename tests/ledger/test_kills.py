"""F02: writers are killed at any moment, and nothing acknowledged is lost, no number missing, no entry twice, no batch in part."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from ledger_shelves import Shelf

from marketbot_resources.ledger.examine import examine

ROOT = Path(__file__).parents[2]
WRITERS = Path(__file__).parent / "writers.py"
SEED, KILLS, KILLS_LONG = 20181224, 100, 1_000


def campaign(shelf: Shelf, kills: int) -> str:
    """Kills two writers at a time; checks all that must hold; says what happened."""
    opened = shelf.fresh()
    command = [sys.executable, "-W", "error", WRITERS, "kills", *shelf.address(), str(kills), str(SEED)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert (done.returncode, done.stderr) == (0, ""), f"seed {SEED}"
    told = json.loads(done.stdout)
    acked, steps = [tuple(pair) for pair in told["acked"]], told["steps"]
    ledger = opened()
    entries = ledger.entries("k")
    stored = {entry.key: entry.seq for entry in entries}
    assert len(acked) >= kills // 2
    assert [(key, stored.get(key)) for key, _ in acked] == acked, f"lost after it was acknowledged, seed {SEED}"
    assert [entry.seq for entry in entries] == list(range(len(entries))), f"a gap, seed {SEED}"
    assert len(stored) == len(entries), f"an entry twice, seed {SEED}"
    own = Counter(tuple(key.split("-")[:2]) for key in stored if not key.startswith("common"))
    assert [name for name, count in own.items() if count != 1 + int(name[1]) % 3] == [], f"a batch in part, seed {SEED}"
    for (
        name,
        step,
    ) in steps.items():  # at most the one batch in flight at the end is stored without having been acknowledged
        numbers = sorted(int(number) for writer, number in own if writer == name)
        assert numbers in (list(range(step)), list(range(step + 1))), f"seed {SEED}"
    assert examine(ledger).faults == (), f"seed {SEED}"
    return f"{kills} kills, {len(acked)} acknowledged, {len(entries)} stored, {told['seconds']} s"


def test_kills_lose_nothing(shelf: Shelf) -> None:
    """A hundred kills of two writers at once."""
    campaign(shelf, KILLS)


@pytest.mark.long
def test_a_thousand_kills_lose_nothing(
    shelf: Shelf, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same as a campaign outside of `make test`; prints its numbers."""
    if "long" not in str(request.config.getoption("-m")) and not os.environ.get("MARKETBOT_LONG"):
        pytest.skip("a campaign: run pytest -m long")
    told = campaign(shelf, KILLS_LONG)
    with capsys.disabled():
        print(f"\n{shelf.address()[0]}: {told}")
