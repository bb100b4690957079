"""Orders after they were sent, until every one of them has ended: states, fills, and what nobody sent (RC-66, RC-69).

Runs at the end of `submissions`, at the start of every run, in job `order_following` and in `marketbot reconcile`. It only asks and
writes down; it sends and cancels nothing. What no order of ours explains sets the halt flag where no verdict follows.
Not here: what was heard of fills (`hearing`), the comparison of the books (`book.reconciliation`).
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from marketbot_resources.broker.desk import FOLLOWING
from marketbot_resources.broker.hearing import fills_heard, hear, hear_since
from marketbot_resources.broker.order_states import IN_DOUBT
from marketbot_resources.calendars import close_at, next_open, session_at
from marketbot_resources.closures import NO_CLOSURES, Closed
from marketbot_resources.errors import BrokerError, HaltError
from marketbot_resources.halt import OFF, HaltSwitch
from marketbot_resources.heard import Working
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Entry, Json
from marketbot_resources.model import (
    TERMINAL_STATES,
    AccountReport,
    Acknowledgement,
    BrokerPort,
    Execution,
    HaltLevel,
    Kind,
    Order,
    OrderState,
    order_from_record,
    plain,
    utc_text,
)
from marketbot_resources.order_slices import CLOSE_LEG, beyond_parents
from marketbot_resources.redaction import redactor
from marketbot_resources.sessions import as_sent, order_events, order_state, record_event

BATCHES_WATCHED, BATCHES_WAITED = 3, 15
END_GRACE = dt.timedelta(minutes=15)
FINAL, INCIDENT, STRAY = "order_final", "order_incident", "order_stray"
WEAKER = frozenset({OFF, HaltLevel.NO_NEW_RUNS.value, HaltLevel.REDUCE_ONLY.value})
SHOWN = 3
_REASON_LENGTH_MAX = 500
_PROGRESS = (OrderState.ACKED, OrderState.PARTIAL)
WINDOWS_KEPT = 64
_LAST_WINDOWS: dict[str, dt.date] = {}


@dataclass(frozen=True, slots=True)
class Followed:
    """What one look at the broker found. `changed`: new state per order; `working`: not ended yet, by id.

    `in_doubt`: sent without a usable answer; `fills`: new execution ids; `strays`: what no order of ours explains, as sentences;
    `overdue`: open although their session is over; `report`: the account as it was told, with days that overlap.
    """

    changed: Mapping[str, OrderState]
    working: tuple[Working, ...]
    in_doubt: tuple[str, ...]
    fills: tuple[str, ...]
    strays: tuple[str, ...]
    overdue: tuple[str, ...]
    report: AccountReport
    since: dt.datetime


def follow(
    ledger: Ledger,
    broker: BrokerPort,
    account: str,
    at: dt.datetime,
    *,
    halt: HaltSwitch | None = None,
    closed: Closed = NO_CLOSURES,
) -> Followed:
    """Asks for the account, then for every order that has not ended; records what is new, once, however often it is called.

    The account comes first: the paper broker's time passes while it is asked for.
    `halt`: where strays set the flag; None where the verdict of the same run judges them. Raises BrokerError when the broker
    cannot be asked, HaltError when it tells a known execution differently.
    """
    since = hear_since(ledger)
    if since is None:
        raise BrokerError("the book of this home is not open yet: there is nothing to follow")
    orders = watched(ledger, account)
    report = broker.report(since, at)
    changed = _ask(ledger, broker, orders, at)
    if any(changed.get(each.client_order_id) in TERMINAL_STATES for each in report.open_orders):
        report = broker.report(since, at)  # an order ended between the two questions
    new = hear(ledger, report, since)
    fills = fills_heard(ledger, since, at)
    working = _working(ledger, orders, fills)
    strays = {**_stray_fills(ledger, orders, fills, report), **_stray_orders(ledger, orders, report)}
    overdue = _overdue(ledger, working, at, closed)
    _tell(ledger, halt, strays, at)
    return Followed(
        changed=changed,
        working=working,
        in_doubt=tuple(one.order.client_order_id for one in working if one.state in IN_DOUBT),
        fills=new,
        strays=tuple(strays[key] for key in sorted(strays)),
        overdue=overdue,
        report=report,
        since=since,
    )


def follow_sent(
    ledger: Ledger, broker: BrokerPort, account: str, at: dt.datetime, halt: HaltSwitch, *, closed: Closed = NO_CLOSURES
) -> str:
    """Follows right after sending; why it could not, or empty. Never undoes a sending that is done.

    A broker that cannot be asked now is asked by the next look; one that contradicts itself halts.
    """
    try:
        follow(ledger, broker, account, at, halt=halt, closed=closed)
    except BrokerError as error:
        return redactor().text(str(error))
    except HaltError as error:
        if halt.read().word in WEAKER:
            halt.set(str(error))
        return redactor().text(str(error))
    return ""


def watched(ledger: Ledger, account: str) -> dict[str, Order]:
    """The orders of the newest batches, by id, each as its intent says, with the quantity that was sent.

    Of the batches before them those that wait for an exchange that is closed for longer: their window ends with the newest batch's
    session or later (Tokyo was closed for ten days in spring 2019).
    """
    batches = ledger.entries("batch_frozen", f"{account}/")[-BATCHES_WAITED:]
    found = {name: order for batch in batches[-BATCHES_WATCHED:] for name, order in _intended(ledger, batch)}
    if len(batches) > BATCHES_WATCHED:
        newest = dt.date.fromisoformat(batches[-1].key.split("/")[-2])
        waiting = [batch for batch in batches[:-BATCHES_WATCHED] if _last_window(ledger, batch) >= newest]
        older = (pair for batch in waiting for pair in _intended(ledger, batch))
        found |= {name: order for name, order in older if order.send_until.date() >= newest}
    return {name: as_sent(ledger, found[name]) for name in sorted(found)}


def _last_window(ledger: Ledger, batch: Entry) -> dt.date:
    """The day on which the last window of a batch ends; kept by its hash, which stands for all of its orders."""
    digest = str(batch.body["batch_sha256"])
    if digest not in _LAST_WINDOWS:
        if len(_LAST_WINDOWS) >= WINDOWS_KEPT:
            _LAST_WINDOWS.clear()
        ends = (order.send_until.date() for _, order in _intended(ledger, batch))
        _LAST_WINDOWS[digest] = max(ends, default=dt.date.min)
    return _LAST_WINDOWS[digest]


def _intended(ledger: Ledger, batch: Entry) -> Iterator[tuple[str, Order]]:
    """(id, intent) of the orders of a frozen batch that have one."""
    orders = batch.body["orders"]
    assert isinstance(orders, Sequence)
    for told in orders:
        assert isinstance(told, Mapping)
        intent = ledger.get("order_intent", str(told["client_order_id"]))
        if intent is not None:
            yield intent.key, order_from_record(intent.body)


def has_open_orders(ledger: Ledger, account: str) -> bool:
    """Whether an order of the newest batches was sent and has not ended; asks nobody."""
    states = (order_state(ledger, name) for name in watched(ledger, account))
    return any(state not in TERMINAL_STATES | {OrderState.APPROVED, None} for state in states)


def quiet_since(ledger: Ledger, account: str) -> dt.datetime | None:
    """When the newest batches' orders last changed; None while one of them is in doubt, or where that is not known."""
    told = [order_events(ledger, name) for name in watched(ledger, account)]
    events = [events[-1] for events in told if events]
    if not events or any(OrderState(str(event.body["state"])) in IN_DOUBT for event in events):
        return None
    if not all(event.body.get("at") for event in events):
        return None
    return max(dt.datetime.fromisoformat(str(event.body["at"])) for event in events)


