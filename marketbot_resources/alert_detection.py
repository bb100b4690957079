"""What calls for an alert: the ledger's newest entries, a session's verdict, reconciliation and book, the machine. Pure.

The same condition of the same session is the same alert (`Alert.key`), so whoever looks again finds nothing new; one that lasts
comes again with the next session or UTC day. Not here: where the facts are read (`marketbot_assets.alerting`).
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from marketbot_resources.alert_codes import raised
from marketbot_resources.alerts import Alert
from marketbot_resources.ledger.record import Entry

Rows = Sequence[Mapping[str, object]]
OFF, HALTS, NO_ROWS = "off", "HALT", ()
FLAG, CASH = "flag", "CASH"
JOB_FAILED = "job_failed"  # the ledger's kind
SECRET = re.compile(
    r"key in the environment|\bno key\b|\b40[13]\b|unauthori[sz]ed|forbidden|(?:key|token|password|credential)\S* (?:\S+ ){0,3}"
    r"(?:expired|revoked|invalid|refused|missing)",
    re.IGNORECASE,
)
LEDGER = re.compile(
    r"\bledger\b|\bsigner\b|head was refused|transparency log|readonly database|read-only file system", re.IGNORECASE
)
DISK = re.compile(r"no space left|disk is full|disk quota|file too large", re.IGNORECASE)
BROKER_STEPS = ("opening_balance", "account_snapshot", "submissions")
BROKER = re.compile(r"broker|\balpaca\b|\bibkr\b", re.IGNORECASE)
# Controls whose note is an alert of its own; every other one is a breach or a halt.
OF_CONTROL: Mapping[str, str] = {
    "RC-67": "RECONCILIATION_BREAK",
    "RC-68": "RECONCILIATION_BREAK",
    "RC-73": "COST_DRIFT",
    "RC-80": "HALT_FLAG",
    "RC-84": "LEDGER_FAULT",
    "RC-85": "HEARTBEAT_MISSED",
    "RC-87": "DATA_GAP",
    "RC-89": "FEATURE_DRIFT",
    "RC-90": "REJECT_STORM",
}
ENDS = {"rejected": "SESSION_REJECTED", "halted": "SESSION_HALTED", "skipped": "SESSION_SKIPPED"}


@dataclass(frozen=True, slots=True)
class SessionRows:
    """Rows of one session's stored tables, empty where there are none yet. `rung_before`: of the session before, or ""."""

    session: str
    verdict: Rows = NO_ROWS
    reconciliation: Rows = NO_ROWS
    book: Rows = NO_ROWS
    rung_before: str = ""


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """What only someone outside of a run can see. `day`: the UTC date; `late`: session -> why; `free_fraction`: of the disk.

    `halt`: word and reason of the flag; `ledger_fault`: what the ledger's examination found, "" for nothing; `tests`: channels that
    are due a weekly test, `tests_day`: the day of it where the mandate's hour is counted, "" for `day`; `daemons`: ids of Dagster's
    daemons that live side by side, none for one; `dead_jobs`: (job, session, run) of jobs beside the sessions whose run failed.
    """

    day: str
    late: tuple[tuple[str, str], ...] = ()
    free_fraction: float | None = None
    free_min: float = 0.05
    halt: tuple[str, str] = (OFF, "")
    ledger_fault: str = ""
    tests: tuple[str, ...] = ()
    tests_day: str = ""
    daemons: tuple[str, ...] = ()
    dead_jobs: tuple[tuple[str, str, str], ...] = ()


def alerts_due(
    entries: Sequence[Entry],
    sessions: Sequence[SessionRows] = (),
    machine: MachineFacts | None = None,
    told: Collection[str] = (),
) -> list[Alert]:
    """Every alert that these facts call for and that is not among `told` (keys), each once: the most severe first, then by key."""
    found: dict[str, Alert] = {}
    for alert in _all(entries, sessions, machine):
        if alert.key not in told:
            found.setdefault(alert.key, alert)
    return sorted(found.values(), key=lambda alert: (-alert.severity, alert.key))


