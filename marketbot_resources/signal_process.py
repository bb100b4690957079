"""Starts the publisher of signals as a process of its own and hears what became of it, within a time limit.

It is started when a session has ended, so nothing that trades waits for it. It holds its own credentials and none of ours.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

from marketbot_resources import settings
from marketbot_resources.signal_publisher import Published, Signal

COMMAND = (sys.executable, "-m", "marketbot_resources.signal_publisher")
SECONDS_MAX = 45.0


def put_signals(
    table: str,
    signals: Sequence[Signal],
    command: tuple[str, ...] = COMMAND,
    seconds: float = SECONDS_MAX,
    environment: Mapping[str, str] | None = None,
) -> Published:
    """What the publisher says; one that does not end within `seconds` is ended. Raises OSError when no process can be started."""
    told = json.dumps({"table": table, "signals": signals}, allow_nan=False).encode()
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=settings.CHECKOUT,
        env=dict(settings.signals_environment() if environment is None else environment),
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(told, timeout=seconds)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return Published(problem=f"the publisher did not end within {seconds:g} seconds")
    return _heard(said, process.returncode)


def _heard(said: bytes, code: int) -> Published:
    """Its last word; whatever is not one counts as a failure."""
    try:
        found = json.loads(said)
        done = Published(int(found["put"]), int(found["newer"]), str(found["problem"])[:200])
    except (ValueError, KeyError, TypeError):
        return Published(problem=f"the publisher ended with {code} and without a word")
    if code != 0 and not done.problem:
        return Published(done.put, done.newer, f"the publisher ended with {code}")
    return done
