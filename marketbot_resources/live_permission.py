"""Whether live money may move (RC-82): two switches that stand apart, and a signed record of at most a week.

All must hold: the mandate in force names the broker's live environment and the account, on the live clock; the environment
variable MARKETBOT_LIVE_ACCOUNTS names that account; the ledger's newest `live_permission` enables exactly this account, is
signed, counts from this session on and has not run out. Anything else: paper only. Host and keys are the adapter's part.
Not here: the commands (`commands.live`), who asks (`execution.gate` by `submit`, RC-82 by `operations`).
"""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from marketbot_resources import settings
from marketbot_resources.errors import Equivocation, LedgerError
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Entry, Json
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import PAPER, utc_text

KIND = "live_permission"
LIVE = "live"
ENABLE, DISABLE = "enable", "disable"
DAYS_MAX = 7


def permitted_environment(
    ledger: Ledger, mandate: Mandate, session: dt.date, now: dt.datetime, homes: Sequence[Path | None]
) -> tuple[str, str]:
    """(LIVE or PAPER, why not live) at instant `now`, for the sending of a session.

    `homes`: where store and halt flag of the caller lie. They must be this installation's, so that no run that was started with
    other resources, from the UI for one, reaches the money behind its keys.
    """
    why = not_recorded(ledger.entries(KIND), mandate, session, now)
    if not why and mandate.broker.account not in settings.live_accounts():
        why = f"MARKETBOT_LIVE_ACCOUNTS does not name account {mandate.broker.account}"
    if not why and not (homes and all(home is not None and home.resolve() == settings.home() for home in homes)):
        why = "this run was started with another home than the installation's"
    if not why and not _is_signed(ledger, ledger.entries(KIND)[-1]):
        why = "the record of `marketbot live enable` is not signed"
    return (PAPER, why) if why else (LIVE, "")


def not_recorded(entries: Sequence[Entry], mandate: Mandate, session: dt.date, at: dt.datetime) -> str:
    """Why these `live_permission` entries do not allow live money at an instant; empty when the newest does. Unsigned ones, too."""
    broker = mandate.broker
    if broker.environment != LIVE or mandate.providers.clock != LIVE:
        return "the mandate names no live account on the live clock"
    if not entries:
        return "live trading was never enabled; marketbot live enable --days N --reason TEXT"
    body = entries[-1].body
    try:
        if body["action"] != ENABLE:
            return f"live trading was disabled ({body['reason']})"
        if (body["broker"], body["account"]) != (broker.name, broker.account):
            return f"live trading is enabled for {body['broker']} account {body['account']}"
        if not str(body["effective_session"]) <= session.isoformat():
            return f"live trading is enabled from session {body['effective_session']} on"
        since, until = (dt.datetime.fromisoformat(str(body[name])) for name in ("since_at", "until_at"))
        if not dt.timedelta(0) < until - since <= dt.timedelta(days=DAYS_MAX):
            return f"live trading is enabled for another time than 1 to {DAYS_MAX} days"
        if not since <= at < until:
            return f"live trading is enabled from {utc_text(since)} to {utc_text(until)}; it is {utc_text(at)}"
    except (KeyError, TypeError, ValueError) as error:
        return f"the record of live trading cannot be read: {error!r}"
    return ""


def _is_signed(ledger: Ledger, entry: Entry) -> bool:
    from marketbot_resources.governance import is_signed

    return is_signed(ledger, entry)


def record(ledger: Ledger, action: str, facts: dict[str, Json]) -> Entry:
    """Appends the next `live_permission`. Raises LedgerError when another command takes its number."""
    n = len(ledger.entries(KIND)) + 1
    key = f"{n:06d}"
    try:
        receipt = ledger.append(KIND, key, {"n": n, "action": action, **facts})
    except Equivocation as error:
        raise LedgerError(f"ledger: expected number {key} free, found another record; try again") from error
    entry = ledger.get(KIND, key)
    if entry is None or not receipt.added:
        raise LedgerError(f"ledger: expected number {key} free, found the same record; try again")
    return entry
