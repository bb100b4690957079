"""What happens in a month, by session: which process dies where, who is not there, what does not answer. Pure.

The sessions come from the exchange's calendar library and not from the product. Not here: how it is done (`month_run`).
"""

import datetime as dt
import random
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

FIRST = dt.date(2018, 11, 7)  # Thanksgiving, the half day after it and the day of mourning lie within 21 sessions
MIC = "XNYS"
# Steps after which a process may be killed, in the order of the graph; the batch is frozen after the last of them.
EARLY = ("raw_prices", "account_snapshot", "prices", "features", "forecasts", "book_state", "target_portfolio")
MIDWAY = (*EARLY, "order_plan", "risk_verdict")


class Fault(StrEnum):
    """What goes wrong in a session."""

    NOTHING = "nothing"
    DAEMON = "daemon killed during the run"
    CODE = "code server killed during the run"
    WEB = "webserver killed during the run"
    WORKER = "run killed before its batch was frozen"
    SENDING = "run killed while it sent"
    TWICE = "run killed while it sent, and the second run too"
    POWER = "power lost during the run"
    POWER_SENDING = "power lost while it sent"
    TWO = "two daemons"
    MISSED = "daemon stopped over the deadline"
    OFF = "machine off"
    CHANNELS = "no channel answers"
    LOCKED = "ledger locked for seconds"
    NOTIFIER = "daemon stopped over the deadline; the notifier that tells it killed"


SCRIPT = (
    *(Fault.NOTHING, Fault.NOTHING, Fault.DAEMON, Fault.TWO, Fault.TWO, Fault.CODE, Fault.WEB, Fault.WORKER),
    *(Fault.NOTIFIER, Fault.SENDING, Fault.MISSED, Fault.POWER, Fault.TWICE, Fault.OFF, Fault.OFF, Fault.CHANNELS),
    *(Fault.LOCKED, Fault.TWO, Fault.POWER_SENDING, Fault.NOTIFIER, Fault.NOTHING),
)
LATE = frozenset({Fault.MISSED, Fault.NOTIFIER, Fault.OFF})  # nobody is there in time
# Its run's process dies:
KILLED = frozenset({Fault.WORKER, Fault.SENDING, Fault.TWICE, Fault.POWER, Fault.POWER_SENDING})
AT_SENDING = frozenset({Fault.SENDING, Fault.TWICE, Fault.POWER_SENDING})
POWERLESS = frozenset({Fault.POWER, Fault.POWER_SENDING})
SHORT = (Fault.NOTHING, Fault.DAEMON)


@dataclass(frozen=True, slots=True)
class Night:
    """One session of the script: what goes wrong, after which step, and what the webhook does to its first requests."""

    session: dt.date
    fault: Fault
    after: str
    hook: tuple[str, ...]


def sessions_of(count: int) -> tuple[dt.date, ...]:
    """So many sessions of New York from FIRST."""
    import exchange_calendars

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pandas, about the library
        calendar = exchange_calendars.get_calendar(MIC, start="2018-01-02", end="2019-12-31")
        return tuple(stamp.date() for stamp in calendar.sessions_window(FIRST.isoformat(), count))


def script(count: int, seed: int, faults: tuple[Fault, ...] = SCRIPT) -> tuple[Night, ...]:
    """The nights of so many sessions. Faults come in their order, repeated; where they hit is the seed's."""
    draw = random.Random(seed)
    nights = []
    for place, session in enumerate(sessions_of(count)):
        fault = faults[place % len(faults)] if place else Fault.NOTHING
        steps = EARLY if fault is Fault.WORKER else MIDWAY
        hook = (draw.choice(("500", "reset", "drop", "hang", "redirect")),) if draw.random() < 0.3 else ()
        nights.append(Night(session, fault, draw.choice(steps), hook))
    return tuple(nights)


def mandate_of(text: Mapping[str, object], mail_port: int, last: dt.date) -> dict[str, object]:
    """The shipped mandate on the live clock, opened with the month, with two channels and a watcher."""
    channels = [
        {"name": "ops", "kind": "slack", "severity_min": "WARN"},
        {"name": "mail", "kind": "smtp", "host": "127.0.0.1", "port": mail_port, "security": "plain"}
        | {"from": "bot@example.org", "to": ["me@example.org"], "severity_min": "INFO"},
    ]
    notification = {"channels": channels, "escalate_minutes": 1, "heartbeat": {"method": "POST"}}
    calendar = {"mic": MIC, "go_live": FIRST, "last_session": last}
    providers = text["providers"]
    assert isinstance(providers, Mapping)
    return {
        **text,
        "calendar": calendar,
        "providers": {**providers, "clock": "live"},
        "notification": notification,
    }
