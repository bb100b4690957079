"""Dagster's webserver and daemon in one process, for a machine with little memory: `together.py -w FILE -h HOST -p PORT`.

Both import the same, which is most of what each holds: about 100 MiB less, and they are given the same secrets anyway. The words
are those of `dagster-webserver`, of which `-w` is the daemon's, too. When the daemon stops the process ends, so that whoever
supervises it starts it again; when the server is told to end, the daemon ends what it does first. Not here: code server and runs,
which hold the keys.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Sequence

from dagster._cli.utils import get_instance_for_cli
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._daemon.controller import DEFAULT_DAEMON_HEARTBEAT_TOLERANCE_SECONDS, daemon_controller_from_instance
from dagster_webserver.cli import main as serve

LOOK_SECONDS = 5.0
END_SECONDS = 60.0
FAILED = 1


def look_after(workspace: str, ends: threading.Event) -> None:
    """Runs the daemon until `ends`. Raises when one of its threads has died or the workspace cannot be read any more."""
    with (
        get_instance_for_cli() as instance,
        daemon_controller_from_instance(
            instance,
            workspace_load_target=WorkspaceFileTarget([workspace]),
            heartbeat_tolerance_seconds=DEFAULT_DAEMON_HEARTBEAT_TOLERANCE_SECONDS,
        ) as controller,
    ):
        read = time.time()
        while not ends.wait(LOOK_SECONDS):
            controller.check_daemon_threads()
            read = controller.check_workspace_freshness(read)


def guard(workspace: str, ends: threading.Event) -> None:
    """`look_after`; the process ends with it."""
    try:
        look_after(workspace, ends)
    except BaseException:
        logging.getLogger("dagster.daemon").exception("the daemon has stopped, and the webserver with it")
        os._exit(FAILED)


def main(words: Sequence[str]) -> None:
    """Serves until it is told to end. Raises SystemExit."""
    ends = threading.Event()
    daemon = threading.Thread(target=guard, args=(words[words.index("-w") + 1], ends), name="daemon", daemon=True)
    daemon.start()
    try:
        serve()  # type: ignore[no-untyped-call]
    finally:
        ends.set()
        daemon.join(END_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1:])
