"""Alerts of a home: facts are read, new alerts recorded, the notifier started. Nothing here decides about trading or stops it.

Used by the hook of `daily` (right after the step that found something), by `alert_sensor` and by `marketbot alerts`. Not here: what
calls for an alert (`marketbot_resources.alert_detection`), delivery (`marketbot_resources.delivery`).
"""

import datetime as dt
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from marketbot_assets.digests import record_digests
from marketbot_resources.alert_codes import raised
from marketbot_resources.alert_detection import (
    JOB_FAILED,
    NO_ROWS,
    MachineFacts,
    Rows,
    SessionRows,
    alerts_due,
    code_of_storage,
)
from marketbot_resources.alerts import HEARTBEAT, KIND, MESSAGE_MAX, Alert, one_line
from marketbot_resources.clock import machine_now
from marketbot_resources.delivery import digests_standing, record, standing
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Entry
from marketbot_resources.mandate import parse_mandate
from marketbot_resources.mandate_file import read_mandate_text
from marketbot_resources.mandate_notification import Notification
from marketbot_resources.notifier_process import start_notifier
from marketbot_resources.redaction import redactor
from marketbot_resources.store.index import STATIC
from marketbot_resources.unrecorded import REFUSED, Unrecorded

if TYPE_CHECKING:
    from marketbot_resources.store.lake import Lake

RECENT_SESSIONS = 3
INTERNAL_ID = re.compile(r"\bMB[A-Z2-7]{10}\b")
STORAGE = ("LEDGER_FAULT", "DISK_LOW")
TELLING = frozenset(
    {
        "session_end",
        "run_failed",
        "llm_incident",
        "operator_action",
        "breach",
        "anchor_failed",
        "signals_failed",
        JOB_FAILED,
        "order_event",
        "order_stray",
        "order_incident",
        "parity_difference",
    }
)


def notification_of(lake: "Lake") -> Notification | None:
    """The section in force: of the stored mandate, else of the file."""
    stored = lake.index.newest("mandate", STATIC)
    if stored is None:
        return parse_mandate(read_mandate_text()).notification
    return parse_mandate(str(lake.records(stored)[0]["canonical_json"])).notification


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
    return named_alerts(lake, alerts_due(recent_entries(lake.ledger), sessions, machine, told))


def named_alerts(lake: "Lake", alerts: Sequence[Alert]) -> list[Alert]:
    """The alerts with tickers in their messages, where these name instruments; keys and subjects keep the lasting ids."""
    begun = [entry.key for entry in lake.ledger.entries("session_cutoff")]
    row = lake.index.newest("instruments", max(begun)) if begun else None
    if row is None or not any(INTERNAL_ID.search(alert.message) for alert in alerts):
        return list(alerts)
    from marketbot_assets.audit.report_facts import named_by, tickers_of

    named = named_by(tickers_of(lake.records(row)))
    return [replace(alert, message=one_line(named(alert.message), MESSAGE_MAX)) for alert in alerts]


def tell(lake: "Lake", machine: MachineFacts | None = None, *, again: bool = False) -> list[Alert]:
    """Records what is new and starts the notifier when somebody has to be told; without channels it does nothing.

    `again`: also for what an earlier notifier left. What the ledger does not take is told without it. Returns the new alerts.
    """
    section = notification_of(lake)
    if section is None:
        return []
    found, beside = found_now(lake, machine), Unrecorded(lake.home)
    try:
        new = record(lake.ledger, found)
    except REFUSED:
        return _tell_beside(lake.home, section, found)
    left = again and (standing(lake.ledger, section) or beside.lines())
    if new or left or _beat_is_due(lake.ledger, section):
        start_notifier(lake.home, section)
    if record_digests(lake, section) or (again and digests_standing(lake.ledger, section)):
        start_notifier(lake.home, section)  # after the alerts: one that is there already is waited for, or waits
    return new


def tell_unrecorded(home: Path, alerts: Sequence[Alert]) -> list[Alert]:
    """Tells what no ledger took, by the channels of the mandate file; returns what nobody had told before."""
    section = parse_mandate(read_mandate_text()).notification
    return [] if section is None else _tell_beside(home, section, alerts)


_beside: dict[Path, Unrecorded] = {}  # where no file can be written, this process remembers what it told


def _tell_beside(home: Path, section: Notification, alerts: Sequence[Alert]) -> list[Alert]:
    beside = _beside.setdefault(home, Unrecorded(home))
    new = beside.add_alerts(alerts)
    if new:
        start_notifier(home, section, unrecorded=[(KIND, alert.key, alert.body()) for alert in new])
    return new


def storage_fault(error: Exception) -> Alert:
    """The alert for a ledger or a store that cannot be used, once per UTC day."""
    said = redactor().text(f"{type(error).__name__}: {error}")
    return raised(code_of_storage(said), "storage", machine_now().date().isoformat(), said)


def _beat_is_due(ledger: Ledger, section: Notification) -> bool:
    ends = ledger.entries("session_end") if section.heartbeat is not None else []
    return bool(ends) and not ledger.entries(HEARTBEAT, f"{ends[-1].key}/")


def tell_safely(lake: "Lake", log: logging.Logger) -> None:
    """`tell` for a run: whatever goes wrong is logged and stops nothing. The sensor looks again."""
    _safely(log, lambda: tell(lake), lake.home)


def tell_failure(lake: "Lake", log: logging.Logger, failed: Alert, refused: Exception) -> None:
    """Tells a failure that the ledger refused to record, and that it did; if it failed for that reason, that alone."""
    storage = storage_fault(refused)
    alerts = [storage] if failed.code in STORAGE else [failed, storage]
    _safely(log, lambda: tell_unrecorded(lake.home, alerts), lake.home)


def _safely(log: logging.Logger, telling: Callable[[], list[Alert]], home: Path) -> None:
    try:
        try:
            told = telling()
        except REFUSED as error:  # neither ledger nor store can be read
            told = tell_unrecorded(home, [storage_fault(error)])
        for alert in told:
            log.warning(f"alert {alert.severity.name} {alert.key}: {alert.message}")
    except Exception as error:  # the edge to the notifier: a run never fails because nobody could be told
        log.error(f"alerts: {type(error).__name__}: {error}")


def weekly_due(section: Notification, now: dt.datetime) -> tuple[str, tuple[str, ...]]:
    """(day, channels) whose weekly test is due by now: every one of them, from its hour to the end of its day.

    The day is that of the test's own time zone: of two UTC days that it touches each would be a test of its own.
    """
    from zoneinfo import ZoneInfo

    rule = section.weekly_test
    if rule is None:
        return "", ()
    local = now.astimezone(ZoneInfo(rule.timezone))
    due = local.strftime("%A").lower() == rule.weekday and local.time() >= dt.time.fromisoformat(rule.at)
    return local.date().isoformat(), tuple(c.name for c in section.channels) if due else ()
