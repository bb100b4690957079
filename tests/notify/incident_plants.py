"""At least one fault for each kind of alert, planted where it would happen: in files, at servers, in the mandate, at the broker.

A plant gets the world and gives the home in which its alert must have been told. Not here: what must arrive (`test_incidents`).
"""

import datetime as dt
import json
import os
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, ClassVar

from incident_world import StandingClock, World, at_home

# isort: split
import alpaca_server
import yaml
from broker_home import at_broker, serving, write_mandate
from fetch.harness import PatientTime
from fetch.vendor_server import VendorServer
from graph_world import AFTER, FIRST, NEXT, SECOND, Between, EditedPorts, Home, StrangeOrderBroker, command
from provider_server import Asked, ProviderServer, Reply
from vendor_world import CHART, TIINGO, Services, VendorPorts, routes, vendor_mandate

from marketbot_resources.mandate import Mandate
from marketbot_resources.model import AccountReport, Acknowledgement, Execution, Kind, Order, OrderState, Side
from marketbot_resources.wiring import BrokerResource, Ports

HOOK, SENSOR, FAILURE = "hook of the step", "sensor", "hook of the failure"


@dataclass(frozen=True)
class Plant:
    """`codes`: what must arrive; `how`: in words; `by`: what detects it."""

    codes: tuple[str, ...]
    how: str
    by: str
    plant: Callable[[World], Home]


class EditedBroker(BrokerResource):
    """The paper broker, whose report and answers a plant changes."""

    report: ClassVar[Callable[[AccountReport], AccountReport]] = staticmethod(lambda told: told)
    refuses: ClassVar[bool] = False

    def open(self, mandate: Mandate, ports: Ports) -> Any:
        return _Edited(super().open(mandate, ports), type(self))


class _Edited(Between):
    def __init__(self, broker: Any, how: type[EditedBroker]) -> None:
        super().__init__(broker)
        self._how = how

    def report(self, since: dt.datetime, until: dt.datetime) -> AccountReport:
        return self._how.report(self._broker.report(since, until))

    def submit(self, order: Order, at: dt.datetime) -> Acknowledgement:
        if self._how.refuses:
            return Acknowledgement(order.client_order_id, OrderState.REJECTED, "", "insufficient buying power")
        return self._broker.submit(order, at)


def _ran(world: World, home: Home, session: str = NEXT, **ports: Any) -> Home:
    world.run(home, session, ports or None)
    return home


def _prices(*edits: list[str]) -> EditedPorts:
    return EditedPorts(kind="prices", edits=list(edits))


def _scaled(name: str, factor: str) -> list[list[str]]:
    return [[name, NEXT, column, f"*{factor}"] for column in ("open", "high", "low", "close")]


LOSSES = {
    "{day: 0.02, week: 0.04, halt_day: 0.04}": "{day: 0.01, week: 0.02, halt_day: 0.015}",
    "full_below: 0.05": "full_below: 0.005",
    "{from: 0.05, to: 0.10,": "{from: 0.005, to: 0.10,",
}


def crash(world: World) -> Home:
    """Everything falls by 14 %; 15 % are invested, so the limits of losses are lowered: RC-61, another rung, stops."""
    home = world.base()
    world.mandate(LOSSES)
    return _ran(world, home, ports=_prices(*_scaled("*", "0.86")))


def gap(world: World) -> Home:
    blanks = [[name, NEXT, "close", ""] for name in ("US-BAC", "US-XOM", "US-GE")]
    return _ran(world, world.base(), ports=_prices(*blanks))


LOWER = {
    "{target: 0.0475, warn: 0.0490, hard: 0.0500}": "{target: 0.0150, warn: 0.0160, hard: 0.0170}",
    "{no_buys: 0.0500, trim: 0.0600, cure_sessions: 2}": "{no_buys: 0.0170, trim: 0.0600, cure_sessions: 1}",
}


def lowered(world: World) -> Home:
    """The cap of a position is lowered below what is held."""
    home = world.base()
    world.mandate(LOWER)
    return _ran(world, home)


