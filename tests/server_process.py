"""A server process for tests: started on free ports of 127.0.0.1 in a folder of its own, and never left behind."""

import os
import pwd
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

START_SECONDS_MAX, STOP_SECONDS_MAX, START_TRIES = 60.0, 30.0, 3
SOCKET_PATH_MAX = 70  # a unix socket's path has 107 bytes at most; the rest is for our own names

# Waits for the end of its input. A word first means that the server was stopped; an end without it, that the test
# process is gone: then the server goes too (QUIT ends PostgreSQL with its children, and SeaweedFS), with its files.
GUARD = """
read -r word && exit 0
pid=$1; shift
kill -QUIT "$pid"
for i in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$pid" && sleep 0.2; done
kill -KILL "$pid"
rm -rf -- "$@"
"""
REMOVE = 'rm -rf -- "$@" &'  # nobody waits: where freed blocks are discarded at once, it takes seconds


def free_ports(number: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody uses now. Another process may take one before it is used: try again then."""
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [int(each.getsockname()[1]) for each in taken]
    for each in taken:
        each.close()
    return ports


def server_user() -> pwd.struct_passwd | None:
    """Who runs PostgreSQL, which refuses root: None for ourselves."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


def state(pid: int) -> tuple[str, int] | None:
    """The letter of a process's state and its parent; None if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    letter, parent = text.rpartition(")")[2].split()[:2]
    return letter, int(parent)


def children(parent: int) -> list[int]:
    """Processes that `parent` started and that still run."""
    pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return [pid for pid in pids if not ended(pid) and (state(pid) or ("", 0))[1] == parent]


def ended(pid: int) -> bool:
    """Whether a process is gone, or only waits to be reaped by somebody else."""
    return (state(pid) or ("Z", 0))[0] == "Z"


class Server:
    """One server process in a folder of its own. Use as a context manager, or start() and at the end close()."""

    def __init__(self, name: str, ports: int, user: pwd.struct_passwd | None = None) -> None:
        base = tempfile.gettempdir()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=base if len(base) < SOCKET_PATH_MAX else "/tmp"))
        if user is not None:
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        self.ports = free_ports(ports)
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str | Path]:
        """What to run, on self.ports."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether the server does its work by now."""
        raise NotImplementedError

    def litter(self) -> list[Path]:
        """What is left outside of the folder."""
        return []

    @property
    def pid(self) -> int:
        """Of the running server."""
        assert self._process is not None, "the server is stopped; start() it first"
        return self._process.pid

    @property
    def log(self) -> str:
        """All that the server has said."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def run(self, command: Sequence[str | Path]) -> subprocess.Popen[bytes]:
        """A process as the server's user, deaf to the terminal, that knows nothing of our environment."""
        user = self._user
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "LC_ALL": "C", "TZ": "UTC"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=user.pw_uid if user else None,
                group=user.pw_gid if user else None,
                extra_groups=[] if user else None,
            )

    def start(self) -> None:
        """Start, and wait until the server answers. After a stop or a kill: on the same ports and data."""
        assert self._process is None, "the server runs already"
        first = self._guard is None
        for _ in range(START_TRIES):
            self._process = self.run(self.command())
            self._watch()
            if self._wait():
                return
            self._end(signal.SIGKILL)
            if first:
                self.ports = free_ports(len(self.ports))
        raise RuntimeError(f"{type(self).__name__} does not answer; the end of its log:\n{self.log[-2000:]}")

    def stop(self) -> None:
        """Stop in good order."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End the server and all its children at once with SIGKILL: nobody can write anything more."""
        os.kill(self.pid, signal.SIGSTOP)  # so that it starts no child while we look
        family = children(self.pid)
        for pid in family:
            os.kill(pid, signal.SIGKILL)
        self._end(signal.SIGKILL)
        until = time.monotonic() + STOP_SECONDS_MAX
        while not all(ended(pid) for pid in family):
            assert time.monotonic() < until, f"still there after SIGKILL: {family}"
            time.sleep(0.005)

    def close(self) -> None:
        """Stop at once; everything of ours is removed, soon after."""
        if self._process is not None:
            self._end(signal.SIGQUIT)
        self._shell(REMOVE, self.folder, *self.litter()).communicate()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _watch(self) -> None:
        self._guard = self._shell(GUARD, str(self.pid), self.folder, *self.litter())

    def _shell(self, script: str, *arguments: str | Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["/bin/sh", "-c", script, type(self).__name__, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _wait(self) -> bool:
        assert self._process is not None
        until = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < until and self._process.poll() is None:
            if self.answers():
                return True
            time.sleep(0.02)
        return False

    def _end(self, sign: signal.Signals) -> None:
        """Send the signal and wait; what does not obey is killed."""
        process, guard = self._process, self._guard
        assert process is not None, "the server is stopped already"
        process.send_signal(sign)
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._process = None
        if guard is not None:
            guard.communicate(b"stopped\n")
