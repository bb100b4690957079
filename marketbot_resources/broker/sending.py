"""The order protocol: a batch is frozen in the ledger, then each order goes to the broker at most once per known fate.

An order's states are ledger entries: SENDING is durable before the broker is called, its answer after. A run that died leaves
SENDING or UNKNOWN, which the next run first settles with the broker. Nothing is retried. Not here: an adapter (`broker.*`),
the last-line gate and what it knows (`execution.gate`, handed in as a function), closing of sessions (`sessions`).
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from marketbot_resources.errors import HaltError, LedgerError
from marketbot_resources.halt import HaltFlag
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Entry, Json, Receipt, canonical_json
from marketbot_resources.model import (
    SELLING_LEVELS,
    Acknowledgement,
    BrokerPort,
    HaltLevel,
    Kind,
    Order,
    OrderState,
    Side,
    batch_sha256,
    order_record,
    utc_text,
)
from marketbot_resources.redaction import redactor
from marketbot_resources.sessions import record_event

IN_DOUBT = frozenset({OrderState.SENDING, OrderState.UNKNOWN})
ANSWERS = frozenset(OrderState) - IN_DOUBT - {OrderState.APPROVED}
HALT_OFF = "off"
FOLLOWING = "following"
REJECTS_MAX = 3
PERMITTING = frozenset({HALT_OFF, HaltLevel.NO_NEW_RUNS.value})
TOO_LATE = "too late to send"
TOO_LATE_AGAIN = "too late to send again; the broker does not know the order"
SENT, HALTED = "sent", "halted"
_GROUPS = ((Kind.FX, Side.SELL), (Kind.FX, Side.BUY), (Kind.EQUITY, Side.SELL), (Kind.EQUITY, Side.BUY))
_REASON_LENGTH_MAX = 500


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the ledger says of sending one order: not of what became of it later (`following`), so that a re-run says the same.

    `submitted_at`: instant of the last attempt, None when it was never sent.
    """

    state: OrderState
    broker_order_id: str
    reason: str
    submitted_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class SendReport:
    """What became of a batch: each order's outcome by client order id, the gate's faults, why sending stopped ("" = it did not).

    `waiting`: orders whose window has not opened; a later run sends them.
    """

    outcomes: Mapping[str, Outcome]
    faults: tuple[str, ...]
    halted: str
    waiting: tuple[str, ...]

    @property
    def states(self) -> dict[str, OrderState]:
        """Client order id -> newest state."""
        return {name: outcome.state for name, outcome in self.outcomes.items()}

    def end_state(self) -> tuple[str, str]:
        """("sent", counts per state), or ("halted", reason). Not final while orders are `waiting`."""
        counts = Counter(outcome.state.value for outcome in self.outcomes.values())
        listed = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
        text = f"{len(self.outcomes)} orders" + (f": {listed}" if listed else "")
        reasons = [self.halted, *(f"gate: {fault}" for fault in self.faults[:3])]
        why = "; ".join(reason for reason in reasons if reason)
        return (HALTED, f"{why} ({text})") if why else (SENT, text)


def freeze_batch(
    ledger: Ledger,
    account: str,
    session: dt.date,
    orders: Sequence[Order],
    facts: Mapping[str, Json],
    *,
    batch_no: int = 1,
) -> Receipt:
    """Freezes the batch of (account, session, batch_no), then records every order's intent; returns the batch's receipt.

    `facts` join the batch's body and must not depend on the run. Idempotent, also after a run that died half way. Raises
    Equivocation when another batch or another order is recorded there, HaltError for an order of another session or batch.
    """
    own = {"batch_sha256", "count", "orders"} & set(facts)
    if own:
        raise HaltError(
            f"batch of {session}: expected other facts than the batch's own, found {', '.join(sorted(own))}"
        )
    _check_unique(orders)
    for order in orders:
        if (order.session, order.batch_no) != (session, batch_no):
            raise HaltError(
                f"order {order.client_order_id}: expected batch {batch_no} of {session}, "
                f"found batch {order.batch_no} of {order.session}"
            )
    ordered = sorted(orders, key=lambda order: order.client_order_id)
    body: dict[str, Json] = {
        "batch_sha256": batch_sha256(ordered),
        "count": len(ordered),
        "orders": [{"client_order_id": order.client_order_id} for order in ordered],
        **facts,
    }
    receipt = ledger.append("batch_frozen", f"{account}/{session.isoformat()}/{batch_no}", body)
    for order in ordered:
        ledger.append("order_intent", order.client_order_id, order_record(order))
    return receipt


