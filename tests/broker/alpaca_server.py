"""Alpaca's Trading API as a real local server that misbehaves on request. Its truth lies in one file and outlives its clients.

    python tests/broker/alpaca_server.py --state FILE.sqlite --seed 1 --faults accept_504=0.1,late=0.1,dedupe=off

prints `listening http://127.0.0.1:PORT`. Faults of POST /v2/orders, each with its probability or next in line by /_control:
accept_504, accept_reset, truncate, html, mangle (taken; the answer is bad), lose, lose_504 (not taken), late (taken within
`late_max` virtual seconds), reject:N (the N-th recorded error), error_live:N (that error, although taken), rate_limit, weird.
Of GETs: get_503, get_429, get_truncate. Settings: dedupe=off, windows=on, repeat=on, drift=SECONDS, slow=SECONDS, late_max=SECONDS.
`/_control` takes one action or a list of them, `/_truth` tells what really happened.
"""

import argparse
import datetime as dt
import json
import random
import socket
import struct
import sys
import threading
import time
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

sys.path.insert(0, str(Path(__file__).parent))

import alpaca_wire as wire
from broker_truth import Asked, Truth

KEY, SECRET, NUMBER = "PKTESTKEY0000000001", "test-secret-Zq81LmXx", "PA3TESTNUMBER"
START = "2018-12-10T23:16:00+00:00"
POST_FAULTS = ("accept_504", "accept_reset", "truncate", "html", "mangle", "lose", "lose_504", "late", "reject", "error_live",
               "rate_limit", "weird")  # fmt: skip
GET_FAULTS = ("get_503", "get_429", "get_truncate")
Reply = tuple[int, object]


class Faults:
    """Probabilities per fault, settings, and what is next in line."""

    def __init__(self, spec: str, seed: int) -> None:
        self.seed, self.line, self.tries = seed, [], {}  # type: ignore[var-annotated]
        self.chances: dict[str, float] = {}
        self.settings = {
            "dedupe": "on",
            "windows": "off",
            "repeat": "off",
            "drift": "0",
            "slow": "0",
            "late_max": "120",
        }
        for part in filter(None, spec.split(",")):
            name, _, value = part.partition("=")
            if name in self.settings:
                self.settings[name] = value
            elif name.partition(":")[0] in POST_FAULTS + GET_FAULTS:
                self.chances[name] = float(value)
            else:
                raise SystemExit(f"unknown fault {name}")

    def rng(self, what: str) -> random.Random:
        """A generator that depends on the seed, the question and how often it was asked: never on what happens beside it."""
        self.tries[what] = self.tries.get(what, 0) + 1
        return random.Random(f"{self.seed}|{what}|{self.tries[what]}")

    def draw(self, what: str, kinds: tuple[str, ...]) -> tuple[str, random.Random]:
        """The fault of a request, "" for none."""
        rng = self.rng(what)
        if self.line and kinds is POST_FAULTS:
            return self.line.pop(0), rng
        left = rng.random()
        for name, chance in self.chances.items():
            if name.partition(":")[0] in kinds:
                left -= chance
                if left < 0:
                    return name, rng
        return "", rng


