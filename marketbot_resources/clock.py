"""The clock port: what time it is for a session. Nothing else asks the machine for the time.

The replay clock stands still at the computed cutoff of the session; the live clock is the machine's.
"""

import datetime as dt
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from marketbot_resources.mandate import Schedule

SEND_DELAY = dt.timedelta(minutes=1)


class Clock(Protocol):
    """Time for a session."""

    live: bool

    def now(self, session: dt.date) -> dt.datetime:
        """The present instant while a session is being decided."""
        ...

    def sending(self, session: dt.date) -> dt.datetime:
        """The present instant while a session's orders are being sent, after its cutoff."""
        ...

    def wait(self, seconds: float) -> None:
        """Lets time pass while a broker is asked again; where time stands still it does not pass."""
        ...


class ReplayClock:
    """Stands at the computed cutoff of each session."""

    live = False

    def __init__(self, schedule: "Schedule") -> None:
        self._schedule = schedule

    def now(self, session: dt.date) -> dt.datetime:
        from marketbot_resources.calendars import computed_cutoff  # the witness needs a clock and no calendar

        return computed_cutoff(self._schedule, session)

    def sending(self, session: dt.date) -> dt.datetime:
        return self.now(session) + SEND_DELAY

    def wait(self, seconds: float) -> None:
        return None


class LiveClock:
    """The machine's clock, UTC."""

    live = True

    def now(self, session: dt.date) -> dt.datetime:
        return machine_now()

    def sending(self, session: dt.date) -> dt.datetime:
        return machine_now()

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)


def open_clock(name: str, schedule: "Schedule") -> Clock:
    """The clock that the mandate's `providers.clock` names: live or replay."""
    return LiveClock() if name == "live" else ReplayClock(schedule)


def machine_now() -> dt.datetime:
    """The machine's time, UTC: for what belongs to no session, like a witness's signature or a lock's end."""
    return dt.datetime.now(dt.UTC)
