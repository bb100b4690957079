"""A live-like run in real processes: sessions over HTTP to a misbehaving Alpaca, killed at random instants and started again.

A child process runs every session up to one from what ledger and disk hold; the parent kills it, starts it again, and lets the
broker's time pass between sessions. Not here: any statement about the product (`test_live_kills`).
"""

import datetime as dt
import json
import os
import random
import select
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
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
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.postgres import PostgresLedger
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.model import OrderState
from marketbot_resources.store.content import canonical, decode, encode, to_frame

SERVER = Path(__file__).parents[1] / "broker" / "alpaca_server.py"
KEY, SECRET, NUMBER = "PKTESTKEY0000000001", "test-secret-Zq81LmXx", "PA3TESTNUMBER"
FOREIGN = frozenset(name for name, row in LISTINGS.items() if row[1] != "USD")
EVENING = dt.timedelta(minutes=55)
QUIET = Shape(gap=0.0, missing=0.0, halt=0.0, split=0.0, dividend=0.0)
CHILD_SECONDS_MAX = 90.0
EARLY, STARTS_MAX = 0.3, 20
MARK, GOOD = b".", b"good"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run leaves: the broker's truth, our book after the last session, and what the ledger holds.

    `entries`: kind and key of sessions, batches and intents; `sent`: ids of orders with a durable SENDING; `fault`: what does not
    verify, empty when all does.
    """

    truth: Mapping[str, object]
    book: Mapping[str, object]
    entries: frozenset[str]
    sent: frozenset[str]
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
        with urllib.request.urlopen(f"{self.base}/_truth", timeout=10) as answer:
            return json.loads(answer.read())  # type: ignore[no-any-return]

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


class LinkedClock(VirtualClock):
    """The evening of a session; who waits lets the broker's time pass, too."""

    base = ""

    def begin(self, session: dt.date) -> None:
        super().begin(session)
        self.at = max(self.at, self.at_cutoff(session) + EVENING)

    def wait(self, seconds: float) -> None:
        super().wait(seconds)
        control(self.base, {"do": "advance", "seconds": seconds})


class Disk(FaultyStore):
    """Snapshots on the disk, whole or not at all; everything else is worked out again from them."""

    folder = Path()

    def put(self, asset: str, session: dt.date, value: object) -> object:  # type: ignore[override]
        if asset == "account_snapshot":
            assert isinstance(value, pd.DataFrame)
            path = self.folder / f"{session.isoformat()}.parquet"
            beside = path.with_suffix(f".{os.getpid()}")
            beside.write_bytes(encode(canonical(value, ACCOUNT_SNAPSHOT)))
            beside.replace(path)
        return super().put(asset, session, value)

    def get(self, asset: str, session: dt.date) -> object | None:
        path = self.folder / f"{session.isoformat()}.parquet"
        if asset == "account_snapshot" and path.exists():
            return to_frame(decode(path.read_bytes(), ACCOUNT_SNAPSHOT.arrow_schema))
        return super().get(asset, session)


def world_of(count: int) -> World:
    """A calm market of which only the dollar names may be bought: the broker reaches no other."""
    world = World(7, count, QUIET)
    world.instruments = world.instruments.assign(in_universe=~world.instruments["instrument"].isin(FOREIGN))
    return world


def open_run(world: World, home: Path, url: str | None, base: str) -> Simulated:
    """The platform as a new process finds it."""
    ledger: Ledger = SqliteLedger(home / "ledger.sqlite") if url is None else PostgresLedger(url)
    clock = LinkedClock(world.mandate.schedule)
    clock.base = base
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


def _disk(home: Path) -> Disk:
    store = Disk(Faults(0))
    store.folder = home / "snapshots"
    store.folder.mkdir(exist_ok=True)
    return store


def run_sessions(
    world: World, home: Path, url: str | None, base: str, last: int, sends: Callable[[], object] = lambda: None
) -> Simulated:
    """Every session up to one, each from where the processes before left it. `sends` is told when the last one begins to send."""
    sim = open_run(world, home, url, base)
    for place, day in enumerate(world.sessions[: last + 1]):
        sim.clock.begin(day)
        sim.before_sending = sends if place == last else lambda: None
        sim.run(day)
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
    """A run of some sessions. Each gets its share of `kills` at random instants; most fall while orders are sent."""
    world, draw, done = world_of(sessions + 1), random.Random(seed), 0
    home = folder / "home"
    home.mkdir()
    _warm(world, folder)
    with broker_of(folder, world, seed, faults) as server:
        for place in range(sessions):
            child = _Child(world, home, url, server.base, place)
            for _ in range(kills // sessions):
                done += child.killed(draw)
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
    """A process that runs the sessions up to one. How long it takes is learned from those that were not killed."""

    world: World
    home: Path
    url: str | None
    base: str
    place: int
    before: float = 0.3
    sending: float = 0.3

    def killed(self, draw: random.Random) -> int:
        """Starts one and kills it: before it sends, or while it does; 0 when it was faster than that."""
        early = draw.random() < EARLY
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
            _alone(lambda: run_sessions(world, home, url, base, place, lambda: os.write(write, MARK)), write)
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
    """Our book after the last fills, from a process of its own, as every other is."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)

        def tell() -> None:
            kept = run_sessions(world, home, url, base, place).store.get("book", world.sessions[place])
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
    first, _, rest = told.decode().partition("\n")
    assert rest == "good", told.decode()
    return json.loads(first)  # type: ignore[no-any-return]


def _recorded(home: Path, url: str | None) -> tuple[frozenset[str], frozenset[str], str]:
    """(entries, orders sent, first fault) of the ledger; attempts and questions are of each process its own."""
    ledger: Ledger = SqliteLedger(home / "ledger.sqlite") if url is None else PostgresLedger(url)
    kinds = ("session_cutoff", "batch_frozen", "order_intent", "session_end")
    entries = frozenset(f"{kind} {entry.key}" for kind in kinds for entry in ledger.entries(kind))
    events = [entry for entry in ledger.entries("order_event") if entry.body["state"] == OrderState.SENDING.value]
    fault = first_fault(ledger)
    if isinstance(ledger, PostgresLedger):
        ledger.close()
    return entries, frozenset(entry.key.split("/")[0] for entry in events), "" if fault is None else str(fault)
