"""`python -m marketbot_resources.notifier`: delivers alerts and digests from the ledger, with its channels' secrets alone.

It reads one JSON object: `home`, `notification` (the mandate's section), `seconds` (how long it may wait for channels),
`unrecorded` (what no ledger took). It ends when everything is acknowledged. Whoever trades starts it and goes on. Not here: finding
alerts (`marketbot_assets.alerting`).
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from marketbot_resources import settings
from marketbot_resources.clock import machine_now
from marketbot_resources.delivery import ALONE, Delivery, Told, Watcher
from marketbot_resources.ledger.opening import existing_ledger
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.mandate_notification import Heartbeat, Notification
from marketbot_resources.notify.opening import open_channel
from marketbot_resources.notify.port import TIMEOUT_SECONDS, NotDelivered
from marketbot_resources.notify.web import asked
from marketbot_resources.unrecorded import REFUSED, Unrecorded, WithUnrecorded, handed

TURN_SECONDS = 10.0  # another one may be about to end without having seen the newest alert
INPUT_BYTES_MAX = 1 << 20


def deliver(home: Path, section: Notification, seconds: float, beside: Unrecorded | None = None) -> bool:
    """Delivers what is due of a home; False when something is left, or another process delivers all the while.

    `beside`: what the ledger did not take. Without a ledger that can be opened or locked, that is delivered all the same.
    """
    beside = beside or Unrecorded(home)
    ledger = _opened(home)
    if ledger is None and not beside.lines():
        return True
    given = settings.notifier_variables()
    transports = {channel.name: open_channel(channel, given) for channel in section.channels}
    watcher = watcher_of(section.heartbeat, given.get(settings.WATCHER, ""))

    def stored(digest: str) -> bytes:
        from marketbot_resources.store.opening import open_objects  # loads what alerts need not wait for

        return open_objects(home, read_only=True).get_blob(digest)

    records = WithUnrecorded(ledger, beside)
    delivery = Delivery(records, section, transports, now=machine_now, wait=time.sleep, watcher=watcher, bodies=stored)
    until = time.monotonic() + TURN_SECONDS
    while True:
        with _alone(ledger, beside) as alone:
            if alone:
                _move(ledger, beside)
                return delivery.run(seconds)
        if time.monotonic() > until:
            return False
        time.sleep(0.1)


def _opened(home: Path) -> Ledger | None:
    try:
        return existing_ledger(home)
    except REFUSED:
        return None


@contextmanager
def _alone(ledger: Ledger | None, beside: Unrecorded) -> Iterator[bool]:
    """Whether this process delivers alone: by the ledger, else by a file beside the home, else for all that it knows."""
    with ExitStack() as held:
        alone = True
        for lock in (*(() if ledger is None else (ledger.alone(ALONE),)), beside.alone()):
            try:
                alone = held.enter_context(lock)
                break
            except REFUSED:
                continue
        yield alone


def _move(ledger: Ledger | None, beside: Unrecorded) -> None:
    if ledger is not None:
        with suppress(*REFUSED):
            beside.move_into(ledger)


def watcher_of(rule: Heartbeat | None, address: str) -> Watcher | None:
    """Tells the watcher that a session has ended; None where the mandate asks for none."""
    if rule is None:
        return None

    def tell(session: str, state: str) -> Told:
        if not address:
            return NotDelivered(
                f"expected an address in the environment, found none: set {settings.WATCHER}", lasting=True
            )
        body: dict[str, object] | None = {"session": session, "state": state} if rule.method == "POST" else None
        return asked(rule.method, address, body, TIMEOUT_SECONDS)

    return tell


def main() -> int:
    """0: everything is acknowledged; 1: something is left."""
    told = json.loads(sys.stdin.buffer.read(INPUT_BYTES_MAX))
    section, home = Notification.model_validate(told["notification"]), Path(told["home"])
    beside = Unrecorded(home, handed(told.get("unrecorded")))
    return 0 if deliver(home, section, float(told["seconds"]), beside) else 1


if __name__ == "__main__":
    sys.exit(main())
