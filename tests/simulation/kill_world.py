"""A live-like run in real processes: sessions over HTTP to a misbehaving Alpaca, killed at random instants and started again.

A child process runs a session from what ledger and disk hold; the parent kills it, starts it again, and lets the broker's time
pass between sessions. There is one time: a process that starts reads it where the one before left it. Not here: any statement
about the product (`test_live_kills`).
"""

import datetime as dt
import json
import os
import pickle
import random
import select
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from sim_faults import Faults, FaultyStore, VirtualClock
from sim_platform import Kept, Simulated
from sim_world import LISTINGS, Shape, World

from marketbot_assets.ingestion.schema import ACCOUNT_SNAPSHOT
from marketbot_resources.alpaca_terms import ALPACA_CAPABILITIES
from marketbot_resources.broker.alpaca import AlpacaBroker
from marketbot_resources.broker.http import BrokerHttp
from marketbot_resources.broker.symbols import Symbol, Symbols
from marketbot_resources.calendars import open_at
from marketbot_resources.ledger.examine import first_fault
from marketbot_resources.ledger.postgres import PostgresLedger
from marketbot_resources.ledger.record import Fence, Receipt
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.mandate import Schedule
from marketbot_resources.model import OrderState
from marketbot_resources.store.content import canonical, decode, encode, to_frame

SERVER = Path(__file__).parents[1] / "broker" / "alpaca_server.py"
KEY, SECRET, NUMBER = "PKTESTKEY0000000001", "test-secret-Zq81LmXx", "PA3TESTNUMBER"
FOREIGN = frozenset(name for name, row in LISTINGS.items() if row[1] != "USD")
EVENING = dt.timedelta(minutes=55)
QUIET = Shape(gap=0.0, missing=0.0, halt=0.0, split=0.0, dividend=0.0)
CHILD_SECONDS_MAX = 90.0
EARLY, STARTS_MAX = 0.3, 20
RESTART_SECONDS = (1.0, 90.0)
RECEIPTS = "receipts"
MARK, GOOD = b".", b"good"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run leaves: the broker's truth, our book after the last session, and what the ledger holds.

    `entries`: kind and key of sessions, batches and intents; `sent`: ids of orders with a durable SENDING; `lost`: kind, key,
    number and hash of entries of which a process was told that they are durable, and which are not there; `fault`: what does not
    verify, empty when all does.
    """

    truth: Mapping[str, object]
    book: Mapping[str, object]
    entries: frozenset[str]
    sent: frozenset[str]
    lost: frozenset[str]
    fault: str
    kills: int


class Broker:
    """The server in its own process; its truth is a file."""

    def __init__(self, folder: Path, seed: int, faults: str, start: dt.datetime) -> None:
        words = [sys.executable, str(SERVER), "--state", str(folder / "truth.sqlite"), "--seed", str(seed)]
        words += ["--faults", faults, "--now", start.isoformat(), "--cash", "1000000"]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        told = self._process.stdout.readline()
        assert told.startswith("listening "), told
        self.base = told.split()[1]

    def control(self, *actions: Mapping[str, object]) -> None:
        """Carries out actions of the test."""
        control(self.base, *actions)

    def truth(self) -> dict[str, object]:
        """What really happened."""
        return truth(self.base)

    def close(self) -> None:
        """Ends the server."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def control(base: str, *actions: Mapping[str, object]) -> None:
    """Tells the server what to do next."""
    body = json.dumps(list(actions)).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{base}/_control", body, method="POST"), timeout=10) as answer:
        answer.read()


def truth(base: str) -> dict[str, object]:
    """What really happened at the server."""
    with urllib.request.urlopen(f"{base}/_truth", timeout=10) as answer:
        return json.loads(answer.read())  # type: ignore[no-any-return]


class LinkedClock(VirtualClock):
    """The machine's clock: the broker's time at the start of the process; who waits lets the broker's time pass, too."""

    def __init__(self, schedule: Schedule, base: str) -> None:
        super().__init__(schedule)
        self.base = base
        self.at = dt.datetime.fromisoformat(str(truth(base)["now"]))

    def wait(self, seconds: float) -> None:
        super().wait(seconds)
        control(self.base, {"do": "advance", "seconds": seconds})


class _Sqlite(SqliteLedger):
    """The ledger as a file. It notes every entry that it was told to be durable; the notes outlive the process."""

    receipts = Path()

    def _append(self, records: Sequence[tuple[str, str, bytes]], fence: Fence | None = None) -> list[Receipt]:
        return _noted(self.receipts, records, super()._append(records, fence))


class _Postgres(PostgresLedger):
    """The ledger as a database, with the same notes."""

    receipts = Path()

    def _append(self, records: Sequence[tuple[str, str, bytes]], fence: Fence | None = None) -> list[Receipt]:
        return _noted(self.receipts, records, super()._append(records, fence))


