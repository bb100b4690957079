"""Live money, allowed for days and taken back at once: `live enable`, `live disable`, `live show`.

Not here: what must hold besides (`marketbot_resources.live_permission`), who asks for it (RC-82, the last-line gate).
"""

import datetime as dt
from typing import TYPE_CHECKING

from marketbot_assets.commands.home import existing_lake, load_mandate
from marketbot_assets.commands.signing import sign
from marketbot_resources import settings
from marketbot_resources.errors import LedgerError, UsageError
from marketbot_resources.governance import effective_session
from marketbot_resources.ledger.examine import first_fault
from marketbot_resources.ledger.record import Json
from marketbot_resources.live_permission import DAYS_MAX, DISABLE, ENABLE, KIND, LIVE, permitted_environment, record
from marketbot_resources.model import PAPER, utc_text
from marketbot_resources.redaction import redactor

if TYPE_CHECKING:
    from marketbot_resources.mandate import Mandate
    from marketbot_resources.store.lake import Lake

View = dict[str, object]
OPERATOR = "cli"


def enable_now(days: int, reason: str | None) -> View:
    """Records, and has signed, that the mandate's live account may be traded for so many days from the next session on.

    Raises UsageError without a reason, for other than 1 to 7 days, for an account that is not live in the mandate or not named by
    MARKETBOT_LIVE_ACCOUNTS; LedgerError when the ledger does not hold or the record could not be signed: then it does not count.
    """
    text, lake, mandate = _reason(reason, "live money may move"), existing_lake(), load_mandate()
    if not 1 <= days <= DAYS_MAX:
        raise UsageError(f"--days: expected 1 to {DAYS_MAX}, found {days}")
    _check(mandate)
    fault = first_fault(lake.ledger)
    if fault:
        raise LedgerError(f"the ledger's chain does not hold: {fault}; restore it from its backup")
    session, now = _next(lake, mandate)
    facts: dict[str, Json] = {
        **_who(mandate, text),
        "since_at": utc_text(now),
        "until_at": utc_text(now + dt.timedelta(days=days)),
        "effective_session": session.isoformat(),
    }
    entry = record(lake.ledger, ENABLE, facts)
    sign(lake, mandate, entry, "enable")
    return {**facts, "entry": entry.seq, "days": days}


def _next(lake: "Lake", mandate: "Mandate") -> tuple[dt.date, dt.datetime]:
    """(the next session to be decided, the present instant by the clock port)."""
    from marketbot_resources.wiring import ClockResource

    session = effective_session(lake.ledger, mandate)
    return session, ClockResource().open().now(session)


def _check(mandate: "Mandate") -> None:
    broker = mandate.broker
    if broker.environment != LIVE or broker.name == PAPER:
        raise UsageError(
            f"broker.environment: expected live in the mandate, found {broker.environment} at {broker.name}"
        )
    if mandate.providers.clock != LIVE:
        raise UsageError(f"providers.clock: expected live in the mandate, found {mandate.providers.clock}")
    if broker.account not in settings.live_accounts():
        raise UsageError(
            f"MARKETBOT_LIVE_ACCOUNTS: expected account {broker.account} among its names, found it missing"
        )


def disable_now(reason: str | None) -> View:
    """Records that live money may not move any more: it counts at once, signed or not."""
    text, lake, mandate = _reason(reason, "live trading ends"), existing_lake(), load_mandate()
    entry = record(lake.ledger, DISABLE, {**_who(mandate, text)})
    return {"entry": entry.seq, "reason": text}


def _who(mandate: "Mandate", reason: str) -> dict[str, Json]:
    return {
        "operator": OPERATOR,
        "user": settings.operator(),
        "reason": reason,
        "broker": mandate.broker.name,
        "account": mandate.broker.account,
    }


def _reason(reason: str | None, what: str) -> str:
    text = redactor().text((reason or "").strip())
    if not text:
        raise UsageError(f"--reason: expected why {what}, found nothing; it is kept in the ledger")
    return text


def show() -> View:
    """Whose money the next session may move, why not live, and every record."""
    lake, mandate = existing_lake(), load_mandate()
    environment, why = standing(lake, mandate)
    return {
        "environment": environment,
        "why": why,
        "broker": mandate.broker.name,
        "account": mandate.broker.account,
        "accounts": sorted(settings.live_accounts()),
        "records": [{"entry": entry.seq, **entry.body} for entry in lake.ledger.entries(KIND)],
    }


def standing(lake: "Lake", mandate: "Mandate") -> tuple[str, str]:
    """(environment, why not live) as the next session to be decided would find it now."""
    if mandate.broker.environment != LIVE:
        return PAPER, "the mandate names no live account"
    session, now = _next(lake, mandate)
    return permitted_environment(lake.ledger, mandate, session, now, [lake.home])


def enable_lines(view: View) -> list[str]:
    """What was recorded."""
    return [
        f"live trading of {view['broker']} account {view['account']} enabled and signed (ledger entry {view['entry']}): from "
        f"session {view['effective_session']} on, until {view['until_at']}"
    ]


def disable_lines(view: View) -> list[str]:
    """What was recorded."""
    return [f"live trading disabled (ledger entry {view['entry']}): {view['reason']}"]


def show_lines(view: View) -> list[str]:
    """Where it stands, and the history."""
    accounts, records = view["accounts"], view["records"]
    assert isinstance(accounts, list)
    assert isinstance(records, list)
    why = f": {view['why']}" if view["why"] else ""
    lines = [
        f"{'may move':<14}{view['environment']} money{why}",
        f"{'mandate':<14}{view['broker']} {view['account'] or 'without account'}",
        f"{'allowed':<14}{', '.join(accounts) or 'no account (MARKETBOT_LIVE_ACCOUNTS is empty)'}",
    ]
    for row in records:
        until = f" until {row['until_at']}, from session {row['effective_session']}" if row["action"] == ENABLE else ""
        told = f"{row['action']} {row['broker']} {row['account']}{until}, by {row['operator']} {row['user']}: {row['reason']}"
        lines.append(f"record {row['n']:<7}{told}")
    return lines