def _all(entries: Sequence[Entry], sessions: Sequence[SessionRows], machine: MachineFacts | None) -> Iterator[Alert]:
    for entry in entries:
        yield from _of_entry(entry)
    yield from _orders_in_doubt(entries)
    for rows in sessions:
        yield from _of_verdict(rows, _told_by_reconciliation(rows))
        yield from _of_reconciliation(rows)
        yield from _of_book(rows)
    if machine is not None:
        yield from _of_machine(machine)


def _of_entry(entry: Entry) -> Iterator[Alert]:
    body, parts = entry.body, entry.key.split("/")
    if entry.kind == "session_end" and str(body.get("state")) in ENDS:
        yield raised(ENDS[str(body["state"])], "session", entry.key, str(body.get("reason", "")))
    elif entry.kind == "session_end" and "never_sent" in body:
        yield raised("SESSION_CUT", "session", entry.key, str(body.get("reason", "")))
    elif entry.kind == "run_failed":
        step, reason = parts[-1], str(body.get("reason", ""))
        yield failed_step(step, parts[0], reason)
    elif entry.kind == "llm_incident":
        yield raised(str(body["code"]), "llm", parts[0], str(body.get("reason", "")))
    elif entry.kind == "operator_action" and body.get("action") == "halt":
        told = f"{body.get('user', 'somebody')}: {body.get('reason', '')}"
        yield raised("HALT_FLAG", str(body.get("level", "halt")), f"entry {entry.seq}", told)
    elif entry.kind == "breach":
        yield raised("REPLAY_DIFFERS", parts[0], parts[1] if len(parts) > 1 else entry.key, str(body.get("why", "")))
    elif entry.kind == "parity_difference":
        yield raised("PARITY_DIFFERS", "parity", parts[0], str(body.get("why", "")))
    elif entry.kind == "order_stray":
        yield raised("HALT_C", "order stray", f"entry {entry.seq}", entry.key)
    elif entry.kind == "order_incident":
        yield raised(
            "ORDER_OVERDUE", entry.key, f"entry {entry.seq}", f"order {entry.key}: open after the close of its session"
        )
    elif entry.kind == "anchor_failed":
        yield raised("ANCHOR_FAILURE", parts[-1], f"size {parts[0]}", str(body.get("problem", "")))
    elif entry.kind == "signals_failed":
        yield raised("SIGNALS_FAILED", "signals", parts[0], str(body.get("reason", "")))
    elif entry.kind == JOB_FAILED:
        yield failed_job(str(body.get("job", "")), parts[0], str(body.get("reason", "")))


def failed_step(step: str, session: str, reason: str) -> Alert:
    """The alert of a step of a session's run that failed."""
    return raised(code_of_failure(step, reason), step, session, reason)


def failed_job(job: str, session: str, reason: str) -> Alert:
    """The alert of a job beside the session that failed, once per job and session."""
    return raised("JOB_FAILED", job, session, f"job {job}: {reason}")


def code_of_failure(step: str, reason: str) -> str:
    """Which alert a failed step is, by the step and what the error said; what is not recognised is a failed session."""
    if SECRET.search(reason):
        return "SECRET_MISSING"
    if DISK.search(reason):
        return "DISK_LOW"
    if LEDGER.search(reason):
        return "LEDGER_FAULT"
    if step.startswith("raw_") or step.endswith("_history"):
        return "PROVIDER_FAILURE"
    if step in BROKER_STEPS and BROKER.search(reason):
        return "BROKER_ERROR"
    return "SESSION_FAILED"


def code_of_storage(reason: str) -> str:
    """Which alert a home is that cannot be read or written: a full disk, else the ledger's."""
    return "DISK_LOW" if DISK.search(reason) else "LEDGER_FAULT"


def _orders_in_doubt(entries: Sequence[Entry]) -> Iterator[Alert]:
    newest: dict[str, Entry] = {}
    for entry in entries:
        if entry.kind == "order_event":
            newest[entry.key.rpartition("/")[0]] = entry
    for name, entry in sorted(newest.items()):
        if entry.body.get("state") == "UNKNOWN":
            day = str(entry.body.get("at", ""))[:10] or f"entry {entry.seq}"
            yield raised("ORDER_UNKNOWN", name, day, f"order {name}: sent, and its answer is not known")