def _ask(ledger: Ledger, broker: BrokerPort, orders: Mapping[str, Order], at: dt.datetime) -> dict[str, OrderState]:
    changed = {}
    for name in orders:
        state = order_state(ledger, name)
        if state in (None, OrderState.APPROVED) or ledger.get(FINAL, name) is not None:
            continue
        answer = broker.find(name)
        if answer is None or answer.client_order_id != name:
            continue
        if _is_progress(state, answer.state):
            _record(ledger, name, state, answer, at)
            changed[name] = answer.state
        if answer.state in TERMINAL_STATES and order_state(ledger, name) in TERMINAL_STATES:
            ledger.append(FINAL, name, {"state": answer.state.value, "reason": _told(answer)})
    return changed


def _is_progress(state: OrderState | None, answer: OrderState) -> bool:
    """Whether an answer moves an order on: never out of an end, never back, never into a doubt."""
    if state is None or state in TERMINAL_STATES or answer in IN_DOUBT or answer is OrderState.APPROVED:
        return False
    if state is OrderState.PARTIAL and answer is OrderState.REJECTED:
        return False  # what was filled in part was not refused
    if state in IN_DOUBT or answer in TERMINAL_STATES:
        return True
    return _PROGRESS.index(answer) > _PROGRESS.index(state)


def _record(ledger: Ledger, name: str, state: OrderState | None, answer: Acknowledgement, at: dt.datetime) -> None:
    """What follows on the broker's first answer is marked: it says nothing of the sending."""
    facts: dict[str, Json] = {"broker_order_id": answer.broker_order_id, "reason": _told(answer), "at": utc_text(at)}
    record_event(ledger, name, answer.state, facts if state in IN_DOUBT else {**facts, "by": FOLLOWING})


def _told(answer: Acknowledgement) -> str:
    return redactor().text(answer.reason)[:_REASON_LENGTH_MAX]


def _working(ledger: Ledger, orders: Mapping[str, Order], fills: Sequence[Execution]) -> tuple[Working, ...]:
    filled = _filled(fills)
    found = []
    for name, order in orders.items():
        state = order_state(ledger, name)
        if state is not None and state not in TERMINAL_STATES and state is not OrderState.APPROVED:
            found.append(Working(order, state, order.quantity - filled.get(name, Decimal(0))))
    return tuple(found)