def _noted(path: Path, records: Sequence[tuple[str, str, bytes]], made: list[Receipt]) -> list[Receipt]:
    with path.open("a", encoding="utf-8") as file:
        for (kind, key, _), receipt in zip(records, made, strict=True):
            file.write(f"{kind} {key} {receipt.seq} {receipt.hash}\n")
    return made


class Disk(FaultyStore):
    """Snapshots and books on the disk, each whole or not at all, put once."""

    folder = Path()

    def put(self, asset: str, session: dt.date, value: object) -> object:  # type: ignore[override]
        path = self._path(asset, session)
        if not path.exists():
            beside = path.with_suffix(f".{os.getpid()}")
            if asset == "account_snapshot":
                assert isinstance(value, pd.DataFrame)
                beside.write_bytes(encode(canonical(value, ACCOUNT_SNAPSHOT)))
            else:
                beside.write_bytes(pickle.dumps(value))
            beside.replace(path)
        return self.get(asset, session)

    def get(self, asset: str, session: dt.date) -> object | None:
        path = self._path(asset, session)
        if not path.exists():
            return None
        if asset == "account_snapshot":
            return to_frame(decode(path.read_bytes(), ACCOUNT_SNAPSHOT.arrow_schema))
        return pickle.loads(path.read_bytes())  # type: ignore[no-any-return]

    def _path(self, asset: str, session: dt.date) -> Path:
        return self.folder / f"{session.isoformat()}.{asset}"


def world_of(count: int) -> World:
    """A calm market of which only the dollar names may be bought: the broker reaches no other."""
    world = World(7, count, QUIET)
    world.instruments = world.instruments.assign(in_universe=~world.instruments["instrument"].isin(FOREIGN))
    return world


def open_run(world: World, home: Path, url: str | None, base: str) -> Simulated:
    """The platform as a new process finds it."""
    ledger = _ledger(home, url)
    ledger.receipts = home / RECEIPTS
    clock = LinkedClock(world.mandate.schedule, base)
    listed = [Symbol(name, row[0], name[-1], row[1]) for name, row in LISTINGS.items() if name not in FOREIGN]
    headers = {"APCA-API-KEY-ID": KEY, "APCA-API-SECRET-KEY": SECRET}
    broker = AlpacaBroker(
        BrokerHttp(base, headers=headers),
        lambda: Symbols(listed),
        account=NUMBER,
        environment="paper",
        capabilities=ALPACA_CAPABILITIES,
        wait=clock.wait,
    )
    return Simulated(
        world, home, Faults(0), dedupes=True, clock=clock, broker=broker, ledger=ledger, store=_disk(home)
    )  # fmt: skip


def _ledger(home: Path, url: str | None) -> _Sqlite | _Postgres:
    return _Sqlite(home / "ledger.sqlite") if url is None else _Postgres(url)


def _disk(home: Path) -> Disk:
    store = Disk(Faults(0))
    store.folder = home / "store"
    store.folder.mkdir(exist_ok=True)
    return store


def run_session(
    world: World, home: Path, url: str | None, base: str, place: int, sends: Callable[[], object] = lambda: None
) -> Simulated:
    """One session from where the processes before left it. `sends` is told when it begins to send."""
    sim = open_run(world, home, url, base)
    sim.before_sending = sends
    sim.run(world.sessions[place])
    return sim


@contextmanager
def broker_of(folder: Path, world: World, seed: int, faults: str) -> Iterator[Broker]:
    """A server at the evening of the first session."""
    server = Broker(folder, seed, faults, world.cutoffs[world.sessions[0]] + EVENING)
    try:
        yield server
    finally:
        server.close()


