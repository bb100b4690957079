"""Which alert goes out now, by which channel, alone or in a digest; and when to look again. Pure.

An alert takes the channels of the mandate in turn: the next one when none before it acknowledged within `escalate_minutes`, at once
when the failure lasts. What failed is tried again with growing pauses. Not here: sending and recording (`delivery`).
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from marketbot_resources.alerts import FAILED, KIND, SENT, Alert, Severity, alert_of, told_in
from marketbot_resources.ledger.record import Entry
from marketbot_resources.mandate_notification import Notification, QuietHours

WEEKLY_TEST, DIGEST = "WEEKLY_TEST", "DIGEST"
MINUTE = dt.timedelta(minutes=1)
STORM = 10  # messages in a minute by one channel; more become one digest
DIGEST_ALERTS_MAX = 200
PAUSE, PAUSE_MAX = dt.timedelta(seconds=15), dt.timedelta(minutes=15)
GIVE_UP = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Kinds:
    """Kinds of ledger entries: what is to be told, what ends it, an attempt that failed."""

    told: str
    ends: tuple[str, ...]
    failed: str

    @property
    def all(self) -> tuple[str, ...]:
        """Every one of them."""
        return (self.told, *self.ends, self.failed)


ALERTS = Kinds(KIND, (SENT,), FAILED)


@dataclass(frozen=True, slots=True)
class Failure:
    """One attempt that was not acknowledged."""

    at: dt.datetime
    channel: str
    lasting: bool


@dataclass(frozen=True, slots=True)
class Pending:
    """An alert that nobody has acknowledged, with its attempts, oldest first."""

    alert: Alert
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True)
class Attempt:
    """One message to send now: one alert, or a digest."""

    channel: str
    alerts: tuple[Alert, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send now, the most severe first, and when the next attempt is due; None: nothing is waited for."""

    attempts: tuple[Attempt, ...]
    next_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class SentBefore:
    """A message that was acknowledged. `digest`: it held more than one alert."""

    at: dt.datetime
    channel: str
    digest: bool


def route(alert: Alert, section: Notification) -> tuple[str, ...]:
    """The channels that an alert takes, in order; a weekly test the one that it tests, a digest those of its section."""
    if alert.code == DIGEST:
        return section.digest.channels if section.digest is not None else ()
    if alert.code == WEEKLY_TEST:
        return tuple(channel.name for channel in section.channels if channel.name == alert.subject)
    return tuple(c.name for c in section.channels if alert.severity >= Severity[c.severity_min])


def pending(entries: Iterable[Entry], section: Notification, kinds: Kinds = ALERTS) -> list[Pending]:
    """Alerts that a channel would take and none has acknowledged. `entries`: of these kinds, in order of appending."""
    alerts: dict[str, Alert] = {}
    failures: dict[str, list[Failure]] = {}
    for entry in entries:
        if entry.kind == kinds.told:
            alerts[entry.key] = alert_of(entry)
        elif entry.kind in kinds.ends:
            for key in told_in(entry):
                alerts.pop(key, None)
        elif entry.kind == kinds.failed:
            one = Failure(_instant(entry), str(entry.body["channel"]), entry.body["lasting"] is True)
            for key in told_in(entry):
                failures.setdefault(key, []).append(one)
    found = [Pending(alert, tuple(failures.get(key, ()))) for key, alert in alerts.items() if route(alert, section)]
    return sorted(found, key=lambda one: (-one.alert.severity, one.alert.key))


def sent_before(entries: Iterable[Entry]) -> list[SentBefore]:
    """Every acknowledged message, in order of appending."""
    return [SentBefore(_instant(e), str(e.body["channel"]), len(told_in(e)) > 1) for e in entries if e.kind == SENT]


def _instant(entry: Entry) -> dt.datetime:
    return dt.datetime.fromisoformat(str(entry.body["at"]))


def plan(
    waiting: Sequence[Pending],
    sent: Sequence[SentBefore],
    section: Notification,
    now: dt.datetime,
    give_up: dt.timedelta = GIVE_UP,
) -> Plan:
    """What goes out at `now`. What failed for longer than `give_up` is not tried again."""
    due: dict[str, list[Alert]] = {}
    later: list[dt.datetime] = []
    for one in waiting:
        if one.failures and now - one.failures[0].at > give_up:
            continue
        channel, at = _next(one, section, now)
        at = max(at, _held_until(one.alert, section.quiet_hours, now))
        if at <= now:
            due.setdefault(channel, []).append(one.alert)
        else:
            later.append(at)
    attempts: list[Attempt] = []
    for channel, alerts in due.items():
        made, again = _messages(channel, alerts, [s for s in sent if s.channel == channel and now - s.at < MINUTE])
        attempts += made
        later += again
    attempts.sort(key=lambda a: (-a.alerts[0].severity, a.alerts[0].key))
    return Plan(tuple(attempts), min(later, default=None))


def _next(one: Pending, section: Notification, now: dt.datetime) -> tuple[str, dt.datetime]:
    """(channel, when) of the next attempt: a channel that has not been tried goes at once."""
    chain, failures = route(one.alert, section), one.failures
    if not failures:
        return chain[0], now
    step = dt.timedelta(minutes=section.escalate_minutes)
    level = (now - failures[0].at) // step
    last = {f.channel: f for f in failures}
    while level < len(chain) and all(name in last and last[name].lasting for name in chain[: level + 1]):
        level += 1
    level = max(0, min(level, len(chain) - 1))
    fresh = [name for name in chain[: level + 1] if name not in last]
    if fresh:
        return fresh[0], now
    again = failures[-1].at + min(PAUSE * 2 ** min(len(failures) - 1, 10), PAUSE_MAX)
    if level + 1 < len(chain):
        again = min(again, failures[0].at + (level + 1) * step)
    return min(chain[: level + 1], key=lambda name: last[name].at), again


def _messages(channel: str, alerts: list[Alert], recent: list[SentBefore]) -> tuple[list[Attempt], list[dt.datetime]]:
    """One message each, or one digest in a storm; after a digest what is not critical waits out its minute."""
    if len(alerts) + len(recent) <= STORM:
        return [Attempt(channel, (alert,)) for alert in alerts], []
    digests = [one.at for one in recent if one.digest]
    if digests and alerts[0].severity < Severity.CRITICAL:
        return [], [max(digests) + MINUTE]
    parts = [alerts[n : n + DIGEST_ALERTS_MAX] for n in range(0, len(alerts), DIGEST_ALERTS_MAX)]
    return [Attempt(channel, tuple(part)) for part in parts], []


def _held_until(alert: Alert, quiet: QuietHours | None, now: dt.datetime) -> dt.datetime:
    """The end of the quiet hours for what may wait; `now` for everything else."""
    if quiet is None or alert.severity >= Severity.ERROR or alert.code == WEEKLY_TEST:
        return now
    local = now.astimezone(ZoneInfo(quiet.timezone))
    begin, until, at = dt.time.fromisoformat(quiet.begin), dt.time.fromisoformat(quiet.until), local.time()
    over_midnight = until <= begin
    inside = (at >= begin or at < until) if over_midnight else begin <= at < until
    if not inside:
        return now
    day = local.date() + dt.timedelta(days=1) if over_midnight and at >= begin else local.date()
    from marketbot_resources.calendars import wall_clock_at  # brings the whole mandate: a notifier starts without it

    return wall_clock_at(day, until, quiet.timezone)
