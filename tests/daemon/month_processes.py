"""The processes of an installation, as somebody who runs it starts them: code server, daemon, webserver; killed and measured.

Each has a process group of its own. Linux only: children and memory are read from /proc. Not here: when which one dies.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from server_process import free_ports

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
CODE, DAEMON, SECOND, WEB = "code server", "daemon", "second daemon", "webserver"
STOP_SECONDS_MAX = 40.0
NOTIFIER = b"marketbot_resources.notifier"
WORKER = b"spawn_main"
TICKS = os.sysconf("SC_CLK_TCK")


def instance_file(folder: Path) -> None:
    """Dagster's instance as the product ships it; its run monitor looks more often, because a window passes sooner."""
    told = yaml.safe_load((ROOT / "dagster_home" / "dagster.yaml").read_text(encoding="utf-8"))
    told["run_monitoring"] |= {"poll_interval_seconds": 5}
    (folder / "dagster.yaml").write_text(yaml.safe_dump(told), encoding="utf-8")


@dataclass(slots=True)
class Used:
    """What a process used: CPU seconds, kB of its own share of memory."""

    cpu: float
    pss: int


@dataclass
class Installation:
    """The processes over one folder. `variables`: their environment beside what they need to start; `location`: module."""

    folder: Path
    variables: Mapping[str, str]
    location: str = "fast_location"
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    spent: dict[str, float] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.code_port, self.web_port = free_ports(2)
        places = {
            "load_from": [{"grpc_server": {"host": "127.0.0.1", "port": self.code_port, "location_name": "month"}}]
        }
        (self.folder / "workspace.yaml").write_text(yaml.safe_dump(places), encoding="utf-8")

    def command(self, name: str) -> list[str]:
        """The command line of a process."""
        given = ["-w", str(self.folder / "workspace.yaml")]
        if name == CODE:
            return ["dagster", "api", "grpc", "-m", self.location, "-h", "127.0.0.1", "-p", str(self.code_port)]
        if name == WEB:
            return ["dagster-webserver", *given, "-h", "127.0.0.1", "-p", str(self.web_port)]
        return ["dagster-daemon", "run", *given]

    def start(self, *names: str) -> None:
        """Starts processes that do not run."""
        for name in names:
            if name in self.running:
                continue
            folder = Path(sys.executable).parent
            program, *words = self.command(name)
            with (self.folder / f"{name.replace(' ', '_')}.log").open("ab") as log:
                self.running[name] = subprocess.Popen(
                    [str(folder / program), *words],
                    env=self._environment(),
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            self.starts[name] = self.starts.get(name, 0) + 1

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(map(str, (ROOT, HERE))),
            "DAGSTER_HOME": str(self.folder),
            "DAGSTER_EVENT_BATCH_SIZE": "50",
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "NUMBA_NUM_THREADS": "1",
            "PYTHONWARNINGS": "ignore",
            **self.variables,
        }

    def kill(self, *names: str) -> None:
        """SIGKILL to processes alone: their children live on, as they do when the system kills for memory."""
        for name in names:
            self._end(name, signal.SIGKILL)

    def stop(self, *names: str) -> None:
        """SIGTERM, as a service manager sends it; SIGKILL to one that does not end."""
        for name in names:
            self._end(name, signal.SIGTERM)

    def _end(self, name: str, word: int) -> None:
        process = self.running.pop(name, None)
        if process is None:
            return
        self._note(name, process.pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, word)
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _note(self, name: str, pid: int) -> None:
        with contextlib.suppress(OSError, ValueError):
            self.spent[name] = self.spent.get(name, 0.0) + used(pid).cpu

    def power_off(self) -> None:
        """Every process of the installation is gone at once, runs and notifiers too."""
        for pid in [*self.workers(), *self.notifiers()]:
            kill(pid)
        for name in list(self.running):
            self.kill(name)
        for pid in self.strays():
            kill(pid)

    def workers(self) -> list[int]:
        """Processes that execute runs, also those whose code server died."""
        return [pid for pid in self.strays() if WORKER in words_of(pid)]

    def notifiers(self) -> list[int]:
        """Notifiers of this home."""
        return [pid for pid in pids() if NOTIFIER in words_of(pid) and self._is_ours(pid)]

    def strays(self) -> list[int]:
        """Every process with our instance in its environment, but for those that we started by name."""
        mine = {process.pid for process in self.running.values()}
        return [pid for pid in pids() if pid not in mine and pid != os.getpid() and self._is_ours(pid)]

    def _is_ours(self, pid: int) -> bool:
        try:
            told = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return False
        hook = self.variables.get("MARKETBOT_SLACK_WEBHOOK", "-").encode()
        return f"DAGSTER_HOME={self.folder}\0".encode() in told or b"MARKETBOT_SLACK_WEBHOOK=" + hook in told

    def measured(self) -> dict[str, Used]:
        """What each process used up to now; CPU of its earlier lives too."""
        found = {}
        for name, process in sorted(self.running.items()):
            now = used(process.pid)
            found[name] = Used(now.cpu + self.spent.get(name, 0.0), now.pss)
        return found


def pids() -> list[int]:
    """Every process that we may look at."""
    return sorted(int(path.name) for path in Path("/proc").glob("[0-9]*"))


def words_of(pid: int) -> bytes:
    """The command line of a process; empty for one that is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def used(pid: int) -> Used:
    """CPU of a process with the children it waited for, and its memory. Raises OSError for one that is gone."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    pss = next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
    return Used(sum(map(int, fields[11:15])) / TICKS, pss)


def kill(pid: int) -> bool:
    """SIGKILL to a process that may be gone."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


@contextlib.contextmanager
def installation(folder: Path, variables: Mapping[str, str], location: str) -> Iterator[Installation]:
    """An installation of which no process outlives the block; `location`: the module of the code location."""
    made = Installation(folder, variables, location)
    try:
        yield made
    finally:
        made.power_off()
        time.sleep(0.2)
        made.power_off()
