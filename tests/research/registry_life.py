"""A model's whole life in the registry, killed at every write. A program of its own, because a test process must not fork.

registry_life.py HOME STEP   for every STEP-th point: a child lives a slot's life and ends by SIGKILL there, another one goes on;
prints how many points there are and the slots whose events are not those of an undisturbed life
"""

import datetime as dt
import hashlib
import json
import math
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import registry_writer as writer

from marketbot_assets.insight.fit_gate import FitJudgement
from marketbot_assets.insight.model_drift import DriftNumbers
from marketbot_assets.insight.model_states import Event, State
from marketbot_assets.model_registry import ModelRegistry
from marketbot_assets.research.promotion import Evidence, Shadow
from marketbot_resources.store.lake import Lake

DAY, AT, SPEC = writer.DAY, writer.AT, writer.SPEC
YES = FitJudgement(())
CHILD_SECONDS_MAX = 120


def record(ratio: float, sessions: int = 504) -> np.ndarray:
    drawn = np.random.default_rng(5).standard_normal(sessions)
    return 0.01 * ((drawn - drawn.mean()) / drawn.std(ddof=1) + ratio / math.sqrt(252))


def live(registry: ModelRegistry) -> None:
    """From nothing to retired; every step does nothing when it was done."""
    spec, mark = (
        SPEC.sha256,
        int(hashlib.sha256(registry.slot.encode()).hexdigest()[:6], 16),
    )  # no file is another slot's
    fits = [
        replace(fit, card=replace(fit.card, purpose=registry.slot)) for fit in (writer.fit_number(n) for n in range(2))
    ]
    ratio = 3.0 + mark * 1e-9
    proof = Evidence(spec, "d" * 64, record(ratio), record(2.6), np.full(5, 2.0), 0.8, 400, 500, 0.0, False)

    def state() -> State:
        return registry.state().standings[spec].state

    registry.register(SPEC, DAY)
    registry.submit(proof, code_version="c", session=DAY, at=AT)
    registry.record_fit(fits[0], YES, session=DAY, at=AT)
    if state() is State.CANDIDATE:
        registry.promote(spec, DAY)
    registry.track(spec, Shadow(record(ratio, 80), record(ratio, 80)), session=DAY, at=AT)
    if state() is State.SHADOW:
        registry.promote(spec, DAY)
    if fits[1].sha256 not in dict(registry.state().standings[spec].fits):
        then = registry.state().standings[spec]
        registry.record_refit(fits[1], YES, then, session=DAY, at=AT)
    if state() is State.CHAMPION and registry.state().standings[spec].fit == fits[1].sha256:
        registry.note_drift(DriftNumbers(0.3, 1.0, 0.04, 0.01, 60, 0.05), DAY + dt.timedelta(1))
        registry.rollback(DAY, "worse")
    registry.retire(spec, DAY, "the end")


def counted(lake: Lake, dies_at: int, seen: list[int]) -> None:
    """Every write counts twice, before and after; at number `dies_at` the process is killed."""

    def around(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: object, **named: object) -> object:
            point(seen, dies_at)
            made = call(*arguments, **named)
            point(seen, dies_at)
            return made

        return wrapped

    for part, name in ((lake.objects, "put_blob"), (lake.index, "add_blobs"), (lake.ledger, "append")):
        setattr(part, name, around(getattr(part, name)))


def point(seen: list[int], dies_at: int) -> None:
    seen[0] += 1
    if seen[0] == dies_at:
        os.kill(os.getpid(), signal.SIGKILL)


def child(home: Path, slot: str, dies_at: int) -> int:
    """Runs a life in a process of its own; how many points it came past, 0 when it was killed."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(CHILD_SECONDS_MAX)
        os.close(ours)
        lake, seen = Lake(home), [0]
        counted(lake, dies_at, seen)
        live(ModelRegistry(lake, slot))
        os.write(theirs, str(seen[0]).encode())
        os._exit(0)
    os.close(theirs)
    status = os.waitpid(pid, 0)[1]
    with os.fdopen(ours, encoding="utf-8") as stream:
        told = stream.read()
    assert status == (0 if told else signal.SIGKILL), f"slot {slot}: a life ended with {status}"
    return int(told or 0)


def lives(home: Path, step: int) -> tuple[int, list[str]]:
    """(points, slots that are not as an undisturbed one)."""
    points = child(home, "undisturbed", 0)
    slots = [f"p{number:03d}" for number in range(1, points + 1, step)]
    for slot in slots:
        assert child(home, slot, int(slot[1:])) == 0, f"{slot} was not killed"
        child(home, slot, 0)
    lake = Lake(home)
    wanted = told(lake, "undisturbed")
    return points, [slot for slot in slots if told(lake, slot) != wanted]


def told(lake: Lake, slot: str) -> list[Event]:
    """Its events but for the names of files; each of those is whole."""
    registry = ModelRegistry(lake, slot)
    for event in registry.events():
        assert not event.blob or lake.blob(event.blob)
    return [replace(event, blob="", reasons=()) for event in registry.events()]


if __name__ == "__main__":
    print(json.dumps(lives(Path(sys.argv[1]), int(sys.argv[2]))))
