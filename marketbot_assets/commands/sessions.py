"""Running sessions: `run`, `backfill`, `demo`. One session is one run of the job `daily` in this process."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from marketbot_assets.commands.home import existing_lake, instance, load_mandate, writable_home
from marketbot_resources.calendars import decision_sessions
from marketbot_resources.errors import UsageError
from marketbot_resources.mandate import Mandate
from marketbot_resources.sessions import book_open, end_state, frozen_batch
from marketbot_resources.store.resource import session_from_key

if TYPE_CHECKING:
    from marketbot_resources.store.lake import Lake

DEMO_LAST = dt.date(2018, 12, 24)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
GOOD_ENDS = ("sent",)


@dataclass(frozen=True, slots=True)
class SessionResult:
    """What a command shows of one session. `bound` names limits that bound the optimizer, `failed` controls that did not pass."""

    session: str
    state: str
    reason: str
    orders: int
    fills: int
    turnover: float
    nav: float | None
    drawdown: float | None
    verdict: str
    bound: tuple[str, ...]
    failed: tuple[str, ...]
    report: str | None


def run_session(session: dt.date, *, refetch: bool = False) -> SessionResult:
    """Runs one session and returns how it ended; a failed run is an end with its reason, not an exception."""
    from marketbot_assets.definitions import defs
    from marketbot_assets.lineage import REFETCH_TAG

    tags = {REFETCH_TAG: "true"} if refetch else {}
    job = defs.resolve_job_def("daily")
    with instance() as dagster:
        job.execute_in_process(
            partition_key=session.isoformat(), instance=dagster, raise_on_error=False, tags=tags, run_config=QUIET
        )
    return result_of(existing_lake(), session, load_mandate())


def result_of(lake: "Lake", session: dt.date, mandate: Mandate) -> SessionResult:
    """What the home knows of one session."""
    from marketbot_assets.commands.facts import SessionFacts

    facts = SessionFacts(lake, session)
    end = end_state(lake.ledger, session)
    batch = frozen_batch(lake.ledger, mandate.account.id, session)
    orders = batch.body["orders"] if batch else []
    return SessionResult(
        session=session.isoformat(),
        state=end.state if end else "not run",
        reason=end.reason if end else "",
        orders=len(orders) if isinstance(orders, list) else 0,
        fills=facts.fills(),
        turnover=facts.turnover(),
        nav=facts.book_number("nav"),
        drawdown=facts.book_number("drawdown"),
        verdict=facts.verdict(),
        bound=facts.bound(),
        failed=facts.failed(),
        report=facts.report(),
    )


def sessions_from(first: str, last: str) -> list[dt.date]:
    """The sessions of a range of two sessions or dates within the mandate's calendar."""
    mandate = load_mandate()
    try:
        start, end = dt.date.fromisoformat(first), dt.date.fromisoformat(last)
    except ValueError as error:
        raise UsageError(f"expected two dates like 2018-12-03 2018-12-07, found {first!r} {last!r}") from error
    calendar = mandate.calendar
    if not calendar.go_live <= start <= end <= calendar.last_session:
        raise UsageError(f"expected a range within {calendar.go_live} .. {calendar.last_session}, found {first} .. {last}")
    days = list(decision_sessions(calendar.mic, start, end))
    if not days:
        raise UsageError(f"expected sessions of {calendar.mic} in {first} .. {last}, found none")
    return days


def next_session(lake: "Lake | None", mandate: Mandate) -> dt.date:
    """The first session of the book that has no end yet; go-live in a home without a book."""
    opened = book_open(lake.ledger) if lake else None
    first = opened.session if opened else mandate.calendar.go_live
    for day in decision_sessions(mandate.calendar.mic, first, mandate.calendar.last_session):
        if lake is None or lake.ledger.get("session_end", day.isoformat()) is None:
            return day
    raise UsageError(f"every session up to {mandate.calendar.last_session} has been run")


def choose_session(text: str | None) -> dt.date:
    """The session of `--session`, else the next one."""
    from marketbot_resources import settings
    from marketbot_resources.store.lake import open_lake

    mandate = load_mandate()
    if text is not None:
        return session_from_key(text)
    has_book = (settings.home() / "index.sqlite").exists()
    return next_session(open_lake(settings.home()) if has_book else None, mandate)


def demo_sessions(count: int) -> list[dt.date]:
    """The last `count` sessions up to the demo's end. Raises UsageError when they reach before go-live."""
    mandate = load_mandate()
    calendar = mandate.calendar
    if count < 1:
        raise UsageError(f"expected --sessions of at least 1, found {count}")
    days = decision_sessions(calendar.mic, calendar.go_live, min(DEMO_LAST, calendar.last_session))
    if count > len(days):
        raise UsageError(f"expected at most {len(days)} sessions, which begin at go-live {calendar.go_live}, found {count}")
    return list(days[-count:])


def run_missing(days: Sequence[dt.date], *, quiet: bool) -> list[SessionResult]:
    """Runs the sessions that have no end yet, oldest first; sessions before the book's first are left out."""
    from tqdm import tqdm

    writable_home()
    mandate = load_mandate()
    results = []
    with tqdm(days, unit="session", disable=quiet or None) as bar:
        for day in bar:
            bar.set_description(day.isoformat())
            lake = _lake()
            opened = book_open(lake.ledger) if lake else None
            if opened is not None and day < opened.session:
                continue
            done = lake is not None and lake.ledger.get("session_end", day.isoformat()) is not None
            results.append(result_of(lake, day, mandate) if done and lake else run_session(day))
    return results


def _lake() -> "Lake | None":
    from marketbot_resources import settings
    from marketbot_resources.store.lake import open_lake

    return open_lake(settings.home()) if (settings.home() / "index.sqlite").exists() else None
