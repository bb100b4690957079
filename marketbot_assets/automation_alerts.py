"""Alerts beside the runs: an opt-in sensor that sees what a dead run left, late sessions, a full disk, and sends the weekly test.

`late_sessions` and `machine_facts` gather; what they call for is pure (`marketbot_resources.alert_detection`). It starts no run.
"""

import datetime as dt
import json
import shutil
from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

import dagster as dg

from marketbot_assets.alerting import notification_of, storage_fault, tell, tell_unrecorded, weekly_due
from marketbot_assets.automation import PARTITION_TAG
from marketbot_assets.automation_switch import sensor_status
from marketbot_assets.daemons import Heard, beats_of, heard, read, together, written
from marketbot_assets.jobs import BESIDE
from marketbot_resources import settings
from marketbot_resources.alert_detection import OFF, MachineFacts
from marketbot_resources.alerts import KIND
from marketbot_resources.calendars import computed_cutoff, decision_sessions
from marketbot_resources.clock import Clock, machine_now
from marketbot_resources.halt_sources import open_halt
from marketbot_resources.ledger.examine import first_fault
from marketbot_resources.mandate import Calendar, Mandate, Schedule
from marketbot_resources.model import utc_text
from marketbot_resources.redaction import redacting
from marketbot_resources.sessions import book_open
from marketbot_resources.store.resource import StoreResource
from marketbot_resources.unrecorded import REFUSED
from marketbot_resources.wiring import ClockResource, MandateResource

if TYPE_CHECKING:
    from marketbot_resources.store.lake import Lake

GRACE = dt.timedelta(minutes=30)  # what was decided by the deadline still has to be sent and recorded
LOOK_BACK, FAILED_MAX = dt.timedelta(days=4), 20


def late_sessions(
    now: dt.datetime, calendar: Calendar, schedule: Schedule, opened: dt.date | None, ended: Collection[dt.date]
) -> tuple[tuple[str, str], ...]:
    """(session, why) of the last days' sessions of the book whose deadline is over for GRACE and that have no end."""
    if opened is None:
        return ()
    today = now.date()
    days = decision_sessions(calendar, max(today - LOOK_BACK, opened), min(today, calendar.last_session))
    late = [day for day in days if day not in ended and now > computed_cutoff(schedule, day) + GRACE]
    return tuple(
        (
            day.isoformat(),
            f"no end by {utc_text(computed_cutoff(schedule, day) + GRACE)}, half an hour after its deadline",
        )
        for day in late
    )


def machine_facts(
    lake: "Lake", mandate: Mandate, clock: Clock, now: dt.datetime, *, examine: bool = False
) -> MachineFacts:
    """What the machine shows at `now`. On the replay clock no session is late. `examine`: recompute the whole ledger."""
    ledger = lake.ledger
    late: tuple[tuple[str, str], ...] = ()
    if clock.live:
        book, ended = book_open(ledger), {dt.date.fromisoformat(entry.key) for entry in ledger.entries("session_end")}
        opened = book.session if book else None
        late = late_sessions(clock.now(mandate.calendar.go_live), mandate.calendar, mandate.schedule, opened, ended)
    disk, flag, section = shutil.disk_usage(lake.home), open_halt(lake.home).read(), notification_of(lake)
    halt = (flag.word, flag.reason) if flag.status != OFF else (OFF, "")
    tests_day, tests = weekly_due(section, now) if section is not None else ("", ())
    fault = (first_fault(ledger) if examine else None) or ""
    day = now.date().isoformat()
    return MachineFacts(
        day, late, disk.free / disk.total, halt=halt, ledger_fault=fault, tests=tests, tests_day=tests_day
    )


def dead_jobs(instance: dg.DagsterInstance, now: dt.datetime) -> tuple[tuple[str, str, str], ...]:
    """(job, session, run) of the last days' failed runs of jobs beside the sessions: one that was killed says nothing itself."""
    found = []
    for job in BESIDE:
        failed = dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.FAILURE], created_after=now - LOOK_BACK)
        found += [
            (job, run.tags.get(PARTITION_TAG, ""), run.run_id) for run in instance.get_runs(failed, limit=FAILED_MAX)
        ]
    return tuple(one for one in found if one[1])


def remembered(cursor: str | None) -> tuple[str, dict[str, Heard]]:
    """(hour of the last examination, daemons heard of by then) of the cursor before; nothing from a cursor of another kind."""
    try:
        told = json.loads(cursor or "{}")
    except ValueError:
        return "", {}
    return (str(told.get("hour", "")), read(told.get("daemons"))) if isinstance(told, dict) else ("", {})


@dg.sensor(minimum_interval_seconds=30, default_status=sensor_status("alerts"))
@redacting
def alert_sensor(
    context: dg.SensorEvaluationContext, store: StoreResource, mandate_file: MandateResource, clock: ClockResource
) -> dg.SkipReason:
    """Each half minute: records what calls for an alert and starts the notifier for what nobody has acknowledged.

    Once an hour the whole ledger is examined. Its cursor keeps the hour, and which of Dagster's daemons were heard of lately.
    """
    now = machine_now()
    hour = f"{now:%Y-%m-%dT%H}"
    examined, known = remembered(context.cursor)
    known = heard(known, beats_of(context.instance), now.timestamp())
    context.update_cursor(json.dumps({"hour": examined, "daemons": written(known)}))
    try:
        lake = store.lake
        if notification_of(lake) is None:
            return dg.SkipReason("the mandate names no channel: alerts are not sent")
        facts = machine_facts(lake, mandate_file.load(), clock.open(), now, examine=examined != hour)
        context.update_cursor(json.dumps({"hour": hour, "daemons": written(known)}))
        new = tell(
            lake, replace(facts, daemons=together(known), dead_jobs=dead_jobs(context.instance, now)), again=True
        )
        recorded = len(lake.ledger.entries(KIND))
    except REFUSED as error:
        new = tell_unrecorded(settings.home(), [storage_fault(error)])
        return dg.SkipReason(f"ledger or store cannot be used; {len(new)} new alerts told without it: {error}")
    return dg.SkipReason(f"{len(new)} new alerts, {recorded} recorded in all")