def overdue(world: World) -> Home:
    """The same, and the broker refuses to sell until the deadline is over."""
    home = world.base()
    world.mandate(LOWER)
    EditedBroker.refuses = True
    try:
        for session in (NEXT, AFTER, "2018-12-18"):
            world.run(home, session, {"broker": EditedBroker()})
    finally:
        EditedBroker.refuses = False
    return home


@contextmanager
def _reports(change: Callable[[AccountReport], AccountReport]) -> Iterator[None]:
    before = EditedBroker.report
    EditedBroker.report = staticmethod(change)
    try:
        yield
    finally:
        EditedBroker.report = staticmethod(before)


def by_hand(world: World) -> Home:
    """Somebody buys five shares at the broker's own page."""
    home = world.base()
    held = home.frame("positions", SECOND)
    name = sorted(held[held["kind"] == "POSITION"]["instrument"])[0]

    def change(report: AccountReport) -> AccountReport:
        at = dt.datetime.fromisoformat(f"{NEXT}T16:00:00+00:00")
        if report.as_of_at < at:
            return report
        hand = Execution(
            "hand", "by-hand", Kind.EQUITY, name, Side.BUY, Decimal(5), Decimal(2), "USD", Decimal(0), Decimal(0), at
        )
        cash = {**report.cash, "USD": report.cash["USD"] - 10}
        positions = {**report.positions, name: report.positions[name] + 5}
        return replace(report, executions=(*report.executions, hand), cash=cash, positions=positions)

    with _reports(change):
        return _ran(world, home, broker=EditedBroker())


def cash_gone(world: World) -> Home:
    """A twentieth of the cash is not there any more."""

    def change(report: AccountReport) -> AccountReport:
        return replace(report, cash={**report.cash, "USD": report.cash["USD"] * Decimal("0.95")})

    with _reports(change):
        return _ran(world, world.base(), broker=EditedBroker())


def doubtful(world: World) -> Home:
    """The broker names a mean price of one name that cannot be."""
    home = world.base()
    held = home.frame("positions", SECOND)
    name = sorted(held[held["kind"] == "POSITION"]["instrument"])[0]
    with _reports(lambda report: replace(report, average_price={name: Decimal(100_000)})):
        return _ran(world, home, broker=EditedBroker())


def refusing(world: World) -> Home:
    """The broker refuses every order; the next session's verdict finds the storm."""
    home = world.base()
    EditedBroker.refuses = True
    try:
        world.run(home, NEXT, {"broker": EditedBroker()})
    finally:
        EditedBroker.refuses = False
    return _ran(world, home, AFTER)


def strange_order(world: World) -> Home:
    return _ran(world, world.base(), broker=StrangeOrderBroker())


def skipped(world: World) -> Home:
    """Data alone came in for a session; the next one closes it."""
    home = world.base()
    world.run(home, NEXT, job="data")
    return _ran(world, home, AFTER)


def loosened(world: World) -> Home:
    """The file says a higher cap, and nobody approved it."""
    home = world.known()
    world.mandate({"{target: 0.0475, warn: 0.0490, hard: 0.0500}": "{target: 0.0475, warn: 0.0490, hard: 0.0600}"})
    return _ran(world, home)


def flag(world: World) -> Home:
    """`marketbot halt` in a process of its own, then a tick."""
    home = world.known()
    done = command(home.path, "halt", "--reason", "a drill", mandate=world.folder / "mandate.yaml")
    assert done.returncode == 0, done.stderr
    world.tick(home)
    return home


@contextmanager
def _services(world: World) -> Iterator[Services]:
    plain = yaml.safe_load(vendor_mandate(world.new().path.parent).read_text(encoding="utf-8"))
    world.mandate(plain=plain, heartbeat={"method": "POST"})
    with VendorServer(routes()) as server:
        made = Services(server, world.new().path, PatientTime())
        VendorPorts.services = made
        yield made


def provider_down(world: World) -> Home:
    """Both web services of prices answer 503."""
    with _services(world) as services:
        services.down(CHART)
        services.down(TIINGO)
        home = Home(services.home)
        return _ran(world, home, FIRST, ports=VendorPorts())


