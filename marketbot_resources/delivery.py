"""Sends what is in the ledger and nobody has acknowledged, and records each attempt: at least once, and once without a crash.

An attempt is recorded after the channel's answer. A process that dies in between sends that message once more: it has the same
Message-ID. Two processes do not deliver at once (`Ledger.alone`). Not here: what is due (`delivery_plan`), channels (`notify`).
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence

from marketbot_resources.alerts import FAILED, HEARTBEAT, KIND, SENT, Alert, alert_of
from marketbot_resources.delivery_plan import PAUSE, Attempt, pending, plan, sent_before
from marketbot_resources.errors import Equivocation
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Entry, Json
from marketbot_resources.mandate_notification import Notification
from marketbot_resources.model import utc_text
from marketbot_resources.notify.port import Acknowledged, Message, NotDelivered, Transport
from marketbot_resources.notify.text import message_of
from marketbot_resources.redaction import redactor
from marketbot_resources.unrecorded import Records

Told = Acknowledged | NotDelivered
Watcher = Callable[[str, str], Told]
ALONE = "notifier"
NAP = 15.0
HEARTBEATS_MAX = 5


def record(ledger: Ledger, alerts: Sequence[Alert]) -> list[Alert]:
    """Records alerts and returns those that nobody had recorded; who says the same in other words has not found a new one."""
    found = []
    for alert in alerts:
        if ledger.get(KIND, alert.key) is not None:
            continue
        try:
            added = ledger.append(KIND, alert.key, alert.body()).added
        except Equivocation:
            added = False  # another process found it at the same instant
        found += [alert] if added else []
    return found


class Delivery:
    """Delivers from one ledger. `watcher`: tells the outside watcher (session, end state); None without one.

    `nap`: seconds after which it looks for new alerts while it waits for a channel.
    """

    def __init__(
        self,
        ledger: Records,
        section: Notification,
        transports: Mapping[str, Transport],
        *,
        now: Callable[[], dt.datetime],
        wait: Callable[[float], None],
        watcher: Watcher | None = None,
        nap: float = NAP,
    ) -> None:
        self._ledger, self._section, self._transports = ledger, section, transports
        self._now, self._wait, self._watcher, self._nap = now, wait, watcher, nap

    def run(self, seconds: float) -> bool:
        """Delivers until nothing is left or the time is over; True when nothing is left. The caller is alone (`ALONE`)."""
        until = self._now() + dt.timedelta(seconds=seconds)
        while True:
            beat = self._beat()
            following = self._once()
            waits = [at for at in (beat, following) if at is not None]
            if not waits:
                return True
            now = self._now()
            if min(waits) >= until or now >= until:
                return False
            self._wait(min(max((min(waits) - now).total_seconds(), 0.0), self._nap))

    def _once(self) -> dt.datetime | None:
        """Sends what is due; when to look again, None when nothing is left."""
        entries = self._entries(KIND, SENT, FAILED)
        made = plan(pending(entries, self._section), sent_before(entries), self._section, self._now())
        for attempt in made.attempts:
            self._attempt(attempt)
        return self._now() if made.attempts else made.next_at

    def _entries(self, *kinds: str) -> list[Entry]:
        return sorted((e for kind in kinds for e in self._ledger.entries(kind)), key=lambda entry: entry.seq)

    def _attempt(self, attempt: Attempt) -> None:
        keys: list[Json] = [alert.key for alert in attempt.alerts]
        told = sent(self._transports.get(attempt.channel), message_of(attempt.alerts, self._ledger.head()))
        facts: dict[str, Json] = {"alerts": keys, "channel": attempt.channel, "at": utc_text(self._now())}
        first = attempt.alerts[0].key
        if isinstance(told, Acknowledged):
            self._ledger.append(SENT, first, {**facts, "answer": redactor().text(told.answer)})
            return
        number = len(self._ledger.entries(FAILED, f"{first}/")) + 1
        why: dict[str, Json] = {"reason": redactor().text(told.reason), "lasting": told.lasting}
        self._ledger.append(FAILED, f"{first}/{number}", {**facts, **why})

    def _beat(self) -> dt.datetime | None:
        """Tells the watcher of the newest session that ended, a few times; when to try again, None when that is over."""
        ends = self._ledger.entries("session_end")
        if self._watcher is None or not ends:
            return None
        session, state = ends[-1].key, str(ends[-1].body.get("state", ""))
        tries = self._ledger.entries(HEARTBEAT, f"{session}/")
        if len(tries) >= HEARTBEATS_MAX or any(one.body.get("acknowledged") is True for one in tries):
            return None
        if tries:
            again = dt.datetime.fromisoformat(str(tries[-1].body["at"])) + PAUSE * 2 ** len(tries)
            if again > self._now():
                return again
        told = self._watcher(session, state)
        fine = isinstance(told, Acknowledged)
        answer = redactor().text(told.answer if isinstance(told, Acknowledged) else told.reason)
        facts: dict[str, Json] = {"acknowledged": fine, "answer": answer, "at": utc_text(self._now())}
        self._ledger.append(HEARTBEAT, f"{session}/{len(tries) + 1}", facts)
        return None if fine else self._now() + PAUSE * 2 ** (len(tries) + 1)


def sent(transport: Transport | None, message: Message) -> Told:
    """One message by one channel, without secrets; what a channel raises counts as a failure."""
    if transport is None:
        return NotDelivered("the mandate names no such channel", lasting=True)
    known = redactor()
    clean = Message(known.text(message.title), known.text(message.text), message.name)
    try:
        return transport.send(clean)
    except Exception as error:  # the edge to the outside: an alert must never end what it tells of
        return NotDelivered(known.text(f"{type(error).__name__}: {error}")[:200])


def standing(ledger: Ledger, section: Notification | None) -> list[Alert]:
    """Recorded alerts that a channel would take and none has acknowledged; without channels every recorded one."""
    entries = sorted((e for kind in (KIND, SENT, FAILED) for e in ledger.entries(kind)), key=lambda entry: entry.seq)
    if section is None:
        return [alert_of(entry) for entry in entries if entry.kind == KIND]
    return [one.alert for one in pending(entries, section)]
