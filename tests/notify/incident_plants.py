"""At least one fault for each kind of alert, planted where it would happen: in files, at servers, in the mandate, at the broker.

A plant gets the world and gives the home in which its alert must have been told. Not here: what must arrive (`test_incidents`).
"""

import datetime as dt
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, ClassVar

from incident_world import StandingClock, World

# isort: split
from graph_world import AFTER, NEXT, SECOND, Between, EditedPorts, Home, StrangeOrderBroker, command
from incident_servers import (
    broker_away,
    clock_off,
    in_doubt,
    key_expired,
    left_open,
    model_away,
    model_changed,
    model_dear,
    model_refused,
    provider_down,
    ran,
)

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
    return ran(world, home, ports=_prices(*_scaled("*", "0.86")))


def gap(world: World) -> Home:
    blanks = [[name, NEXT, "close", ""] for name in ("US-BAC", "US-XOM", "US-GE")]
    return ran(world, world.base(), ports=_prices(*blanks))


LOWER = {
    "{target: 0.0475, warn: 0.0490, hard: 0.0500}": "{target: 0.0150, warn: 0.0160, hard: 0.0170}",
    "{no_buys: 0.0500, trim: 0.0600, cure_sessions: 2}": "{no_buys: 0.0170, trim: 0.0600, cure_sessions: 2}",
}


def lowered(world: World) -> Home:
    """The cap of a position is lowered below what is held."""
    home = world.base()
    world.mandate(LOWER)
    return ran(world, home)


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
        return ran(world, home, broker=EditedBroker())


def cash_gone(world: World) -> Home:
    """A twentieth of the cash is not there any more."""

    def change(report: AccountReport) -> AccountReport:
        return replace(report, cash={**report.cash, "USD": report.cash["USD"] * Decimal("0.95")})

    with _reports(change):
        return ran(world, world.base(), broker=EditedBroker())


def doubtful(world: World) -> Home:
    """The broker names a mean price of one name that cannot be."""
    home = world.base()
    held = home.frame("positions", SECOND)
    name = sorted(held[held["kind"] == "POSITION"]["instrument"])[0]
    with _reports(lambda report: replace(report, average_price={name: Decimal(100_000)})):
        return ran(world, home, broker=EditedBroker())


def refusing(world: World) -> Home:
    """The broker refuses every order; the next session's verdict finds the storm."""
    home = world.base()
    EditedBroker.refuses = True
    try:
        world.run(home, NEXT, {"broker": EditedBroker()})
    finally:
        EditedBroker.refuses = False
    return ran(world, home, AFTER)


def strange_order(world: World) -> Home:
    return ran(world, world.base(), broker=StrangeOrderBroker())


def skipped(world: World) -> Home:
    """Data alone came in for a session; the next one closes it."""
    home = world.base()
    world.run(home, NEXT, job="data")
    return ran(world, home, AFTER)


def loosened(world: World) -> Home:
    """The file says a higher cap, and nobody approved it."""
    home = world.known()
    world.mandate({"{target: 0.0475, warn: 0.0490, hard: 0.0500}": "{target: 0.0475, warn: 0.0490, hard: 0.0600}"})
    return ran(world, home)


def flag(world: World) -> Home:
    """`marketbot halt` in a process of its own, then a tick."""
    home = world.known()
    done = command(home.path, "halt", "--reason", "a drill", mandate=world.folder / "mandate.yaml")
    assert done.returncode == 0, done.stderr
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
        return ran(world, home)
    finally:
        del os.environ["MARKETBOT_SIGNER_COMMAND"]


def read_only(world: World) -> Home:
    """The disk of the home may not be written any more (remounted), and a run begins."""
    home = world.on_disk(world.base(), 4 << 20)
    subprocess.run(["mount", "-o", "remount,ro", str(home.path)], check=True)
    return ran(world, home)


def disk_full(world: World) -> Home:
    """A small disk is filled by the run itself."""
    home = world.on_disk(world.base(), 128 << 10)
    return ran(world, home)


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
    return ran(world, home, AFTER)


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
    world.run(home, AFTER)
    world.watcher.faults.clear()
    return home


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


PLANTS: Mapping[str, Plant] = {
    "crash": Plant(("HALT_B", "DRAWDOWN_RUNG", "STOP_HIT"), "every price falls by 14 %", HOOK, crash),
    "gap": Plant(("DATA_GAP",), "three of 63 names have no close", HOOK, gap),
    "lowered": Plant(("LIMIT_BREACH",), "the cap of a position is lowered below what is held", HOOK, lowered),
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
    "model_refused": Plant(("LLM_REFUSED", "FEATURE_DRIFT"), "the model answers in prose", HOOK, model_refused),
    "model_dear": Plant(("LLM_BUDGET",), "the day's budget is a hundredth of a cent", HOOK, model_dear),
    "model_changed": Plant(("LLM_MODEL_CHANGED",), "another fingerprint answers", HOOK, model_changed),
}  # fmt: skip
