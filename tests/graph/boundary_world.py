"""A home whose run dies at a chosen boundary: before or after a durable write, an answer of the broker or a signature.

The twins stand at the ports; the product's code is the real one. A boundary is one call; its number counts from 1 over a run.
Not here: any statement about the product.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from graph_world import NEXT, Between, Home

from marketbot_resources.halt import HaltFlag, HaltSwitch
from marketbot_resources.ledger.record import Receipt
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import Acknowledgement, Order
from marketbot_resources.notary import Notarized
from marketbot_resources.store.index import IndexRow
from marketbot_resources.store.index_sqlite import SqliteIndex
from marketbot_resources.store.lake import Lake
from marketbot_resources.store.objects import LocalObjects
from marketbot_resources.store.resource import StoreResource
from marketbot_resources.wiring import BrokerResource, HaltResource, NotaryResource, Ports

T = TypeVar("T")


class Boundaries:
    """Counts the boundaries of this process and kills it, without a word, at one of them."""

    seen: ClassVar[list[str]] = []
    die_at: ClassVar[int] = 0
    after: ClassVar[bool] = False

    @classmethod
    def cross(cls, name: str, call: Callable[[], T]) -> T:
        """Runs the call; the process is killed before or after it when its number has come."""
        cls.seen.append(name)
        mine = len(cls.seen) == cls.die_at
        if mine and not cls.after:
            os.kill(os.getpid(), signal.SIGKILL)
        made = call()
        if mine:
            os.kill(os.getpid(), signal.SIGKILL)
        return made


class _Objects(LocalObjects):
    def put(self, key: str, data: bytes) -> None:
        Boundaries.cross(f"put {key.split('/')[0]}", lambda: super(_Objects, self).put(key, data))


class _Index(SqliteIndex):
    def add(self, row: IndexRow) -> None:
        Boundaries.cross(f"index {row.asset}", lambda: super(_Index, self).add(row))

    def add_blobs(self, rows: Any) -> None:
        Boundaries.cross("index blobs", lambda: super(_Index, self).add_blobs(rows))


class _Ledger(SqliteLedger):
    def _append(self, records: Any, fence: Any = None) -> list[Receipt]:
        return Boundaries.cross(f"ledger {records[0][0]}", lambda: super(_Ledger, self)._append(records, fence))

    def keep_checkpoint(self, size: int, note: str) -> None:
        Boundaries.cross("ledger checkpoint", lambda: super(_Ledger, self).keep_checkpoint(size, note))


class _Lake(Lake):
    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.objects = _Objects(home / "store")
        self.index = _Index(home / "index.sqlite")
        self.ledger = _Ledger(home / "ledger.sqlite")


_LAKES: dict[str, Lake] = {}


class CountedStore(StoreResource):
    """The store, every durable write of which is a boundary."""

    @property
    def lake(self) -> Lake:
        from marketbot_resources import settings

        key = str(settings.home())
        if key not in _LAKES:
            _LAKES[key] = _Lake(Path(key))
        return _LAKES[key]


class _Broker(Between):
    def submit(self, order: Order, at: Any) -> Acknowledgement:
        return Boundaries.cross("broker submit", lambda: self._broker.submit(order, at))

    def find(self, client_order_id: str) -> Acknowledgement | None:
        return Boundaries.cross("broker find", lambda: self._broker.find(client_order_id))

    def report(self, since: Any, until: Any) -> Any:
        return Boundaries.cross("broker report", lambda: self._broker.report(since, until))


class CountedBroker(BrokerResource):
    """The paper broker, every question to which is a boundary."""

    def open(self, mandate: Mandate, ports: Ports) -> Any:
        return _Broker(super().open(mandate, ports))


class _Notary:
    def __init__(self, notary: Any) -> None:
        self._notary = notary

    def checkpoint(self) -> Notarized:
        return Boundaries.cross("notary", self._notary.checkpoint)


class CountedNotary(NotaryResource):
    """The notary, whose checkpoints are boundaries."""

    def open(self, lake: Lake, mandate: Mandate) -> Any:
        return _Notary(super().open(lake, mandate))


class _Halt(HaltSwitch):
    def read(self) -> HaltFlag:
        return Boundaries.cross("halt read", super().read)


class CountedHalt(HaltResource):
    """The halt flag, every reading of which is a boundary."""

    def open(self) -> HaltSwitch:
        from marketbot_resources import settings

        return _Halt(settings.home())


TWINS = {"store": CountedStore(), "broker": CountedBroker(), "notary": CountedNotary(), "halt": CountedHalt()}


def boundaries_of(home: Home) -> list[str]:
    """The boundaries of a run that nothing disturbs, in order, from a child process."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        good = home.run(NEXT, dict(TWINS))
        os.write(write, "\n".join(["good" if good else "bad", *Boundaries.seen]).encode())
        os._exit(0)
    os.close(write)
    told = b""
    while chunk := os.read(read, 65_536):
        told += chunk
    os.close(read)
    os.waitpid(pid, 0)
    first, *names = told.decode().split("\n")
    assert first == "good"
    return names


def run_and_die(home: Home, number: int, *, after: bool) -> None:
    """A run of the next session in a child process that is killed at a boundary."""
    pid = os.fork()
    if pid == 0:
        Boundaries.die_at, Boundaries.after = number, after
        home.run(NEXT, dict(TWINS))
        os._exit(1)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status), f"boundary {number} was never reached"
    assert os.WTERMSIG(status) == signal.SIGKILL


def run_again(home: Home) -> bool:
    """The same session once more, undisturbed, in a child process: nothing of it stays in this one."""
    pid = os.fork()
    if pid == 0:
        os._exit(0 if home.run(NEXT) else 1)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status) == 0
