"""`python -m marketbot_resources.notifier`: delivers alerts and digests from the ledger, with its channels' secrets alone.

It reads one JSON object: `home`, `notification` (the mandate's section), `seconds` (how long it may wait for channels). It ends
when everything is acknowledged. Whoever trades starts it and goes on. Not here: finding alerts (`marketbot_assets.alerting`).
"""

import json
import sys
import time
from pathlib import Path

from marketbot_resources import settings
from marketbot_resources.clock import machine_now
from marketbot_resources.delivery import ALONE, Delivery, Told, Watcher
from marketbot_resources.ledger.opening import existing_ledger
from marketbot_resources.mandate_notification import Heartbeat, Notification
from marketbot_resources.notify.opening import open_channel
from marketbot_resources.notify.port import TIMEOUT_SECONDS, NotDelivered
from marketbot_resources.notify.web import asked

TURN_SECONDS = 10.0  # another one may be about to end without having seen the newest alert
INPUT_BYTES_MAX = 1 << 20


def deliver(home: Path, section: Notification, seconds: float) -> bool:
    """Delivers what is due of a home; False when something is left, or another process delivers all the while."""
    ledger = existing_ledger(home)
    if ledger is None:
        return True
    given = settings.notifier_variables()
    transports = {channel.name: open_channel(channel, given) for channel in section.channels}
    watcher = watcher_of(section.heartbeat, given.get(settings.WATCHER, ""))

    def stored(digest: str) -> bytes:
        from marketbot_resources.store.objects import LocalObjects  # loads what alerts need not wait for

        return LocalObjects(home / "store").get_blob(digest)

    delivery = Delivery(ledger, section, transports, now=machine_now, wait=time.sleep, watcher=watcher, bodies=stored)
    until = time.monotonic() + TURN_SECONDS
    while True:
        with ledger.alone(ALONE) as alone:
            if alone:
                return delivery.run(seconds)
        if time.monotonic() > until:
            return False
        time.sleep(0.1)


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
    section = Notification.model_validate(told["notification"])
    return 0 if deliver(Path(told["home"]), section, float(told["seconds"])) else 1


if __name__ == "__main__":
    sys.exit(main())
