"""Digests of a home: what a session or a week was is gathered, made once, stored by hash, and recorded in the ledger as due.

Used after the last step of `daily`, by `alert_sensor` and by `marketbot digest`; it stops nothing. Not here: the words
(`audit.digest`), which sessions are due (`marketbot_resources.delivery_digest`), how they are sent (`delivery`).
"""

import datetime as dt
import hashlib
import json
import logging
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from marketbot_resources.alerts import KIND, SENT, told_in
from marketbot_resources.calendars import decide_at, decision_sessions
from marketbot_resources.clock import machine_now
from marketbot_resources.delivery_digest import (
    DAILY,
    DIGESTS,
    WEEKLY,
    digest_alert,
    sessions_due,
    stored_bytes,
    week_of,
    weeks_due,
)
from marketbot_resources.errors import Equivocation
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Json
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.mandate_file import read_mandate_text
from marketbot_resources.mandate_notification import Notification
from marketbot_resources.model import utc_text
from marketbot_resources.notify.port import Message
from marketbot_resources.redaction import redactor
from marketbot_resources.sessions import end_state
from marketbot_resources.store.index import STATIC, BlobRow

if TYPE_CHECKING:
    from marketbot_assets.audit.digest import Digest
    from marketbot_assets.audit.digest_facts import Day, DigestFacts, Rows
    from marketbot_resources.store.lake import Lake

REPORT, LAST_STEP, BLOB_ASSET = "daily_report", "proof", "digest"
HISTORY_SESSIONS = 60
LOG = logging.getLogger(__name__)


def record_digests(lake: "Lake", section: Notification, now: dt.datetime | None = None) -> list[str]:
    """Makes and records what is due; returns the keys of the new digests. Whatever goes wrong is logged and stops nothing."""
    try:
        return _recorded(lake, section, now or machine_now())
    except Exception as error:  # the edge to the notifier: neither alerts nor a run may fail because of a digest
        LOG.error(redactor().text(f"digest: {type(error).__name__}: {error}"))
        return []


def _recorded(lake: "Lake", section: Notification, now: dt.datetime) -> list[str]:
    rule = section.digest
    if rule is None:
        return []
    ended = complete(lake)
    told = [entry.key.split("/")[1:] for entry in lake.ledger.entries(DIGESTS.told)]
    known = {kind: [label for own, label in told if own == kind] for kind in (DAILY, WEEKLY)}
    due: list[tuple[str, dt.date]] = []
    if rule.daily:
        due += [(DAILY, day) for day in sessions_due(ended, known[DAILY])]
    if rule.weekly and ended:
        begun = max((dt.date.fromisoformat(e.key) for e in lake.ledger.entries("session_cutoff")), default=None)
        calendar = mandate_of(lake).calendar
        due += [(WEEKLY, day) for _, day in weeks_due(ended, calendar, known[WEEKLY], begun)]
    return [key for kind, day in due if (key := _record_safely(lake, kind, day, rule.address or "", now))]


def _record_safely(lake: "Lake", kind: str, day: dt.date, address: str, now: dt.datetime) -> str:
    """`_record`; what cannot be told of one session is logged and keeps nobody from hearing of the next."""
    try:
        return _record(lake, kind, day, address, now)
    except Exception as error:
        LOG.error(redactor().text(f"digest of {day}, {kind}: {type(error).__name__}: {error}"))
        return ""


def complete(lake: "Lake") -> list[dt.date]:
    """Sessions that are over, ascending: ended, and with their last step stored, or one that will not have it any more."""
    ledger = lake.ledger
    ends = ledger.entries("session_end")
    begun = max((entry.key for entry in ledger.entries("session_cutoff")), default="")
    over = []
    for entry in ends[-HISTORY_SESSIONS:]:
        failed = any(one.seq > entry.seq for one in ledger.entries("run_failed", f"{entry.key}/"))
        stored = lake.index.newest(LAST_STEP, entry.key) is not None
        if stored or failed or entry.body.get("state") == "skipped" or begun > entry.key:
            over.append(dt.date.fromisoformat(entry.key))
    return sorted(over)


def _record(lake: "Lake", kind: str, day: dt.date, address: str, now: dt.datetime) -> str:
    """The digest's key, or "" when somebody recorded it meanwhile. Its message never changes afterwards."""
    from marketbot_assets.audit.digest import build_digest

    facts = digest_facts(lake, kind, day, address)
    message = _clean(message_of(build_digest(facts)))
    body = stored_bytes(message)
    alert, name, at = digest_alert(kind, facts.label, message.title), hashlib.sha256(body).hexdigest(), utc_text(now)
    told = BlobRow(name, "marketbot", "", 200, "application/json", len(body), at, "", BLOB_ASSET, day.isoformat())
    lake.put_blob(body, told)
    entry: dict[str, Json] = {**alert.body(), "blob": name, "at": at}
    try:
        return alert.key if lake.ledger.append(DIGESTS.told, alert.key, entry).added else ""
    except Equivocation:
        return ""  # another process made it at the same instant


def _clean(message: Message) -> Message:
    """The message without secrets, so that what is stored is what is sent."""
    known = redactor()
    title, text, html = (known.text(part) for part in (message.title, message.text, message.html))
    return Message(title, text, message.name, html, tuple(known.json(block) for block in message.blocks))


def message_of(digest: "Digest") -> Message:
    """A digest in the forms of every channel."""
    from marketbot_assets.audit.digest import as_text
    from marketbot_assets.audit.digest_forms import as_html, as_slack

    blocks = cast("list[Mapping[str, Json]]", as_slack(digest))
    return Message(digest.title, as_text(digest), "", as_html(digest, plots=False), tuple(blocks))


