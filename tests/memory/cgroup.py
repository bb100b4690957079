"""A memory cgroup of the first version: one limit for many processes, without swap. And what processes hold, from /proc.

Needs root and a writable /sys/fs/cgroup/memory (`lacking`). Not here: which processes.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BASE = Path("/sys/fs/cgroup/memory")
MIB = 1 << 20
# $1: the group's file; the shell moves itself into the group and becomes the program.
ENTER = 'echo $$ > "$1" && shift && exec "$@"'


def lacking() -> str | None:
    """Why no limit can be set here; None if one can."""
    if not (BASE / "memory.limit_in_bytes").exists():
        return f"no memory cgroup of version 1 at {BASE}"
    return None if os.access(BASE, os.W_OK) and os.geteuid() == 0 else f"{BASE} is not ours to write"


@dataclass(frozen=True, slots=True)
class Group:
    """One cgroup."""

    path: Path

    def enter(self) -> list[str]:
        """What to put before a command line, so that it and all that it starts live in the group."""
        return ["/bin/sh", "-c", ENTER, "enter", str(self.path / "cgroup.procs")]

    def number(self, name: str) -> int:
        """A figure of the kernel."""
        return int((self.path / name).read_text(encoding="ascii"))

    def pids(self) -> list[int]:
        """Every process in it."""
        return [int(line) for line in (self.path / "cgroup.procs").read_text(encoding="ascii").split()]

    def told(self, name: str) -> dict[str, int]:
        """The lines of `memory.stat` or `memory.oom_control`."""
        rows = (line.split() for line in (self.path / name).read_text(encoding="ascii").splitlines())
        return {row[0]: int(row[1]) for row in rows}

    def used(self) -> int:
        """Bytes that the kernel cannot drop: anonymous and shared memory and pages of files that a process has mapped."""
        stat = self.told("memory.stat")
        return stat["total_rss"] + stat["total_mapped_file"]

    def kills(self) -> int:
        """How many processes were killed for want of memory."""
        return self.told("memory.oom_control").get("oom_kill", 0)


@contextlib.contextmanager
def limited(name: str, mib: int) -> Iterator[Group]:
    """A new group with this limit, swap included where the kernel counts swap. Its processes end with the block."""
    group = Group(BASE / name)
    group.path.mkdir()
    try:
        for file in ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"):
            if (group.path / file).exists():
                (group.path / file).write_text(str(mib * MIB), encoding="ascii")
        yield group
    finally:
        for _ in range(100):
            for pid in group.pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(OSError):
                group.path.rmdir()
                break
            time.sleep(0.1)


def share(pid: int) -> tuple[int, int] | None:
    """Bytes of a process, each page divided by how many have it mapped (PSS), and those of them that lie in no file.

    Those alone the system cannot drop. None for a process that is gone.
    """
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return None
    rows = dict(line.split()[:2] for line in text.splitlines()[1:])
    return (int(rows["Pss:"]) * 1024, int(rows["Pss_Anon:"]) * 1024) if "Pss:" in rows else None


def words(pid: int) -> str:
    """The command line of a process; empty for one that is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""
