"""What the controls after trading and on the platform know, from the reader and the ledger. Used by `risk_verdict` alone.

Of the ledger only what was recorded before this session's batch was frozen counts, so that a replay sees what the decision saw.
Not here: any arithmetic (`risk.operation_build`), the other facts of a decision (`session_facts`).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from marketbot_assets.rebuild import PLANS_WATCHED
from marketbot_assets.session_facts import OPENING, held_before, open_orders
from marketbot_resources.alerts import FAILED, HEARTBEAT, SENT
from marketbot_resources.alerts import KIND as KIND_ALERT
from marketbot_resources.calendars import decision_sessions
from marketbot_resources.delivery_plan import pending
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Entry
from marketbot_resources.live_permission import KIND, LIVE, not_recorded
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import PAPER, Order, OrderState, order_from_record
from marketbot_resources.sessions import decided_before, frozen_batch
from marketbot_resources.store.reader import Reader

if TYPE_CHECKING:
    from marketbot_assets.risk.operation_build import Sources, Traded
    from marketbot_assets.risk.operation_facts import OperationFacts

OPERATION_DEPS = (
    *("mandate", "account_snapshot", "fills", "positions", "reconciliation", "features", "return_model", "order_plan"),
    *("prices", "price_history", "corporate_actions", "corporate_action_history", OPENING, "llm_answers"),
)
DRIFT_SESSIONS = 10
ALERT_SESSIONS = 3
FINISHED = ("sent", "rejected", "halted")


def operation_facts(read: Reader, ledger: Ledger) -> "OperationFacts":
    """The facts of the session."""
    from marketbot_assets.insight.return_model import spec_sha256
    from marketbot_assets.risk.operation_build import operation_facts as build

    mandate = read.mandate()
    return build(sources(read, ledger, mandate), traded(read, ledger, mandate), mandate, spec_sha256(mandate))


def traded(read: Reader, ledger: Ledger, mandate: Mandate) -> "Traded":
    """Fills of the last sessions with the orders that led to them and what the plans expected of them."""
    from marketbot_assets.book.fills import executions_of
    from marketbot_assets.risk.operation_build import Traded, bars_of, splits_of

    fills = executions_of(read.read("fills"))
    # What a skipped session was told is told again.
    told = [fill for _, frame in read.each("fills", PLANS_WATCHED) for fill in executions_of(frame)]
    recent = {fill.execution_id: fill for fill in told}
    asked = {fill.client_order_id for fill in told}
    asked |= {order.client_order_id for order in open_orders(read.read("account_snapshot"))}
    expected: dict[str, float] = {}
    for _, plan in read.each("order_plan", PLANS_WATCHED, with_session=False):
        expected |= dict(zip(plan["client_order_id"], map(float, plan["cost_bps"]), strict=True))
    orders, closed = recorded_orders(ledger, asked), mandate.calendar.closed
    return Traded(
        fills=fills,
        recent=tuple(recent.values()),
        orders=orders,
        expected_bps=expected,
        splits=splits_of(read.as_of("corporate_actions")),
        bars=bars_of(read.as_of("prices"), fills, orders, closed),
        closed=closed,
    )


def recorded_orders(ledger: Ledger, names: Iterable[str]) -> dict[str, Order]:
    """The orders whose intent the ledger holds."""
    found = {name: ledger.get("order_intent", name) for name in sorted(names)}
    return {name: order_from_record(entry.body) for name, entry in found.items() if entry is not None}


def sources(read: Reader, ledger: Ledger, mandate: Mandate) -> "Sources":
    """Everything else that the facts are made of."""
    from marketbot_assets.book.frames import last_rates_of
    from marketbot_assets.insight.lead import lead_of
    from marketbot_assets.insight.return_model import from_frame
    from marketbot_assets.insight.view_weight import counted
    from marketbot_assets.risk.breaches import breaches_of
    from marketbot_assets.risk.feature_drift import section_of
    from marketbot_assets.risk.operation_build import Sources
    from marketbot_assets.risk.verdict_frame import trades_of

    snapshot, before = read.read("account_snapshot"), read.previous("risk_verdict")
    broker = snapshot[snapshot["kind"] == "BROKER"]
    models, positions = read.read("return_model"), read.read("positions")
    model, lead = from_frame(models), lead_of(models)
    others, silence = flight(read, ledger, mandate)
    return Sources(
        session=read.session,
        cutoff=read.cutoff,
        environment=str(broker["text"].iloc[0]) if len(broker) == 1 else "",
        broker_at=broker["at"].iloc[0].to_pydatetime() if len(broker) == 1 else None,
        before=held_before(read),
        positions=positions,
        rates={mandate.base_currency: 1.0, **last_rates_of(positions)},
        reconciliation=read.read("reconciliation"),
        open_orders=open_orders(snapshot),
        breaches=() if before is None else breaches_of(before),
        trades=() if before is None else trades_of(before),
        operator=bool((snapshot["kind"] == "OPERATOR").any()),
        other_sessions=others,
        heartbeat_sessions=silence,
        answers=answers(read, ledger, mandate),
        model_spec=model.spec_sha256,
        model_scores=model.scores,
        features=section_of(read.read("features")),
        past_features=[section_of(frame) for _, frame in read.each("features", DRIFT_SESSIONS, with_session=False)],
        permitted_environment=permitted(read, ledger, mandate),
        llm=(0, 0) if mandate.llm is None else counted(read.read("llm_answers")),
        alerts_unheard=alerts_unheard(read, ledger, mandate),
        beats_unheard=beats_unheard(read, ledger, mandate),
        model_state=model_state(read, ledger, mandate, model.spec_sha256),
        lead=lead,
        champion_state=model_state(read, ledger, mandate, "" if lead is None else lead.spec),
    )


def model_state(read: Reader, ledger: Ledger, mandate: Mandate, spec_sha256: str) -> str:
    """Where the registry had a specification before the batch was frozen (RC-88)."""
    from marketbot_assets.model_registry import KIND, RETURN_MODEL, state_of
    from marketbot_assets.risk.operation_facts import UNREGISTERED

    entries = _before_freezing(read, ledger, mandate, ledger.entries(KIND, f"{RETURN_MODEL}/"))
    return state_of(entries, spec_sha256) or UNREGISTERED


def alerts_unheard(read: Reader, ledger: Ledger, mandate: Mandate) -> tuple[str, ...]:
    """Keys of the newest sessions' alerts that no channel had acknowledged when this session's cutoff was recorded (RC-92).

    The notifier writes beside the run: what came after the cutoff is no fact of this decision, so that a replay sees the same.
    """
    if mandate.notification is None:
        return ()
    cutoffs = sorted(entry.seq for entry in ledger.entries("session_cutoff") if entry.key < read.part)
    first = cutoffs[-ALERT_SESSIONS] if len(cutoffs) >= ALERT_SESSIONS else 0
    entries = _before_cutoff(read, ledger, [e for kind in (KIND_ALERT, SENT, FAILED) for e in ledger.entries(kind)])
    recent = [e for e in entries if e.kind != KIND_ALERT or (e.seq >= first and e.body["session"] != read.part)]
    return tuple(sorted(one.alert.key for one in pending(recent, mandate.notification)))


def beats_unheard(read: Reader, ledger: Ledger, mandate: Mandate) -> tuple[str, ...]:
    """The newest session that ended before the cutoff, if the watcher was told of its end and never took it."""
    if mandate.notification is None or mandate.notification.heartbeat is None:
        return ()
    ends = _before_cutoff(read, ledger, ledger.entries("session_end"))
    if not ends:
        return ()
    beats = _before_cutoff(read, ledger, ledger.entries(HEARTBEAT, f"{ends[-1].key}/"))
    heard = any(one.body.get("acknowledged") is True for one in beats)
    return (ends[-1].key,) if beats and not heard else ()


def _before_cutoff(read: Reader, ledger: Ledger, entries: Sequence[Entry]) -> list[Entry]:
    own = ledger.get("session_cutoff", read.part)
    return sorted((e for e in entries if own is None or e.seq < own.seq), key=lambda entry: entry.seq)


def permitted(read: Reader, ledger: Ledger, mandate: Mandate) -> str:
    """Whose money may be moved, by the mandate and the records before the batch was frozen, at the cutoff (RC-82).

    Signature and the machine's own setting are the last-line gate's part, which is asked later and is no evidence of a decision.
    """
    entries = _before_freezing(read, ledger, mandate, ledger.entries(KIND))
    return PAPER if not_recorded(entries, mandate, read.session, read.cutoff) else LIVE


def flight(read: Reader, ledger: Ledger, mandate: Mandate) -> tuple[tuple[str, ...], int]:
    """(other sessions of the book that are begun and not ended, decision sessions since the newest that ended; 0: none did).

    A session after this one that is begun counts, too: this run is late.
    """
    begun = {entry.key for entry in _before_freezing(read, ledger, mandate, ledger.entries("session_cutoff"))}
    ends = _before_freezing(read, ledger, mandate, ledger.entries("session_end"))
    ended = {entry.key for entry in ends}
    late = {key for key in begun if key > read.part}
    others = sorted((begun - ended - {read.part}) | late)
    past = [entry.key for entry in ends if entry.key < read.part and entry.body["state"] in FINISHED]
    if not past:
        return tuple(others), 0
    first = max(past)
    days = decision_sessions(mandate.calendar, read.session.fromisoformat(first), read.session)
    return tuple(others), len(days) - 1


def _before_freezing(read: Reader, ledger: Ledger, mandate: Mandate, entries: Sequence[Entry]) -> list[Entry]:
    frozen = frozen_batch(ledger, mandate.account.id, read.session)
    return [entry for entry in entries if frozen is None or entry.seq < frozen.seq]


def answers(read: Reader, ledger: Ledger, mandate: Mandate) -> list[bool]:
    """Whether the broker refused each order that the decided session before sent, in the order of sending."""
    decided = decided_before(ledger, read.session)
    batch = (
        None if decided is None else frozen_batch(ledger, mandate.account.id, read.session.fromisoformat(decided.key))
    )
    if batch is None:
        return []
    orders = batch.body["orders"]
    assert isinstance(orders, list)
    found = []
    for order in orders:
        assert isinstance(order, Mapping)
        events = ledger.entries("order_event", f"{order['client_order_id']}/")
        sent = [event.seq for event in events if event.body["state"] == OrderState.SENDING.value]
        said = [OrderState(str(event.body["state"])) for event in events]
        if sent:
            known = [state for state in said if state not in (OrderState.SENDING, OrderState.UNKNOWN)]
            found.append((sent[0], bool(known) and known[0] is OrderState.REJECTED))
    return [refused for _, refused in sorted(found)]
