"""Whether one of Dagster's daemons works on an instance, or two: told from the heartbeats that they leave there.

Dagster does not refuse a second daemon: both ask for runs, and a session may get two. Each kind of work (sensors, schedules, the
queue) keeps the newest heartbeat alone, with the id of the daemon that left it. A restarted daemon has another id and never meets
the one before, so two are told only when each was heard before and after the other. Not here: who tells it (`automation_alerts`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import dagster as dg

HEARD_SECONDS = 120.0
"""A daemon that was silent for so long is forgotten: a heartbeat comes each half minute."""
TOGETHER_SECONDS = 10.0
"""Two that lived side by side for so long are two; less may be the difference of two machines' clocks."""
LOOK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Heard:
    """Unix seconds of the first and the newest heartbeat of one daemon that was seen."""

    first: float
    last: float


def beats_of(instance: dg.DagsterInstance) -> tuple[tuple[str, float], ...]:
    """(id of a daemon, Unix seconds) per kind of work."""
    beats = instance.get_daemon_heartbeats().values()
    return tuple(sorted((beat.daemon_id, beat.timestamp) for beat in beats if beat.daemon_id))


def heard(before: Mapping[str, Heard], beats: Iterable[tuple[str, float]], now: float) -> dict[str, Heard]:
    """Every daemon that was heard of lately; `before`: what the look before this one gave."""
    found = dict(before)
    for name, at in beats:
        known = found.get(name, Heard(at, at))
        found[name] = Heard(min(known.first, at), max(known.last, at))
    return {name: found[name] for name in sorted(found) if now - found[name].last <= HEARD_SECONDS}


def together(known: Mapping[str, Heard]) -> tuple[str, ...]:
    """Ids of daemons that live side by side; none for one daemon, restarted or not."""
    return tuple(
        name
        for name, mine in known.items()
        if any(
            min(mine.last, other.last) - max(mine.first, other.first) > TOGETHER_SECONDS
            for them, other in known.items()
            if them != name
        )
    )


def lately(beats: Iterable[tuple[str, float]], now: float) -> tuple[str, ...]:
    """Ids heard in the last minute, which is all that a single look can tell: a daemon restarted in it counts as two."""
    return tuple(sorted({name for name, at in beats if now - at <= LOOK_SECONDS}))


def written(known: Mapping[str, Heard]) -> dict[str, list[float]]:
    """What was heard, fit for JSON: a sensor's cursor keeps it."""
    return {name: [one.first, one.last] for name, one in known.items()}


def read(told: object) -> dict[str, Heard]:
    """The same from JSON; nothing from anything else."""
    if not isinstance(told, Mapping):
        return {}
    try:
        return {str(name): Heard(float(first), float(last)) for name, (first, last) in told.items()}
    except (ValueError, TypeError):
        return {}
