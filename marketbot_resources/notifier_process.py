"""Starts the notifier beside what runs, and does not wait for it: trading goes on whether or not anybody can be reached."""

import atexit
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from marketbot_resources import settings
from marketbot_resources.mandate_notification import Notification
from marketbot_resources.unrecorded import HANDED_MAX, Line

COMMAND = (sys.executable, "-m", "marketbot_resources.notifier")
SECONDS_MAX = 1800.0
_started: "list[subprocess.Popen[bytes]]" = []


def _reap() -> None:
    """Forgets notifiers that have ended."""
    _started[:] = [one for one in _started if one.poll() is None]


atexit.register(_reap)


def start_notifier(
    home: Path, section: Notification, command: tuple[str, ...] = COMMAND, unrecorded: Sequence[Line] = ()
) -> int:
    """Starts one notifier and returns its process id. It lives until every channel had its turn, and outlives a run that ends.

    `unrecorded`: what no ledger took. Nothing is written to a disk: it may be full. Raises OSError when no process can be started.
    """
    _reap()
    seconds = min((len(section.channels) * section.escalate_minutes + 1) * 60.0, SECONDS_MAX)
    told = {
        "home": str(home),
        "notification": section.model_dump(mode="json", by_alias=True),
        "seconds": seconds,
        "unrecorded": [list(line) for line in unrecorded[:HANDED_MAX]],
    }
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=settings.CHECKOUT,
        env=settings.notifier_environment(),
        start_new_session=True,
    )
    assert process.stdin is not None
    with suppress(BrokenPipeError), process.stdin as pipe:  # one that died at once has nothing to read
        pipe.write(json.dumps(told).encode())
    _started.append(process)
    return process.pid


def notifiers_ended(seconds: float) -> bool:
    """Waits for the notifiers that this process started; False when one still lives after so many seconds."""
    until = time.monotonic() + seconds
    for one in list(_started):
        with suppress(subprocess.TimeoutExpired):
            one.wait(max(0.0, until - time.monotonic()))
    _reap()
    return not _started
