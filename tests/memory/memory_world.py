"""A whole installation in one cgroup: PostgreSQL, code server, webserver, daemon and what they start; watched while sessions run.

The language model's provider, the person at the page and the watcher stay outside. Not here: what is printed (`tools/memory.py`).
"""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from cgroup import Group, limited, share, words
from graphql_world import ask
from gullible_model import gullible
from provider_server import Asked, ProviderServer
from server_process import free_ports
from services import Postgres

ROOT = Path(__file__).parents[2]
LOOK_SECONDS, PAGE_SECONDS = 0.2, 2.0
READY_SECONDS, RUN_SECONDS = 240.0, 900.0
POSTGRES, CODE, WEB, DAEMON, TOGETHER = "PostgreSQL", "code server", "webserver", "daemon", "webserver and daemon"
# In this order: the first word that a command line holds names the process.
NAMES = (
    ("marketbot_resources.llm_worker", "language model's child"),
    ("marketbot_resources.signer", "signer"),
    ("marketbot_resources.notifier", "notifier"),
    ("resource_tracker", "trackers of children"),
    ("spawn_main", "run"),
    ("postgres", POSTGRES),
    ("together.py", TOGETHER),
    ("dagster-webserver", WEB),
    ("dagster-daemon", DAEMON),
    ("api grpc", CODE),
)
# As docs/memory.md tells to set on a small machine: freed memory goes back to the system.
ALLOCATOR = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_TRIM_THRESHOLD_": "131072",
    "MALLOC_MMAP_THRESHOLD_": "131072",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}
PAGES = (
    "{runsOrError(limit:25){... on Runs{results{id status tags{key value} stats{... on RunStatsSnapshot{stepsSucceeded}}}}}}",
    "{assetNodes{id groupName assetKey{path} isPartitioned hasMaterializePermission kinds"
    " assetMaterializations(limit:1){runId timestamp} dependencyKeys{path}}}",
    "{instance{daemonHealth{allDaemonStatuses{daemonType healthy}}} workspaceOrError{... on Workspace{locationEntries{id}}}}",
)


class SmallPostgres(Postgres):
    """PostgreSQL in the group, with the settings of deploy/postgres.conf."""

    def __init__(self, group: Group) -> None:
        super().__init__()
        self._group = group

    def run(self, command: Sequence[str | Path]) -> subprocess.Popen[bytes]:
        user = self._user
        drop = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"] if user else []
        self._user = None
        try:
            return super().run([*self._group.enter(), *drop, *map(str, command)])
        finally:
            self._user = user

    def command(self) -> Sequence[str | Path]:
        lines = (ROOT / "deploy" / "postgres.conf").read_text(encoding="ascii").splitlines()
        rows = (line.partition("#")[0].partition("=") for line in lines)
        return [*super().command(), *(f"--{key.strip()}={value.strip()}" for key, _, value in rows if value)]


@dataclass
class Seen:
    """What was seen. Bytes: (PSS, of it in no file). `peak`: most of each kind of process; `parts`: of all at the instant at which
    most lay in no file; `kernel`: what it could not drop, at the most.
    """

    peak: dict[str, tuple[int, int]] = field(default_factory=dict)
    parts: dict[str, tuple[int, int]] = field(default_factory=dict)
    kernel: int = 0


class Watch:
    """Looks at the group's processes from a thread of its own."""

    def __init__(self, group: Group) -> None:
        self.group, self.seen = group, Seen()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def now(self) -> dict[str, tuple[int, int]]:
        """Bytes by kind of process."""
        found: dict[str, tuple[int, int]] = {}
        for pid in self.group.pids():
            size, line = share(pid), words(pid)
            if size:
                name = next((name for word, name in NAMES if word in line), "others")
                known = found.get(name, (0, 0))
                found[name] = (known[0] + size[0], known[1] + size[1])
        return found

    def fresh(self) -> Seen:
        """Forgets what was seen, and returns it."""
        told, self.seen = self.seen, Seen()
        return told

    def _look(self) -> None:
        while not self._ends.wait(LOOK_SECONDS):
            now, seen = self.now(), self.seen
            for name, size in now.items():
                known = seen.peak.get(name, (0, 0))
                seen.peak[name] = (max(size[0], known[0]), max(size[1], known[1]))
            if sum(size[1] for size in now.values()) > sum(size[1] for size in seen.parts.values()):
                seen.parts = now
            seen.kernel = max(seen.kernel, self.group.used())

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join(10)


class Reader:
    """Somebody with the page open: asks what the page asks, every two seconds. `address`: None without a webserver."""

    def __init__(self, address: str | None) -> None:
        self.answers, self.failures = 0, 0
        self._address, self._ends = address, threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def _read(self) -> None:
        while self._address and not self._ends.wait(PAGE_SECONDS):
            for page in PAGES:
                try:
                    told = ask(self._address, page)
                except OSError:
                    told = {"errors": "no answer"}
                self.answers, self.failures = self.answers + 1, self.failures + ("errors" in told)

    def __enter__(self) -> "Reader":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join(150)


@dataclass
class Installation:
    """The processes and the folder. `variables`: what a setting adds to their environment."""

    folder: Path
    group: Group
    postgres: Postgres
    address: str | None
    runs: str

    def statuses(self) -> list[tuple[str, str]]:
        """(session, status) of each run, oldest first."""
        rows = self.postgres.execute("select partition, status from runs order by id", self.runs)
        return [(str(day), str(status)) for day, status in rows]

    def last_step(self) -> str:
        """The step that began last."""
        query = "select step_key from event_logs where dagster_event_type = 'STEP_START' order by id desc limit 1"
        return str(next(iter(self.postgres.execute(query, self.runs)), ("none",))[0])


