"""One planted incident per kind of alert: found, once, with the severity and subject that people need; quiet days are quiet."""

import pytest

from marketbot_assets.book.schema import BREAK, EXPLAINED, LOCKED, MATCH
from marketbot_resources.alert_codes import CODES
from marketbot_resources.alert_detection import (
    MachineFacts,
    SessionRows,
    alerts_due,
    code_of_failure,
    code_of_storage,
)
from marketbot_resources.alerts import Alert, Severity, subject_of
from marketbot_resources.ledger.record import Entry, Json

DAY = "2018-12-11"


def entry(kind: str, key: str, seq: int = 7, **body: Json) -> Entry:
    return Entry(seq, kind, key, body, "0" * 64)


def row(kind: str, control: str, status: str, **more: object) -> dict[str, object]:
    return {"kind": kind, "control": control, "status": status, "name": "", "message": "m", "halt_class": "",
            "opened": DAY, **more}  # fmt: skip


def verdict(*rows: dict[str, object]) -> SessionRows:
    return SessionRows(DAY, verdict=rows)


def failed(step: str, reason: str) -> list[Entry]:
    return [entry("run_failed", f"{DAY}/run-1/{step}", step=step, reason=f"run ended at {step}: {reason}")]


def book(*items: tuple[str, str, str], before: str = "") -> SessionRows:
    rows = [{"item": item, "instrument": name, "text": text} for item, name, text in items]
    return SessionRows(DAY, book=rows, rung_before=before)


def compared(outcome: str) -> SessionRows:
    return SessionRows(DAY, reconciliation=[{"kind": "POSITION", "key": "MBA", "outcome": outcome, "message": "m"}])


def broken(kind: str, *rows: dict[str, object]) -> SessionRows:
    return SessionRows(DAY, rows, [{"kind": kind, "key": "K", "outcome": "break", "message": "m"}])


def doubt(*states: str) -> list[Entry]:
    return [entry("order_event", f"o1/{n}", n, state=state, at=f"{DAY}T23:16:00Z") for n, state in enumerate(states, 1)]


