"""A home on the clock of a broker's test server, for graph tests of real adapters over HTTP; the world's ticks are cents.

Not here: the servers (`tests/broker`), any statement about the product.
"""

import datetime as dt
import json
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

from graph_world import ROOT, EditedPorts, Home, Overrides

from marketbot_resources.clock import Clock
from marketbot_resources.wiring import ClockResource

PAPER = "broker: {name: paper, participation_max: 0.02, resend: false}"
HOME_ONLY = {"    XLON: all\n    XETR: all\n    XTKS: all\n    XHKG: all\n": "", "{clock: replay,": "{clock: live,"}
# the sample world's price steps are finer than a cent, as its closes are back-adjusted
CENTS = EditedPorts(kind="instruments", edits=[["*", "*", "tick_size", "0.01"]])


class BrokersTime:
    """Live: what the server at `address` calls now."""

    live = True

    def __init__(self, address: str) -> None:
        self._address = address

    def now(self, session: dt.date) -> dt.datetime:
        with urllib.request.urlopen(self._address + "/_truth", timeout=10) as answer:
            return dt.datetime.fromisoformat(json.loads(answer.read())["now"])

    def sending(self, session: dt.date) -> dt.datetime:
        return self.now(session)

    def wait(self, seconds: float) -> None:
        return None


class BrokersClock(ClockResource):
    """The clock port of a run: time stands until a test lets it pass at the server."""

    address: str

    def open(self) -> Clock:
        return BrokersTime(self.address)


def at_broker(address: str) -> Overrides:
    """Resources of a run whose world is the sample and whose clock is the server's."""
    return {"ports": CENTS, "clock": BrokersClock(address=address)}


def write_mandate(path: Path, broker: str, decide_at: str, more: Mapping[str, str] | None = None) -> Path:
    """The project's own mandate with another broker, US names alone and the live clock."""
    text = (ROOT / "mandate.yaml").read_text(encoding="utf-8")
    changes = {
        PAPER: f"broker: {broker}",
        'decide_at: "17:45"': f'decide_at: "{decide_at}"',
        **HOME_ONLY,
        **(more or {}),
    }
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    return path


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[None]:
    """Serves in a thread until the block ends."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def told(home: Home, asset: str, session: str, kind: str) -> dict[str, object]:
    """Shares or cash per key of a frame of the book."""
    frame = home.frame(asset, session)
    rows = frame[frame["kind"] == kind]
    column = "amount" if kind == "CASH" else "quantity"
    return dict(zip(rows["key"] if "key" in rows else rows["item"], rows[column], strict=True))
