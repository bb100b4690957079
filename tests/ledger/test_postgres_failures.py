"""PostgreSQL ends, hangs up or is slow: every failure is one LedgerError, nothing acknowledged is lost, and work goes on after."""

import os
import random
import re
import threading
import time

import pytest
from ledger_shelves import PostgresShelf
from services import Postgres

from marketbot_resources.errors import LedgerError
from marketbot_resources.ledger.examine import examine
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Receipt

pytestmark = pytest.mark.postgres

SEED, WRITERS = 20181224, 2


class Writer(threading.Thread):
    """Appends until it is refused; keeps what was acknowledged, and the last that was not."""

    def __init__(self, ledger: Ledger, name: str) -> None:
        super().__init__(name=name)
        self.ledger, self.acked = ledger, dict[str, Receipt]()
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            for n in range(1_000_000):
                keys = [f"{self.name}-{n}-{part}" for part in range(1 + n % 3)]
                receipts = self.ledger.append_all([("k", key, {"key": key}) for key in keys])
                self.acked.update(zip(keys, receipts, strict=True))
        except Exception as error:
            self.failure = error


def kill_under_load(server: Postgres, ledgers: list[Ledger], moment: float, number: int) -> dict[str, Receipt]:
    """Kills the server while all append; what they have been told is durable."""
    writers = [Writer(ledger, f"{number}-{n}") for n, ledger in enumerate(ledgers)]
    for writer in writers:
        writer.start()
    until = time.monotonic() + 20
    while not all(writer.acked or writer.failure for writer in writers) and time.monotonic() < until:
        time.sleep(0.001)
    time.sleep(moment)
    server.kill()
    try:
        for writer in writers:
            writer.join(20)
            assert not writer.is_alive()
            assert isinstance(writer.failure, LedgerError), writer.failure
            told = str(writer.failure)
            assert re.match(
                rf"ledger: expected to use database test_\d+ on 127\.0\.0\.1:{server.ports[0]}, found: .", told
            ), told
            assert "\n" not in told
        with pytest.raises(LedgerError, match="Connection refused"):
            ledgers[0].append("k", "while it is down", {})
    finally:
        server.start()
    return {key: receipt for writer in writers for key, receipt in writer.acked.items()}


def campaign(shelf: PostgresShelf, kills: int) -> None:
    opened, chance = shelf.fresh(), random.Random(SEED)
    ledgers = [opened() for _ in range(WRITERS)]
    acked: dict[str, Receipt] = {}
    for number in range(kills):
        acked |= kill_under_load(shelf.server, ledgers, chance.random() * 0.1, number)
    stored = {entry.key: (entry.seq, entry.hash) for entry in ledgers[0].entries("k")}
    assert len(acked) >= kills * WRITERS
    assert {key: (receipt.seq, receipt.hash) for key, receipt in acked.items()}.items() <= stored.items()
    assert sorted(seq for seq, _ in stored.values()) == list(range(len(stored)))
    batches = {key.rpartition("-")[0] for key in stored}
    assert len(stored) == sum(1 + int(batch.rpartition("-")[2]) % 3 for batch in batches)
    assert examine(ledgers[1]).faults == ()
    assert ledgers[0].append("k", "afterwards", {}).seq == len(stored)


def test_a_killed_database_loses_nothing_acknowledged(postgres_shelf: PostgresShelf) -> None:
    """SIGKILL to all its processes at random moments under load; batches stay whole; the same objects go on after a restart."""
    campaign(postgres_shelf, 2)


@pytest.mark.long
def test_fifty_kills_of_the_database(postgres_shelf: PostgresShelf, request: pytest.FixtureRequest) -> None:
    """F31, as a campaign."""
    if "long" not in str(request.config.getoption("-m")) and not os.environ.get("MARKETBOT_LONG"):
        pytest.skip("a campaign: run pytest -m long")
    campaign(postgres_shelf, 50)


def test_a_database_that_is_down_is_said_and_comes_back(postgres_shelf: PostgresShelf) -> None:
    """Every method says it in one line; afterwards all of them work again with the same object."""
    ledger = postgres_shelf.fresh()()
    ledger.append("k", "a", {})
    uses = (
        lambda: ledger.append("k", "b", {}),
        lambda: ledger.get("k", "a"),
        lambda: ledger.entries("k"),
        ledger.head,
        lambda: list(ledger.rows()),
        lambda: list(ledger.nodes()),
        lambda: ledger.keep_checkpoint(1, "note"),
        ledger.checkpoints,
    )
    postgres_shelf.server.stop()
    try:
        for use in uses:
            with pytest.raises(LedgerError, match=r"^ledger: expected to use database test_\d+ on 127") as failure:
                use()
            assert "\n" not in str(failure.value)
            assert postgres_shelf.server.password not in str(failure.value)
    finally:
        postgres_shelf.server.start()
    for use in uses:
        use()
    assert ledger.size() == 2
    assert ledger.checkpoints() == [(1, "note")]


@pytest.mark.parametrize("way", ["restart", "hang up"])
def test_an_idle_connection_that_was_ended_is_not_noticed(way: str, postgres_shelf: PostgresShelf) -> None:
    """The next use opens another: the append is new, and said to be so."""
    ledger = postgres_shelf.fresh()()
    ledger.append("k", "a", {})
    if way == "restart":
        postgres_shelf.server.stop()
        postgres_shelf.server.start()
    else:
        ended = "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'ledger_writer'"
        assert postgres_shelf.server.execute(ended)
        time.sleep(0.2)  # its farewell is on the way
    assert ledger.append("k", "b", {}).added
    assert ledger.size() == 2


def test_a_lock_that_somebody_holds_is_waited_for(postgres_shelf: PostgresShelf) -> None:
    """One writer at a time: the next one has the next number."""
    import psycopg

    opened = postgres_shelf.fresh()
    first, second = opened(), opened()
    first.append("k", "a", {})
    found: list[Receipt] = []
    with psycopg.connect(postgres_shelf.address()[1]) as holder:
        holder.execute("select * from ledger.append('k', 'held', %s)", (b'{"body":{},"key":"held","kind":"k"}',))
        thread = threading.Thread(target=lambda: found.append(second.append("k", "waiting", {})))
        thread.start()
        thread.join(0.3)
        assert (thread.is_alive(), found, first.size()) == (True, [], 1)
        assert [entry.key for entry in first.entries("k")] == ["a"]
        holder.commit()
        thread.join(10)
    assert [(receipt.seq, receipt.added) for receipt in found] == [(2, True)]
    assert [entry.key for entry in first.entries("k")] == ["a", "held", "waiting"]


def test_nobody_waits_for_ever(postgres_shelf: PostgresShelf) -> None:
    """A statement is given up by the server after a time that the session sets; the message says so."""
    ledger = postgres_shelf.fresh()()
    ledger.append("k", "a", {})
    ledger._link.rows("select set_config('lock_timeout', '100ms', false)")  # type: ignore[attr-defined]
    server = postgres_shelf.server
    import psycopg

    with psycopg.connect(postgres_shelf.admin) as holder:
        holder.execute("select * from ledger.head for update")
        with pytest.raises(
            LedgerError, match=f"on 127.0.0.1:{server.ports[0]}, found: canceling statement due to lock timeout$"
        ):
            ledger.append("k", "b", {})
    assert ledger.append("k", "b", {}).added
