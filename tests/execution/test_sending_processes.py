"""Real processes that send one batch at once, and one that is stopped in the middle: each order goes once."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from sending_sea import fast_folder
from services import Postgres

from marketbot_resources.ledger.examine import first_fault
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.postgres import PostgresLedger
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.migrations.migrate import install

ROOT = Path(__file__).parents[2]
CHILD = Path(__file__).parent / "sending_child.py"
NAMES = [f"o{n}" for n in range(8)]


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    """An empty ledger in PostgreSQL, or "" for a file."""
    if request.param == "sqlite":
        return ""
    server: Postgres = request.getfixturevalue("postgres")
    database = server.database()
    install(server.url("postgres", database))
    server.login("ledger_writer")
    return server.url("ledger_writer", database)


def run(what: str, folder: str, url: str, number: int) -> list[str]:
    """What each process said; then each order went to the broker once and was recorded as sent once."""
    command = [sys.executable, "-W", "error", str(CHILD), what, folder, url, str(number)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    submitted = (Path(folder) / "submitted").read_text(encoding="utf-8").split()
    assert Counter(submitted) == Counter(NAMES)
    ledger: Ledger = PostgresLedger(url) if url else SqliteLedger(Path(folder) / "ledger.sqlite")
    states = [(entry.key.split("/")[0], entry.body["state"]) for entry in ledger.entries("order_event")]
    assert sorted(states) == sorted((name, state) for name in NAMES for state in ("SENDING", "ACKED"))
    assert first_fault(ledger) is None
    if isinstance(ledger, PostgresLedger):
        ledger.close()
    words: list[str] = json.loads(done.stdout)
    return words


@pytest.mark.parametrize(
    ("url", "count"),
    [("sqlite", 100), pytest.param("postgres", 30, marks=pytest.mark.postgres)],
    indirect=["url"],
    ids=["sqlite", "postgres"],
)
def test_of_many_starts_at_once_one_sends(url: str, count: int) -> None:
    """F34: the others end with one clear line, before they touch anything."""
    with fast_folder() as folder:
        words = run("crowd", folder, url, count)
    sent = [word for word in words if word.startswith("sent")]
    assert sent == ["sent: 8 orders: 8 ACKED"]
    refused = [word for word in words if word.startswith("AlreadySending: account acc: another run ")]
    assert len(refused) == count - 1
    assert all("\n" not in word for word in refused)


@pytest.mark.parametrize(
    "url", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True, ids=["sqlite", "postgres"]
)
@pytest.mark.parametrize("after", [3, *(pytest.param(n, marks=pytest.mark.long) for n in (0, 7))])
def test_a_process_that_was_stopped_is_followed_and_then_refused(url: str, after: int) -> None:
    """F35: SIGSTOP in the middle. While it may live nobody follows; then one does and ends the batch; awake, it sends nothing."""
    with fast_folder() as folder:
        early, second, first = run("paused", folder, url, after)
    assert early.startswith("AlreadySending: account acc: another run is sending, since ")
    assert second == "sent: 8 orders: 8 ACKED"
    assert first == "StaleToken: ledger: token 1 of account acc is not the newest; another run sends its orders"