def _alpaca(world: World, faults: str, at: str, **more: Any) -> tuple[Home, Any, dict[str, Any]]:
    home = world.new()
    server = alpaca_server.open_server(
        home.path.with_suffix(".alpaca"), seed=7, faults=faults, now=at, cash="1000000", shares={}
    )
    broker = (
        f"{{name: alpaca, environment: paper, account: {alpaca_server.NUMBER}, participation_max: 0.02, "
        "dedupes_client_id: true, resend: false}"
    )
    path = write_mandate(world.folder / "broker.yaml", broker, "19:30")
    world.mandate(plain=yaml.safe_load(path.read_text(encoding="utf-8")))
    os.environ |= {
        "MARKETBOT_BROKER_URL": server.base,
        "APCA_API_KEY_ID": more.get("key", alpaca_server.KEY),
        "APCA_API_SECRET_KEY": alpaca_server.SECRET,
    }
    return home, server, at_broker(server.base)


EVENING = "2018-12-13T00:40:00+00:00"


def broker_away(world: World) -> Home:
    """Nobody listens at the broker's address any more."""
    home, server, ports = _alpaca(world, "", EVENING)
    with serving(server), socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        os.environ["MARKETBOT_BROKER_URL"] = f"http://127.0.0.1:{closed.getsockname()[1]}"
        return _ran(world, home, FIRST, **ports)


def key_expired(world: World) -> Home:
    """F42: the broker's server does not know the key any more: HTTP 401 or 403."""
    home, server, ports = _alpaca(world, "", EVENING, key="PKEXPIRED00000000001")
    with serving(server):
        return _ran(world, home, FIRST, **ports)


def in_doubt(world: World) -> Home:
    """The server takes nothing and answers 504; a resend is forbidden, so nobody knows."""
    home, server, ports = _alpaca(world, "lose_504=1.0", EVENING)
    with serving(server):
        return _ran(world, home, FIRST, **ports)


def clock_off(world: World) -> Home:
    """The broker's clock is ten minutes from ours (RC-83)."""
    home, server, ports = _alpaca(world, "drift=600", EVENING)
    with serving(server):
        return _ran(world, home, FIRST, **ports)


def left_open(world: World) -> Home:
    """Orders stay open at the broker after the close of their session; they are followed, then a tick."""
    home, server, ports = _alpaca(world, "", EVENING)
    with serving(server):
        world.run(home, FIRST, ports)
        server.control({"do": "pass_to", "at": "2018-12-13T20:50:00+00:00"})
        for order in server.truth.orders():
            server.truth.set_status(order["id"], "accepted")
        server.control({"do": "pass_to", "at": "2018-12-13T21:30:00+00:00"})
        for order in server.truth.orders():
            server.truth.set_status(order["id"], "accepted")
        world.run(home, FIRST, ports, job="order_following")
        world.tick(home)
    return home


def _changed_row(home: Home) -> None:
    connection = sqlite3.connect(home.path / "ledger.sqlite")
    with connection:
        for (name,) in connection.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            connection.execute(f"drop trigger {name}")
        connection.execute("update entry set record = replace(record, 'SELL', 'BUY ') where kind = 'order_intent'")
        connection.execute("update entry set leaf = zeroblob(32) where seq = 1")
    connection.close()


def altered(world: World) -> Home:
    """A row of the ledger is changed by hand; the sensor's examination of the hour finds it."""
    home = world.known()
    _changed_row(home)
    world.tick(home)
    return home


def signer_away(world: World) -> Home:
    """The signer's program ends without an answer."""
    home = world.base()
    os.environ["MARKETBOT_SIGNER_COMMAND"] = "/bin/false"
    try:
        return _ran(world, home)
    finally:
        del os.environ["MARKETBOT_SIGNER_COMMAND"]


def read_only(world: World) -> Home:
    """The disk of the home may not be written any more (remounted), and a run begins."""
    home = world.on_disk(world.base(), 4 << 20)
    subprocess.run(["mount", "-o", "remount,ro", str(home.path)], check=True)
    return _ran(world, home)


