"""The account at a session's cutoff: earlier sessions closed, the paper market advanced, the cutoff recorded, the report taken.

Not here: the adapter itself (`paper`), what becomes of the report (`account_snapshot`).
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from marketbot_resources.broker.paper import PaperBroker, PaperMarket
from marketbot_resources.clock import Clock
from marketbot_resources.ledger import Ledger
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import AccountReport
from marketbot_resources.sessions import close_predecessors, last_cutoff_before, record_cutoff


@dataclass(frozen=True, slots=True)
class AccountAtCutoff:
    """The broker's report, the recorded cutoff and what operators did since the session before."""

    report: AccountReport
    cutoff_at: dt.datetime
    operator: tuple[str, ...]


def take_account(
    ledger: Ledger, broker: PaperBroker, clock: Clock, mandate: Mandate, session: dt.date, market: Callable[[], PaperMarket]
) -> AccountAtCutoff:
    """Closes the sessions before, lets the paper market move to now, records the cutoff and asks for the account.

    Raises SessionRefused when an earlier session was never run, HaltError when an order's fate is unknown.
    """
    since = last_cutoff_before(ledger, session)
    now = clock.now(session)
    broker.advance(now, market())
    close_predecessors(ledger, broker, clock, mandate.calendar, mandate.schedule, session, mandate.account.id)
    cutoff_at = record_cutoff(ledger, session, now)
    return AccountAtCutoff(broker.report(since, cutoff_at), cutoff_at, operator_actions(ledger, session))


def operator_actions(ledger: Ledger, session: dt.date) -> tuple[str, ...]:
    """Reasons of `resume` actions that no earlier session has seen, oldest first."""
    seen = [entry.seq for entry in ledger.entries("session_cutoff") if entry.key < session.isoformat()]
    after = max(seen, default=0)
    actions = [entry for entry in ledger.entries("operator_action") if entry.seq > after]
    return tuple(f"{entry.body['operator']}: {entry.body['reason']}" for entry in actions)
