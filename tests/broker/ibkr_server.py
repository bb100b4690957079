"""An Interactive Brokers gateway that misbehaves: a real HTTP server over `broker_truth`, for tests.

    python tests/broker/ibkr_server.py --state FILE.sqlite --seed N --faults SPEC

prints `listening http://127.0.0.1:PORT`. SPEC: names of FAULTS with probabilities, `lost:0.1,late:0.1`. Its state lies in the
file, so that its clients may be killed. `POST /_control` moves time and the market and puts faults in front of the next order;
`GET /_truth` tells what was really accepted.
"""

import argparse
import datetime as dt
import json
import random
import sqlite3
import threading
from collections import deque
from decimal import Decimal
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import ibkr_wire as wire
from broker_truth import Truth

PREFIX = "/v1/api"
LATE_MAX = 120.0
FAULTS = ("accept_504", "accept_silent", "accept_truncated", "accept_html", "lost", "lost_504", "late", "paced", "echo",
          "twice", "refused", "refused_unclear", "question", "question_unknown", "question_endless", "question_silent",
          "decline_taken", "not_json", "no_id")  # fmt: skip
KNOWN_QUESTION = ("o10153", "<h4>Confirm Mandatory Cap Price</h4>To avoid trading at a price that is not consistent with a "
                  "fair and orderly market, IB may set a cap (for a buy order) or floor (for a sell order).")  # fmt: skip
UNKNOWN_QUESTION = ("o99999", "Your account will be margined differently. Are you sure you want to submit this order?")


class Server(ThreadingHTTPServer):
    """The gateway's state beside the truth: its session, faults to come, questions that wait for an answer."""

    daemon_threads = True

    def __init__(self, state: Path, *, seed: int = 0, faults: str = "", now: dt.datetime, dedupes: bool = True) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.truth = Truth(state, now=now, cash={"USD": "10000"}, shares={"A": "50"}, dedupes=dedupes, name="ibkr")
        self.random = random.Random(seed)
        self.odds = {name: float(p) for name, p in (pair.split(":") for pair in faults.split(",") if pair)}
        assert set(self.odds) <= set(FAULTS), self.odds
        self.script: deque[str] = deque()
        self.session = {"authenticated": True, "connected": True, "competing": False}
        self.signed_in, self.drift, self.repeat, self.rates_apart = True, 0.0, False, Decimal(1)
        self.warm, self.never_ready, self.paced, self.since = False, False, 0, dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
        self.questions: dict[str, tuple[list[dict], str, int]] = {}
        self.extra: list[dict] = []
        self.lock = threading.RLock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{PREFIX}"

    def next_fault(self) -> str:
        """What becomes of the order that has just come."""
        if self.script:
            return self.script.popleft()
        drawn = self.random.random()
        for name in sorted(self.odds):
            drawn -= self.odds[name]
            if drawn < 0:
                return name
        return ""

    def ask(self, tickets: list[dict], kind: str, asked: int) -> list[dict]:
        name = f"{len(self.questions):08x}-0000"
        self.questions[name] = (tickets, kind, asked)
        message_id, message = UNKNOWN_QUESTION if kind in ("question_unknown", "decline_taken") else KNOWN_QUESTION
        return [{"id": name, "message": [message], "messageIds": [message_id], "isSuppressed": False}]

    def listed(self) -> list[sqlite3.Row]:
        """Orders of this brokerage session: open ones, and those that have ended since it began."""
        rows = self.truth.orders()
        return [
            r for r in rows if r["status"] in ("new", "partially_filled") or r["changed_at"] >= self.since.isoformat()
        ]

    def control(self, order: dict) -> object:
        truth, do = self.truth, order["do"]
        if do == "pass":
            truth.pass_to(dt.datetime.fromisoformat(order["at"]))
        elif do == "price":
            symbol = order.get("symbol", "A")
            truth.print_at(dt.datetime.fromisoformat(order["at"]), symbol, order["price"], order["volume"], "open")
        elif do == "fault":
            self.script.append(order["name"])
        elif do == "session":
            self.session.update(order["status"])
        elif do == "set":
            for name, value in order["values"].items():
                setattr(self, name, Decimal(value) if name == "rates_apart" else value)
        elif do == "relogin":
            self.since, self.warm = truth.now, False
        else:
            return self._trade(order)
        return {}

    def _trade(self, order: dict) -> object:
        truth, do = self.truth, order["do"]
        row = truth.by_client_id(order["name"])[0] if "name" in order else None
        if do == "fill":
            assert row is not None
            return truth.fill(
                row["id"], Decimal(order["qty"]), Decimal(order["price"]), fee=Decimal(order.get("fee", "0"))
            )
        if do == "end":
            assert row is not None
            truth.set_status(row["id"], order["status"])
        elif do == "bust":
            found = [
                f["id"] for f in truth.fills(standing=True) if wire.execution_id(f["number"], 1) == order["execution"]
            ]
            truth.bust(found[0], order["price"])
        elif do == "foreign":
            ticket = {
                "conid": wire.CONIDS["A"],
                "orderType": "LMT",
                "tif": "DAY",
                "side": "BUY",
                "quantity": 7,
                "price": 9,
            }
            truth.accept(wire.asked(ticket))
        elif do == "hold":
            self.extra.append(order["position"])
        else:
            raise AssertionError(do)
        return {}


