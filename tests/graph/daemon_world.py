"""A home whose sessions the real daemon starts, and the killing of its processes. Not here: statements on the product."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from graph_world import ROOT, Home

WAIT_SECONDS = 900
PID = re.compile(r"Executing steps in process \(pid: (\d+)\)")


def until(found: Callable[[], object], what: str, seconds: float = WAIT_SECONDS) -> None:
    """Waits for it, a bounded time."""
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.5)


def place(home: Path, mandate: str) -> dict[str, str]:
    """A new home with Dagster's instance in it and a mandate of its own; the environment of its processes."""
    instance = home / "dagster"
    instance.mkdir(parents=True)
    shutil.copyfile(ROOT / "dagster_home" / "dagster.yaml", instance / "dagster.yaml")
    (home / "mandate.yaml").write_text(mandate, encoding="utf-8")
    kernels = {name: "1" for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS")}
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
        "MARKETBOT_HOME": str(home),
        "DAGSTER_HOME": str(instance),
        "MARKETBOT_MANDATE": str(home / "mandate.yaml"),
        **kernels,
    }


@contextmanager
def daemon(environment: dict[str, str], **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """Dagster's daemon with a code server of its own, in a process group of its own; ended with all its children."""
    log = Path(environment["MARKETBOT_HOME"]) / "daemon.log"
    script = [sys.executable, "-m", "dagster._daemon", "run", "-m", "marketbot_assets.definitions"]
    with log.open("ab") as out:
        process = subprocess.Popen(
            script, env={**environment, **more}, cwd=ROOT, stdout=out, stderr=out, start_new_session=True
        )
    try:
        yield process
    finally:
        everything_dies(process)


def descendants(pid: int) -> list[int]:
    """The process and everything that it started, from the kernel's table."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def everything_dies(process: "subprocess.Popen[bytes]") -> None:
    """As when the machine loses its power: daemon, code server and worker at once."""
    for pid in descendants(process.pid):
        dies(pid)
    process.wait(60)


def dies(pid: int) -> None:
    """Kills one process."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def worker_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> int | None:
    """The process of a run, as its log names it; None before it has begun."""
    for record in instance.all_logs(run.run_id):
        named = PID.search(record.message or record.user_message or "")
        if named:
            return int(named[1])
    return None


def runs_of(instance: dg.DagsterInstance) -> Sequence[dg.DagsterRun]:
    """Every run of job `daily`, oldest first."""
    return instance.get_runs(filters=dg.RunsFilter(job_name="daily"))[::-1]


def frozen(home: Home) -> bool:
    """Whether a batch is frozen in the ledger of a home that may not be there yet."""
    return (home.path / "ledger.sqlite").exists() and bool(home.lake.ledger.entries("batch_frozen"))
