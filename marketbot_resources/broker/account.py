"""The account at a session's cutoff: earlier sessions closed, the cutoff recorded, what operators did since.

Not here: an adapter of the broker port, what becomes of the report (`account_snapshot`).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from marketbot_resources.clock import Clock
from marketbot_resources.errors import SessionRefused
from marketbot_resources.halt import HaltFlag
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import (
    TERMINAL_STATES,
    AccountReport,
    BrokerPort,
    HaltLevel,
    OrderState,
    QuotedHit,
)
from marketbot_resources.sessions import (
    book_cutoff_before,
    close_predecessors,
    decided_before,
    is_skipped,
    order_state,
    record_cutoff,
)
from marketbot_resources.stop_hits import hits_before

BATCHES_WATCHED = 3
REARMING_ACTION = "resume"


@dataclass(frozen=True, slots=True)
class AccountAtCutoff:
    """The broker's report (None without a broker), the recorded cutoff, what operators did to re-arm and which stops
    quotes broke since the session before.
    """

    report: AccountReport | None
    cutoff_at: dt.datetime
    operator: tuple[str, ...]
    stop_hits: tuple[QuotedHit, ...]


def refuse_new_run(ledger: Ledger, flag: HaltFlag, session: dt.date) -> None:
    """RC-80, level no-new-runs: a session that has no cutoff yet is not begun. Raises SessionRefused."""
    if flag.word == HaltLevel.NO_NEW_RUNS.value and ledger.get("session_cutoff", session.isoformat()) is None:
        raise SessionRefused(
            f"session {session}: halt level {flag.word} ({flag.reason}); no session is begun until `marketbot resume`"
        )


def take_account(
    ledger: Ledger, broker: BrokerPort | None, clock: Clock, mandate: Mandate, session: dt.date
) -> AccountAtCutoff:
    """Closes the sessions before, records the cutoff and asks the broker for the account.

    Raises SessionRefused when an earlier session was never run, HaltError when an order's fate is unknown.
    """
    if is_skipped(ledger, session.isoformat()):
        raise SessionRefused(f"session {session}: it is recorded as skipped and cannot be decided any more")
    close_predecessors(ledger, broker, clock, mandate.calendar, mandate.schedule, session, mandate.account.id)
    cutoff_at = record_cutoff(ledger, session, clock.now(session))
    report = broker.report(book_cutoff_before(ledger, session), cutoff_at) if broker is not None else None
    if broker is not None:
        record_finals(ledger, broker, mandate.account.id, session)
    return AccountAtCutoff(report, cutoff_at, operator_actions(ledger, session), hits_before(ledger, session))


def record_finals(ledger: Ledger, broker: BrokerPort, account: str, session: dt.date) -> None:
    """Writes down how each order of the newest earlier batches ended at the broker (`order_final`), once it has ended."""
    batches = [e for e in ledger.entries("batch_frozen", f"{account}/") if e.key.split("/")[1] < session.isoformat()]
    for batch in batches[-BATCHES_WATCHED:]:
        orders = batch.body["orders"]
        assert isinstance(orders, Sequence)
        for order in orders:
            assert isinstance(order, Mapping)
            name = str(order["client_order_id"])
            if ledger.get("order_final", name) is not None or order_state(ledger, name) is OrderState.APPROVED:
                continue
            answer = broker.find(name)
            if answer is not None and answer.state in TERMINAL_STATES:
                ledger.append("order_final", name, {"state": answer.state.value, "reason": answer.reason})


def operator_actions(ledger: Ledger, session: dt.date) -> tuple[str, ...]:
    """Reasons of operators' re-arming actions between the cutoff of the last decided session and this one's, oldest first.

    A halt re-arms nothing; what came after this session's cutoff is for the next one.
    """
    seen, own = decided_before(ledger, session), ledger.get("session_cutoff", session.isoformat())
    after = -1 if seen is None else seen.seq
    actions = [
        entry
        for entry in ledger.entries("operator_action")
        if entry.seq > after and (own is None or entry.seq < own.seq) and entry.body.get("action") == REARMING_ACTION
    ]
    return tuple(f"{entry.body['operator']}: {entry.body['reason']}" for entry in actions)
