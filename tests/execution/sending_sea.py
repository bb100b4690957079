"""Days at sea for the order protocol: a virtual clock, a broker that loses, delays, refuses and misspeaks, a sender that dies.

One seed is one session of 20 orders, run again after each death, then the beginning of the next session. The broker counts
what reached it. Not here: any statement about the protocol.
"""

import datetime as dt
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from sending_world import NOW, OFF, SESSION, Hours, Killed, echo, order, passes

from marketbot_resources.broker.sending import SendReport, freeze_batch, send_batch
from marketbot_resources.broker.settling import Baseline
from marketbot_resources.capabilities import Capabilities
from marketbot_resources.errors import BrokerError, HaltError
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Fence, Receipt
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.model import (
    AccountReport,
    Acknowledgement,
    Execution,
    Kind,
    OpenOrder,
    Order,
    OrderState,
    Side,
)
from marketbot_resources.paper import PaperAccount
from marketbot_resources.sessions import frozen_batch, settle_batch

ORDERS = 20
LATENESS_MAX = dt.timedelta(seconds=120)
WINDOW = dt.timedelta(minutes=30)
DEATH, RUNS_MAX = 0.01, 200
FAST = "/dev/shm" if Path("/dev/shm").is_dir() else None
ROUGH = {"lose": 0.05, "accept, then silence": 0.05, "late": 0.04, "reject": 0.03, "misspeak": 0.005}
ZERO = Decimal(0)


class Chance:
    """One source of chance for the broker's moods and the sender's deaths."""

    def __init__(self, seed: int) -> None:
        self.random, self.deaths = random.Random(seed), True

    def dies(self) -> None:
        if self.deaths and self.random.random() < DEATH:
            raise Killed

    def around(self, call: Callable[[], Any]) -> Any:
        """The call, with a place to die before and after it."""
        self.dies()
        made = call()
        self.dies()
        return made


class MortalLedger(SqliteLedger):
    chance: Chance

    def _append(self, records: Sequence[tuple[str, str, bytes]], fence: Fence | None = None) -> list[Receipt]:
        return self.chance.around(lambda: super(MortalLedger, self)._append(records, fence))


@dataclass
class Sea:
    """A broker whose orders fill as soon as they arrive. `arrived` counts what really reached it, doubles included."""

    chance: Chance
    hours: Hours
    dedupes: bool
    arrived: Counter[str] = field(default_factory=Counter)
    states: dict[str, OrderState] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    on_its_way: list[tuple[dt.datetime, Order]] = field(default_factory=list)
    cash: Decimal = ZERO
    positions: dict[str, Decimal] = field(default_factory=dict)
    executions: list[Execution] = field(default_factory=list)
    told: dt.timedelta = LATENESS_MAX

    @property
    def capabilities(self) -> Capabilities:
        return replace(PaperAccount.capabilities, dedupes_client_id=self.dedupes, lateness_max=self.told)

    def tick(self, seconds: float) -> None:
        """Time passes; what was on its way arrives when its time has come."""
        self.hours.at += dt.timedelta(seconds=seconds)
        for due in [due for due in self.on_its_way if due[0] <= self.hours.at]:
            self.on_its_way.remove(due)
            self._take(due[1])

    def _take(self, order: Order) -> None:
        name = order.client_order_id
        if self.dedupes and name in self.states:
            return
        self.arrived[name] += 1
        self.states[name], self.orders[name] = OrderState.FILLED, order
        price = order.limit_price or ZERO
        self.cash -= order.side.sign * order.quantity * price
        self.positions[order.instrument] = self.positions.get(order.instrument, ZERO) + order.side.sign * order.quantity
        number = f"{name}-{self.arrived[name]}"
        self.executions.append(
            Execution(
                number, name, Kind.EQUITY, order.instrument, order.side, order.quantity, price, "USD", ZERO, ZERO,
                self.hours.at,
            )
        )  # fmt: skip

    def submit(self, order: Order, at: dt.datetime) -> Acknowledgement:
        return self.chance.around(lambda: self._submit(order))

    def _submit(self, order: Order) -> Acknowledgement:
        self.tick(0.1)
        name = order.client_order_id
        mood = self.chance.random.choices([*ROUGH, "accept"], [*ROUGH.values(), 1 - sum(ROUGH.values())])[0]
        if mood == "reject" and name not in self.states:
            self.states[name], self.orders[name] = OrderState.REJECTED, order
            return echo(order, OrderState.REJECTED)
        if mood == "lose":
            self.tick(13)
            raise TimeoutError
        if mood == "late":
            seconds = self.chance.random.uniform(0, LATENESS_MAX.total_seconds())
            self.on_its_way.append((self.hours.at + dt.timedelta(seconds=seconds), order))
            self.tick(13)
            raise TimeoutError
        self._take(order)
        if mood == "accept, then silence":
            self.tick(13)
            raise BrokerError("504")
        answer = echo(order, self.states[name])
        return replace(answer, quantity=order.quantity + 1) if mood == "misspeak" else answer

    def find(self, client_order_id: str) -> Acknowledgement | None:
        return self.chance.around(lambda: self._find(client_order_id))

    def _find(self, name: str) -> Acknowledgement | None:
        self.tick(0.1)
        if self.chance.random.random() < 0.05:
            self.tick(13)
            raise TimeoutError
        return echo(self.orders[name], self.states[name]) if name in self.states else None

    def cancel(self, client_order_id: str, at: dt.datetime) -> Acknowledgement | None:
        raise AssertionError("not asked for")

    def report(self, since: dt.datetime, until: dt.datetime) -> AccountReport:
        self.tick(0.1)
        none: tuple[OpenOrder, ...] = ()
        return AccountReport(until, {"USD": self.cash}, dict(self.positions), none, tuple(self.executions), ())