def send_batch(
    ledger: Ledger,
    broker: BrokerPort,
    orders: Sequence[Order],
    *,
    session: dt.date,
    now: Callable[[], dt.datetime],
    halt: Callable[[], HaltFlag],
    gate: Callable[[Sequence[Order]], tuple[str, ...]],
) -> SendReport:
    """Sends what is left of a frozen batch. All orders whose windows are open form one wave; waves follow while `now` opens more.

    Inside a wave: currency legs, then sells, then buys, each by client order id. The gate is asked once per wave with the orders
    about to be sent; its faults stop everything, and so do three refusals by the broker in a row (RC-90). While the halt flag
    lets risk be reduced only, orders that buy are ended unsent. Raises HaltError before anything is sent when an order has no
    intent in the ledger (RC-84), is of another session, or is in doubt while the broker neither knows it nor refuses doubles;
    LedgerError when the ledger fails.
    """
    _check_unique(orders)
    _check_intents(ledger, orders, session)
    desk = _Desk(ledger, broker, now, halt)
    desk.settle(orders)
    while not desk.halted and not desk.faults:
        desk.expire()
        desk.drop_buys()
        wave = desk.open_now()
        if not wave:
            break
        desk.faults = _ask(gate, wave)
        if not desk.faults:
            desk.send(wave)
    waiting = tuple(sorted(desk.left)) if not (desk.halted or desk.faults) else ()
    outcomes = {name: _outcome(ledger, name) for name in sorted(order.client_order_id for order in orders)}
    return SendReport(outcomes, desk.faults, desk.halted, waiting)


@dataclass(slots=True)
class _Desk:
    """One run of sending; `left` holds the orders that this run may still send."""

    ledger: Ledger
    broker: BrokerPort
    now: Callable[[], dt.datetime]
    halt: Callable[[], HaltFlag]
    left: dict[str, Order] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    halted: str = ""
    refused: int = 0

    def settle(self, orders: Sequence[Order]) -> None:
        """Sorts out what earlier runs left: sent orders stay alone, orders in doubt are looked up at the broker."""
        lost = []
        for order in sorted(orders, key=lambda order: order.client_order_id):
            state, name = _state(_events(self.ledger, order.client_order_id)), order.client_order_id
            if state is OrderState.APPROVED:
                self.left[name] = order
            if state not in IN_DOUBT:
                continue
            answer = self._find(name)
            if answer is not None:
                self._record(name, answer)
            elif self.broker.capabilities.dedupes_client_id is True:
                self.left[name] = order
            else:
                lost.append(name)
        if lost:
            raise HaltError(
                f"order {', '.join(lost)}: sent without an answer and unknown to the broker, which may accept it twice; "
                "compare with its statement first"
            )

    def expire(self) -> None:
        """Ends the orders whose window has closed."""
        at = self.now()
        for name in [name for name, order in self.left.items() if at > order.send_until]:
            self._expire(name)

    def drop_buys(self) -> None:
        """Ends the orders that the halt flag's level does not let go; other levels stop the sending itself (`send`)."""
        flag = _read(self.halt)
        for name in [n for n, order in self.left.items() if flag.word in SELLING_LEVELS and order.side is Side.BUY]:
            self._expire(name, f"halt flag {flag.word}: {flag.reason}")

    def open_now(self) -> list[Order]:
        """The orders whose window is open, in the order in which they are sent."""
        at = self.now()
        wave = [order for order in self.left.values() if order.send_from <= at]
        return sorted(wave, key=lambda order: (_GROUPS.index((order.kind, order.side)), order.client_order_id))

    def send(self, wave: Sequence[Order]) -> None:
        """Sends the orders one by one until the halt flag or a doubt stops it."""
        for order in wave:
            flag = _read(self.halt)
            if flag.word in SELLING_LEVELS and order.side is Side.BUY:
                self._expire(order.client_order_id, f"halt flag {flag.word}: {flag.reason}")
                continue
            if flag.word not in PERMITTING | SELLING_LEVELS:
                self.halted = f"halt flag {flag.word}: {flag.reason}"
                return
            at = self.now()
            if at > order.send_until:
                self._expire(order.client_order_id)
                continue
            del self.left[order.client_order_id]
            if not self._send(order, at):
                return

    def _send(self, order: Order, at: dt.datetime) -> bool:
        name = order.client_order_id
        _record_sending(self.ledger, name, at)
        answer: Acknowledgement | None = None
        try:
            answer = self.broker.submit(order, at)
            why = _doubt(name, answer)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
        if answer is not None and not why:
            self._record(name, answer)
            self.refused = self.refused + 1 if answer.state is OrderState.REJECTED else 0
            if self.refused >= REJECTS_MAX:
                self.halted = f"the broker refused {self.refused} orders in a row, the last: {answer.reason}"
            return not self.halted
        why = redactor().text(why)[:_REASON_LENGTH_MAX]  # half a secret is not recognised
        self._event(name, OrderState.UNKNOWN, "", why)
        try:
            found = self._find(name)
        except HaltError:
            found = None
        if found is None:
            self.halted = f"order {name}: its fate is unknown ({why}); the rest was not sent"
            return False
        self._record(name, found)
        return True

    def _find(self, name: str) -> Acknowledgement | None:
        """One question to the broker. Raises HaltError when its answer cannot be used."""
        try:
            answer = self.broker.find(name)
        except HaltError:
            raise
        except Exception as error:
            raise HaltError(f"order {name}: expected the broker's view of it, found {type(error).__name__}") from error
        if answer is not None and (why := _doubt(name, answer)):
            raise HaltError(f"order {name}: the broker was asked for it and {why}; compare with its statement first")
        return answer

    def _record(self, name: str, answer: Acknowledgement) -> None:
        self._event(name, answer.state, answer.broker_order_id, answer.reason)

    def _event(self, name: str, state: OrderState, broker_order_id: str, reason: str) -> None:
        facts: dict[str, Json] = {"broker_order_id": broker_order_id, "reason": reason, "at": utc_text(self.now())}
        record_event(self.ledger, name, state, facts)

    def _expire(self, name: str, why: str = "") -> None:
        tried = _state(_events(self.ledger, name)) in IN_DOUBT
        self._event(name, OrderState.EXPIRED, "", why or (TOO_LATE_AGAIN if tried else TOO_LATE))
        del self.left[name]


