"""One fast time for many processes: a file says when it was what time and how fast it goes. Not here: who changes its pace.

Monotonic time of the machine is common to all its processes, so whoever reads the file at the same instant sees the same time.
"""

import datetime as dt
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

WAIT_MIN = 0.01


@dataclass(frozen=True, slots=True)
class Pace:
    """At `machine` (monotonic seconds) it was `start`; `speed` seconds pass per second up to `until`, `then` of them after it."""

    machine: float
    start: str
    speed: float
    until: str
    then: float

    def at(self, machine: float) -> dt.datetime:
        """The time at an instant of the machine."""
        start, until = dt.datetime.fromisoformat(self.start), dt.datetime.fromisoformat(self.until)
        passed = max(machine - self.machine, 0.0)
        fast = (until - start).total_seconds() / self.speed
        if passed <= fast:
            return start + dt.timedelta(seconds=passed * self.speed)
        return until + dt.timedelta(seconds=(passed - fast) * self.then)


def read(path: Path) -> Pace:
    """The pace now."""
    return Pace(**json.loads(path.read_text(encoding="utf-8")))


def now(path: Path) -> dt.datetime:
    """The time now, UTC."""
    return read(path).at(time.monotonic())


def set_pace(
    path: Path, speed: float, until: dt.datetime, then: float, start: dt.datetime | None = None
) -> dt.datetime:
    """From now on another pace; the time itself does not jump but where `start` says so. Returns the time."""
    machine = time.monotonic()
    begins = start or read(path).at(machine)
    pace = Pace(machine, begins.isoformat(), speed, max(until, begins).isoformat(), then)
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(asdict(pace)), encoding="utf-8")
    beside.replace(path)
    return begins


class FastClock:
    """A live clock (`marketbot_resources.clock.Clock`) that reads the file."""

    live = True

    def __init__(self, path: Path) -> None:
        self._path = path

    def now(self, session: dt.date) -> dt.datetime:
        return now(self._path)

    def sending(self, session: dt.date) -> dt.datetime:
        return now(self._path)

    def wait(self, seconds: float) -> None:
        time.sleep(max(seconds / read(self._path).then, WAIT_MIN))
