"""Starting a session on its own: a sensor that waits for the data, and a cron schedule as its fallback; both are opt-in.

`next_step` decides and is pure; sensor and schedule only gather what it needs and act on its answer. A session gets one
run: with an end in the ledger or a run in Dagster's instance, neither of them asks for another one.
"""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import dagster as dg
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG

from marketbot_assets.automation_switch import schedule_status, sensor_status
from marketbot_assets.jobs import daily
from marketbot_assets.partitions import SCHEDULE, sessions
from marketbot_resources.calendars import computed_cutoff, decide_at, decision_sessions
from marketbot_resources.clock import machine_now
from marketbot_resources.errors import ProviderError
from marketbot_resources.halt import HaltSwitch
from marketbot_resources.halt_sources import open_halt
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.mandate import Calendar, Schedule
from marketbot_resources.model import HaltLevel, utc_text
from marketbot_resources.provider import Delivery, MarketProvider
from marketbot_resources.redaction import redacting
from marketbot_resources.rows import cells
from marketbot_resources.sessions import book_open, end_state, frozen_batch, record_end, recorded_cutoffs
from marketbot_resources.store.resource import StoreResource
from marketbot_resources.wiring import ClockResource, MandateResource, Ports

STARTED_BY_TAG = "marketbot/started_by"
PARTITION_TAG = "dagster/partition"
RANGE_TAG = "dagster/asset_partition_range_start"
PROBE_WINDOW = dt.timedelta(days=1)  # before decide_at: a bar of the session becomes known in it
RETRY_WITHIN = dt.timedelta(minutes=3)  # Dagster makes the second run within seconds
NOTICE = dt.timedelta(hours=1)  # a deadline after midnight still counts for its own day so long
DONE = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
IN_PROGRESS = [status for status in dg.DagsterRunStatus if status not in DONE]


@dataclass(frozen=True, slots=True)
class Request:
    """Start the run of this session."""

    session: dt.date


@dataclass(frozen=True, slots=True)
class Skip:
    """Nothing to start now, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class TooLate:
    """The session's deadline passed without a run: it ends as skipped, with this reason."""

    session: dt.date
    reason: str


Step = Request | Skip | TooLate


def next_step(
    *,
    live: bool,
    now: dt.datetime | None,
    calendar: Calendar,
    schedule: Schedule,
    opened: dt.date | None,
    ended: Collection[dt.date],
    running: Collection[dt.date],
    landed: bool,
    newest: dt.datetime | None = None,
) -> Step:
    """What to do now. `opened`: the book's first session, None before there is one; `now` is None on the replay clock.

    `newest`: the newest recorded cutoff, None before there is one; a clock that shows less was put back, and nothing starts.
    `ended` and `running`: sessions with a recorded end, and with a run in progress; `landed`: the session's data are there.
    """
    if running:
        return Skip(f"a run of session {min(running)} is in progress; one run at a time")
    if not live:
        return _next_replayed(calendar, opened, ended)
    assert now is not None, "the live clock tells the time"
    if newest is not None and now < newest:
        was = f"before the newest cutoff, {utc_text(newest)}: it was put back"
        return Skip(f"the clock shows {utc_text(now)}, {was}; nothing starts until it has caught up")
    return _next_live(now, calendar, schedule, opened, ended, landed)


def _next_replayed(calendar: Calendar, opened: dt.date | None, ended: Collection[dt.date]) -> Step:
    for day in decision_sessions(calendar, opened or calendar.go_live, calendar.last_session):
        if day not in ended:
            return Request(day)
    return Skip(f"every session up to {calendar.last_session} has ended")


def _next_live(
    now: dt.datetime,
    calendar: Calendar,
    schedule: Schedule,
    opened: dt.date | None,
    ended: Collection[dt.date],
    landed: bool,
) -> Step:
    day = _day_of(now, schedule)
    if not calendar.go_live <= day <= calendar.last_session:
        return Skip(f"{day} lies outside of the mandate's {calendar.go_live} .. {calendar.last_session}")
    if not decision_sessions(calendar, day, day):
        return Skip(f"{day} is no session of {calendar.mic}")
    if opened is not None and day < opened:
        return Skip(f"session {day}: the book of this home opens with {opened}")
    if day in ended:
        return Skip(f"session {day} has ended")
    start, deadline = decide_at(schedule, day), computed_cutoff(schedule, day)
    if now < start:
        return Skip(f"session {day}: starts at {utc_text(start)}")
    if now > deadline:
        late = f"too late to trade: no decision by {utc_text(deadline)}"
        return TooLate(day, late) if opened is not None else Skip(f"session {day}: {late}; the book is not open yet")
    return Request(day) if landed else Skip(f"session {day}: waiting for data until {utc_text(deadline)}")


