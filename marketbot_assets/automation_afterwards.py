"""What rests on sessions that have ended: opt-in sensors that start job `declared` each session and job `parity` each week.

`declared_due` and `parity_due` decide and are pure. Nothing of a decision waits for either job, so neither may stand in a session's
way: no run is asked for while another one is in progress, nor in the hour before the next session begins. What was missed by then
is not made up for here. Not here: the daily run (`automation`), the jobs themselves (`jobs`).
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg

from marketbot_assets.automation import IN_PROGRESS, STARTED_BY_TAG
from marketbot_assets.automation_switch import sensor_status
from marketbot_assets.jobs import declared, parity
from marketbot_assets.partitions import sessions
from marketbot_resources.calendars import computed_cutoff, decide_at, decision_sessions
from marketbot_resources.halt_sources import open_halt
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.mandate import Calendar, Schedule
from marketbot_resources.model import HaltLevel
from marketbot_resources.redaction import redacting
from marketbot_resources.store.resource import StoreResource
from marketbot_resources.wiring import ClockResource, MandateResource

SKIPPED = "skipped"
BEFORE_SESSION = dt.timedelta(hours=1)
PAUSE_DAYS_MAX = 15
SECONDS = 300


@dataclass(frozen=True, slots=True)
class Seen:
    """What a tick sees. `now` is None on the replay clock; `ended`: session -> how it ended; `busy`: a run is in progress."""

    now: dt.datetime | None
    calendar: Calendar
    schedule: Schedule
    ended: Mapping[dt.date, str]
    busy: bool = False

    @property
    def decided(self) -> dt.date | None:
        """The newest session that ended and was not skipped: its data are there. None before there is one."""
        return max((day for day, state in self.ended.items() if state != SKIPPED), default=None)


def declared_due(seen: Seen) -> dt.date | str:
    """The session whose declared features are to be stored now, or why none: the newest one, once it has ended well."""
    day = seen.decided
    return _refusal(seen, day) or day or "no session has ended well yet"


def parity_due(seen: Seen) -> dt.date | str:
    """The newest decided session of a week that is over, or why there is none.

    A week is over when its last session has ended, or can no longer be decided because its deadline has passed.
    """
    day = seen.decided
    last = None if day is None else last_of_week(seen.calendar, day)
    if reason := _refusal(seen, last):
        return reason
    if day is None or last is None or seen.now is None:
        return "no session has ended well yet"
    if last not in seen.ended and seen.now <= computed_cutoff(seen.schedule, last):
        return f"the week of session {day} ends with {last}"
    return day


def last_of_week(calendar: Calendar, day: dt.date) -> dt.date:
    """The last session of a session's ISO week, within the mandate's."""
    sunday = day + dt.timedelta(days=7 - day.isoweekday())
    return decision_sessions(calendar, day, min(sunday, max(day, calendar.last_session)))[-1]


def _refusal(seen: Seen, day: dt.date | None) -> str | None:
    """Why nothing may start now, if so. `day`: the session after which it would."""
    if seen.now is None:
        return "on the live clock only"
    if seen.busy:
        return "a run is in progress; one run at a time"
    if day is None:
        return None
    ahead = decision_sessions(seen.calendar, day + dt.timedelta(days=1), day + dt.timedelta(days=PAUSE_DAYS_MAX))
    if ahead and seen.now >= decide_at(seen.schedule, ahead[0]) - BEFORE_SESSION:
        return f"session {ahead[0]} comes first; what follows {day} is started by hand from now on"
    return None


def _seen(
    instance: dg.DagsterInstance, store: StoreResource, mandate_file: MandateResource, clock: ClockResource
) -> Seen:
    mandate, ticking = mandate_file.load(), clock.open()
    return Seen(
        now=ticking.now(mandate.calendar.go_live) if ticking.live else None,
        calendar=mandate.calendar,
        schedule=mandate.schedule,
        ended=_ends(store.lake.ledger),
        busy=bool(instance.get_runs(filters=dg.RunsFilter(statuses=IN_PROGRESS), limit=1)),
    )


def _ends(ledger: Ledger) -> dict[dt.date, str]:
    return {dt.date.fromisoformat(entry.key): str(entry.body["state"]) for entry in ledger.entries("session_end")}


def _asked(found: dt.date | str, asset: str, store: StoreResource, by: str) -> dg.RunRequest | dg.SkipReason:
    """The run of a session, once; nothing when the asset is stored for it."""
    if isinstance(found, str):
        return dg.SkipReason(found)
    key = found.isoformat()
    if not sessions.has_partition_key(key):
        return dg.SkipReason(f"{key} is no partition of this code location; reload it after a change of the mandate")
    if store.lake.index.newest(asset, key) is not None:
        return dg.SkipReason(f"session {key}: {asset} is stored")
    if (flag := open_halt(store.lake.home).read()).word == HaltLevel.NO_NEW_RUNS.value:
        return dg.SkipReason(f"session {key}: halt level {flag.word} ({flag.reason})")
    return dg.RunRequest(run_key=f"{asset}-{key}", partition_key=key, tags={STARTED_BY_TAG: by})


@dg.sensor(job=declared, minimum_interval_seconds=SECONDS, default_status=sensor_status("declared"))
@redacting
def declared_sensor(
    context: dg.SensorEvaluationContext, store: StoreResource, mandate_file: MandateResource, clock: ClockResource
) -> dg.RunRequest | dg.SkipReason:
    """On the live clock: stores the declared features of a session once it has ended well."""
    found = declared_due(_seen(context.instance, store, mandate_file, clock))
    return _asked(found, "wide_features", store, "declared_sensor")


@dg.sensor(job=parity, minimum_interval_seconds=SECONDS, default_status=sensor_status("parity"))
@redacting
def parity_sensor(
    context: dg.SensorEvaluationContext, store: StoreResource, mandate_file: MandateResource, clock: ClockResource
) -> dg.RunRequest | dg.SkipReason:
    """On the live clock: compares a week's sessions with their backtest once the week's last one is over."""
    found = parity_due(_seen(context.instance, store, mandate_file, clock))
    return _asked(found, "parity_check", store, "parity_sensor")
