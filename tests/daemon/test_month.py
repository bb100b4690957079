"""Sessions in a real daemon, code server and webserver with a fast clock: each decided once or skipped with its reason."""

import datetime as dt
import subprocess
import sys
from pathlib import Path

import pytest
from month_clock import Pace, now, set_pace
from month_oracles import alert_faults, faults_of
from month_plan import SCRIPT, SHORT, Fault, script, sessions_of
from month_run import Driver, Month

ROOT = Path(__file__).parents[2]
START = dt.datetime(2018, 11, 7, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("passed", "minutes"),
    [(0.0, 0.0), (1.0, 60.0), (2.0, 120.0), (2.5, 120.5), (62.0, 180.0), (-1.0, 0.0)],
)
def test_the_clock_goes_fast_then_slow(passed: float, minutes: float) -> None:
    """3600 seconds per second up to two hours later, then a minute per second."""
    pace = Pace(100.0, START.isoformat(), 3600.0, (START + dt.timedelta(hours=2)).isoformat(), 60.0)
    assert pace.at(100.0 + passed) == START + dt.timedelta(minutes=minutes)


def test_a_new_pace_never_moves_the_time_back(tmp_path: Path) -> None:
    path = tmp_path / "clock.json"
    seen = [set_pace(path, 1e-9, START, 1e-9, START)]
    for speed in (1000.0, 1e-9, 50.0):
        set_pace(path, speed, START + dt.timedelta(days=9), 1.0)
        seen += [now(path), now(path)]
    assert seen == sorted(seen)
    assert seen[0] == START


def test_the_script_knows_the_days_without_session() -> None:
    """By hand: Thanksgiving 2018-11-22 and the day of mourning 2018-12-05 are none, the half day 2018-11-23 is one."""
    days = sessions_of(21)
    assert (days[0], days[-1], len(days)) == (dt.date(2018, 11, 7), dt.date(2018, 12, 7), 21)
    assert {dt.date(2018, 11, 22), dt.date(2018, 12, 5)}.isdisjoint(days)
    assert dt.date(2018, 11, 23) in days
    nights = script(21, 1)
    assert {night.fault for night in nights} == set(Fault)
    assert nights == script(21, 1) != script(21, 2)


def lived(folder: Path, count: int, seed: int, faults: tuple[Fault, ...], location: str = "fast_location") -> Month:
    nights = script(count, seed, faults)
    driver = Driver(folder, nights, speed=6000.0, pace=8.0, say=lambda text: print(text, flush=True), location=location)
    return driver.run()


def undisturbed(month: Month, folder: Path) -> str:
    """How an undisturbed life of the same sessions differs; empty when it does not."""
    paths = [str(ROOT), *(str(ROOT / "tests" / name) for name in ("", "daemon", "notify", "graph"))]
    command = [sys.executable, "-W", "ignore", str(Path(__file__).parent / "month_twin.py"), str(month.facts.folder)]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(paths), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, env=environment, cwd=ROOT)
    return "" if done.returncode == 0 else done.stdout + done.stderr[-2000:]


@pytest.mark.long
def test_two_sessions_and_a_daemon_that_is_killed(tmp_path: Path) -> None:
    month = lived(tmp_path, 2, 1, SHORT)
    assert [row.fired for row in month.rows] == [False, True]
    assert faults_of(month) == []
    assert {body["state"] for body in month.facts.ends().values()} <= {"sent", "rejected"}


@pytest.mark.long
def test_the_schedule_alone_starts_sessions(tmp_path: Path) -> None:
    """The fallback: no daily sensor, a cron tick each minute of the machine; the clock decides when there is something to do."""
    month = lived(tmp_path, 2, 1, (Fault.NOTHING,), "cron_location")
    assert faults_of(month) == []
    assert [body["state"] for body in month.facts.ends().values()] == ["sent", "sent"]


@pytest.mark.long
def test_a_month(tmp_path: Path) -> None:
    """The whole script; then the same sessions without disturbance end in the same orders, executions and account."""
    (tmp_path / "month").mkdir()
    month = lived(tmp_path / "month", len(SCRIPT), 1, SCRIPT)
    assert faults_of(month) == []
    assert len(month.facts.ledger("alert")) >= 5
    assert alert_faults(month) == []
    assert undisturbed(month, tmp_path / "twin") == ""