def _filled(fills: Sequence[Execution]) -> dict[str, Decimal]:
    total: dict[str, Decimal] = {}
    for fill in fills:
        total[fill.client_order_id] = total.get(fill.client_order_id, Decimal(0)) + fill.quantity
    return total


def _stray_fills(
    ledger: Ledger, orders: Mapping[str, Order], fills: Sequence[Execution], report: AccountReport
) -> dict[str, str]:
    """Fills of orders that are not ours or are other orders, more than was ordered, executions taken back; by what they are."""
    found, known = {}, dict(orders)
    for fill in fills:
        name, key = fill.client_order_id, f"execution/{fill.execution_id}"
        intent = None if name in known else ledger.get("order_intent", name)
        if intent is not None:
            known[name] = order_from_record(intent.body)
        order = known.get(name)
        if order is None:
            found[key] = f"execution {fill.execution_id} of {name or 'no order'}: no order of ours has this id"
        elif (order.instrument, order.side, order.kind) != (fill.instrument, fill.side, fill.kind):
            found[key] = f"execution {fill.execution_id} of {name}: the order is to {order.side} {order.instrument}"
    split = {event.instrument for event in report.events if event.quantity != 0}  # shares before and after do not add
    for name, quantity in _filled(fills).items():
        order = known.get(name)
        if order is not None and order.instrument not in split and not quantity <= order.quantity:
            found[f"filled/{name}"] = f"order {name}: filled {plain(quantity)} of {plain(order.quantity)}"
    for whole, total in beyond_parents(_frozen(ledger, known), _filled(fills)).values():
        if whole.instrument not in split:
            key, most = f"parent/{whole.client_order_id}", plain(whole.quantity)
            found[key] = f"order {whole.client_order_id}: with its slices filled {plain(total)} of {most}"
    for bust in report.busts:
        found[f"bust/{bust.execution_id}"] = f"execution {bust.execution_id} was taken back: {bust.reason}"
    return found


def _frozen(ledger: Ledger, orders: Mapping[str, Order]) -> dict[str, Order]:
    """The same orders with the quantities of their intents."""
    intents = {name: ledger.get("order_intent", name) for name, order in orders.items() if order.leg == CLOSE_LEG}
    whole = {name: order_from_record(entry.body) for name, entry in intents.items() if entry is not None}
    return {**orders, **whole}


def _stray_orders(ledger: Ledger, orders: Mapping[str, Order], report: AccountReport) -> dict[str, str]:
    """Open orders that nobody of us sent, in names that we hold or order; in other names they cannot move our shares."""
    ours = {order.instrument for order in orders.values()} | set(report.positions)
    found = {}
    for order in report.open_orders:
        name = order.client_order_id
        if ledger.get("order_intent", name) is None and order.instrument in ours:
            found[f"order/{name}"] = (
                f"open order {name} to {order.side} {order.instrument}: no order of ours has this id"
            )
        elif order_state(ledger, name) is OrderState.APPROVED:
            found[f"order/{name}"] = f"open order {name}: it is ours and was never sent"
    return found


def order_ends_at(order: Order, closed: Closed = NO_CLOSURES) -> dt.datetime:
    """Close of the session in which the order trades: the one that is open when its window ends, else the next one."""
    day = session_at(order.mic, order.send_until, closed) or next_open(order.mic, order.send_until, closed)[0]
    return close_at(order.mic, day, closed)


def _overdue(ledger: Ledger, working: Sequence[Working], at: dt.datetime, closed: Closed) -> tuple[str, ...]:
    """Orders that are open although their session is over (RC-69); each leaves one entry in the ledger."""
    late = []
    for one in working:
        order, name = one.order, one.order.client_order_id
        if order.kind is not Kind.EQUITY or at < order_ends_at(order, closed) + END_GRACE:
            continue
        late.append(name)
        if ledger.get(INCIDENT, name) is None:
            reason = f"still {one.state.value} after the close of its session"
            ledger.append(INCIDENT, name, {"reason": reason, "at": utc_text(at)})
    return tuple(late)


def _tell(ledger: Ledger, halt: HaltSwitch | None, strays: Mapping[str, str], at: dt.datetime) -> None:
    """What was not known yet sets the flag, unless a stricter one stands, and leaves an entry; who resumes is not halted again.

    A flag that cannot be read is a stricter one.
    """
    new = [key for key in sorted(strays) if ledger.get(STRAY, key) is None]
    if halt is not None and new and halt.read().word in WEAKER:
        more = f" and {len(new) - SHOWN} more" if len(new) > SHOWN else ""
        halt.set(f"orders: {'; '.join(strays[key] for key in new[:SHOWN])}{more}")
    for key in new:
        ledger.append(STRAY, key, {"what": strays[key], "at": utc_text(at)})