# code -> (entries, rows, machine, subject)
PLANTED: dict[str, tuple[list[Entry], SessionRows | None, MachineFacts | None, str]] = {
    "SESSION_CUT": ([entry("session_end", DAY, state="sent", reason="r", never_sent=2)], None, None, "session"),
    "SECOND_DAEMON": ([], None, MachineFacts(DAY, daemons=("a", "b")), "daemon"),
    "LIMIT_BREACH": ([], verdict(row("BREACH", "RC-30", "WARN", name="MBA")), None, "RC-30 MBA"),
    "BREACH_OVERDUE": ([], verdict(row("BREACH", "RC-30", "REDUCE_ONLY", name="MBA")), None, "RC-30 MBA"),
    "HALT_A": ([], verdict(row("BREACH", "RC-83", "HALT", halt_class="A")), None, "RC-83"),
    "HALT_B": ([], verdict(row("BREACH", "RC-13", "HALT", halt_class="B")), None, "RC-13"),
    "HALT_C": ([], verdict(row("BREACH", "RC-66", "HALT", halt_class="C")), None, "RC-66"),
    "HALT_FLAG": ([], None, MachineFacts(DAY, halt=("flatten", "a drill")), "flag"),
    "SESSION_REJECTED": ([entry("session_end", DAY, state="rejected", reason="m")], None, None, "session"),
    "SESSION_HALTED": ([entry("session_end", DAY, state="halted", reason="m")], None, None, "session"),
    "SESSION_SKIPPED": ([entry("session_end", DAY, state="skipped", reason="m")], None, None, "session"),
    "SESSION_FAILED": (failed("features", "ValueError"), None, None, "features"),
    "RUN_LATE": ([], None, MachineFacts(DAY, late=((DAY, "m"),)), "session"),
    "DATA_GAP": ([], verdict(row("CONTROL", "RC-87", "REDUCE_ONLY")), None, "RC-87"),
    "PROVIDER_FAILURE": (failed("raw_prices", "yahoo: HTTP 503"), None, None, "raw_prices"),
    "SECRET_MISSING": (failed("raw_macro", "expected a key in the environment, found none: set F"), None, None, "raw_macro"),
    "BROKER_ERROR": (failed("account_snapshot", "the broker cannot be asked"), None, None, "account_snapshot"),
    "ORDER_UNKNOWN": (doubt("SENDING", "UNKNOWN"), None, None, "o1"),
    "ORDER_OVERDUE": ([entry("order_incident", "o1")], None, None, "o1"),
    "REJECT_STORM": ([], verdict(row("BREACH", "RC-90", "HALT", halt_class="B")), None, "RC-90"),
    "RECONCILIATION_BREAK": ([], compared(BREAK), None, "POSITION MBA"),
    "RECONCILIATION_LOCK": ([], compared(LOCKED), None, "POSITION MBA"),
    "DRAWDOWN_RUNG": ([], book(("rung", "", "SCALED"), before="FULL"), None, "rung"),
    "STOP_HIT": ([], book(("stop.control", "MBA", "RC-62")), None, "RC-62 MBA"),
    "COST_DRIFT": ([], verdict(row("BREACH", "RC-73", "WARN")), None, "RC-73"),
    "FEATURE_DRIFT": ([], verdict(row("BREACH", "RC-89", "WARN")), None, "RC-89"),
    **{code: ([entry("llm_incident", f"{DAY}/{code}/1", session=DAY, code=code, reason="m")], None, None, "llm")
       for code in ("LLM_PROVIDER", "LLM_REFUSED", "LLM_BUDGET", "LLM_MODEL_CHANGED", "LLM_WORKER")},
    "REPLAY_DIFFERS": ([entry("breach", f"replay/{DAY}/abc", why="m")], None, None, "replay"),
    "PARITY_DIFFERS": ([entry("parity_difference", f"{DAY}/1", why="m")], None, None, "parity"),
    "LEDGER_FAULT": (failed("submissions", "the ledger's head was refused: m"), None, None, "submissions"),
    "SIGNALS_FAILED": ([entry("signals_failed", f"{DAY}/1", reason="m")], None, None, "signals"),
    "JOB_FAILED": ([entry("job_failed", f"{DAY}/run-1", job="declared", reason="wide_features: m")], None, None, "declared"),
    "ANCHOR_FAILURE": ([entry("anchor_failed", "000000000012/file", problem="m")], None, None, "file"),
    "DISK_LOW": ([], None, MachineFacts(DAY, free_fraction=0.04), "home"),
    "HEARTBEAT_MISSED": ([], verdict(row("CONTROL", "RC-85", "WARN")), None, "RC-85"),
    "WEEKLY_TEST": ([], None, MachineFacts(DAY, tests=("ops",)), "ops"),
}  # fmt: skip


def due(code: str, told: frozenset[str] = frozenset()) -> list[Alert]:
    entries, rows, machine, _ = PLANTED[code]
    return alerts_due(entries, [rows] if rows else [], machine, told)


def test_every_kind_of_alert_is_planted() -> None:
    """A new code without an incident here fails."""
    assert set(PLANTED) == set(CODES)


@pytest.mark.parametrize("code", sorted(PLANTED))
def test_a_planted_incident_is_found_once(code: str) -> None:
    """RC-92: as its own kind, by its own severity; and nothing new once it is recorded."""
    (found,) = due(code)
    assert (found.code, found.subject, found.severity) == (code, PLANTED[code][3], CODES[code].severity)
    assert due(code, frozenset({found.key})) == []


CALM = [
    entry("session_end", DAY, state="sent", reason=""), entry("operator_action", "000001", action="resume", reason="m"),
    *doubt("SENDING", "UNKNOWN", "ACCEPTED"),
]  # fmt: skip
CALM_ROWS = SessionRows(
    DAY,
    verdict=(row("CONTROL", "RC-30", "WARN"), row("CONTROL", "RC-87", "PASS"), row("ORDER", "", "PASS"),
             row("BREACH", "RC-30", "PASS", name="MBA")),
    reconciliation=compared(MATCH).reconciliation, book=book(("rung", "", "FULL")).book, rung_before="FULL",
)  # fmt: skip


def test_a_calm_day_is_quiet() -> None:
    """A warning, a cured breach, an order whose answer came, an explained difference, an untouched rung: nothing to tell."""
    assert alerts_due(CALM, [CALM_ROWS, compared(EXPLAINED)], MachineFacts(DAY, free_fraction=0.5)) == []
    assert alerts_due([], [SessionRows(DAY)]) == []


