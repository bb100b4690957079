"""What is started once sessions have ended: declared features of each, a parity check of each week; never in a session's way."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from standing_clock import Standing

from marketbot_assets.automation_afterwards import (
    Seen,
    declared_due,
    declared_sensor,
    last_of_week,
    parity_due,
    parity_sensor,
)
from marketbot_assets.features.schema import WIDE_FEATURES
from marketbot_assets.research.parity import frame_of
from marketbot_assets.research.schema import PARITY_CHECK
from marketbot_resources.clock import Clock
from marketbot_resources.halt import HaltSwitch
from marketbot_resources.mandate import Calendar, Schedule
from marketbot_resources.model import HaltLevel
from marketbot_resources.sessions import record_end
from marketbot_resources.store.index import Origin
from marketbot_resources.store.lake import Lake
from marketbot_resources.store.resource import StoreResource
from marketbot_resources.wiring import ClockResource, MandateResource

CALENDAR = Calendar(mic="XNYS", go_live=dt.date(2018, 10, 1), last_session=dt.date(2022, 12, 28))
SCHEDULE = Schedule(decide_at="17:45", timezone="America/New_York", landing_minutes_max=30, execute="next_open")
# Winter: a session is decided from 22:45 to 23:15 UTC. The 14th of December 2018 is a Friday, the 17th a Monday.


def instant(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text + "+00:00")


def seen(now: str | None, busy: bool = False, calendar: Calendar = CALENDAR, **ended: str) -> Seen:
    """`ended`: d_2018_12_13="sent"."""
    days = {dt.date.fromisoformat(key[2:].replace("_", "-")): state for key, state in ended.items()}
    at = instant(now) if now else None
    return Seen(now=at, calendar=calendar, schedule=SCHEDULE, ended=days, busy=busy)


def agrees(found: dt.date | str, expected: str) -> bool:
    """A date as a date, anything else as part of what is said."""
    return found.isoformat() == expected if isinstance(found, dt.date) else len(expected) > 10 and expected in found


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (seen(None, d_2018_12_13="sent"), "on the live clock only"),
        (seen("2018-12-13T23:00:00"), "no session has ended well yet"),
        (seen("2018-12-13T23:00:00", d_2018_12_13="skipped"), "no session has ended well yet"),
        (seen("2018-12-13T23:00:00", busy=True, d_2018_12_13="sent"), "one run at a time"),
        *((seen("2018-12-13T23:00:00", d_2018_12_13=state), "2018-12-13") for state in ("sent", "rejected", "halted")),
        (seen("2018-12-13T23:00:00", d_2018_12_12="sent", d_2018_12_13="sent"), "2018-12-13"),
        # the one before, whose session was missed: what came after it has been skipped
        (seen("2018-12-13T23:20:00", d_2018_12_12="sent", d_2018_12_13="skipped"), "session 2018-12-13 comes first"),
        # until an hour before the next session, over a weekend, too
        (seen("2018-12-14T21:44:59", d_2018_12_13="sent"), "2018-12-13"),
        (seen("2018-12-14T21:45:00", d_2018_12_13="sent"), "session 2018-12-14 comes first"),
        (seen("2018-12-16T12:00:00", d_2018_12_14="sent"), "2018-12-14"),
        (seen("2019-03-15T12:00:00", d_2018_12_14="sent"), "session 2018-12-17 comes first"),
    ],
)
def test_the_declared_features_follow_the_session(given: Seen, expected: str) -> None:
    """Of the newest session that was decided, whatever the verdict, and only while nothing else is due."""
    assert agrees(declared_due(given), expected)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (seen(None, d_2018_12_14="sent"), "on the live clock only"),
        (seen("2018-12-14T23:00:00"), "no session has ended well yet"),
        (seen("2018-12-14T23:00:00", busy=True, d_2018_12_14="sent"), "one run at a time"),
        (seen("2018-12-13T23:00:00", d_2018_12_13="sent"), "the week of session 2018-12-13 ends with 2018-12-14"),
        (seen("2018-12-14T23:00:00", d_2018_12_14="sent"), "2018-12-14"),
        # the week's last session was skipped, or never came: the newest one that was decided
        (seen("2018-12-14T23:00:00", d_2018_12_13="sent", d_2018_12_14="skipped"), "2018-12-13"),
        (seen("2018-12-14T23:15:00", d_2018_12_13="sent"), "the week of session 2018-12-13 ends with 2018-12-14"),
        (seen("2018-12-14T23:15:01", d_2018_12_13="sent"), "2018-12-13"),
        (seen("2018-12-17T21:44:59", d_2018_12_14="sent"), "2018-12-14"),
        (seen("2018-12-17T21:45:00", d_2018_12_14="sent"), "session 2018-12-17 comes first"),
        # Good Friday, and summer: Thursday is decided from 21:45 to 22:15 UTC
        (seen("2019-04-18T22:00:00", d_2019_04_18="sent"), "2019-04-18"),
        (seen("2019-04-17T22:00:00", d_2019_04_17="sent"), "the week of session 2019-04-17 ends with 2019-04-18"),
    ],
)
def test_the_parity_check_follows_the_week(given: Seen, expected: str) -> None:
    """Once a week, after its last session; never while a session of the week is ahead."""
    assert agrees(parity_due(given), expected)


def test_a_week_ends_with_the_mandate() -> None:
    """The mandate's last session, a Wednesday, is the last one of its week; a day beyond it is its own."""
    ends = CALENDAR.model_copy(update={"last_session": dt.date(2018, 12, 12)})
    assert parity_due(seen("2018-12-12T23:00:00", calendar=ends, d_2018_12_12="sent")) == dt.date(2018, 12, 12)
    assert last_of_week(ends, dt.date(2018, 12, 13)) == dt.date(2018, 12, 13)


