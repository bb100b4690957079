"""The ledger's database dies while a batch is sent over HTTP, and disks fill up before: every order once, or nothing at all."""

import datetime as dt
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "ledger"))

from alpaca_world import AlpacaWorld
from ledger_shelves import PostgresShelf
from paper_world import MONDAY, order
from services import Postgres

from marketbot_resources.broker.desk import Timing
from marketbot_resources.broker.sending import SendReport, freeze_batch, send_batch
from marketbot_resources.errors import HaltError, LedgerError, SessionRefused
from marketbot_resources.halt import HaltFlag
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.model import Order, OrderState, Side

SEED, COUNT, RUNS_MAX = 20181224, 4, 8
MINUTE = 60.0


class Doomed:
    """A ledger whose server is killed at one call, before it or once it is done; `calls` counts them."""

    def __init__(self, ledger: Ledger, server: Postgres, at: int = -1, after: bool = False) -> None:
        self._ledger, self._server, self._at, self._after, self.calls = ledger, server, at, after, 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._ledger, name)
        if not callable(found):
            return found

        def called(*given: Any, **named: Any) -> Any:
            self.calls += 1
            if self.calls == self._at and not self._after:
                self._server.kill()
            told = found(*given, **named)
            if self.calls == self._at and self._after:
                self._server.kill()
            return told

        return called


def batch() -> list[Order]:
    return [order(Side.BUY, "5", "10.50", number=str(number)) for number in range(COUNT)]


def send(ledger: Any, world: AlpacaWorld, orders: Sequence[Order]) -> SendReport:
    """One run of sending, as a process of its own would; its clocks are the broker's."""

    def now() -> dt.datetime:
        return world.server.truth.now

    def wait(seconds: float) -> None:
        world.do(do="advance", seconds=seconds)

    return send_batch(
        ledger, world.reopened(), orders, account="acc", session=MONDAY, timing=Timing(now, wait, now),
        halt=lambda: HaltFlag("off", ""), gate=lambda _: (),
    )  # fmt: skip


def killed_at(shelf: PostgresShelf, path: Path, at: int, after: bool, last: int = 0) -> int:
    """Kills the database at a call of the first run, goes on with others, and looks what the broker got. Returns the calls.

    `last`: the number of calls of a calm run; after that one nothing is left that could fail.
    """
    path.mkdir()
    opened, orders, server = shelf.fresh(), batch(), shelf.server
    freeze_batch(opened(), "acc", MONDAY, orders, {"verdict": "APPROVED"})
    world = AlpacaWorld(path, dedupes=True, faults="accept_504=0.3", seed=7)
    doomed = Doomed(opened(), server, at, after)
    try:
        if at >= 0 and not (after and at == last):
            with pytest.raises(LedgerError, match=r"^[^\n]*$"):
                send(doomed, world, orders)
        else:
            send(doomed, world, orders)
        if at >= 0:
            server.start()
        states = finish(opened, world, orders)
        assert states == {one.client_order_id: OrderState.ACKED for one in orders}, f"call {at}, after: {after}"
        assert world.told()["by_client_id"] == {one.client_order_id: 1 for one in orders}, f"call {at}, after: {after}"
    finally:
        world.close()
    return doomed.calls


def finish(opened: Callable[[], Ledger], world: AlpacaWorld, orders: Sequence[Order]) -> dict[str, OrderState]:
    """Runs until nothing is left; each opens the ledger anew. A run that died holds its turn until its sign of life is old."""
    for _ in range(RUNS_MAX):
        try:
            report = send(opened(), world, orders)
        except (HaltError, SessionRefused):
            report = None
        if report is not None and not report.halted and not report.waiting:
            return report.states
        world.do(do="advance", seconds=MINUTE)
    raise AssertionError("the batch does not come to its end")


def campaign(shelf: PostgresShelf, folder: Path, kills: int) -> None:
    calls, chance = killed_at(shelf, folder / "calm", -1, False), random.Random(SEED)
    assert calls > 10 * COUNT
    for number in range(kills):
        at, after = 1 + int(calls * (number + chance.random()) / kills), chance.random() < 0.5
        killed_at(shelf, folder / str(number), min(at, calls), after, calls)


@pytest.fixture(scope="module")
def shelf(postgres: Postgres) -> PostgresShelf:
    return PostgresShelf(postgres)


@pytest.mark.postgres
def test_a_database_that_dies_while_a_batch_is_sent(shelf: PostgresShelf, tmp_path: Path) -> None:
    """F31 at three points: what was sent is not sent again, what was not is sent once the database is back."""
    campaign(shelf, tmp_path, 3)


@pytest.mark.postgres
@pytest.mark.long
def test_fifty_deaths_of_the_database_while_batches_are_sent(shelf: PostgresShelf, tmp_path: Path) -> None:
    """F31, as a campaign."""
    campaign(shelf, tmp_path, 50)
