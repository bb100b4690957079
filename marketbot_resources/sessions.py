"""The life of a session in the ledger: the book opens, a cutoff is recorded, a batch is frozen, an end state is written.

Kinds: book_open, session_cutoff, run_failed, batch_frozen, order_intent, order_event, session_end. Nothing here decides;
it only says what the ledger says, and refuses a session whose predecessor is still open.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from marketbot_resources.broker.fencing import single_flight
from marketbot_resources.broker.order_states import IN_DOUBT, check_move
from marketbot_resources.broker.settling import NEVER_ARRIVED, asked, is_over
from marketbot_resources.calendars import computed_cutoff, decide_at, decision_sessions, previous_session
from marketbot_resources.clock import Clock, machine_now
from marketbot_resources.errors import Equivocation, HaltError, LedgerError, SessionRefused, StaleToken
from marketbot_resources.ledger.port import Ledger, stale
from marketbot_resources.ledger.record import SENDING_FENCE, Entry, Fence, Json
from marketbot_resources.mandate import Calendar, Schedule
from marketbot_resources.model import TERMINAL_STATES, BrokerPort, Order, OrderState, order_from_record, utc_text
from marketbot_resources.order_slices import CLOSE_LEG
from marketbot_resources.redaction import redactor

END_STATES = ("sent", "rejected", "halted", "skipped")
CASH, WARM_UP = "cash", "warm_up"
BATCHES_SETTLED = 3


@dataclass(frozen=True, slots=True)
class BookOpen:
    """The first session of a home, the instant up to which bootstrap assets load, and how the book starts.

    `opening`: CASH, or WARM_UP: with what the decision makes of the sessions since go-live.
    """

    session: dt.date
    history_until: dt.datetime
    opening: str


@dataclass(frozen=True, slots=True)
class EndState:
    """How a session ended: one of END_STATES, or `failed` while no end is recorded, with its reason."""

    session: dt.date
    state: str
    reason: str


def book_open(ledger: Ledger) -> BookOpen | None:
    """The home's first session, or None before there is one."""
    entry = ledger.get("book_open", "book")
    if entry is None:
        return None
    body = entry.body
    return BookOpen(
        dt.date.fromisoformat(str(body["session"])), _instant(body["history_until_at"]), str(body["opening"])
    )


def open_book(
    ledger: Ledger, session: dt.date, calendar: Calendar, schedule: Schedule, opening: str = CASH
) -> BookOpen:
    """Opens the book with this session, or returns how it was opened. Raises SessionRefused for an earlier session."""
    opened = book_open(ledger)
    if opened is None:
        until = computed_cutoff(schedule, previous_session(calendar, session))
        body: dict[str, Json] = {
            "session": session.isoformat(),
            "history_until_at": utc_text(until),
            "opening": opening,
        }
        ledger.append("book_open", "book", body)
        return BookOpen(session, until, opening)
    if session < opened.session:
        raise SessionRefused(
            f"session {session}: this home's book opens with {opened.session}; choose that session or a later one"
        )
    return opened


def check_in_time(ledger: Ledger | None, clock: Clock, schedule: Schedule, session: dt.date) -> None:
    """On the live clock a session begins between its `decide_at` and its deadline; one that has its cutoff has begun.

    So an evening has one session, however often somebody starts one. Raises SessionRefused.
    """
    if not clock.live or (ledger is not None and cutoff_of(ledger, session) is not None):
        return
    now, begins, deadline = clock.now(session), decide_at(schedule, session), computed_cutoff(schedule, session)
    if begins <= now <= deadline:
        return
    late = "it cannot be decided any more" if now > deadline else "start it then"
    raise SessionRefused(
        f"session {session}: expected its start from {utc_text(begins)} to {utc_text(deadline)}, "
        f"found {utc_text(now)} on the live clock; {late}"
    )


def cutoff_of(ledger: Ledger, session: dt.date) -> dt.datetime | None:
    """The recorded cutoff of a session."""
    entry = ledger.get("session_cutoff", session.isoformat())
    return None if entry is None else _instant(entry.body["cutoff_at"])


