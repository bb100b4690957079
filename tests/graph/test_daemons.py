"""One daemon or two, from real heartbeats in Dagster's own storage; a restart is no second daemon."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat
from hypothesis import given
from hypothesis import strategies as st

from marketbot_assets.automation_alerts import remembered
from marketbot_assets.commands.doctor import _daemon
from marketbot_assets.daemons import Heard, beats_of, heard, lately, read, together, written

KINDS = ("SENSOR", "SCHEDULER", "MONITORING", "QUEUED_RUN_COORDINATOR")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def beat(instance: dg.DagsterInstance, name: str, at: float, kinds: tuple[str, ...] = KINDS) -> None:
    for kind in kinds:
        instance.add_daemon_heartbeat(DaemonHeartbeat(at, kind, name, None))


def test_two_daemons_in_turn_are_two_and_a_restarted_one_is_one(instance: dg.DagsterInstance) -> None:
    """A beats at 0 and 30, B from 7 on: told at the first look after A's second heartbeat, not before."""
    known: dict[str, Heard] = {}
    told = []
    for at, name in ((0.0, "a"), (7.0, "b"), (30.0, "a"), (37.0, "b")):
        beat(instance, name, at)
        known = heard(known, beats_of(instance), at + 1.0)
        told.append(together(known))
    assert told == [(), (), (), ("a", "b")]

    known = heard(known, beats_of(instance), 200.0)  # both silent for two minutes
    assert known == {}
    for at, name in ((200.0, "b"), (230.0, "b"), (233.0, "c"), (263.0, "c"), (293.0, "c")):
        beat(instance, name, at)
        known = heard(known, beats_of(instance), at)
        assert together(known) == ()


def test_kinds_of_work_of_two_daemons_are_told_in_one_look(instance: dg.DagsterInstance) -> None:
    beat(instance, "a", 100.0)
    assert lately(beats_of(instance), 130.0) == ("a",)
    beat(instance, "b", 110.0, KINDS[:1])
    assert lately(beats_of(instance), 130.0) == ("a", "b")
    assert lately(beats_of(instance), 165.0) == ("b",)
    assert lately(beats_of(instance), 171.0) == ()


LIFE = st.tuples(st.floats(0.0, 300.0), st.floats(0.0, 60.0), st.floats(-4.9, 4.9))


@given(st.lists(LIFE, min_size=1, max_size=6), st.floats(5.0, 45.0))
def test_one_daemon_however_often_it_restarts_is_never_two(lives: list[tuple[float, ...]], step: float) -> None:
    """Seconds of life, seconds without a daemon after it, and how far its machine's clock is off."""
    known, begin = dict[str, Heard](), 1000.0
    for number, (life, pause, off) in enumerate(lives):
        beats = [begin + n * step for n in range(int(life // step) + 1)]
        for at in beats:
            known = heard(known, [(f"daemon-{number}", at + off)], at)
            assert together(known) == ()
        begin = beats[-1] + pause


@pytest.mark.parametrize("told", [None, "", 3, [1, 2], {"a": 1}, {"a": ["x", 2]}, {"a": [1, 2, 3]}])
def test_what_is_no_record_of_daemons_is_none(told: object) -> None:
    assert read(told) == {}


@pytest.mark.parametrize("text", [None, "", "2026-11-29T03", "[]", "3", "{", '{"daemons": 1}'])
def test_a_cursor_of_another_kind_is_no_cursor(text: str | None) -> None:
    assert remembered(text) == ("", {})


def test_a_cursor_keeps_the_hour_and_what_was_heard() -> None:
    known = {"a": Heard(1.5, 2.5), "b": Heard(2.0, 90.25)}
    assert remembered(json.dumps({"hour": "2026-11-29T03", "daemons": written(known)})) == ("2026-11-29T03", known)


def test_doctor_tells_a_second_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command's own look at an instance on disk: no daemon is no fault, one is good, two are not."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    found = []
    with dg.DagsterInstance.get() as instance:
        for names in ("", "a", "ab"):
            for name, kind in zip(names, KINDS, strict=False):
                beat(instance, name, time.time(), (kind,))
            found.append([(one.good, one.found) for one in _daemon()])
    said = "heard in the last minute: "
    assert found == [[], [(True, f"{said}a")], [(False, f"{said}a, b")]]
