"""Starting on its own: what is due when, and that sensor and schedule together start one run and record a missed session once."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from standing_clock import Standing

from marketbot_assets.automation import (
    SCHEDULES,
    SENSORS,
    Request,
    Skip,
    Step,
    TooLate,
    cron_of,
    daily_schedule,
    daily_sensor,
    has_landed,
    landed,
    next_step,
)
from marketbot_assets.definitions import build_definitions
from marketbot_resources.clock import Clock
from marketbot_resources.errors import ProviderError
from marketbot_resources.halt import HaltSwitch
from marketbot_resources.mandate import Calendar, Schedule
from marketbot_resources.model import HaltLevel
from marketbot_resources.provider import Body, Delivery, MarketProvider, whole
from marketbot_resources.sessions import open_book, record_end, record_failure
from marketbot_resources.store.lake import Lake
from marketbot_resources.store.resource import StoreResource
from marketbot_resources.wiring import ClockResource, MandateResource, Ports

CALENDAR = Calendar(mic="XNYS", go_live=dt.date(2018, 10, 1), last_session=dt.date(2022, 12, 28))
SCHEDULE = Schedule(decide_at="17:45", timezone="America/New_York", landing_minutes_max=30, execute="next_open")
OPENED = dt.date(2018, 10, 1)
EVE = dt.date(2018, 12, 24)
LISTINGS = b'"source_id","mic"\n"US-GE","XNYS"\n"JP-1","XTKS"\n'
BAR = b'"source_id","session","close"\n"US-GE",2018-12-24,7.1\n'
TOO_LATE = "too late to trade: no decision by 2018-12-24T23:15:00Z"


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def step(now: str | None, *, ended: tuple[str, ...] = (), running: tuple[str, ...] = (), **changed: Any) -> Step:
    """next_step on the live clock at an instant; on the replay clock without one."""
    days = {"ended": [*map(dt.date.fromisoformat, ended)], "running": [*map(dt.date.fromisoformat, running)]}
    usual = {"calendar": CALENDAR, "schedule": SCHEDULE, "opened": OPENED, "landed": now is not None}
    return next_step(live=now is not None, now=utc(now) if now else None, **days, **{**usual, **changed})


# decide_at is 17:45 in New York: 22:45 UTC in winter, 21:45 UTC in summer; the deadline is 30 minutes later.
@pytest.mark.parametrize(
    ("session", "start", "deadline"),
    [
        ("2018-11-02", "2018-11-02T21:45:00", "2018-11-02T22:15:00"),  # Friday before the switch to winter time
        ("2018-11-05", "2018-11-05T22:45:00", "2018-11-05T23:15:00"),  # Monday after it
        ("2019-03-08", "2019-03-08T22:45:00", "2019-03-08T23:15:00"),  # Friday before the switch to summer time
        ("2019-03-11", "2019-03-11T21:45:00", "2019-03-11T22:15:00"),  # Monday after it
        ("2018-12-24", "2018-12-24T22:45:00", "2018-12-24T23:15:00"),  # half day
        ("2018-12-26", "2018-12-26T22:45:00", "2018-12-26T23:15:00"),  # after Christmas
    ],
)
def test_a_session_starts_between_decide_at_and_the_deadline(session: str, start: str, deadline: str) -> None:
    day, second = dt.date.fromisoformat(session), dt.timedelta(seconds=1)
    before = step((utc(start) - second).replace(tzinfo=None).isoformat())
    assert before == Skip(f"session {session}: starts at {start}Z")
    assert step(start) == Request(day)
    assert step(deadline) == Request(day)
    assert step(start, landed=False) == Skip(f"session {session}: waiting for data until {deadline}Z")
    assert step(deadline, landed=False) == Skip(f"session {session}: waiting for data until {deadline}Z")
    for data in (True, False):
        after = step((utc(deadline) + second).replace(tzinfo=None).isoformat(), landed=data)
        assert after == TooLate(day, f"too late to trade: no decision by {deadline}Z")


@pytest.mark.parametrize(
    ("now", "day"),
    [
        ("2018-12-05T22:50:00", "2018-12-05"),  # day of mourning
        ("2018-12-25T22:50:00", "2018-12-25"),
        ("2018-12-22T22:50:00", "2018-12-22"),  # Saturday
        ("2018-12-23T22:50:00", "2018-12-23"),  # Sunday
        ("2019-03-10T21:50:00", "2019-03-10"),  # Sunday of the switch to summer time
        ("2018-12-26T03:00:00", "2018-12-25"),  # already the 26th in UTC, still Christmas in New York
    ],
)
def test_no_session_no_run(now: str, day: str) -> None:
    assert step(now) == Skip(f"{day} is no session of XNYS")


def test_days_outside_of_the_mandate_and_before_the_book_are_skipped() -> None:
    bounds = Skip("2022-12-29 lies outside of the mandate's 2018-10-01 .. 2022-12-28")
    assert step("2022-12-29T22:50:00") == bounds
    assert step("2018-09-28T21:50:00") == Skip("2018-09-28 lies outside of the mandate's 2018-10-01 .. 2022-12-28")
    late_book = step("2018-12-24T22:50:00", opened=dt.date(2018, 12, 26))
    assert late_book == Skip("session 2018-12-24: the book of this home opens with 2018-12-26")


def test_a_book_that_is_not_open_starts_in_time_and_records_nothing_when_late() -> None:
    assert step("2018-12-24T22:50:00", opened=None) == Request(EVE)
    assert step("2018-12-24T23:16:00", opened=None) == Skip(f"session 2018-12-24: {TOO_LATE}; the book is not open yet")


@pytest.mark.parametrize("now", ["2018-12-24T22:00:00", "2018-12-24T22:50:00", "2018-12-24T23:16:00"])
def test_an_ended_or_running_session_is_left_alone(now: str) -> None:
    assert step(now, ended=("2018-12-24",)) == Skip("session 2018-12-24 has ended")
    assert step("2018-12-24T22:50:00", ended=("2018-12-21",)) == Request(EVE)  # the end of another one does not matter
    running = Skip("a run of session 2018-12-24 is in progress; one run at a time")
    assert step(now, running=("2018-12-24",)) == running
    assert step(now, running=("2018-12-24",), ended=("2018-12-24",)) == running


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2018-12-25T04:49:00", Skip("session 2018-12-24: starts at 2018-12-25T04:50:00Z")),
        ("2018-12-25T04:50:00", Request(EVE)),
        ("2018-12-25T05:10:00", Request(EVE)),  # ten past midnight in New York, before the deadline of the 24th
        ("2018-12-25T05:21:00", TooLate(EVE, "too late to trade: no decision by 2018-12-25T05:20:00Z")),
        ("2018-12-25T17:00:00", Skip("2018-12-25 is no session of XNYS")),
        ("2018-12-26T04:50:00", Skip("2018-12-25 is no session of XNYS")),
    ],
)
def test_a_deadline_after_midnight_belongs_to_the_day_before(now: str, expected: Step) -> None:
    night = SCHEDULE.model_copy(update={"decide_at": "23:50"})
    assert step(now, schedule=night) == expected


@pytest.mark.parametrize(
    ("opened", "ended", "expected"),
    [
        (None, (), "2018-10-01"),  # go-live
        ("2018-12-03", (), "2018-12-03"),
        ("2018-12-04", ("2018-12-04",), "2018-12-06"),  # the 5th is closed
        ("2018-12-21", ("2018-12-21",), "2018-12-24"),
        ("2018-12-24", ("2018-12-24",), "2018-12-26"),
        ("2018-12-24", ("2018-12-26",), "2018-12-24"),  # the oldest without an end
        ("2022-12-28", (), "2022-12-28"),
    ],
)
def test_the_replay_clock_goes_on_with_the_oldest_session_without_an_end(
    opened: str | None, ended: tuple[str, ...], expected: str
) -> None:
    first = dt.date.fromisoformat(opened) if opened else None
    assert step(None, opened=first, ended=ended) == Request(dt.date.fromisoformat(expected))


def test_the_replay_clock_runs_one_session_at_a_time_and_stops_at_the_last() -> None:
    running = Skip("a run of session 2018-12-24 is in progress; one run at a time")
    assert step(None, opened=EVE, running=("2018-12-24",)) == running
    assert step(None, ended=("2018-12-21",), running=("2018-12-24",)) == running
    assert step(None, opened=dt.date(2022, 12, 28), ended=("2022-12-28",)) == Skip(
        "every session up to 2022-12-28 has ended"
    )


@pytest.mark.parametrize(
    ("bars", "expected"),
    [
        (BAR, True),
        (BAR.replace(b"12-24", b"12-21"), False),  # the newest bar is of the session before
        (b'"source_id","session","close"\n"JP-1",2018-12-24,7.1\n', False),  # Tokyo has landed, New York has not
        (b'"source_id","session","close"\n', False),
    ],
)
def test_landed_wants_a_bar_of_the_session_on_the_decision_calendar(bars: bytes, expected: bool) -> None:
    assert landed("XNYS", EVE, answer(LISTINGS), answer(bars)) is expected


@pytest.mark.parametrize("bars", [b"", b"<html>busy</html>", b"\xff\xfe", b'"source_id","day"\n"US-1",2018-12-24\n'])
def test_a_body_that_is_no_table_has_not_landed(bars: bytes) -> None:
    """An error page is no bar and no failure of the sensor."""
    assert not has_landed(Market(bars), "XNYS", SCHEDULE, EVE, utc("2018-12-24T22:50:00"))  # type: ignore[arg-type]


class FixedClockResource(ClockResource):
    at: str

    def open(self) -> Clock:
        return Standing(utc(self.at))


def answer(content: bytes) -> Delivery:
    return whole(Body("twin", "twin://", "text/csv", 200, content))


class Market:
    """A market that serves one bar body, or fails; nothing else is asked of it."""

    def __init__(self, bars: bytes | None) -> None:
        self._bars = bars

    def instruments(self, as_of: dt.datetime) -> Delivery:
        return answer(LISTINGS)

    def prices(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        assert since is not None and since <= utc("2018-12-24T14:30:00") <= until  # noqa: PT018  (the session's open)
        if self._bars is None:
            raise ProviderError("no answer")
        return answer(self._bars)

    def probe(self, mic: str) -> "Market":
        return self


class TwinPorts(Ports):
    bars: str | None = BAR.decode()

    @property
    def market(self) -> MarketProvider:
        return Market(None if self.bars is None else self.bars.encode())  # type: ignore[return-value]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test(temp_dir=str(tmp_path_factory.mktemp("dagster"))) as instance:
        yield instance


@pytest.fixture
def instance(made: dg.DagsterInstance) -> dg.DagsterInstance:
    """Dagster's instance without runs."""
    for run in made.get_runs():
        made.delete_run(run.run_id)
    return made


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    found = Lake(tmp_path / "home")
    open_book(found.ledger, dt.date(2018, 12, 21), CALENDAR, SCHEDULE)
    record_end(found.ledger, dt.date(2018, 12, 21), "sent", "no orders")
    return found