def last_cutoff_before(ledger: Ledger, session: dt.date) -> dt.datetime:
    """The last recorded cutoff before a session; for the first session the end of its bootstrap."""
    earlier = [entry for entry in ledger.entries("session_cutoff") if entry.key < session.isoformat()]
    if earlier:
        return _instant(max(earlier, key=lambda entry: entry.key).body["cutoff_at"])
    opened = book_open(ledger)
    if opened is None:
        raise SessionRefused(
            f"session {session}: the book of this home is not open yet; run job `daily` or `marketbot run`"
        )
    return opened.history_until


def recorded_cutoffs(ledger: Ledger) -> list[tuple[int, dt.datetime]]:
    """(number in the ledger, instant) of every recorded cutoff, in order of recording."""
    return [(entry.seq, _instant(entry.body["cutoff_at"])) for entry in ledger.entries("session_cutoff")]


def is_skipped(ledger: Ledger, session: str) -> bool:
    """Whether a session (ISO date) is recorded as skipped: nothing that it stored is part of the book."""
    entry = ledger.get("session_end", session)
    return entry is not None and entry.body["state"] == "skipped"


def decided_before(ledger: Ledger, session: dt.date) -> Entry | None:
    """The cutoff entry of the newest earlier session that was not skipped: where the book stands before this session."""
    earlier = [entry for entry in ledger.entries("session_cutoff") if entry.key < session.isoformat()]
    newest_first = sorted(earlier, key=lambda entry: entry.key, reverse=True)
    return next((entry for entry in newest_first if not is_skipped(ledger, entry.key)), None)


def book_cutoff_before(ledger: Ledger, session: dt.date) -> dt.datetime:
    """The instant from which this session's fills and corporate actions count, so that a skipped session leaves no hole.

    Raises SessionRefused when the book is not open.
    """
    entry = decided_before(ledger, session)
    if entry is not None:
        return _instant(entry.body["cutoff_at"])
    opened = book_open(ledger)
    if opened is None:
        raise SessionRefused(f"session {session}: the book of this home is not open yet; run `marketbot run`")
    return opened.history_until


def record_cutoff(ledger: Ledger, session: dt.date, at: dt.datetime) -> dt.datetime:
    """Records the cutoff once; a second call returns the first one's instant."""
    known = cutoff_of(ledger, session)
    if known is None:
        ledger.append(
            "session_cutoff", session.isoformat(), {"session": session.isoformat(), "cutoff_at": utc_text(at)}
        )
        return at
    return known


def end_state(ledger: Ledger, session: dt.date) -> EndState | None:
    """The recorded end, else the first failure of the newest run of that session that failed, else None."""
    entry = ledger.get("session_end", session.isoformat())
    if entry is not None:
        return EndState(session, str(entry.body["state"]), str(entry.body["reason"]))
    first = first_failure(ledger.entries("run_failed", session.isoformat() + "/"))
    return EndState(session, "failed", str(first.body["reason"])) if first is not None else None


def first_failure(failures: Sequence[Entry]) -> Entry | None:
    """The first failed step of the newest run among these: what fails after it often fails because of it."""
    runs = [entry.key.split("/")[:2] for entry in failures]
    return next((entry for entry, run in zip(failures, runs, strict=True) if run == runs[-1]), None)


def record_end(ledger: Ledger, session: dt.date, state: str, reason: str, facts: dict[str, Json] | None = None) -> None:
    """Writes the end state of a session once."""
    assert state in END_STATES, state
    ledger.append("session_end", session.isoformat(), {"state": state, "reason": reason, **(facts or {})})


def record_failure(ledger: Ledger, session: dt.date, run_id: str, step: str, reason: str) -> None:
    """Notes that a run of a session ended before its orders, at which step and why."""
    body: dict[str, Json] = {"step": step, "reason": f"run ended at {step}: {redactor().text(reason)}"[:2000]}
    ledger.append("run_failed", f"{session.isoformat()}/{run_id}/{step}", body)


def frozen_batch(ledger: Ledger, account: str, session: dt.date, batch_no: int = 1) -> Entry | None:
    """The frozen batch of a session."""
    return ledger.get("batch_frozen", f"{account}/{session.isoformat()}/{batch_no}")


def order_state(ledger: Ledger, client_order_id: str) -> OrderState | None:
    """The newest state of an order; None before its intent is recorded."""
    events = order_events(ledger, client_order_id)
    if events:
        return state_of(events)
    return OrderState.APPROVED if ledger.get("order_intent", client_order_id) else None