@dataclass
class Day:
    """What became of one seed."""

    ledger: Ledger
    sea: Sea
    orders: tuple[Order, ...]
    deaths: int
    runs: int


def batch(chance: Chance) -> tuple[Order, ...]:
    """Twenty names, each bought or sold once."""
    sides, quantities = list(Side), range(1, 500)
    return tuple(
        order(
            f"{n:02d}",
            chance.random.choice(sides),
            quantity=Decimal(chance.random.choice(quantities)),
            limit_price=Decimal(chance.random.randrange(100, 99_999)) / 100,
            send_until=NOW + WINDOW,
        )
        for n in range(ORDERS)
    )


def day(folder: Path, seed: int, *, dedupes: bool, resend: bool, told: dt.timedelta = LATENESS_MAX) -> Day:
    """One session and the beginning of the next, whatever happens. `told`: the lateness that the broker admits to."""
    chance, hours = Chance(seed), Hours()
    orders, sea = batch(chance), Sea(chance, hours, dedupes, told=told)
    freeze_batch(SqliteLedger(folder / f"{seed}.sqlite"), "acc", SESSION, orders, {})
    ledger = MortalLedger(folder / f"{seed}.sqlite")
    ledger.chance = chance
    deaths = runs = 0
    while runs < RUNS_MAX and hours.at < NOW + WINDOW:
        runs += 1
        try:
            report = run(ledger, sea, orders, resend)
            if not {OrderState.APPROVED, OrderState.UNKNOWN} & set(report.states.values()):
                break
            sea.tick(300)
        except Killed:
            deaths += 1
            sea.tick(chance.random.uniform(1, 60))
    hours.at = NOW + dt.timedelta(hours=24)
    sea.tick(0)
    found = frozen_batch(ledger, "acc", SESSION)
    assert found is not None
    for _ in range(RUNS_MAX):
        try:
            settle_batch(ledger, sea, found, "acc", hours.at, hours.now)
            break
        except Killed:
            deaths += 1
        except HaltError as error:
            if "TimeoutError" not in str(error):
                raise
    return Day(ledger, sea, orders, deaths, runs)


def run(ledger: Ledger, sea: Sea, orders: Sequence[Order], resend: bool) -> SendReport:
    """One run of sending."""
    timing = replace(sea.hours.timing, wait=sea.tick)
    baseline = Baseline(NOW, {}) if resend else None
    return send_batch(
        ledger,
        sea,
        orders,
        account="acc",
        session=SESSION,
        timing=timing,
        halt=lambda: OFF,
        gate=passes,
        resend=baseline,
    )


def fast_folder() -> tempfile.TemporaryDirectory[str]:
    """In memory where the machine has such a place: what is judged here is the protocol, not the disk."""
    return tempfile.TemporaryDirectory(dir=FAST)