def disk_full(world: World) -> Home:
    """A small disk is filled by the run itself."""
    home = world.on_disk(world.base(), 128 << 10)
    return _ran(world, home)


def disk_low(world: World) -> Home:
    """A disk with one hundredth left, seen by the sensor."""
    base = world.known()
    home = world.on_disk(base, 1 << 20)
    room = os.statvfs(home.path)
    (home.path / "filler").write_bytes(bytes(room.f_bavail * room.f_frsize - (384 << 10)))
    world.tick(home)
    return home


def anchor_away(world: World) -> Home:
    """The folder that keeps signed heads is a file."""
    home = world.base()
    place = world.folder / "heads"
    place.write_text("not a folder", encoding="utf-8")
    world.mandate({"anchors: [] ": f'anchors: ["file:{place}"] '})
    world.run(home, NEXT)
    return _ran(world, home, AFTER)


def changed_number(world: World) -> Home:
    """A stored feature is another one than its inputs give."""
    home = world.known()
    from test_replay import cell

    cell(home, "features", SECOND)
    world.run(home, SECOND, only="replay_check")
    world.tick(home)
    return home


def watcher_away(world: World) -> Home:
    """The watcher outside answers 500 to the heartbeat of the session before."""
    home = world.base()
    world.mandate(heartbeat={"method": "POST"})
    world.watcher.faults.extend(["500"] * 8)
    world.run(home, NEXT)
    return _ran(world, home, AFTER)


def late(world: World) -> Home:
    """Half an hour and a second after the deadline, with no end: 18:45 in New York."""
    home = world.known()
    world.tick(home, StandingClock(at=f"{NEXT}T23:45:01+00:00"))
    return home


def weekly(world: World) -> Home:
    """The day and hour of the test have come."""
    home = world.base()
    now = dt.datetime.now(dt.UTC)
    world.mandate(weekly_test={"weekday": now.strftime("%A").lower(), "at": "00:00", "timezone": "UTC"})
    world.run(home, NEXT)
    world.tick(home)
    return home


CHEAP = {
    "provider": "openai",
    "model": "gpt-test",
    "knowledge_cutoff": "2018-10-31",
    "usd_per_million_input": 2.5,
    "usd_per_million_output": 10.0,
}


def _asking(world: World, *replies: Any, per_day: float = 0.5, kills: bool = False) -> Home:
    """A mandate that asks one model at a server of ours; the session, and with a second reply one more."""
    from marketbot_assets.commands.mandate import approve_now

    home = world.base()
    plain = yaml.safe_load((world.folder / "mandate.yaml").read_text(encoding="utf-8"))
    world.mandate(plain=plain | {"llm": {"chain": [CHEAP], "usd_per_day": per_day}})
    with ExitStack() as stack:
        server = stack.enter_context(ProviderServer(replies[0]))
        stack.enter_context(at_home(home))
        os.environ |= {"OPENAI_API_KEY": "sk-test-9f8e7d6c5b4a39281706", "MARKETBOT_LLM_URL": server.url}
        assert approve_now("ask for views")["needed"]
        for session, reply in zip((NEXT, AFTER), replies, strict=False):
            server.reply = reply
            world.run(home, session)
    return home


def _views(fingerprint: str) -> Callable[[Asked], Reply]:
    def views(asked: Asked) -> Reply:
        lines = [json.loads(line) for line in asked.turns[-1][1].splitlines() if line.startswith("{")]
        rows = [line for line in lines if line.get("facts") and "subject" in line][-10:]
        said = [{"subject": r["subject"], "score": 0.3, "confidence": 0.6, "evidence": [min(r["facts"])]} for r in rows]
        text = json.dumps({"themes": [], "sentiments": said, "risk_on": None, "quotes": []})
        return Reply(text=text, model="gpt-test-2018-09", fingerprint=fingerprint, tokens=(9000, 700))

    return views


def model_away(world: World) -> Home:
    return _asking(world, Reply(status=401, text="no such key"))


def model_refused(world: World) -> Home:
    """Answers that are no answer."""
    return _asking(world, Reply(text="buy everything"))


def model_dear(world: World) -> Home:
    return _asking(world, _views("fp_1"), per_day=0.0001)