def order_events(ledger: Ledger, client_order_id: str) -> list[Entry]:
    """The recorded states of an order, oldest first."""
    return ledger.entries("order_event", client_order_id + "/")


def state_of(events: Sequence[Entry]) -> OrderState:
    """The state after these events of an order."""
    return OrderState(str(events[-1].body["state"])) if events else OrderState.APPROVED


def record_event(
    ledger: Ledger, client_order_id: str, state: OrderState, facts: dict[str, Json], fence: Fence | None = None
) -> None:
    """Appends the next state of an order. Raises HaltError when it may not follow the newest one (`broker.order_states`).

    The event's number is compared and swapped: of two that would write it one gets it, the other a LedgerError. A sender has a
    `fence`: StaleToken when another run has taken over.
    """
    if fence is not None:
        check_newest(ledger, fence)  # said before anything else is; what counts is the transaction's own look
    events = order_events(ledger, client_order_id)
    check_move(client_order_id, state_of(events), state)
    key = f"{client_order_id}/{len(events) + 1}"
    taken = f"order {client_order_id}: expected to record {state} as {key}, found it recorded; another run is at it"
    try:
        added = ledger.append("order_event", key, {"state": state.value, **facts}, fence).added
    except Equivocation as error:
        raise LedgerError(taken) from error
    if not added:
        raise LedgerError(taken)


def check_newest(ledger: Ledger, fence: Fence) -> None:
    """Raises StaleToken when another run has taken over."""
    if ledger.get(SENDING_FENCE, fence.next_key) is not None:
        raise StaleToken(stale(fence))


def close_predecessors(
    ledger: Ledger,
    broker: BrokerPort | None,
    clock: Clock,
    calendar: Calendar,
    schedule: Schedule,
    session: dt.date,
    account: str,
    machine_now: Callable[[], dt.datetime] = machine_now,
) -> None:
    """Gives every earlier session of the book an end state, and their orders in doubt an end or the broker's word.

    Raises SessionRefused or HaltError when one cannot have it: AlreadySending while its orders are being sent.
    """
    opened = book_open(ledger)
    if opened is None or session <= opened.session:
        return
    for batch in _batches_before(ledger, account, session):
        settle_batch(ledger, broker, batch, account, clock.now(session), machine_now)
    for day in decision_sessions(calendar, opened.session, session - dt.timedelta(days=1)):
        if ledger.get("session_end", day.isoformat()) is None:
            _close(ledger, clock, schedule, day, session, account)


def _batches_before(ledger: Ledger, account: str, session: dt.date) -> list[Entry]:
    """The newest batches of earlier sessions: every session settles those before it, so older ones have no order in doubt."""
    found = [e for e in ledger.entries("batch_frozen", f"{account}/") if e.key.split("/")[-2] < session.isoformat()]
    return found[-BATCHES_SETTLED:]


def _close(ledger: Ledger, clock: Clock, schedule: Schedule, day: dt.date, session: dt.date, account: str) -> None:
    batch = frozen_batch(ledger, account, day)
    if batch is not None:
        record_end(ledger, day, *_end_of_batch(ledger, batch))
    elif cutoff_of(ledger, day) is not None:
        known = end_state(ledger, day)
        record_end(ledger, day, "skipped", known.reason if known else "run ended before a batch was frozen")
    elif clock.live and clock.now(session) > decide_at(schedule, day) + dt.timedelta(
        minutes=schedule.landing_minutes_max
    ):
        record_end(ledger, day, "skipped", "never started; its deadline has passed")
    else:
        raise SessionRefused(
            f"session {session}: session {day} has not been run; run it first: marketbot run --session {day}"
        )


def _end_of_batch(ledger: Ledger, batch: Entry) -> tuple[str, str, dict[str, Json]]:
    """How a session ended whose run died after its batch was frozen, with counts; what was not sent is never sent.

    `sent` says that orders were handed over, not that the broker took them, as where the run itself ends the session: on the
    broker's word alone nothing that was handed over counts as not decided, or a rebalance would be made up for and bought twice.
    """
    verdict = str(batch.body["verdict"])
    orders = batch.body["orders"]
    assert isinstance(orders, list)
    if verdict != "APPROVED":
        return ("rejected" if verdict == "REJECTED" else "halted"), str(batch.body["why"]), {}
    events = [order_events(ledger, str(order["client_order_id"])) for order in orders]
    unsent = sum(state_of(told) is OrderState.APPROVED for told in events)
    lost = sum(_never_arrived(told) for told in events)
    if orders and unsent == len(orders):
        return "skipped", f"run ended before sending; none of {len(orders)} orders was sent", {}
    counts = {"orders": len(orders), "never_sent": unsent, "never_arrived": lost}
    reached = len(orders) - unsent - lost
    told = f"{unsent} of {len(orders)} orders were never sent, {lost} never arrived, {reached} reached the broker"
    return "sent", f"run ended while sending; {told}", {**counts}