def _day_of(now: dt.datetime, schedule: Schedule) -> dt.date:
    """Today by the schedule's time zone; yesterday until its deadline, when that lies after midnight, has been noticed."""
    zone = ZoneInfo(schedule.timezone)
    today = now.astimezone(zone).date()
    yesterday = today - dt.timedelta(days=1)
    deadline = computed_cutoff(schedule, yesterday)
    over_midnight = deadline.astimezone(zone).date() == today
    return yesterday if over_midnight and now <= deadline + NOTICE else today


def landed(mic: str, session: dt.date, listings: Delivery, bars: Delivery) -> bool:
    """Whether there is a bar of this session of a listing on the decision calendar's exchange.

    Raises ProviderError for bodies that are not what their parser expects.
    """
    ours = {source_id for listed, source_id in cells(listings, ("mic", "source_id")) if listed == mic and source_id}
    label = session.isoformat()
    return any(str(day) == label and name in ours for day, name in cells(bars, ("session", "source_id")))


def has_landed(market: MarketProvider, mic: str, schedule: Schedule, session: dt.date, now: dt.datetime) -> bool:
    """Asks the provider for a few listings; a probe of which nothing is stored. A failing answer counts as not landed."""
    probe = market.probe(mic)
    try:
        listings = probe.instruments(now)
        bars = probe.prices(decide_at(schedule, session) - PROBE_WINDOW, now)
        return landed(mic, session, listings, bars)
    except ProviderError:
        return False


def record_missed(ledger: Ledger, account: str, missed: TooLate) -> str:
    """Ends a session whose deadline passed as skipped, once, and says so. A frozen batch is left to the next run."""
    if frozen_batch(ledger, account, missed.session) is not None:
        return f"session {missed.session}: {missed.reason}; its batch is frozen, the next run resolves its orders"
    known = end_state(ledger, missed.session)
    if known is None or known.state == "failed":
        reason = missed.reason if known is None else f"{missed.reason}; {known.reason}"
        record_end(ledger, missed.session, "skipped", reason)
    return f"session {missed.session}: {missed.reason}; recorded as skipped"


@dataclass(frozen=True, slots=True)
class Gathered:
    """The ports and Dagster's instance as one tick sees them; `by` names the sensor or schedule."""

    by: str
    instance: dg.DagsterInstance
    ledger: Ledger
    mandate_file: MandateResource
    clock: ClockResource
    ports: Ports
    halt: HaltSwitch


def evaluate(tick: Gathered) -> dg.RunRequest | dg.SkipReason:
    """One tick: gathers, asks `next_step`, acts. The provider is asked only when nothing else stands in the way."""
    mandate, clock = tick.mandate_file.load(), tick.clock.open()
    now = clock.now(mandate.calendar.go_live) if clock.live else None
    book = book_open(tick.ledger)
    ended = {dt.date.fromisoformat(entry.key) for entry in tick.ledger.entries("session_end")}
    running = sessions_in_progress(tick.instance)

    def step(data: bool) -> Step:
        return next_step(
            live=clock.live,
            now=now,
            calendar=mandate.calendar,
            schedule=mandate.schedule,
            opened=book.session if book else None,
            ended=ended,
            running=running,
            landed=data,
            newest=max((at for _, at in recorded_cutoffs(tick.ledger)), default=None),
        )

    found = step(True)
    if isinstance(found, Request) and (reason := _had_its_run(tick, found.session)):
        return dg.SkipReason(reason)
    if isinstance(found, Request) and (flag := tick.halt.read()).word == HaltLevel.NO_NEW_RUNS.value:
        return dg.SkipReason(f"session {found.session}: halt level {flag.word} ({flag.reason})")
    if isinstance(found, Request) and now is not None:
        market, mic = tick.ports.market, mandate.calendar.mic
        found = step(has_landed(market, mic, mandate.schedule, found.session, now))
    if isinstance(found, TooLate):
        return dg.SkipReason(record_missed(tick.ledger, mandate.account.id, found))
    return dg.SkipReason(found.reason) if isinstance(found, Skip) else _run_request(tick.by, found.session)


