"""Homes of a few sessions that several folders of tests start from: made once in a whole run, whichever worker comes first.

Every worker gets a copy of its own. A worker that asks while another one makes the same home waits for it: that takes no longer
than to make it, and the other processor is free. Not here: any statement about the product.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from marketbot_assets.definitions import build_definitions

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """One BLAS thread, as every command sets it: what a test's process decides, a command's process rebuilds bit for bit."""
    import numpy as np  # noqa: F401  (a library that is not loaded yet has no threads to limit)
    import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


def home_of(factory: pytest.TempPathFactory, *sessions: str) -> Path:
    """A home that began with cash and ran these sessions one after another, with nothing wrong, on the default mandate."""
    *before, last = sessions

    def make(home: Path) -> None:
        if before:
            shutil.copytree(home_of(factory, *before), home)
        _run(home, last)

    return _own_copy(factory, "_".join(sessions), make)


def _run(home: Path, session: str) -> None:
    with pytest.MonkeyPatch.context() as patch, one_thread(), dg.DagsterInstance.ephemeral() as instance:
        patch.setenv("MARKETBOT_HOME", str(home))
        patch.delenv("MARKETBOT_MANDATE", raising=False)
        job = build_definitions().resolve_job_def("daily")
        assert job.execute_in_process(partition_key=session, instance=instance, run_config=QUIET).success


def _own_copy(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A copy for this worker of a home that one worker makes; the others wait at its lock."""
    base = factory.getbasetemp()
    shared = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "shared"
    shared.mkdir(exist_ok=True)
    own = factory.mktemp(name) / "home"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / name).exists():
            make(own)
            shutil.copytree(own, shared / f"{name}.part")
            (shared / f"{name}.part").rename(shared / name)
            return own
    shutil.copytree(shared / name, own)
    return own
