"""Alpaca over HTTP as a World of the broker contract: the real adapter against the misbehaving server in a thread."""

import dataclasses
import datetime as dt
import threading
from collections.abc import Callable
from pathlib import Path

import alpaca_server
from paper_world import OPEN, SENT

from marketbot_resources.alpaca_terms import ALPACA_CAPABILITIES
from marketbot_resources.broker.alpaca import AlpacaBroker
from marketbot_resources.broker.http import BrokerHttp, Limits, Seen
from marketbot_resources.broker.symbols import Symbol, Symbols

LISTED = Symbols(
    [Symbol("A", "XNYS", "AAA", "USD"), Symbol("B", "XNAS", "BRK/B", "USD"), Symbol("T", "XTKS", "7203", "JPY")]
)
HEADERS = {"APCA-API-KEY-ID": alpaca_server.KEY, "APCA-API-SECRET-KEY": alpaca_server.SECRET}
QUICK = Limits(connect=1.0, read=2.0, total=4.0)
FAULTS = {"accept_silent": "accept_504", "lost": "lose", "late": "late"}


class AlpacaWorld:
    """A server on a file of its own. `faults`: the server's settings."""

    can = frozenset({"faults", "foreign", "busts", "partial", "repeats", "dividends"})

    def __init__(self, path: Path, *, dedupes: bool = False, faults: str = "", seed: int = 1) -> None:
        spec = ",".join(filter(None, [faults, "" if dedupes else "dedupe=off"]))
        self.server = alpaca_server.open_server(
            path / "alpaca.sqlite", seed=seed, faults=spec, now=SENT.isoformat(), shares={"AAA": "50"}
        )
        self.dedupes, self.https = dedupes, []  # type: ignore[var-annotated]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()
        self.broker = self.opened()

    def opened(
        self,
        account: str = alpaca_server.NUMBER,
        environment: str = "paper",
        seen: Callable[[Seen], None] | None = None,
    ) -> AlpacaBroker:
        http = BrokerHttp(self.server.base, headers=HEADERS, limits=QUICK, wait=lambda _: None, seen=seen)
        self.https.append(http)
        return AlpacaBroker(
            http,
            lambda: LISTED,
            account=account,
            environment=environment,
            capabilities=dataclasses.replace(ALPACA_CAPABILITIES, dedupes_client_id=self.dedupes),
            wait=lambda _: None,
        )

    def close(self) -> None:
        for http in self.https:
            http.close()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)

    def told(self) -> dict:
        """What really happened."""
        return self.server.truth.told()

    def do(self, **action: object) -> object:
        """One control of the server."""
        return self.server.control(action)

    def price(self, price: float, volume: float = 1_000_000.0) -> None:
        self.do(do="print", at=OPEN.isoformat(), symbol="AAA", price=price, volume=volume)

    def pass_to(self, at: dt.datetime) -> None:
        self.do(do="pass_to", at=at.isoformat())

    def reopened(self) -> AlpacaBroker:
        return self.opened()

    def requests(self) -> int:
        told = self.told()["requests"]
        return int(told.get("POST /v2/orders", 0))

    def fault(self, name: str) -> None:
        self.do(do="next", faults=[FAULTS[name]])

    def foreign(self) -> AlpacaBroker:
        return self.opened(account="PA3ANOTHER")

    def bust(self, execution_id: str, price: str | None) -> None:
        self.do(do="bust", execution_id=execution_id, price=price)

    def partial(self, quantity: str, price: str) -> None:
        self.do(do="fill", client_order_id="o1", qty=quantity, price=price)

    def repeat(self) -> None:
        self.server.faults.settings["repeat"] = "on"

    def dividend(self, per_share: str) -> None:
        self.do(do="event", kind="DIV", symbol="AAA", amount=f"{float(per_share) * 50:.2f}", qty="50")
