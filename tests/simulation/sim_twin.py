"""A broker that misbehaves, with books of its own: what it holds is the truth that everything else is measured against.

Virtual time: whatever is due by an instant happens in its order. It counts how often it accepted an order of one id. Not here:
any arithmetic of the product; fills, splits and dividends are worked out here anew.
"""

import datetime as dt
import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal

from sim_faults import Faults, VirtualClock
from sim_world import LISTINGS, SPLIT, Event, World

from marketbot_resources.calendars import next_open
from marketbot_resources.capabilities import AuctionTerms, Capabilities
from marketbot_resources.errors import BrokerError
from marketbot_resources.model import (
    PAPER,
    TERMINAL_STATES,
    AccountEvent,
    AccountReport,
    Acknowledgement,
    Execution,
    Kind,
    OpenOrder,
    Order,
    OrderState,
    OrderType,
    Side,
)

CENT, FEE = Decimal("0.01"), Decimal("0.00014")
LATENESS_MAX, DAY = 120.0, dt.timedelta(days=1)
MOODS = {
    "accept": 0.72, "accept and 504": 0.06, "lose": 0.04, "late": 0.05, "reject": 0.04, "rate limit": 0.03,
    "answer about another": 0.02, "answer without state": 0.02, "truncated answer": 0.02,
}  # fmt: skip
FILLS = {"whole": 0.6, "in parts": 0.18, "partial, then canceled": 0.1, "done for day": 0.06, "nothing": 0.06}


@dataclass(slots=True)
class Ticket:
    """One order as the broker works it; several may carry one client order id when the broker does not dedupe."""

    order: Order
    broker_id: str
    state: OrderState
    filled: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Told:
    """A fact of the account and the instant from which reports tell it."""

    at: dt.datetime
    fact: Execution | AccountEvent


def cents(value: Decimal) -> Decimal:
    return value.quantize(CENT, rounding=ROUND_HALF_EVEN)


