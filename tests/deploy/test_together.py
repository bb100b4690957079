"""Webserver and daemon in one process: both work, an end that is asked for ends both, and neither lives on without the other."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from compose_runner import ROOT
from image_world import patient
from server_process import free_ports

ALIVE = "{instance{daemonHealth{allDaemonStatuses{daemonType required healthy}}}}"


@contextlib.contextmanager
def started(folder: Path, workspace: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The process over an empty instance, and where its page is."""
    told = yaml.safe_load((ROOT / "dagster_home" / "dagster.yaml").read_text(encoding="utf-8"))
    (folder / "dagster.yaml").write_text(yaml.safe_dump(told), encoding="utf-8")
    (folder / "workspace.yaml").write_text(workspace, encoding="utf-8")
    (port,) = free_ports(1)
    given = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "DAGSTER_HOME": str(folder),
        "PYTHONWARNINGS": "ignore",
    }
    words = ["-w", str(folder / "workspace.yaml"), "-h", "127.0.0.1", "-p", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "deploy" / "together.py"), *words], env=given, cwd=ROOT, stdout=log, stderr=log
        )
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def test_a_daemon_that_stops_takes_the_page_with_it(tmp_path: Path) -> None:
    """A page without a daemon looks well while no session starts; whoever supervises the process is told by its end."""
    with started(tmp_path, "load_from: 7\n") as (process, _):
        assert process.wait(120) == 1
    assert "the daemon has stopped, and the webserver with it" in (tmp_path / "log").read_text(errors="replace")


@pytest.mark.long
def test_both_work_and_end_together(tmp_path: Path) -> None:
    """The page tells that each kind of work has a heartbeat; SIGTERM ends the server at once and the daemon's threads in order."""
    with started(tmp_path, "load_from: []\n") as (process, address):

        def healthy() -> bool:
            body = json.dumps({"query": ALIVE}).encode()
            asked = urllib.request.Request(f"{address}/graphql", body, {"content-type": "application/json"})
            with contextlib.suppress(OSError), urllib.request.urlopen(asked, timeout=10) as answer:
                rows = json.load(answer)["data"]["instance"]["daemonHealth"]["allDaemonStatuses"]
                needed = [row["healthy"] for row in rows if row["required"]]
                return len(needed) > 3 and all(needed)
            return False

        patient(healthy, 120, "heartbeats")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) in (0, -signal.SIGTERM)
    assert "Daemon threads shut down." in (tmp_path / "log").read_text(errors="replace")