def _never_arrived(events: Sequence[Entry]) -> bool:
    return state_of(events) is OrderState.EXPIRED and str(events[-1].body["reason"]).startswith(NEVER_ARRIVED)


def settle_batch(
    ledger: Ledger,
    broker: BrokerPort | None,
    batch: Entry,
    account: str,
    now: dt.datetime,
    machine_now: Callable[[], dt.datetime],
) -> None:
    """Settles what is in doubt of an earlier session's batch, as its only sender: nothing of it is sent after this.

    An order that the broker knows gets its state there; one that it does not know never arrived, once window and lateness have
    passed. Raises HaltError when the broker cannot be asked, speaks of another order that is still open, or it is too early.
    """
    orders = batch.body["orders"]
    assert isinstance(orders, Sequence)
    names = [str(order["client_order_id"]) for order in orders if isinstance(order, Mapping)]
    states = {name: state_of(order_events(ledger, name)) for name in names}
    day, number = batch.key.split("/")[-2:]
    left = OrderState.APPROVED in states.values() and ledger.get("session_end", day) is None
    if not left and not IN_DOUBT & set(states.values()):
        return
    with single_flight(
        ledger, account, dt.date.fromisoformat(day), machine_now=machine_now, batch_no=int(number)
    ) as fence:
        for name in names:
            if state_of(order_events(ledger, name)) in IN_DOUBT:
                _settle(ledger, broker, name, fence, now)


def _settle(ledger: Ledger, broker: BrokerPort | None, name: str, fence: Fence, now: dt.datetime) -> None:
    intent = ledger.get("order_intent", name)
    if broker is None or intent is None:
        raise HaltError(f"order {name}: sent without an answer; expected its intent and a broker to ask, found none")
    order = as_sent(ledger, order_from_record(intent.body))
    view = asked(broker, order)
    state, broker_order_id, reason = OrderState.EXPIRED, "", f"{NEVER_ARRIVED}: the broker does not know the order"
    if view.answer is not None:
        state, broker_order_id, reason = view.answer.state, view.answer.broker_order_id, view.answer.reason
    elif view.mismatch is not None and view.mismatch.client_order_id == name and view.mismatch.state in TERMINAL_STATES:
        state, broker_order_id = view.mismatch.state, view.mismatch.broker_order_id
        reason = f"another order has this id at the broker, which {view.why}"
    elif not view.absent:
        raise HaltError(f"order {name}: the broker was asked for it and {view.why}; compare with its statement first")
    elif not is_over(order, last_attempt(ledger, name), broker.capabilities.lateness_max, now):
        raise HaltError(
            f"order {name}: sent without an answer; the broker does not know it, but may accept it until its window and "
            f"{broker.capabilities.lateness_max} after the attempt are over; run again then"
        )
    facts: dict[str, Json] = {"broker_order_id": broker_order_id, "reason": reason, "at": utc_text(now)}
    record_event(ledger, name, state, {**facts, "fence": fence.number}, fence)


def last_attempt(ledger: Ledger, client_order_id: str) -> dt.datetime:
    """When an order in doubt was last handed to the broker, by the clock of sending."""
    sent = [e for e in order_events(ledger, client_order_id) if e.body["state"] == OrderState.SENDING.value]
    return _instant(sent[-1].body["at"])


def as_sent(ledger: Ledger, order: Order) -> Order:
    """The order with the quantity of its last attempt: what takes the rest of slices goes out for less than was frozen."""
    if order.leg != CLOSE_LEG:
        return order
    bodies = [e.body for e in order_events(ledger, order.client_order_id)]
    sent = [body["quantity"] for body in bodies if "quantity" in body]
    return replace(order, quantity=Decimal(str(sent[-1]))) if sent else order


def _instant(value: Json) -> dt.datetime:
    return dt.datetime.fromisoformat(str(value))