def ports(tmp_path: Path, now: str | None, bars: str | None = BAR.decode()) -> dict[str, object]:
    return {
        "store": StoreResource(home=str(tmp_path / "home")),
        "mandate_file": MandateResource(),
        "clock": FixedClockResource(at=now) if now else ClockResource(),
        "ports": TwinPorts(bars=bars),
    }


Ticked = dg.RunRequest | dg.SkipReason


def sensor(instance: dg.DagsterInstance, resources: dict[str, object]) -> Ticked:
    with dg.build_sensor_context(instance=instance, resources=resources) as context:
        return daily_sensor(context)  # type: ignore[return-value]


def schedule(instance: dg.DagsterInstance, resources: dict[str, object], at: str = "2018-12-24T22:45:00") -> Ticked:
    with dg.build_schedule_context(instance=instance, resources=resources, scheduled_execution_time=utc(at)) as context:
        return daily_schedule(context)  # type: ignore[return-value]


def add_run(instance: dg.DagsterInstance, status: dg.DagsterRunStatus, by: str, session: str = "2018-12-24") -> None:
    tags = {"dagster/partition": session, "marketbot/started_by": by}
    instance.add_run(dg.DagsterRun(job_name="daily", status=status, tags=tags))


def said(ticked: Ticked) -> str:
    assert isinstance(ticked, dg.SkipReason), ticked
    return ticked.skip_message or ""


