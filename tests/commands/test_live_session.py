"""Which session `marketbot run` means on the live clock: that of the evening, once, or one that waits for its window."""

import datetime as dt
import sqlite3
from pathlib import Path

import pytest

from marketbot_assets.cli import unreachable, unwritable
from marketbot_assets.commands.sessions import SessionResult, live_session, run_due
from marketbot_resources.errors import UsageError
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.sessions import record_cutoff, record_end
from marketbot_resources.store.lake import Lake, open_lake

MANDATE: Mandate = parse_mandate((Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8"))
WEDNESDAY, THURSDAY, FRIDAY, MONDAY = (dt.date(2018, 12, day) for day in (12, 13, 14, 17))
CUTOFF = dt.datetime(2018, 12, 13, 22, 50, tzinfo=dt.UTC)  # Thursday 17:50 in New York


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(f"2018-12-{text}:00+00:00")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(tmp_path)


@pytest.mark.parametrize(
    ("now", "meant"),
    [
        ("13 12:00", THURSDAY), ("13 22:50", THURSDAY), ("13 23:15", THURSDAY), ("13 23:16", FRIDAY),
        ("14 02:00", FRIDAY), ("15 12:00", MONDAY),
    ],
)  # fmt: skip
def test_a_home_without_sessions_begins_with_that_of_now(now: str, meant: dt.date, lake: Lake) -> None:
    """Never with go-live when that has passed: decide_at is 17:45, the deadline 18:15 in New York."""
    assert live_session(None, MANDATE, at(now)) == meant
    assert live_session(lake, MANDATE, at(now)) == meant


def test_one_that_ended_is_not_run_again_and_one_that_waits_goes_on(lake: Lake) -> None:
    """Without an end it is meant until the next one starts; a skipped one is done."""
    record_cutoff(lake.ledger, THURSDAY, CUTOFF)
    for now, meant in [("13 22:55", THURSDAY), ("14 00:01", THURSDAY), ("14 22:44", THURSDAY), ("14 22:45", FRIDAY)]:
        assert live_session(lake, MANDATE, at(now)) == meant
    record_end(lake.ledger, THURSDAY, "skipped", "for this test")
    for now, meant in [("13 22:55", FRIDAY), ("14 22:45", FRIDAY), ("14 23:16", MONDAY)]:
        assert live_session(lake, MANDATE, at(now)) == meant


def test_after_the_last_session_there_is_none() -> None:
    with pytest.raises(UsageError, match="has been run or has passed"):
        live_session(None, MANDATE, dt.datetime(2030, 1, 1, tzinfo=dt.UTC))


class Evening:
    """A clock that a test sets; waiting lets time pass."""

    live = True

    def __init__(self, now: dt.datetime) -> None:
        self.instant = now
        self.waited: list[float] = []

    def now(self, session: dt.date) -> dt.datetime:
        return self.instant

    sending = now

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.instant += dt.timedelta(seconds=seconds)


def due(lake: Lake, clock: Evening, minutes: int, state: str = "sent") -> list[tuple[str, dt.datetime]]:
    """(session, instant of its run) of what `run --due` runs; a run records cutoff and end and takes ten minutes."""
    ran: list[tuple[str, dt.datetime]] = []

    def run(day: dt.date) -> SessionResult:
        ran.append((day.isoformat(), clock.instant))
        if lake.ledger.get("session_cutoff", day.isoformat()) is None:
            record_cutoff(lake.ledger, day, clock.instant)
        if state in ("sent", "skipped"):
            record_end(lake.ledger, day, "skipped", "for this test")  # a sent one wants a store to be done
        clock.instant += dt.timedelta(minutes=10)
        return SessionResult(day.isoformat(), state, "", "", 0, 0, None, None, "", None, (), (), {})

    told = run_due(dt.timedelta(minutes=minutes), clock=clock, run=run)
    assert [one.session for one in told] == [day for day, _ in ran]
    return ran


@pytest.fixture
def evening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setenv("MARKETBOT_HOME", str(tmp_path))
    return open_lake(tmp_path)


@pytest.mark.parametrize(
    ("now", "minutes", "ran", "waited"),
    [
        ("13 22:35", 60, ["13 22:45"], 600),  # started ten minutes early: it waits for decide_at, then runs once
        ("13 22:50", 60, ["13 22:50"], 0),
        ("13 22:35", 5, [], 0),  # too early to wait: nothing is due
        ("13 23:16", 60, [], 0),  # after the deadline: the next is tomorrow's
        ("15 12:00", 60, [], 0),  # a Saturday
    ],
)
def test_what_is_due_is_run_and_nothing_else(
    now: str, minutes: int, ran: list[str], waited: int, evening: Lake
) -> None:
    clock = Evening(at(now))
    assert due(evening, clock, minutes) == [(THURSDAY.isoformat(), at(one)) for one in ran]
    assert sum(clock.waited) == waited


def test_an_unfinished_session_comes_before_that_of_the_evening(evening: Lake) -> None:
    """Wednesday's has a cutoff and no end: it is brought to its end first, then Thursday's begins at its time."""
    record_cutoff(evening.ledger, WEDNESDAY, CUTOFF - dt.timedelta(days=1))
    ran = due(evening, Evening(at("13 22:20")), 60)
    assert ran == [(WEDNESDAY.isoformat(), at("13 22:20")), (THURSDAY.isoformat(), at("13 22:45"))]


@pytest.mark.parametrize("state", ["failed", "waiting", "not run"])
def test_one_without_an_end_stops_it(state: str, evening: Lake) -> None:
    """It would be chosen again for ever."""
    assert len(due(evening, Evening(at("13 22:50")), 60, state)) == 1


def test_on_the_replay_clock_nothing_is_due(evening: Lake) -> None:
    with pytest.raises(UsageError, match="--due: expected the live clock"):
        run_due(dt.timedelta(minutes=1))


def test_only_a_disk_without_room_is_told_as_one() -> None:
    """Also where another error wraps it."""
    full = OSError(28, "No space left on device")
    wrapped = RuntimeError("step failed")
    wrapped.__cause__ = full
    assert "No space left on device" in unwritable(full)
    assert unwritable(wrapped) == unwritable(full)
    no_file_left = sqlite3.OperationalError("unable to open database file")
    assert unwritable(no_file_left).endswith("found: unable to open database file")
    assert unwritable(OSError(2, "No such file")) == unwritable(ValueError("disk is full")) == ""


def test_dagster_s_silent_database_is_told_as_one() -> None:
    """As Dagster raises it: the line of the driver, without a page of its own words; no other error is taken for it."""
    from dagster_postgres.utils import DagsterPostgresException, retry_pg_connection_fn
    from sqlalchemy import create_engine

    engine = create_engine("postgresql+psycopg2://dagster:not-told@127.0.0.1:1/dagster")
    with pytest.raises(DagsterPostgresException) as silent:
        retry_pg_connection_fn(engine.connect, retry_limit=1, retry_wait=0.0)
    said = unreachable(silent.value)
    assert said.startswith("expected Dagster's database to answer, found: connection to server at ")
    assert said.endswith("Connection refused")
    assert "not-told" not in said
    wrapped = RuntimeError("a step failed")
    wrapped.__cause__ = silent.value
    assert unreachable(wrapped) == said
    assert unreachable(ValueError("connection refused")) == unreachable(ConnectionRefusedError("refused")) == ""
