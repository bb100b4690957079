"""Sends what is in the ledger and nobody has acknowledged, and records each attempt: at least once, and once without a crash.

An attempt is recorded after the channel's answer. A process that dies in between sends that message once more: it has the same
Message-ID. Two processes do not deliver at once (`Ledger.alone`). Not here: what is due (`delivery_plan`), channels (`notify`).
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence

from marketbot_resources.alerts import FAILED, HEARTBEAT, KIND, SENT, Alert, alert_of
from marketbot_resources.delivery_digest import DIGESTS, DROPPED, LATE, late, message_from
from marketbot_resources.delivery_plan import ALERTS, PAUSE, Attempt, Kinds, Pending, pending, plan, sent_before
from marketbot_resources.errors import Equivocation, HomeError, StoreError
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
Bodies = Callable[[str], bytes]
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

    `nap`: seconds after which it looks for new alerts while it waits for a channel. `bodies`: the stored bytes of a digest by hash,
    raising StoreError or HomeError.
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
        bodies: Bodies | None = None,
    ) -> None:
        self._ledger, self._section, self._transports, self._bodies = ledger, section, transports, bodies
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
        """Sends what is due, alerts first; when to look again, None when nothing is left."""
        entries = self._entries(ALERTS)
        made = plan(pending(entries, self._section), sent_before(entries), self._section, self._now())
        for attempt in made.attempts:
            self._record(attempt, ALERTS, self._sent(attempt, message_of(attempt.alerts, self._ledger.head())))
        if made.attempts:
            return self._now()
        waits = [at for at in (made.next_at, self._digests()) if at is not None]
        return min(waits, default=None)

    def _digests(self) -> dt.datetime | None:
        """Sends the digests that are due, oldest first, and drops those that came too late; when to look again."""
        entries = self._entries(DIGESTS)
        waiting = [one for one in pending(entries, self._section, DIGESTS) if not self._dropped(one)]
        # every digest is a message of its own: a storm of them is bounded by how many are made at once
        made = [plan([one], [], self._section, self._now(), LATE) for one in waiting]
        for attempt in (attempt for one in made for attempt in one.attempts):
            self._digest(attempt)
        waits = [one.next_at for one in made if one.next_at is not None]
        return self._now() if any(one.attempts for one in made) else min(waits, default=None)

    def _dropped(self, one: Pending) -> bool:
        """Whether a digest came too late; then the ledger says so, and it is never sent."""
        entry = self._ledger.get(DIGESTS.told, one.alert.key)
        assert entry is not None, "it was pending"
        if not late(entry, self._now()):
            return False
        said = f"; {len(one.failures)} attempts failed" if one.failures else ""
        self._drop(one.alert.key, f"no channel acknowledged it within {LATE.days} days{said}")
        return True

    def _drop(self, key: str, reason: str) -> None:
        body: dict[str, Json] = {"alerts": [key], "reason": redactor().text(reason), "at": utc_text(self._now())}
        self._ledger.append(DROPPED, key, body)

    def _digest(self, attempt: Attempt) -> None:
        """One attempt with the stored message; what cannot be read as it was stored is not sent."""
        key = attempt.alerts[0].key
        entry = self._ledger.get(DIGESTS.told, key)
        assert entry is not None, "it was pending"
        name = str(entry.body["blob"])
        try:
            if self._bodies is None:
                raise StoreError("there is no store here")
            message = message_from(self._bodies(name), name)
        except (StoreError, HomeError) as error:
            self._drop(key, f"its stored text cannot be sent: {error}")
            return
        self._record(attempt, DIGESTS, self._sent(attempt, message))

    def _entries(self, kinds: Kinds) -> list[Entry]:
        return sorted((e for kind in kinds.all for e in self._ledger.entries(kind)), key=lambda entry: entry.seq)

    def _sent(self, attempt: Attempt, message: Message) -> Told:
        return sent(self._transports.get(attempt.channel), message)

    def _record(self, attempt: Attempt, kinds: Kinds, told: Told) -> None:
        keys: list[Json] = [alert.key for alert in attempt.alerts]
        facts: dict[str, Json] = {"alerts": keys, "channel": attempt.channel, "at": utc_text(self._now())}
        first = attempt.alerts[0].key
        if isinstance(told, Acknowledged):
            self._ledger.append(kinds.ends[0], first, {**facts, "answer": redactor().text(told.answer)})
            return
        number = len(self._ledger.entries(kinds.failed, f"{first}/")) + 1
        why: dict[str, Json] = {"reason": redactor().text(told.reason), "lasting": told.lasting}
        self._ledger.append(kinds.failed, f"{first}/{number}", {**facts, **why})

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
    clean = Message(known.text(message.title), known.text(message.text), message.name, *_rest(message))
    try:
        return transport.send(clean)
    except Exception as error:  # the edge to the outside: an alert must never end what it tells of
        return NotDelivered(known.text(f"{type(error).__name__}: {error}")[:200])


def _rest(message: Message) -> tuple[str, tuple[Mapping[str, Json], ...]]:
    """HTML and blocks of a message without secrets."""
    known = redactor()
    return known.text(message.html), tuple(known.json(block) for block in message.blocks)


def standing(ledger: Ledger, section: Notification | None) -> list[Alert]:
    """Recorded alerts that a channel would take and none has acknowledged; without channels every recorded one."""
    entries = sorted((e for kind in (KIND, SENT, FAILED) for e in ledger.entries(kind)), key=lambda entry: entry.seq)
    if section is None:
        return [alert_of(entry) for entry in entries if entry.kind == KIND]
    return [one.alert for one in pending(entries, section)]


def digests_standing(ledger: Ledger, section: Notification) -> list[Alert]:
    """Recorded digests that nobody has acknowledged and nobody has dropped."""
    entries = sorted((e for kind in DIGESTS.all for e in ledger.entries(kind)), key=lambda entry: entry.seq)
    return [one.alert for one in pending(entries, section, DIGESTS)]
