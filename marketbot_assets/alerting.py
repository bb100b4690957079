"""Alerts of a home: facts are read, new alerts recorded, the notifier started. Nothing here decides about trading or stops it.

Used by the hook of `daily` (right after the step that found something), by `alert_sensor` and by `marketbot alerts`. Not here: what
calls for an alert (`marketbot_resources.alert_detection`), delivery (`marketbot_resources.delivery`).
"""

import datetime as dt
import logging
from typing import TYPE_CHECKING

from marketbot_assets.digests import record_digests
from marketbot_resources.alert_detection import NO_ROWS, MachineFacts, Rows, SessionRows, alerts_due
from marketbot_resources.alerts import HEARTBEAT, KIND, Alert
from marketbot_resources.delivery import digests_standing, record, standing
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Entry
from marketbot_resources.mandate import parse_mandate
from marketbot_resources.mandate_file import read_mandate_text
from marketbot_resources.mandate_notification import Notification
from marketbot_resources.notifier_process import start_notifier
from marketbot_resources.store.index import STATIC

if TYPE_CHECKING:
    from marketbot_resources.store.lake import Lake

RECENT_SESSIONS = 3
TELLING = frozenset(
    {
        "session_end",
        "run_failed",
        "llm_incident",
        "operator_action",
        "breach",
        "anchor_failed",
        "order_event",
        "order_stray",
        "order_incident",
    }
)


def notification_of(lake: "Lake") -> Notification | None:
    """The section in force: of the stored mandate, else of the file."""
    stored = lake.index.newest("mandate", STATIC)
    if stored is None:
        return parse_mandate(read_mandate_text()).notification
    return parse_mandate(str(lake.load(stored)["canonical_json"].iloc[0])).notification


def recent_entries(ledger: Ledger) -> list[Entry]:
    """Entries since the third newest session began, which may tell of something; all of a young ledger."""
    begun = [entry.seq for entry in ledger.entries("session_cutoff")]
    first = sorted(begun)[-RECENT_SESSIONS] if len(begun) >= RECENT_SESSIONS else 0
    return [row.entry() for row in ledger.rows(first) if row.kind in TELLING]


def session_rows(lake: "Lake", session: str) -> SessionRows:
    """What is stored of a session's verdict, reconciliation and book by now."""
    return SessionRows(
        session,
        _rows(lake, "risk_verdict", session),
        _rows(lake, "reconciliation", session),
        _rows(lake, "book_state", session),
        rung_before(lake, session),
    )


def _rows(lake: "Lake", asset: str, session: str) -> Rows:
    row = lake.index.newest(asset, session)
    return NO_ROWS if row is None else lake.records(row)


def rung_before(lake: "Lake", session: str) -> str:
    """The rung of the newest session before; "" where there is none."""
    earlier = [e.key for e in lake.ledger.entries("session_cutoff") if e.key < session]
    rows = _rows(lake, "book_state", max(earlier)) if earlier else NO_ROWS
    return next((str(row["text"]) for row in rows if row["item"] == "rung"), "")


def found_now(lake: "Lake", machine: MachineFacts | None = None) -> list[Alert]:
    """Alerts that the home calls for now and that are not recorded."""
    begun = [entry.key for entry in lake.ledger.entries("session_cutoff")]
    sessions = [session_rows(lake, max(begun))] if begun else []
    told = {entry.key for entry in lake.ledger.entries(KIND)}
    return alerts_due(recent_entries(lake.ledger), sessions, machine, told)


def tell(lake: "Lake", machine: MachineFacts | None = None, *, again: bool = False) -> list[Alert]:
    """Records what is new and starts the notifier when somebody has to be told; without channels it does nothing.

    `again`: also for what an earlier notifier left. Returns the new alerts.
    """
    section = notification_of(lake)
    if section is None:
        return []
    new = record(lake.ledger, found_now(lake, machine))
    if new or (again and standing(lake.ledger, section)) or _beat_is_due(lake.ledger, section):
        start_notifier(lake.home, section)
    if record_digests(lake, section) or (again and digests_standing(lake.ledger, section)):
        start_notifier(lake.home, section)  # after the alerts: one that is there already is waited for, or waits
    return new


def _beat_is_due(ledger: Ledger, section: Notification) -> bool:
    ends = ledger.entries("session_end") if section.heartbeat is not None else []
    return bool(ends) and not ledger.entries(HEARTBEAT, f"{ends[-1].key}/")


def tell_safely(lake: "Lake", log: logging.Logger) -> None:
    """`tell` for a run: whatever goes wrong is logged and stops nothing. The sensor looks again."""
    try:
        for alert in tell(lake):
            log.warning(f"alert {alert.severity.name} {alert.key}: {alert.message}")
    except Exception as error:  # the edge to the notifier: a run never fails because nobody could be told
        log.error(f"alerts: {type(error).__name__}: {error}")


def weekly_due(section: Notification, now: dt.datetime) -> tuple[str, ...]:
    """Channels whose weekly test is due by now: every one of them, from its hour to the end of its day."""
    from zoneinfo import ZoneInfo

    rule = section.weekly_test
    if rule is None:
        return ()
    local = now.astimezone(ZoneInfo(rule.timezone))
    is_day = local.strftime("%A").lower() == rule.weekday
    return tuple(c.name for c in section.channels) if is_day and local.time() >= dt.time.fromisoformat(rule.at) else ()