def live(folder: Path, url: str | None, *, sessions: int, seed: int, faults: str, kills: int = 0) -> Outcome:
    """A run of some sessions. Each gets its share of `kills` at random instants: the first before it sends, most while it does."""
    world, draw, done = world_of(sessions + 1), random.Random(seed), 0
    home = folder / "home"
    home.mkdir()
    _warm(world, folder)
    with broker_of(folder, world, seed, faults) as server:
        for place in range(sessions):
            child = _Child(world, home, url, server.base, place)
            for start in range(kills // sessions):
                done += child.killed(draw, early=start == 0 or draw.random() < EARLY)
                server.control({"do": "advance", "seconds": draw.uniform(*RESTART_SECONDS)})
            child.finished()
            _next_day(server, world, place)
        truth = server.truth()
        book = _book(world, home, url, server.base, sessions)
        return Outcome(truth, book, *_recorded(home, url), done)


def _warm(world: World, folder: Path) -> None:
    """What a new process would spend its first seconds on, so that children are killed while they work."""
    aside = folder / "aside"
    aside.mkdir()
    sim = Simulated(world, aside, Faults(0), dedupes=True)
    sim.clock.begin(world.sessions[0])
    sim.run(world.sessions[0])


@dataclass(slots=True)
class _Child:
    """A process that runs a session. How long it takes is learned from those that were not killed."""

    world: World
    home: Path
    url: str | None
    base: str
    place: int
    before: float = 0.3
    sending: float = 0.3

    def killed(self, draw: random.Random, *, early: bool) -> int:
        """Starts one and kills it: before it sends, or while it does; 0 when it was faster than that."""
        told = self._run(draw.uniform(0.0, self.before) if early else None, draw.uniform(0.0, self.sending))
        return int(not told.endswith(GOOD))

    def finished(self) -> None:
        """Starts one after the other until one comes to its end."""
        told = b""
        for _ in range(STARTS_MAX):
            told = self._run(None, None)
            if told.endswith(GOOD):
                return
        raise AssertionError(f"session {self.world.sessions[self.place]} does not come to its end: {told.decode()}")

    def _run(self, before: float | None, sending: float | None) -> bytes:
        """What one process said; it is killed so many seconds after its start, or after it began to send, if at all."""
        read, write = os.pipe()
        pid, begun = os.fork(), time.monotonic()
        if pid == 0:
            os.close(read)
            world, home, url, base, place = self.world, self.home, self.url, self.base, self.place
            _alone(lambda: run_session(world, home, url, base, place, lambda: os.write(write, MARK)), write)
        os.close(write)
        try:
            told = _heard(read, before)
            if told.startswith(MARK):
                self.before, begun = time.monotonic() - begun, time.monotonic()
                told += _heard(read, sending)
            if not told.endswith(GOOD):
                os.kill(pid, signal.SIGKILL)
            elif sending is None:
                self.sending = time.monotonic() - begun
        finally:
            os.close(read)
            os.waitpid(pid, 0)
        return told


def _heard(pipe: int, seconds: float | None) -> bytes:
    """The next words of a child within so many seconds; none if it said nothing."""
    ready, _, _ = select.select([pipe], [], [], CHILD_SECONDS_MAX if seconds is None else seconds)
    return os.read(pipe, 65_536) if ready else b""


def _alone(act: Callable[[], object], write: int) -> None:
    """The life of a child: it says good, or what went wrong, and ends without a word to anybody else."""
    try:
        act()
        os.write(write, GOOD)
    except BaseException as error:
        os.write(write, f"{type(error).__name__}: {error}".encode()[:60_000])
    os._exit(0)


def _next_day(server: Broker, world: World, place: int) -> None:
    """The next auction, and the evening after it."""
    day = world.sessions[place + 1]
    prints = []
    for name in sorted(set(LISTINGS) - FOREIGN):
        bar = world.bar(name, day)
        assert bar is not None
        at = open_at("XNYS", day)
        prints.append(
            {"do": "print", "at": at.isoformat(), "symbol": name[-1], "price": f"{bar[0]:.2f}", "kind": "open"}
        )
    evening = world.cutoffs[day] + EVENING
    server.control(*prints, {"do": "pass_to", "at": evening.isoformat()})


def _book(world: World, home: Path, url: str | None, base: str, place: int) -> dict[str, object]:
    """Our book after the last fills, from a process of its own, as every other is; again while the broker refuses to tell."""
    told = b""
    for _ in range(STARTS_MAX):
        told = _told_book(world, home, url, base, place)
        first, _, rest = told.partition(b"\n")
        if rest == GOOD:
            return json.loads(first)  # type: ignore[no-any-return]
    raise AssertionError(told.decode())


def _told_book(world: World, home: Path, url: str | None, base: str, place: int) -> bytes:
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)

        def tell() -> None:
            kept = run_session(world, home, url, base, place).store.get("book", world.sessions[place])
            assert isinstance(kept, Kept)
            held = kept.held.holdings
            told = {
                "shares": {k: str(v) for k, v in held.shares.items()},
                "cash": {k: str(v) for k, v in held.cash.items()},
            }
            os.write(write, json.dumps({**told, "clean": kept.clean}).encode() + b"\n")

        _alone(tell, write)
    os.close(write)
    told = b""
    while chunk := os.read(read, 65_536):
        told += chunk
    os.close(read)
    os.waitpid(pid, 0)
    return told


def _recorded(home: Path, url: str | None) -> tuple[frozenset[str], frozenset[str], frozenset[str], str]:
    """(entries, orders sent, lost, first fault) of the ledger; attempts and questions are of each process its own."""
    ledger = _ledger(home, url)
    kinds = ("session_cutoff", "batch_frozen", "order_intent", "session_end")
    entries = frozenset(f"{kind} {entry.key}" for kind in kinds for entry in ledger.entries(kind))
    events = [entry for entry in ledger.entries("order_event") if entry.body["state"] == OrderState.SENDING.value]
    told = frozenset((home / RECEIPTS).read_text(encoding="utf-8").splitlines())
    there = frozenset(f"{row.kind} {row.key} {row.seq} {row.leaf.hex()}" for row in ledger.rows())
    fault = first_fault(ledger)
    if isinstance(ledger, PostgresLedger):
        ledger.close()
    sent = frozenset(entry.key.split("/")[0] for entry in events)
    return entries, sent, told - there, "" if fault is None else str(fault)