class AlpacaServer(ThreadingHTTPServer):
    """The server. `live`: its clock is the machine's; else time stands still until a control lets it pass."""

    daemon_threads = True

    def __init__(
        self, truth: Truth, faults: Faults, *, live: bool = False, port: int = 0, number: str = NUMBER
    ) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.truth, self.faults, self.live, self.number = truth, faults, live, number
        self.lock = threading.RLock()
        truth.dedupes = faults.settings["dedupe"] == "on"

    @property
    def base(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def control(self, action: Mapping[str, object]) -> object:
        """Carries out one action of a test."""
        given = {name: str(value) for name, value in action.items() if value is not None}
        truth, do = self.truth, given["do"]
        if do == "advance":
            truth.pass_to(truth.now + dt.timedelta(seconds=float(given["seconds"])))
        elif do == "pass_to":
            truth.pass_to(dt.datetime.fromisoformat(given["at"]))
        elif do == "print":
            at = dt.datetime.fromisoformat(given["at"])
            truth.print_at(
                at, given["symbol"], given["price"], given.get("volume", "1000000"), given.get("kind", "open")
            )
        elif do in ("fill", "cancel", "status"):
            order = truth.by_client_id(given["client_order_id"])[0]["id"]
            if do == "fill":
                return truth.fill(order, Decimal(given["qty"]), Decimal(given["price"]))
            if do == "cancel":
                return truth.cancel(order)
            truth.set_status(order, given["status"])
        elif do == "bust":
            truth.bust(given["execution_id"], given.get("price"))
        elif do == "event":
            truth.event(given["kind"], given["symbol"], Decimal(given["amount"]), Decimal(given.get("qty", "0")))
        elif do == "next":
            self.faults.line += [str(name) for name in action["faults"]]  # type: ignore[attr-defined]
        elif do == "faults":
            self.faults = Faults(given["spec"], self.faults.seed)
            truth.dedupes = self.faults.settings["dedupe"] == "on"
        else:
            raise ValueError(do)
        return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body leave together
    disable_nagle_algorithm = True
    server: AlpacaServer

    def log_message(self, *_: object) -> None:
        return None

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_DELETE(self) -> None:
        self._serve("DELETE")

    def _serve(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        path = unquote(parts.path)
        if path == "/_truth":
            return self._send(200, self.server.truth.told())
        if path == "/_control":
            with self.server.lock:
                actions = json.loads(body)
                done = [self.server.control(action) for action in (actions if isinstance(actions, list) else [actions])]
            return self._send(200, done)
        if self.headers.get("APCA-API-KEY-ID") != KEY or self.headers.get("APCA-API-SECRET-KEY") != SECRET:
            return self._send(401, {"message": "unauthorized."})
        with self.server.lock:
            if self.server.live:
                self.server.truth.pass_to(dt.datetime.now(dt.UTC))
            self.server.truth.count(f"{method} {wire.route(path)}")
            if method == "POST" and path == "/v2/orders":
                return self._order(body)
            if method == "DELETE" and path.startswith("/v2/orders/"):
                order = path.removeprefix("/v2/orders/")
                if self.server.truth.order(order) is None:
                    return self._send(404, wire.error(40410000, f"order not found for {order}"))
                return self._send(204 if self.server.truth.cancel(order) else 422, None)
            fault, _ = self.server.faults.draw(f"GET {self.path}", GET_FAULTS)
            status, value = wire.answer(self.server.truth, path, query, self.server.faults.settings, self.server.number)
        if fault == "get_503":
            return self._send(503, wire.error(50310000, "service unavailable"))
        if fault == "get_429":
            return self._send(429, wire.ERRORS["rate limit"], {"retry-after": "1"})
        return self._send(status, value, cut=fault == "get_truncate")

    def _order(self, body: bytes) -> None:
        faults, truth = self.server.faults, self.server.truth
        try:
            asked = wire.asked(json.loads(body))
        except (ValueError, KeyError, InvalidOperation):
            return self._send(400, wire.error(40010000, "request body format is invalid"))
        fault, rng = faults.draw(f"POST {asked.client_id}", POST_FAULTS)
        kind, _, number = fault.partition(":")
        time.sleep(float(faults.settings["slow"]))
        if kind in ("lose", "lose_504"):
            return self._silence() if kind == "lose" else self._gateway()
        if kind == "rate_limit":
            return self._send(429, wire.ERRORS["rate limit"], {"retry-after": "1"})
        if kind == "reject":
            return self._send(*_recorded(number, rng))
        if kind == "late":
            truth.arrive(asked, rng.uniform(1, float(faults.settings["late_max"])))
            return self._gateway()
        status, value = self._accepted(asked)
        if kind == "accept_504":
            return self._gateway()
        if kind == "accept_reset":
            return self._silence()
        if kind == "html":
            return self._send(200, "<html><body>Please wait</body></html>")
        if kind == "error_live":
            return self._send(*_recorded(number, rng))
        if kind == "mangle" and isinstance(value, dict):
            value = {**value, "qty": str(asked.qty + 1)}
        if kind == "weird" and isinstance(value, dict):
            truth.set_status(str(value["id"]), "levitating")
            value = {**value, "status": "levitating"}
        return self._send(status, value, cut=kind == "truncate")

    def _accepted(self, asked: Asked) -> Reply:
        truth = self.server.truth
        refusal = wire.refusal(truth, asked, self.server.faults.settings["windows"] == "on")
        if refusal is not None:
            return refusal
        row = truth.accept(asked)
        if row is None:
            return 422, wire.error(40010001, "client_order_id must be unique")
        return 200, wire.order_of(row)

    # --- answers ---

    def _send(self, status: int, value: object, more: Mapping[str, str] | None = None, *, cut: bool = False) -> None:
        body = b"" if value is None else value.encode() if isinstance(value, str) else json.dumps(value).encode()
        body = body[: len(body) // 2] if cut else body
        self.send_response(status)
        self.send_header("content-type", "text/html" if isinstance(value, str) else "application/json")
        for name, text in (more or {}).items():
            self.send_header(name, text)
        if status != 204:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        if status != 204:
            self.wfile.write(body)

    def _gateway(self) -> None:
        self._send(504, "<html><head><title>504 Gateway Time-out</title></head></html>")

    def _silence(self) -> None:
        """The connection breaks without a byte."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True


def _recorded(number: str, rng: random.Random) -> Reply:
    found = wire.recorded()
    status, body = found[int(number)] if number else rng.choice(found)
    return status, body


def open_server(
    path: Path | str,
    *,
    seed: int = 0,
    faults: str = "",
    now: str = START,
    cash: str = "10000",
    shares: Mapping[str, str] | None = None,
    live: bool = False,
    port: int = 0,
    number: str = NUMBER,
) -> AlpacaServer:
    """A server on its file; serve it in a thread, or by `main` in a process of its own."""
    at = dt.datetime.now(dt.UTC) if live else dt.datetime.fromisoformat(now)
    truth = Truth(path, now=at, cash={"USD": cash}, shares=shares or {}, name=f"alpaca-{seed}")
    return AlpacaServer(truth, Faults(faults, seed), live=live, port=port, number=number)


def main() -> None:
    parser = argparse.ArgumentParser(description="a misbehaving Alpaca")
    parser.add_argument("--state", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", default="")
    parser.add_argument("--now", default=START)
    parser.add_argument("--cash", default="10000")
    parser.add_argument("--shares", default="{}", help='JSON: {"AAPL": "50"}')
    parser.add_argument("--live", action="store_true", help="the machine's clock")
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    server = open_server(given.state, seed=given.seed, faults=given.faults, now=given.now, cash=given.cash,
                         shares=json.loads(given.shares), live=given.live, port=given.port)  # fmt: skip
    print(f"listening {server.base}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
