"""What the sensor sees beside the runs: late sessions, the hour of the weekly test; and that it is opt-in and starts no run."""

import datetime as dt
from pathlib import Path

import dagster as dg
import pytest

from marketbot_assets.alerting import weekly_due
from marketbot_assets.automation_alerts import alert_sensor, dead_jobs, late_sessions, machine_facts
from marketbot_resources.alert_detection import MachineFacts, alerts_due
from marketbot_resources.clock import machine_now, open_clock
from marketbot_resources.mandate import parse_mandate
from marketbot_resources.mandate_notification import Notification
from marketbot_resources.store.lake import Lake

MANDATE = parse_mandate((Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8"))
MONDAY, TUESDAY = dt.date(2018, 12, 10), dt.date(2018, 12, 11)
# 17:45 in New York and 30 minutes to land, and 30 minutes to end: 18:45, 23:45 UTC in winter.
LATE = dt.datetime(2018, 12, 11, 23, 45, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)


@pytest.mark.parametrize(
    ("now", "ended", "opened", "late"),
    [
        (LATE, {MONDAY}, MONDAY, []), (LATE + SECOND, {MONDAY}, MONDAY, ["2018-12-11"]),
        (LATE + SECOND, {MONDAY, TUESDAY}, MONDAY, []), (LATE + SECOND, set(), MONDAY, ["2018-12-10", "2018-12-11"]),
        (LATE + SECOND, set(), TUESDAY, ["2018-12-11"]), (LATE + SECOND, set(), None, []),
        # the next week: the fourth day back still counts, a weekend has no session
        (dt.datetime(2018, 12, 16, 12, tzinfo=dt.UTC), set(), MONDAY, ["2018-12-12", "2018-12-13", "2018-12-14"]),
    ],
)  # fmt: skip
def test_which_sessions_are_late(
    now: dt.datetime, ended: set[dt.date], opened: dt.date | None, late: list[str]
) -> None:
    """Half an hour after the deadline, not before; never of a book that is not open."""
    found = late_sessions(now, MANDATE.calendar, MANDATE.schedule, opened, ended)
    assert [session for session, _ in found] == late


def test_a_daylight_saving_day_is_late_by_its_own_clock() -> None:
    """On 2018-11-02 New York was four hours behind UTC: late from 22:45 on; on 2018-11-05 from 23:45 on."""
    for day, hour in ((dt.date(2018, 11, 2), 22), (dt.date(2018, 11, 5), 23)):
        at = dt.datetime(day.year, day.month, day.day, hour, 45, tzinfo=dt.UTC)
        assert late_sessions(at, MANDATE.calendar, MANDATE.schedule, day, ()) == ()
        assert len(late_sessions(at + SECOND, MANDATE.calendar, MANDATE.schedule, day, ())) == 1


BOTH = ("ops", "sms")


@pytest.mark.parametrize(
    ("zone", "at", "day", "due"),
    [("Europe/Berlin", "2018-12-10T07:59", "2018-12-10", ()), ("Europe/Berlin", "2018-12-10T08:00", "2018-12-10", BOTH),
     ("Europe/Berlin", "2018-12-10T22:59", "2018-12-10", BOTH), ("Europe/Berlin", "2018-12-10T23:00", "2018-12-11", ()),
     ("Europe/Berlin", "2018-12-11T08:00", "2018-12-11", ()),
     # the evening of a Monday is Tuesday in UTC, its morning in Tokyo was Sunday: still the same test of the same day
     ("America/New_York", "2018-12-10T14:00", "2018-12-10", BOTH), ("America/New_York", "2018-12-11T04:59", "2018-12-10", BOTH),
     ("Asia/Tokyo", "2018-12-10T00:00", "2018-12-10", BOTH), ("Asia/Tokyo", "2018-12-10T14:59", "2018-12-10", BOTH)],
)  # fmt: skip
def test_the_weekly_test_is_due_from_its_hour_on_once_a_day(zone: str, at: str, day: str, due: tuple[str, ...]) -> None:
    """Monday 09:00 in Berlin is 08:00 UTC in winter; a machine that was off at that hour tests later that day."""
    rule = {"weekday": "monday", "at": "09:00", "timezone": zone}
    channels = [{"name": "ops", "kind": "slack"}, {"name": "sms", "kind": "apprise"}]
    section = Notification.model_validate({"channels": channels, "weekly_test": rule})
    assert weekly_due(section, dt.datetime.fromisoformat(f"{at}:00+00:00")) == (day, due)
    told = alerts_due([], [], MachineFacts(at[:10], tests=due, tests_day=day))
    assert [alert.key for alert in told] == [f"WEEKLY_TEST/{name}/{day}" for name in due]


def test_it_is_opt_in_and_starts_nothing() -> None:
    assert alert_sensor.default_status is dg.DefaultSensorStatus.STOPPED
    assert alert_sensor.minimum_interval_seconds == 30


def test_the_machine_is_looked_at(tmp_path: Path) -> None:
    """A home with room, a flag that is set; on the replay clock nothing is late."""
    lake = Lake(tmp_path)
    (tmp_path / "HALT").write_text('{"reason": "a drill", "level": "flatten"}', encoding="utf-8")
    facts = machine_facts(lake, MANDATE, open_clock("replay", MANDATE.schedule), LATE)
    assert (facts.day, facts.late, facts.halt, facts.tests) == ("2018-12-11", (), ("flatten", "a drill"), ())
    assert facts.free_fraction is not None
    assert 0.0 < facts.free_fraction <= 1.0


def test_a_job_whose_process_was_killed_is_told_as_one_that_failed() -> None:
    """No hook ran in it. The same alert as the hook's, once per job and session; sessions' own runs are told elsewhere."""
    with dg.DagsterInstance.ephemeral() as instance:
        for number, (job, day) in enumerate(
            [("declared", "2018-12-11"), ("declared", "2018-12-11"), ("daily", "2018-12-11")]
        ):
            tags = {"dagster/partition": day}
            instance.add_run(dg.DagsterRun(job, f"run-{number}", status=dg.DagsterRunStatus.FAILURE, tags=tags))
        instance.add_run(dg.DagsterRun("parity", "run-9", status=dg.DagsterRunStatus.SUCCESS, tags=tags))
        instance.add_run(dg.DagsterRun("parity", "run-8", status=dg.DagsterRunStatus.FAILURE))
        now = machine_now()
        dead = dead_jobs(instance, now)
        assert dead_jobs(instance, now + dt.timedelta(days=5)) == ()
    assert sorted(dead) == [("declared", "2018-12-11", "run-0"), ("declared", "2018-12-11", "run-1")]
    (alert,) = alerts_due([], [], MachineFacts("2018-12-12", dead_jobs=dead))
    assert alert.key == "JOB_FAILED/declared/2018-12-11"
    assert alerts_due([], [], MachineFacts("2018-12-12", dead_jobs=dead), {alert.key}) == []
