"""Running sessions: `run`, `backfill`. One session is one run of the job `daily` in this process.

A session whose end is recorded and whose proof is stored is not run again: what it decided is history (`--refetch` asks the
providers again and adds versions, never orders). Not here: what `demo` shows (`demo`), where the book stands (`status`).
"""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from marketbot_assets.commands.home import existing_lake, instance, load_mandate
from marketbot_assets.commands.run_failure import first_failure_of
from marketbot_resources.calendars import computed_cutoff, decide_at, decision_sessions
from marketbot_resources.clock import Clock, open_clock
from marketbot_resources.errors import SessionRefused, UsageError
from marketbot_resources.governance import admit
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import OrderState, utc_text
from marketbot_resources.processes import myself
from marketbot_resources.secrets_needed import refuse_without_secrets
from marketbot_resources.sessions import book_open, check_in_time, cutoff_of, end_state, first_failure
from marketbot_resources.store.index_opening import has_index

if TYPE_CHECKING:
    import pandas as pd
    from dagster import DagsterEvent

    from marketbot_resources.store.index import IndexRow
    from marketbot_resources.store.lake import Lake

LAST_ASSET = "proof"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
DUE_MAX = 20
SENT, DATA, WAITING = "sent", "data", "waiting"
FAILED_STATUSES = ("SHRINK", "REJECT_ORDER", "REJECT_BATCH", "REDUCE_ONLY", "HALT")


@dataclass(frozen=True, slots=True)
class SessionResult:
    """What a command shows of one session. `state`: sent, waiting (for a window), rejected, halted, skipped, failed, not run.

    `nav` base currency; `drawdown` from the ladder's high, `turnover` one-way of the approved orders, fractions; None where not
    known. `bound`: controls whose limit bound the target; `failed`: controls that did more than warn in the last round.
    """

    session: str
    state: str
    reason: str
    verdict: str
    orders: int
    fills: int
    nav: float | None
    drawdown: float | None
    rung: str
    turnover: float | None
    bound: tuple[str, ...]
    failed: tuple[str, ...]
    content: dict[str, str]

    @property
    def good(self) -> bool:
        """Whether it went as decided: an approved batch, possibly of no orders, was sent or will be; or its data are there."""
        return self.state in (SENT, DATA, WAITING)

    @property
    def ended(self) -> bool:
        """Whether an end is recorded, whatever the verdict."""
        return self.state in ("sent", "rejected", "halted", "skipped")


def run_session(session: dt.date, *, refetch: bool = False, data: bool = False) -> SessionResult:
    """Runs one session and returns how it ended; a failed run is an end with its reason, not an exception.

    `data`: the job `data` instead: everything up to the forecasts, nothing is decided. Raises, before anything is run,
    MandateError for a mandate file that may not take effect in this session, UsageError out of its time on the live clock.
    """
    lake, mandate = open_home(), load_mandate()
    _check_in_time(lake, mandate, session)
    refuse_without_secrets(mandate, None if lake is None else lake.ledger, session)
    if lake is not None:
        admit(lake, session, mandate)
    from marketbot_assets.definitions import defs
    from marketbot_assets.lineage import REFETCH_TAG
    from marketbot_resources.run_launcher import PROCESS_TAG

    tags = {PROCESS_TAG: myself()} | ({REFETCH_TAG: "true"} if refetch else {})
    job = defs.resolve_job_def("data" if data else "daily")
    with instance() as dagster:
        run = job.execute_in_process(
            partition_key=session.isoformat(), instance=dagster, raise_on_error=False, tags=tags, run_config=QUIET
        )
    lake = existing_lake()
    result = result_of(lake, session, failed=not run.success)
    if result.state == "failed" and not lake.ledger.entries("run_failed", f"{session.isoformat()}/{run.run_id}/"):
        result = replace(result, reason=unrecorded(run.all_events) or result.reason)
    return replace(result, state=DATA, reason="") if data and run.success else result


def unrecorded(events: "Sequence[DagsterEvent]") -> str:
    """Where and why a run ended, by its own events, when the ledger could not be told; "" when no step of it failed."""
    failed = first_failure_of(events)
    if failed is None:
        return ""
    return f"run ended at {failed[0]}: {failed[1]}; it is not recorded: mend that, then give the same command again"


def _check_in_time(lake: "Lake | None", mandate: Mandate, session: dt.date) -> None:
    clock = open_clock(mandate.providers.clock, mandate.schedule)
    try:
        check_in_time(lake.ledger if lake else None, clock, mandate.schedule, session)
    except SessionRefused as error:
        raise UsageError(str(error)) from error