class Silence(Exception):
    """The connection is cut without an answer."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        return None

    def date_time_string(self, timestamp: float | None = None) -> str:
        return format_datetime(self.server.truth.now + dt.timedelta(seconds=self.server.drift), usegmt=True)

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def _answer(self, method: str) -> None:
        size = int(self.headers.get("content-length", "0"))
        body = json.loads(self.rfile.read(size) or b"null")
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        try:
            with self.server.lock:
                status, told = self._routed(method, url.path, query, body)
        except Silence:
            self.close_connection = True
            self.connection.close()
            return
        raw = told if isinstance(told, bytes) else json.dumps(told).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        if status == 429:
            self.send_header("retry-after", "1")
        self.end_headers()
        self.wfile.write(raw)

    def _routed(self, method: str, path: str, query: dict, body: object) -> tuple[int, object]:
        server = self.server
        if path == "/_truth":
            return 200, {**server.truth.told(), "money": {k: str(v) for k, v in wire.cash(server.truth).items()}}
        if path == "/_control":
            assert isinstance(body, dict)
            return 200, server.control(body)
        path = path.removeprefix(PREFIX)
        if not server.signed_in:
            return 401, {"error": "not authenticated", "statusCode": 401}
        if method == "GET" and server.paced > 0:
            server.paced -= 1
            return 429, {"error": "Too many requests", "statusCode": 429}
        parts = path.strip("/").split("/")
        if method == "GET":
            return self._told(path, parts, query)
        if path == "/tickle":
            return 200, {"session": "x", "ssoExpires": 585695, "collission": False, "userId": 1,
                         "iserver": {"authStatus": server.session}}  # fmt: skip
        if path == "/iserver/auth/status":
            return 200, {**server.session, "MAC": "x", "fail": "", "message": "", "hardware_info": "x",
                         "serverInfo": {}}  # fmt: skip
        if parts[0] == "portfolio":
            return 200, {"message": "success"}
        assert isinstance(body, dict) or method == "DELETE", path
        if parts[:2] == ["iserver", "reply"]:
            assert isinstance(body, dict)
            return self._replied(parts[2], body)
        if method == "DELETE":
            return self._cancel(int(parts[-1]))
        server.truth.count("order")
        assert isinstance(body, dict)
        return self._order(body["orders"], server.next_fault())

    def _told(self, path: str, parts: list[str], query: dict) -> tuple[int, object]:
        server, truth = self.server, self.server.truth
        if path == "/iserver/accounts":
            return 200, {"accounts": [wire.ACCOUNT], "selectedAccount": wire.ACCOUNT, "isPaper": True, "isFT": False}
        if path == "/iserver/account/orders":
            if "force" in query or not server.warm or server.never_ready:
                server.warm = True
                return 200, {"orders": [], "snapshot": False}
            return 200, {"orders": [wire.live_order(row) for row in server.listed()], "snapshot": True}
        if path.startswith("/iserver/account/order/status/"):
            found = [row for row in server.listed() if wire.order_id(row) == int(parts[-1])]
            return (200, wire.order_status(found[0])) if found else (404, {"error": "order not found"})
        if path == "/iserver/account/trades":
            since = truth.now - dt.timedelta(days=int(query.get("days", "1")))
            told = wire.trades(truth, since=since)
            return 200, list(reversed(told + told)) if server.repeat else told
        if path.startswith("/portfolio/") and "positions" in parts:
            held = wire.positions(truth) + server.extra
            page = int(parts[-1])
            return 200, held[page * 100 : page * 100 + 100]
        if path.endswith("/ledger"):
            return 200, wire.ledger(truth, server.rates_apart)
        if path == "/trsrv/stocks":
            return 200, wire.stocks(query["symbols"])
        if path == "/trsrv/secdef":
            conid = int(query["conids"])
            return 200, wire.definition(conid) if conid in wire.CONIDS.values() else {"secdef": []}
        if path == "/iserver/currency/pairs":
            return 200, wire.pairs(query["currency"])
        if path == "/iserver/exchangerate":
            return 200, {"rate": float(wire.RATES[query["source"]])}
        return (200, []) if path == "/portfolio/accounts" else (404, {"error": "no such address"})

    def _order(self, tickets: list[dict], fault: str) -> tuple[int, object]:
        server = self.server
        if fault in ("lost", "lost_504", "paced", "refused", "refused_unclear", "not_json"):
            return self._not_taken(fault)
        if fault == "late":
            server.truth.arrive(wire.asked(tickets[0]), server.random.uniform(0, LATE_MAX))
            return 504, {"error": "gateway timeout"}
        if fault.startswith("question") or fault == "decline_taken":
            return 200, server.ask(tickets, fault, 1)
        if fault == "echo":
            tickets = [{**ticket, "quantity": ticket["quantity"] * 2} for ticket in tickets]
        status, told = self._taken(tickets)
        if fault == "twice":
            server.truth.dedupes, before = False, server.truth.dedupes
            self._taken(tickets)
            server.truth.dedupes = before
        if fault == "accept_silent":
            raise Silence
        if fault == "accept_504":
            return 504, {"error": "gateway timeout"}
        if fault == "accept_truncated":
            return 200, json.dumps(told).encode()[:12]
        if fault == "accept_html":
            return 200, b"<html>maintenance</html>"
        return status, [{"order_status": "Submitted"}] if fault == "no_id" else told

    def _not_taken(self, fault: str) -> tuple[int, object]:
        if fault == "lost":
            raise Silence
        if fault == "paced":
            return 429, {"error": "Too many requests", "statusCode": 429}
        if fault == "refused":
            return 200, {"error": "We cannot accept an order at the limit price you selected."}
        if fault == "refused_unclear":
            return 200, {"error": "Request timeout; please try again later."}
        return (200, b"null") if fault == "not_json" else (504, {"error": "gateway timeout"})

    def _taken(self, tickets: list[dict]) -> tuple[int, object]:
        truth, answers = self.server.truth, []
        first = wire.asked(tickets[0])
        if first.side == "sell" and first.symbol in wire.LISTED:
            free = truth.positions().get(first.symbol, Decimal(0)) - truth.offered(first.symbol)
            if first.qty > free:
                return 400, {"error": "Order rejected: the account may not sell short", "statusCode": 400}
        for place, ticket in enumerate(tickets):
            asked = wire.asked(ticket)
            if place:  # a child's id is its parent's
                truth.dedupes, before = False, truth.dedupes
                row = truth.accept(asked)
                truth.dedupes = before
            else:
                row = truth.accept(asked)
            if row is None:
                why = f"Order couldn't be submitted: Local order ID={asked.client_id} is already registered."
                return 400, {"error": why, "statusCode": 400}
            if asked.symbol in wire.PAIRS:
                truth.fill(row["id"], asked.qty, wire.PAIRS[asked.symbol], fee=Decimal("2"))
            answers.append({"order_id": str(wire.order_id(row)), "order_status": "Submitted", "encrypt_message": "1"})
        return 200, answers

    def _replied(self, name: str, body: dict) -> tuple[int, object]:
        tickets, kind, asked = self.server.questions.pop(name)
        if kind == "question_silent":
            raise Silence
        if kind == "decline_taken" or (body["confirmed"] and not (kind == "question_endless")):
            return self._taken(tickets)
        if body["confirmed"]:
            return 200, self.server.ask(tickets, kind, asked + 1)
        return 200, {"error": "Order was declined"}

    def _cancel(self, number: int) -> tuple[int, object]:
        truth = self.server.truth
        rows = [row for row in truth.orders() if wire.order_id(row) == number]
        if not rows or not truth.cancel(rows[0]["id"]):
            return 400, {"error": f"OrderID {number} doesn't exist", "statusCode": 400}
        return 200, {"msg": "Request was submitted", "order_id": number, "conid": wire.CONIDS[rows[0]["symbol"]],
                     "account": wire.ACCOUNT}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", default="")
    parser.add_argument("--now", default="2018-12-10T23:16:00+00:00")
    parser.add_argument("--forgets", action="store_true", help="takes an id as often as it comes")
    given = parser.parse_args()
    now = dt.datetime.fromisoformat(given.now)
    server = Server(given.state, seed=given.seed, faults=given.faults, now=now, dedupes=not given.forgets)
    print(f"listening {server.address.removesuffix(PREFIX)}", flush=True)
    server.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()
