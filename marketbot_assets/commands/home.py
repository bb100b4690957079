"""Setting up a command: environment, home, mandate, Dagster's instance. Raises SetupError with one line."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from marketbot_resources import settings
from marketbot_resources.errors import HomeError, UsageError
from marketbot_resources.redaction import install
from marketbot_resources.store.index_opening import has_index

if TYPE_CHECKING:
    import dagster as dg

    from marketbot_resources.mandate import Mandate
    from marketbot_resources.store.lake import Lake


def prepare_environment() -> None:
    """Settings that must stand before the first import of a numeric library or Dagster: one BLAS thread, the instance.

    From here on no log line holds a secret.
    """
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "50")
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
    if os.environ.get("MARKETBOT_HOME"):
        os.environ["DAGSTER_HOME"] = str(settings.home() / "dagster")
    else:
        os.environ["DAGSTER_HOME"] = str(settings.dagster_home())
    install()


def load_mandate() -> "Mandate":
    """The mandate file, validated."""
    from marketbot_resources.mandate import parse_mandate
    from marketbot_resources.mandate_file import read_mandate_text

    return parse_mandate(read_mandate_text())


def writable_home() -> Path:
    """The home, created when needed and proven writable; Dagster's instance configuration lies in it."""
    home, instance = settings.home(), Path(os.environ["DAGSTER_HOME"])
    probe = home / ".writable"
    try:
        home.mkdir(parents=True, exist_ok=True)
        instance.mkdir(parents=True, exist_ok=True)
        probe.write_text("", encoding="utf-8")
        probe.unlink()
        store = home / "store"
        if store.exists() and not os.access(store, os.W_OK):
            raise HomeError(f"home: expected to write {store}, found it read-only; unlock it or set MARKETBOT_HOME")
        if not (instance / "dagster.yaml").exists():
            shutil.copyfile(settings.CHECKOUT / "dagster_home" / "dagster.yaml", instance / "dagster.yaml")
    except OSError as error:
        raise HomeError(
            f"home: expected to write {home}, found: {error.strerror}; choose another MARKETBOT_HOME"
        ) from error
    return home


_READ: "ContextVar[Lake | None]" = ContextVar("lake that is only read", default=None)


@contextmanager
def reading(lake: "Lake") -> Iterator[None]:
    """Inside, in this thread, commands look at this lake, which its caller opened to be read only."""
    token = _READ.set(lake)
    try:
        yield
    finally:
        _READ.reset(token)


def existing_lake() -> "Lake":
    """The store of a home that has one. Raises UsageError when nothing was ever run."""
    from marketbot_resources.store.lake import open_lake

    given = _READ.get()
    if given is not None:
        return given
    home = settings.home()
    if not has_index(home):
        raise UsageError(f"no book yet in {home}; run `marketbot run` first")
    return open_lake(home)


def instance() -> "dg.DagsterInstance":
    """Dagster's instance of this home, opened by one process at a time: Dagster makes its tables without a lock of its own."""
    import dagster as dg

    with _alone(Path(os.environ["DAGSTER_HOME"]) / "opening.lock"):
        return dg.DagsterInstance.get()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Holds a lock file while another process waits for it; where none can be made nothing else can be, either."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        yield
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