def is_done(lake: "Lake | None", session: dt.date) -> bool:
    """Whether a session's end is recorded and everything that it stored is sealed and signed."""
    if lake is None or lake.ledger.get("session_end", session.isoformat()) is None:
        return False
    skipped = end_state(lake.ledger, session)
    if skipped is not None and skipped.state == "skipped":
        return True
    return lake.index.newest(LAST_ASSET, session.isoformat()) is not None


def run_once(session: dt.date) -> SessionResult:
    """Runs a session that is not done; of one that is done, tells how it ended."""
    lake = open_home()
    return result_of(lake, session) if lake is not None and is_done(lake, session) else run_session(session)


def open_home() -> "Lake | None":
    """The store of the home, None when nothing was ever run."""
    from marketbot_resources import settings
    from marketbot_resources.store.lake import open_lake

    return open_lake(settings.home()) if has_index(settings.home()) else None


def result_of(lake: "Lake", session: dt.date, *, failed: bool = False) -> SessionResult:
    """What the home knows of one session; `failed` when the run that just ended did."""
    part = session.isoformat()
    rows = lake.index.of_part(part)
    end = end_state(lake.ledger, session)
    state = "failed" if failed and (end is None or end.state == SENT) else end.state if end else "not run"
    reason = "" if end is None else end.reason
    if failed and end is not None and end.state == SENT:
        first = first_failure(lake.ledger.entries("run_failed", part + "/"))
        reason = str(first.body["reason"]) if first else "a check or a report failed after the orders were sent"
    waiting = "" if failed or end else waiting_for(lake, part)
    if waiting:
        state, reason = WAITING, waiting
    nav, drawdown, rung = _book(lake, rows)
    verdict = _frame(lake, rows, "risk_verdict")
    explanation = _frame(lake, rows, "target_explanation")
    orders, fills = _frame(lake, rows, "orders"), _frame(lake, rows, "fills")
    return SessionResult(
        session=part,
        state=state,
        reason=reason,
        verdict="" if verdict is None else str(verdict["verdict"].iloc[0]),
        orders=0 if orders is None else len(orders),
        fills=0 if fills is None else len(fills),
        nav=nav,
        drawdown=drawdown,
        rung=rung,
        turnover=_turnover(orders, _frame(lake, rows, "order_plan"), nav),
        bound=() if explanation is None else tuple(sorted(set(explanation.loc[explanation["binding"], "subject"]))),
        failed=() if verdict is None else _failed(verdict),
        content={name: row.content_sha256 for name, row in sorted(rows.items())},
    )


def waiting_for(lake: "Lake", session: str) -> str:
    """How many orders of a session (ISO date) without an end wait for which window, and who sends them; "" for none."""
    rows = lake.index.of_part(session)
    sent, orders = _frame(lake, rows, "submissions"), _frame(lake, rows, "orders")
    if sent is None or orders is None:
        return ""
    unsent = set(sent.loc[sent["state"] == OrderState.APPROVED.value, "client_order_id"])
    windows = orders.loc[orders["client_order_id"].isin(unsent), "send_from"]
    if windows.empty:
        return ""
    first = utc_text(windows.min().to_pydatetime())
    return f"{len(windows)} orders are not sent before {first}; order_sensor does, or marketbot run --session {session} then"


def _frame(lake: "Lake", rows: "dict[str, IndexRow]", asset: str) -> "pd.DataFrame | None":
    return lake.load(rows[asset]) if asset in rows else None


def _book(lake: "Lake", rows: "dict[str, IndexRow]") -> tuple[float | None, float | None, str]:
    from marketbot_assets.book.frames import state_of

    frame = _frame(lake, rows, "book_state")
    if frame is None:
        return None, None, ""
    state = state_of(frame)
    return state.nav, state.drawdown, state.rung.value


def _turnover(orders: "pd.DataFrame | None", plan: "pd.DataFrame | None", nav: float | None) -> float | None:
    """One-way: half of what is bought and sold at the plan's values in the approved share, over NAV; no currency legs."""
    if orders is None or plan is None or not nav:
        return None
    both = orders.merge(
        plan[["client_order_id", "value_base", "quantity"]], on="client_order_id", suffixes=("", "_plan")
    )
    shares = both[both["kind"] == "EQUITY"]
    values = [
        float(value) * float(quantity / planned)
        for value, quantity, planned in zip(
            shares["value_base"], shares["quantity"], shares["quantity_plan"], strict=True
        )
    ]
    return 0.5 * sum(values) / nav


def _failed(verdict: "pd.DataFrame") -> tuple[str, ...]:
    loud = verdict[(verdict["kind"] != "BATCH") & verdict["status"].isin(FAILED_STATUSES)]
    return tuple(sorted(set(loud["control"]) - {""}))