def digest_facts(lake: "Lake", kind: str, day: dt.date, address: str = "") -> "DigestFacts":
    """What a digest up to a session says: of the session, or of its ISO week's sessions up to it."""
    from marketbot_assets.audit.digest_facts import DigestFacts

    ledger, mandate = lake.ledger, mandate_of(lake)
    days = [day] if kind == DAILY else _week(ledger, mandate, day)
    told, before = [day_in(lake, one) for one in days], _before(lake, mandate, days[0])
    return DigestFacts(
        kind=kind,
        label=day.isoformat() if kind == DAILY else week_of(day),
        base=mandate.base_currency,
        days=tuple(told),
        before=before,
        history=_history(lake, day),
        live=mandate.providers.clock == "live",
        paper=mandate.broker.name == "paper",
        head=ledger.head(),
        actions=_actions(ledger, days),
        alerts=_alerts(ledger, days),
        coming=_coming(mandate, day, told[-1]),
        address=address,
    )


def mandate_of(lake: "Lake") -> Mandate:
    """The mandate in force: the stored one, else the file."""
    stored = lake.index.newest("mandate", STATIC)
    return parse_mandate(read_mandate_text() if stored is None else str(lake.records(stored)[0]["canonical_json"]))


def _week(ledger: Ledger, mandate: Mandate, day: dt.date) -> list[dt.date]:
    monday = day - dt.timedelta(days=day.isoweekday() - 1)
    ended = {entry.key for entry in ledger.entries("session_end")}
    known = [one for one in decision_sessions(mandate.calendar, monday, day) if one.isoformat() in ended]
    return known or [day]


def day_in(lake: "Lake", day: dt.date) -> "Day":
    """One session from what is stored of it."""
    from marketbot_assets.audit.digest_facts import REPORTED, Known, day_of

    part, ended = day.isoformat(), end_state(lake.ledger, day)
    stored = lake.index.of_part(part)
    rows: dict[str, Rows] = {name: lake.records(stored[name]) for name in REPORTED if name in stored}
    report = lake.records(stored[REPORT])[0] if REPORT in stored else {}
    summary = json.loads(str(report["summary_json"])) if report else {}
    failures = lake.ledger.entries("run_failed", f"{part}/")
    models = lake.ledger.entries("llm_incident", f"{part}/")
    decision = lake.ledger.get("decision", part)
    facts = decision.body.get("facts") if decision is not None else None
    told = (
        {name: str(facts[name]) for name in ("mandate_sha256", "model") if name in facts}
        if isinstance(facts, Mapping)
        else {}
    )
    known = Known(
        session=part,
        state=ended.state if ended else "not ended",
        reason=ended.reason if ended else "",
        summary=summary,
        incidents=tuple(str(entry.body.get("reason", "")) for entry in (*failures, *models)),
        versions=told,
    )
    return day_of(known, rows)


def _before(lake: "Lake", mandate: Mandate, first: dt.date) -> "Day | None":
    ended = [entry.key for entry in lake.ledger.entries("session_end") if entry.key < first.isoformat()]
    held = [part for part in ended if lake.index.newest("book_state", part) is not None]
    return day_in(lake, dt.date.fromisoformat(max(held))) if held else None


def _history(lake: "Lake", day: dt.date) -> tuple[tuple[str, float], ...]:
    found = []
    for row in lake.index.up_to("book_state", day.isoformat())[-HISTORY_SESSIONS:]:
        nav = next((r["number"] for r in lake.records(row) if r["item"] == "nav" and r["instrument"] == ""), math.nan)
        assert isinstance(nav, float)
        found.append((row.part, nav))
    return tuple(found)


def _actions(ledger: Ledger, days: Sequence[dt.date]) -> tuple[str, ...]:
    """What operators did between the end of the session before and the newest of these ends."""
    ends = {entry.key: entry.seq for entry in ledger.entries("session_end")}
    first, last = days[0].isoformat(), days[-1].isoformat()
    begin = max((seq for part, seq in ends.items() if part < first), default=-1)
    until = min((seq for part, seq in ends.items() if part > last), default=ledger.size())
    return tuple(
        f"{e.body.get('user', 'somebody')}: {e.body.get('action')} {e.body.get('level', '')}: {e.body.get('reason', '')}"
        for e in ledger.entries("operator_action")
        if begin < e.seq < until
    )


def _alerts(ledger: Ledger, days: Sequence[dt.date]) -> tuple[int, int]:
    own = {day.isoformat() for day in days}
    told = [entry.key for entry in ledger.entries(KIND) if str(entry.body.get("session")) in own]
    heard = {key for entry in ledger.entries(SENT) for key in told_in(entry)}
    return len(told), sum(key not in heard for key in told)


def _coming(mandate: Mandate, day: dt.date, last: "Day") -> tuple[str, ...]:
    from marketbot_assets.portfolio.cadence import is_rebalance

    following = decision_sessions(mandate.calendar, day + dt.timedelta(days=1), day + dt.timedelta(days=15))
    lines = []
    if following and following[0] <= mandate.calendar.last_session:
        does = "rebalances" if is_rebalance(mandate, following[0]) else "does not rebalance: exits and cures alone"
        lines.append(
            f"session {following[0]} decides at {utc_text(decide_at(mandate.schedule, following[0]))} and {does}"
        )
    else:
        lines.append("no later session: the mandate's calendar ends")
    if last.working:
        lines.append(f"{last.working} orders are at the broker")
    if last.breaches:
        lines.append(f"{len(last.breaches)} breaches are open and have to be cured")
    return tuple(lines)
