"""What an environment switches on, which runs are started once more after a crash, and what a clock that was put back starts."""

import datetime as dt
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import RunFailureReason
from dagster._core.execution.retries import auto_reexecution_should_retry_run
from dagster._core.launcher import WorkerStatus
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, GRPC_INFO_TAG

from marketbot_assets.automation import (
    Request,
    Skip,
    TooLate,
    daily_schedule,
    daily_sensor,
    next_step,
    sessions_in_progress,
)
from marketbot_assets.automation_switch import WORDS, schedule_status, sensor_status, words_of
from marketbot_assets.definitions import build_definitions
from marketbot_assets.portfolio.cadence import is_rebalance
from marketbot_assets.session_facts import newest_decided
from marketbot_resources import run_launcher
from marketbot_resources.calendars import computed_cutoff
from marketbot_resources.errors import HomeError
from marketbot_resources.mandate import Calendar, Schedule, parse_mandate
from marketbot_resources.processes import lives, myself
from marketbot_resources.run_launcher import PROCESS_TAG, AskingRunLauncher
from marketbot_resources.sessions import record_cutoff, record_end
from marketbot_resources.store.lake import Lake
from marketbot_resources.store.resource import StoreResource
from marketbot_resources.wiring import ClockResource, MandateResource, Ports

ROOT = Path(__file__).parents[2]
CALENDAR = Calendar(mic="XNYS", go_live=dt.date(2018, 10, 1), last_session=dt.date(2022, 12, 28))
SCHEDULE = Schedule(decide_at="17:45", timezone="America/New_York", landing_minutes_max=30, execute="next_open")
RETRIES = {"run_retries": {"enabled": True, "max_retries": 0, "retry_on_asset_or_op_failure": False}}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", set()),
        ("daily", {"daily"}),
        (" daily , orders,", {"daily", "orders"}),
        ("declared,parity", {"declared", "parity"}),
        ("all", {"alerts", "daily", "declared", "intraday", "orders", "parity"}),
        ("all,daily", {"alerts", "daily", "declared", "intraday", "orders", "parity"}),
    ],
)
def test_words_of_the_environment(text: str, words: set[str]) -> None:
    assert words_of(text) == words


@pytest.mark.parametrize("text", ["weekly", "Daily", "daily;orders", "daily,on", "1", "none"])
def test_an_unknown_word_is_refused(text: str) -> None:
    """Nothing is switched on by a word that nobody knows, not even what stands beside it."""
    with pytest.raises(
        HomeError, match="MARKETBOT_AUTOMATION: expected alerts, daily, declared, intraday, orders, parity or all"
    ):
        words_of(text)


def test_a_word_switches_its_own_sensor_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read from the environment at the moment of asking; unset, every one is off (`test_automation` asks the definitions)."""
    on, off = dg.DefaultSensorStatus.RUNNING, dg.DefaultSensorStatus.STOPPED
    for value, expected in (("orders", [off, off, off, off, on, off]), ("all", [on] * 6), ("", [off] * 6)):
        monkeypatch.setenv("MARKETBOT_AUTOMATION", value)
        assert [sensor_status(word) for word in WORDS] == expected
        assert schedule_status("daily").value == expected[1].value


@pytest.mark.long
def test_definitions_load_with_what_the_environment_says() -> None:
    """In a process of its own: two words switch on three of seven; unset, all are off (`test_automation`)."""
    script = (
        "from marketbot_assets.definitions import defs\n"
        "found = defs.get_repository_def()\n"
        "for one in (*found.sensor_defs, *found.schedule_defs):\n"
        "    print(one.name, one.default_status.value)\n"
    )
    environment = {**os.environ, "MARKETBOT_AUTOMATION": "daily,orders", "PYTHONPATH": str(ROOT)}
    script_line = [sys.executable, "-W", "ignore", "-c", script]
    said = subprocess.run(script_line, env=environment, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = dict(line.split() for line in said.splitlines())
    assert {name for name, status in found.items() if status == "RUNNING"} == {
        *("daily_sensor", "daily_schedule", "order_sensor")
    }


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test(overrides=RETRIES) as made:
        yield made


@lru_cache
def tags_of(job: str) -> dict[str, str]:
    """What the definitions put on every run of a job."""
    return {str(key): str(value) for key, value in build_definitions().resolve_job_def(job).tags.items()}


def added(instance: dg.DagsterInstance, job: str, session: str) -> dg.DagsterRun:
    """A run as the job's definition tags it."""
    tags = {**tags_of(job), "dagster/partition": session}
    return instance.add_run(dg.DagsterRun(job_name=job, status=dg.DagsterRunStatus.STARTED, tags=tags))