class At(ClockResource):
    """A live clock that stands."""

    at: str

    def open(self) -> Clock:
        return Standing(instant(self.at))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


Ticked = dg.RunRequest | dg.SkipReason


def test_each_sensor_asks_once_for_its_job(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Friday ended: each asks for its own partition, not while a run is in progress or none may begin, not when it is stored."""
    monkeypatch.setenv("MARKETBOT_HOME", str(tmp_path))
    lake, switch = Lake(tmp_path), HaltSwitch(tmp_path)

    def ticks(at: str) -> list[Ticked]:
        given = {"store": StoreResource(), "mandate_file": MandateResource(), "clock": At(at=at)}
        return [
            one(dg.build_sensor_context(instance=instance, resources=given)) for one in (declared_sensor, parity_sensor)
        ]

    def said(found: list[Ticked]) -> list[str]:
        return [str(one.skip_message) if isinstance(one, dg.SkipReason) else f"asks {one.run_key}" for one in found]

    at = "2018-12-14T23:10:00"
    assert said(ticks(at)) == ["no session has ended well yet"] * 2
    record_end(lake.ledger, dt.date(2018, 12, 14), "sent", "as the test says")
    asked = ticks(at)
    assert said(asked) == ["asks wide_features-2018-12-14", "asks parity_check-2018-12-14"]
    assert {one.partition_key for one in asked if isinstance(one, dg.RunRequest)} == {"2018-12-14"}

    run = instance.add_run(dg.DagsterRun(job_name="daily", status=dg.DagsterRunStatus.STARTED))
    assert said(ticks(at)) == ["a run is in progress; one run at a time"] * 2
    instance.report_run_canceled(run)
    switch.set("a release", HaltLevel.NO_NEW_RUNS)
    assert said(ticks(at)) == ["session 2018-12-14: halt level no-new-runs (a release)"] * 2
    switch.set("a doubt", HaltLevel.REDUCE_ONLY)
    assert said(ticks(at)) == said(asked)

    nothing = dict.fromkeys((column.name for column in WIDE_FEATURES.columns), float("nan"))
    wide = pd.DataFrame([{**nothing, "session": pd.Timestamp("2018-12-14"), "instrument": "MB1"}])
    for frame, table in ((wide, WIDE_FEATURES), (frame_of([]), PARITY_CHECK)):
        lake.commit(frame, table, "2018-12-14", reads=[], blobs=[], origin=Origin("r", "x", "", {}))
    assert said(ticks(at)) == [f"session 2018-12-14: {name} is stored" for name in ("wide_features", "parity_check")]


def test_the_replay_clock_starts_neither(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKETBOT_HOME", str(tmp_path))
    record_end(Lake(tmp_path).ledger, dt.date(2018, 12, 14), "sent", "as the test says")
    given = {"store": StoreResource(), "mandate_file": MandateResource(), "clock": ClockResource()}
    for sensor in (declared_sensor, parity_sensor):
        found = sensor(dg.build_sensor_context(instance=instance, resources=given))
        assert isinstance(found, dg.SkipReason)
        assert found.skip_message == "on the live clock only"
