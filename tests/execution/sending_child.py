"""Processes that send one batch at once: a program of its own, because a test process has threads and must not fork.

crowd FOLDER LEDGER COUNT   so many processes send the batch; whoever may waits before its first order until all others are done
paused FOLDER LEDGER AFTER  one process stops itself after so many orders; another follows when its time to live is over, ends the
                            batch, and wakes it

LEDGER is an address of PostgreSQL, or "" for a file in FOLDER. Prints what each process said, as JSON; FOLDER/submitted has one
line for each call of the broker.
"""

import datetime as dt
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "broker"))

from paper_world import MONDAY, OPENED, SENT, TUESDAY, D, HandMarket, mandate, order

from marketbot_resources.broker.desk import Timing
from marketbot_resources.broker.paper import PaperBroker
from marketbot_resources.broker.sending import freeze_batch, send_batch
from marketbot_resources.clock import machine_now
from marketbot_resources.errors import MarketbotError
from marketbot_resources.halt import HaltFlag
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.postgres import PostgresLedger
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.model import Acknowledgement, Order

ORDERS = tuple(order(quantity="1", number=f"{n}") for n in range(8))
SECONDS_MAX = 120
SHORT = dt.timedelta(seconds=0.5)


def ledger_of(folder: Path, url: str) -> Ledger:
    return PostgresLedger(url) if url else SqliteLedger(folder / "ledger.sqlite")


class Counted(PaperBroker):
    """The paper broker; each call that sends is a line, written before the broker has it."""

    def __init__(self, folder: Path) -> None:
        market = HandMarket()
        market.trade("A", TUESDAY, 10.0)
        super().__init__(folder / "broker.sqlite", mandate(), lambda since, until: market)
        self._calls = folder / "submitted"
        self.sent = 0

    def submit(self, order: Order, at: dt.datetime) -> Acknowledgement:
        with self._calls.open("a", encoding="utf-8") as calls:
            calls.write(f"{order.client_order_id}\n")
        self.sent += 1
        return super().submit(order, at)


def send(folder: Path, url: str, pause: Callable[[int], None], time_to_live: dt.timedelta) -> str:
    """One run in words. `pause` is called with the number of orders sent, before each."""
    broker = Counted(folder)

    def halt() -> HaltFlag:
        pause(broker.sent)
        return HaltFlag("off", "")

    def gate(_: Sequence[Order]) -> tuple[str, ...]:
        return ()

    timing = Timing(lambda: SENT, lambda _: None, machine_now, time_to_live)
    try:
        report = send_batch(
            ledger_of(folder, url), broker, ORDERS, account="acc", session=MONDAY, timing=timing, halt=halt, gate=gate
        )
    except MarketbotError as error:
        return f"{type(error).__name__}: {error}"
    return ": ".join(report.end_state())


def forked(work: Callable[[], str]) -> tuple[int, int]:
    """(process, what it says)."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm(SECONDS_MAX)
            os.close(ours)
            os.write(theirs, work().encode())
        finally:
            os._exit(0)
    os.close(theirs)
    return pid, ours


def said(process: tuple[int, int]) -> str:
    with os.fdopen(process[1], encoding="utf-8") as stream:
        text = stream.read()
    os.waitpid(process[0], 0)
    return text


def crowd(folder: Path, url: str, count: int) -> list[str]:
    """The one that got the right to send goes on when all others have ended."""
    start, begin = os.pipe()
    wait, go = os.pipe()

    def work() -> str:
        os.close(begin)
        os.close(go)
        os.read(start, 1)
        return send(folder, url, lambda sent: None if sent else os.read(wait, 1) and None, dt.timedelta(seconds=60))

    processes = [forked(work) for _ in range(count)]
    os.close(start)
    os.close(begin)  # now all begin
    ended, deadline = 0, time.monotonic() + SECONDS_MAX
    living = {pid for pid, _ in processes}
    while ended < count - 1 and time.monotonic() < deadline:
        pid, _ = os.waitpid(-1, os.WNOHANG)
        ended, living = ended + bool(pid), living - {pid}
        time.sleep(0 if pid else 0.01)
    os.close(go)
    for pid in living:
        os.waitpid(pid, 0)
    words = []
    for _, pipe in processes:
        with os.fdopen(pipe, encoding="utf-8") as stream:
            words.append(stream.read())
    return words


def paused(folder: Path, url: str, after: int) -> list[str]:
    """What the first said in the end, and the second."""

    stops = [after]

    def stop(sent: int) -> None:
        if sent in stops:
            stops.clear()
            os.kill(os.getpid(), signal.SIGSTOP)

    first = forked(lambda: send(folder, url, stop, dt.timedelta(seconds=60)))
    _, status = os.waitpid(first[0], os.WUNTRACED)
    assert os.WIFSTOPPED(status), status
    early = said(forked(lambda: send(folder, url, lambda _: None, dt.timedelta(seconds=60))))
    time.sleep(SHORT.total_seconds())
    second = said(forked(lambda: send(folder, url, lambda _: None, SHORT)))
    os.kill(first[0], signal.SIGCONT)
    return [early, second, said(first)]


def main(what: str, folder: Path, url: str, number: int) -> None:
    Counted(folder).seed({"USD": D(1_000_000)}, {}, OPENED)
    ledger = ledger_of(folder, url)
    freeze_batch(ledger, "acc", MONDAY, ORDERS, {})
    if isinstance(ledger, PostgresLedger):
        ledger.close()
    print(json.dumps({"crowd": crowd, "paused": paused}[what](folder, url, number)))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