def mandate_of(instruments: int, llm_url: str) -> str:
    """The example of the synthetic world with so many instruments, asking a model at this address."""
    told = yaml.safe_load((ROOT / "examples/synthetic/mandate.yaml").read_text(encoding="utf-8"))
    asked = yaml.safe_load((ROOT / "examples/llm/mandate.yaml").read_text(encoding="utf-8"))["llm"]
    asked["chain"][0]["address"] = f"{llm_url}/v1"
    told["providers"]["synthetic"]["instruments"] = instruments
    return yaml.safe_dump(told | {"llm": asked}, sort_keys=False)


def obliging(asked: Asked) -> str:
    """An answer that the gate accepts."""
    return gullible("\n".join(text for role, text in asked.turns if role != "system"))


def _files(folder: Path, postgres: Postgres, code_port: int, instruments: int, llm_url: str) -> tuple[str, str]:
    from marketbot_resources.ledger.postgres import install

    runs, ledger = postgres.database(), postgres.database()
    install(postgres.url("postgres", ledger))
    writer = postgres.url(postgres.login("ledger_writer"), ledger)
    told = yaml.safe_load((ROOT / "dagster_home" / "dagster.yaml").read_text(encoding="utf-8"))
    told.pop("event_log_storage")
    told["storage"] = {"postgres": {"postgres_url": postgres.url("postgres", runs)}}
    # Standard output of a run is otherwise followed by four processes.
    told["compute_logs"] = {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
    }
    (folder / "dagster.yaml").write_text(yaml.safe_dump(told), encoding="utf-8")
    places = {"load_from": [{"grpc_server": {"host": "127.0.0.1", "port": code_port, "location_name": "marketbot"}}]}
    (folder / "workspace.yaml").write_text(yaml.safe_dump(places), encoding="utf-8")
    (folder / "mandate.yaml").write_text(mandate_of(instruments, llm_url), encoding="utf-8")
    return runs, writer


def commands(folder: Path, code_port: int, web_port: int) -> dict[str, list[str]]:
    """The command line of each of Dagster's processes."""
    given = ["-w", str(folder / "workspace.yaml")]
    page = [*given, "-h", "127.0.0.1", "-p", str(web_port)]
    return {
        CODE: ["dagster", "api", "grpc", "-m", "marketbot_assets.definitions", "-h", "127.0.0.1", "-p", str(code_port)],
        WEB: ["dagster-webserver", *page],
        DAEMON: ["dagster-daemon", "run", *given],
        TOGETHER: ["python", str(ROOT / "deploy" / "together.py"), *page],
    }


@contextlib.contextmanager
def installed(
    folder: Path, limit: int, *, shape: Sequence[str], instruments: int, variables: dict[str, str]
) -> Iterator[Installation]:
    """PostgreSQL and the processes of `shape` run in a group of `limit` MiB; sessions begin with the daemon, which is its last."""
    code_port, web_port = free_ports(2)
    with contextlib.ExitStack() as stack:
        provider = stack.enter_context(ProviderServer(obliging))
        group = stack.enter_context(limited(f"marketbot-{os.getpid()}", limit))
        postgres = stack.enter_context(SmallPostgres(group))
        runs, ledger = _files(folder, postgres, code_port, instruments, provider.url)
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",
            "DAGSTER_HOME": str(folder),
            "MARKETBOT_HOME": str(folder / "state"),
            "MARKETBOT_MANDATE": str(folder / "mandate.yaml"),
            "MARKETBOT_LEDGER": ledger,
            "MARKETBOT_AUTOMATION": "daily",
            "DAGSTER_EVENT_BATCH_SIZE": "50",
            **ALLOCATOR,
            **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"),
            **variables,
        }
        address = f"http://127.0.0.1:{web_port}" if {WEB, TOGETHER} & set(shape) else None
        lines = commands(folder, code_port, web_port)
        made = Installation(folder, group, postgres, address, runs)
        started = stack.enter_context(_started())
        for name in shape:
            _start(made, lines[name], environment, started)
            port = {CODE: code_port, WEB: web_port, TOGETHER: web_port}.get(name)
            until(lambda port=port: port is None or opens(port), READY_SECONDS, f"the {name}", folder)
        yield made


@contextlib.contextmanager
def _started() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    try:
        yield processes
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _start(made: Installation, line: list[str], environment: dict[str, str], started: list) -> None:
    program, *rest = line
    command = [*made.group.enter(), str(Path(sys.executable).parent / program), *rest]
    with (made.folder / f"{program}.log").open("ab") as log:
        started.append(
            subprocess.Popen(
                command,
                env=environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        )


def opens(port: int) -> bool:
    """Whether somebody listens."""
    import socket

    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True


def until(true: Callable[[], object], seconds: float, what: str, folder: Path) -> None:
    """Waits for something, a bounded time; the ends of the logs when it does not come."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            logs = "".join(f"{log.name}: {log.read_text(errors='replace')[-1500:]}\n" for log in folder.glob("*.log"))
            raise RuntimeError(f"waited {seconds:.0f} s for {what}\n{logs}")
        time.sleep(0.2)