def _check_unique(orders: Sequence[Order]) -> None:
    counts = Counter(order.client_order_id for order in orders)
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        raise HaltError(f"expected every order once in its batch, found {', '.join(twice[:3])} more often")


def _check_intents(ledger: Ledger, orders: Sequence[Order], session: dt.date) -> None:
    for order in orders:
        if order.session != session:
            raise HaltError(f"order {order.client_order_id}: expected session {session}, found {order.session}")
        intent = ledger.get("order_intent", order.client_order_id)
        if intent is None or canonical_json(intent.body) != canonical_json(order_record(order)):
            found = "none" if intent is None else "another order"
            raise HaltError(f"order {order.client_order_id}: expected its intent in the ledger, found {found}")


def _ask(gate: Callable[[Sequence[Order]], tuple[str, ...]], wave: Sequence[Order]) -> tuple[str, ...]:
    """The gate's faults; a gate that cannot answer is a fault."""
    try:
        faults = gate(wave)
    except Exception as error:
        return (f"the gate gave no answer: {type(error).__name__}: {error}",)
    return faults if isinstance(faults, tuple) else (f"the gate gave no answer: {faults!r}",)


def _read(halt: Callable[[], HaltFlag]) -> HaltFlag:
    """The halt flag now; one that cannot be read counts as set."""
    try:
        return halt()
    except Exception as error:
        return HaltFlag("unreadable", f"halt flag cannot be read: {type(error).__name__}")


def _doubt(name: str, answer: Acknowledgement) -> str:
    """Why an answer cannot be used; empty when it can."""
    if not isinstance(answer, Acknowledgement):
        return f"answered {type(answer).__name__}"
    if answer.client_order_id != name:
        return f"answered about {answer.client_order_id}"
    return "" if answer.state in ANSWERS else f"answered with state {answer.state}"


def _events(ledger: Ledger, name: str) -> list[Entry]:
    return ledger.entries("order_event", name + "/")


def _state(events: Sequence[Entry]) -> OrderState:
    return OrderState(str(events[-1].body["state"])) if events else OrderState.APPROVED


def _record_sending(ledger: Ledger, name: str, at: dt.datetime) -> None:
    """Takes the next place in the order's events for SENDING: of two runs only one gets it (compare and swap)."""
    events = _events(ledger, name)
    if _state(events) not in IN_DOUBT | {OrderState.APPROVED}:
        raise HaltError(f"order {name}: expected it unsent, found {_state(events)}; another run is sending")
    body: dict[str, Json] = {"state": OrderState.SENDING.value, "at": utc_text(at)}
    if not ledger.append("order_event", f"{name}/{len(events) + 1}", body).added:
        raise LedgerError(f"order {name}: expected to record SENDING, found it recorded; another run is sending")


def _outcome(ledger: Ledger, name: str) -> Outcome:
    events = [event for event in _events(ledger, name) if event.body.get("by") != FOLLOWING]
    sent = [str(event.body["at"]) for event in events if event.body["state"] == OrderState.SENDING.value]
    ids = [str(event.body["broker_order_id"]) for event in events if event.body.get("broker_order_id")]
    return Outcome(
        state=_state(events),
        broker_order_id=ids[-1] if ids else "",
        reason=str(events[-1].body.get("reason", "")) if events else "",
        submitted_at=dt.datetime.fromisoformat(sent[-1]) if sent else None,
    )