@pytest.mark.parametrize(
    ("job", "reason", "again"),
    [
        ("daily", None, True),  # the process was killed
        ("daily", RunFailureReason.UNKNOWN, True),
        ("daily", RunFailureReason.START_TIMEOUT, True),
        ("daily", RunFailureReason.STEP_FAILURE, False),  # a refusal is an answer
        ("data", None, True),
        ("data", RunFailureReason.STEP_FAILURE, False),
        *((job, reason, False) for job in ("later_window", "order_following", "intraday", "backtest_range")
          for reason in (None, RunFailureReason.STEP_FAILURE)),
    ],
)  # fmt: skip
def test_only_crashes_of_whole_sessions_are_started_once_more(
    job: str, reason: RunFailureReason | None, again: bool, instance: dg.DagsterInstance
) -> None:
    """Dagster's own rule on the jobs' own tags. What the order sensor starts, it asks for again by itself."""
    run = added(instance, job, "2018-12-03")
    instance.report_run_failed(run)
    failed = instance.get_run_by_id(run.run_id)
    assert failed is not None
    assert auto_reexecution_should_retry_run(instance, failed, reason) is again
    tags = {**failed.tags, "dagster/root_run_id": run.run_id, "dagster/parent_run_id": run.run_id}
    second = dg.DagsterRun(
        job_name=job, status=dg.DagsterRunStatus.FAILURE, tags=tags, parent_run_id=run.run_id, root_run_id=run.run_id
    )
    assert auto_reexecution_should_retry_run(instance, instance.add_run(second), reason) is False


def test_a_run_that_dies_and_is_promised_a_second_one_counts_as_in_progress(instance: dg.DagsterInstance) -> None:
    """So nobody calls its session too late in between; once the second run is there, that one counts."""
    run, day = added(instance, "daily", "2018-12-24"), dt.date(2018, 12, 24)
    assert day in sessions_in_progress(instance)
    instance.report_run_failed(run)
    assert day in sessions_in_progress(instance)
    instance.add_run_tags(run.run_id, {AUTO_RETRY_RUN_ID_TAG: "second"})
    assert day not in sessions_in_progress(instance)


def test_ticks_at_the_same_moment_name_one_run(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """F34: eight ticks of sensor and schedule at once: one key, one session, so that each of the two starts one run at most."""
    for run in instance.get_runs():
        instance.delete_run(run.run_id)

    def tick(place: int) -> tuple[str | None, str | None]:
        ports = {"store": StoreResource(home=str(tmp_path)), "mandate_file": MandateResource()}
        given = {**ports, "clock": ClockResource(), "ports": Ports()}
        if place % 2:
            context = dg.build_schedule_context(
                instance=instance, resources=given, scheduled_execution_time=instant("2018-10-01T21:45:00")
            )
            asked = daily_schedule(context)
        else:
            asked = daily_sensor(dg.build_sensor_context(instance=instance, resources=given))
        assert isinstance(asked, dg.RunRequest), asked
        return asked.run_key, asked.partition_key

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(tick, range(8))) == {("daily-2018-10-01", "2018-10-01")}


def test_the_instance_sees_dead_runs_and_frees_what_they_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The instance's file as shipped, loaded by Dagster."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    shutil.copyfile(ROOT / "dagster_home" / "dagster.yaml", tmp_path / "dagster.yaml")
    with dg.DagsterInstance.from_config(str(tmp_path)) as made:
        assert isinstance(made.run_launcher, AskingRunLauncher)
        assert made.run_launcher.supports_check_run_worker_health
        assert made.run_monitoring_enabled
        assert made.run_monitoring_poll_interval_seconds <= 30
        assert made.run_monitoring_max_resume_run_attempts == 0
        assert (made.run_retries_enabled, made.run_retries_max_retries) == (True, 0)
        assert made.run_retries_retry_on_asset_or_op_failure is False
        queue = made.get_concurrency_config().run_queue_config
        assert queue is not None
        assert (queue.max_concurrent_runs, queue.max_user_code_failure_retries) == (1, 4)
        assert queue.user_code_failure_retry_delay * 4 >= 120


def health(tags: dict[str, str]) -> WorkerStatus:
    run = dg.DagsterRun(job_name="daily", status=dg.DagsterRunStatus.STARTED, tags=tags)
    return AskingRunLauncher().check_run_worker_health(run).status


def test_a_run_is_dead_when_its_code_server_is_gone_and_not_when_it_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port on which nobody listens any more; one that takes the connection and says nothing; a run of a command."""
    monkeypatch.setattr(run_launcher, "ANSWER_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert health({GRPC_INFO_TAG: json.dumps({"host": "localhost", "port": port})}) is WorkerStatus.RUNNING
    assert health({GRPC_INFO_TAG: json.dumps({"host": "localhost", "port": port})}) is WorkerStatus.NOT_FOUND
    assert health({}) is WorkerStatus.RUNNING


def test_a_run_of_a_command_is_dead_when_its_process_is() -> None:
    """A real process, alive and killed; another machine's, another start of the machine, a number that was given again."""
    script = "from marketbot_resources.processes import myself; print(myself(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        name = other.stdout.readline().strip()
        assert health({PROCESS_TAG: name}) is WorkerStatus.RUNNING
        host, boot, space, number, start = name.split("/")
        assert number == str(other.pid)
        assert health({PROCESS_TAG: f"{host}/{boot}/{space}/{number}/{int(start) + 1}"}) is WorkerStatus.NOT_FOUND
        assert health({PROCESS_TAG: f"{host}/of-yesterday/{space}/{number}/{start}"}) is WorkerStatus.NOT_FOUND
        assert health({PROCESS_TAG: f"elsewhere/{boot}/{space}/{number}/{start}"}) is WorkerStatus.RUNNING
        # two containers of a pod share their name; the numbers of one mean nothing in the other
        assert health({PROCESS_TAG: f"{host}/{boot}/pid:[1]/{number}/{int(start) + 1}"}) is WorkerStatus.RUNNING
        # its code server was killed or started anew, the run goes on; then the run dies, too
        with socket.create_server(("127.0.0.1", 0)) as closed:
            gone = json.dumps({"host": "localhost", "port": closed.getsockname()[1]})
        assert health({PROCESS_TAG: name, GRPC_INFO_TAG: gone}) is WorkerStatus.RUNNING
        other.kill()
        other.wait()
        assert health({PROCESS_TAG: name}) is WorkerStatus.NOT_FOUND
        assert health({PROCESS_TAG: name, GRPC_INFO_TAG: gone}) is WorkerStatus.NOT_FOUND