def model_changed(world: World) -> Home:
    return _asking(world, _views("fp_1"), _views("fp_2"))


PLANTS: Mapping[str, Plant] = {
    "crash": Plant(("HALT_B", "DRAWDOWN_RUNG", "STOP_HIT"), "every price falls by 14 %", HOOK, crash),
    "gap": Plant(("DATA_GAP",), "three of 63 names have no close", HOOK, gap),
    "lowered": Plant(("LIMIT_BREACH",), "the cap of a position is lowered below what is held", HOOK, lowered),
    "overdue": Plant(("BREACH_OVERDUE",), "the same, and the broker refuses to sell past the deadline", HOOK, overdue),
    "by_hand": Plant(("RECONCILIATION_BREAK", "HALT_C", "SESSION_HALTED"), "five shares are bought by hand at the broker",
                     HOOK, by_hand),
    "cash_gone": Plant(("RECONCILIATION_BREAK",), "a twentieth of the cash is missing", HOOK, cash_gone),
    "doubtful": Plant(("RECONCILIATION_LOCK",), "the broker tells an impossible mean price", HOOK, doubtful),
    "refusing": Plant(("REJECT_STORM",), "the broker refuses every order", HOOK, refusing),
    "strange_order": Plant(("SESSION_REJECTED",), "an order nobody knows is open at the broker", HOOK, strange_order),
    "skipped": Plant(("SESSION_SKIPPED",), "a session is left out", HOOK, skipped),
    "loosened": Plant(("SESSION_FAILED",), "the mandate is loosened without approval", FAILURE, loosened),
    "flag": Plant(("HALT_FLAG",), "`marketbot halt`", SENSOR, flag),
    "provider_down": Plant(("PROVIDER_FAILURE",), "both web services of prices answer 503", FAILURE, provider_down),
    "broker_away": Plant(("BROKER_ERROR",), "nobody listens at the broker's address", FAILURE, broker_away),
    "key_expired": Plant(("SECRET_MISSING",), "the broker's server refuses the key", FAILURE, key_expired),
    "in_doubt": Plant(("ORDER_UNKNOWN",), "the broker's server loses orders and answers 504", HOOK, in_doubt),
    "clock_off": Plant(("HALT_A",), "the broker's clock is ten minutes from ours", HOOK, clock_off),
    "left_open": Plant(("ORDER_OVERDUE",), "orders are open after the close", SENSOR, left_open),
    "altered": Plant(("LEDGER_FAULT",), "a row of the ledger is changed by hand", SENSOR, altered),
    "signer_away": Plant(("LEDGER_FAULT",), "the signer gives no answer", FAILURE, signer_away),
    "read_only": Plant(("LEDGER_FAULT",), "the home's disk is mounted read-only", FAILURE, read_only),
    "disk_full": Plant(("DISK_LOW",), "a small disk is filled by the run", FAILURE, disk_full),
    "disk_low": Plant(("DISK_LOW",), "384 KiB are left on the disk", SENSOR, disk_low),
    "anchor_away": Plant(("ANCHOR_FAILURE",), "the folder of signed heads is none", HOOK, anchor_away),
    "changed_number": Plant(("REPLAY_DIFFERS",), "a stored number is changed", SENSOR, changed_number),
    "watcher_away": Plant(("HEARTBEAT_MISSED",), "the watcher answers 500", HOOK, watcher_away),
    "late": Plant(("RUN_LATE",), "the deadline passes without a run", SENSOR, late),
    "weekly": Plant(("WEEKLY_TEST",), "its day and hour have come", SENSOR, weekly),
    "model_away": Plant(("LLM_PROVIDER",), "the model's server answers 401", HOOK, model_away),
    "model_refused": Plant(("LLM_REFUSED",), "the model answers in prose", HOOK, model_refused),
    "model_dear": Plant(("LLM_BUDGET",), "the day's budget is a hundredth of a cent", HOOK, model_dear),
    "model_changed": Plant(("LLM_MODEL_CHANGED",), "another fingerprint answers", HOOK, model_changed),
}  # fmt: skip
