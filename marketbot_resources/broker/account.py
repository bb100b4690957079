"""The account at a session's cutoff: earlier sessions closed, the cutoff recorded, what operators did since.

Not here: an adapter of the broker port, what becomes of the report (`account_snapshot`).
"""

import datetime as dt
from dataclasses import dataclass, replace

from marketbot_resources.broker.following import follow
from marketbot_resources.broker.hearing import begin_hearing, take
from marketbot_resources.clock import Clock
from marketbot_resources.errors import SessionRefused
from marketbot_resources.halt import HaltFlag
from marketbot_resources.heard import Heard, Working
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import AccountReport, BrokerPort, HaltLevel, QuotedHit
from marketbot_resources.sessions import (
    book_cutoff_before,
    close_predecessors,
    decided_before,
    is_skipped,
    record_cutoff,
)
from marketbot_resources.stop_hits import hits_before

REARMING_ACTION = "resume"


@dataclass(frozen=True, slots=True)
class AccountAtCutoff:
    """The broker's report (None without a broker), the recorded cutoff, what operators did to re-arm and which stops
    quotes broke since the session before.

    The report names what belongs to this session alone: `heard`; `working`: orders that have not ended by our ledger.
    """

    report: AccountReport | None
    cutoff_at: dt.datetime
    operator: tuple[str, ...]
    stop_hits: tuple[QuotedHit, ...]
    heard: Heard | None = None
    working: tuple[Working, ...] = ()


def refuse_new_run(ledger: Ledger, flag: HaltFlag, session: dt.date) -> None:
    """RC-80, level no-new-runs: a session that has no cutoff yet is not begun. Raises SessionRefused."""
    if flag.word == HaltLevel.NO_NEW_RUNS.value and ledger.get("session_cutoff", session.isoformat()) is None:
        raise SessionRefused(
            f"session {session}: halt level {flag.word} ({flag.reason}); no session is begun until `marketbot resume`"
        )


def take_account(
    ledger: Ledger, broker: BrokerPort | None, clock: Clock, mandate: Mandate, session: dt.date
) -> AccountAtCutoff:
    """Closes the sessions before, records the cutoff, follows the orders (P9) and asks the broker for the account.

    Strays set no flag here: the verdict of this very run judges them. Raises SessionRefused when an earlier session was never
    run, HaltError when an order's fate is unknown or a known execution is told differently.
    """
    if is_skipped(ledger, session.isoformat()):
        raise SessionRefused(f"session {session}: it is recorded as skipped and cannot be decided any more")
    close_predecessors(ledger, broker, clock, mandate.calendar, mandate.schedule, session, mandate.account.id)
    cutoff_at = record_cutoff(ledger, session, clock.now(session))
    told = (operator_actions(ledger, session), hits_before(ledger, session))
    if broker is None:
        return AccountAtCutoff(None, cutoff_at, *told)
    begin_hearing(ledger, book_cutoff_before(ledger, session))
    since_cutoff = clock.now(session) - cutoff_at
    followed = follow(ledger, broker, mandate.account.id, cutoff_at, closed=mandate.calendar.closed)
    heard = take(ledger, session, followed.report, followed.since)
    report = replace(
        followed.report,
        executions=heard.executions,
        events=heard.events,
        busts=heard.busts,
        broker_at=broker_at_cutoff(followed.report, since_cutoff),
    )
    return AccountAtCutoff(report, cutoff_at, *told, heard=heard, working=followed.working)


def broker_at_cutoff(report: AccountReport, since_cutoff: dt.timedelta) -> dt.datetime | None:
    """The broker's clock as it was at the cutoff (RC-83): a run that is begun again asks later, which is no fault of a clock.

    `since_cutoff`: by our clock, when the broker was asked. A broker that keeps the session's clock tells the instant itself.
    """
    if report.broker_at is None or report.broker_at == report.as_of_at:
        return report.broker_at
    return report.broker_at - since_cutoff


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