def test_the_worst_comes_first() -> None:
    every = [PLANTED[code] for code in sorted(PLANTED)]
    found = alerts_due([e for p in every for e in p[0]], [p[1] for p in every if p[1]], None)
    ranks = [alert.severity for alert in found]
    assert ranks == sorted(ranks, reverse=True)
    assert (ranks[0], ranks[-1]) == (Severity.CRITICAL, Severity.WARN)
    assert len({alert.key for alert in found}) == len(found)


def test_a_disk_that_cannot_be_measured_is_told() -> None:
    """NaN is not room enough."""
    assert [a.code for a in alerts_due([], [], MachineFacts(DAY, free_fraction=float("nan")))] == ["DISK_LOW"]
    assert alerts_due([], [], MachineFacts(DAY, free_fraction=0.05)) == []


@pytest.mark.parametrize(
    ("step", "reason", "code"),
    [
        ("raw_prices", "tiingo: HTTP 401", "SECRET_MISSING"),
        ("raw_prices", "tiingo: the API key has expired", "SECRET_MISSING"),
        ("account_snapshot", "alpaca: HTTP 403 forbidden", "SECRET_MISSING"),
        ("raw_prices", "tiingo: 4013 rows, expected 4012", "PROVIDER_FAILURE"),
        ("price_history", "yahoo: HTTP 500", "PROVIDER_FAILURE"),
        ("account_snapshot", "session 2018-12-10 has not been run", "SESSION_FAILED"),
        ("orders", "expected a verdict", "SESSION_FAILED"),
    ],
)
def test_what_a_failure_is(step: str, reason: str, code: str) -> None:
    """F42: an expired secret is told as such, whoever said it."""
    assert [alert.code for alert in alerts_due(failed(step, reason))] == [code]


def test_long_subjects_stay_apart_and_fit() -> None:
    one, other = subject_of("x" * 500 + "1"), subject_of("x" * 500 + "2")
    assert one != other
    assert len(one) == len(other) == 120
    assert subject_of("a/b\nc") == "a|b c"


@pytest.mark.parametrize(
    ("kind", "control", "told"),
    [("POSITION", "RC-67", ["POSITION K"]), ("FILL", "RC-67", ["FILL K"]), ("CASH", "RC-67", ["CASH K"]),
     ("CASH", "RC-68", ["CASH K"]), ("POSITION", "RC-68", ["POSITION K", "RC-68"])],
)  # fmt: skip
@pytest.mark.parametrize("row_kind", ["CONTROL", "BREACH"])
def test_a_break_is_told_once(kind: str, control: str, told: list[str], row_kind: str) -> None:
    """By the difference itself; the control that counts the same differences says nothing more, one of other differences does."""
    found = alerts_due([], [broken(kind, row(row_kind, control, "HALT", halt_class="B"))])
    assert [(one.code, one.subject) for one in found] == [("RECONCILIATION_BREAK", name) for name in told]


def test_a_control_without_differences_beside_it_is_told() -> None:
    """RC-67 that could not be computed, or rows of another session: the control speaks."""
    (one,) = alerts_due([], [verdict(row("CONTROL", "RC-67", "HALT"))])
    assert (one.code, one.subject) == ("RECONCILIATION_BREAK", "RC-67")


@pytest.mark.parametrize(
    ("reason", "code"),
    [("ledger: expected to use x, found: database or disk is full", "DISK_LOW"), ("[Errno 28] No space left on device", "DISK_LOW"),
     ("ledger: expected to use x, found: attempt to write a readonly database", "LEDGER_FAULT"),
     ("[Errno 122] Disk quota exceeded", "DISK_LOW")],
)  # fmt: skip
def test_a_disk_that_is_full_is_no_broken_ledger(reason: str, code: str) -> None:
    assert (code_of_failure("features", reason), code_of_storage(reason)) == (code, code)


@pytest.mark.parametrize("step", ["opening_balance", "account_snapshot", "submissions"])
@pytest.mark.parametrize(
    "who", ["alpaca: /v2/account: the connection failed", "ibkr: 127.0.0.1:4002 refused", "the broker"]
)
def test_who_does_not_answer_at_a_step_of_the_broker_is_the_broker(step: str, who: str) -> None:
    """Also on the first day, when the book is opened with what the broker holds."""
    assert code_of_failure(step, who) == "BROKER_ERROR"
    assert code_of_failure("features", who) == "SESSION_FAILED"