def sessions_in_progress(instance: dg.DagsterInstance) -> set[dt.date]:
    """Sessions of which a run of job `daily` is queued, starting or running, or died and is about to be started once more."""
    runs = instance.get_runs(filters=dg.RunsFilter(job_name=daily.name, statuses=IN_PROGRESS))
    keys = (run.tags.get(PARTITION_TAG) or run.tags.get(RANGE_TAG) for run in (*runs, *_dying(instance)))
    return {dt.date.fromisoformat(key) for key in keys if key}


def _dying(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Runs that died in the last minutes and whose second run Dagster has promised and not made yet."""
    failed = dg.RunsFilter(job_name=daily.name, statuses=[dg.DagsterRunStatus.FAILURE], tags={WILL_RETRY_TAG: "true"})
    since = (machine_now() - RETRY_WITHIN).timestamp()
    records = instance.get_run_records(failed, limit=2)
    fresh = [record for record in records if record.end_time is not None and record.end_time > since]
    return [found.dagster_run for found in fresh if AUTO_RETRY_RUN_ID_TAG not in found.dagster_run.tags]


def _had_its_run(tick: Gathered, session: dt.date) -> str | None:
    """Why no further run is asked for: one succeeded, or the one that this sensor or schedule started failed."""
    filters = dg.RunsFilter(job_name=daily.name, statuses=list(DONE), tags={PARTITION_TAG: session.isoformat()})
    for run in tick.instance.get_runs(filters=filters):
        if run.status is dg.DagsterRunStatus.SUCCESS:
            return f"session {session}: run {run.run_id} has done it; its end is not in the ledger yet"
        if run.tags.get(STARTED_BY_TAG) == tick.by:
            return (
                f"session {session}: run {run.run_id} failed; run it again by hand: marketbot run --session {session}"
            )
    return None


def _run_request(by: str, session: dt.date) -> dg.RunRequest | dg.SkipReason:
    key = session.isoformat()
    if not sessions.has_partition_key(key):
        return dg.SkipReason(f"{key} is no partition of this code location; reload it after a change of the mandate")
    return dg.RunRequest(run_key=f"daily-{key}", partition_key=key, tags={STARTED_BY_TAG: by})


def cron_of(schedule: Schedule) -> str:
    """decide_at on weekdays, as cron."""
    hour, minute = (int(part) for part in schedule.decide_at.split(":"))
    return f"{minute} {hour} * * 1-5"


@dg.sensor(job=daily, minimum_interval_seconds=60, default_status=sensor_status("daily"))
@redacting
def daily_sensor(
    context: dg.SensorEvaluationContext,
    store: StoreResource,
    mandate_file: MandateResource,
    clock: ClockResource,
    ports: Ports,
) -> dg.RunRequest | dg.SkipReason:
    """Starts today's session once its data have landed, between decide_at and the deadline; after it, records it as skipped.

    On the replay clock it starts the book's next session as soon as the one before has ended.
    """
    halt = open_halt(store.lake.home)
    return evaluate(Gathered("daily_sensor", context.instance, store.lake.ledger, mandate_file, clock, ports, halt))


@dg.schedule(
    job=daily,
    cron_schedule=cron_of(SCHEDULE),
    execution_timezone=SCHEDULE.timezone,
    default_status=schedule_status("daily"),
)
@redacting
def daily_schedule(
    context: dg.ScheduleEvaluationContext,
    store: StoreResource,
    mandate_file: MandateResource,
    clock: ClockResource,
    ports: Ports,
) -> dg.RunRequest | dg.SkipReason:
    """The sensor's fallback: at decide_at on weekdays, with the same guards. The clock decides, not the scheduled time."""
    halt = open_halt(store.lake.home)
    return evaluate(Gathered("daily_schedule", context.instance, store.lake.ledger, mandate_file, clock, ports, halt))


SENSORS = [daily_sensor]
SCHEDULES = [daily_schedule]