class Twin:
    """The broker. `dedupes`: it takes one client order id at most once."""

    def __init__(self, world: World, clock: VirtualClock, faults: Faults, *, dedupes: bool) -> None:
        self._world, self._clock, self._faults, self._dedupes = world, clock, faults, dedupes
        self.capabilities = Capabilities(
            name="twin",
            types=frozenset({OrderType.LIMIT_ON_OPEN}),
            open_auction=AuctionTerms(closes_before=dt.timedelta(0)),
            close_auction=None,
            dedupes_client_id=dedupes,
            lateness_max=dt.timedelta(seconds=LATENESS_MAX),
            currency_legs=True,
            settlement_days=0,
        )
        self.opening = Decimal(world.mandate.opening_cash)
        self.cash: dict[str, Decimal] = {"USD": self.opening}
        self.shares: dict[str, Decimal] = {}
        self.accepted: Counter[str] = Counter()
        self.sent_while_halted: set[str] = set()
        self.halted: Callable[[], bool] = lambda: False
        self.halt: Callable[[], None] = lambda: None
        self.attempts: list[tuple[Order, dt.datetime]] = []
        self.log: list[tuple[dt.datetime, Execution | AccountEvent]] = []
        self.tickets: dict[str, list[Ticket]] = {}
        self.told: list[Told] = []
        self._at, self._due, self._serial = dt.datetime.min.replace(tzinfo=dt.UTC), list[tuple](), 0
        self._untold: list[tuple[str, Decimal]] = []
        for event in world.events:
            self._later(event.effective_at, 0, lambda event=event: self._corporate(event))

    # --- the port ---

    def submit(self, order: Order, at: dt.datetime) -> Acknowledgement:
        return self._faults.cross("broker submit", lambda: self._submit(order))

    def find(self, client_order_id: str) -> Acknowledgement | None:
        return self._faults.cross("broker find", lambda: self._found(client_order_id))

    def cancel(self, client_order_id: str, at: dt.datetime) -> Acknowledgement | None:
        self._pass_time()
        self._trouble("cancel fails", 0.05)
        for ticket in self.tickets.get(client_order_id, ()):
            if ticket.state not in TERMINAL_STATES:
                ticket.state = OrderState.CANCELED
        return self._acknowledge(client_order_id)

    def report(self, since: dt.datetime, until: dt.datetime) -> AccountReport:
        return self._faults.cross("broker report", lambda: self._report(since, until))

    # --- what it does with an order ---

    def _submit(self, order: Order) -> Acknowledgement:
        now = self._pass_time()
        self.attempts.append((order, now))
        if self.halted():
            self.sent_while_halted.add(order.client_order_id)
        if self._faults.maybe("operator halts while orders are sent", 0.01):
            self.halt()
        draw, name = self._faults.stream("moods"), order.client_order_id
        mood = draw.choices(list(MOODS), list(MOODS.values()))[0] if self._faults.storm else "accept"
        self._faults.counts[mood] += mood != "accept"
        if mood in ("lose", "rate limit"):
            raise BrokerError("429 too many requests" if mood == "rate limit" else "connection reset")
        if mood == "late":
            self._later(now + dt.timedelta(seconds=draw.uniform(0.0, LATENESS_MAX)), 1, lambda: self._accept(order))
            raise TimeoutError("no answer in time")
        if mood == "reject" and not self.tickets.get(name):
            self.tickets[name] = [Ticket(order, self._next("B"), OrderState.REJECTED)]
            return self._answer(name)
        self._accept(order)
        if mood == "accept and 504":
            raise BrokerError("504 gateway timeout")
        if mood == "truncated answer":
            raise ValueError("expected JSON, found its first half")
        changes: dict[str, dict] = {
            "answer about another": {"client_order_id": "mb1-another"}, "answer without state": {"state": OrderState.SENDING},
        }  # fmt: skip
        return replace(self._answer(name), **changes.get(mood, {}))

    def _accept(self, order: Order) -> None:
        """Takes the order now, unless this broker refuses doubles and has it."""
        name = order.client_order_id
        if self._dedupes and self.tickets.get(name):
            return
        self.accepted[name] += 1
        ticket = Ticket(order, self._next("B"), OrderState.ACKED)
        self.tickets.setdefault(name, []).append(ticket)
        if order.kind is Kind.FX:
            self._convert(ticket)
            return
        day, opens = next_open(order.mic, self._at)
        self._later(opens, 2, lambda: self._auction(ticket, day, opens))

    def _answer(self, name: str) -> Acknowledgement:
        answer = self._acknowledge(name)
        assert answer is not None
        return answer

    def _acknowledge(self, name: str) -> Acknowledgement | None:
        held = self.tickets.get(name)
        if not held:
            return None
        why = "insufficient buying power" if held[-1].state is OrderState.REJECTED else ""
        return Acknowledgement(name, held[-1].state, held[-1].broker_id, why)

    def _found(self, name: str) -> Acknowledgement | None:
        self._pass_time()
        self._trouble("find fails", 0.08)
        return self._acknowledge(name)

    def _convert(self, ticket: Ticket) -> None:
        order, now = ticket.order, self._at
        rate = (self._world.rate(now) * (1 + order.side.sign * Decimal("0.0002"))).quantize(Decimal("1e-6"))
        ticket.state, ticket.filled = OrderState.FILLED, order.quantity
        self._fill(order, order.quantity, rate, Decimal(0), now, now)

    def _auction(self, ticket: Ticket, day: dt.date, at: dt.datetime) -> None:
        order, draw = ticket.order, self._faults.stream("fills")
        how = draw.choices(list(FILLS), list(FILLS.values()))[0] if self._faults.storm else "whole"
        if ticket.state in TERMINAL_STATES:
            return
        bar = self._world.bar(order.instrument, day) if day in self._world.cutoffs else None
        price = None if bar is None else Decimal(repr(bar[0]))
        assert order.limit_price is not None
        if price is None or order.side.sign * (price - order.limit_price) > 0 or how == "nothing":
            ticket.state = OrderState.EXPIRED
            return
        self._faults.counts[how] += how != "whole"
        parts, left = [order.quantity], OrderState.FILLED
        if how == "in parts" and order.quantity >= 3:
            first = Decimal(draw.randint(1, int(order.quantity) - 1))
            parts = [first, order.quantity - first]
        elif how in ("partial, then canceled", "done for day") and order.quantity >= 2:
            parts = [Decimal(draw.randint(1, int(order.quantity) - 1))]
            left = OrderState.CANCELED if how == "partial, then canceled" else OrderState.DONE_FOR_DAY
        booked = at
        if self._faults.maybe("fill booked a day late", 0.02) and not self._event_near(order.instrument, at):
            booked = at + dt.timedelta(hours=24)
        for number, quantity in enumerate(parts):
            moment = at + dt.timedelta(seconds=number)
            fee = cents(quantity * price * FEE)
            self._later(
                max(booked, moment), 3,
                lambda q=quantity, m=moment, f=fee: self._fill_share(ticket, q, price, f, m),
            )  # fmt: skip
        self._later(booked + dt.timedelta(seconds=5), 4, lambda: setattr(ticket, "state", left))

    def _fill_share(self, ticket: Ticket, quantity: Decimal, price: Decimal, fee: Decimal, at: dt.datetime) -> None:
        ticket.filled += quantity
        if ticket.state not in TERMINAL_STATES:
            ticket.state = OrderState.PARTIAL
        told, name = self._at, ticket.order.instrument
        if self._faults.maybe("fill told after the position moved", 0.01) and not self._event_near(name, at):
            told += dt.timedelta(hours=20)
        self._fill(ticket.order, quantity, price, fee, at, told)

    def _fill(
        self, order: Order, quantity: Decimal, price: Decimal, fee: Decimal, at: dt.datetime, told: dt.datetime
    ) -> None:
        execution = Execution(
            execution_id=self._next("X"), client_order_id=order.client_order_id, kind=order.kind, instrument=order.instrument,
            side=order.side, quantity=quantity, price=price, currency=order.currency, fee=fee, tax=Decimal(0), executed_at=at,
        )  # fmt: skip
        self._book(execution, told)

    def _event_near(self, name: str, at: dt.datetime) -> bool:
        """Whether a split or dividend falls into the day after a fill: a statement that skips one is put right by people."""
        return any(e.instrument == name and at < e.effective_at <= at + 2 * DAY for e in self._world.events)

    # --- its books ---

    def _book(self, fact: Execution | AccountEvent, told: dt.datetime) -> None:
        self.log.append((self._at, fact))
        self.told.append(Told(told, fact))
        apply(fact, self.cash, self.shares)

    def _corporate(self, event: Event) -> None:
        name = event.instrument
        held = self.shares.get(name, Decimal(0))
        if event.kind == SPLIT:
            for ticket in (t for held_ in self.tickets.values() for t in held_ if t.order.instrument == name):
                if ticket.state not in TERMINAL_STATES:
                    ticket.state = OrderState.CANCELED
        if not held:
            return
        amount = Decimal(0) if event.kind == SPLIT else cents(held * Decimal(repr(event.amount)))
        quantity = held * (event.ratio - 1)
        currency = LISTINGS[name][1]
        kind = "SPLIT" if event.kind == SPLIT else "DIVIDEND"
        event_id = f"{name}|{event.ex_session.isoformat()}|{event.kind}"
        self._book(AccountEvent(event_id, kind, name, currency, amount, quantity, event.effective_at), self._at)

    def human(self, *, untold: bool) -> bool:
        """Somebody trades by hand: as an execution of no order of ours, or as shares that move without a word; whether he could."""
        self._settle(self._clock.at)
        held = sorted(name for name, quantity in self.shares.items() if quantity >= 10)
        if not held:
            return False
        name = self._faults.stream("human").choice(held)
        self._faults.counts["shares moved without a word" if untold else "manual trade"] += 1
        if untold:
            self.shares[name] -= 3
            self._untold.append((name, Decimal(-3)))
            return True
        price = self._world.close(name, self._today())
        order_id, currency = self._next("desk-"), LISTINGS[name][1]
        fill = Execution(
            self._next("X"), order_id, Kind.EQUITY, name, Side.SELL, Decimal(2), price, currency, Decimal("0.30"), Decimal(0),
            self._clock.at,
        )  # fmt: skip
        self._book(fill, self._clock.at)
        return True

    def undo(self) -> None:
        """The broker puts right what moved without a word."""
        for name, quantity in self._untold:
            self.shares[name] -= quantity
        self._untold.clear()

    @property
    def wrong(self) -> bool:
        """Whether shares have moved of which no report will ever tell."""
        return bool(self._untold)

    def charge(self, amount: Decimal) -> None:
        """A fee that only the broker's statement tells of."""
        self._settle(self._clock.at)
        self._faults.counts["fee"] += 1
        event = AccountEvent(self._next("FEE"), "FEE", "", "USD", -amount, Decimal(0), self._clock.at)
        self._book(event, self._clock.at)

    # --- reports ---

    def _report(self, since: dt.datetime, until: dt.datetime) -> AccountReport:
        now = self._pass_time()
        self._trouble("report fails", 0.03)
        self._settle(max(until, now))
        draw = self._faults.stream("reports")
        executions = [t.fact for t in self.told if since < t.at <= until and isinstance(t.fact, Execution)]
        events = tuple(t.fact for t in self.told if since < t.at <= until and isinstance(t.fact, AccountEvent))
        if executions and self._faults.maybe("fills told twice", 0.15):
            executions += draw.sample(executions, draw.randint(1, len(executions)))
        if executions and self._faults.maybe("fills in another order", 0.3):
            draw.shuffle(executions)
        drift = (
            dt.timedelta(seconds=draw.uniform(40, 3000)) if self._faults.maybe("clock drift", 0.01) else dt.timedelta(0)
        )
        return AccountReport(
            as_of_at=until,
            cash={name: amount for name, amount in sorted(self.cash.items()) if amount},
            positions={name: quantity for name, quantity in sorted(self.shares.items()) if quantity},
            open_orders=tuple(self._open_orders()),
            executions=tuple(executions),
            events=events,
            environment=PAPER,
            broker_at=now + drift,
        )

    def _open_orders(self) -> list[OpenOrder]:
        found = []
        for name, held in sorted(self.tickets.items()):
            for ticket in held:
                order, left = ticket.order, ticket.order.quantity - ticket.filled
                if ticket.state not in TERMINAL_STATES and left > 0:
                    found.append(OpenOrder(name, order.instrument, order.side, left, order.limit_price, order.currency))
        return found

    # --- time ---

    def _pass_time(self) -> dt.datetime:
        """A call takes its time; what was due happens."""
        self._clock.at += dt.timedelta(seconds=self._faults.stream("latency").uniform(0.02, 0.4))
        self._settle(self._clock.at)
        return self._clock.at

    def settle(self) -> None:
        """Lets everything happen that is due by now."""
        self._settle(self._clock.at)

    def _settle(self, until: dt.datetime) -> None:
        while self._due and self._due[0][0] <= until:
            at, _, _, act = heapq.heappop(self._due)
            self._at = max(self._at, at)
            act()
        self._at = max(self._at, until)

    def _later(self, at: dt.datetime, rank: int, act: Callable[[], None]) -> None:
        self._serial += 1
        heapq.heappush(self._due, (at, rank, self._serial, act))

    def _next(self, prefix: str) -> str:
        self._serial += 1
        return f"{prefix}{self._serial:06d}"

    def _today(self) -> dt.date:
        return max(day for day, cutoff in self._world.cutoffs.items() if cutoff <= self._clock.at)

    def _trouble(self, kind: str, chance: float) -> None:
        if self._faults.maybe(kind, chance):
            raise BrokerError(f"{kind}: 503 service unavailable")


def apply(fact: Execution | AccountEvent, cash: dict[str, Decimal], shares: dict[str, Decimal]) -> None:
    """What a fill or an event does to cash and shares, each amount to the cent."""
    zero = Decimal(0)
    if isinstance(fact, AccountEvent):
        cash[fact.currency] = cash.get(fact.currency, zero) + fact.amount
        if fact.instrument:
            shares[fact.instrument] = shares.get(fact.instrument, zero) + fact.quantity
        return
    sign = 1 if fact.side is Side.BUY else -1
    if fact.kind is Kind.FX:
        cash[fact.currency] = cash.get(fact.currency, zero) + sign * fact.quantity
        cash["USD"] -= sign * cents(fact.quantity * fact.price) + fact.fee
        return
    shares[fact.instrument] = shares.get(fact.instrument, zero) + sign * fact.quantity
    cash[fact.currency] = cash.get(fact.currency, zero) - sign * cents(fact.quantity * fact.price) - fact.fee
