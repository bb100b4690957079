"""The account at a session's cutoff: earlier sessions closed, the cutoff recorded, what operators did since.

Not here: an adapter of the broker port, what becomes of the report (`account_snapshot`).
"""

import datetime as dt
from dataclasses import dataclass

from marketbot_resources.clock import Clock
from marketbot_resources.ledger import Ledger
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import AccountReport, BrokerPort
from marketbot_resources.sessions import close_predecessors, last_cutoff_before, record_cutoff


@dataclass(frozen=True, slots=True)
class AccountAtCutoff:
    """The broker's report (None without a broker), the recorded cutoff, operators' actions since the session before."""

    report: AccountReport | None
    cutoff_at: dt.datetime
    operator: tuple[str, ...]


def take_account(
    ledger: Ledger, broker: BrokerPort | None, clock: Clock, mandate: Mandate, session: dt.date
) -> AccountAtCutoff:
    """Closes the sessions before, records the cutoff and asks the broker for the account.

    Raises SessionRefused when an earlier session was never run, HaltError when an order's fate is unknown.
    """
    since = last_cutoff_before(ledger, session)
    close_predecessors(ledger, broker, clock, mandate.calendar, mandate.schedule, session, mandate.account.id)
    cutoff_at = record_cutoff(ledger, session, clock.now(session))
    report = broker.report(since, cutoff_at) if broker is not None else None
    return AccountAtCutoff(report, cutoff_at, operator_actions(ledger, session))


def operator_actions(ledger: Ledger, session: dt.date) -> tuple[str, ...]:
    """Reasons of operators' actions that no earlier session has seen, oldest first."""
    seen = [entry.seq for entry in ledger.entries("session_cutoff") if entry.key < session.isoformat()]
    after = max(seen, default=0)
    actions = [entry for entry in ledger.entries("operator_action") if entry.seq > after]
    return tuple(f"{entry.body['operator']}: {entry.body['reason']}" for entry in actions)
