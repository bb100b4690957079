"""Asking for quotes while exchanges trade: an opt-in sensor that starts job `intraday` every so many minutes. Sends nothing.

`quotes_due` decides and is pure. Not here: which stops the quotes broke (`book.intraday_exits`), the daily run (`automation`).
"""

import datetime as dt
from collections.abc import Collection

import dagster as dg

from marketbot_assets.automation import IN_PROGRESS, STARTED_BY_TAG, sessions_in_progress
from marketbot_assets.automation_switch import sensor_status
from marketbot_assets.jobs import intraday
from marketbot_assets.partitions import sessions
from marketbot_resources.calendars import computed_cutoff, decide_at, decision_sessions, trades_at
from marketbot_resources.mandate import Mandate
from marketbot_resources.redaction import redacting
from marketbot_resources.sessions import book_open
from marketbot_resources.store.resource import StoreResource
from marketbot_resources.wiring import ClockResource, MandateResource

PAUSE_DAYS_MAX = 15


def next_decision(mandate: Mandate, now: dt.datetime) -> dt.date | None:
    """The first session whose deadline has not passed: quotes of now are known to its decision. None after the last session."""
    first, last = now.date() - dt.timedelta(days=2), now.date() + dt.timedelta(days=PAUSE_DAYS_MAX)
    ahead = decision_sessions(mandate.calendar, first, min(last, mandate.calendar.last_session))
    return next((day for day in ahead if computed_cutoff(mandate.schedule, day) >= now), None)


def quotes_due(
    *, mandate: Mandate, now: dt.datetime | None, opened: dt.date | None, ended: Collection[dt.date], running: bool
) -> tuple[dt.date, str] | str:
    """(session, key of the interval) to ask for now, or why not. `now` is None on the replay clock; `ended`: decided sessions.

    `opened`: the book's first session; before it has decided there is nothing held.
    """
    if mandate.intraday is None:
        return "the mandate has no key `intraday`"
    if now is None:
        return "quotes are asked for on the live clock only"
    session = next_decision(mandate, now)
    if session is None or opened is None or session <= opened:
        return "no session was decided before; nothing is held"
    if session in ended or now >= decide_at(mandate.schedule, session):
        return f"session {session}: its run has begun"
    if running:
        return "a run is in progress; one run at a time"
    if not any(trades_at(mic, now, mandate.calendar.closed) for mic in sorted(mandate.universe.listings)):
        return "no exchange of the universe trades now"
    interval = int(now.timestamp()) // (60 * mandate.intraday.minutes)
    return session, f"intraday-{session.isoformat()}-{interval}"


@dg.sensor(job=intraday, minimum_interval_seconds=60, default_status=sensor_status("intraday"))
@redacting
def intraday_sensor(
    context: dg.SensorEvaluationContext, store: StoreResource, mandate_file: MandateResource, clock: ClockResource
) -> dg.RunRequest | dg.SkipReason:
    """Asks for quotes of held names every `intraday.minutes`, on the live clock, while an exchange of the universe trades."""
    mandate, ticking, ledger = mandate_file.load(), clock.open(), store.lake.ledger
    book = book_open(ledger)
    quoting = context.instance.get_runs(filters=dg.RunsFilter(job_name=intraday.name, statuses=IN_PROGRESS), limit=1)
    found = quotes_due(
        mandate=mandate,
        now=ticking.now(mandate.calendar.go_live) if ticking.live else None,
        opened=book.session if book else None,
        ended={dt.date.fromisoformat(entry.key) for entry in ledger.entries("session_end")},
        running=bool(quoting or sessions_in_progress(context.instance)),
    )
    if isinstance(found, str):
        return dg.SkipReason(found)
    session, key = found[0].isoformat(), found[1]
    if not sessions.has_partition_key(session):
        return dg.SkipReason(
            f"{session} is no partition of this code location; reload it after a change of the mandate"
        )
    return dg.RunRequest(run_key=key, partition_key=session, tags={STARTED_BY_TAG: "intraday_sensor"})