def ends(lake: Lake) -> list[tuple[str, str, str]]:
    found = lake.ledger.entries("session_end")
    return [(entry.key, str(entry.body["state"]), str(entry.body["reason"])) for entry in found]


def test_both_are_off_by_default_and_belong_to_the_definitions() -> None:
    repository = build_definitions().get_repository_def()
    names = [f"{one}_sensor" for one in ("alert", "daily", "declared", "intraday", "order", "parity")]
    assert sorted(one.name for one in repository.sensor_defs) == names
    assert {one.default_status for one in repository.sensor_defs} == {dg.DefaultSensorStatus.STOPPED}
    assert [one.name for one in repository.schedule_defs] == ["daily_schedule"]
    assert [one.name for one in (*SENSORS, *SCHEDULES)] == ["daily_sensor", "daily_schedule"]
    assert repository.get_schedule_def("daily_schedule").default_status is dg.DefaultScheduleStatus.STOPPED
    assert repository.get_sensor_def("daily_sensor").minimum_interval_seconds == 60
    assert repository.get_schedule_def("daily_schedule").execution_timezone == "America/New_York"
    assert {target.job_name for one in repository.sensor_defs for target in one.targets} == {
        *("daily", "declared", "intraday", "order_following", "later_window", "parity")
    }
    assert {one.job_name for one in repository.schedule_defs} == {"daily"}


