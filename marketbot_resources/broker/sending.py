"""The order protocol: a batch is frozen in the ledger, then each order goes to the broker at most once per known fate.

An order's states are ledger entries under the sender's token: SENDING is durable before the broker is called, its answer
after. Not here: an adapter (`broker.*`), who may send (`fencing`), one run of sending (`desk`), the last-line gate and what it
knows (`execution.gate`, handed in as a function), closing of sessions (`sessions`).
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from marketbot_resources.broker.desk import FOLLOWING, Desk, Timing
from marketbot_resources.broker.fencing import single_flight
from marketbot_resources.broker.order_states import IN_DOUBT
from marketbot_resources.broker.settling import Baseline
from marketbot_resources.errors import HaltError
from marketbot_resources.halt import HaltFlag
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Json, Receipt, canonical_json
from marketbot_resources.model import BrokerPort, Order, OrderState, batch_sha256, order_record
from marketbot_resources.sessions import order_events, state_of

SENT, HALTED = "sent", "halted"


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
    account: str,
    session: dt.date,
    timing: Timing,
    halt: Callable[[], HaltFlag],
    gate: Callable[[Sequence[Order]], tuple[str, ...]],
    resend: Baseline | None = None,
) -> SendReport:
    """Sends what is left of a frozen batch. All orders whose windows are open form one wave; waves follow while time opens more.

    Inside a wave: currency legs, then sells, then buys, each by client order id. The gate is asked once per wave with the orders
    about to be sent; its faults stop everything, and so do three refusals by the broker in a row (RC-90), a confirmation of
    another order, and two orders whose fate stays unknown (F40); one of these locks its own name. While the halt flag lets risk
    be reduced only, orders that buy are ended unsent. `resend`: what the account held before, where the mandate allows to send
    an order again that left no trace at a broker that does not refuse doubles; None: such an order waits for its next session.

    Raises AlreadySending while another run sends for this account, StaleToken when one has taken over; HaltError before anything
    is sent when an order has no intent in the ledger (RC-84) or is of another session; LedgerError when the ledger fails.
    """
    _check_unique(orders)
    _check_intents(ledger, orders, session)
    names = sorted(order.client_order_id for order in orders)
    if not any(state_of(order_events(ledger, name)) in IN_DOUBT | {OrderState.APPROVED} for name in names):
        return SendReport({name: _outcome(ledger, name) for name in names}, (), "", ())
    batch_no = orders[0].batch_no
    with single_flight(
        ledger,
        account,
        session,
        machine_now=timing.machine_now,
        time_to_live=timing.time_to_live,
        batch_no=batch_no,
    ) as fence:
        desk = Desk(ledger, broker, fence, timing, halt, tuple(orders), resend)
        desk.settle(orders)
        while not desk.halted and not desk.faults:
            desk.expire()
            desk.drop_buys()
            if not desk.open_now():
                break
            wave = desk.fitted()
            if desk.halted or not wave:
                continue
            desk.faults = _ask(gate, wave)
            if not desk.faults:
                desk.send(wave)
    waiting = tuple(sorted(desk.left)) if not (desk.halted or desk.faults) else ()
    return SendReport({name: _outcome(ledger, name) for name in names}, desk.faults, desk.halted, waiting)


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


def _outcome(ledger: Ledger, name: str) -> Outcome:
    events = [event for event in order_events(ledger, name) if event.body.get("by") != FOLLOWING]
    sent = [str(event.body["at"]) for event in events if event.body["state"] == OrderState.SENDING.value]
    ids = [str(event.body["broker_order_id"]) for event in events if event.body.get("broker_order_id")]
    return Outcome(
        state=state_of(events),
        broker_order_id=ids[-1] if ids else "",
        reason=str(events[-1].body.get("reason", "")) if events else "",
        submitted_at=dt.datetime.fromisoformat(sent[-1]) if sent else None,
    )
