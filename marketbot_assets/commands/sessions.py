"""Running sessions: `run`, `backfill`. One session is one run of the job `daily` in this process."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from marketbot_assets.commands.home import existing_lake, instance, load_mandate
from marketbot_resources.calendars import decision_sessions
from marketbot_resources.errors import UsageError
from marketbot_resources.mandate import Mandate
from marketbot_resources.sessions import book_open, end_state
from marketbot_resources.store.resource import session_from_key

if TYPE_CHECKING:
    from marketbot_resources.store.lake import Lake

LAST_ASSET = "daily_report"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True, slots=True)
class SessionResult:
    """What a command shows of one session. `state`: complete, failed, skipped or not run; the counts are of its findings."""

    session: str
    state: str
    reason: str
    bars: int
    warned: int
    quarantined: int
    halts: int
    content: dict[str, str]

    @property
    def good(self) -> bool:
        """Whether the session's data are complete and no rule halts it."""
        return self.state == "complete" and self.halts == 0


def run_session(session: dt.date, *, refetch: bool = False) -> SessionResult:
    """Runs one session and returns how it ended; a failed run is an end with its reason, not an exception."""
    from marketbot_assets.definitions import defs
    from marketbot_assets.lineage import REFETCH_TAG

    tags = {REFETCH_TAG: "true"} if refetch else {}
    job = defs.resolve_job_def("daily")
    with instance() as dagster:
        run = job.execute_in_process(
            partition_key=session.isoformat(), instance=dagster, raise_on_error=False, tags=tags, run_config=QUIET
        )
    return result_of(existing_lake(), session, failed=not run.success)


def result_of(lake: "Lake", session: dt.date, *, failed: bool = False) -> SessionResult:
    """What the home knows of one session; `failed` when the run that just ended did."""
    part = session.isoformat()
    rows = {row.asset: row for row in lake.index.all_newest() if row.part == part}
    quality = lake.load(rows["data_quality"])["outcome"].value_counts() if "data_quality" in rows else {}
    end = end_state(lake.ledger, session)
    complete = LAST_ASSET in rows and not failed
    state = "complete" if complete else end.state if end else "not run"
    return SessionResult(
        session=part,
        state=state,
        reason="" if complete or end is None else end.reason,
        bars=rows["prices"].rows if "prices" in rows else 0,
        warned=int(quality.get("warn", 0)),
        quarantined=int(quality.get("quarantine", 0)),
        halts=int(quality.get("halt", 0)),
        content={name: row.content_sha256 for name, row in sorted(rows.items())},
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
        raise UsageError(
            f"expected a range within {calendar.go_live} .. {calendar.last_session}, found {first} .. {last}"
        )
    days = list(decision_sessions(calendar.mic, start, end))
    if not days:
        raise UsageError(f"expected sessions of {calendar.mic} in {first} .. {last}, found none")
    return days


def next_session(lake: "Lake | None", mandate: Mandate) -> dt.date:
    """The first session of the book that has no end yet; go-live in a home without a book."""
    opened = book_open(lake.ledger) if lake else None
    first = opened.session if opened else mandate.calendar.go_live
    for day in decision_sessions(mandate.calendar.mic, first, mandate.calendar.last_session):
        if lake is None or lake.index.newest(LAST_ASSET, day.isoformat()) is None:
            return day
    raise UsageError(f"every session up to {mandate.calendar.last_session} has been run")


def choose_session(text: str | None) -> dt.date:
    """The session of `--session`, else the next one."""
    from marketbot_resources import settings
    from marketbot_resources.store.lake import open_lake

    mandate = load_mandate()
    lake = open_lake(settings.home()) if (settings.home() / "index.sqlite").exists() else None
    if text is None:
        return next_session(lake, mandate)
    session, opened = session_from_key(text), book_open(lake.ledger) if lake else None
    if opened is not None and session < opened.session:
        raise UsageError(
            f"session {session}: the book of this home opens with {opened.session}; choose that one or a later one"
        )
    return session


def run_range(days: Sequence[dt.date], *, quiet: bool) -> list[SessionResult]:
    """Runs sessions oldest first, one run each, and stops at the first that does not end well."""
    from tqdm import tqdm

    results = []
    with tqdm(days, unit="session", disable=quiet or None) as bar:
        for day in bar:
            bar.set_description(day.isoformat())
            results.append(run_session(day))
            if not results[-1].good:
                break
    return results