@pytest.mark.parametrize(("decide_at", "cron"), [("17:45", "45 17 * * 1-5"), ("00:05", "5 0 * * 1-5")])
def test_cron_is_decide_at_on_weekdays(decide_at: str, cron: str) -> None:
    assert cron_of(SCHEDULE.model_copy(update={"decide_at": decide_at})) == cron


@pytest.mark.parametrize("first", ["daily_sensor", "daily_schedule"])
def test_sensor_and_schedule_together_start_one_run(
    first: str, tmp_path: Path, lake: Lake, instance: dg.DagsterInstance
) -> None:
    """Both ask with one run key while there is no run; once one is created, running or done, neither asks again."""
    given = ports(tmp_path, "2018-12-24T22:45:00")
    for by, tick in (("daily_sensor", sensor), ("daily_schedule", schedule)):
        asked = tick(instance, given)
        assert isinstance(asked, dg.RunRequest)
        assert (asked.partition_key, asked.run_key) == ("2018-12-24", "daily-2018-12-24")
        assert asked.tags["marketbot/started_by"] == by
    for status, answer in (
        (dg.DagsterRunStatus.SUCCESS, "has done it"),
        (dg.DagsterRunStatus.NOT_STARTED, "in progress; one run at a time"),
        (dg.DagsterRunStatus.STARTED, "a run of session 2018-12-24 is in progress"),
    ):
        add_run(instance, status, first)
        for tick in (sensor, schedule):
            assert answer in said(tick(instance, given))
    assert ends(lake) == [("2018-12-21", "sent", "no orders")]


def test_a_failed_run_is_repeated_by_the_other_one_or_by_hand_only(
    tmp_path: Path, lake: Lake, instance: dg.DagsterInstance
) -> None:
    add_run(instance, dg.DagsterRunStatus.FAILURE, "daily_sensor")
    given = ports(tmp_path, "2018-12-24T22:45:00")
    assert "run it again by hand: marketbot run --session 2018-12-24" in said(sensor(instance, given))
    assert isinstance(schedule(instance, given), dg.RunRequest)


def test_no_new_runs_starts_none(tmp_path: Path, lake: Lake, instance: dg.DagsterInstance) -> None:
    """RC-80: this level keeps sensor and schedule waiting; the others let a session run and send what its level lets go."""
    resources = ports(tmp_path, "2018-12-24T22:50:00")
    switch = HaltSwitch(tmp_path / "home")
    switch.set("a release", HaltLevel.NO_NEW_RUNS)
    for ticked in (sensor(instance, resources), schedule(instance, resources)):
        assert "no-new-runs (a release)" in said(ticked)
    switch.set("a doubt")
    assert isinstance(sensor(instance, resources), dg.RunRequest)