def _told_by_reconciliation(rows: SessionRows) -> frozenset[str]:
    """Controls whose news the session's own differences bring, name by name: RC-67 all of them, RC-68 those of cash."""
    broken = {str(row["kind"]) for row in rows.reconciliation if str(row["outcome"]) == "break"}
    return frozenset({"RC-67"} if broken else ()) | frozenset({"RC-68"} if CASH in broken else ())


def _of_verdict(rows: SessionRows, elsewhere: frozenset[str]) -> Iterator[Alert]:
    named = set(elsewhere)
    for row in rows.verdict:
        control, status = str(row["control"]), str(row["status"])
        if row["kind"] == "BREACH" and status != "PASS" and control not in elsewhere:
            named.add(control)
            yield _breach(rows.session, row, status)
    for row in rows.verdict:
        control, status = str(row["control"]), str(row["status"])
        if row["kind"] != "CONTROL" or status == "PASS" or control in named:
            continue
        if control in OF_CONTROL:
            yield raised(OF_CONTROL[control], FLAG if control == "RC-80" else control, rows.session, _said(row))
        elif status == HALTS and control != "RC-60":  # its rung tells
            yield raised("HALT_B", control, rows.session, _said(row))


def _breach(session: str, row: Mapping[str, object], status: str) -> Alert:
    control, group, halts = str(row["control"]), str(row["name"]), str(row["halt_class"])
    subject = f"{control} {group}".strip()
    if control in OF_CONTROL:
        return raised(OF_CONTROL[control], subject, session, _said(row))
    if halts in ("A", "B", "C"):
        return raised(f"HALT_{halts}", subject, session, _said(row))
    overdue = status == "REDUCE_ONLY"
    since = f"open since {row['opened']}: {_said(row)}"
    return raised("BREACH_OVERDUE" if overdue else "LIMIT_BREACH", subject, session, since)


def _said(row: Mapping[str, object]) -> str:
    return f"{row['control']} {row['message']}".strip()


def _of_reconciliation(rows: SessionRows) -> Iterator[Alert]:
    codes = {"break": "RECONCILIATION_BREAK", "locked": "RECONCILIATION_LOCK"}
    for row in rows.reconciliation:
        if str(row["outcome"]) in codes:
            subject = f"{row['kind']} {row['key']}"
            yield raised(codes[str(row["outcome"])], subject, rows.session, str(row["message"]))


def _of_book(rows: SessionRows) -> Iterator[Alert]:
    for row in rows.book:
        item, text = str(row["item"]), str(row["text"])
        if item == "rung" and rows.rung_before and text != rows.rung_before:
            yield raised("DRAWDOWN_RUNG", "rung", rows.session, f"from {rows.rung_before} to {text}")
        elif item == "stop.control":
            name = str(row["instrument"])
            yield raised("STOP_HIT", f"{text} {name}", rows.session, f"{text}: the stop of {name} was hit")


def _of_machine(machine: MachineFacts) -> Iterator[Alert]:
    for session, why in machine.late:
        yield raised("RUN_LATE", "session", session, why)
    free = machine.free_fraction
    if free is not None and not free >= machine.free_min:
        yield raised("DISK_LOW", "home", machine.day, f"{free:.1%} of the home's disk are free")
    word, reason = machine.halt
    if word != OFF:
        yield raised("HALT_FLAG", FLAG, machine.day, f"{word}: {reason}")
    if machine.ledger_fault:
        yield raised("LEDGER_FAULT", "chain", machine.day, machine.ledger_fault)
    if machine.daemons:
        yield raised("SECOND_DAEMON", "daemon", machine.day, f"daemons at once: {', '.join(machine.daemons)}")
    for job, session, run in machine.dead_jobs:
        yield failed_job(job, session, f"run {run} failed")
    for channel in machine.tests:
        yield weekly_test(channel, machine.tests_day or machine.day)


def weekly_test(channel: str, day: str) -> Alert:
    """The synthetic alert of one channel: it goes that way alone."""
    return raised("WEEKLY_TEST", channel, day, f"a test of channel {channel}: nothing is wrong")
