"""Starts the notifier beside what runs, and does not wait for it: trading goes on whether or not anybody can be reached."""

import atexit
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from marketbot_resources import settings
from marketbot_resources.mandate_notification import Notification

COMMAND = (sys.executable, "-m", "marketbot_resources.notifier")
SECONDS_MAX = 1800.0
_started: "list[subprocess.Popen[bytes]]" = []


def _reap() -> None:
    """Forgets notifiers that have ended."""
    _started[:] = [one for one in _started if one.poll() is None]


atexit.register(_reap)


def start_notifier(home: Path, section: Notification, command: tuple[str, ...] = COMMAND) -> int:
    """Starts one notifier and returns its process id. It lives until every channel had its turn, and outlives a run that ends.

    Raises OSError when no process can be started.
    """
    _reap()
    seconds = min((len(section.channels) * section.escalate_minutes + 1) * 60.0, SECONDS_MAX)
    told = {"home": str(home), "notification": section.model_dump(mode="json", by_alias=True), "seconds": seconds}
    with tempfile.TemporaryFile() as given:
        given.write(json.dumps(told).encode())
        given.seek(0)
        process = subprocess.Popen(
            command,
            stdin=given,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=settings.CHECKOUT,
            env=settings.notifier_environment(),
            start_new_session=True,
        )
    _started.append(process)
    return process.pid