def test_the_end_in_the_ledger_stops_both(tmp_path: Path, lake: Lake, instance: dg.DagsterInstance) -> None:
    record_end(lake.ledger, EVE, "rejected", "RC-60")
    given = ports(tmp_path, "2018-12-24T22:45:00")
    assert [said(tick(instance, given)) for tick in (sensor, schedule)] == ["session 2018-12-24 has ended"] * 2


@pytest.mark.parametrize("bars", [BAR.replace(b"12-24", b"12-21").decode(), None])
def test_without_data_they_wait(bars: str | None, tmp_path: Path, lake: Lake, instance: dg.DagsterInstance) -> None:
    waiting = "session 2018-12-24: waiting for data until 2018-12-24T23:15:00Z"
    given = ports(tmp_path, "2018-12-24T22:45:00", bars)
    assert [said(tick(instance, given)) for tick in (sensor, schedule)] == [waiting] * 2


def test_a_missed_deadline_is_recorded_once(tmp_path: Path, lake: Lake, instance: dg.DagsterInstance) -> None:
    """Sensor and schedule, twice each: one end state, with its reason; a late tick of the schedule starts nothing."""
    given = ports(tmp_path, "2018-12-24T23:16:00")
    assert said(sensor(instance, given)) == f"session 2018-12-24: {TOO_LATE}; recorded as skipped"
    root = lake.ledger.head()
    for tick in (schedule, sensor, schedule):
        assert said(tick(instance, given)) == "session 2018-12-24 has ended"
    assert ends(lake) == [("2018-12-21", "sent", "no orders"), ("2018-12-24", "skipped", TOO_LATE)]
    assert lake.ledger.head() == root


def test_a_missed_deadline_names_the_failure_before_it(
    tmp_path: Path, lake: Lake, instance: dg.DagsterInstance
) -> None:
    record_failure(lake.ledger, EVE, "run-1", "raw_prices", "no answer")
    add_run(instance, dg.DagsterRunStatus.FAILURE, "daily_sensor")
    schedule(instance, ports(tmp_path, "2018-12-24T23:16:00"))
    assert ends(lake)[-1] == ("2018-12-24", "skipped", f"{TOO_LATE}; run ended at raw_prices: no answer")


def test_a_frozen_batch_and_a_run_in_progress_keep_the_session_open(
    tmp_path: Path, lake: Lake, instance: dg.DagsterInstance
) -> None:
    given = ports(tmp_path, "2018-12-24T23:16:00")
    lake.ledger.append("batch_frozen", "paper-1/2018-12-24/1", {"orders": []})
    assert "its batch is frozen" in said(sensor(instance, given))
    add_run(instance, dg.DagsterRunStatus.STARTED, "by hand")
    assert "in progress" in said(sensor(instance, given))
    assert ends(lake) == [("2018-12-21", "sent", "no orders")]


def test_on_a_holiday_nothing_is_asked_or_recorded(tmp_path: Path, lake: Lake, instance: dg.DagsterInstance) -> None:
    root = lake.ledger.head()
    for now, day in (("2018-12-25T23:30:00", "2018-12-25"), ("2018-12-05T23:30:00", "2018-12-05")):
        given = ports(tmp_path, now, None)
        assert said(schedule(instance, given, now)) == f"{day} is no session of XNYS"
        assert said(sensor(instance, given)) == f"{day} is no session of XNYS"
    assert lake.ledger.head() == root


def test_the_replay_clock_goes_on_when_a_session_has_ended(
    tmp_path: Path, lake: Lake, instance: dg.DagsterInstance
) -> None:
    given = ports(tmp_path, None)
    fresh = schedule(instance, {**given, "store": StoreResource(home=str(tmp_path / "new"))})
    assert isinstance(fresh, dg.RunRequest)
    assert fresh.partition_key == "2018-10-01"  # go-live
    seen = []
    for _ in range(3):
        asked = sensor(instance, given)
        assert isinstance(asked, dg.RunRequest)
        seen.append(str(asked.partition_key))
        record_end(lake.ledger, dt.date.fromisoformat(seen[-1]), "sent", "no orders")
    assert seen == ["2018-12-24", "2018-12-26", "2018-12-27"]
    add_run(instance, dg.DagsterRunStatus.STARTING, "by hand", "2018-12-27")
    assert said(sensor(instance, given)) == "a run of session 2018-12-27 is in progress; one run at a time"