def sessions_from(first: str, last: str) -> list[dt.date]:
    """The sessions of a range of two sessions or dates within the mandate's calendar."""
    mandate = load_mandate()
    try:
        start, end = dt.date.fromisoformat(first), dt.date.fromisoformat(last)
    except ValueError as error:
        raise UsageError(f"expected two dates like 2018-12-03 2018-12-07, found {first!r} {last!r}") from error
    calendar = mandate.calendar
    if not calendar.go_live <= start <= end <= calendar.last_session:
        raise UsageError(
            f"expected a range within {calendar.go_live} .. {calendar.last_session}, found {first} .. {last}"
        )
    days = list(decision_sessions(calendar, start, end))
    if not days:
        raise UsageError(f"expected sessions of {calendar.mic} in {first} .. {last}, found none")
    return days


def next_session(lake: "Lake | None", mandate: Mandate) -> dt.date:
    """The first session of the book that is not done; go-live in a home without a book. On the live clock that of now."""
    clock = open_clock(mandate.providers.clock, mandate.schedule)
    if clock.live:
        return live_session(lake, mandate, clock.now(mandate.calendar.go_live))
    opened = book_open(lake.ledger) if lake else None
    first = opened.session if opened else mandate.calendar.go_live
    for day in decision_sessions(mandate.calendar, first, mandate.calendar.last_session):
        if not is_done(lake, day):
            return day
    raise UsageError(f"every session up to {mandate.calendar.last_session} has been run")


def live_session(lake: "Lake | None", mandate: Mandate, now: dt.datetime) -> dt.date:
    """The session to run at an instant: the first whose deadline is ahead and which is not done.

    Before it starts, the newest one that has begun and is not done, so that it comes to its end. Raises UsageError after the last.
    """
    calendar, schedule = mandate.calendar, mandate.schedule
    cutoffs = lake.ledger.entries("session_cutoff") if lake else []
    begun = max((dt.date.fromisoformat(entry.key) for entry in cutoffs), default=None)
    since = max(calendar.go_live, now.date() - dt.timedelta(days=2))
    ahead = (day for day in decision_sessions(calendar, since, calendar.last_session) if not is_done(lake, day))
    day = next((day for day in ahead if now <= computed_cutoff(schedule, day)), None)
    if begun is not None and not is_done(lake, begun) and (day is None or now < decide_at(schedule, day)):
        return begun
    if day is None:
        raise UsageError(f"every session up to {calendar.last_session} has been run or has passed")
    return day


def choose_session(text: str | None) -> dt.date:
    """The session of `--session`, else the next one."""
    mandate, lake = load_mandate(), open_home()
    if text is None:
        return next_session(lake, mandate)
    from marketbot_resources.store.resource import session_from_key  # loads Dagster, which most commands do without

    session, opened = session_from_key(text), book_open(lake.ledger) if lake else None
    if opened is not None and session < opened.session:
        raise UsageError(
            f"session {session}: the book of this home opens with {opened.session}; choose that one or a later one"
        )
    return session


def run_range(
    days: Sequence[dt.date], *, quiet: bool, whatever: bool = False, data: bool = False
) -> list[SessionResult]:
    """Runs sessions oldest first, one run each; stops at the first that does not end well (`whatever`: that has no end).

    `data`: data and forecasts only.
    """
    from tqdm import tqdm

    results = []
    with tqdm(days, unit="session", disable=quiet or None) as bar:
        for day in bar:
            bar.set_description(day.isoformat())
            results.append(run_session(day, data=True) if data else run_once(day))
            if not (results[-1].good or (whatever and results[-1].ended)):
                break
    return results


def run_due(
    within: dt.timedelta, *, clock: Clock | None = None, run: Callable[[dt.date], SessionResult] = run_once
) -> list[SessionResult]:
    """Runs every session that is due on the live clock, oldest first, and waits for one that begins `within` so much time.

    Ends with nothing more due, or at the first that has no end. `clock`: by default the mandate's. Raises UsageError on the
    replay clock, where nothing is due, and after the last session of the calendar.
    """
    results: list[SessionResult] = []
    for _ in range(DUE_MAX):
        mandate, lake = load_mandate(), open_home()
        told = clock or open_clock(mandate.providers.clock, mandate.schedule)
        if not told.live:
            raise UsageError("--due: expected the live clock in the mandate, found replay; name a session: --session D")
        now = told.now(mandate.calendar.go_live)
        try:
            day = live_session(lake, mandate, now)
        except UsageError:
            if results:
                break
            raise
        early = decide_at(mandate.schedule, day) - now
        begun = lake is not None and cutoff_of(lake.ledger, day) is not None
        if not begun and early > within:
            break
        if not begun and early > dt.timedelta(0):
            told.wait(early.total_seconds())
            continue
        results.append(run(day))
        if not results[-1].ended:
            break
    return results
