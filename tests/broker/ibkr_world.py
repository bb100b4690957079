"""The adapter of Interactive Brokers before the misbehaving gateway, as a World of the contract; its server is a thread here."""

import datetime as dt
import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ibkr_wire as wire
from ibkr_server import Server
from paper_world import OPEN, SENT

from marketbot_resources.broker.ibkr import IbkrBroker
from marketbot_resources.broker.ibkr_gateway import IbkrGateway
from marketbot_resources.broker.ibkr_memory import IbkrMemory
from marketbot_resources.broker.symbols import Symbol, Symbols
from marketbot_resources.broker.wire_log import WireLog

LISTINGS = (
    Symbol("A", "XNYS", "A", "USD"),
    Symbol("F", "BATS", "F", "USD"),
    Symbol("BC", "XNYS", "B.C", "USD"),
    Symbol("L", "XLON", "L", "GBP"),
    Symbol("N", "ARCX", "A", "USD"),
    *(Symbol(f"S{number}", "XNYS", f"S{number}", "USD") for number in range(8)),
)


class IbkrWorld:
    can = frozenset({"dedupe", "faults", "foreign", "busts", "partial", "repeats"})

    def __init__(self, address: str, home: Path) -> None:
        self.address, self.home, self._opened = address, home, list[IbkrGateway]()
        self.seconds = 0.0
        self.broker = self.reopened()

    def open(self, account: str = wire.ACCOUNT, symbols: Symbols | None = None) -> IbkrBroker:
        seen = WireLog(self.home, "ibkr").keep
        gateway = IbkrGateway(self.address, account, "paper", seen=seen, wait=self.wait, now=lambda: self.seconds)
        self._opened.append(gateway)
        return IbkrBroker(gateway, IbkrMemory(self.home), "USD", lambda: symbols or Symbols(LISTINGS))

    def wait(self, seconds: float) -> None:
        assert 0 <= seconds <= 10
        self.seconds += seconds

    def close(self) -> None:
        for gateway in self._opened:
            gateway.close()

    def reopened(self) -> IbkrBroker:
        return self.open()

    def foreign(self) -> IbkrBroker:
        return self.open("DU9999999")

    def control(self, **what: object) -> object:
        self.seconds += 10.0  # whoever moves the broker's world lets time pass
        host = self.address.removesuffix("/v1/api")
        asked = urllib.request.Request(host + "/_control", data=json.dumps(what).encode(), method="POST")
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return json.loads(answer.read())

    def truth(self) -> dict:
        with urllib.request.urlopen(self.address.removesuffix("/v1/api") + "/_truth", timeout=10) as answer:
            return json.loads(answer.read())  # type: ignore[no-any-return]

    def price(self, price: float, volume: float = 1_000_000.0) -> None:
        self.control(do="price", at=OPEN.isoformat(), price=str(price), volume=str(int(volume)))

    def pass_to(self, at: dt.datetime) -> None:
        self.control(do="pass", at=at.isoformat())

    def requests(self) -> int:
        return int(self.truth()["requests"].get("order", 0))

    def fault(self, name: str) -> None:
        self.control(do="fault", name=name)

    def bust(self, execution_id: str, price: str | None) -> None:
        self.control(do="bust", execution=execution_id, price=price)

    def partial(self, quantity: str, price: str) -> None:
        self.pass_to(OPEN)
        self.control(do="fill", name="o1", qty=quantity, price=price)

    def repeat(self) -> None:
        self.control(do="set", values={"repeat": True})

    def dividend(self, per_share: str) -> None:
        raise NotImplementedError


@contextmanager
def ibkr_world(path: Path, **server: object) -> Iterator[IbkrWorld]:
    """A fresh gateway and a home before it."""
    running = Server(path / "truth.sqlite", now=SENT, **server)  # type: ignore[arg-type]
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    world = IbkrWorld(running.address, path / "home")
    try:
        yield world
    finally:
        world.close()
        running.shutdown()
        running.server_close()
        thread.join(10)