def test_a_run_names_the_process_that_executes_it(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """The name of the process before, which Dagster copies to a retry, is written over."""

    @dg.op
    def step(store: StoreResource) -> None:
        assert store.home

    @dg.job(resource_defs={"store": StoreResource(home=str(tmp_path))})
    def any_job() -> None:
        step()

    run = any_job.execute_in_process(instance=instance, tags={PROCESS_TAG: "a/dead/one/1/1"})
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.tags[PROCESS_TAG] == myself()
    assert lives(found.tags[PROCESS_TAG]) is True


def test_what_was_decided_before_is_read_from_the_ledger(tmp_path: Path) -> None:
    """Wednesday was skipped, so Thursday rebalances in its place: by what was recorded before it, now and in any replay."""
    ledger, days = Lake(tmp_path).ledger, [dt.date(2018, 12, number) for number in (10, 11, 12, 13, 14)]
    ends = ("sent", "rejected", "skipped", "sent", "halted")
    found = []
    for day, end in zip(days, ends, strict=True):
        found.append(newest_decided(ledger, day))
        record_cutoff(ledger, day, computed_cutoff(SCHEDULE, day))
        record_end(ledger, day, end, "as the test says")
    assert found == [None, days[0], days[1], days[1], days[3]]
    assert [newest_decided(ledger, day) for day in days] == found
    weekly = parse_mandate(
        (ROOT / "mandate.yaml")
        .read_text(encoding="utf-8")
        .replace("cadence: daily ", "rebalance_weekday: wednesday\ncadence: weekly ")
    )
    rebalanced = [is_rebalance(weekly, day, before) for day, before in zip(days, found, strict=True)]
    assert rebalanced == [
        False,
        False,
        True,
        True,
        False,
    ]  # Wednesday's run decided, was skipped, and nothing of it was sent


def instant(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text + "+00:00")


@pytest.mark.parametrize(
    ("now", "newest", "expected"),
    [
        # down from Tuesday the 4th over the day of mourning until Friday: Friday alone is asked for, on its own data
        ("2018-12-07T22:50:00", "2018-12-03T22:50:00", Request(dt.date(2018, 12, 7))),
        # back in the morning: nothing is started before decide_at, however many sessions were missed
        ("2018-12-07T14:00:00", "2018-12-03T22:50:00", "session 2018-12-07: starts at 2018-12-07T22:45:00Z"),
        # back after the deadline: that session is over, too
        ("2018-12-07T23:16:00", "2018-12-03T22:50:00", TooLate),
        # over a weekend, and over the weekends on which clocks change
        ("2018-12-08T22:50:00", "2018-12-06T22:50:00", "2018-12-08 is no session of XNYS"),
        ("2018-11-05T22:45:00", "2018-11-02T21:50:00", Request(dt.date(2018, 11, 5))),
        ("2019-03-11T21:45:00", "2019-03-08T22:50:00", Request(dt.date(2019, 3, 11))),
        # the clock was put back: by a day onto an open session, by an hour, by a second; not at all
        ("2018-12-06T22:50:00", "2018-12-07T22:50:00", "it was put back"),
        ("2018-12-07T22:50:00", "2018-12-07T23:10:00", "it was put back"),
        ("2018-12-07T22:50:00", "2018-12-07T22:50:01", "it was put back"),
        ("2018-12-07T22:50:00", "2018-12-07T22:50:00", Request(dt.date(2018, 12, 7))),
        ("2018-12-07T22:50:00", None, Request(dt.date(2018, 12, 7))),
    ],
)
def test_after_downtime_and_with_a_clock_that_went_back(
    now: str, newest: str | None, expected: Request | str | type
) -> None:
    found = next_step(
        live=True,
        now=instant(now),
        calendar=CALENDAR,
        schedule=SCHEDULE,
        opened=dt.date(2018, 10, 1),
        ended=(),
        running=(),
        landed=True,
        newest=instant(newest) if newest else None,
    )
    if isinstance(expected, str):
        assert isinstance(found, Skip)
        assert expected in found.reason
    else:
        assert isinstance(found, expected) if isinstance(expected, type) else found == expected
