"""`audit-ui`: Dagster's pages for auditors: a server that refuses every change, of a copy, with no key of the installation.

Dagster opens its SQLite files to write even where it only reads, so the server gets a copy in a folder of its own, which goes when
it ends: the home is opened read-only and may belong to somebody else. Not here: `marketbot serve`, which shows the book.
"""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import click

from marketbot_resources import settings
from marketbot_resources.errors import HomeError, SetupError

HOST, START_SECONDS, STOP_SECONDS = "127.0.0.1", 180.0, 20.0
DATABASES = (Path("history/event_log.db"), Path("history/runs.db"), Path("schedules/schedules.db"))
CONFIG, LOGS = "dagster.yaml", "storage"
WORKSPACE = """load_from:
  - python_module:
      module_name: marketbot_assets.definitions
      location_name: marketbot
"""


def audit_ui(port: int, *, as_json: bool) -> int:
    """Copies the instance, says where its pages are, serves them until SIGTERM or SIGINT. Raises SetupError, HomeError."""
    source = settings.dagster_home()
    if not (source / DATABASES[0]).exists():
        raise SetupError(f"audit-ui: expected a Dagster instance that has run a session in {source}, found none")
    with tempfile.TemporaryDirectory(prefix="marketbot-audit-ui-") as folder:
        copy_instance(source, Path(folder))
        with _stopping(), _serving(Path(folder), port or _free_port()) as (process, address):
            view = {"address": address, "read_only": True, "runs": _runs(Path(folder))}
            click.echo(json.dumps(view) if as_json else _told(view))
            sys.stdout.flush()
            return process.wait() and 1


def copy_instance(source: Path, target: Path) -> None:
    """What the pages are made of, as it is now: databases whole, captured output, our `dagster.yaml`. Raises HomeError."""
    ours = source / CONFIG if (source / CONFIG).exists() else settings.CHECKOUT / "dagster_home" / CONFIG
    try:
        if ours.exists():
            shutil.copyfile(ours, target / CONFIG)
        if (source / LOGS).is_dir():
            shutil.copytree(source / LOGS, target / LOGS, symlinks=True)
        for name in DATABASES:
            if (source / name).exists():
                (target / name).parent.mkdir(exist_ok=True)
                _copy_database(source / name, target / name)
    except (OSError, sqlite3.Error) as error:
        raise HomeError(f"audit-ui: expected to read {source}, found: {error}") from error
    (target / "workspace.yaml").write_text(WORKSPACE, encoding="utf-8")


def _copy_database(source: Path, target: Path) -> None:
    """SQLite's own copy: consistent while others write. What nobody has open needs no file beside it, and so no right to write."""
    written = Path(f"{source}-wal").exists()
    how = "mode=ro" if written else "mode=ro&immutable=1"
    with (
        closing(sqlite3.connect(f"file:{quote(str(source))}?{how}", uri=True, timeout=30.0)) as old,
        closing(sqlite3.connect(target)) as new,
    ):
        old.backup(new)


def _runs(folder: Path) -> int:
    with closing(sqlite3.connect(folder / DATABASES[1])) as database:
        return int(database.execute("select count(*) from runs").fetchone()[0])


def _told(view: dict[str, object]) -> str:
    return f"{view['address']}: {view['runs']} runs as they are now, read-only; newer ones: start it again. SIGTERM stops it"


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def _stopping() -> Iterator[None]:
    """SIGTERM and SIGINT end the wait in good order: the server is stopped, the copy removed."""

    def stop(number: int, frame: object) -> None:
        raise SystemExit(0)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _serving(folder: Path, port: int) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """Dagster's server on this machine alone, as a group of its own, with an environment that holds no secret."""
    address, log = f"http://{HOST}:{port}", folder / "server.log"
    command = [sys.executable, "-m", "dagster_webserver", "-w", str(folder / "workspace.yaml"), "-h", HOST]
    with log.open("wb") as said:
        process = subprocess.Popen(
            [*command, "-p", str(port), "--read-only"],
            cwd=folder,
            env=_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    try:
        _wait(process, address, log)
        yield process, address
    finally:
        _end(process)


def _environment(folder: Path) -> dict[str, str]:
    paths = {name: found for name in ("PYTHONPATH", "VIRTUAL_ENV") if (found := settings.variable(name))}
    own = {"DAGSTER_HOME": str(folder), "MARKETBOT_HOME": str(folder / "state"), "HOME": str(folder)}
    quiet = {"DAGSTER_DISABLE_TELEMETRY": "1", "MARKETBOT_MANDATE": str(settings.mandate_path())}
    return settings.bare_environment() | paths | own | quiet


def _wait(process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"{address}/server_info", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
    raise SetupError(
        f"audit-ui: expected Dagster's webserver to answer on {address}, found: {''.join(last) or 'nothing'}"
    )


def _end(process: "subprocess.Popen[bytes]") -> None:
    """The whole group: the server and the process that loads the definitions."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=STOP_SECONDS)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait()
